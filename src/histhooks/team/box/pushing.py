"""Push a store into a drop box: list what is there, and write files with the lines that are missing."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from histhooks._base.clock import iso, now_us
from histhooks.errors import TeamError
from histhooks.team._batch import Altered, Batch, Line
from histhooks.team._outgoing import Outgoing
from histhooks.team._pushed import Pushed
from histhooks.team._read_store import read_store, remember, state_of_store, was_verified
from histhooks.team._workplace import workplace
from histhooks.team.box import clearing, receipts
from histhooks.team.box.address import Box
from histhooks.team.box.drops import Drop, drops_in, lines_of, name_of, pack
from histhooks.team.box.files import send_files
from histhooks.team.box.gathering import BEATS, beat_of
from histhooks.team.box.memory import Memory
from histhooks.team.box.places import Gone, Place, place_of

Progress = Callable[[int, int], None]
_FEW = 50  # sessions whose files are listed one after the other; of more the whole box is
CONFLICTS = "conflicts"
# Of each store and box, the last line of each session whose rows this process saw to fit.
_verified: dict[tuple[Path, str], dict[str, int]] = {}


class BoxPushing:
    """One push of a store into a box.

    Parameters
    ----------
    box : Box
    """

    def __init__(self, box: Box) -> None:
        self.box = box

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
        done = Pushed(path, self.box.shown)
        before = state_of_store(path)
        place = place_of(self.box, may_make=not dry_run)
        memory = Memory(self.box)
        try:
            with workplace(None) as folder:
                tombs = clearing.known(place, folder)
                others = tombs.concerning(path)
                with read_store(path, done, [file for files in others.values() for file in files]) as store:
                    attempt = _Attempt(place, memory, store, done, folder, is_dry=dry_run)
                    attempt.verified = _verified.setdefault((path.absolute(), self.box.shown), {})
                    if not attempt.verified and was_verified(path, before):
                        attempt.verified.update({key: seq for key, (seq, _) in store.heads().items()})
                    wanted = set(store.heads()) if runs is None else store.sessions_of(runs)
                    attempt.run(wanted - others.keys(), progress)
                    if not dry_run:
                        send_files(place, path, store.connection, None if runs is None else wanted, done)
                if not dry_run:
                    clearing.clear(self.box, place, tombs.seen, folder, done)
                    receipts.leave(place, attempt.store_id, attempt.sent, done)
        except sqlite3.DatabaseError as error:
            raise TeamError(f"{path} cannot be read ({error}); restore it from a copy") from error
        finally:
            memory.save()
        if done.ok and runs is None and not dry_run:
            remember(path, before)
        return done


class _Attempt:
    """What is missing goes: lines of one session after the other, those with tombstones first."""

    def __init__(
        self, place: Place, memory: Memory, store: Outgoing, done: Pushed, folder: Path, *, is_dry: bool
    ) -> None:
        self.place, self.memory, self.store, self.done, self.folder = place, memory, store, done, folder
        self.is_dry = is_dry
        self.store_id = store.store_id()
        self.sent: dict[str, tuple[int, str]] = {}
        self.verified: dict[str, int] = {}
        self._states: dict[str, str] = {}
        self._refused = {fork["session_id"] for fork in done.forks}

    def run(self, wanted: set[str], progress: Progress | None) -> None:
        """Send what is missing of some sessions."""
        heads = {key: head for key, head in self.store.heads().items() if key in wanted}
        known = {key: self._known(key, drops, heads[key][0]) for key, drops in self._listed(heads).items()}
        missing = {key: seq for key, seq in known.items() if key not in self._refused and seq < heads[key][0]}
        by_session: dict[str, list[Line]] = {}
        for line in self.store.lines(missing):
            by_session.setdefault(line.session_id, []).append(line)
        graves = {key: self.store.last_grave(lines) for key, lines in by_session.items()}
        count, total = 0, sum(map(len, by_session.values()))
        for session_id in sorted(by_session, key=lambda key: graves[key] < 0):  # else in the order of their lines
            self._send(by_session[session_id], graves[session_id])
            count += len(by_session[session_id])
            if progress is not None:
                progress(count, total)
        for key, (seq, _) in heads.items():
            if key not in self._refused:
                self.verified[key] = seq
        if not self.is_dry:
            self._beat(heads)

    def _listed(self, heads: dict[str, Any]) -> dict[str, list[Drop]]:
        if len(heads) > _FEW:
            files = self.place.files()
        else:
            files = {name: state for key in heads for name, state in self.place.files(key).items()}
        self._states = files
        found = drops_in(files)
        return {key: found.get(key, []) for key in heads}

    def _known(self, session_id: str, drops: list[Drop], head: int) -> int:
        """The last line that the box has of a session, -1 for none; a fork is refused.

        Files that cannot be read, or have not what their names say, are as good as not there: they are written again.
        """
        there = -1
        for drop in drops:
            if drop.first > there + 1:
                break
            if drop.last > there and self._agrees(drop, head):
                there = drop.last
        if session_id not in self._refused:
            try:
                self._check(session_id, min(there, head))
            except Altered as altered:
                self._refuse_altered(altered)
        return there

    def _agrees(self, drop: Drop, head: int) -> bool:
        """Whether a file can be read; if it says something else than the store, its session is refused."""
        state = self._states[drop.name]
        if drop.last <= head:
            own = self.store.digest(drop.session_id, drop.last)
            if own is not None and self.memory.digest(drop.name, state) == own:
                return True  # each line has the digest of the one before it
        try:
            lines = lines_of(drop.name, self.place.read(drop.name), self.folder)
        except Gone:
            return False
        self.memory.keep(drop.name, state, lines[drop.last])
        self._compare(drop.session_id, {seq: digest for seq, digest in lines.items() if seq <= head})
        return True

    def _compare(self, session_id: str, theirs: dict[int, str]) -> None:
        for seq, digest in sorted(theirs.items()):
            own = self.store.digest(session_id, seq)
            if own != digest:
                self._fork(session_id, f"ledger line {seq}", seq, (digest, own or "-"))
                return

    def _check(self, session_id: str, upto: int) -> None:
        """What the box has already was not changed here since."""
        after = self.verified.get(session_id, -1)
        if after < upto:
            self.store.check(session_id, after, upto)

    def _send(self, lines: list[Line], last_grave: int) -> None:
        place = 0
        session_id = lines[0].session_id
        while place < len(lines) and session_id not in self._refused:
            try:
                batch, place = self.store.batch(lines, place, self._refused, last_grave)
            except Altered as altered:
                self._refuse_altered(altered)
                return
            if not batch.lines:
                return
            if not self.is_dry:
                self._write(batch)
            self._count(batch)

    def _write(self, batch: Batch) -> None:
        first, last = batch.lines[0], batch.lines[-1]
        name = name_of(last.session_id, first.seq, last.seq)
        data = pack(batch, self.store, self.folder)
        if batch.rows.get("tombstones"):
            clearing.announce(self.place, name)
        if not self.place.write(name, data, replace=False):
            try:
                theirs = lines_of(name, self.place.read(name), self.folder)
            except Gone:  # somebody's half of a file
                self.place.write(name, data, replace=True)
            else:
                self._compare(last.session_id, theirs)
                if last.session_id in self._refused:
                    return
        self.memory.keep(name, self.place.state(name), last.digest)
        self.sent[last.session_id] = (last.seq, last.digest)

    def _count(self, batch: Batch) -> None:
        if batch.sessions[0] in self._refused:
            return
        done = self.done
        done.lines += len(batch.lines)
        done.rows += batch.n_rows
        done.points += sum(len(curve.points) for curve in batch.curves.values())
        writer = self.store.columns["runs"].index("session_id")
        own = (row for row in batch.rows.get("runs", {}).values() if row[writer] in batch.base)
        done.runs += sum(batch.begins(row[0]) for row in own)
        done.sessions += sum(base < 0 for base in batch.base.values())

    def _refuse_altered(self, altered: Altered) -> None:
        if altered.is_absent:
            self._refused.add(altered.session_id)
            self.done.left_out.append({"what": f"session {altered.session_id}", "why": altered.what})
            return
        what = f"{altered.what} is not what the ledger of this store covers"
        self._fork(altered.session_id, what, altered.seq, ())

    def _fork(self, session_id: str, what: str, seq: int | None, digests: tuple[str, ...]) -> None:
        """Refuse a session; the first who finds it says so in the box."""
        if session_id in self._refused:
            return
        self._refused.add(session_id)
        self.done.forks.append({"session_id": session_id, "what": what, "seq": seq, "digests": list(digests)})
        if self.is_dry:
            return
        theirs, ours = (*digests, None, None)[:2]
        record = {
            "session_id": session_id, "what": what, "seq": seq, "digest": theirs, "other_digest": ours,
            "store_id": self.store_id, "pushed_by": receipts.who(), "found_at": iso(now_us()),
        }  # fmt: skip
        name = f"{CONFLICTS}/{session_id}.{'-' if seq is None else seq}.{(ours or self.store_id)[:12]}.json"
        self.place.write(name, json.dumps(record, indent=1).encode(), replace=False)

    def _beat(self, heads: dict[str, Any]) -> None:
        """The last sign of life of sessions that have not ended, where it is later than the one in the box."""
        for session_id, at in self.store.heartbeats():
            name = f"{BEATS}/{session_id}.json"
            if session_id not in heads or session_id in self._refused or self.memory.beat(name) >= at:
                continue
            try:
                there = json.loads(self.place.read(name)).get("heartbeat_at") or ""
            except (Gone, ValueError, AttributeError):
                there = ""
            if str(there) < at:
                beat = beat_of(self.store.connection, session_id)
                self.place.write(name, json.dumps(beat).encode(), replace=True)
            self.memory.keep_beat(name, max(str(there), at))
