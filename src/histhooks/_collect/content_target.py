"""What a single column says of the target: how much of it the column predicts alone, and whether it is the target."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from histhooks._collect.content_blocks import Sparse, Table, Texts, chunks, distinct_of, np
from histhooks._collect.content_rows import final

_MOST_ROWS = 20_000  # that a score is made of
_FIRST_ROWS = 1000
_MOST_BINS = 64
_ROWS_A_BIN = 20
_MOST_CLASSES = 50
MOST_CATEGORIES = 50  # that are counted one by one
_ROUNDING = 1e-6  # of float32, as a part of the largest value
_NEAR = 1e-3  # of its own range lies a column at most from what it is said to be


@dataclass(slots=True, frozen=True)
class Target:
    """A target of one column.

    Attributes
    ----------
    values : ndarray of float64 of shape (n_samples,)
        Numbers, or the codes of classes; nan where it is missing.
    classes : ndarray of int64 of shape (n_samples,), or None
        Codes from 0, if the target has few values.
    is_numeric : bool
    """

    values: Any
    classes: Any
    is_numeric: bool


def target_of(y: Table | None, rows: slice) -> Target | None:
    """The target at some rows; None if there is none, or it has several columns of numbers."""
    numpy = np()
    if y is None or len(y.blocks) != 1:
        return None
    (block,) = y.blocks
    if isinstance(block, Sparse):
        return None
    if isinstance(block, Texts):
        codes = whole_codes(block, rows)[0].astype("f8")
        codes[codes < 0] = numpy.nan
        return Target(codes, _classes(numpy, codes), False)
    if block.dtype == "bf2" or block.dtype[0] in "mM":
        return None
    values = block.read(rows)
    if block.width > 1:
        is_one_hot = block.width <= _MOST_CLASSES and bool(
            (((values == 0) | (values == 1)).all(axis=1) & (values.sum(axis=1) == 1)).all()
        )
        if not is_one_hot:
            return None
        values = values.argmax(axis=1)[:, None]
    column = values[:, 0].astype("f8")
    if block.missing is not None:
        missing = block.missing(rows)
        if missing is not None:
            column[missing[:, 0]] = numpy.nan
    return Target(column, _classes(numpy, column), block.width == 1)


def _classes(numpy: Any, column: Any) -> Any:
    """Codes of whole numbers, if they are few and most of them stand in several rows."""
    if not len(column) or not numpy.isfinite(column).all() or (column != numpy.floor(column)).any():
        return None
    distinct, codes = numpy.unique(column, return_inverse=True)
    return codes if len(distinct) <= min(_MOST_CLASSES, max(2, len(column) // 2)) else None


def whole_codes(block: Texts, rows: slice) -> tuple[Any, int, list[str]]:
    """The codes of a column of texts over some rows, how many distinct texts there are, and those, if they are few.

    The codes follow the order of hashes of the texts; -1 is missing.
    """
    import xxhash

    numpy = np()
    texts_of: dict[int, str] = {}
    found = [numpy.empty(0, "u8")]
    missing = [numpy.empty(0, bool)]
    for part in chunks(rows):
        codes, texts = block.read(part)
        hashes = [xxhash.xxh3_64_intdigest(text.encode("utf-8", "surrogatepass")) for text in texts]
        if len(texts_of) <= MOST_CATEGORIES:
            texts_of.update(zip(hashes, texts))
        found.append(numpy.array([*hashes, 0], dtype="u8")[codes])
        missing.append(codes < 0)
    whole, none = numpy.concatenate(found), numpy.concatenate(missing)
    distinct, codes = numpy.unique(whole[~none], return_inverse=True)
    out = numpy.full(len(whole), -1, dtype="i8")
    out[~none] = codes
    few = [texts_of[one] for one in distinct.tolist()] if len(distinct) <= MOST_CATEGORIES else []
    return out, len(distinct), few


# --- prediction -------------------------------------------------------------------------------------------------------


def alone(column: Callable[[int], Any], target: Target) -> float | None:
    """The part of the best constant's error that one column removes, in two folds, binned by quantiles.

    Parameters
    ----------
    column : callable
        Gives every so manieth value as float64.
    target : Target

    Returns
    -------
    float or None
        From 0 to 1; None where the best constant has no error, or there are too few rows.
    """
    numpy = np()
    step = -(-len(target.values) // _MOST_ROWS) or 1
    x, values = column(step), target.values[::step]
    classes = None if target.classes is None else target.classes[::step]
    there = numpy.isfinite(values)
    if not there.all():
        x, values = x[there], values[there]
    if len(x) < 4:
        return None
    bins, n_bins = _bins(numpy, x)
    # Which fold a row is in follows from its number alone, and no generator is drawn from.
    fold = (final(numpy.arange(len(x), dtype="u8") + numpy.uint64(1)) & numpy.uint64(1)).astype("i8")
    if classes is not None and len(classes) == len(x):
        before, after = _errors_of_classes(numpy, bins, n_bins, fold, classes)
    else:
        before, after = _errors_of_numbers(numpy, bins, n_bins, fold, values - values.mean())
    return round(max(0.0, 1.0 - after / before), 4) if before > 0 else None


def _bins(numpy: Any, x: Any) -> tuple[Any, int]:
    most = max(2, min(_MOST_BINS, len(x) // _ROWS_A_BIN))
    ordered = numpy.sort(x)
    ordered = ordered[~numpy.isnan(ordered)]
    distinct = ordered[numpy.concatenate([[True], ordered[1:] != ordered[:-1]])] if len(ordered) else ordered
    if len(distinct) <= most:
        edges = distinct[1:]
    else:
        edges = distinct_of(ordered[numpy.arange(1, most) * len(ordered) // most])
    bins = numpy.searchsorted(edges, x, side="right")
    bins[numpy.isnan(x)] = len(edges) + 1
    return bins, len(edges) + 2


def _errors_of_classes(numpy: Any, bins: Any, n_bins: int, fold: Any, classes: Any) -> tuple[float, float]:
    """Wrong predictions of the most frequent class of all rows, and of that of each bin, in the other fold."""
    width = int(classes.max()) + 1
    cells = ((fold * n_bins) + bins) * width + classes
    counts = numpy.bincount(cells, minlength=2 * n_bins * width).reshape(2, n_bins, width)
    before = after = 0.0
    for learned, judged in ((counts[0], counts[1]), (counts[1], counts[0])):
        constant = learned.sum(axis=0).argmax()
        best = numpy.where(learned.any(axis=1), learned.argmax(axis=1), constant)
        n = judged.sum()
        before += float(n - judged[:, constant].sum())
        after += float(n - judged[numpy.arange(n_bins), best].sum())
    return before, after


def _errors_of_numbers(numpy: Any, bins: Any, n_bins: int, fold: Any, values: Any) -> tuple[float, float]:
    """Squared errors of the mean of all rows, and of that of each bin, in the other fold."""
    cells = fold * n_bins + bins
    shape = (2, n_bins)
    counts = numpy.bincount(cells, minlength=2 * n_bins).reshape(shape)
    sums = numpy.bincount(cells, values, minlength=2 * n_bins).reshape(shape)
    squares = numpy.bincount(cells, values * values, minlength=2 * n_bins).reshape(shape)
    before = after = 0.0
    for learned, judged in ((0, 1), (1, 0)):
        constant = sums[learned].sum() / max(1, counts[learned].sum())
        means = numpy.where(counts[learned] > 0, sums[learned] / numpy.maximum(1, counts[learned]), constant)
        n, total, square = counts[judged], sums[judged], squares[judged]
        before += float(square.sum() - 2 * constant * total.sum() + constant**2 * n.sum())
        after += float((square - 2 * means * total + means**2 * n).sum())
    return before, after


# --- identity ---------------------------------------------------------------------------------------------------------


def equals_target(column: Callable[[int], Any], target: Target, is_numeric: bool) -> str | None:
    """Whether a column is the target: `exact`, `affine` (scaled and moved), `classes` (renamed), or None."""
    step = -(-len(target.values) // _FIRST_ROWS) or 1
    if step > 1:  # most columns are not, as some rows show
        classes = None if target.classes is None else target.classes[::step]
        first = Target(target.values[::step], classes, target.is_numeric)
        if first.values.min() < first.values.max() and _equals_target(column(step), first, is_numeric) is None:
            return None
    return _equals_target(column(1), target, is_numeric)


def _equals_target(column: Any, target: Target, is_numeric: bool) -> str | None:
    numpy, values = np(), target.values
    if len(column) < 2 or not numpy.isfinite(column).all() or not numpy.isfinite(values).all():
        return None
    x, y = column.astype("f4"), values.astype("f4")
    low, high = int(y.argmin()), int(y.argmax())
    if y[low] == y[high]:
        return None
    if is_numeric and target.is_numeric:
        # Of times and coordinates, which are large and lie close together, float32 does not tell one from another.
        near = _NEAR * float(column.max() - column.min())
        if (x == y).all() and numpy.abs(column - values).max() <= near:
            return "exact"
        slope = (column[high] - column[low]) / (values[high] - values[low])
        gap = numpy.abs(column[low] + slope * (values - values[low]) - column).max()
        if slope and gap <= min(near, _ROUNDING * max(abs(column[low]), abs(column[high]))):
            return "affine"
    if target.classes is not None and _renamed(numpy, x, target.classes):
        return "classes"
    return None


def _renamed(numpy: Any, x: Any, classes: Any) -> bool:
    """Whether each value of a column stands for one class, and each class for one value."""
    n_classes = int(classes.max()) + 1
    first = numpy.full(n_classes, numpy.nan, dtype="f4")
    first[classes] = x
    seen = first[~numpy.isnan(first)]  # of some rows only, not all classes may be seen
    return bool((first[classes] == x).all()) and len(distinct_of(seen)) == len(seen)
