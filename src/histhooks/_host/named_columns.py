"""Columns of data that the program named: groups of rows that belong together, and times. None is ever guessed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from histhooks._base.jsonable import key_text
from histhooks._base.names import masked_word

GIVEN = "groups"  # what groups are called that were given beside the data


class Named(NamedTuple):
    """Names of columns, written as data has them in the record.

    Attributes
    ----------
    groups, times : tuple of str
    """

    groups: tuple[str, ...] = ()
    times: tuple[str, ...] = ()


_named = Named()


def named() -> Named:
    """The columns that are named."""
    return _named


def name_columns(groups: str | Iterable[str] | None, times: str | Iterable[str] | None) -> None:
    """Name columns from here on; None leaves those that are named."""
    global _named
    before = _named
    _named = Named(
        before.groups if groups is None else _words(groups), before.times if times is None else _words(times)
    )


def _words(names: str | Iterable[str]) -> tuple[str, ...]:
    listed = [names] if isinstance(names, str) else list(names)
    return tuple(dict.fromkeys(masked_word(key_text(name)) for name in listed))
