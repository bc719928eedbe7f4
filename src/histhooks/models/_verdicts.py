"""What the checks say of the run behind a version, as an event keeps it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from histhooks._base.secrets import mask_text
from histhooks.checks._inner import with_inner
from histhooks.errors import QueryError

if TYPE_CHECKING:
    from histhooks.checks import Finding, Verdict
    from histhooks.history import History

_MOST = 20  # findings that an event keeps


@dataclass(frozen=True, slots=True)
class Judged:
    """The verdicts of a run and of the trainings inside it.

    Attributes
    ----------
    verdicts : tuple of Verdict
        None if no run is known, or nobody asked.
    why_not : str or None
        Why there is none.
    """

    verdicts: tuple[Verdict, ...] = ()
    why_not: str | None = None

    @property
    def failures(self) -> list[Finding]:
        """The findings that refuse a promotion."""
        from histhooks.checks._types import is_at_least

        return [f for verdict in self.verdicts for f in verdict.findings if is_at_least(f.level, verdict.fail_on)]

    def as_json(self) -> dict[str, Any]:
        """The verdict as `model_events.checks` has it."""
        if not self.verdicts:
            return {"code": None, "worst": None, "why": self.why_not}
        found = [finding for verdict in self.verdicts for finding in verdict.findings]
        found.sort(key=lambda finding: -finding.rank)
        return {
            "code": 1 if self.failures else next((v.code for v in self.verdicts if v.code == 0), 2),
            "worst": found[0].level if found else None,
            **{level: sum(finding.level == level for finding in found) for level in ("fail", "warn", "info")},
            "passed": sum(len(verdict.passed) for verdict in self.verdicts),
            "cannot_tell": sum(len(verdict.cannot_tell) for verdict in self.verdicts),
            "waived": [
                {"id": each.id, "why": mask_text(each.waived or "")} for v in self.verdicts for each in v.waived
            ],
            "findings": [{"id": f.id, "level": f.level, "says": mask_text(f.says)} for f in found[:_MOST]],
        }


def judged(history: History, run_id: str | None, *, fail_on: str | None = None) -> Judged:
    """Ask the checks about a run and the trainings inside it."""
    if run_id is None:
        return Judged(why_not="no run is known to have made the file")
    try:
        run = history.run(run_id)
    except QueryError:
        return Judged(why_not="the run that made the file is not in this store")
    # Whether the bytes are there is looked at by whoever asks, wherever they are.
    return Judged(tuple(each.check(skip=["model.gone"], fail_on=fail_on) for each in with_inner(run)))
