"""Arrays that recorded models predicted, by identity: to know which run a metric belongs to that is computed of one.

An integration calls :func:`remember` with what a model returned, and :func:`prediction_of` with an argument of a metric
function. An array is known by a weak reference, also by a view of it that is the whole or one column
(``proba[:, 1]``). What is computed from it (``proba.argmax(axis=1)``, ``proba > 0.5``, a part of its rows, a list, a
series) is another array, which nothing ties to the model for certain: it is unknown.

The split is judged when the first metric comes, not when the model predicts. By then the data may be gone or changed.
Up to 256 KiB are copied (0.5 µs for 16 KiB, 13 µs for all); of larger data 64 rows are, beside a weak reference. They
show whether it is the same still, and stand for it where it is gone. Copies go with the prediction, and are 8 MiB at
most together. A list is taken so if it holds texts and numbers, or rows of them, which nobody can write into; there is
no weak reference to it.
"""

from __future__ import annotations

import functools
import sys
import weakref
from typing import Any, NamedTuple

from histhooks._base.exceptions import answer
from histhooks._record.run import Run
from histhooks.integrations._estimators import Scored, Trained, log_scored, scored_by_rows

_MOST_COPIED = 1 << 18
_MOST_SAMPLED = 1 << 16
_MOST_HELD = 1 << 23
_MOST_ROWS = 64
_MOST_LISTED = 1 << 11  # values of a list that are looked at one by one, a tenth of a microsecond each
_MOST_KNOWN = 10_000
_PLAIN = frozenset({str, bytes, int, float, bool, complex, type(None)})


