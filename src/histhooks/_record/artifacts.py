"""Files and folders that a run reads or writes: their hashes, and copies of those that are to be kept.

What is small is read at once, so that the program may write it again or remove it. The rest is read in the thread of
:mod:`histhooks._record.file_work`, through a descriptor that was opened at the call: what is put in the place of a file
later is not read for it. One reading gives hash and copy, and what was written meanwhile has neither.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, BinaryIO

from histhooks._base import manifest
from histhooks._base.clock import now_us
from histhooks._base.secrets import mask_text
from histhooks._host import recording_here
from histhooks._host.messages import warn_once
from histhooks._host.store_location import real_path
from histhooks._record.file_reading import AT_ONCE, hold, is_same, later, let_go, read_at_once
from histhooks._record.file_work import work
from histhooks._store.entries import Entry, capture_entry, content_entry, event_entry, row_entry
from histhooks._store.kept_files import Part

if TYPE_CHECKING:
    from histhooks._host.folder_files import Folder
    from histhooks._record.keeping import Keeper
    from histhooks._record.session import Session

_FEW = 200  # files of a folder that are read at once
_CHUNK = 1 << 20
_MOST_LISTED = 10_000  # files of a folder whose manifest is kept
_UNREAD = "it could not be read, or was written meanwhile"
KEPT_ROLES = ("model", "checkpoint")

_recorded: dict[str, int] = {}  # files that runs of this process recorded, and when that was
_MOST_RECORDED = 10_000
_keepers: dict[str, Keeper] = {}  # by the session
_kept: set[tuple[str, str]] = set()  # contents that runs are known to keep


def is_recorded(place: str, since: int) -> bool:
    """Whether a run of this process has recorded a file, by its absolute path, at a time or after it."""
    return _recorded.get(place, -1) >= since


def artifact_entries(
    run_id: str,
    found: tuple[str, int],
    place: str,
    role: str,
    direction: str,
    step: int | None,
    time: int,
    suffix: str | None = None,
) -> list[Entry]:
    """The entries of a file that a run read or wrote: `found` is its hash and its size."""
    suffix = suffix or mask_text(os.path.splitext(place)[1].lstrip(".").lower()) or None
    row: dict[str, Any] = {"run_id": run_id, "sha256": found[0], "path": place, "role": role}
    row |= {"direction": direction, "step": step, "time": time}
    shared: dict[str, Any] = {"sha256": found[0], "size_bytes": found[1], "format": suffix}
    return [content_entry("artifacts", shared), row_entry("run_artifacts", run_id, row)]


@dataclass(frozen=True, slots=True)
class Call:
    """What a run was asked to record.

    Attributes
    ----------
    session : Session or None
        None in a process whose run is another one's.
    session_id : str or None
    run_id : str
    put : callable
        Takes entries of the run, also after its end.
    place : str
        The absolute path.
    role, direction : str
    step : int or None
    time : int
        Of the call.
    keeper : Keeper or None
        None if it is not to be kept.
    store : str or None
        Where it is recorded.
    """

    session: Session | None
    session_id: str | None
    run_id: str
    put: Callable[[Any], None]
    place: str
    role: str
    direction: str
    step: int | None
    time: int
    keeper: Keeper | None
    store: str | None

    # --- one file -------------------------------------------------------------------------------------------------

    def file(self) -> None:
        """Record a file."""
        if os.stat(self.place).st_size <= AT_ONCE:
            found = read_at_once(self.place)
            if found is None:
                self._changed()
                return
            data, sha256 = found
            self._record(sha256, len(data))
            if self.keeper is not None:
                later(lambda: self._keep_all({self.place: found}, sha256, len(data)), len(data))
            return
        held = hold([self.place])
        if not held:
            open(self.place, "rb").close()  # which the program shall hear of, if it cannot be read
        file = held.get(self.place)
        before = os.stat(self.place) if file is None else os.fstat(file.fileno())
        work.add(lambda: self._read_large(held, before))

    def _read_large(self, held: dict[str, BinaryIO], before: os.stat_result) -> None:
        sha256, is_kept = self._read(self.place, held, before)
        let_go(held)
        if sha256 is None:
            self._changed()
            return
        self._record(sha256, before.st_size)
        if is_kept:
            self._tell_kept(sha256, before.st_size)

    def _read(self, place: str, held: dict[str, BinaryIO], before: os.stat_result) -> tuple[str | None, bool]:
        """Hash a file, and copy it if it is to be kept; no hash if it is another one than it was, or changes."""
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            file = held.get(place) or stack.enter_context(open(place, "rb"))
            if is_same(before, os.fstat(file.fileno())):
                return self._copy(file, before, place)
        return None, False

    # --- a folder -------------------------------------------------------------------------------------------------

    def folder(self) -> None:
        """Record a folder by its manifest: at once if it is small."""
        from histhooks._host.folder_files import look

        few = look(self.place, self.store, _FEW)
        if few.excess is None and few.size_bytes <= AT_ONCE:
            self._small_folder(few)
            return

        held = hold(os.path.join(self.place, path) for path in few.files) if few.excess is None else {}
        work.add(lambda: self._read_folder(held, few if held else None))

    def _read_folder(self, held: dict[str, BinaryIO], found: Folder | None) -> None:
        from histhooks._host.folder_files import look

        try:
            found = found or look(self.place, self.store)
            if found.excess is None:
                self._large_folder(found, held)
            else:
                self._capture("artifacts", "skipped", f"{self.place} is not recorded: {found.excess}")
        except OSError as error:
            warn_once(f"folder/{self.place}", f"{self.place} is not recorded: it cannot be read ({error.strerror})")
            self._capture("artifacts", "failed", f"{self.place} is not recorded: {error.strerror} when it was read")
        finally:
            let_go(held)

    def _small_folder(self, found: Folder) -> None:
        contents: dict[str, tuple[bytes, str]] = {}
        for path in found.files:
            content = None
            with contextlib.suppress(OSError):
                content = read_at_once(os.path.join(self.place, path))
            if content is None:
                found.leave_out(path, _UNREAD)
            else:
                contents[path] = content
        files = [manifest.File(path, len(data), sha256) for path, (data, sha256) in contents.items()]
        files += [
            manifest.File(path, known.st_size, None) for path, known in found.files.items() if path not in contents
        ]
        sha256, size = self._record_folder(files, found.notes)
        if self.keeper is not None and len(contents) == len(files):
            later(lambda: self._keep_all(contents, sha256, size), size)

    def _large_folder(self, found: Folder, held: dict[str, BinaryIO]) -> None:
        call, files = self, list[manifest.File]()
        for path, before in found.files.items():
            sha256, is_kept = call._read(os.path.join(self.place, path), held, before)
            if sha256 is None:
                found.leave_out(path, _UNREAD)
            if not is_kept:
                call = replace(call, keeper=None)  # the folder is kept whole, or not
            files.append(manifest.File(path, before.st_size, sha256))
        sha256, size = self._record_folder(files, found.notes)
        if call.keeper is not None and len(files) <= _MOST_LISTED:
            self._tell_kept(sha256, size)

    def _record_folder(self, files: list[manifest.File], notes: list[str]) -> tuple[str, int]:
        text = manifest.text_of(files)
        sha256, size = manifest.id_of(text), sum(file.size_bytes for file in files)
        self._record(sha256, size, manifest.FORMAT)
        if len(files) > _MOST_LISTED:
            notes = [f"its id is that of {len(files):,} files, which are more than are listed", *notes]
        else:
            from histhooks._collect.survey import content_row

            self.put(content_entry("contents", content_row(sha256, manifest.KIND, text)))
        if notes:
            self._capture("artifacts", "truncated", f"{self.place}: {'; '.join(notes)}")
        return sha256, size

    # --- copies ---------------------------------------------------------------------------------------------------

    def _copy(self, file: BinaryIO, before: os.stat_result, place: str) -> tuple[str | None, bool]:
        """Hash an open file, and copy it if it is to be kept; None if it changed meanwhile."""
        part = self._part(before.st_size, place)
        digest = hashlib.sha256()
        try:
            while data := file.read(_CHUNK):
                digest.update(data)
                part = part and self._write(part, data, place)
            if not is_same(before, os.fstat(file.fileno())):
                return None, False
            if part is None:
                return digest.hexdigest(), False
            done, part = part, None
            return digest.hexdigest(), self._commit(done, place)
        finally:
            if part is not None:
                part.discard()

    def _keep_all(self, contents: dict[str, tuple[bytes, str]], sha256: str, size_bytes: int) -> None:
        """Keep small files as they were read; by now they may be others, or gone."""
        for place, (data, digest) in contents.items():
            if self.keeper is None or self.keeper.has(digest, len(data)):
                continue
            part = self._part(len(data), place)
            part = part and self._write(part, data, place)
            if part is None or not self._commit(part, place):
                return
        self._tell_kept(sha256, size_bytes)

    def _part(self, size_bytes: int, place: str) -> Part | None:
        from histhooks._record.keeping import NotKept

        if self.keeper is None:
            return None
        try:
            return self.keeper.part(size_bytes)
        except NotKept as why:
            self._not_kept(place, str(why))
            return None

    def _write(self, part: Part, data: bytes, place: str) -> Part | None:
        try:
            part.write(data)
        except OSError as error:
            part.discard()
            self._not_kept(place, f"it cannot be written ({error.strerror})")
            return None
        return part

    def _commit(self, part: Part, place: str) -> bool:
        try:
            part.commit()
        except OSError as error:
            part.discard()
            self._not_kept(place, f"it cannot be written ({error.strerror})")
            return False
        if self.keeper is not None:
            self.keeper.count(part)
        return True

    # --- what is recorded -----------------------------------------------------------------------------------------

    def _record(self, sha256: str, size_bytes: int, suffix: str | None = None) -> None:
        found = (sha256, size_bytes)
        for entry in artifact_entries(
            self.run_id, found, self.place, self.role, self.direction, self.step, self.time, suffix
        ):
            self.put(entry)

    def _tell_kept(self, sha256: str, size_bytes: int) -> None:
        """Record that the bytes are kept, once for each run, so that `verify` misses them where they are gone."""
        if (self.run_id, sha256) not in _kept:
            _kept.add((self.run_id, sha256))
            body = json.dumps({"sha256": sha256, "size_bytes": size_bytes})
            title = mask_text(f"{self.place} is kept")
            self.put(event_entry(self.session_id, self.run_id, "kept", title, body, severity="debug", step=self.step))

    def _not_kept(self, place: str, why: str) -> None:
        warn_once(f"keep/{why}", f"{place} is not kept: {why}; its hash is recorded")
        self._capture("kept_files", "failed", f"{place} is not kept: {why}")

    def _capture(self, collector: str, status: str, note: str) -> None:
        self.put(capture_entry(self.session_id, self.run_id, collector, status, mask_text(note)[:500]))

    def _changed(self) -> None:
        if self.session is not None:
            title = f"{self.place} was written again before its content was hashed"
            event = self.session.event
            event("not_hashed", title, severity="warning", step=self.step, run_id=self.run_id, put=self.put)


def record(
    session: Session | None,
    session_id: str | None,
    run_id: str,
    put: Callable[[Any], None],
    path: str,
    role: str,
    direction: str,
    step: int | None,
    *,
    keep: bool | None,
) -> None:
    """Record a file or a folder.

    Parameters
    ----------
    session, session_id, run_id, put
        See :class:`Call`.
    path : str
    role, direction : str
    step : int or None
    keep : bool or None
        None keeps models and checkpoints that are written, if the program or its surroundings asked for that.

    Raises
    ------
    FileNotFoundError
        If there is neither a file nor a folder.
    """
    place, now = os.path.abspath(path), now_us()
    try:
        mode = os.stat(place).st_mode
    except (OSError, ValueError) as error:
        raise FileNotFoundError(f"no file or folder {path!r} to record") from error
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise FileNotFoundError(f"{path!r} is neither a file nor a folder")
    keeper, store = _keeper_of(session_id, role, direction, keep)
    call = Call(session, session_id, run_id, put, place, role, direction, step, now, keeper, store)
    if stat.S_ISDIR(mode):
        call.folder()
        return
    if len(_recorded) < _MOST_RECORDED:
        _recorded[place] = now
    call.file()


def _keeper_of(
    session_id: str | None, role: str, direction: str, keep: bool | None
) -> tuple[Keeper | None, str | None]:
    recording = recording_here.recording
    store = None if recording is None else recording.store_or_default()
    if recording is None or store is None:
        return None, None
    if keep is None:
        keep = role in KEPT_ROLES and direction == "out" and recording.keeps_models()
    store = real_path(store).absolute()
    if not keep:
        return None, str(store)
    from histhooks._record.keeping import Keeper

    key = str(session_id)
    if key not in _keepers:
        _keepers[key] = Keeper(store, key)
    return _keepers[key], str(store)
