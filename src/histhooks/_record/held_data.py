"""Data that is held before a run has it: what an object of a framework was made of, and what a model is scored on."""

from __future__ import annotations

import sys
import time
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from histhooks._collect import fingerprint
from histhooks._host.store_location import data_mode

if TYPE_CHECKING:
    from contextvars import Token

    from histhooks._record.data_pieces import Piece

_LARGE = 1 << 20  # bytes, from which a reference is held instead of a copy


@dataclass(frozen=True, slots=True)
class HeldData:
    """Values that an object was made of, before it changed their form.

    Attributes
    ----------
    piece : Piece
    coverage : {'all', 'sample', 'none'}
        How much of them was hashed at once.
    content_hash : str or None
    """

    piece: Piece
    coverage: str
    content_hash: str | None


def hold_data(X: Any, y: Any, project: str) -> HeldData | None:
    """Hold data until a run asks for it; None if it cannot be read. Large data is looked at at once.

    Parameters
    ----------
    X, y : object
    project : str

    Returns
    -------
    HeldData or None
    """
    if data_mode() != "full" or "numpy" not in sys.modules:
        return None
    from histhooks._record.data_looks import looks
    from histhooks._record.run_looks import held_piece

    size = fingerprint.size_of(X)
    piece = held_piece(X, y, project, time.perf_counter(), size, waits_s=0.0)
    if piece is None:
        return None
    coverage, content_hash = fingerprint.content_of(X, y)
    if not piece.is_copy:
        looks.take(piece)
    return HeldData(piece, coverage, content_hash)


def let_go_of(held: HeldData) -> None:
    """The call that data was given to ends: what is no copy of it is not read any more."""
    if not held.piece.is_copy:
        from histhooks._record.data_looks import looks

        looks.let_go([held.piece])


class Scoring:
    """A call that scores a model on data."""

    __slots__ = ("_X", "_held", "_y")

    def __init__(self, X: Any, y: Any, held: HeldData | None) -> None:
        self._X, self._y, self._held = X, y, held

    def piece_of(self, X: Any, y: Any) -> Piece | None:
        """What is held of data, if it is that of the call."""
        return self._held.piece if self._held is not None and X is self._X and y is self._y else None


_scoring: ContextVar[Scoring | None] = ContextVar("histhooks_scoring", default=None)


def begin_scoring(X: Any, y: Any, project: str) -> tuple[Token[Scoring | None], HeldData | None]:
    """Hold large data that a model is scored on, until :func:`end_scoring`."""
    held = hold_data(X, y, project) if fingerprint.size_of(X) > _LARGE else None
    return _scoring.set(Scoring(X, y, held)), held


def end_scoring(begun: tuple[Token[Scoring | None], HeldData | None]) -> None:
    """The call that scores has ended."""
    token, held = begun
    if held is not None:
        let_go_of(held)
    _scoring.reset(token)


def scored_piece(X: Any, y: Any) -> Piece | None:
    """What the scoring that goes on holds of data."""
    call = _scoring.get()
    return None if call is None else call.piece_of(X, y)
