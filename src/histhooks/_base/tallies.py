"""Counts that add up: those of eight workers, or of many moments, are the counts of all of them together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

KEYS = ("position", "name", "file")  # which say what was counted, and stay


def add(into: dict[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """Add counts to counts: numbers, lists of numbers by their places, and mappings by their keys.

    Parameters
    ----------
    into : dict
        Is changed.
    more : mapping
        Stays.

    Returns
    -------
    dict
        `into`.
    """
    for key, value in more.items():
        there = into.get(key)
        if there is None or key in KEYS:
            into[key] = _copied(value) if there is None else there
        elif isinstance(value, Mapping):
            add(there, value)
        elif isinstance(value, list):
            into[key] = [a + b for a, b in zip(_long(there, len(value)), _long(value, len(there)), strict=True)]
        else:
            into[key] = there + value
    return into


def _copied(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _copied(inner) for key, inner in value.items()}
    return list(value) if isinstance(value, list) else value


def _long(values: list[Any], n: int) -> list[Any]:
    return [*values, *([0] * (n - len(values)))]


def add_columns(into: dict[int, dict[str, Any]], columns: Iterable[Mapping[str, Any]]) -> None:
    """Add counts of columns, each of which names its position, to those by position."""
    for column in columns:
        add(into.setdefault(column["position"], {}), column)


def power_of_two(us: int) -> str:
    """The cell of a duration in microseconds: the greatest power of two that is not above it."""
    return str(1 << max(0, int(us).bit_length() - 1))
