"""`fit.past_best`: the weights that are kept are past the best epoch."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from histhooks._base.text import number
from histhooks.checks._case import Case
from histhooks.checks._curves import course, has_rivals, judged_by, keeps_best, losses, tenth
from histhooks.checks._statistics import mad, median
from histhooks.checks._types import INFO, WARN, Check, Found, Said, Skip


def _judge(case: Case, at: Mapping[str, float]) -> Iterator[Said]:
    row = judged_by(case)
    if not case.trains or case.kind in ("search", "validate") or row is None:
        yield Skip("it has no loss on validation data")
        return
    values = course(case, row)
    if len(values) < at["points"]:
        yield Skip("its validation loss has fewer than eight points")
        return
    smooth = _smoothed(values)
    place = min(range(len(smooth)), key=smooth.__getitem__)
    best, tail = smooth[place], median(values[-max(2, tenth(values)) :])
    rise = tail - best
    share = rise / abs(best) if best else 0.0
    noise = mad([b - a for a, b in itertools.pairwise(values)]) / 2**0.5
    fell = smooth[0] - best
    is_risen = share >= at["rise"] and rise >= at["z"] * noise and rise > 0.02 * fell
    if not is_risen or place >= 0.8 * len(values) or not _train_falls(case, place / len(values)):
        return
    how = keeps_best(case, row["min_step"])
    where = f"epoch {row['last_epoch'] * place // max(1, len(values) - 1) + (case.framework == 'keras')}" if (
        row["last_epoch"] is not None and len(values) > 1) else f"point {_point(row, place, values)}"  # fmt: skip
    says = f"{row['name']} rose by {share:.0%} after {where}: {number(best)} → {number(tail)}, while training went on"
    level = INFO if how or has_rivals(case) else WARN
    yield Found(level, says + (f"; {how}" if how else ""), share, at["rise"],
                {"metric": row["name"], "best": best, "tail": tail, "kept": how})  # fmt: skip


def _smoothed(values: Sequence[float]) -> list[float]:
    """Running medians, so that one lucky point is no best."""
    half = 0 if len(values) < 12 else 1 if len(values) < 40 else len(values) // 40 + 1
    return [median(values[max(0, n - half) : n + half + 1]) for n in range(len(values))]


def _point(row: Mapping[str, Any], place: int, values: Sequence[float]) -> str:
    return f"{place * row['count'] // len(values):,} of {row['count']:,}"


def _train_falls(case: Case, share: float) -> bool:
    """Whether the training loss went on falling after that part of the training; true where there is none."""
    rows = [row for row in losses(case, "train") if row["count"] > 4]
    values = course(case, rows[0]) if rows else []
    if len(values) < 5:
        return True
    there = int(share * (len(values) - 1))
    around = values[max(0, there - 1) : there + 2]
    return median(values[-max(2, tenth(values)) :]) < median(around)


CHECK = Check(
    id="fit.past_best",
    title="the kept weights are past the best epoch",
    rule="the last tenth of the validation loss lies 10 % above its best (running medians), four times its "
    "noise, the best lies in the first 80 %, and the training loss still falls: warn; info if the best state is kept",
    source="stricter than the 5 % decline of deepchecks; noise by the median absolute deviation of its steps",
    needs="a validation loss of eight points or more",
    levels=(INFO, WARN),
    why="From there on the model learned its training data by heart, and is worse on new data than it had been.",
    advice="stop early and restore the best weights, keep the best checkpoint, or regularise",
    triggers="200 epochs of a large network on 300 rows",
    is_silent="the same with `EarlyStopping(restore_best_weights=True)`, which is information",
    limits="validation data that is as lucky as training data; losses that nobody logs",
    thresholds={"rise": 0.1, "z": 4.0, "points": 8},
    judge=_judge,
)
