"""The thread that looks at data by content, beside the program.

Data is handed over as a :class:`Piece`. Small data was copied by then; of large data a reference is kept, which ends
with the call that it was given to (:meth:`Looks.let_go`): what is not done then stays a sample. Large data comes first,
small data waits a moment, so that a fit of some milliseconds has its processor to itself.

A look may take 20 ms of processor time or 2 % of its fit, whichever is more. Beyond that it waits for the fit to go on,
and other data is looked at meanwhile. All looks together take a share of the time of the program.
"""

from __future__ import annotations

import atexit
import contextlib
import pathlib as _pathlib  # as the next line
import threading
import time
import weakref
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import xxhash as _xxhash  # here, on a thread of the program: a fork would copy the lock of an import that goes on

from histhooks._host.failures import failures
from histhooks._host.row_key import row_key
from histhooks._host.store_location import is_strict

if TYPE_CHECKING:
    from histhooks._collect.content import Held
    from histhooks._record.data_pieces import Piece, Use

_SOON_S = 0.03  # that small data waits
_LEAST_S, _SHARE = 0.02, 0.02  # processor time of one fit
_LEAST_ALL_S, _SHARE_ALL = 1.0, 0.05  # processor time of all of them
_MOST_COPIED = 64 << 20  # bytes that wait
_MOST_ROWS = 64 << 20  # bytes of row hashes that are kept
_HANDOVER_S = 0.05  # that the end of a fit waits for the thread to let go of data
_HASHED_S = 0.005  # the same if its values are hashed, and its columns are looked at
_NAP_S = 0.5
_IMPORTED = (_pathlib, _xxhash)
_SLEEP_S = 1.0  # without work
_DEEPEST = 8
_END_S, _SIGNAL_S = 2.0, 0.1  # as `gathering` has them


