"""Bring what a target has into a file."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from histhooks._host.new_files import give_name
from histhooks._host.store_location import keep_out_of_git
from histhooks._store.kept_record import missing, note_absent
from histhooks._store.parts import exports
from histhooks._store.wholeness import complete
from histhooks.errors import ForkError, StoreError, TeamError
from histhooks.export import export
from histhooks.history import History
from histhooks.team._cache import heads_of
from histhooks.team._elsewhere import file_to_write
from histhooks.team._joining import Union, counts
from histhooks.team._merge import merge
from histhooks.team._merged import Merged
from histhooks.team._target import named_target
from histhooks.team._workplace import workplace
from histhooks.team.box.address import Box
from histhooks.team.postgres.address import Database
from histhooks.team.postgres.connecting import asking, check_version, transaction
from histhooks.team.postgres.fetching import Fetching
from histhooks.team.postgres.mirror import add_lines, mirrored
from histhooks.team.postgres.standing import sees_a_part


@dataclass(slots=True)
class Pulled:
    """What was pulled.

    Attributes
    ----------
    target : str
        Where it came from, without secrets.
    path : Path
        The file that was written.
    sessions, runs, points : int
        How many of each the file has more than before.
    forks : list of dict
        Sessions of which file and target say different things: `session_id`, `what` differs, `seq` of the ledger line,
        `digests`. Nothing of these was written.
    is_part : bool
        Whether the file holds a part of a history.
    kept_files : int
        Kept files that were copied; a database has none.
    left_out : list of dict
        Kept files that were not: `what`, and `why`.

    Examples
    --------
    >>> from histhooks import team
    >>> team.push("histhooks.db", to="office.db").ok
    True
    >>> done = team.pull("office.db", into="train.db")
    >>> done.ok, done.runs, done.is_part
    (True, 2, False)
    """

    target: str
    path: Path
    sessions: int = 0
    runs: int = 0
    points: int = 0
    forks: list[dict[str, Any]] = field(default_factory=list)
    is_part: bool = False
    kept_files: int = 0
    left_out: list[dict[str, str]] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether all of it is there."""
        return not self.forks and not self.left_out

    def as_json(self) -> dict[str, Any]:
        """All of it, for `--json`."""
        return {"ok": self.ok, **asdict(self)}


def pull(
    target: str | os.PathLike[str] | None = None,
    into: str | os.PathLike[str] = "team.db",
    *,
    runs: tuple[str, ...] = (),
    project: str | None = None,
    since: str | None = None,
    where: str | None = None,
) -> Pulled:
    """Bring what a target has into a file: all of it, or whole runs with their ledgers.

    Parameters
    ----------
    target : str or path, optional
        `postgresql://…`, `folder:…`, `s3://…`, `sqlite:///…` or a path that ends in `.db`; by default HISTHOOKS_TEAM,
        or `team` in pyproject.toml.
    into : str or path
        The file: a new one, or a store that then also has what the target has.
    runs : tuple of str
        Only these runs and the runs inside them: ids, parts of ids or names.
    project, since, where : str, optional
        Only runs that match, as :meth:`histhooks.History.runs` takes them.

    Returns
    -------
    Pulled

    Raises
    ------
    ForkError
        If file and target say different things of one session. Nothing of that session was written, all else was; the
        attribute `merged` is what this function returns otherwise.
    TeamError
        If the target cannot be read, or the file cannot be written. Nothing was written.

    Examples
    --------
    >>> from histhooks import team
    >>> done = team.push("histhooks.db", to="office.db")
    >>> team.pull("office.db", into="road.db").runs
    2
    >>> team.pull("office.db", into="road.db").runs
    0
    """
    found, path = named_target(target), file_to_write(into)
    if path.is_dir():
        raise TeamError(f"{path} is a folder; name a file in it, such as {path / 'team.db'}")
    if not os.access(path.absolute().parent, os.W_OK):
        raise TeamError(f"{path} cannot be written: no folder {path.absolute().parent} that can be; name another")
    done = Pulled(str(found) if isinstance(found, Path) else found.shown, path)
    try:
        known = missing(path)
        if runs or project is not None or since is not None or where is not None:
            source = mirrored(found) if isinstance(found, Database) else _file_of(found)
            _some(source, path, done, runs, project=project, since=since, where=where)
        elif isinstance(found, Database):
            _whole(found, path, done)
        else:
            source = _file_of(found)
            _merge(source, path, done)
            with closing(sqlite3.connect(source)) as connection:
                if not exports(connection):
                    _complete(path, {key for (key,) in connection.execute("SELECT id FROM sessions")})
        if isinstance(found, Box):
            _fetch_files(found, path, done)
        if not isinstance(found, Path):
            note_absent(path, known)  # a database has no files, and a folder those of whoever pushed them
    except sqlite3.Error as error:
        raise TeamError(f"the pull failed ({error}); {path} is as it was") from error
    except OSError as error:
        raise TeamError(f"{path} cannot be written ({error.strerror}); name another place") from error
    except StoreError as error:
        raise TeamError(str(error)) from error
    done.is_part = _is_part(path)
    if done.forks:
        first = done.forks[0]
        raise ForkError(f"session {first['session_id']} differs between {path} and {done.target} ({first['what']}); "
                        "nothing of it was written", done)  # fmt: skip
    return done


