"""What was counted of the columns of data, from the profile of its fingerprint and from its column facts, as one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from histhooks._base.values import dumps, flatten

if TYPE_CHECKING:
    from histhooks.history.data.dataset import Dataset

# In the order in which they are shown.
FACTS = (
    "count",
    "missing",
    "infinite",
    "distinct",
    "zero",
    "min",
    "max",
    "mean",
    "std",
    "edges",
    "counts",
    "categories",
)
TARGET = "(target)"
_NOT_ITS_OWN = ("alone", "equals_target", "monotone")  # of the target and the order of the rows
_TELLING = ("mean", "std", "min", "max", "missing", "infinite", "distinct", "zero", "categories", "edges", "counts")


@dataclass(frozen=True, slots=True)
class ColumnChange:
    """One column that differs in what was counted of it.

    Attributes
    ----------
    name : str
    a, b : dict or None
        The facts that differ, and their values in each; None if one lacks the column.
    """

    name: str
    a: Mapping[str, Any] | None
    b: Mapping[str, Any] | None


def columns_of(data: Dataset) -> dict[str, dict[str, Any]]:
    """Facts by column, in their order: of the profile, and what was counted beside it."""
    told = _profiled(data["profile"])
    for column in data.columns:
        name = column.name if column.name is not None else str(column.position)
        known = told.setdefault(name, {})
        known |= column.facts
    return told


def _profiled(profile: Any) -> dict[str, dict[str, Any]]:
    """The profile of the features by column, that of the target under a name that no column has."""
    out: dict[str, dict[str, Any]] = {}
    for part, found in (profile if isinstance(profile, dict) else {}).items():
        if not isinstance(found, dict):
            continue
        prefix = "" if part == "X" else f"{part} "
        if "values" in found:
            out[TARGET if part == "y" else part] = flatten(found["values"])
        out |= {f"{prefix}{name}": dict(column) for name, column in found.get("columns", {}).items()}
    return out


def changed_columns(a: Dataset, b: Dataset) -> tuple[list[ColumnChange], int]:
    """Columns in which something differs, and how many were counted in both."""
    mine, others = columns_of(a), columns_of(b)
    changes = []
    for name in dict.fromkeys([*mine, *others]):
        one, other = mine.get(name), others.get(name)
        if one is None or other is None:
            if mine and others:
                changes.append(ColumnChange(name, one, other))
            continue
        keys = [key for key in one if key in other and key not in _NOT_ITS_OWN and _differ(key, one[key], other[key])]
        if keys:
            changes.append(ColumnChange(name, {key: one[key] for key in keys}, {key: other[key] for key in keys}))
    return changes, len(mine.keys() & others.keys())


def _differ(key: str, a: Any, b: Any) -> bool:
    if key == "categories" and isinstance(a, list) and isinstance(b, list):
        # Their hashes are keyed: of another key, only the counts can be compared.
        return {tuple(one) for one in a} != {tuple(one) for one in b} and _counts(a) != _counts(b)
    return dumps(a) != dumps(b)


def _counts(categories: list[Any]) -> list[int]:
    return sorted(count for _, count in categories)


def telling(change: ColumnChange) -> str | None:
    """The fact in which a column differs that says most to a person; None if one lacks the column."""
    if change.a is None or change.b is None:
        return None
    return next((key for key in _TELLING if key in change.a), next(iter(change.a), None))