class Looks:
    """The thread, what waits for it, and what is kept of what it saw.

    Attributes
    ----------
    cost_s : float, seconds
        Processor time of the thread.
    sample_of : callable or None
        Makes the sample of a data set by which columns are followed through transformers, where any are. It is given
        by a thread of the program: an import on this one would leave a forked child its lock.
    """

    def __init__(self) -> None:
        self.cost_s = 0.0
        self.sample_of: Callable[[Held], list[Any]] | None = None
        self._lock = threading.RLock()  # a signal may come while its own thread holds it
        self._due = threading.Event()
        self._is_asleep = False
        self._ended: weakref.WeakSet[Any] = weakref.WeakSet()
        self._acknowledged = threading.Condition(self._lock)
        self._thread: threading.Thread | None = None
        self._large: deque[Piece] = deque()
        self._small: deque[Piece] = deque()
        self._copied = 0
        self._rows: OrderedDict[Piece, int] = OrderedDict()
        self._rows_bytes = 0
        self._current: list[Piece] = []  # the innermost last
        self._used: dict[float, float] = {}  # processor time of the fit that began then
        self._mark = 0.0
        self._since = time.perf_counter()
        self._is_hurried = False
        self._is_stopped = False

    # --- on the threads of the program ----------------------------------------------------------------------------

    def take(self, piece: Piece, use: Use | None = None) -> None:
        """Have a piece looked at, and something done then; once for all uses of it."""
        with self._lock:
            if use is not None:
                piece.uses.append(use)
            is_waiting = piece.held is not None and not piece.is_done
            if is_waiting and (piece in self._large or piece in self._small or piece in self._current):
                return
            if is_waiting and not piece.is_let_go:
                is_copy = piece.is_copy
                if is_copy and self._copied + piece.size > _MOST_COPIED:
                    piece.held, piece.why = None, "more data waits than is kept"
                elif is_copy:
                    self._copied += piece.size
            else:
                is_copy = True
            (self._small if is_copy else self._large).append(piece)
            at_once = self._is_asleep or not is_copy
        self._wake(at_once=at_once)

    def let_go(self, pieces: list[Piece]) -> None:
        """Forget data that is no copy, since the call that it was given to ends; waits until none of it is read."""
        mine = [piece for piece in pieces if not piece.is_copy and not piece.is_let_go]
        if not mine:
            return
        with self._lock:
            for piece in mine:
                piece.is_let_go = True
                if piece not in self._current:
                    piece.held = None
            self._due.set()
            since = time.monotonic()
            while reading := [piece for piece in mine if piece.held is not None]:
                is_hashed = all(piece.is_hashed for piece in reading)
                left = since + (_HASHED_S if is_hashed else _HANDOVER_S) - time.monotonic()
                if left <= 0:
                    break
                self._acknowledged.wait(left)
            for piece in reading:
                piece.is_late, piece.is_spoilt, piece.why = True, not piece.is_hashed, "its fit had ended"
                piece.is_unmarked = piece.look is None or not piece.look.is_marked

    def end(self, owner: object, *, is_signal: bool) -> None:
        """Give what a session has here a short time."""
        deadline = time.monotonic() + (_SIGNAL_S if is_signal else _END_S)
        thread = self._thread
        with self._lock:
            self._is_hurried = True
            self._due.set()
            while self._is_busy_for(owner) and thread is not None and (left := deadline - time.monotonic()) > 0:
                self._acknowledged.wait(left)
            self._is_hurried = False
            self._ended.add(owner)
            for piece in (*self._large, *self._small, *self._current):
                piece.uses = [use for use in piece.uses if use.owner is not owner]

    def hand_over(self, owner: object, put: Callable[[Any], None], entries: list[Any]) -> None:
        """Give entries to a session, unless it has come to its end."""
        with self._lock:
            if owner not in self._ended:
                for entry in entries:
                    put(entry)

    def _is_busy_for(self, owner: object) -> bool:
        waiting = (*self._large, *self._small, *self._current)
        return any(use.owner is owner for piece in waiting for use in piece.uses)

    def stop(self) -> None:
        """The interpreter ends: what waits is done soon, and the thread must not run into that end."""
        self._is_hurried = True
        self.settle(_END_S)
        self._is_stopped = True
        self._due.set()
        if self._thread is not None:
            self._thread.join(_END_S)

    def settle(self, timeout_s: float) -> bool:
        """Wait until nothing waits to be looked at; False if that took longer."""
        deadline = time.monotonic() + timeout_s
        with self._lock:
            self._due.set()
            while self._large or self._small or self._current:
                left = deadline - time.monotonic()
                if left <= 0 or self._thread is None:
                    return False
                self._acknowledged.wait(left)
        return True

    def _wake(self, *, at_once: bool) -> None:
        if self._thread is None and not self._is_stopped:
            thread = threading.Thread(target=self._run, name="histhooks-data", daemon=True)
            with contextlib.suppress(RuntimeError):  # since Python 3.12 none begins on the way out
                thread.start()
                self._thread = thread
        if at_once:
            self._due.set()

    # --- on the thread --------------------------------------------------------------------------------------------

    def _run(self) -> None:
        self._mark = time.thread_time()
        idle = 0.0
        while not self._is_stopped:
            with self._lock:
                self._is_asleep = idle > _SLEEP_S and not self._small and not self._large
            begin = time.monotonic()
            self._due.wait(None if self._is_asleep else _SOON_S)
            self._due.clear()
            if self._is_asleep and not self._is_hurried and not self._large:
                self._due.wait(_SOON_S)
            self._is_asleep = False
            idle += time.monotonic() - begin
            while (piece := self._next()) is not None:
                idle = 0.0
                self._handle(piece)
                del piece

    def _next(self) -> Piece | None:
        with self._lock:
            if self._large:
                piece = self._large.popleft()
            elif self._small:
                piece = self._small.popleft()
                if piece.held is not None:
                    self._copied -= piece.size
            else:
                return None
            self._current.append(piece)
            return piece

    def _handle(self, piece: Piece) -> None:
        """Look at a piece, unless that was done, and do what waits for it."""
        try:
            self._charge()
            if not piece.is_done:
                self._look_at(piece)
            while True:
                with self._lock:
                    use = piece.uses[0] if piece.uses else None
                if use is None:
                    break
                try:
                    use.function(piece)
                finally:
                    with self._lock:
                        if use in piece.uses:
                            piece.uses.remove(use)
                    del use
        except Exception as error:
            failures.report("data", error)
            if is_strict():
                threading.excepthook(threading.ExceptHookArgs((type(error), error, error.__traceback__, self._thread)))
        finally:
            self._charge(piece)
            with self._lock:
                self._current.remove(piece)
                self._acknowledged.notify_all()

    def _look_at(self, piece: Piece) -> None:
        from histhooks._collect import content

        with self._lock:
            held = None if piece.is_let_go else piece.held
        if held is None:
            seen = content.Look()
            seen.why = piece.why or "its fit had ended"
        else:
            piece.key = row_key(piece.project)
            at, secret = self._columns_of(piece.train), piece.key.secret
            seen = piece.look = content.Look()
            content.look(held, key=secret, may_go_on=lambda: self._may_go_on(piece), at=at, into=seen)
            if self.sample_of is not None and seen.rows is not None and not piece.is_let_go:
                seen.sample = self.sample_of(held)
            if piece.is_let_go and (seen.share < 1.0 or seen.columns_why):
                piece.why = piece.why or "its fit had ended"
            if held.is_part:
                held.settle()
                piece.part = held
        del held
        with self._lock:
            piece.held, piece.train, piece.is_done = None, None, True
            if piece.is_late:  # the program may have changed it meanwhile
                seen.columns = []
            if piece.is_unmarked:
                seen.named = []
            if piece.is_spoilt:
                seen.digests, seen.rows = [], None
            piece.look, piece.rows = seen, seen.rows
            seen.rows = None
            self._keep_rows(piece)
            self._acknowledged.notify_all()

    def _columns_of(self, train: Piece | None) -> Any:
        if train is None:
            return None
        self.ensure(train)
        return None if train.look is None else train.look.columns

    def _keep_rows(self, piece: Piece) -> None:
        """Keep the hashes of rows, and forget those that were used longest ago."""
        if piece.rows is None:
            return
        marks = [] if piece.look is None else piece.look.named
        self._rows[piece] = piece.rows.nbytes + sum(one.nbytes for one in marks)
        self._rows_bytes += self._rows[piece]
        while self._rows_bytes > _MOST_ROWS and self._rows:
            oldest, size = self._rows.popitem(last=False)
            self._rows_bytes -= size
            oldest.rows, oldest.is_forgotten = None, True
            if oldest.look is not None:
                oldest.look.named = []

    def ensure(self, piece: Piece) -> None:
        """Look at a piece that still waits before anything else is done; on this thread only."""
        with self._lock:
            queue = next((queue for queue in (self._large, self._small) if piece in queue), None)
            if piece.is_done or queue is None or len(self._current) > _DEEPEST:
                return
            queue.remove(piece)
            if queue is self._small and piece.held is not None:
                self._copied -= piece.size
            self._current.append(piece)
        self._handle(piece)

    def used(self, piece: Piece) -> None:
        """Note that the rows of a piece were of use just now."""
        with self._lock:
            if piece in self._rows:
                self._rows.move_to_end(piece)

    # --- how much it may take ---------------------------------------------------------------------------------------

    def _charge(self, piece: Piece | None = None) -> None:
        """Count the processor time since the last mark, for the piece that it was used for."""
        now = time.thread_time()
        spent, self._mark = now - self._mark, now
        self.cost_s += spent
        piece = piece or (self._current[-2] if len(self._current) > 1 else None)
        if piece is not None:
            piece.cost_s += spent
            self._used[piece.begun_s] = self._used.get(piece.begun_s, 0.0) + spent
            if len(self._used) > 1024:
                self._used = {piece.begun_s: self._used[piece.begun_s]}

    def _may_go_on(self, piece: Piece) -> bool:
        """Whether a look goes on; asked for between blocks, and waits where the fit has time left."""
        self._charge(piece)
        if piece.is_let_go or self._is_over(piece):
            return False
        while not piece.is_copy and (left := self._time_until_allowed(piece)) > 0:
            if time.perf_counter() - piece.begun_s > piece.waits_s or self._is_hurried or len(self._current) > _DEEPEST:
                return False
            other = self._next()
            if other is not None:
                self._handle(other)
            else:
                self._due.wait(min(left, _NAP_S))
                self._due.clear()
            if piece.is_let_go:
                return False
        return True

    def _time_until_allowed(self, piece: Piece) -> float:
        used = self._used.get(piece.begun_s, 0.0)
        return used / _SHARE - (time.perf_counter() - piece.begun_s) if used > _LEAST_S else 0.0

    def _is_over(self, piece: Piece) -> bool:
        """Whether all looks together have taken what they may."""
        most = max(_LEAST_ALL_S, _SHARE_ALL * (time.perf_counter() - self._since))
        return self._is_stopped or (self.cost_s > most and self._used.get(piece.begun_s, 0.0) > _LEAST_S)


looks = Looks()


def forget() -> None:
    """In a forked child: the thread is not there, and what waits is the parent's."""
    global looks
    _kept.append(looks)
    looks = Looks()


_kept: list[Looks] = []  # what is under way in the parent has finalizers that are none of the child's business


@atexit.register
def _at_exit() -> None:
    looks.stop()