def _file_of(target: Box | Path) -> Path:
    if isinstance(target, Path):
        return target
    from histhooks.team._reading import located

    return located(target.shown if target.is_folder else target.root)


def _fetch_files(box: Box, path: Path, done: Pulled) -> None:
    """Kept files of what was pulled."""
    from histhooks.team.box.files import fetch_files
    from histhooks.team.box.places import place_of

    place, merged = place_of(box), Merged(path)
    with workplace(path.absolute().parent) as folder:
        fetch_files(place, place.names(), path, folder, merged)
    done.kept_files, done.left_out = merged.kept_files, merged.left_out


def _complete(path: Path, sessions: set[str]) -> None:
    """Say of a file that was a part, and now has all that the target has, that it is none any more."""
    with closing(sqlite3.connect(path, timeout=30)) as connection:
        complete(connection, sessions)


def _is_part(path: Path) -> bool:
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        return bool(connection.execute("SELECT 1 FROM exports WHERE kind = 'export' LIMIT 1").fetchall())


def _some(source: Path, path: Path, done: Pulled, runs: tuple[str, ...], **filters: str | None) -> None:
    """Whole runs, as a part of the history."""
    with History(source) as history:
        ids = [run.id for run in history.select(*runs)] if runs else []
        if any(value is not None for value in filters.values()):
            found = [run.id for run in history.runs(**filters)]  # type: ignore[arg-type]
            ids = [run_id for run_id in ids if run_id in found] if runs else found
    if not ids:
        raise TeamError(f"no run of {done.target} matches; nothing was written")
    with workplace(path.absolute().parent) as folder:
        part = folder / "part.db"
        export(*ids, to=part, store=source)
        _merge(part, path, done)


def _merge(source: Path, path: Path, done: Pulled) -> None:
    try:
        merged: Any = merge(source, into=path)
    except ForkError as error:
        merged = error.merged
    done.sessions, done.runs, done.points = merged.sessions, merged.runs, merged.points
    done.kept_files, done.left_out = merged.kept_files, merged.left_out
    done.forks = [{name: fork[name] for name in ("session_id", "what", "seq", "digests")} for fork in merged.forks]


def _whole(database: Database, path: Path, done: Pulled) -> None:
    known = heads_of(path) if path.exists() and path.stat().st_size else None
    if known is None and path.exists() and path.stat().st_size:
        raise TeamError(f"{path} is not a store of histhooks; name another")
    with (
        workplace(path.absolute().parent) as folder,
        asking(database, is_reading=True) as connection,
        transaction(connection, database.schema, is_snapshot=True, role=database.role),
    ):
        check_version(connection, database, is_reading=True)
        fetching = Fetching(connection)
        if known is None:
            part = folder / "part.db"
            fetching.into_file(part)
            _count(part, done)
            give_name(part, path, replace=True)
            keep_out_of_git(path)
            return
        found = fetching.digests({key: seq for key, (seq, _) in known.items()})
        theirs = {key: seq for key, (seq, _) in fetching.heads().items()}
        for key, (seq, digest) in known.items():
            if key in found and found[key] != digest:
                done.forks.append({"session_id": key, "what": f"ledger line {seq}", "seq": seq,
                                   "digests": [digest, found[key]]})  # fmt: skip
        refused = {fork["session_id"]: theirs[fork["session_id"]] for fork in done.forks}
        # Of sessions that a part has lines of, it may lack the rows.
        after = {} if _is_part(path) else {key: seq for key, (seq, _) in known.items()}
        union = add_lines(path, fetching, after | refused, folder)
        is_all = not done.forks and not union.forks and not sees_a_part(connection)
    _note(union, done)
    if is_all:
        _complete(path, set(theirs))


def _count(part: Path, done: Pulled) -> None:
    with closing(sqlite3.connect(part)) as connection:
        for name, number in counts(connection).items():
            setattr(done, name, number)


def _note(union: Union, done: Pulled) -> None:
    for name, number in union.told[-1].items():
        setattr(done, name, number)
    for clash, _ in union.forks.values():
        done.forks.append({"session_id": clash.session_id, "what": clash.what, "seq": clash.seq,
                           "digests": list(clash.digests)})  # fmt: skip
