"""A session of kind `command`: a change that a person makes to a store, written at once, without a thread.

A change and its ledger line are one transaction.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from histhooks._base.clock import iso, now_us
from histhooks._base.ids import new_id, short_id
from histhooks._collect import survey
from histhooks._host.store_location import is_copy_of_target, is_target
from histhooks._store import settle as _settle
from histhooks._store.assembler import Assembler
from histhooks._store.connection import is_busy
from histhooks._store.data_rows import Rows, free_ordinals
from histhooks._store.entries import Entry, row_entry, state_entry
from histhooks._store.ledger import canonical
from histhooks._store.spools import merge_waiting, waiting
from histhooks._store.store import Store
from histhooks.errors import QueryError, StoreError
from histhooks.history import History

if TYPE_CHECKING:
    from types import TracebackType

PATIENCE_S = 30.0
_OF_TARGETS = "a target is changed by what is pushed to it: `histhooks pull`, change that file, push it"


Personal = dict[str, str | None]


class CommandSession:
    """A store that is open for a change by a person.

    Spools of sessions that have ended are merged first, and sessions whose process is gone are settled.

    Parameters
    ----------
    store : str or path, optional
        By default the store that is found here.
    command : str
        The command, without texts that may have to be erased later.
    kept : callable, optional
        Filters the personal values of this session, None for those that may not be kept: erasing a name must not write
        it again.
    patience_s : float, seconds
        How long to wait for another writer.

    Raises
    ------
    StoreError
        If there is no store, it cannot be written, or another process holds it.
    """

    def __init__(
        self,
        store: str | os.PathLike[str] | None,
        command: str,
        *,
        kept: Callable[[Personal], Personal] = dict,
        patience_s: float = PATIENCE_S,
    ) -> None:
        refuse_target(store)
        with History(store) as history:
            self.path = history.path
        if is_copy_of_target(self.path):
            raise StoreError(_OF_TARGETS)
        self.id = new_id()
        self._assembler = Assembler(self.id, _refuse)
        facts, personal, details = survey.session_facts()
        self._personal = kept({**personal, "command": command})
        self._facts = {**facts, "kind": "command", "started_at": iso(now_us()), "details": details}
        self.actor = self._personal.get("actor")
        self._is_begun = self._is_ended = False
        with self._waiting_for_others():
            self.store = Store(self.path, timeout_s=patience_s)
        self.connection = self.store.connection

    def __enter__(self) -> CommandSession:
        try:
            with self._waiting_for_others():
                merge_waiting(self.store)
                if _settle.dead_sessions(self.store, self.id):
                    with self.store.transaction(is_durable=True):  # others may settle them just now
                        dead = _settle.dead_sessions(self.store, self.id)
                        if dead:
                            self._write(dead, is_last=False)
        except BaseException:
            self.store.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        try:
            if self._is_begun and not self._is_ended:
                with self._waiting_for_others(), self.store.transaction(is_durable=True):
                    self._write([], status="finished" if error is None else "failed")
        finally:
            self.store.close()

    @contextmanager
    def deed(self) -> Iterator[list[Entry]]:
        """One transaction.

        Yields
        ------
        list of tuple
            To be filled with the entries to write; if it stays empty, nothing is written.
        """
        entries: list[Entry] = []
        with self._waiting_for_others(), self.store.transaction(is_durable=True):
            yield entries
            if entries:
                self._write(entries)

    def head(self) -> tuple[int, str, int]:
        """The number, the digest and the time of a line of this session that chains all lines that are there."""
        with self._waiting_for_others(), self.store.transaction(is_durable=True):
            self._write([], is_last=False)
        sql = "SELECT seq, digest, time FROM ledger WHERE session_id = ? ORDER BY seq DESC LIMIT 1"
        seq, digest, time = self.connection.execute(sql, (self.id,)).fetchone()
        return int(seq), str(digest), int(time)

    @contextmanager
    def _waiting_for_others(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            if is_busy(error):
                raise StoreError(f"{self.path} is in use by another writer ({error}); try again") from error
            raise StoreError(f"{self.path} cannot be written ({error}); nothing was changed") from error

    def _write(self, entries: list[Entry], *, is_last: bool = True, status: str = "finished") -> None:
        if not self._is_begun:
            self._assembler.begin(self.store.heads())
        facts: dict[str, Any] = {} if self._is_begun else dict(self._facts)
        facts["status"] = status if is_last else "running"
        if is_last:
            facts["ended_at"] = iso(now_us())
            if self._assembler.previous is not None:
                facts["ledger_head"] = self._assembler.previous
        personal = None if self._is_begun else self._personal
        known = {key: value for key, value in facts.items() if value is not None}
        batch = self._assembler.build([state_entry("session", self.id, known, personal), *entries])
        self.store.write(batch)
        self._assembler.done(batch)
        self._is_begun, self._is_ended = True, is_last

    # --- what deeds share -----------------------------------------------------------------------------------------

    def rows(self, sql: str, *values: Any) -> list[dict[str, Any]]:
        """Rows of a query."""
        cursor = self.connection.execute(sql, values)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor]

    def find(self, selectors: tuple[str, ...], *, is_exact: bool = False) -> list[dict[str, Any]]:
        """Rows of `runs` for some selectors.

        Parameters
        ----------
        selectors : tuple of str
        is_exact : bool
            Whether to refuse an ambiguous selector, as for a change that cannot be undone; `job:ID` and `group:NAME`
            then mean all runs of a job or a group.

        Raises
        ------
        QueryError
            If a selector means none, or several.
        StoreError
            If a run has not come home yet.
        """
        found, said = [], list[str]()
        with History(self.path) as history:
            history.tell = said.append
            for selector in selectors:
                if is_exact and selector.startswith(("job:", "group:")):
                    found += [run.row for run in history.select(selector)]
                else:
                    found.append(history.run(selector).row)
                if said and is_exact:
                    raise QueryError(
                        f"{selector!r} could mean another run ({said[0]}); name the one you mean by its id, such as "
                        f"{short_id(found[-1]['id'])}"
                    )
        for row in found:
            if not self.rows("SELECT 1 FROM runs WHERE id = ?", row["id"]):
                raise StoreError(
                    f"run {short_id(row['id'])} {row['name']!r} still lies in the spool of its session, which has not "
                    "ended; try again when it has, or run `histhooks sync`"
                )
        return found

    def spool_of(self, session_id: str) -> Path | None:
        """The spool that a session goes on in, where it waits."""
        return next((path for path in waiting(self.path) if path.stem == session_id), None)

    def not_before_states_of(self, subject_id: str) -> None:
        """Make this session's states of a subject the latest ones, whatever the clocks of other sessions were."""
        ((latest,),) = self.connection.execute("SELECT max(time) FROM states WHERE subject_id = ?", (subject_id,))
        self._assembler.not_before(latest or 0)

    def rows_of_runs(self, rows: Rows) -> list[Entry]:
        """The entries of rows that runs get beside those that they have."""
        self._assembler.number_from(free_ordinals(self.id, rows))
        return [row_entry(table, row["run_id"], row) for table, row in rows]

    def tombstone(self, action: str, subject_id: str, digests: list[str], reason: str) -> Entry:
        """The entry of a tombstone."""
        row: dict[str, Any] = {"session_id": self.id, "action": action, "subject_id": subject_id, "reason": reason}
        row |= {"digests": canonical(digests).decode("ascii"), "actor": self.actor}
        return row_entry("tombstones", self.id, {**row, "time": now_us()})


def refuse_target(store: str | os.PathLike[str] | None) -> None:
    """Say that the target of a team is not changed in place; a file that is named as one is.

    Raises
    ------
    StoreError
    """
    if is_target(store) and not str(store).startswith("sqlite:"):
        raise StoreError(_OF_TARGETS)


def _refuse(run: Any, text: str) -> None:
    raise StoreError(text)
