"""Convert params for the store, with a cache: a loop of fits records the same ones again and again.

The stored form of a param depends on its name and value alone. So if all values are plain Python values, the result is
kept, and the next run reuses it: one tuple for all params, which the runs share. The writer caches the canonical form
of each, which it would otherwise encode and mask for every run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from math import copysign
from typing import Any

from histhooks._base.names import clean_text
from histhooks._base.secrets import MASK, mask_text
from histhooks._store.ledger import canonical

Param = tuple[str, str, str]  # key, value as JSON, source

_ATOMS = frozenset({int, bool, float, str, type(None)})
_WORDS = frozenset({str})
_MOST = 256
_MOST_PARAMS = 200
_LONG = 200  # characters


class Told:
    """What came of some params.

    Attributes
    ----------
    rows : tuple of Param, or None
        As they are written; None if unknown yet.
    seeds : tuple of (key, value)
        Those among them that are seeds.
    """

    __slots__ = ("_key", "rows", "seeds")

    def __init__(self, key: Any) -> None:
        self._key = key
        self.rows: tuple[Param, ...] | None = None
        self.seeds: tuple[tuple[str, str], ...] = ()

    def keep(self, rows: tuple[Param, ...], seeds: tuple[str, ...]) -> None:
        """Keep what came of them; not where it is long, nor where a secret lies among them."""
        if any(len(key) + len(value) > _LONG or MASK in value or MASK in key for key, value, _ in rows):
            return
        self.rows = rows
        self.seeds = tuple((key, value) for key, value, _ in rows if key.endswith(seeds))
        if len(_told) >= _MOST:
            _told.clear()
        _told[self._key] = self


_told: dict[Any, Told] = {}


def told_before(params: Mapping[Any, Any], source: str) -> Told | None:
    """What came of the same params before; None if a value is not plain, and what comes of it may be another."""
    if params.__class__ is not dict or len(params) > _MOST_PARAMS:
        return None
    values = tuple(params.values())
    kinds = tuple(map(type, values))
    if not (_ATOMS.issuperset(kinds) and _WORDS.issuperset(map(type, params))):
        return None
    # The two zeros are equal, and written differently.
    if 0.0 in values and any(v.__class__ is float and v == 0.0 and copysign(1.0, v) < 0.0 for v in values):
        return None
    key = (source, tuple(params), kinds, values)
    return _told.get(key) or Told(key)


def as_written(run_id: str, first: int, told: Iterable[tuple[int, Sequence[Param]]]) -> tuple[list[Any], str]:
    """The values of a run's rows of params, from an ordinal on, and their digest.

    Parameters
    ----------
    run_id : str
    first : int
    told : iterable of (time, params)

    Returns
    -------
    values : list
        ``run_id, ordinal, key, value, source, time`` of each row in turn: a tuple for each would set off the collector.
    digest : str
        That of :func:`histhooks._store.ledger.digest_rows`, whose rows are put together here from parts that are the
        same in many runs.
    """
    values: list[Any] = []
    lines: list[str] = []
    number, scope = first, canonical(run_id).decode("ascii")
    for time, params in told:
        for param in params:
            read = _short if len(param[0]) + len(param[1]) <= _LONG else _read
            key, value, source, form = read(param)
            values += (run_id, number, key, value, source, time)
            lines.append(f"[{scope},{number},{form},{time}]\n")
            number += 1
    return values, hashlib.sha256("".join(lines).encode("ascii")).hexdigest()


def _read(param: Param) -> tuple[str, str, str, str]:
    """A param as it is written, without its secrets, and its canonical form; its value was masked when it was read."""
    key, value, source = map(clean_text, param)
    key, source = mask_text(key), mask_text(source)
    return key, value, source, canonical([key, value, source]).decode("ascii")[1:-1]


_short = lru_cache(maxsize=4096)(_read)
