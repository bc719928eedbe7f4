"""What of a comparison is shown, in which order and by which titles, for the terminal and for notebooks."""

from __future__ import annotations

from collections.abc import Sequence

from histhooks._base.metric_names import describe
from histhooks._base.telling import short_names
from histhooks._base.text import plain
from histhooks.history.compare.comparison import Column, Comparison
from histhooks.history.compare.outputs import is_clock

_MEMBERS = 4  # of a list that stands in a cell


def shown(found: Comparison) -> list[Column]:
    """The columns that say something of their own, what was chosen first."""
    return sorted(filter(_is_shown, found.columns), key=_order)


def few(names: Sequence[str], most: int) -> str:
    """The first names, and how many more there are."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _is_shown(column: Column) -> bool:
    return not (column.is_repeated or _is_no_choice(column) or _is_long(column) or _is_timing(column))


def _is_no_choice(column: Column) -> bool:
    """Whether a column says no more than that some runs have a param, left as it is, which others do not know."""
    return any(column.missing) and (column.is_default or not any(v is not None for v in column.values))


def _is_long(column: Column) -> bool:
    """Whether its values are tables of their own, such as the importance of each feature."""
    return column.kind == "result" and any(
        isinstance(value, dict) or (isinstance(value, list) and len(value) > _MEMBERS) for value in column.values
    )


def _is_timing(column: Column) -> bool:
    """Whether it says how long a part took, which is no difference between trainings."""
    return column.kind in ("result", "metric") and is_clock(column.name)


def hidden(found: Comparison) -> list[str]:
    """What is not shown, and where it is."""
    told = (
        ("repeats another column", "repeat other columns", [c.title for c in found.columns if c.is_repeated]),
        ("differs in its parts", "differ in their parts", [c.title for c in found.columns if _is_long(c)]),
        ("is a timing", "are timings", [c.title for c in found.columns if _is_timing(c)]),
    )
    notes = [
        f"not shown: {few(names, 6)}, which {one if len(names) == 1 else many}" for one, many, names in told if names
    ]
    n = sum(_is_no_choice(column) and not column.is_repeated for column in found.columns)
    return [*notes, *([f"not shown: {n} params that only some have, none of them chosen"] if n else [])]


_ORDER = ("param", "command", "data", "code", "run", "model", "seeds", "environment", "metric", "result", "duration")


def _order(column: Column) -> tuple[int, bool, bool]:
    """Params first, what was chosen before what was left; of the outcomes those on validation data before others."""
    is_metric = column.kind == "metric"
    is_less = is_metric and (not column.direction or describe(column.name).split != "valid")
    return _ORDER.index(column.kind), column.is_default, is_less


def titles(columns: Sequence[Column]) -> list[str]:
    """Titles without what none of the others needs: `lr` for `params.lr` where nothing else is called so."""
    short = short_names(["run", "name", *(column.title for column in columns)])  # with those of the table itself
    return [
        plain(short[column.title] if column.kind in ("param", "result") else argument_title(column.title))
        for column in columns
    ]


def argument_title(name: str) -> str:
    """An argument without a name as Python counts it; any other name as it is."""
    return f"argv[{name[9:]}]" if name.startswith("argument ") else name
