"""Keep what a call was given and gave, for the moment until it is counted."""

from __future__ import annotations

import sys
import weakref
from typing import Any

from histhooks._base.exceptions import answer

MOST_CALLS = 4096  # that wait with their rows; of those beyond, the rows are not counted
SMALL = 1 << 14  # bytes that are copied with no further look
ROOM = 1 << 25  # bytes of larger data that wait, beside one more of any size
_COPIED = 1 << 20  # bytes of one argument; of more, some rows

made: weakref.WeakKeyDictionary[Any, Any] = weakref.WeakKeyDictionary()  # DMatrix -> what it was made of


class Room:
    """How much more of large data may wait to be counted.

    Attributes
    ----------
    n_bytes : int
        Threads change it with no lock: it is about right, and full again with each look at the ring.
    """

    __slots__ = ("n_bytes",)

    def __init__(self) -> None:
        self.n_bytes = ROOM


class Rows:
    """How many rows some data has, where there is no room for it."""

    __slots__ = ("shape",)

    def __init__(self, data: Any) -> None:
        self.shape = (rows_in(data),)


class Some:
    """Some rows of data that is too large to be copied, and how many it has."""

    __slots__ = ("rows", "shape")

    def __init__(self, rows: Any, n_rows: int) -> None:
        self.rows, self.shape = rows, (n_rows,)


def snap(X: Any, room: Room) -> Any:
    """Data as it is now: a copy of what is small, some rows of what is large; no device is asked for anything."""
    return answer(None, _snap, X, room)  # an odd object of the program costs its own counts


def _snap(X: Any, room: Room) -> Any:
    numpy, torch = sys.modules.get("numpy"), sys.modules.get("torch")
    if numpy is not None and type(X) is numpy.ndarray:
        return _copied(X, X.nbytes, room) if X.shape else None
    if torch is not None and isinstance(X, torch.Tensor):
        if X.device.type != "cpu":
            return Rows(X)  # to fetch it would wait for the device
        return _copied(X.detach(), X.numel() * X.element_size(), room)
    if isinstance(X, (tuple, list)) and X and hasattr(X[0], "shape"):
        return _snap(X[0], room)
    kind = type(X)
    if str(kind.__module__).partition(".")[0] == "xgboost":
        return made.get(X, _Matrix(X))
    n_bytes = _bytes_of(X)
    if n_bytes > SMALL:
        if room.n_bytes <= 0:
            return Rows(X)
        room.n_bytes -= n_bytes
    return X.copy(deep=False) if hasattr(kind, "iloc") else X


def _copied(X: Any, n_bytes: int, room: Room) -> Any:
    """A copy of an array or a tensor; of a large one, of as many rows as fit, from all parts of it."""
    copy = X.clone if hasattr(X, "clone") else X.copy
    if n_bytes <= SMALL:
        return copy()
    n_rows, most = (len(X), _COPIED * len(X) // n_bytes) if X.shape else (1, 0)
    if room.n_bytes <= 0 or not most:
        return Rows(X)
    room.n_bytes -= min(n_bytes, _COPIED)
    if most >= n_rows:
        return copy()
    part = X[:: -(-n_rows // most)]
    return Some(part.clone() if hasattr(part, "clone") else part.copy(), n_rows)


def _bytes_of(X: Any) -> int:
    """About how many bytes an object keeps alive."""
    for name, each in (("nbytes", 1), ("nnz", 16)):
        n_there = getattr(X, name, None)
        if isinstance(n_there, int):
            return each * n_there
    shape = getattr(X, "shape", None)
    if isinstance(shape, tuple) and shape:
        return 8 * int(shape[0]) * (int(shape[1]) if len(shape) > 1 else 1)
    if isinstance(X, (list, tuple)) and X:
        return 32 * len(X) * (len(X[0]) if isinstance(X[0], (list, tuple)) else 1)
    return 0


def rows_in(*found: Any) -> int:
    """How many rows the first of some objects has that has any; 1 where none says so."""
    return answer(1, _rows_in, found)


def _rows_in(found: tuple[Any, ...]) -> int:
    for one in found:
        shape = getattr(one, "shape", None)
        if isinstance(shape, tuple) and len(shape) > 0:
            return int(shape[0])
    n_rows = getattr(found[0], "num_row", None)
    if callable(n_rows):
        return int(n_rows())
    for one in reversed(found):
        if isinstance(one, (list, tuple)) and one:
            return len(one[0]) if hasattr(one[0], "shape") and one[0].shape else len(one)
    return 1


class _Matrix:
    """The size of a DMatrix that nobody saw being made."""

    __slots__ = ("shape",)

    def __init__(self, matrix: Any) -> None:
        self.shape = (int(matrix.num_row()),)
