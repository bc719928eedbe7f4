"""What a project says of models: the table `[tool.histhooks.models]` of the nearest pyproject.toml."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from histhooks._host.store_location import readable_table_of, working_folder
from histhooks.errors import QueryError
from histhooks.history.query.times import span_s

_KEYS = ("order", "keep", "fail_on", "retention", "approval")
_TEN_YEARS_S = 10 * 31_557_600.0
_LEVELS = ("warn", "fail")
_APPROVAL = ("none", "any", "other")


@dataclass(frozen=True, slots=True)
class Config:
    """What was configured.

    Attributes
    ----------
    order : tuple of str
        Aliases in the order in which a version must pass them.
    keep : bool
        Whether each file that is promoted is kept beside the store.
    fail_on : str or None
        `warn` or `fail`: the level of findings that refuses a promotion; None for that of `[tool.histhooks.check]`.
    retention_s : float, seconds
        For how long after a promotion its run and its kept file cannot be deleted.
    approval : str
        `none`; `any`: a version must be approved before it is promoted; `other`: by somebody else than who trained it.
    """

    order: tuple[str, ...] = ()
    keep: bool = False
    fail_on: str | None = None
    retention_s: float = _TEN_YEARS_S
    approval: str = "none"


def configured(start: Path | None = None) -> Config:
    """Read the table of the pyproject.toml that is nearest to a folder, by default the working folder.

    Raises
    ------
    QueryError
        If the table has a key or a value that is not known, or the file cannot be read.
    """
    path, table = readable_table_of(start or Path(working_folder()), "models")
    return parsed(table, f"[tool.histhooks.models] of {path}") if table is not None else Config()


def parsed(table: Any, place: str) -> Config:
    """The table as values; errors name the place."""
    if not isinstance(table, dict):
        raise QueryError(f"{place} is a table with {', '.join(_KEYS)}, not {table!r}")
    odd = [key for key in table if key not in _KEYS]
    if odd:
        raise QueryError(f"{place} has {odd[0]!r}; it knows {', '.join(_KEYS)}")
    order = table.get("order", [])
    if not isinstance(order, list) or not all(isinstance(alias, str) and alias for alias in order):
        raise QueryError(f'{place}: order is a list of aliases such as ["staging", "production"], not {order!r}')
    keep = table.get("keep", False)
    if not isinstance(keep, bool):
        raise QueryError(f"{place}: keep is true or false, not {keep!r}")
    retention = table.get("retention", "10y")
    seconds = span_s(retention) if isinstance(retention, str) else None
    if seconds is None:
        raise QueryError(f'{place}: retention is a span such as "10y" or "90d", not {retention!r}')
    fail_on = _one_of(table, place, "fail_on", _LEVELS)
    approval = _one_of(table, place, "approval", _APPROVAL)
    return Config(tuple(order), keep, fail_on, seconds, approval or "none")


def _one_of(table: dict[str, Any], place: str, key: str, words: tuple[str, ...]) -> str | None:
    found = table.get(key)
    if found is not None and found not in words:
        raise QueryError(f"{place}: {key} is one of {', '.join(words)}, not {found!r}")
    return found
