"""Reading a history: read-only, safe beside writers, and without a word of how it was written.

>>> import histhooks
>>> history = histhooks.History("histhooks.db")
>>> for run in history.runs(status="finished", limit=5):
...     print(run.name, run.duration_s, run.params.get("C"))
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from histhooks._ids import short_id
from histhooks._location import find_store
from histhooks._process import judge
from histhooks._spool import waiting
from histhooks._time import from_iso, now_us
from histhooks._union import show_spools
from histhooks._values import loads
from histhooks.errors import QueryError, StoreError

if TYPE_CHECKING:
    import pandas

APPLICATION_ID = 0x48495354
MAJOR = 1
_ORDERS = ("started_at", "ended_at", "duration_s", "name", "status", "project")


class History:
    """The runs in one store.

    Parameters
    ----------
    store : str or path, optional
        By default the store that recording would use here.

    Attributes
    ----------
    spools : list of Path
        Spools that wait beside the store; what is in them is read as if it had come home already.

    Raises
    ------
    StoreError
        Where there is none, or it is not one this version can read.
    """

    def __init__(self, store: str | os.PathLike[str] | None = None) -> None:
        path = find_store(store)
        if path is None:
            raise StoreError("no store here; name one with --store PATH, or record something first (histhooks demo)")
        if not path.is_file() and not waiting(path):
            raise StoreError(f"no store at {path}; name another with --store PATH")
        self.path = path
        self.spools: list[Path] = []
        self._copy: tempfile.TemporaryDirectory[str] | None = None
        self._connection = self._open(path)
        self._connection.row_factory = sqlite3.Row

    def __repr__(self) -> str:
        return f"<History {str(self.path)!r}>"

    def __enter__(self) -> History:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the store."""
        self._connection.close()
        if self._copy is not None:
            self._copy.cleanup()

    def _open(self, path: Path) -> sqlite3.Connection:
        if not path.is_file():
            # Nothing came home yet: spools beside an empty store.
            connection = sqlite3.connect(":memory:", uri=True, isolation_level=None)
            connection.executescript(Path(__file__).with_name("schema.sql").read_text(encoding="utf-8"))
            self.spools = show_spools(connection, path)
            connection.execute("PRAGMA query_only = ON")
            return connection
        uri = path.absolute().as_uri()
        wal = path.with_name(path.name + "-wal")
        if not os.access(path.parent, os.W_OK) and not path.with_name(path.name + "-shm").exists():
            # SQLite needs a -shm file beside a WAL store, and cannot make one here.
            if wal.exists() and wal.stat().st_size:
                self._copy = tempfile.TemporaryDirectory(prefix="histhooks-")
                for file in (path, wal):
                    shutil.copy(file, self._copy.name)
                uri = (Path(self._copy.name) / path.name).as_uri()
            else:
                uri += "?immutable=1"
        connection = sqlite3.connect(
            uri + ("&" if "?" in uri else "?") + "mode=ro", uri=True, timeout=10, isolation_level=None
        )
        try:
            application = connection.execute("PRAGMA application_id").fetchone()[0]
            version = connection.execute("PRAGMA user_version").fetchone()[0]
        except sqlite3.DatabaseError as error:
            connection.close()
            raise StoreError(f"{path} cannot be read ({error}); name another with --store PATH") from error
        if application != APPLICATION_ID or version // 1000 > MAJOR:
            connection.close()
            fact = "is not a store of histhooks" if application != APPLICATION_ID else "is of a newer version"
            raise StoreError(f"{path} {fact}; name another with --store PATH, or update histhooks")
        self.spools = show_spools(connection, path)
        connection.execute("PRAGMA query_only = ON")
        return connection

    def sql(self, query: str, *values: Any) -> list[dict[str, Any]]:
        """Rows of a query of one's own; nothing can be written.

        Parameters
        ----------
        query : str
        *values : object
            For the question marks in it.

        Returns
        -------
        list of dict

        Raises
        ------
        QueryError
            Where SQLite refuses it.
        """
        try:
            return [dict(row) for row in self._connection.execute(query, values)]
        except sqlite3.Error as error:
            raise QueryError(f"SQLite refuses the query: {error}") from error

    def runs(
        self,
        *,
        project: str | None = None,
        framework: str | None = None,
        status: str | None = None,
        kind: str | None = None,
        order_by: str = "started_at",
        limit: int | None = None,
        is_nested: bool | None = None,
    ) -> list[RunRecord]:
        """Runs, the latest first.

        Parameters
        ----------
        project, framework, status, kind : str, optional
            Which runs.
        order_by : str
            A column, descending.
        limit : int, optional
            How many at most.
        is_nested : bool, optional
            True for runs inside others only, False for outer ones only.

        Returns
        -------
        list of RunRecord

        Raises
        ------
        QueryError
            Where `order_by` names no such column.
        """
        if order_by not in _ORDERS:
            raise QueryError(f"cannot order by {order_by!r}; choose one of {', '.join(_ORDERS)}")
        wanted = {"project": project, "framework": framework, "kind": kind}
        given = {column: value for column, value in wanted.items() if value is not None}
        clauses = [f"{column} = ?" for column in given]
        if is_nested is not None:
            clauses.append("parent_id IS NOT NULL" if is_nested else "parent_id IS NULL")
        where = f" WHERE {' AND '.join(clauses)}" if clauses else ""
        rows = self.sql(f"SELECT * FROM runs{where} ORDER BY {order_by} DESC, id DESC", *given.values())
        found: list[RunRecord] = []
        for row in rows:
            run = RunRecord(self, row)
            if status is None or run.status == status:
                found.append(run)
            if limit is not None and len(found) == limit:
                break
        return found

    def run(self, selector: str = "last") -> RunRecord:
        """One run.

        Parameters
        ----------
        selector : str
            Its id, a part of one that no other id has, its name (the latest of them), `last` or `last~2`.

        Returns
        -------
        RunRecord

        Raises
        ------
        QueryError
            Where there is none, or several ids have that part; the message names candidates.
        """
        word, _, back = selector.partition("~")
        if word == "last" and (back.isdigit() or not back):
            outer = self.sql("SELECT * FROM runs WHERE parent_id IS NULL ORDER BY started_at DESC, id DESC")
            if len(outer) <= int(back or 0):
                raise QueryError(f"there are {len(outer)} outer runs in {self.path}, so none is {selector!r}")
            return RunRecord(self, outer[int(back or 0)])
        rows = self.sql("SELECT * FROM runs WHERE id = ? OR instr(id, ?) ORDER BY started_at DESC", selector, selector)
        exact = [row for row in rows if row["id"] == selector]
        rows = exact or rows
        if len(rows) > 1:
            names = ", ".join(f"{short_id(row['id'])} {row['name']}" for row in rows[:5])
            raise QueryError(f"{len(rows)} ids have {selector!r} in them: {names}; give more of it")
        if not rows:
            rows = self.sql("SELECT * FROM runs WHERE name = ? ORDER BY started_at DESC LIMIT 1", selector)
        if not rows:
            latest = self.sql("SELECT id, name FROM runs ORDER BY started_at DESC LIMIT 5")
            names = ", ".join(f"{short_id(row['id'])} {row['name']}" for row in latest) or "there are none"
            raise QueryError(f"no run is {selector!r} in {self.path}; the latest are: {names}")
        return RunRecord(self, rows[0])

    @cached_property
    def _judged(self) -> dict[str, str]:
        now = now_us()
        rows = self.sql("SELECT * FROM sessions WHERE status = 'running'")
        return {row["id"]: judge(row, now) for row in rows}

    def settled(self, session_id: str, status: str) -> str:
        """The status as it is now: what says it is running and is not, was killed or is lost."""
        return self._judged.get(session_id, status) if status == "running" else status


