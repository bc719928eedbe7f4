"""Push a store to a database: ask what is there, send what is missing, one transaction after the other."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import fields
from pathlib import Path
from typing import Any

from histhooks.errors import TeamError
from histhooks.team._batch import Altered, Batch, Head, Line
from histhooks.team._outgoing import Outgoing
from histhooks.team._pushed import Pushed
from histhooks.team._read_store import read_store, remember, state_of_store, was_verified
from histhooks.team.postgres import sending
from histhooks.team.postgres.address import Database
from histhooks.team.postgres.connecting import check_version, connect, driver, failed, transaction
from histhooks.team.postgres.dialect import encoded
from histhooks.team.postgres.receipts import NOW
from histhooks.team.postgres.standing import Standing, standing_of

Progress = Callable[[int, int], None]
_TRIES = 5
_TO_PUSH = "the right to push: GRANT histhooks_writer TO your role"
_TO_REMOVE = (
    "it deletes or redacts, which takes the right of a curator: GRANT histhooks_curator TO {role}, or a curator pushes "
    "this store"
)
_OF_ANOTHER = "another role pushed its beginning, and pushes the rest; or a curator does"
# Of each store and target, the last line of each session whose rows this process saw to fit: of a live store, which is
# pushed again and again, only what is new is verified.
_verified: dict[tuple[Path, str], dict[str, int]] = {}


class Pushing:
    """A connection to a target, for one push or for many.

    Parameters
    ----------
    database : Database
    """

    def __init__(self, database: Database) -> None:
        self.database = database
        self._connection: Any = None
        self._standing: Standing | None = None
        self._verified: dict[str, int] = {}

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connected(self) -> Any:
        if self._connection is None or self._connection.closed:
            self._connection = connect(self.database, is_push=True)
            check_version(self._connection, self.database)
            self._standing = standing_of(self._connection, self.database)
        return self._connection

    def push(
        self, path: Path, runs: Iterable[str] | None = None, *, dry_run: bool = False, progress: Progress | None = None
    ) -> Pushed:
        """Push what is missing.

        Parameters
        ----------
        path : Path
            The store.
        runs : iterable of str, optional
            Ids of runs: only the sessions that wrote of them.
        dry_run : bool
        progress : callable, optional
            Called with the lines that were sent and all there are.

        Raises
        ------
        TeamError
        """
        psycopg = driver()
        done = Pushed(path, self.database.shown)
        before = state_of_store(path)
        self._verified = _verified.setdefault((path.absolute(), self.database.shown), {})
        try:
            with read_store(path, done) as store:
                if not self._verified and was_verified(path, before):
                    self._verified.update({key: seq for key, (seq, _) in store.heads().items()})
                wanted = None if runs is None else store.sessions_of(runs)
                for turn in range(_TRIES):
                    try:
                        is_done = self._attempt(store, wanted, done, dry_run=dry_run, progress=progress)
                    except psycopg.errors.DeadlockDetected:  # with an upgrade; its transaction was taken back
                        if turn + 1 == _TRIES:
                            raise
                        continue
                    if is_done:
                        if done.ok and wanted is None:
                            remember(path, before)
                        return done
            raise TeamError(f"others push the same sessions to {self.database.shown} all the time; try again")
        except psycopg.Error as error:
            self.close()
            raise failed(error, self.database, _TO_PUSH, is_push=True) from error
        except sqlite3.DatabaseError as error:
            raise TeamError(f"{path} cannot be read ({error}); restore it from a copy") from error

    def _attempt(
        self, store: Outgoing, wanted: set[str] | None, done: Pushed, *, dry_run: bool, progress: Progress | None
    ) -> bool:
        """Push all that is missing; False if somebody else pushed some of it meanwhile."""
        connection = self._connected()
        heads = {key: head for key, head in store.heads().items() if wanted is None or key in wanted}
        assert self._standing is not None
        refused = {fork["session_id"] for fork in done.forks}
        known = self._known(connection, store, heads, done, refused)
        self._check_known(store, heads, known, done, refused, is_dry=dry_run)
        lines = store.lines(known)
        self._withhold(store, lines, done, refused)
        last_grave = store.last_grave(lines)
        place = 0
        while place < len(lines):
            try:
                batch, after = store.batch(lines, place, refused, last_grave)
                if batch.lines and not dry_run:
                    with transaction(connection, self.database.schema):
                        sent = sending.send(connection, self.database.schema, batch, store, self._standing)
                    _count(done, sent)
                elif batch.lines:
                    _count_dry(done, batch)
                done.lines += len(batch.lines)
            except Altered as altered:
                self._refuse_altered(altered, store, done, refused, is_dry=dry_run)
                continue
            except sending.Fork as fork:
                refused.add(fork.session_id)
                self._fork(store, done, fork.session_id, fork.what, None, fork.digests, is_dry=dry_run)
                continue
            except sending.Moved:
                return False
            place = after
            if progress is not None:
                progress(place, len(lines))
        if not dry_run:
            self._beat(connection, store, heads)
        self._verified.update({key: seq for key, (seq, _) in heads.items() if key not in refused})
        return True

    def _withhold(self, store: Outgoing, lines: list[Line], done: Pushed, refused: set[str]) -> None:
        """Leave out what removes rows where the role may not: it waits in the store, and nothing is lost."""
        if self._standing is None or self._standing.is_curator:
            return
        for session_id in sorted({lines[place].session_id for place in store.graves_among(lines)} - refused):
            refused.add(session_id)
            why = _TO_REMOVE.format(role=self._standing.role)
            done.left_out.append({"what": f"session {session_id}", "why": why})
        store.withhold(refused)

    def _check_known(
        self, store: Outgoing, heads: dict[str, Head], known: dict[str, int], done: Pushed, refused: set[str],
        *, is_dry: bool,
    ) -> None:  # fmt: skip
        """What the target has already was not changed here since."""
        for session_id, (seq, _) in heads.items():
            upto = known.get(session_id, seq)
            after = self._verified.get(session_id, -1)
            if session_id in refused or after >= upto:
                continue
            try:
                store.check(session_id, after, upto)
            except Altered as altered:
                self._refuse_altered(altered, store, done, refused, is_dry=is_dry)

    def _known(
        self, connection: Any, store: Outgoing, heads: dict[str, Head], done: Pushed, refused: set[str]
    ) -> dict[str, int]:
        """The last line that the target has of each session that it lacks lines of; forks are refused."""
        with transaction(connection, self.database.schema):
            sql = "SELECT session_id, seq, digest, same, is_mine FROM hh_heads(%s::text[], %s::bigint[])"
            rows = connection.execute(sql, (list(heads), [seq for seq, _ in heads.values()])).fetchall()
        found = dict.fromkeys(heads, -1)
        may_add_to_all = self._standing is not None and self._standing.is_curator
        for session_id, seq, digest, same, is_mine in rows:
            mine, own = heads[session_id]
            ours = own if mine <= seq else store.digest(session_id, seq)
            theirs = same if mine <= seq else digest
            if ours != theirs:
                if session_id not in refused:
                    refused.add(session_id)
                    self._fork_lines(connection, store, done, session_id, min(mine, seq))
            elif mine > seq and (is_mine or may_add_to_all):
                found[session_id] = seq
                continue
            elif mine > seq and session_id not in refused:
                refused.add(session_id)
                done.left_out.append({"what": f"session {session_id}", "why": _OF_ANOTHER})
            del found[session_id]
        return found

    def _fork_lines(self, connection: Any, store: Outgoing, done: Pushed, session_id: str, last: int) -> None:
        """Say which line differs first."""
        with transaction(connection, self.database.schema):
            sql = "SELECT seq, digest FROM ledger WHERE session_id = %s AND seq <= %s ORDER BY seq"
            theirs = connection.execute(sql, (session_id, last)).fetchall()
        for seq, digest in theirs:
            own = store.digest(session_id, seq)
            if own != digest:
                self._fork(store, done, session_id, f"ledger line {seq}", seq, (digest, own or "-"))
                return
        self._fork(store, done, session_id, f"ledger line {last}", last, ())

    def _refuse_altered(
        self, altered: Altered, store: Outgoing, done: Pushed, refused: set[str], *, is_dry: bool = False
    ) -> None:
        refused.add(altered.session_id)
        if altered.is_absent:
            done.left_out.append({"what": f"session {altered.session_id}", "why": altered.what})
            return
        what = f"{altered.what} is not what the ledger of this store covers"
        self._fork(store, done, altered.session_id, what, altered.seq, (), is_dry=is_dry)

    def _fork(
        self, store: Outgoing, done: Pushed, session_id: str, what: str, seq: int | None, digests: tuple[str, ...],
        *, is_dry: bool = False,
    ) -> None:  # fmt: skip
        done.forks.append({"session_id": session_id, "what": what, "seq": seq, "digests": list(digests)})
        if is_dry:
            return
        ours, theirs = (*digests, None, None)[:2]
        with transaction(self._connected(), self.database.schema) as connection:
            sql = (
                "INSERT INTO conflicts (session_id, what, seq, digest, other_digest, store_id, found_at) "
                f"VALUES (%s, %s, %s, %s, %s, %s, {NOW}) ON CONFLICT DO NOTHING"
            )
            words = encoded(what)
            connection.execute(sql, (session_id, words, seq, ours, theirs, store.store_id()))

    def _beat(self, connection: Any, store: Outgoing, heads: dict[str, Head]) -> None:
        beats = [(key, at) for key, at in store.heartbeats() if key in heads]
        if beats:
            with transaction(connection, self.database.schema):
                sending.heartbeats(connection, beats)


def _count(done: Pushed, sent: sending.Sent) -> None:
    for each in fields(sent):
        if each.name != "receipt":
            setattr(done, each.name, getattr(done, each.name) + getattr(sent, each.name))
    if sent.receipt is not None:
        done.receipt = {"seq": sent.receipt[0], "digest": sent.receipt[1]}


def _count_dry(done: Pushed, batch: Batch) -> None:
    done.rows += batch.n_rows
    done.points += sum(len(curve.points) for curve in batch.curves.values())
    done.runs += sum(batch.begins(row[0]) for row in batch.rows.get("runs", {}).values())
    done.sessions += sum(base < 0 for base in batch.base.values())
