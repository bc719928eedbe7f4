"""Count rows between the edges of the training data: what leaves a process that predicts are these counts alone.

The edges are the deciles, the range and the categories that the training recorded of each column. Counts add up
(:mod:`histhooks._base.tallies`), so that windows of several workers are one window.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from histhooks._collect.content_blocks import Numbers, Sparse, Table, Texts, np
from histhooks._collect.content_columns import MOST_COLUMNS
from histhooks._collect.content_rows import text_hash

Tally = dict[str, Any]
_ROUNDING = 2e-6  # the range of the training data is recorded with six digits


@dataclass(frozen=True, slots=True)
class Edges:
    """Where one column of the training data is cut.

    Attributes
    ----------
    position : int
        0-based, among the columns of the training data.
    name : str
    cuts : tuple of float
        Its deciles; empty where it has none.
    low, high : float or None
        Its range.
    categories : tuple of str
        Keyed hashes of its texts, as eight hexadecimal digits; empty where they are too many, or of another key.
    is_text : bool
    """

    position: int
    name: str
    cuts: tuple[float, ...] = ()
    low: float | None = None
    high: float | None = None
    categories: tuple[str, ...] = ()
    is_text: bool = False


def edges_of(columns: Sequence[Mapping[str, Any]], profile: Any, *, is_same_key: bool) -> tuple[Edges, ...]:
    """The edges of the columns of training data.

    Parameters
    ----------
    columns : sequence of mapping
        `position`, `name` and `facts` of each.
    profile : object
        That of the data.
    is_same_key : bool
        Whether texts are hashed here with the key that the training had.
    """
    ranges = ((profile or {}).get("X") or {}).get("columns") or {}
    out = []
    for column in columns:
        facts, name = column["facts"], str(column["name"] if column["name"] is not None else column["position"])
        known = ranges.get(name) or {}
        low, high = known.get("min"), known.get("max")
        is_text = "categories" in facts or ("edges" not in facts and "zero" not in facts and "infinite" not in facts)
        hashes = tuple(one[0] for one in facts.get("categories") or ()) if is_same_key else ()
        out.append(
            Edges(
                column["position"],
                name,
                tuple(facts.get("edges") or ()),
                _moved(low, -1) if isinstance(low, (int, float)) and not is_text else None,
                _moved(high, 1) if isinstance(high, (int, float)) and not is_text else None,
                hashes,
                is_text,
            )
        )
    return tuple(out)


def _moved(value: float, direction: int) -> float:
    """A bound that was rounded, so that no value of the training data lies beyond it."""
    if (isinstance(value, int) and abs(value) < 10**6) or not math.isfinite(value):
        return value
    return value + direction * _ROUNDING * abs(value)


def count(table: Table, edges: Sequence[Edges], key: bytes) -> list[Tally]:
    """Count the rows of some data.

    Parameters
    ----------
    table : Table
        With the columns of the training data by name, or where one of both has no names, by place.
    edges : sequence of Edges
    key : bytes
        Of the hashes of texts.

    Returns
    -------
    list of dict
        One for each of the edges: its `position` and `name`; `counts` between the deciles, or by the categories;
        `missing`, `infinite`, `outside` of the range and `unseen` categories, where there are any; `absent` rows
        where the column is not there.
    """
    if not table.n_rows:
        return []
    secret = hashlib.sha256(key).digest()
    places = _places(table, edges)
    columns = {} if table.is_image else _read(table, set(places.values()))
    out = []
    for one in edges:
        found = columns.get(places.get(one.position, -1))
        tally: Tally = {"position": one.position, "name": one.name}
        if found is None:
            tally["absent"] = table.n_rows
        elif found[1] is not None:
            tally |= _of_texts(*found, one, secret)
        else:
            tally |= _of_numbers(found[0], one)
        out.append(tally)
    return out


def _places(table: Table, edges: Sequence[Edges]) -> dict[int, int]:
    """The column of the data that each of the training data is."""
    if table.names is not None:
        where = {str(name): place for place, name in enumerate(table.names)}
        if any(one.name in where for one in edges):
            return {one.position: where[one.name] for one in edges if one.name in where}
    return {one.position: one.position for one in edges if one.position < table.width}


def _read(table: Table, wanted: set[int]) -> dict[int, tuple[Any, list[str] | None]]:
    """Columns by their places: numbers of which nan is missing, or codes of texts of which -1 is, and the texts."""
    numpy, rows = np(), slice(0, table.n_rows)
    out: dict[int, tuple[Any, list[str] | None]] = {}
    first = 0
    for block in table.blocks:
        here = [place for place in range(first, first + min(block.width, _MOST_WIDTH)) if place in wanted]
        if here and isinstance(block, Texts):
            out[here[0]] = block.read(rows)
        elif here and isinstance(block, Sparse):
            for place, column in _sparse(block, [place - first for place in here]).items():
                out[first + place] = (column, None)
        elif here and isinstance(block, Numbers):
            values = _floats(block, block.read(rows))
            missing = None if block.missing is None else block.missing(rows)
            if missing is not None:
                values = numpy.where(missing, numpy.nan, values)
            for place in here:
                out[place] = (values[:, place - first], None)
        first += block.width
    return out


_MOST_WIDTH = 20 * MOST_COLUMNS  # beyond the columns that the training looked at


def _floats(block: Numbers, values: Any) -> Any:
    numpy = np()
    if block.dtype[0] in "mM":
        found = values.astype(f"{block.dtype[0]}8[ns]")
        return numpy.where(numpy.isnat(found), numpy.nan, found.view("<i8").astype("f8"))
    if block.dtype == "bf2":
        values = (values.astype("<u4") << numpy.uint32(16)).view("<f4")
    return values.astype("f8")


def _sparse(block: Sparse, places: list[int]) -> dict[int, Any]:
    numpy = np()
    n_each, columns, values = block.read(slice(0, block.n_rows))
    rows = numpy.repeat(numpy.arange(block.n_rows), n_each)
    out = {}
    for place in places:
        is_here = columns == place
        dense = numpy.zeros(block.n_rows)
        dense[rows[is_here]] = values[is_here]
        out[place] = dense
    return out


def _of_numbers(values: Any, edges: Edges) -> Tally:
    numpy = np()
    is_missing = numpy.isnan(values)
    there = values[~is_missing]
    tally: Tally = {"missing": int(is_missing.sum())}
    is_infinite = numpy.isinf(there)
    if is_infinite.any():
        tally["infinite"] = int(is_infinite.sum())
        there = there[~is_infinite]
    if edges.is_text:  # the training had texts
        return {**tally, "unseen": len(there)} if len(there) else tally
    if edges.cuts:
        cells = numpy.searchsorted(numpy.array(edges.cuts, dtype="f8"), there, side="left")
        tally["counts"] = numpy.bincount(cells, minlength=len(edges.cuts) + 1).tolist()
    if edges.low is not None and edges.high is not None:
        tally["outside"] = int(((there < edges.low) | (there > edges.high)).sum())
    return tally


def _of_texts(codes: Any, texts: list[str] | None, edges: Edges, secret: bytes) -> Tally:
    numpy = np()
    is_missing = codes < 0
    tally: Tally = {"missing": int(is_missing.sum())}
    if not edges.is_text:  # the training had numbers
        return {**tally, "unseen": int((~is_missing).sum())}
    if not edges.categories:
        return tally
    by_code = numpy.bincount(codes[~is_missing], minlength=len(texts or ()))
    where = {one: place for place, one in enumerate(edges.categories)}
    counts = [0] * len(edges.categories)
    unseen = 0
    for code, text in enumerate(texts or ()):
        n = int(by_code[code])
        place = where.get(f"{text_hash(text, secret):016x}"[:8]) if n else None
        if place is not None:
            counts[place] += n
        else:
            unseen += n
    return {**tally, "counts": counts, "unseen": unseen}


# --- what was put out -------------------------------------------------------------------------------------------------

MOST_CLASSES = 50
_PLAIN = {"-1", "0", "1"}
_SHARES = 20  # cells between 0 and 1


def classes_of(profile: Any) -> frozenset[str]:
    """The whole numbers that training data had as its classes; empty where it had none."""
    target = ((profile or {}).get("y") or {}).get("values") or {}
    return frozenset(target.get("classes") or ())


def outputs_of(values: Any, key: bytes, *, is_score: bool, classes: Collection[str] = ()) -> Tally:
    """Count what a model put out.

    Parameters
    ----------
    values : ndarray of shape (n_samples,) or (n_samples, n_outputs)
    key : bytes
        Of the hashes of texts.
    is_score : bool
        Whether they are probabilities, which have cells of their own.
    classes : collection of str
        Of the training. A whole number that is none of them is counted by its power of two alone, as it may be a value
        such as an amount or an id; where the training had no classes, -1, 0 and 1 alone are classes.

    Returns
    -------
    dict
        `classes`: counts by classes, or by hashes of texts; `scores`: 20 cells between 0 and 1 for each output;
        `numbers`: counts by sign and power of two; `missing` where there are any.
    """
    numpy = np()
    array = numpy.asarray(values)
    if not array.size or array.ndim > 2:
        return {}
    if array.dtype.kind in "OUST":
        return {"classes": _named(array.ravel(), hashlib.sha256(key).digest())}
    if array.dtype.kind not in "biuf":
        return {}
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.dtype.kind in "biu" and array.ndim == 1:
        found, counts = _distinct(array)
        if len(found) <= MOST_CLASSES:
            return _whole(found, counts, classes)
    floats = array.astype("f8")
    is_there = numpy.isfinite(floats)
    out: Tally = {} if is_there.all() else {"missing": int((~is_there).sum())}
    if is_score:
        columns = floats.reshape(len(floats), -1)
        if columns.shape[1] <= MOST_CLASSES:
            return out | {"scores": {str(n): _shares(columns[:, n]) for n in range(columns.shape[1])}}
        return out
    if floats.ndim == 1:
        out["numbers"] = _powers(floats[is_there])
    return out


def _whole(found: Any, counts: Any, classes: Collection[str]) -> Tally:
    by_value = {str(int(one)): int(n) for one, n in zip(found, counts, strict=True)}
    known = set(classes) or (_PLAIN if _PLAIN.issuperset(by_value) else set())
    named = {value: n for value, n in by_value.items() if value in known}
    out: Tally = {"classes": named} if named else {}
    if len(named) < len(by_value):
        numpy = np()
        is_other = [value not in known for value in by_value]
        out["numbers"] = _powers(numpy.repeat(found[is_other].astype("f8"), counts[is_other]))
    return out


def _distinct(array: Any) -> tuple[Any, Any]:
    numpy = np()
    ordered = numpy.sort(array.astype("i8"))
    first = numpy.concatenate([[True], ordered[1:] != ordered[:-1]])
    starts = numpy.flatnonzero(first)
    return ordered[first], numpy.diff([*starts.tolist(), len(ordered)])


def _named(values: Any, secret: bytes) -> dict[str, int]:
    out: dict[str, int] = {}
    for value in values.tolist():
        out[value] = out.get(value, 0) + 1
    hashes: dict[str, int] = {}
    for value, n in out.items():
        name = f"{text_hash(f't{value}', secret):016x}"[:8]
        hashes[name] = hashes.get(name, 0) + n
    return dict(sorted(hashes.items(), key=lambda one: -one[1])[:MOST_CLASSES])


def _shares(column: Any) -> list[int]:
    numpy = np()
    found = column[numpy.isfinite(column)]
    cells = numpy.clip((found * _SHARES).astype("i8"), 0, _SHARES - 1)
    counts: list[int] = numpy.bincount(cells, minlength=_SHARES).tolist()
    return counts


def _powers(values: Any) -> dict[str, int]:
    """Counts by sign and power of two: `+3` is from 8 to 16, `-0` from -2 to -1, `0` is zero."""
    numpy = np()
    out: dict[str, int] = {}
    zeros = int((values == 0).sum())
    if zeros:
        out["0"] = zeros
    for sign, part in (("+", values[values > 0]), ("-", -values[values < 0])):
        if len(part):
            powers, counts = _distinct(numpy.floor(numpy.log2(part)))
            out |= {f"{sign}{int(power)}": int(n) for power, n in zip(powers, counts, strict=True)}
    return out