class RunRecord:
    """One run, read when asked. Columns of `runs` are attributes."""

    def __init__(self, history: History, row: dict[str, Any]) -> None:
        self._history = history
        self.row = row
        self.id: str = row["id"]
        self.name: str = row["name"]
        self.kind: str = row["kind"]
        self.status = history.settled(row["session_id"], row["status"])

    def __repr__(self) -> str:
        return f"<RunRecord {short_id(self.id)} {self.name!r} {self.kind} {self.status}>"

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["row"][name]
        except KeyError:
            raise AttributeError(f"a run has no {name!r}") from None

    def _rows(self, sql: str, *values: Any) -> list[dict[str, Any]]:
        return self._history.sql(sql, *values)

    @property
    def params(self) -> dict[str, Any]:
        """Latest value of each param."""
        rows = self._rows("SELECT key, value FROM params WHERE run_id = ? ORDER BY ordinal", self.id)
        return {row["key"]: loads(row["value"]) for row in rows}

    @property
    def chosen(self) -> dict[str, Any]:
        """The params that are not the host's defaults."""
        sql = "SELECT key, value FROM params WHERE run_id = ? AND source <> 'default' ORDER BY ordinal"
        return {row["key"]: loads(row["value"]) for row in self._rows(sql, self.id)}

    @property
    def results(self) -> dict[str, Any]:
        """Outcomes that are no curve."""
        rows = self._rows("SELECT key, value FROM results WHERE run_id = ? ORDER BY ordinal", self.id)
        return {row["key"]: loads(row["value"]) for row in rows}

    @property
    def summaries(self) -> list[dict[str, Any]]:
        """A row per metric: count, first, last, min, max."""
        rows = self._rows("SELECT * FROM metric_summaries WHERE run_id = ? ORDER BY series", self.id)
        return [{key: value for key, value in row.items() if key != "series"} for row in rows]

    def metrics(self, name: str | None = None) -> list[dict[str, Any]]:
        """Points in order, of one metric or of all."""
        which = " AND name = ?" if name is not None else ""
        values = (self.id, name) if name is not None else (self.id,)
        columns = "name, metric, split, step, epoch, time, value, special"
        return self._rows(f"SELECT {columns} FROM metrics WHERE run_id = ?{which} ORDER BY name, n", *values)

    @property
    def children(self) -> list[RunRecord]:
        """The runs inside this one."""
        rows = self._rows("SELECT * FROM runs WHERE parent_id = ? ORDER BY started_at, id", self.id)
        return [RunRecord(self._history, row) for row in rows]

    @property
    def session(self) -> dict[str, Any]:
        """The process it ran in."""
        return self._rows("SELECT * FROM sessions WHERE id = ?", self.row["session_id"])[0]

    @property
    def environment(self) -> dict[str, Any] | None:
        """What it ran on."""
        rows = self._rows("SELECT * FROM environments WHERE id = ?", self.session["environment_id"])
        return {**rows[0], "details": json.loads(rows[0]["details"])} if rows else None

    @property
    def code(self) -> dict[str, Any] | None:
        """Which code ran."""
        rows = self._rows("SELECT * FROM code_versions WHERE id = ?", self.session["code_version_id"])
        return {**rows[0], "details": json.loads(rows[0]["details"])} if rows else None

    def related(self, table: str) -> list[dict[str, Any]]:
        """Rows of a table about this run: datasets, artifacts, tags, notes, events, links, optimizers."""
        return self._rows(_RELATED[table], self.id)

    @property
    def seeds(self) -> list[dict[str, Any]]:
        """Seeds that were set in the run, or before it in its process."""
        sql = (
            "SELECT library, call, value, location, time FROM seeds "
            "WHERE run_id = ? OR (session_id = ? AND time <= ?) ORDER BY time"
        )
        return self._rows(sql, self.id, self.row["session_id"], from_iso(self.row["started_at"]))

    def session_events(self, kind: str) -> list[dict[str, Any]]:
        """Events of one kind in the run's process, up to its start."""
        sql = "SELECT time, title, body FROM events WHERE session_id = ? AND kind = ? AND time <= ? ORDER BY time"
        second = 1_000_000  # what belongs to the start of a run is noted just after it
        return self._rows(sql, self.row["session_id"], kind, from_iso(self.row["started_at"]) + second)

    @property
    def captures(self) -> list[dict[str, Any]]:
        """What came of gathering things, for the run and its session."""
        sql = "SELECT * FROM captures WHERE run_id = ? OR (run_id IS NULL AND session_id = ?) ORDER BY time"
        return self._rows(sql, self.id, self.row["session_id"])

    def to_pandas(self) -> pandas.DataFrame:
        """Points as a DataFrame: a row per step, a column per metric."""
        import pandas

        frame = pandas.DataFrame(self.metrics(), columns=["name", "step", "epoch", "value", "special"])
        frame["value"] = frame["value"].fillna(frame["special"].map(float, na_action="ignore"))
        return frame.pivot_table(index="step", columns="name", values="value", aggfunc="last")

    def as_json(self) -> dict[str, Any]:
        """The complete record but for the points, as plain values."""
        related = {table: self.related(table) for table in _RELATED}
        return {
            **self.row, "status": self.status, "params": self.params, "results": self.results,
            "metrics": self.summaries, "children": [{**c.row, "status": c.status} for c in self.children],
            "session": self.session, "environment": self.environment, "code": self.code,
            "captures": self.captures, "seeds": self.seeds, **related,
        }  # fmt: skip

    def __iter__(self) -> Iterator[str]:
        return iter(self.row)


_RELATED = {
    "datasets": "SELECT role, name, source, d.* FROM run_datasets JOIN datasets AS d ON d.id = dataset_id "
    "WHERE run_id = ? ORDER BY ordinal",
    "artifacts": "SELECT path, role, direction, step, time, a.* FROM run_artifacts JOIN artifacts AS a USING (sha256) "
    "WHERE run_id = ? ORDER BY ordinal",
    "tags": "SELECT key, value, author, time FROM tags WHERE run_id = ? ORDER BY time",
    "notes": "SELECT body, author, time FROM notes WHERE run_id = ? ORDER BY time",
    "events": "SELECT time, step, kind, severity, title, body, count FROM events WHERE run_id = ? ORDER BY time",
    "links": "SELECT kind, other_run_id, sha256, time FROM run_links WHERE run_id = ? ORDER BY time",
    "optimizers": "SELECT id, position, class_name, settings, scheduler FROM optimizers "
    "WHERE run_id = ? ORDER BY ordinal",
    "rng_states": "SELECT point, library, device, algorithm, digest, time FROM rng_states WHERE run_id = ? "
    "ORDER BY ordinal",
}
