"""The profile of data: counts and moments of each column, of bounded cost; of text never a value.

Numbers are looked at in whole up to 131,072 values (1 MiB of float64) in all columns together, text and other objects
up to 32,768. Above, as many of them lie in 64 blocks of rows at even distances, and the profile says ``sample``; a
column's ``count`` and ``missing`` say how many were looked at. Moments have six significant digits.
"""

from __future__ import annotations

import sys
from collections import Counter
from typing import Any

from histhooks._collect.data_values import Values, columns_of, has, is_frame, is_missing, names_of, parts_of, six_digits
from histhooks._host.named_columns import named

_MOST_NUMBERS = 1 << 17
_MOST_VALUES = 1 << 15
_MOST_COLUMNS = 100
_MOST_CLASSES = 50
_BLOCKS = 64
_ENDS = ("min", "max", "mean", "std")  # of a column of groups, whose numbers name somebody
_FAILURES = (
    *(AttributeError, TypeError, ValueError, KeyError, IndexError),
    *(OverflowError, NotImplementedError, RuntimeError),
)

Told = dict[str, Any]


def profile(X: Any, y: Any = None) -> Told | None:
    """The profile of data.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
    y : array-like of shape (n_samples,), optional

    Returns
    -------
    dict or None
        By `X` and `y`: ``coverage`` (`all` or `sample`), and ``columns`` by name, or ``values`` for all values
        together. Of a target also its classes with their counts, where it has few; those of text by rank, unnamed.
    """
    numpy = sys.modules.get("numpy")
    if numpy is None:
        return None
    out = {}
    for name, part in (("X", X), ("y", y)):
        if part is None:
            continue
        try:
            with numpy.errstate(all="ignore"):
                told = _of_frame(numpy, part) if is_frame(part) else _of_array(numpy, part, is_target=name == "y")
        except _FAILURES:
            continue
        if told is not None:
            out[name] = told
    return out or None


