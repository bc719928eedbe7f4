"""Compare the data of two runs: by digests of its content if both have them, else by fingerprints."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from histhooks._base.values import flatten
from histhooks.history.compare.change import ABSENT, Change, Part, change, changes_of, not_recorded
from histhooks.history.data.dataset import by_role

if TYPE_CHECKING:
    from histhooks.history._records import RunRecord
    from histhooks.history.data.dataset import Dataset

_MOST_COLUMNS = 5
_PARTS = ("features", "target")


def data(a: RunRecord, b: RunRecord) -> Part:
    """Data by role: content, rows, columns, types."""
    sets = [by_role(run.datasets) for run in (a, b)]
    unknown = not_recorded(sets[0], sets[1], "no data was recorded")
    if not sets[0] or not sets[1]:
        return Part("data", unknown=tuple(unknown), is_there=bool(sets[0] or sets[1]))
    changes: list[Change] = []
    notes: list[str] = []
    for role in dict.fromkeys([*sets[0], *sets[1]]):
        before, after = sets[0].get(role), sets[1].get(role)
        if before is None or after is None:
            changes.append(change(role, _told(before), _told(after)))
            continue
        found, why = _contents(role, before, after, notes)
        changes += found
        if why and not found:
            unknown.append(f"{role}: {why}")
    return Part("data", tuple(changes), tuple(unknown), tuple(notes))


def _contents(role: str, before: Dataset, after: Dataset, notes: list[str]) -> tuple[list[Change], str]:
    """What differs in the data of one role, and why that cannot be told."""
    shapes = changes_of(_shape(before), _shape(after), prefix=f"{role} ")
    digests = _digests(before), _digests(after)
    if all("all" in each for each in digests):
        if digests[0]["all"] == digests[1]["all"]:
            return shapes, ""
        moved = [part for part in _PARTS if digests[0].get(part) != digests[1].get(part)]
        notes += _profiles(role, before, after) or [f"{role}: other {part}" for part in moved]
        return [change(f"{role} content", digests[0]["all"], digests[1]["all"]), *shapes], ""
    if before["content_hash"] is None or after["content_hash"] is None:
        return shapes, "its content was not hashed; its shape and types are the same"
    moved = _profiles(role, before, after)
    notes += moved
    hashes = {"content": before["content_hash"]}, {"content": after["content_hash"]}
    found = [*changes_of(*hashes, prefix=f"{role} "), *shapes]
    if not found and moved:  # a sample that is the same, of data whose counts differ
        return [change(f"{role} profile", before["id"][:12], after["id"][:12])], ""
    if found or before["coverage"] == after["coverage"] == "all":
        return found, ""
    return [], "sampled: cannot tell; as far as it was hashed, a sample of it, it is the same"


def content_of(run: RunRecord, role: str | None) -> str | None:
    """The digest of the one data set of a role; None if there is none, or several, or not all of it was hashed."""
    found = [data for data in run.datasets if data["role"] == role]
    return _digests(found[0]).get("all") if len(found) == 1 else None


def _digests(data: Dataset) -> dict[str, str]:
    """The digests of its whole content, by part; none if not all of it was hashed."""
    return {
        one.part: one.digest
        for one in data.digests
        if one.digest and one.is_whole and one.algorithm == "xxh3_128" and one.key_id is None
    }


def _told(row: Dataset | None) -> Any:
    return ABSENT if row is None else f"{row['kind']} {row['n_rows']} × {row['n_columns']}"


def _profiles(role: str, before: Dataset, after: Dataset) -> list[str]:
    """What differs in two profiles, a line for each of the first columns in which something does."""
    columns = [_by_column(row["profile"]) for row in (before, after)]
    lines = []
    for name, told in sorted(columns[0].items(), key=lambda column: _by_number(column[0])):
        other = columns[1].get(name, {})
        moved = [f"{key} {told[key]} → {other[key]}" for key in told if key in other and told[key] != other[key]]
        if moved:
            lines.append(f"{role} {name}: {', '.join(moved)}")
    more = len(lines) - _MOST_COLUMNS
    return [*lines[:_MOST_COLUMNS], *([f"{role}: {more} more columns differ"] if more > 0 else [])]


def _by_number(name: str) -> list[tuple[int, str]]:
    """A key by which `X 2` stands before `X 10`."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)]


def _by_column(profile: Any) -> dict[str, dict[str, Any]]:
    out: dict[str, dict[str, Any]] = {}
    for part, found in (profile if isinstance(profile, dict) else {}).items():
        if "values" in found:
            out[part] = flatten(found["values"])
        out |= {f"{part} {name}": column for name, column in found.get("columns", {}).items()}
    return out


def _shape(row: Dataset) -> dict[str, Any]:
    schema = row["schema"] if isinstance(row["schema"], dict) else {}
    out: dict[str, Any] = {"kind": row["kind"], "rows": row["n_rows"], "columns": row["n_columns"]}
    for name, part in schema.items():
        if isinstance(part, dict):
            out |= {f"{name} {key}": value for key, value in flatten(part).items() if key not in ("kind", "shape")}
    return out
