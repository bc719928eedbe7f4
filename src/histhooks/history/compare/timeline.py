"""Runs in the order in which they began: what changed from one to the next, and what it gained."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from math import isfinite
from typing import TYPE_CHECKING, Any

from histhooks._base.telling import telling
from histhooks.history._dataframes import frame
from histhooks.history._marks import code_of
from histhooks.history._ranking import Outcome, outcomes_of
from histhooks.history._shown import Shown
from histhooks.history._table_rows import kins
from histhooks.history.compare import inputs, origins
from histhooks.history.compare.change import ABSENT, Change, Part, change, is_same
from histhooks.history.compare.command import options_of
from histhooks.history.compare.data import data
from histhooks.history.data.dataset import by_role

if TYPE_CHECKING:
    import pandas

    from histhooks.history._reader import Reader
    from histhooks.history._records import RunRecord
    from histhooks.history.compare.code import Patch

_QUIET = ("files read", "seeds")  # what holds of every run of a program is said of none
_LEAST = 1e-12


@dataclass(frozen=True, slots=True)
class TimelineRow:
    """One run, and what changed since the run before it of the same program.

    Attributes
    ----------
    run : dict
        `id`, `name`, `kind`, `status`, `started_at`, `error_type`, `error_message` of the run.
    before_id : str or None
        The run it is compared with: the latest earlier one that the filters find, of the same kind, and called at the
        same place of the same file; None if there is none.
    is_first : bool
        Whether it is known that there is none.
    parts : tuple of Part
        What changed: data, splits, preprocessing, code, params, packages, environment and seeds, with the changes of
        each; empty if nothing that is recorded did.
    lines : tuple of int, or None
        Lines of code that were added and removed; None if the code is the same, or the lines are not known.
    files : tuple of str
        The files in which they lie.
    unknown : tuple of str
        Parts of which it is not known whether they changed.
    metric : str or None
        What ranks the run.
    direction : int
        1 if more of it is better, -1 if less is, 0 if unknown.
    value : float or None
        Its best value, or its last if it is unknown which direction is better.
    before : float or None
        The value of the run before, if that has the same metric.
    """

    run: dict[str, Any]
    before_id: str | None
    is_first: bool
    parts: tuple[Part, ...]
    lines: tuple[int, int] | None
    files: tuple[str, ...]
    unknown: tuple[str, ...]
    metric: str | None
    direction: int
    value: float | None
    before: float | None

    @property
    def gain(self) -> float | None:
        """By how much the metric is better than before, below 0 if it is worse; None if nobody can tell."""
        if self.value is None or self.before is None or not self.direction:
            return None
        found = (self.value - self.before) * self.direction
        return found if isfinite(found) else None

    @property
    def share(self) -> float | None:
        """The gain as a share of the value before; None where that is 0 or there is no gain."""
        if self.gain is None or self.before is None or abs(self.before) < _LEAST:
            return None
        return self.gain / abs(self.before)

    @property
    def verdict(self) -> str | None:
        """`better`, `worse` or `same`; None for the first, and where nobody can tell."""
        return None if self.gain is None else "better" if self.gain > 0 else "worse" if self.gain < 0 else "same"

    def as_json(self) -> dict[str, Any]:
        """All of it as plain values.

        Returns
        -------
        dict

        Examples
        --------
        >>> sorted(history.timeline()[0].as_json())[:3]
        ['before', 'before_id', 'changes']
        """
        parts = {part.name: [{"kind": c.kind, **asdict(c)} for c in part.changes] for part in self.parts}
        lines: dict[str, Any] | None = None
        if self.lines is not None:
            lines = {"added": self.lines[0], "removed": self.lines[1], "files": list(self.files)}
        return {
            "run": self.run, "before_id": self.before_id, "is_first": self.is_first, "changes": parts,
            "code_lines": lines, "unknown": list(self.unknown),
            "metric": self.metric, "direction": self.direction, "value": self.value,
            "before": self.before, "gain": self.gain, "share": self.share, "verdict": self.verdict,
        }  # fmt: skip


class Timeline(Shown, list[TimelineRow]):
    """Rows of a timeline, the earliest run first; a list like any other, which a notebook shows as a table."""

    def as_json(self) -> list[dict[str, Any]]:
        """All rows as plain values.

        Returns
        -------
        list of dict

        Examples
        --------
        >>> len(history.timeline().as_json()) == len(history.timeline())
        True
        """
        return [row.as_json() for row in self]

    def to_pandas(self) -> pandas.DataFrame:
        """A DataFrame with a row for each run: what changed by its names, the metric and the gain.

        Returns
        -------
        pandas.DataFrame
            Columns `id`, `name`, `status`, `started_at`, `before_id`, `changes`, `metric`, `value`, `before`, `gain`,
            `share` and `verdict`.

        Raises
        ------
        QueryError
            If pandas is not installed.

        Examples
        --------
        >>> "verdict" in history.timeline().to_pandas().columns
        True
        """
        names = ("id", "name", "status", "started_at")
        values = ("metric", "value", "before", "gain", "share", "verdict")
        rows = [
            {
                **{name: row.run[name] for name in names},
                "before_id": row.before_id,
                "changes": ", ".join(f"{part.name} {each.key}" for part in row.parts for each in part.changes),
                **{name: getattr(row, name) for name in values},
            }
            for row in self
        ]
        return frame(rows)


def timeline(history: Reader, runs: Sequence[RunRecord], limit: int, *, is_whole: bool = True) -> Timeline:
    """The timeline of the latest of some runs.

    Parameters
    ----------
    history : Reader
    runs : sequence of RunRecord
        The latest first.
    limit : int
        How many of them; the earlier ones are what those follow.
    is_whole : bool
        Whether there are no others before these.
    """
    kin = kins(history, runs)
    shown = list(runs[:limit])
    before = {
        run.id: next((other for other in runs[place + 1 :] if kin[other.id] == kin[run.id]), None)
        for place, run in enumerate(shown)
    }
    told = {run.id: run for run in [*shown, *(other for other in before.values() if other is not None)]}
    outcomes = outcomes_of(history, {i: run.main_metric for i, run in told.items()})
    codes = code_of(history, {i: run.session_id for i, run in told.items()})
    return Timeline(_row(before[run.id], run, outcomes, codes, is_whole) for run in reversed(shown))


def _row(
    before: RunRecord | None,
    run: RunRecord,
    outcomes: Mapping[str, Outcome | None],
    codes: Mapping[str, tuple[str, str]],
    is_whole: bool,
) -> TimelineRow:
    mine, theirs = outcomes[run.id], None if before is None else outcomes[before.id]
    is_comparable = mine is not None and theirs is not None and mine.name == theirs.name
    parts: list[Part] = []
    patch: Patch | None = None
    if before is not None:
        code, patch = _code(before, run, codes)
        packages = _packages(before, run)
        found = [_data(before, run), origins.splits(before, run), origins.preprocessing(before, run), code]
        parts = [*found, _params(before, run), *packages, _seeds(before, run)]
    text = (patch.text or "") if patch is not None else ""
    return TimelineRow(
        run={name: run.row[name] for name in _WHO} | {"status": run.status},
        before_id=None if before is None else before.id,
        is_first=before is None and is_whole,
        parts=tuple(each for part in parts if (each := _counted(part)).changes),
        lines=patch.n_lines if patch is not None and text else None,
        files=_files(text),
        unknown=tuple(f"{part.name}: {why}" for part in parts for why in part.unknown if part.name not in _QUIET),
        metric=None if mine is None else mine.name,
        direction=0 if mine is None else mine.direction,
        value=_value(mine),
        before=_value(theirs) if is_comparable else None,
    )


_WHO = ("id", "name", "kind", "status", "started_at", "error_type", "error_message")


def _value(found: Outcome | None) -> float | None:
    if found is None:
        return None
    return found.last if found.best is None else found.best


def _counted(part: Part) -> Part:
    return replace(part, changes=tuple(each for each in part.changes if each.counts))


def _code(a: RunRecord, b: RunRecord, codes: Mapping[str, tuple[str, str]]) -> tuple[Part, Patch | None]:
    """What changed in the code that ran, and the patch; git is asked only where something did."""
    if a.id in codes and b.id in codes and codes[a.id][0] == codes[b.id][0] and not (a.cells or b.cells):
        return Part("code"), None
    return inputs.code(a, b)


def _files(patch: str) -> tuple[str, ...]:
    """The files that a patch changes, by the names that they have now, or had."""
    pairs = re.findall(r"(?m)^--- (?:a/)?(.*)\n\+\+\+ (?:b/)?(.*)$", patch)
    return tuple(dict.fromkeys(old if new == "/dev/null" else new for old, new in pairs))


def _data(a: RunRecord, b: RunRecord) -> Part:
    """What changed in the data, with its content by the hash that other tables show."""
    part = data(a, b)
    hashes = [{role: each["content_hash"] for role, each in by_role(run.datasets).items()} for run in (a, b)]
    changes = []
    for each in part.changes:
        role, _, what = each.key.rpartition(" ")
        told = [found.get(role) for found in hashes] if what == "content" else []
        changes.append(change(each.key, *told) if all(told) and len({*told}) == 2 else each)
    return replace(part, changes=tuple(changes))


def _params(a: RunRecord, b: RunRecord) -> Part:
    """Params and arguments, without those that say what others say."""
    options = [options_of(run) for run in (a, b)]
    values = [{**run.params, **own} for run, own in zip((a, b), options, strict=True)]
    sources = [{**run.param_sources, **dict.fromkeys(own, "command")} for run, own in zip((a, b), options, strict=True)]
    keys = telling(dict(zip("ab", values, strict=True)), dict(zip("ab", sources, strict=True)))
    found = [change(key, values[0].get(key, ABSENT), values[1].get(key, ABSENT)) for key in keys]
    return Part("params", tuple(each for each in found if not _is_equal(each)))


def _is_equal(found: Change) -> bool:
    return found.kind == "changed" and is_same(found.a, found.b)


def _packages(a: RunRecord, b: RunRecord) -> list[Part]:
    ids = [run.session["environment_id"] for run in (a, b)]
    if ids[0] == ids[1]:
        return []
    return [inputs.packages(a, b), inputs.environment(a, b)]


def _seeds(a: RunRecord, b: RunRecord) -> Part:
    """Seeds that were set; where the generators stood follows from them."""
    return replace(inputs.seeds(a, b), unknown=(), notes=())
