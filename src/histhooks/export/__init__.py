"""Export runs to a file: JSON, CSV, Parquet, or a small store that is itself a history.

>>> from histhooks.export import export
>>> export("last", to="last.json")
>>> export("last", "last~1", to="two.db", anonymous=True)
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from histhooks._host.new_files import give_name
from histhooks._store.name_search import mentions
from histhooks.errors import QueryError, StoreError
from histhooks.export._copying import Choice, Progress, choose, copy_runs
from histhooks.export._files import copy_kept
from histhooks.export._formats import as_it_is, check_parquet, scrubber, write_csv, write_json, write_parquet
from histhooks.history import History
from histhooks.history._opening import open_store

__all__ = ["Exported", "export"]

_THERE = "{} is there already; give another name, or overwrite it with --force"

FORMATS = {".json": "json", ".csv": "csv", ".parquet": "parquet", ".db": "store", ".sqlite": "store"}


@dataclass(frozen=True, slots=True)
class Exported:
    """The written file.

    Attributes
    ----------
    path : Path
    format : str
        `json`, `csv`, `parquet` or `store`.
    runs : int
        Number of runs, including those inside the named ones.
    points : int
    size_bytes : int
    mentions : dict of str to int
        Of an anonymous store: `table.column` and in how many rows a name still stands.
    kept_files : int
        Kept files that were copied beside the store.
    """

    path: Path
    format: str
    runs: int
    points: int
    size_bytes: int
    mentions: dict[str, int] = field(default_factory=dict)
    kept_files: int = 0


def export(
    *runs: str,
    to: str | os.PathLike[str],
    store: str | os.PathLike[str] | None = None,
    project: str | None = None,
    is_all: bool = False,
    anonymous: bool = False,
    force: bool = False,
    files: bool = False,
    progress: Progress | None = None,
) -> Exported:
    """Write runs, and the runs inside them, to a file. The store is only read, in one transaction.

    Parameters
    ----------
    *runs : str
        An id, a part of one, a name, `last` or `last~2`, each; of a job or a group all runs.
    to : str or path
        The extension decides the format: `.json` for complete records, `.csv` or `.parquet` for points, `.db` or
        `.sqlite` for a store.
    store : str or path, optional
    project : str, optional
        All runs of a project.
    is_all : bool
        All runs.
    anonymous : bool
        Leave personal values out; docs/guide/curate.md says what this covers and what it does not.
    force : bool
        Overwrite a file that is there.
    files : bool
        Of a store: copy the kept files of these runs too, into `<to>.files/`.
    progress : callable, optional
        Called with the series that are copied and all there are.

    Returns
    -------
    Exported

    Raises
    ------
    QueryError
        If no run is meant, the ending is unknown, or pyarrow is missing.
    StoreError
        If the store cannot be read, or the file cannot be written or is there already.

    Examples
    --------
    >>> from histhooks.export import export
    >>> found = export("last", to="last.json", anonymous=True)
    >>> found.format, found.runs, found.points
    ('json', 1, 6)
    >>> export("last~1", "last", to="two.db").format
    'store'
    """
    path = Path(to)
    kind = FORMATS.get(path.suffix.lower())
    if kind is None:
        raise QueryError(f"{path.name!r} does not say a format; end it with {', '.join(FORMATS)}")
    if kind == "parquet":
        check_parquet()
    if files and kind != "store":
        raise QueryError(f"kept files go with a store, and {path.name} is none; end it with .db or .sqlite")
    with History(store) as history:
        _check_target(history.path, path, force=force)
        choice_of = _chosen(history, runs, project, is_all=is_all)
    with tempfile.TemporaryDirectory(prefix=".histhooks-", dir=path.absolute().parent) as folder:
        part = Path(folder) / "part.db"
        choice = _copy(history.path, choice_of, part, is_anonymous=anonymous, progress=progress)
        counted = _count(part, choice if anonymous and kind == "store" else None)
        written = part if kind == "store" else _convert(part, Path(folder), kind, choice, is_anonymous=anonymous)
        size_bytes = written.stat().st_size
        n_kept = copy_kept(history.path, part, path) if files else 0
        try:
            give_name(written, path, replace=force)
        except FileExistsError as error:
            raise StoreError(_THERE.format(path)) from error
    return Exported(path, kind, len(choice.runs), counted[0], size_bytes, counted[1], n_kept)


def _check_target(store: Path, path: Path, *, force: bool) -> None:
    if path.exists() and store.exists() and path.samefile(store):
        raise StoreError(f"{path} is the store itself; give another name")
    if path.is_dir() or (path.exists() and not force):
        raise StoreError(_THERE.format(path))
    if not os.access(path.absolute().parent, os.W_OK):
        raise StoreError(f"{path} cannot be written: no folder {path.absolute().parent} that can be; name another")


def _chosen(history: History, runs: tuple[str, ...], project: str | None, *, is_all: bool) -> list[str]:
    if is_all or project is not None:
        if runs:
            raise QueryError("name runs, or a project, or all of them, not several of these")
        found = [run.id for run in history.runs(project=project)]
        if not found:
            raise QueryError(f"there are no runs {f'of project {project!r} ' if project else ''}in {history.path}")
        return found
    if not runs:
        raise QueryError("which runs? name some, or a project, or all (RUN..., --project NAME, --all)")
    return [run.id for run in history.select(*runs)]


def _copy(store: Path, run_ids: list[str], part: Path, *, is_anonymous: bool, progress: Progress | None) -> Choice:
    opened = open_store(store)
    try:
        opened.connection.execute("BEGIN")
        choice = choose(opened.connection, run_ids)
        copy_runs(opened.connection, choice, part, is_anonymous=is_anonymous, progress=progress)
        return choice
    except sqlite3.Error as error:
        raise StoreError(f"the export failed ({error}); the store is as it was, nothing was written") from error
    finally:
        opened.close()


def _count(part: Path, choice: Choice | None) -> tuple[int, dict[str, int]]:
    connection = sqlite3.connect(part)
    try:
        (points,) = connection.execute("SELECT coalesce(sum(count), 0) FROM metric_summaries").fetchone()
        words = [] if choice is None else sorted(set().union(*choice.people.values()))
        return int(points), mentions(connection, words)
    finally:
        connection.close()


def _convert(part: Path, folder: Path, kind: str, choice: Choice, *, is_anonymous: bool) -> Path:
    written = folder / f"part.{kind}"
    scrub = scrubber(choice.people) if is_anonymous else as_it_is
    with History(part) as history:
        if kind == "json":
            write_json(history, written, scrub, is_anonymous=is_anonymous)
        elif kind == "csv":
            write_csv(history, written, scrub)
        else:
            write_parquet(history, written, scrub)
    return written
