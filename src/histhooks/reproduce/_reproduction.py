"""What came of repeating a run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from histhooks.history.compare.agreement import LEVELS, Agreement
from histhooks.history.compare.causes import Cause


@dataclass(frozen=True, slots=True)
class Reproduction:
    """What came of repeating a run.

    Attributes
    ----------
    run_id : str
        The run that was repeated.
    new_run_id : str or None
        The run that repeats it; None if the program came to no such run.
    level : str or None
        `bits`, `curve`, `metric`, `differs` or `failed`; None if there is nothing to compare.
    required : str
        The level that was to be reached.
    agreement : Agreement or None
    stage : str or None
        The first stage that differs.
    causes : tuple of Cause
        What differs, the likeliest cause first.
    exit_code : int or None
        Of the program; less than 0: the signal that ended it. None if it ran out of time.
    output : str
        The last that the program printed.
    folder : Path or None
        Where its code still lies; None if it was removed, or the present tree was used.
    why : str
        Why there is no run to compare; else empty.
    """

    run_id: str
    new_run_id: str | None
    level: str | None
    required: str
    agreement: Agreement | None
    stage: str | None
    causes: tuple[Cause, ...]
    exit_code: int | None
    output: str
    folder: Path | None
    why: str = ""

    @property
    def is_reached(self) -> bool:
        """Whether the level that was required is reached."""
        return self.level is not None and LEVELS.index(self.level) <= LEVELS.index(self.required)

    def as_json(self) -> dict[str, Any]:
        """All of it as plain values."""
        first = None
        if self.stage is not None:
            point = self.agreement.first if self.agreement is not None else None
            first = {"stage": self.stage, "series": None, "n": None, "step": None, "value": None, "other": None}
            if point is not None:
                first |= {name: getattr(point, name) for name in ("series", "n", "step", "value", "other")}
        return {
            "run": self.run_id, "new_run": self.new_run_id, "level": self.level, "required": self.required,
            "is_reached": self.is_reached, "first": first, "causes": [each.as_json() for each in self.causes],
            "agreement": None if self.agreement is None else self.agreement.as_json(), "exit_code": self.exit_code,
            "output": self.output, "folder": None if self.folder is None else str(self.folder), "why": self.why,
        }  # fmt: skip