def _of_frame(numpy: Any, frame: Any) -> Told:
    columns = columns_of(frame, _MOST_COLUMNS)
    names = names_of(frame, _MOST_COLUMNS)
    texts = sum(isinstance(column, Values) for column in columns)
    told: dict[int, Told] = {}
    kinds: dict[str, dict[int, Any]] = {}
    is_whole = True
    for number, column in enumerate(columns):
        if isinstance(column, Values):
            values, whole = _taken(column, _MOST_VALUES // texts)
            told[number] = _of_values(numpy, values)
        else:
            sample, whole = _sample(numpy, column, _MOST_NUMBERS // len(columns))
            kinds.setdefault(str(sample.dtype), {})[number] = sample
        is_whole = is_whole and whole
    for samples in kinds.values():
        told |= zip(samples, _of_numbers(numpy, numpy.stack(list(samples.values()), axis=1)), strict=True)
    by_name: dict[str, Told] = {}
    for number, name in enumerate(names):
        if name in named().groups:
            told[number] = {key: value for key, value in told[number].items() if key not in _ENDS}
        by_name[f"{name} ({number})" if name in by_name else name] = told[number]
    out: Told = {"coverage": "all" if is_whole else "sample", "columns": by_name}
    return out if len(frame.columns) <= _MOST_COLUMNS else {**out, "columns_in_all": len(frame.columns)}


def _of_array(numpy: Any, X: Any, *, is_target: bool) -> Told | None:
    if has(X, "dataset") or has(X, "filled"):
        return None  # a Subset, whose rows would have to be picked; a masked array, whose values do not all count
    parts = parts_of(X)
    if not parts:
        return None
    if has(X, "nnz"):
        data, whole = _sample(numpy, parts[-1], _MOST_NUMBERS)
        return {"coverage": "all" if whole else "sample", "stored": _of_numbers(numpy, data[:, None])[0]}
    if has(X, "tensors"):
        return {"tensors": [_of_part(numpy, part, is_target=True) for part in parts]}
    return _of_part(numpy, parts[0], is_target=is_target)


def _of_part(numpy: Any, part: Any, *, is_target: bool) -> Told:
    """The profile of one array, or of a list."""
    if isinstance(part, Values):
        values, whole = _taken(part, _MOST_VALUES // max(1, part.width))
        if values and isinstance(values[0], (list, tuple)):
            found = numpy.array(values, dtype="float64")
        else:
            told = {"values": _of_values(numpy, values, is_target=is_target)}
            return {"coverage": "all" if whole else "sample", **told}
    else:
        part = numpy.asarray(part)
        if part[:1].size > _MOST_COLUMNS:
            flat = part.T if part.flags.f_contiguous else part
            if not flat.flags.c_contiguous:
                return {"coverage": "none"}  # one row alone may be large, and would have to be copied
            part = flat.reshape(-1)
        found, whole = _sample(numpy, part, _MOST_NUMBERS // max(1, part[:1].size))
    coverage: Told = {"coverage": "all" if whole else "sample"}
    if found.dtype.kind in "US":
        return {**coverage, "values": _of_values(numpy, found.ravel().tolist(), is_target=is_target)}
    if found.ndim == 2 and 1 < found.shape[1] <= _MOST_COLUMNS:
        columns = _of_numbers(numpy, found)
        return {**coverage, "columns": {str(number): column for number, column in enumerate(columns)}}
    flat = found.reshape(-1, 1)
    told = _of_numbers(numpy, flat)[0]
    return {**coverage, "values": told | (_classes(numpy, flat[:, 0]) if is_target else {})}


# --- what is looked at ------------------------------------------------------------------------------------------------


def _blocks(n: int, most: int) -> list[tuple[int, int]]:
    """Which rows are looked at: all, or blocks at even distances, the first and the last among them."""
    if n <= most:
        return [(0, n)]
    count = max(1, min(_BLOCKS, most))
    size = max(1, most // count)
    starts = [number * (n - size) // max(1, count - 1) for number in range(count)]
    return [(start, start + size) for start in starts]


def _sample(numpy: Any, array: Any, most: int) -> tuple[Any, bool]:
    blocks = _blocks(len(array), max(1, most))
    if len(blocks) == 1 and blocks[0][1] == len(array):
        return numpy.asarray(array), True
    return numpy.concatenate([numpy.asarray(array[start:stop]) for start, stop in blocks]), False


def _taken(part: Values, most: int) -> tuple[list[Any], bool]:
    blocks = _blocks(part.n_rows, max(1, most))
    values = [value for start, stop in blocks for value in part.take(start, stop)]
    return values, len(blocks) == 1 and blocks[0][1] == part.n_rows


# --- what is kept -----------------------------------------------------------------------------------------------------


def _of_numbers(numpy: Any, values: Any) -> list[Told]:
    """Of each column of an array of shape (n_rows, n_columns)."""
    kind, n = values.dtype.kind, len(values)
    if kind == "b":
        return [{"count": n, "missing": 0, "true": true, "false": n - true} for true in values.sum(axis=0).tolist()]
    if kind in "mM":
        return [_of_times(numpy, column) for column in values.T]
    if kind not in "iuf" or not n:
        return [{"count": n} for _ in range(values.shape[1])]
    rows = numpy.ascontiguousarray(values.T)  # sums over what lies side by side are quicker, and closer
    wide = rows.astype("float64")
    is_finite = numpy.isfinite(wide)
    counts = is_finite.sum(axis=1)
    whole, is_odd = kind in "iu", not is_finite.all()
    missing = numpy.isnan(wide).sum(axis=1) if is_odd else 0 * counts
    low = numpy.where(is_finite, wide, numpy.inf).min(axis=1) if is_odd else rows.min(axis=1)
    high = numpy.where(is_finite, wide, -numpy.inf).max(axis=1) if is_odd else rows.max(axis=1)
    wide[~is_finite] = 0.0
    means = wide.sum(axis=1) / counts
    wide -= means[:, None]
    wide[~is_finite] = 0.0
    stds = numpy.sqrt(numpy.einsum("ij,ij->i", wide, wide) / counts)
    out = []
    for number, count in enumerate(counts.tolist()):
        told: Told = {"count": n - int(missing[number]), "missing": int(missing[number])}
        if told["count"] != count:
            told["infinite"] = told["count"] - count
        if count:
            ends = low[number], high[number]
            told |= zip(("min", "max"), map(six_digits, map(int if whole else float, ends)), strict=True)
            told |= {"mean": six_digits(float(means[number])), "std": six_digits(float(stds[number]))}
        out.append(told)
    return out


def _of_times(numpy: Any, column: Any) -> Told:
    there = column[~numpy.isnat(column)]
    out: Told = {"count": len(there), "missing": len(column) - len(there)}
    return out | {"min": str(there.min()), "max": str(there.max())} if len(there) else out


def _of_values(numpy: Any, values: list[Any], *, is_target: bool = False) -> Told:
    """Of a column of Python values: lengths where it is text, moments where it is numbers, else counts only."""
    there = [value for value in values if not is_missing(value)]
    out: Told = {"count": len(there), "missing": len(values) - len(there)}
    kinds = set(map(type, there))
    if there and all(issubclass(kind, str) for kind in kinds):
        lengths = list(map(len, there))
        found = Counter(there)
        out |= {"distinct": len(found), "min_length": min(lengths), "max_length": max(lengths)}
        out["mean_length"] = six_digits(sum(lengths) / len(lengths))
        if is_target and len(found) <= _MOST_CLASSES:
            out["classes_by_rank"] = sorted(found.values(), reverse=True)
    elif kinds and all(issubclass(kind, (int, float, numpy.number, numpy.bool_)) for kind in kinds):
        numbers = numpy.array(there)
        if numbers.dtype.kind in "biuf":
            (told,) = _of_numbers(numpy, numbers[:, None])
            out |= {**told, "missing": out["missing"], **(_classes(numpy, numbers) if is_target else {})}
    return out


def _classes(numpy: Any, values: Any) -> Told:
    """The classes of a target with their counts, where they are whole numbers and few."""
    kind = values.dtype.kind
    if kind == "b":
        values = values.astype("int8")
    is_whole = kind != "f" or bool((numpy.isfinite(values) & (numpy.floor(values) == values)).all())
    if kind not in "biuf" or not is_whole or not len(values):
        return {}
    low, high = int(values.min()), int(values.max())
    if high - low > 1000:
        return {}
    counts = numpy.bincount((values - low).astype("int64"))
    classes = {str(low + int(n)): int(counts[n]) for n in numpy.flatnonzero(counts)}
    return {"classes": classes} if len(classes) <= _MOST_CLASSES else {}
