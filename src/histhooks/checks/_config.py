"""What a project says of checks: the table `[tool.histhooks.check]` of the nearest pyproject.toml."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from histhooks._host.store_location import readable_table_of, working_folder
from histhooks.checks._registry import checks, known
from histhooks.checks._types import LEVELS, WARN
from histhooks.errors import QueryError

_KEYS = ("skip", "levels", "thresholds", "fail_on", "after_run")


@dataclass(frozen=True, slots=True)
class Config:
    """What was configured.

    Attributes
    ----------
    skip : tuple of str
        Checks that are left out.
    levels : dict
        The level of a check's findings, by its id.
    thresholds : dict
        By check and name: ``{"leak.rows": {"warn": 0.001}}``.
    fail_on : str or None
    after_run : bool
        Whether a program ends with a line if there are findings.
    """

    skip: tuple[str, ...] = ()
    levels: Mapping[str, str] = field(default_factory=dict)
    thresholds: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    fail_on: str | None = None
    after_run: bool = True


def configured(start: Path | None = None) -> Config:
    """Read the table of the pyproject.toml that is nearest to a folder, by default the working folder.

    Raises
    ------
    QueryError
        If the table says something that no check knows, or the file cannot be read.
    """
    path, table = readable_table_of(start or Path(working_folder()), "check")
    return parsed(table, f"[tool.histhooks.check] of {path}") if table is not None else Config()


def parsed(table: Any, place: str) -> Config:
    """The table as values; errors name the place."""
    if not isinstance(table, dict):
        raise QueryError(f"{place} is a table with {', '.join(_KEYS)}, not {table!r}")
    odd = [key for key in table if key not in _KEYS]
    if odd:
        raise QueryError(f"{place} has {odd[0]!r}; it knows {', '.join(_KEYS)}")
    skip = table.get("skip", [])
    if not isinstance(skip, list) or not all(isinstance(name, str) for name in skip):
        raise QueryError(f'{place}: skip is a list of checks such as ["res.idle"], not {skip!r}')
    fail_on = table.get("fail_on")
    if fail_on is not None and fail_on not in LEVELS[1:]:
        raise QueryError(f'{place}: fail_on is "warn" or "fail", not {fail_on!r}')
    after_run = table.get("after_run", True)
    if not isinstance(after_run, bool):
        raise QueryError(f"{place}: after_run is true or false, not {after_run!r}")
    return Config(known(skip), _levels(table.get("levels", {}), place), _limits(table.get("thresholds", {}), place),
                  fail_on, after_run)  # fmt: skip


def _levels(told: Any, place: str) -> dict[str, str]:
    if not isinstance(told, dict) or any(level not in LEVELS for level in told.values()):
        raise QueryError(f'{place}: levels names a level for a check, as {{"seed.unset" = "{WARN}"}}; not {told!r}')
    return {name: level for each, level in told.items() for name in known([each])}


def _limits(told: Any, place: str) -> dict[str, dict[str, float]]:
    out: dict[str, dict[str, float]] = {}
    every = [f"{check.id}.{name}" for check in checks().values() for name in check.thresholds]
    for key, value in (told if isinstance(told, dict) else {"": told}).items():
        if key not in every:
            raise QueryError(f"{place}: thresholds has {key!r}; it knows {', '.join(every)}")
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise QueryError(f"{place}: threshold {key} is a number, not {value!r}")
        check, _, name = key.rpartition(".")
        out.setdefault(check, {})[name] = float(value)
    return out