class _Data:
    """Data that a model predicted on, as far as it is kept."""

    __slots__ = ("__weakref__", "copy", "is_by_rows", "n_bytes", "n_rows", "sample", "thing")

    def __init__(self, X: Any) -> None:
        self.copy: Any = None  # of what is small
        self.sample: Any = None  # of what is large
        self.is_by_rows = True  # the sample, which else shows a change and no more
        self.n_bytes = 0
        self.n_rows: int | None = None
        self.thing: weakref.ref[Any] | None = answer(None, weakref.ref, X)
        numpy, package = sys.modules.get("numpy"), type(X).__module__.partition(".")[0]
        if numpy is not None and type(X) is numpy.ndarray:
            if X.ndim and X.dtype.kind in "biufSUMm":
                self._keep(X, X.nbytes)
            elif X.ndim == 1 and X.dtype.kind == "O":  # others hold objects of the program
                self._keep_plain(X)
        elif type(X) is list:
            self._keep_plain(X)
        elif package == "pandas" and hasattr(X, "iloc"):
            self._keep(X, 8 * X.size)
        elif package == "scipy" and getattr(X, "format", None) == "csr":
            self._keep(X, X.data.nbytes + X.indices.nbytes + X.indptr.nbytes)
        elif hasattr(X, "nnz"):
            self.is_by_rows = False
            self.sample = _some(X)

    def _keep_plain(self, X: Any) -> None:
        """Keep values that stay as they are, of which the list or the array may change; objects of others are not."""
        width = len(X[0]) if len(X) and type(X[0]) in (list, tuple) else 1
        is_all = len(X) * width <= _MOST_LISTED
        rows = X if is_all else X[:: -(-len(X) // _MOST_ROWS)]
        sizes = [_size_of(row) for row in rows]
        if not sizes or None in sizes:
            return
        self.n_rows, n_bytes = len(X), sum(size for size in sizes if size is not None)
        if is_all and n_bytes <= _MOST_COPIED and _is_room():
            self.copy, self.n_bytes = _copy_of(X), n_bytes
            _copies.append(weakref.ref(self))
        else:
            self.sample = _copy_of(rows[:: -(-len(rows) // _MOST_ROWS)])

    def _keep(self, X: Any, n_bytes: int) -> None:
        self.n_rows = X.shape[0]
        if n_bytes <= _MOST_COPIED and _is_room():
            self.copy, self.n_bytes = X.copy(), n_bytes
            _copies.append(weakref.ref(self))
        else:
            self.sample = _some(X)

    def at_hand(self) -> Any:
        """The data as it was; None if it is gone or changed, or nothing shows that it is the same still."""
        if self.copy is not None:
            return self.copy
        thing = self.thing() if self.thing is not None else None
        if thing is None or self.sample is None:
            return thing if type(thing).__module__.partition(".")[0] in _UNCHANGED else None
        now = _some(thing)
        if now.shape != self.sample.shape:
            return None
        return thing if _are_equal(now, self.sample) else None


# What holds copies now, or did a while ago.
_copies: list[weakref.ref[_Data]] = []
_room = [0]  # copies for which there is room without a look at those that are held
_UNCHANGED = ("polars", "pyarrow")  # whose values nobody writes into


def _is_room() -> bool:
    """Whether another copy may be held."""
    if _room[0] > 0:
        _room[0] -= 1
        return True
    alive = [(one, data) for one in list(_copies) if (data := one()) is not None]
    _copies[:] = [one for one, _ in alive]
    held = sum(data.n_bytes for _, data in alive)
    if held >= _MOST_HELD or len(alive) >= _MOST_KNOWN:
        return False
    _room[0] = (_MOST_HELD - held) // _MOST_COPIED
    return True


def _are_equal(one: Any, other: Any) -> bool:
    if hasattr(one, "equals"):
        return bool(one.equals(other))
    if hasattr(one, "indptr"):
        return all(_are_equal(getattr(one, part), getattr(other, part)) for part in ("indptr", "indices", "data"))
    return bool(one.dtype == other.dtype and one.tobytes() == other.tobytes())


def _size_of(row: Any) -> int | None:
    """About how many bytes a value or a row of values takes; None if it may hold an object of the program."""
    if type(row) not in (list, tuple):
        return 8 + (len(row) if type(row) in (str, bytes) else 0) if type(row) in _PLAIN else None
    if len(row) > _MOST_LISTED or not _PLAIN.issuperset(map(type, row)):
        return None
    return 8 + sum(8 + (len(value) if type(value) in (str, bytes) else 0) for value in row)


def _copy_of(X: Any) -> Any:
    return [row.copy() if type(row) is list else row for row in X] if type(X) is list else X.copy()


def _some(X: Any) -> Any:
    """Rows at even distances, 64 at most and of 64 KiB together; of other sparse matrices some of the numbers."""
    if getattr(X, "format", None) == "csr":
        step = max(-(-X.shape[0] // _MOST_ROWS), -(-X.data.nbytes // _MOST_SAMPLED)) or 1
        return X[::step].copy()
    if hasattr(X, "nnz"):
        data: Any = answer(None, getattr, X, "data", None)
        return None if not hasattr(data, "dtype") else data[:: -(-len(data) // 1024) or 1].copy()
    step = -(-len(X) // _MOST_ROWS) or 1
    if hasattr(X, "iloc"):
        return X.iloc[::step].copy()
    width = X.nbytes // max(1, len(X))
    if width * _MOST_ROWS > _MOST_SAMPLED:
        step = max(step, -(-X.nbytes // _MOST_SAMPLED))
    return X[::step].copy()


class Prediction:
    """What a model put out, and for which run.

    Attributes
    ----------
    run : Run
    is_own : bool
        Whether the run is of this model, and not of one that it is a part of.
    class_name : str
        Of the model.
    method : str
        ``predict``, ``predict_proba`` and so on; empty where the model has one way to predict only.
    part : str
        What it is of all that the method put out, where that was several arrays; else empty.
    step : int or None
        Of a model that trains in many calls, the last of them.
    origin : object
        The same of all arrays that belong together.
    """

    __slots__ = (
        *("class_name", "data", "is_own", "method", "origin", "part", "place", "run", "scored", "shape", "split"),
        *("step", "strides", "trained"),
    )

    def __init__(self, known: Trained | None, run: Run, class_name: str, method: str, part: str) -> None:
        self.run, self.class_name, self.method, self.part = run, class_name, method, part
        self.trained = known
        self.is_own = known is None or known.is_own
        self.step = known.calls - 1 if known is not None and known.calls else None
        self.split: str | None = None
        self.data: _Data | None = None
        self.scored: Scored | None = None
        self.shape: tuple[int, ...] = ()
        self.strides: tuple[int, ...] = ()
        self.place = 0
        self.origin: object = self


class Found(NamedTuple):
    """A prediction that an argument is; `column` where it is one of several."""

    prediction: Prediction
    column: int | None


# By the id of the array, and of the one that owns its memory.
_known: dict[int, tuple[weakref.ref[Any], Prediction]] = {}


def remember(
    result: Any,
    known: Trained | None,
    run: Run,
    *,
    class_name: str,
    method: str,
    X: Any = None,
    split: str | None = None,
    part: str = "",
    origin: object = None,
) -> None:
    """Keep in mind what a model put out.

    Parameters
    ----------
    result : array, or list of arrays
        Anything else is left.
    known : Trained or None
        The model; None where the run itself predicted, as a validation does.
    run : Run
        That of the points to come.
    class_name, method : str
    X : array-like, optional
        What it predicted on.
    split : str, optional
        Where it is known; else it is judged by X.
    part : str, optional
    origin : object, optional
        Shared by arrays that belong together, as the points of a curve do.
    """
    numpy: Any = sys.modules.get("numpy")
    kind = type(result)
    if kind is list and 0 < len(result) <= 100:
        for number, one in enumerate(result):
            if numpy is not None and type(one) is numpy.ndarray:
                remember(
                    one, known, run, class_name=class_name, method=method, X=X, split=split, part=f"output={number}"
                )
        return
    if numpy is None or kind is not numpy.ndarray or not 1 <= result.ndim <= 2:
        return
    found = Prediction(known, run, class_name, method, part)
    found.split, found.shape, found.strides = split, result.shape, result.strides
    found.origin = origin or found
    found.place = result.__array_interface__["data"][0]
    if split is None:
        found.data = _Data(X)
    if len(_known) > _MOST_KNOWN:
        _known.pop(next(iter(_known)), None)
    _keep(result, found)
    owner = result.base
    # A view of memory that nobody else holds: here by `result`, by `owner`, and by the argument of the call.
    if type(owner) is numpy.ndarray and sys.getrefcount(owner) <= 3:
        _keep(owner, found)


def _keep(array: Any, found: Prediction) -> None:
    key = id(array)
    # Called back without a line of Python, in which a Ctrl-C would be lost.
    _known[key] = weakref.ref(array, functools.partial(_known.pop, key)), found


def is_any_known() -> bool:
    """Whether there is a prediction at all."""
    return bool(_known)


def prediction_of(value: Any) -> Found | None:
    """The prediction that a value is, or is a column of; None where nothing shows that it is one."""
    numpy: Any = sys.modules.get("numpy")
    if numpy is None or type(value) is not numpy.ndarray:
        return None
    owner = value.base
    for array in (value, owner) if type(owner) is numpy.ndarray else (value,):
        known = _known.get(id(array))
        if known is not None and known[0]() is array:
            column = _column_of(value, known[1])
            return None if column is None else Found(known[1], column if column >= 0 else None)
    return None


def _column_of(value: Any, whole: Prediction) -> int | None:
    """Which column of a prediction an array is; -1 where it is all of it, None where it is another part."""
    offset = value.__array_interface__["data"][0] - whole.place
    if value.shape == whole.shape and value.strides == whole.strides:
        return -1 if not offset else None
    if not whole.shape or value.shape[:1] != whole.shape[:1]:
        return None
    if len(whole.shape) == 1 or whole.shape[1] == 1:  # (n,) as (n, 1), or the other way round
        return -1 if not offset and value.size == whole.shape[0] and value.strides[0] == whole.strides[0] else None
    if value.size != whole.shape[0] or value.strides[0] != whole.strides[0] or offset % whole.strides[1]:
        return None
    column = offset // whole.strides[1]
    return column if 0 <= column < whole.shape[1] else None


def judge(prediction: Prediction, y: Any) -> Scored:
    """The split that a prediction's data has for the model; the first time, the data is recorded.

    Parameters
    ----------
    prediction : Prediction
        Its run takes more, or is reopened by the caller.
    y : array-like or None
        Targets of the metric.
    """
    if prediction.split is not None:
        return Scored(prediction.split, "")
    if prediction.scored is None:
        data, known = prediction.data, prediction.trained
        trained_by = known.run if known is not None else None
        X = data.at_hand() if data is not None else None
        if X is not None:
            prediction.scored = log_scored(prediction.run, X, y, trained_by=trained_by, is_own=prediction.is_own)
        else:
            is_by_rows = data is not None and data.is_by_rows and prediction.is_own
            sample, n_rows = (data.sample, data.n_rows) if data is not None and is_by_rows else (None, None)
            prediction.scored = scored_by_rows(prediction.run, sample, n_rows, trained_by=trained_by)
        prediction.data = None
    return prediction.scored
