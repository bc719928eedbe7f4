"""The risks of a run, named from its record: what a careful colleague would say of it.

Checks read the history and nothing else: no data, no model, no framework. Each gives findings with their numbers,
passes, does not apply, or cannot tell and says what to record next time. docs/guide/checks.md has all of them.

>>> import histhooks
>>> verdict = histhooks.History().check("last")
>>> for finding in verdict.findings:
...     print(finding.level, finding.id, finding.says)
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from histhooks.checks._config import Config, configured
from histhooks.checks._inner import with_inner
from histhooks.checks._judging import judge
from histhooks.checks._registry import IDS, known, plug_ins
from histhooks.checks._registry import checks as all_checks
from histhooks.checks._types import FAIL, INFO, LEVELS, CannotTell, Check, Finding, Skip, Unknown, Verdict
from histhooks.errors import QueryError

if TYPE_CHECKING:
    from histhooks.history import History
    from histhooks.history._records import RunRecord
    from histhooks.history._table_rows import TableRow

__all__ = ["CannotTell", "Check", "Config", "Finding", "Skip", "Unknown", "Verdict", "all_checks", "check", "risks"]


def check(
    run: RunRecord,
    only: Iterable[str] | None = None,
    skip: Iterable[str] | None = None,
    against: RunRecord | None = None,
    *,
    fail_on: str | None = None,
    config: Config | None = None,
) -> Verdict:
    """Check one run.

    Parameters
    ----------
    run : RunRecord
    only, skip : iterable of str, optional
        Checks to ask, or to leave out; `leak` means all of that family.
    against : RunRecord, optional
        A run to compare with, for checks of a gain and of what changed around it.
    fail_on : str, optional
        `warn` or `fail` (the default): the level from which on `Verdict.code` is 1.
    config : Config, optional
        Levels, thresholds and checks to skip; by default those of the nearest pyproject.toml.

    Returns
    -------
    Verdict

    Raises
    ------
    QueryError
        If there is no check of a name, or the configuration says something unknown.

    Examples
    --------
    >>> from histhooks.checks import check
    >>> check(run, only=["leak.rows"]).code
    0
    """
    config = configured() if config is None else config
    fail_on = fail_on or config.fail_on or FAIL
    if fail_on not in LEVELS[1:]:
        raise QueryError(f"fail_on is {' or '.join(LEVELS[1:])}, not {fail_on!r}")
    names = known(_several(only)) if only is not None else (*IDS, *plug_ins())
    left_out = {*known(_several(skip or ())), *(() if only is not None else config.skip)}
    names = tuple(name for name in dict.fromkeys(names) if name not in left_out)
    return judge(run, names=names, config=config, fail_on=fail_on, against=against)


def risks(run: RunRecord) -> Verdict | None:
    """What to say of a run beside its facts; None for runs of which checks say little: of candidates, of preprocessing.

    A configuration that no check understands is left out, which `histhooks check` says.

    Examples
    --------
    >>> from histhooks.checks import risks
    >>> risks(run).as_json()["run"]["name"]
    'train'
    """
    if run.kind in ("candidate", "preprocess"):
        return None
    try:
        return check(run)
    except QueryError:
        return check(run, IDS, config=Config())


def risks_in(run: RunRecord) -> Counter[str]:
    """How many checks found something in a run and in the trainings inside it, by the worst level: `fail` or `warn`."""
    found: Counter[str] = Counter()
    for each in with_inner(run):
        verdict = risks(each)
        worst = {one.id: one for one in sorted(verdict.findings, key=lambda one: one.rank)} if verdict else {}
        found += Counter(one.level for one in worst.values() if one.level != INFO)
    return found


def add_risks(
    history: History,
    rows: Sequence[TableRow],
    ask: Callable[[RunRecord], Counter[str]] = risks_in,
    most_s: float | None = None,
) -> list[TableRow]:
    """Check the runs of rows, and put what was found into their values in place of what was kept.

    Parameters
    ----------
    history : History
    rows : sequence of TableRow
    ask : callable
        How one run is checked.
    most_s : float, optional
        After how many seconds no further row is begun; the first one always is.

    Returns
    -------
    list of TableRow
        Those that were not checked.
    """
    until = None if most_s is None else time.monotonic() + most_s
    for place, row in enumerate(rows):
        if place and until is not None and time.monotonic() > until:
            return list(rows[place:])
        found = sum((ask(history.run(run_id)) for run_id in row.ids), Counter[str]())
        row.values["risks"] = dict(found)
    return []


def _several(names: Iterable[str]) -> list[str]:
    return [names] if isinstance(names, str) else list(names)
