"""Send a store to a target."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from histhooks._base.vocabulary import OPEN, in_sql
from histhooks._store.spools import waiting
from histhooks.errors import ForkError, StoreError, TeamError
from histhooks.history import History
from histhooks.history._opening import locate
from histhooks.team._merge import merge
from histhooks.team._pushed import Pushed
from histhooks.team._pushing import Pushing
from histhooks.team._target import named_target
from histhooks.team.box.address import Box, is_box
from histhooks.team.postgres.address import is_database

Progress = Callable[[int, int], None]


def push(
    store: str | os.PathLike[str] | None = None,
    to: str | os.PathLike[str] | None = None,
    *,
    runs: tuple[str, ...] = (),
    where: str | None = None,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> Pushed:
    """Send what a store has and a target lacks: whole ledger lines in order, with all that they cover.

    The target is asked what it has, so pushing again sends nothing. If a push is killed, the target has a beginning of
    each session, which verifies, and the next push sends the rest. The store is only read, with its spools; programs
    may record to it meanwhile. What the store deleted or redacted is removed from the target too.

    Parameters
    ----------
    store : str or path, optional
        By default the store that is found here.
    to : str or path, optional
        `postgresql://…`, `folder:…`, `s3://…`, `sqlite:///…` or a path that ends in `.db`; by default HISTHOOKS_TEAM,
        or `team` in pyproject.toml.
    runs : tuple of str
        Only the sessions of these runs: ids, parts of ids or names.
    where : str, optional
        Only the sessions of runs that match.
    dry_run : bool
        Only report what would be sent.
    progress : callable, optional
        Called with the ledger lines that were sent and all there are.

    Returns
    -------
    Pushed

    Raises
    ------
    ForkError
        If store and target say different things of one session. Nothing of that session was written, all else was; the
        attribute `merged` is what this function returns otherwise.
    TeamError
        If the target cannot be reached or written. What was sent before is there, and verifies.

    Examples
    --------
    >>> from histhooks import team
    >>> team.push("histhooks.db", to="group.db").runs
    2
    >>> team.push("histhooks.db", to="group.db").rows
    0
    """
    path = _store(store)
    target = named_target(to)
    if isinstance(target, Path):
        if runs or where is not None:
            raise TeamError("a file takes a whole store; leave out --run and --where, or `histhooks export` runs first")
        return _into_file(path, target, dry_run=dry_run)
    if isinstance(target, Box):
        from histhooks.team.box.pushing import BoxPushing

        found = chosen(path, runs, where)
        return without_forks(BoxPushing(target).push(path, found, dry_run=dry_run, progress=progress))
    pushing = Pushing(target)
    try:
        done = pushing.push(path, chosen(path, runs, where), dry_run=dry_run, progress=progress)
    finally:
        pushing.close()
    return without_forks(done)


def _store(store: str | os.PathLike[str] | None) -> Path:
    if is_database(store or "") or is_box(store):
        raise TeamError("only a file can be pushed; name the path of a store, and the target with --to")
    path = locate(store)
    if not path.is_file() and not waiting(path):
        raise StoreError(f"no store at {path}; name another")
    return path


def chosen(path: Path, runs: tuple[str, ...], where: str | None) -> list[str] | None:
    """Ids of the runs that are meant; None for all."""
    if not runs and where is None:
        return None
    with History(path) as history:
        found = [run.id for run in history.select(*runs)] if runs else []
        if where is not None:
            found += [run.id for run in history.runs(where=where)]
        return list(dict.fromkeys(found))


def is_idle(store: str | os.PathLike[str] | None = None) -> bool:
    """Whether no session of a store still records."""
    with History(locate(store)) as history:
        rows = history.sql(f"SELECT id, status FROM sessions WHERE status IN {in_sql(OPEN)}")
        return not any(history.settled(row["id"], row["status"]) in OPEN for row in rows)


def without_forks(done: Pushed) -> Pushed:
    """What was done, if nothing was refused.

    Raises
    ------
    ForkError
    """
    if not done.forks:
        return done
    first = done.forks[0]
    more = f", and so do {len(done.forks) - 1} more" if len(done.forks) > 1 else ""
    raise ForkError(
        f"session {first['session_id']} differs between {done.store} and {done.target} ({first['what']}){more}; "
        "nothing of it was written",
        done,
    )


def _into_file(path: Path, target: Path, *, dry_run: bool) -> Pushed:
    if target.exists() and path.exists() and target.samefile(path):
        raise TeamError(f"{target} is the store itself; name another target with --to")
    before = _covered(target)
    try:
        merged: Any = merge(path, into=target, dry_run=dry_run)
    except ForkError as error:
        merged = error.merged
    done = Pushed(path, str(target), merged.sessions, merged.runs, merged.points, left_out=merged.left_out,
                  deleted_runs=merged.deleted_runs, redacted=merged.redacted)  # fmt: skip
    done.lines, done.rows = (new - old for new, old in zip(_covered(target), before, strict=True))
    done.kept_files = merged.kept_files
    done.forks = [{name: fork[name] for name in ("session_id", "what", "seq", "digests")} for fork in merged.forks]
    return without_forks(done)


def _covered(path: Path) -> tuple[int, int]:
    """How many ledger lines a file has, and rows that they cover."""
    if not path.is_file() or not path.stat().st_size:
        return 0, 0
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            lines, rows = connection.execute("SELECT count(*), coalesce(sum(n_rows), 0) FROM ledger").fetchone()
            return int(lines), int(rows)
    except sqlite3.Error:  # `merge` says what is wrong with it
        return 0, 0
