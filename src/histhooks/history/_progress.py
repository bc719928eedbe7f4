"""The progress of a run: one rule for the table of runs, for `show` and for following."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from histhooks._base.clock import from_iso, now_us
from histhooks._base.vocabulary import RUNNING

if TYPE_CHECKING:
    from histhooks.history._run_rows import RunRows

WINDOW_US = 30_000_000
LATEST = 200  # points of each metric that are enough to say how fast a run goes
# Params of the hosts that say how many steps are planned.
_STEPS = ("trainer.max_steps", "num_boost_round", "max_steps")
_LATELY = (
    "SELECT m.start_time + p.time, coalesce(p.step, p.n) FROM metric_summaries AS m JOIN points AS p "
    f"ON p.series = m.series AND p.n >= m.count - {LATEST} WHERE m.run_id = ? AND m.split IS NOT 'system'"
)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is.

    Attributes
    ----------
    epoch : int or None
        The current epoch, or the last finished one, counted from 1.
    epochs_done, epochs_planned, steps_done, steps_planned : int or None
        None if unknown.
    share : float or None
        The share of the planned work that is done, 0 to 1.
    rate : float or None
        Recent steps a second; for a running run without enough points, the mean since its start.
    elapsed_s, left_s : float
        Seconds since the start, and to go; the latter None if unknown.
    """

    epoch: int | None
    epochs_done: int | None
    epochs_planned: int | None
    steps_done: int | None
    steps_planned: int | None
    share: float | None
    rate: float | None
    elapsed_s: float
    left_s: float | None


def progress_of(
    run: RunRows, summaries: Iterable[Mapping[str, Any]], params: Mapping[str, Any], rate: float | None
) -> Progress:
    """How far a run is.

    Parameters
    ----------
    run : RunRows
    summaries : iterable of mapping
        Its rows of `metric_summaries`.
    params : mapping
    rate : float or None
        What :func:`rate_of` gives of its latest points.

    Returns
    -------
    Progress
        What is left only by steps: by epochs :class:`Follower` says it, which sees them end.
    """
    own = [row for row in summaries if row["split"] != "system"]
    is_over = run.status != RUNNING
    elapsed = max(0.0, (run.duration_s if is_over else (now_us() - from_iso(run.started_at)) / 1e6) or 0.0)
    last_epoch = max((row["last_epoch"] for row in own if row["last_epoch"] is not None), default=None)
    epochs = run.epochs_done if run.epochs_done is not None else last_epoch
    steps = max([run.steps_done or 0, *(row["last_step"] + 1 for row in own if row["last_step"] is not None)])
    if rate is None and steps and elapsed and not is_over:
        rate = steps / elapsed
    planned = run.epochs_planned or None
    steps_planned = None if planned else _steps_planned(run, params)
    share = left = None
    if planned:
        share = min(1.0, (epochs or 0) / planned)
    elif steps_planned:
        share = min(1.0, steps / steps_planned)
        left = max(0, steps_planned - steps) / rate if rate and not is_over else None
    epoch = max(epochs or 0, 0 if last_epoch is None else last_epoch + 1) or None
    return Progress(epoch, epochs, planned, steps or None, steps_planned, share, rate, elapsed, left)


def latest_steps(run: RunRows) -> list[tuple[int, int]]:
    """The times, in microseconds UTC, and the steps of the latest points of a run."""
    return run.history.cursor(_LATELY, run.id).fetchall()


def lately(steps: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Of times with steps those of the last half minute, in order."""
    ordered = sorted(steps)
    return [pair for pair in ordered if pair[0] >= ordered[-1][0] - WINDOW_US]


def rate_of(steps: list[tuple[int, int]]) -> float | None:
    """Steps a second, of what :func:`lately` gives; None if unknown."""
    if not steps:
        return None
    span, done = steps[-1][0] - steps[0][0], max(step for _, step in steps) - steps[0][1]
    return done / span * 1e6 if span > 0 and done > 0 else None


def _steps_planned(run: RunRows, params: Mapping[str, Any]) -> int | None:
    for name in (*_STEPS, "n_estimators") if run.framework == "xgboost" else _STEPS:
        value = params.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            return value
    return None
