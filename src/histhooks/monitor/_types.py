"""What :mod:`histhooks.monitor` answers with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

INSIDE, WATCH, OUTSIDE, TOO_FEW, CANNOT_TELL = "inside", "watch", "outside", "too few", "cannot tell"
CODES = {INSIDE: 0, WATCH: 0, OUTSIDE: 1, TOO_FEW: 2, CANNOT_TELL: 2}


@dataclass(frozen=True, slots=True)
class Signal:
    """One column of one window that chance does not explain.

    Attributes
    ----------
    column : str
    kind : str
        `drift`, `missing`, `outside`, `unseen` or `absent`.
    level : str
        `watch`, or `act` where one window is enough.
    psi : float or None
        The stability index of its counts against those of the training.
    chi2, critical : float or None
        The statistic, and what it exceeds.
    share, expected : float or None
        The share of rows that are missing, outside or unseen; in the training.
    n : int
        Rows of the window that were counted.
    """

    column: str
    kind: str
    level: str
    n: int
    psi: float | None = None
    chi2: float | None = None
    critical: float | None = None
    share: float | None = None
    expected: float | None = None

    @property
    def key(self) -> tuple[str, str]:
        """What is the same in the signals of several windows."""
        return self.column, self.kind


@dataclass(frozen=True, slots=True)
class Score:
    """A metric of one window beside what the last test of the version gave.

    Attributes
    ----------
    metric : str
    value, low, high : float
        With the 95 % interval.
    n : int
        Rows with a label.
    n_late : int
        Labels that came after their window.
    delay_s : float or None
        Seconds they took, at the mean.
    promise, promise_low, promise_high : float or None
        The last test score, with its 95 % interval.
    promise_n : int or None
        Rows of the test.
    promise_name : str or None
        What the run calls it.
    state : str
        `kept`, `broken`, or `cannot tell`.
    """

    metric: str
    value: float
    low: float
    high: float
    n: int
    n_late: int = 0
    delay_s: float | None = None
    promise: float | None = None
    promise_low: float | None = None
    promise_high: float | None = None
    promise_n: int | None = None
    promise_name: str | None = None
    state: str = "cannot tell"


@dataclass(frozen=True, slots=True)
class Window:
    """One span of time of one version, judged.

    Attributes
    ----------
    started_at, ended_at : str
        ISO 8601 UTC.
    version : str
        `3`; empty where the file is no version.
    version_id : str or None
    source : str
        `live` or `file`.
    n_calls, n_rows, n_errors, n_workers : int
    latency_us : mapping
        `p50` and `p99`, each the power of two that is above it.
    state : str
        `inside`, `watch`, `outside`, `too few` or `cannot tell`.
    signals : tuple of Signal
        The worst first.
    psi : mapping of str to float
        The stability index of each column that was counted.
    scores : tuple of Score
    outputs : mapping
        Counts of what was put out.
    """

    started_at: str
    ended_at: str
    version: str
    version_id: str | None
    source: str
    n_calls: int
    n_rows: int
    n_errors: int
    n_workers: int
    latency_us: Mapping[str, int]
    state: str
    signals: tuple[Signal, ...]
    psi: Mapping[str, float]
    scores: tuple[Score, ...]
    outputs: Mapping[str, Any]

    @property
    def worst(self) -> Signal | None:
        """The signal that says most; None if there is none."""
        return self.signals[0] if self.signals else None

    def as_json(self) -> dict[str, Any]:
        """The window as plain values."""
        facts = asdict(self)
        facts["worst"] = facts["signals"][0] if facts["signals"] else None
        return facts


@dataclass(frozen=True, slots=True)
class Change:
    """Since when a model is outside.

    Attributes
    ----------
    at : str
        Start of the first window that shows it.
    what : str
        The column, or the metric.
    kind : str
        Of the signal.
    event : str or None
        What happened within one window of it, such as `version 4 went live (2026-05-02 10:00)`.
    """

    at: str
    what: str
    kind: str
    event: str | None


@dataclass(frozen=True, slots=True)
class Report:
    """Whether a model is inside what its training promised.

    Attributes
    ----------
    model : str
    state : str
        That of the latest window that can be judged.
    why : str
        In words; where nobody can tell, also what to do.
    windows : tuple of Window
        The oldest first.
    against : str
        `train` or `baseline`.
    change : Change or None
    notes : tuple of str
        What could not be judged, and why.
    """

    model: str
    state: str
    why: str
    windows: tuple[Window, ...]
    against: str = "train"
    change: Change | None = None
    notes: tuple[str, ...] = field(default=())

    @property
    def code(self) -> int:
        """The exit code of ``histhooks monitor``: 0 inside, 1 outside, 2 cannot tell."""
        return CODES[self.state]

    def as_json(self) -> dict[str, Any]:
        """The report as plain values, as ``histhooks monitor --json`` prints it."""
        return {
            "model": self.model,
            "state": self.state,
            "code": self.code,
            "why": self.why,
            "against": self.against,
            "change": None if self.change is None else asdict(self.change),
            "notes": list(self.notes),
            "windows": [window.as_json() for window in self.windows],
        }
