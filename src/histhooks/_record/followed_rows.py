"""The rows of one session that went through transformers, on their way to the thread that looks at data."""

from __future__ import annotations

import time
import weakref
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from histhooks._collect.content import FAILURES, hold
from histhooks._collect.flows import Flows, Step, Transformer, sample_of
from histhooks._host.row_key import row_key
from histhooks._record import data_looks
from histhooks._record.data_pieces import Piece, Use

if TYPE_CHECKING:
    from histhooks._collect.content import Held
    from histhooks._record.session import Session

MOST = 256  # calls of transformers that are followed


class _Later:
    """Data that is looked at later: a copy if it is small, else a reference that keeps nothing alive."""

    __slots__ = ("_held", "_reference")

    def __init__(self, X: Any) -> None:
        held = hold(X)
        self._held: Held | None = held if held.is_copy else None
        self._reference: Callable[[], Any] = lambda: None
        if self._held is None:
            try:
                self._reference = weakref.ref(X)
            except TypeError:
                pass  # it is not followed

    def get(self) -> Held | None:
        """The data, unless it is gone."""
        if self._held is not None:
            return self._held
        X = self._reference()
        return None if X is None else hold(X, copy_up_to=0)


class FollowedRows:
    """What transformers of a session were fitted on, and what came out of them.

    Attributes
    ----------
    notes : list of str
        What is not followed, and why; each once.
    """

    def __init__(self) -> None:
        self.notes: list[str] = []
        self._waiting: deque[tuple[Transformer, str, _Later, _Later]] = deque()
        self._flows = Flows()
        self._secret: bytes | None = None
        self._count = 0

    def came_out(self, session: Session, project: str, transformer: Transformer, X: Any, out: Any) -> None:
        """Follow rows through a transformer; on a thread of the program.

        Parameters
        ----------
        session : Session
        project : str
            Whose key rows are hashed with.
        transformer : Transformer
        X, out : array-like of n_samples rows
            What went in, and what came out.
        """
        self._count += 1
        data_looks.looks.sample_of = sample_of
        if self._count > MOST:
            self._note(f"no more than {MOST} calls of transformers are followed")
            return
        self._waiting.append((transformer, project, _Later(X), _Later(out)))
        nothing = Piece(None, project, 0, time.perf_counter(), waits_s=0.0)
        nothing.is_done = True
        data_looks.looks.take(nothing, Use(lambda _: self.catch_up(), session))

    def catch_up(self) -> None:
        """Hash the rows that wait; on the thread that looks at data."""
        while self._waiting:
            transformer, project, into, out = self._waiting.popleft()
            X, result = into.get(), out.get()
            if X is None or result is None:
                continue  # the program has let go of it
            secret = row_key(project).secret
            if self._secret is None:
                self._secret = secret
            try:
                is_whole = secret != self._secret or self._flows.passed(transformer, X, result, secret)
            except FAILURES:
                self._note(f"rows that went through {transformer.class_name} could not be read")
                continue
            if not is_whole:
                self._note("of large data, rows at even distances are followed through transformers")

    def steps(self, piece: Piece) -> list[Step]:
        """The transformers that data came out of; on the thread that looks at data."""
        self.catch_up()
        if piece.rows is None or piece.look is None or piece.key is None or piece.key.secret != self._secret:
            return []
        return self._flows.trace(piece.rows, piece.look.sample)

    def _note(self, note: str) -> None:
        if note not in self.notes:
            self.notes.append(note)
