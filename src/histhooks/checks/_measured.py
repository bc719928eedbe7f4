"""How often each check was right on the benchmark of the repository: `python -m benchmarks checks` counts anew."""

from __future__ import annotations

from histhooks.checks._statistics import wilson

TRAININGS, CLEAN, WARNED, FAILED = 2942, 840, 1, 0  # clean: without a fault, and the oracle is sure
# By check: planted faults, those of them that it found, and trainings without that fault in which it warned or failed.
COUNTS = {
    "leak.rows": (130, 130, 0),
    "leak.index": (54, 54, 0),
    "leak.target": (112, 112, 0),
    "leak.feature": (84, 84, 1),
    "leak.prep": (196, 196, 2),
    "leak.groups": (84, 84, 0),
    "leak.time": (84, 84, 0),
    "leak.fold": (84, 84, 0),
    "valid.none": (90, 90, 0),
    "valid.is_train": (54, 54, 0),
    "select.on_test": (54, 54, 0),
    "loss.nonfinite": (46, 46, 0),
    "loss.diverged": (31, 20, 1),
    "loss.flat": (60, 60, 0),
    "lr.odd": (42, 42, 0),
    "fit.past_best": (121, 117, 0),
    "fit.gap": (85, 69, 0),
    "fit.no_better": (84, 83, 0),
    "fit.still_improving": (35, 33, 0),
    "fit.frozen": (60, 60, 0),
    "weights.nonfinite": (46, 46, 0),
    "split.classes": (84, 83, 2),
    "split.drift": (84, 84, 0),
    "data.constant": (84, 84, 0),
    "data.missing": (84, 84, 0),
    "data.id": (84, 84, 0),
    "data.twins": (112, 112, 0),
}


def recall(name: str) -> str:
    """The bounds of the share of planted faults that a check finds: `0.70–1`; `–` if none was planted."""
    planted, found, _ = COUNTS.get(name, (0, 0, 0))
    return _bounds(found, planted)


def precision(name: str) -> str:
    """The bounds of the share of its alarms that are true, faults and other trainings taken as they are there."""
    _, found, false = COUNTS.get(name, (0, 0, 0))
    return _bounds(found, found + false)


def sentence(name: str) -> str:
    """Both in one sentence; empty if no fault was planted."""
    planted, found, false = COUNTS.get(name, (0, 0, 0))
    if not planted:
        return ""
    return (
        f"{found} of {planted} planted faults found (recall {recall(name)}), {false or 'no'} "
        f"false alarm{'s' * (false != 1)} in {TRAININGS} trainings (precision {precision(name)})"
    )


def _bounds(k: int, n: int) -> str:
    if not n:
        return "–"
    low, high = wilson(k, n)
    return f"{low:.2f}–{high:.2f}".replace("1.00", "1")
