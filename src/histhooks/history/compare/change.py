"""One difference, and the part of the record that it lies in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from histhooks._base.values import dumps


class _Absent:
    """What one of two runs does not have; apart from None, which is a value."""

    def __repr__(self) -> str:
        return "absent"


ABSENT: Any = _Absent()


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that differs.

    Attributes
    ----------
    key : str
        What: the name of a param, of a package, ...
    a, b : object
        Its value in each run; None also where it has none, which `kind` tells.
    is_in_a, is_in_b : bool
        Whether each run has it at all.
    counts : bool
        Whether it is an input or an outcome, and not only which run it is.
    note : str or None
        Where a param came from, whether a metric became better, ...
    """

    key: str
    a: Any
    b: Any
    is_in_a: bool = True
    is_in_b: bool = True
    counts: bool = True
    note: str | None = None

    @property
    def kind(self) -> str:
        """`added` where only B has it, `removed` where only A has, else `changed`."""
        return "changed" if self.is_in_a and self.is_in_b else "added" if self.is_in_b else "removed"


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the record.

    Attributes
    ----------
    name : str
    changes : tuple of Change
    unknown : tuple of str
        Why nobody can tell whether it is the same.
    notes : tuple of str
        What else there is to say.
    is_there : bool
        Whether there is anything in it, in either run.
    """

    name: str
    changes: tuple[Change, ...] = ()
    unknown: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    is_there: bool = True


def is_same(a: Any, b: Any) -> bool:
    """Whether two recorded values are the same; NaN is the same as NaN, 1 is not True."""
    return dumps(a) == dumps(b)


def change(key: str, a: Any, b: Any, *, counts: bool = True, note: str | None = None) -> Change:
    """A change between two values, either of which may be ABSENT."""
    in_a, in_b = a is not ABSENT, b is not ABSENT
    return Change(key, a if in_a else None, b if in_b else None, in_a, in_b, counts, note)


def changes_of(
    a: Mapping[str, Any], b: Mapping[str, Any], *, prefix: str = "", uncounted: Iterable[str] = ()
) -> list[Change]:
    """What differs between two mappings, in the order of their keys; of mappings in both, only what differs in them."""
    skipped = {*uncounted}
    out: list[Change] = []
    for key in dict.fromkeys([*a, *b]):
        before, after = a.get(key, ABSENT), b.get(key, ABSENT)
        if before is not ABSENT and after is not ABSENT and is_same(before, after):
            continue
        if _is_plain(before) and _is_plain(after):
            out += changes_of(before, after, prefix=f"{prefix}{key}.")
        else:
            out.append(change(prefix + key, before, after, counts=key not in skipped))
    return out


def _is_plain(value: Any) -> bool:
    """Whether a value is a mapping of the program, and not what JSON has no word for."""
    return isinstance(value, dict) and not any(key.startswith("$") for key in value)
