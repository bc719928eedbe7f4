"""Access the values of data in place: as NumPy buffers if possible, else as a few Python values.

Nothing here imports NumPy or pandas: a program that passes an array or a frame has imported them.
"""

from __future__ import annotations

import math
import sys
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from histhooks._base.jsonable import key_text
from histhooks._base.names import masked_word

MAX_COLUMNS = 2000


@dataclass(frozen=True, slots=True)
class Values:
    """Values that lie in no buffer of numbers: text, dates, nullable and object columns, lists.

    Attributes
    ----------
    n_rows, width : int
        How many rows there are, and how many values are in one.
    take : callable
        Gives the rows from a start to a stop as a list; nothing else is ever read.
    """

    n_rows: int
    width: int
    take: Callable[[int, int], list[Any]]


# What a class has whose objects compute what they hold when they are asked: polars.LazyFrame, the collections of Dask,
# xarray, tables of Ibis, relations of DuckDB, frames of Spark.
_ASKS = frozenset({"collect", "compute", "execute", "fetchall", "__dask_graph__"})


def is_lazy(X: Any) -> bool:
    """Whether to look at data may compute it; asked of its class, since to ask the data itself may do so."""
    return any(not _ASKS.isdisjoint(vars(base)) for base in type(X).__mro__)


def at_hand(X: Any) -> Any:
    """Data that may be looked at; else something of the same name that has nothing, and says what it stands for."""
    if not is_lazy(X):
        return X
    try:
        stands_for: Any = weakref.ref(X)
    except TypeError:
        stands_for = None
    return type(type(X).__name__, (), {"stands_for": stands_for})()


def is_pandas(X: Any) -> bool:
    """Whether it is a pandas object, or of a class that somebody derived from one."""
    kind = type(X)
    if kind.__module__ in ("numpy", "builtins"):  # nearly all, and they are asked again and again
        return False
    return any(base.__module__.partition(".")[0] == "pandas" for base in kind.__mro__)


def has(X: Any, name: str) -> bool:
    """Whether data has an attribute; of pandas, whether its class has it.

    A frame takes other names for those of its columns, and its index of strings enters `warnings.catch_warnings` then.
    """
    return hasattr(type(X), name) or (not is_pandas(X) and hasattr(X, name))


def is_frame(X: Any) -> bool:
    """Whether it is a pandas DataFrame."""
    # Asked of the class: `dtypes` of a frame is a computation, which enters `warnings.catch_warnings`.
    return is_pandas(X) and hasattr(type(X), "dtypes") and hasattr(type(X), "iloc") and hasattr(type(X), "columns")


def dtypes_of(frame: Any, most: int = MAX_COLUMNS) -> list[Any]:
    """The types of the first columns of a frame, of pandas or of any library whose frames have them at hand."""
    if is_pandas(frame):
        return [frame.iloc[:, n].dtype for n in range(min(most, len(frame.columns)))]
    return list(frame.dtypes)[:most]


def columns_of(frame: Any, most: int = MAX_COLUMNS) -> list[Any]:
    """The first columns of a frame, each a NumPy array or :class:`Values`."""
    return [_of_pandas(frame.iloc[:, n].array) for n in range(min(most, len(frame.columns)))]


def names_of(frame: Any, most: int) -> list[str]:
    """The names of the first columns of a frame, without their secrets."""
    return [masked_word(key_text(name)) for name in list(frame.columns[:most])]


def _of_pandas(array: Any) -> Any:
    inner = getattr(array, "_ndarray", None)
    # The codes of a categorical say nothing without its categories.
    if inner is not None and not hasattr(array, "categories"):
        return of_array(inner)
    return Values(len(array), 1, lambda start, stop: list(array[start:stop].tolist()))


def of_array(array: Any) -> Any:
    """A NumPy array as it is, but for one that holds objects."""
    if not array.dtype.hasobject:
        return array
    width = math.prod(array.shape[1:])
    return Values(len(array), width, lambda start, stop: array[start:stop].ravel().tolist())


def parts_of(X: Any) -> list[Any] | None:
    """Where all values lie, without a copy; None if they cannot be reached in place.

    Returns
    -------
    list of ndarray and Values, or None
    """
    if has(X, "nnz") and has(X, "indices"):
        return [X.indptr, X.indices, X.data]
    if has(X, "indices") and has(X, "dataset"):  # a Subset of PyTorch
        whole = parts_of(X.dataset)
        return None if whole is None else [_numbers(X.indices), *whole]
    if has(X, "tensors"):  # a TensorDataset; what lies on a device is not fetched
        on_host = all(_is_at_hand(tensor) for tensor in X.tensors)
        return [tensor.numpy() for tensor in X.tensors] if on_host else None
    if is_frame(X):
        return columns_of(X) if len(X.columns) <= MAX_COLUMNS else None
    if has(X, "filled") and has(X, "mask"):  # a masked array
        return [of_array(X.data), *([X.mask] if X.mask.shape else [])]
    if has(X, "__array_interface__"):
        return [of_array(X)]
    if has(X, "array") and is_pandas(X):
        return [_of_pandas(X.array)]
    if has(X, "detach") and has(X, "device"):
        return [X.numpy()] if _is_at_hand(X) else None
    if type(X) in (list, tuple):
        width = len(X[0]) if X and type(X[0]) in (list, tuple) else 1
        return [Values(len(X), width, lambda start, stop: list(X[start:stop]))]
    return None


def _is_at_hand(tensor: Any) -> bool:
    return tensor.device.type == "cpu" and not tensor.requires_grad


def _numbers(indices: Any) -> Any:
    """The indices of a Subset, which are a list, as a buffer."""
    numpy = sys.modules.get("numpy")
    return indices.numpy() if hasattr(indices, "numpy") or numpy is None else numpy.asarray(indices, dtype="int64")


def is_missing(value: Any) -> bool:
    """Whether a value stands for none: None, nan, and the NA and NaT of pandas."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(value, float) and value != value


def six_digits(value: float) -> float:
    """A number as it is recorded of data: a whole one of seven digits or more may be a customer's.

    Whole numbers stay whole.
    """
    return value if isinstance(value, int) and abs(value) < 10**6 else type(value)(float(f"{value:.6g}"))
