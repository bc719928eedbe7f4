"""What was predicted by one version in this process: calls in a ring, which another thread makes counts of."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from histhooks._base.clock import iso
from histhooks._base.exceptions import UnansweredError, ask, message_of, name_of
from histhooks._base.ids import new_id
from histhooks._base.tallies import add, add_columns, power_of_two
from histhooks._collect.content_blocks import Unreadable
from histhooks._collect.content_kept import keep
from histhooks._collect.content_tables import table_of
from histhooks._collect.window_counts import count, outputs_of
from histhooks._host.messages import warn_once
from histhooks._record.engine import engine
from histhooks._store.entries import capture_entry, row_entry
from histhooks._watch.kept import ROOM, Room, Rows, Some, rows_in

if TYPE_CHECKING:
    from histhooks._watch.known import Version

_MOST_AT_ONCE = 2000  # rows of calls that are counted as one array

# X, what was predicted, whether it is a score, seconds before and after, whether it raised
Call = tuple[Any, Any, bool, float, float, bool]


class Tally:
    """The counts of one version since the last window.

    Parameters
    ----------
    version : Version
    """

    def __init__(self, version: Version) -> None:
        self.version = version
        self.ring: deque[Call] = deque()
        self.room = Room()
        self.is_module = False  # of PyTorch, which is watched in eval mode
        self.array = _class_of_arrays()
        self._lock = threading.Lock()
        self._is_told = False
        self._begin()

    def _begin(self) -> None:
        self.began_us = self.ended_us = 0
        self.n_calls = self.n_rows = self.n_errors = 0
        self.latency: dict[str, int] = {}
        self.columns: dict[int, dict[str, Any]] = {}
        self.outputs: dict[str, Any] = {}

    def forget(self) -> None:
        """In a forked child: what waits belongs to the parent."""
        self.ring = deque()
        self._lock = threading.Lock()
        self._begin()

    def drain(self) -> None:
        """Count the calls that wait."""
        self.array = self.array or _class_of_arrays()
        if not self.ring or not self._lock.acquire(timeout=1.0):
            return
        try:
            offset = time.time() - time.perf_counter()
            held: list[Any] = []
            while waiting := len(self.ring):
                self.room.n_bytes = ROOM
                for _ in range(waiting):
                    held = self._take(self.ring.popleft(), held, offset)
                self._count_rows(held)
                held = []
        finally:
            self._lock.release()

    def _take(self, call: Call, held: list[Any], offset: float) -> list[Any]:
        X, result, is_score, begun, ended, has_failed = call
        now = int((ended + offset) * 1e6)
        self.began_us = self.began_us or int((begun + offset) * 1e6)
        self.ended_us = max(self.ended_us, now)
        self.n_calls += 1
        self.n_errors += has_failed
        cell = power_of_two(int((ended - begun) * 1e6))
        self.latency[cell] = self.latency.get(cell, 0) + 1
        n = 0 if has_failed else rows_in(X, result)
        self.n_rows += n
        if has_failed:
            return held
        self._count_outputs(result, is_score)
        if X is None or not self.version.edges or type(X) is Rows:
            return held
        X = X.rows if type(X) is Some else X
        if held and not _are_alike(held[0], X):
            self._count_rows(held)
            held = []
        held.append(X)
        if len(held) >= _MOST_AT_ONCE:
            self._count_rows(held)
            return []
        return held

    def _count_rows(self, held: list[Any]) -> None:
        """Count rows of several calls at once, where they are arrays of one shape; else one after the other."""
        if not held:
            return
        held = _joined(held)
        for X in held:
            try:
                add_columns(self.columns, ask(self._counted, X))
            except UnansweredError as error:  # odd data of the program costs its own counts
                self._cannot(error)

    def _count_outputs(self, result: Any, is_score: bool) -> None:
        try:
            add(self.outputs, ask(self._counted_outputs, result, is_score))
        except UnansweredError as error:  # odd outputs of the program cost their own counts
            self._cannot(error)

    def _counted(self, X: Any) -> list[dict[str, Any]]:
        return count(table_of(keep(X, 0)), self.version.edges, self.version.key)

    def _counted_outputs(self, result: Any, is_score: bool) -> dict[str, Any]:
        return outputs_of(_plain(result), self.version.key, is_score=is_score, classes=self.version.classes)

    def _cannot(self, error: UnansweredError) -> None:
        if not self._is_told:
            self._is_told = True
            # The text of an exception of the program, or of a library, may have a value of the data.
            why = message_of(error) if type(error.error) is Unreadable else name_of(error)
            note = f"{self.version.name}: rows are not counted: {why}"[:500]
            warn_once(f"watch/rows/{self.version.id}", note)
            engine.session.buffer.append(capture_entry(engine.session.id, None, "watch", "failed", note))

    def window(self) -> bool:
        """Give what was counted to the writer, as one window.

        Returns
        -------
        bool
            Whether there was anything.
        """
        self.drain()
        if not self.n_calls or not self._lock.acquire(timeout=1.0):
            return False
        try:
            session_id = engine.session.id
            row = {
                "id": new_id(), "session_id": session_id, "model": self.version.model, "version_id": self.version.id,
                "sha256": self.version.sha256, "started_at": iso(self.began_us), "ended_at": iso(self.ended_us),
                "n_calls": self.n_calls, "n_rows": self.n_rows, "n_errors": self.n_errors,
                "latency": _json(self.latency), "columns": _json([_sparse(one) for one in self.columns.values()]),
                "outputs": _json(self.outputs), "source": "live", "time": self.ended_us,
            }  # fmt: skip
            known = engine.session.watched
            known[self.version.name] = known.get(self.version.name, 0) + self.n_rows
            self._begin()
        finally:
            self._lock.release()
        engine.session.buffer.append(row_entry("windows", session_id, row))
        return True


def _class_of_arrays() -> Any:
    return getattr(sys.modules.get("numpy"), "ndarray", None)


def _joined(held: list[Any]) -> list[Any]:
    """Rows of several calls as one array or one frame, which is counted at once; as they are if they do not fit."""
    numpy, pandas = sys.modules.get("numpy"), sys.modules.get("pandas")
    if len(held) < 2 or numpy is None:
        return held
    if type(held[0]) is numpy.ndarray and held[0].ndim == 2:
        return [numpy.concatenate(held)]
    if pandas is not None and type(held[0]) is getattr(pandas, "DataFrame", None):
        names = list(held[0].columns)
        if all(list(one.columns) == names for one in held):
            return [pandas.concat(held, ignore_index=True)]
    torch = sys.modules.get("torch")
    if torch is not None and type(held[0]) is torch.Tensor and held[0].ndim == 2:
        return [torch.cat(held)]
    return held


def _sparse(column: dict[str, Any]) -> dict[str, Any]:
    """Counts without those that are 0."""
    return {key: value for key, value in column.items() if value != 0 or key == "position"}


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def _plain(result: Any) -> Any:
    """What a model put out as something that NumPy reads; the first of several outputs."""
    if type(result) is Rows:
        return []
    result = result.rows if type(result) is Some else result
    while isinstance(result, (tuple, list)) and result and hasattr(result[0], "shape"):
        result = result[0]
    if isinstance(result, dict) and result:
        result = next((one for one in result.values() if hasattr(one, "shape")), None)
    if hasattr(result, "detach"):
        result = result.detach()
        return result.float().numpy() if str(result.dtype) in ("torch.bfloat16", "torch.float16") else result.numpy()
    return [] if result is None else result


def _are_alike(one: Any, other: Any) -> bool:
    return (
        type(one) is type(other)
        and getattr(one, "dtype", None) == getattr(other, "dtype", None)
        and getattr(one, "shape", (0,))[1:] == getattr(other, "shape", (0,))[1:]
    )
