"""Tests of reading on both engines: what opens a file opens in its place a PostgreSQL database to which it was pushed.

`tests/history`, the reading verbs of `tests/cli` and the pages of `tests/ui` run each test on SQLite and on PostgreSQL
(`on_both`, in the conftest of each).
A test that is about the file itself stays on SQLite and says why, and so does one that trains for long and asks what
others ask too: `@pytest.mark.one_engine("it trains for 20 s")`, or `pytestmark` for a module.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock
from uuid import uuid4

import pytest

import histhooks

_CURATE = str(Path(histhooks.__file__).parent / "curate")
ENGINES = ("sqlite", "postgresql")
# address -> file, of all that were made
FILES: dict[str, Path] = {}


def on_both(metafunc: pytest.Metafunc) -> None:
    """Let a test run on each engine, unless it is marked as one of SQLite alone."""
    is_of_one = metafunc.definition.get_closest_marker("one_engine") is not None
    metafunc.parametrize("engine", ENGINES[:1] if is_of_one else ENGINES, indirect=True, scope="module")


class Twin:
    """A database that has what a file has.

    Parameters
    ----------
    address : str
    path : Path
        The file.
    """

    def __init__(self, address: str, path: Path) -> None:
        from histhooks.team._pushing import Pushing
        from histhooks.team.postgres.address import Database, target_of

        database = target_of(address)
        assert isinstance(database, Database)
        self.address, self.database, self.path = address, database, path
        self._pushing = Pushing(database)
        self._seen: list[tuple[int, int]] = []

    def catch_up(self) -> None:
        """Bring what came to the file since."""
        from histhooks._host import recording_here
        from histhooks._store.spools import waiting

        recording_here.catch_up(self.path)
        files = [self.path, self.path.with_name(self.path.name + "-wal"), *waiting(self.path)]
        seen = [(each.st_mtime_ns, each.st_size) for each in (path.stat() for path in files if path.exists())]
        if seen != self._seen:
            done = self._pushing.push(self.path)
            assert done.ok, done
            self._seen = seen

    def close(self) -> None:
        """Push no more."""
        self._pushing.close()


class Twins:
    """The databases of a module.

    Parameters
    ----------
    server : str
        The address of a database, beside which others may be made.
    template : str
        The name of one that has the schema.
    """

    def __init__(self, server: str, template: str) -> None:
        self._server, self._template = server, template
        self._names: list[str] = []
        self._twins: dict[Path, Twin] = {}
        self._lock = threading.RLock()
        self._is_pushing = False

    def of(self, path: Path) -> Twin | None:
        """The twin of a file; None while a twin is brought up to date, which reads the file."""
        with self._lock:
            if self._is_pushing:
                return None
            path = path.resolve()
            twin = self._twins.get(path)
            if twin is None:
                name = f"hh_{uuid4().hex[:12]}"
                _run(self._server, f"CREATE DATABASE {name} TEMPLATE {self._template} STRATEGY file_copy")
                self._names.append(name)
                twin = self._twins[path] = Twin(beside(self._server, name), path)
                FILES[twin.address] = path
            self._catch_up(twin)
            return twin

    def catch_up(self, database: Any) -> None:
        """Before a database is asked: bring what came to its file since."""
        with self._lock:
            for twin in self._twins.values():
                if twin.database == database and not self._is_pushing:
                    self._catch_up(twin)

    def _catch_up(self, twin: Twin) -> None:
        self._is_pushing = True
        try:
            twin.catch_up()
        finally:
            self._is_pushing = False

    def close(self) -> None:
        """Drop them."""
        for twin in self._twins.values():
            twin.close()
        for name in self._names:
            _run(self._server, f"DROP DATABASE {name} WITH (FORCE)")


def beside(address: str, name: str) -> str:
    """The address of another database of a server."""
    head, _, rest = address.partition("://")
    host, _, options = rest.partition("?")
    return f"{head}://{host.rpartition('/')[0]}/{name}{'?' if options else ''}{options}"


def _run(address: str, statement: str) -> None:
    import psycopg

    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute(statement)


@contextmanager
def template_of(server: str) -> Iterator[str]:
    """The name of a database that has the schema of a target, and nothing else."""
    from histhooks import team

    name = f"hh_{uuid4().hex[:12]}"
    _run(server, f"CREATE DATABASE {name}")
    team.init(beside(server, name))
    yield name
    _run(server, f"DROP DATABASE {name} WITH (FORCE)")


def _is_changed() -> bool:
    """Whether what opens a store changes it: that is done to a file."""
    callers = (sys._getframe(2), sys._getframe(2).f_back, sys._getframe(3).f_back)
    return any(caller is not None and caller.f_code.co_filename.startswith(_CURATE) for caller in callers)


@contextmanager
def read_there(server: str, template: str) -> Iterator[None]:
    """Open a database wherever reading code opens a file."""
    from histhooks.history._opening import locate
    from histhooks.history._reader import Reader
    from histhooks.team.postgres.reading import Target

    twins = Twins(server, template)
    open_, ask = Reader.__init__, Target.ask

    def opened(self: Any, store: str | os.PathLike[str] | None = None) -> None:
        is_there = str(store).startswith("postgresql://") or _is_changed()
        twin = None if is_there else twins.of(locate(store))
        open_(self, store if twin is None else twin.address)

    def asked(self: Any, query: str, values: Any) -> Any:
        twins.catch_up(self.database)
        return ask(self, query, values)

    with mock.patch.object(Reader, "__init__", opened), mock.patch.object(Target, "ask", asked):
        try:
            yield
        finally:
            twins.close()
