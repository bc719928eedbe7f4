"""Stores of several machines and people as one."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from histhooks._base.clock import now_us
from histhooks._base.vocabulary import RUNNING
from histhooks._host import recording_here
from histhooks._host.mounts import is_network
from histhooks._host.new_files import give_name
from histhooks._host.process import judge
from histhooks._host.store_location import keep_out_of_git
from histhooks._store.graves import LISTED, graves_in, listed
from histhooks._store.kept_record import missing, note_absent
from histhooks._store.stamp import marks
from histhooks._store.store import Store
from histhooks.curate._space import free_space
from histhooks.errors import ForkError, StoreError, TeamError
from histhooks.team._elsewhere import fetch_kept, file_to_write, missing_at, source_file
from histhooks.team._files import copy_files, named_files, remove_files
from histhooks.team._joining import Union, bring_in, counts, unite
from histhooks.team._merged import Merged
from histhooks.team._sources import Changed, Source, attached, find_sources
from histhooks.team._workplace import workplace

_TRIES = 3
_PATIENCE_S = 30.0
_WAL = 2  # byte 18 of a file: https://www.sqlite.org/fileformat2.html, section 1.3.3


def merge(*sources: str | os.PathLike[str], into: str | os.PathLike[str], dry_run: bool = False) -> Merged:
    """Merge stores into one: each session, run, row and point once, whatever the order.

    The sources are only read, as of one moment each, with the spools that wait beside them; programs may record to them
    meanwhile. What one of the stores deleted or redacted is not in the result. All of it is written, or nothing.

    Parameters
    ----------
    *sources : str or path
        Stores: of any version up to this one, exports too; and `folder:…` or a bucket that stores were pushed to.
    into : str or path
        The store to write: a new file, or a store that then also has what the others have.
    dry_run : bool
        Only report what would be merged.

    Returns
    -------
    Merged

    Raises
    ------
    ForkError
        If two stores say different things of one session. Nothing of that session was written, all else was; the
        attribute `merged` is what this function returns otherwise.
    TeamError
        If a source cannot be read, or the target cannot be written. Nothing was written.

    Examples
    --------
    >>> from histhooks import team
    >>> done = team.merge("histhooks.db", into="team.db")
    >>> done.runs, done.ok
    (2, True)
    >>> team.merge("histhooks.db", into="team.db").runs
    0
    """
    if not sources:
        raise TeamError("which stores? name at least one")
    target = file_to_write(into)
    _check_target(target)
    files = [source_file(source) for source in sources]
    for file in files:
        recording_here.catch_up(file)
    recording_here.catch_up(target)
    where = None if dry_run else target.absolute().parent
    try:
        with workplace(where) as folder:
            known = missing(target)
            done = _merge(tuple(files), target, folder, is_dry=dry_run)
            fetch_kept(sources, target, folder, done, is_dry=dry_run)
            if not dry_run and missing(target) - known:
                note_absent(target, known | missing_at(sources))
    except OSError as error:
        raise TeamError(f"{target} cannot be written ({error.strerror}); name another place") from error
    except StoreError as error:
        raise TeamError(str(error)) from error
    except sqlite3.Error as error:
        raise TeamError(f"the merge failed ({error}); {target} is as it was") from error
    if done.forks:
        raise ForkError(_fork_words(done), done)
    return done


def _check_target(target: Path) -> None:
    if target.is_dir():
        raise TeamError(f"{target} is a folder; name a file in it, such as {target / 'team.db'}")
    if not os.access(target.absolute().parent, os.W_OK):
        raise TeamError(f"{target} cannot be written: no folder {target.absolute().parent} that can be; name another")
    if target.exists() and not os.access(target, os.W_OK):
        raise TeamError(f"{target} is read-only; make it writable or name another store")
    if target.exists() and target.stat().st_size and is_network(target):
        with target.open("rb") as file:
            if file.read(19)[18:] == bytes([_WAL]):
                raise TeamError(
                    f"{target} has a write-ahead log, which is not safe on a network file system: merge into a file on "
                    "a local disk, and copy that"
                )


def _merge(sources: tuple[str | os.PathLike[str], ...], target: Path, folder: Path, *, is_dry: bool) -> Merged:
    part = folder / "part.db"
    found, union = united(sources, target, part, folder)
    done = Merged(target, union.told)
    is_there = target.exists() and target.stat().st_size > 0
    if is_there or not _into_file(part, target, found, done, is_dry=is_dry):
        _into_store(part, target, union, found, done, folder, is_dry=is_dry)
    done.forks = [
        {"session_id": clash.session_id, "what": clash.what, "seq": clash.seq, "digests": list(clash.digests),
         "files": files}
        for _, (clash, files) in sorted(union.forks.items())
    ]  # fmt: skip
    done.left_out += [
        {"what": f"session {key}", "why": f"ledger lines {first} to {last} are in none of the files"}
        for key, (first, last) in sorted(union.missing.items())
    ]
    done.deleted_runs, done.redacted = len(union.deleted_runs), len(union.redacted)
    return done


def united(
    sources: tuple[str | os.PathLike[str], ...], target: Path, part: Path, folder: Path
) -> tuple[list[Source], Union]:
    """Make one file of stores and the spools that wait beside them.

    Parameters
    ----------
    sources : tuple of str or path
    target : Path
        The file that they are joined into later, which is none of them.
    part : Path
        The file, which is made.
    folder : Path
        A place for copies.

    Raises
    ------
    TeamError
    """
    for attempt in range(_TRIES):
        found = find_sources(sources, target, _made(folder / f"spools-{attempt}"))
        for source in found:
            source.is_live = attempt > 0
        try:
            return found, unite(found, part, folder)
        except Changed as error:
            part.unlink(missing_ok=True)
            changed = error
    raise TeamError(f"{changed} is written to all the time; try again")


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _into_file(part: Path, target: Path, found: list[Source], done: Merged, *, is_dry: bool) -> bool:
    """Put the file that was made where it belongs; false if a file has come there meanwhile, which stays."""
    connection = sqlite3.connect(part)
    try:
        _note(done, counts(connection))
        done.is_part = bool(connection.execute("SELECT 1 FROM exports LIMIT 1").fetchall())
        wanted = named_files(connection)
    finally:
        connection.close()
    copy_files((source.store for source in found), wanted, target, done, is_dry=is_dry)
    if is_dry:
        return True
    with part.open("rb") as file:
        os.fsync(file.fileno())
    try:
        give_name(part, target, replace=False)
    except FileExistsError:
        return False
    keep_out_of_git(target)
    return True


def _into_store(
    part: Path, target: Path, union: Union, found: list[Source], done: Merged, folder: Path, *, is_dry: bool
) -> None:
    """Join the file that was made into a store, which others may have open."""
    if is_dry:  # into a copy, where the store is a source like the others
        sources = [Source(target, target, is_live=True), Source(part, part)]
        copy = folder / "whole.db"
        first = unite(sources[:1], copy, folder)
        target, union.wholeness = copy, first.wholeness
    with _opened(target) as store:
        connection = store.connection
        with attached(connection, Source(part, part), folder):
            connection.execute("PRAGMA secure_delete = ON")
            wanted = named_files(connection, "source")
            copy_files((source.store for source in found), wanted, done.path, done, is_dry=is_dry)
            with store.transaction(is_durable=True):
                before, files = counts(connection), named_files(connection)
                _refuse_living(connection, union)
                bring_in(connection, union, done.path)
                after = counts(connection)
                gone = files - named_files(connection)
                done.is_part = bool(connection.execute("SELECT 1 FROM exports WHERE kind = 'export'").fetchall())
        _note(done, {name: max(after[name] - before[name], 0) for name in after})
        if not is_dry:
            remove_files(done.path, gone)
            done.notice = free_space(store, is_needed=True) if union.deleted_runs or union.redacted else None


def _note(done: Merged, new: dict[str, int]) -> None:
    for name, number in new.items():
        setattr(done, name, number)


@contextmanager
def _opened(target: Path) -> Iterator[Store]:
    with closing(sqlite3.connect(":memory:")) as memory:
        try:
            memory.execute("ATTACH DATABASE ? AS target", (str(target),))
            is_store, _ = marks(memory, "target")
        except sqlite3.DatabaseError as error:
            raise TeamError(f"{target} cannot be read ({error}); name another store") from error
    if not is_store and target.stat().st_size:  # an empty file becomes one
        raise TeamError(f"{target} is not a store of histhooks; name another")
    try:
        store = Store(target, timeout_s=_PATIENCE_S)
    except sqlite3.OperationalError as error:
        raise TeamError(f"{target} is in use by another writer ({error}); try again") from error
    try:
        yield store
    finally:
        store.close()


def _refuse_living(connection: sqlite3.Connection, union: Union) -> None:
    """A session that records here has its runs in memory, and would go on with one that a tombstone takes away."""
    deleted = graves_in(connection, "source").deleted
    sql = (
        f"SELECT s.*, r.id AS run_id FROM main.sessions AS s JOIN main.runs AS r ON r.session_id = s.id "
        f"WHERE s.status = '{RUNNING}' AND r.id {LISTED.format('?')}"
    )
    cursor = connection.execute(sql, (listed(deleted),))
    names = [column[0] for column in cursor.description]
    for values in cursor.fetchall():
        row = dict(zip(names, values, strict=True))
        if judge(row, now_us()) == RUNNING:
            raise TeamError(
                f"one of the stores deleted run {row['run_id']}, whose process {row['pid']} still records here; end "
                "that process first"
            )


def _fork_words(done: Merged) -> str:
    first = done.forks[0]
    more = f", and so do {len(done.forks) - 1} more" if len(done.forks) > 1 else ""
    files = " and ".join(first["files"])
    return (
        f"session {first['session_id']} differs between {files} ({first['what']}){more}; nothing of it was written, "
        "all else was: verify each of these files, and leave out the one that was changed"
    )
