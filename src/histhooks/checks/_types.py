"""What a check is, what it can say of a run, and what all of them say together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from histhooks.history._shown import Shown

if TYPE_CHECKING:
    from histhooks.checks._case import Case

INFO, WARN, FAIL = LEVELS = ("info", "warn", "fail")
_RANK = {level: n for n, level in enumerate(LEVELS)}


@dataclass(frozen=True, slots=True)
class Found:
    """What a rule finds.

    Attributes
    ----------
    level : str
        `info`, `warn` or `fail`.
    says : str
        The fact with its numbers, one line.
    value, threshold : float or None
        What was measured, and what it was judged by.
    evidence : dict
        The rows it rests on, as plain values.
    advice : str or None
        What to do next, if it is not what the check says in general.
    """

    level: str
    says: str
    value: float | None = None
    threshold: float | None = None
    evidence: Mapping[str, Any] = field(default_factory=dict)
    advice: str | None = None


@dataclass(frozen=True, slots=True)
class Unknown:
    """A rule that cannot tell: why, and what to record next time."""

    why: str
    advice: str


@dataclass(frozen=True, slots=True)
class Skip:
    """A rule that does not apply to a run, and why."""

    why: str


Said = Found | Unknown | Skip


@dataclass(frozen=True, slots=True)
class Check:
    """One kind of finding.

    Attributes
    ----------
    id : str
        As `leak.rows`.
    title : str
        What it says, in a few words.
    rule : str
        The rule, with its numbers.
    source : str
        Where the rule or its thresholds come from.
    needs : str
        What must have been recorded.
    levels : tuple of str
        The levels that it can have.
    why : str
        Why it matters, one sentence.
    advice : str
        What to do next.
    triggers, is_silent : str
        An example that triggers it, and one that does not.
    limits : str
        What it does not see.
    judge : callable
        The rule: facts of a run and thresholds in, what it says out. It reads and nothing else.
    thresholds : dict
        By name; `[tool.histhooks.check]` can change them.
    version : str
        Changes with the rule, so that saved verdicts can be told apart.
    """

    id: str
    title: str
    rule: str
    source: str
    needs: str
    levels: tuple[str, ...]
    why: str
    advice: str
    triggers: str
    is_silent: str
    limits: str
    judge: Callable[[Case, Mapping[str, float]], Iterator[Said]]
    thresholds: Mapping[str, float] = field(default_factory=dict)
    version: str = "1"


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding about a run.

    Attributes
    ----------
    id : str
        The check, as `leak.rows`.
    level : str
        `info`, `warn` or `fail`.
    says : str
        The fact with its numbers, one line.
    why : str
        Why it matters.
    advice : str
        What to do next.
    value, threshold : float or None
        What was measured, and what it was judged by.
    source : str
        Where the rule comes from.
    evidence : dict
        The rows it rests on.
    version : str
        Of the check.
    waived : str or None
        Why it was waived, by whom and until when; None if it was not.
    """

    id: str
    level: str
    says: str
    why: str = ""
    advice: str = ""
    value: float | None = None
    threshold: float | None = None
    source: str = ""
    evidence: Mapping[str, Any] = field(default_factory=dict)
    version: str = "1"
    waived: str | None = None

    @property
    def rank(self) -> int:
        """0 for `info`, 1 for `warn`, 2 for `fail`."""
        return _RANK[self.level]


@dataclass(frozen=True, slots=True)
class CannotTell:
    """A check that cannot tell: its id, why, and what to record next time."""

    id: str
    why: str
    advice: str
    version: str = "1"


def is_at_least(level: str, other: str) -> bool:
    """Whether a level is as grave as another one."""
    return _RANK[level] >= _RANK[other]


@dataclass(frozen=True, slots=True)
class Verdict(Shown):
    """What the checks say of one run; a notebook shows it as a list.

    Attributes
    ----------
    run : dict
        `id`, `name`, `kind`, `status` and `started_at` of it.
    findings : tuple of Finding
        The worst first, without those that are waived.
    waived : tuple of Finding
    passed : tuple of str
        Ids of checks that found nothing.
    cannot_tell : tuple of CannotTell
    does_not_apply : dict
        Why, by check.
    fail_on : str
        The level from which on a finding fails the run.

    Examples
    --------
    >>> verdict = history.check("last", only=["leak.rows"])
    >>> [(finding.id, finding.level, finding.says) for finding in verdict.findings], verdict.passed
    ([], ('leak.rows',))
    >>> verdict.code, verdict.worst, verdict.of("fail"), verdict.as_json()["run"]["name"]
    (0, None, (), 'train')
    """

    run: Mapping[str, Any]
    findings: tuple[Finding, ...]
    waived: tuple[Finding, ...]
    passed: tuple[str, ...]
    cannot_tell: tuple[CannotTell, ...]
    does_not_apply: Mapping[str, str]
    fail_on: str = FAIL
    versions: Mapping[str, str] = field(default_factory=dict)

    @property
    def code(self) -> int:
        """The exit code: 0 for no finding at or above `fail_on`, 1 for one, 2 if no check could judge."""
        if any(is_at_least(found.level, self.fail_on) for found in self.findings):
            return 1
        return 0 if self.passed or self.findings or self.waived else 2

    @property
    def worst(self) -> str | None:
        """The gravest level that was found; None if nothing was."""
        return max(self.findings, key=lambda found: found.rank).level if self.findings else None

    def of(self, level: str) -> tuple[Finding, ...]:
        """The findings of one level."""
        return tuple(found for found in self.findings if found.level == level)

    def as_json(self) -> dict[str, Any]:
        """All of it as plain values; docs/guide/checks.md lists the keys."""
        return {
            "run": dict(self.run), "code": self.code, "worst": self.worst,
            "findings": [asdict(found) for found in self.findings],
            "waived": [asdict(found) for found in self.waived],
            "passed": list(self.passed),
            "cannot_tell": [asdict(one) for one in self.cannot_tell],
            "does_not_apply": dict(self.does_not_apply),
        }  # fmt: skip
