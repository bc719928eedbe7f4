"""One difference, and the part of the record that contains it."""

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
        The name of a param, of a package, ...
    a, b : object
        Its value in each run; None also if the run has none, see `kind`.
    is_in_a, is_in_b : bool
        Whether each run has it.
    counts : bool
        Whether it is an input or an outcome, and not only the identity of a run.
    note : str or None
        The source of a param, whether a metric improved, ...
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
        """`added` if only B has it, `removed` if only A has it, else `changed`."""
        return "changed" if self.is_in_a and self.is_in_b else "added" if self.is_in_b else "removed"


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the record.

    Attributes
    ----------
    name : str
    changes : tuple of Change
    unknown : tuple of str
        Why it cannot be decided whether it is the same.
    notes : tuple of str
        Further notes.
    is_there : bool
        Whether either run has anything in it.
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


def not_recorded(a: Any, b: Any, what: str) -> list[str]:
    """What to say where one or both have nothing."""
    return [f"{name}: {what}" for name, found in (("A", a), ("B", b)) if not found]


def _is_plain(value: Any) -> bool:
    """Whether a value is a mapping of the program, and not what JSON has no word for."""
    return isinstance(value, dict) and not any(key.startswith("$") for key in value)
