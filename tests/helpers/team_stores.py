"""Small stores that several people could have: random histories, their copies, and what stands in them."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import socket
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

from histhooks import curate
from histhooks._base.clock import iso, now_us
from histhooks._base.ids import new_id
from histhooks._base.metric_names import Metric
from histhooks._base.values import dumps
from histhooks._collect.survey import content_id, content_row
from histhooks._host.process import identity
from histhooks._store.assembler import Assembler
from histhooks._store.entries import (
    Entry,
    content_entry,
    event_entry,
    params_entry,
    row_entry,
    state_entry,
)
from histhooks._store.spool_folders import folders
from histhooks._store.store import Store, open_spool
from histhooks._store.tables import COVERED, TABLES
from histhooks.errors import StoreError
from histhooks.export import export

# A process of this machine that is no more.
GONE = {"pid": 1, "process_started": "never", **{key: getattr(identity(), key) for key in ("boot_id", "pid_namespace")}}
# What several sessions share.
TEXTS = [b"import torch  # of ann\n" * 30, b"import numpy\n" * 30, b"print(1)\n" * 30]


class Points:
    """What points of a run come from."""

    def __init__(self, run_id: str, start_us: int) -> None:
        self.id, self.start_us = run_id, start_us

    def what_is(self, name: str) -> Metric:
        return Metric(name, "train", -1)


def refuse(run: Any, text: str) -> None:
    raise AssertionError(text)


class Session:
    """A session that records to a file, and may go on there."""

    def __init__(self, path: Path, number: int) -> None:
        self.path, self.number, self.id = path, number, new_id()
        self.assembler = Assembler(self.id, refuse)
        self.runs: list[Points] = []
        self.is_begun = False

    def personal(self) -> dict[str, str | None]:
        word = f"person{self.number}x"
        return {
            "hostname": socket.gethostname(), "username": word, "actor": f"{word}@example.com",
            "command": f"train {word}", "cwd": None,
        }  # fmt: skip

    def write(self, entries: list[Entry], *, status: str = "running") -> None:
        with closing(Store(self.path, is_spool=True)) as store:
            if not self.is_begun:
                self.assembler.begin(store.heads())
                entries = [*self._first(), *entries]
                self.is_begun = True
            if status != "running":
                entries = [*entries, state_entry("session", self.id, {"status": status, "ended_at": iso(now_us())})]
            with store.transaction(is_durable=False):
                batch = self.assembler.build(entries)
                store.write(batch)
                self.assembler.done(batch)

    def _first(self) -> list[Entry]:
        environment = {
            "python": "3.11", "os": "Linux", "machine": "x86_64", "cpu": None, "memory_bytes": 1, "gpus": None,
            "details": "{}",
        }  # fmt: skip
        environment = {"id": content_id(environment), **environment}
        text = TEXTS[self.number % len(TEXTS)]
        digest = hashlib.sha256(text).hexdigest()
        code: dict[str, Any] = {
            "repository": None, "commit_hash": f"c{self.number % 2}", "branch": None, "dirty": 0, "diff": None,
            "entry_script": "train.py", "entry_sha256": digest, "details": dumps({"sources": {"train.py": digest}}),
        }  # fmt: skip
        code = {"id": content_id(code), **code}
        facts = {
            "kind": "script", "status": "running", "started_at": iso(now_us()), "recorder_version": "1",
            **GONE, "environment_id": environment["id"], "code_version_id": code["id"],
        }  # fmt: skip
        return [
            content_entry("environments", environment),
            content_entry(
                "packages", *({"environment_id": environment["id"], "name": n, "version": "1"} for n in ("b", "a"))
            ),
            content_entry("contents", content_row(digest, "file", text)),
            content_entry("code_versions", code),
            state_entry("session", self.id, facts, self.personal()),
        ]

    def train(self, *, shared: int = 0, n_points: int = 3, parent: str | None = None) -> str:
        """Begin a run, with a row of most kinds; its id."""
        run_id, now = new_id(), now_us()
        run = Points(run_id, now)
        self.runs.append(run)
        data: dict[str, Any] = {
            "kind": "ndarray", "n_rows": shared, "n_columns": 1, "size_bytes": 8, "coverage": "all",
            "content_hash": f"h{shared}", "schema": None, "profile": None,
        }  # fmt: skip
        data = {"id": content_id(data), **data}
        sha256 = hashlib.sha256(b"file %d" % shared).hexdigest()
        # One content under two endings.
        file = {"sha256": sha256, "size_bytes": 6, "format": ("bin", "pt")[self.number % 2]}
        facts = {
            "session_id": self.id, "name": f"run {self.number}", "kind": "fit", "status": "running",
            "started_at": iso(now), "parent_id": parent,
        }  # fmt: skip
        of_run = {"run_id": run_id, "time": now}
        mine = {"run_id": run_id, "session_id": self.id, "time": now, "author": self.personal()["actor"]}
        self.write([
            state_entry("run", run_id, {key: value for key, value in facts.items() if value is not None}),
            content_entry("datasets", data), content_entry("artifacts", file),
            params_entry(run_id, now, [("lr", "0.1", "user"), ("number", str(self.number), "user")]),
            row_entry("run_datasets", run_id,
                      {**of_run, "dataset_id": data["id"], "role": "train", "name": "X", "source": None}),
            row_entry("run_artifacts", run_id,
                      {**of_run, "sha256": sha256, "path": "m.bin", "role": "model", "direction": "out", "step": None}),
            row_entry("tags", run_id, {**mine, "key": "team", "value": f"tag-{run_id}"}),
            row_entry("notes", run_id, {**mine, "body": f"note-{run_id}"}),
            event_entry(self.id, run_id, "cell", "cell", f"print('person{self.number}x')"),
            *self.points(run, n_points),
        ])  # fmt: skip
        return run_id

    def points(self, run: Points, number: int, first: int = 0) -> list[Entry]:
        return [
            (run, {"loss": 1.0 / (step + 1), "odd": float("nan") if step % 3 else -0.0}, step, None, now_us() * 1000)
            for step in range(first, first + number)
        ]

    def go_on(self, number: int) -> None:
        """Add points to the latest run."""
        self.write([(self.runs[-1], {"later": float(n)}, n, None, now_us() * 1000) for n in range(number)])

    def model(self, run_id: str, shared: int) -> None:
        """Register a version, and put it live; a window of its predictions."""
        now, version, window = now_us(), new_id(), new_id()
        sha256 = hashlib.sha256(b"file %d" % shared).hexdigest()
        actor = self.personal()["actor"]
        mine = {"session_id": self.id, "time": now, "author": actor}
        self.write([
            content_entry("artifacts", {"sha256": sha256, "size_bytes": 6, "format": ("bin", "pt")[self.number % 2]}),
            row_entry("model_versions", version, {**mine, "id": version, "model": "churn", "number": 1,
                                                  "sha256": sha256, "run_id": run_id, "path": "m.bin", "kept": 0}),
            row_entry("model_events", version, {**mine, "version_id": version, "action": "promote", "alias": "prod",
                                                "reason": "better", "run_id": run_id}),
            row_entry("windows", self.id, {"id": window, "session_id": self.id, "model": "churn", "version_id": version,
                                           "started_at": iso(now), "n_calls": 1, "n_rows": 2, "source": "live",
                                           "time": now}),
            row_entry("window_metrics", self.id, {"window_id": window, "session_id": self.id, "metric": "auc",
                                                  "count": 2, "sum": 1.0, "time": now}),
        ])  # fmt: skip

    def end(self) -> None:
        """End its runs, and itself."""
        states = [state_entry("run", run.id, {"status": "finished", "ended_at": iso(now_us())}) for run in self.runs]
        self.write(states, status="finished")


class World:
    """Files of several people, and what was deleted and redacted in any of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        self.files: list[Path] = []
        self.sessions: list[Session] = []
        self.deleted: set[str] = set()
        self.words: set[str] = set()
        self.number = 0

    def file(self, which: int) -> Path:
        return self.files[which % len(self.files)]

    def do(self, what: str, which: int, size: int) -> None:
        """One of the things that people do, to one of the files."""
        if not self.files:
            self.files.append(self.folder / "0.db")
            what = "train"
        path = self.file(which)
        if what == "train" or not runs_of(path):
            self._train(path, size)
        elif what == "copy":
            self._copy(path, self.folder / f"{len(self.files)}.db")
        elif what == "go on":
            for session in self.sessions:
                if session.path == path and session.number % 2:
                    session.go_on(size)
                    break
        elif what == "export":
            self._export(path, size)
        else:
            getattr(self, f"_{what}")(path, size, f"{what} {self.number}")

    def _train(self, path: Path, size: int) -> None:
        self.number += 1
        session = Session(path, self.number)
        first = session.train(shared=size % 3, n_points=(3, 70, 1)[size % 3])
        session.train(shared=(size + 1) % 3, n_points=2, parent=first if size % 2 else None)
        if size % 4 == 0:
            session.model(first, size % 3)
        if self.number % 2:
            self.sessions.append(session)  # still records
        else:
            session.end()

    def _spool(self, path: Path, size: int, reason: str) -> None:
        """A session that could not write to the file."""
        self.number += 2 - self.number % 2
        session = Session(path, self.number)
        session.path = folders(path)[0] / f"{session.id}.db"
        session.path.parent.mkdir(exist_ok=True)
        open_spool(session.path).close()
        session.train(shared=size % 3)
        if size % 2:
            session.end()

    def _copy(self, path: Path, new: Path) -> None:
        shutil.copy(path, new)
        self.files.append(new)

    def _export(self, path: Path, size: int) -> None:
        new = self.folder / f"{len(self.files)}.db"
        found = runs_of(path)
        export(found[size % len(found)], to=new, store=path, anonymous=bool(size % 2))
        self.files.append(new)

    def _delete(self, path: Path, size: int, reason: str) -> None:
        found = runs_of(path)
        with contextlib.suppress(StoreError):  # what was promoted stays
            done = curate.delete(found[size % len(found)], reason=reason, store=path)
            self.deleted |= {run["id"] for run in done.runs}

    def _redact(self, path: Path, size: int, reason: str) -> None:
        found = runs_of(path)
        run_id = found[size % len(found)]
        sql = "SELECT command FROM sessions WHERE id = (SELECT session_id FROM runs WHERE id = ?)"
        ((command,),) = ask(path, sql, run_id)
        # An anonymous export has none of them to redact.
        words = {word for word in (f"tag-{run_id}", f"note-{run_id}") if word.encode() in path.read_bytes()}
        left = curate.redact(runs=(run_id,), reason=reason, store=path).left
        self.words |= words | ({command} if command and not left else set())

    def _rename(self, path: Path, size: int, name: str) -> None:
        found = runs_of(path)
        curate.rename(found[size % len(found)], name, store=path)

    def _tag(self, path: Path, size: int, word: str) -> None:
        found = runs_of(path)
        curate.tag(found[size % len(found)], {"word": word}, store=path)


def twin_of(session: Session, copy: Path) -> tuple[Session, int]:
    """The same session in a copy of its store, where it goes on otherwise, and the number of its next line."""
    twin = Session(copy, session.number)
    twin.id, twin.runs, twin.is_begun = session.id, session.runs, True
    last, digest = ask(session.path, "SELECT max(seq), digest FROM ledger WHERE session_id = ?", session.id)[0]
    twin.assembler.session_id = session.id
    twin.assembler.resume(last + 1, digest, {(session.id, "events"): 0})
    return twin, last + 1


def two_copies(folder: Path) -> World:
    """Two copies of a store, in each of which a session of its own recorded since."""
    made = World(folder)
    for what, which, size in (("train", 0, 1), ("train", 0, 0), ("train", 0, 4), ("copy", 0, 0), ("train", 1, 3)):
        made.do(what, which, size)
    made.do("train", 0, 2)
    return made


def change(path: Path, sql: str, *values: object) -> None:
    """Change rows of a store behind its back."""
    with closing(sqlite3.connect(path)) as connection, connection:
        assert connection.execute(sql, values).rowcount > 0


def runs_of(path: Path) -> list[str]:
    return [run_id for (run_id,) in ask(path, "SELECT id FROM runs ORDER BY id")] if path.exists() else []


def ask(path: Path, sql: str, *values: Any) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql, values).fetchall()


def dump(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    """All that a store says, whatever the order and the keys of its rows."""
    with closing(sqlite3.connect(path)) as connection:
        found = {}
        for table, spec in TABLES.items():
            if spec.kind in ("fold", "row", "content", "ledger"):
                found[table] = sorted(connection.execute(f"SELECT * FROM {table}"), key=repr)
        summaries = connection.execute("SELECT * FROM metric_summaries").fetchall()
        found["metric_summaries"] = sorted((row[1:] for row in summaries), key=repr)
        for table in ("points", "rollups"):
            sql = f"SELECT s.run_id, s.name, t.* FROM {table} AS t JOIN metric_summaries AS s ON s.series = t.series"
            found[table] = sorted(((*row[:2], *row[3:]) for row in connection.execute(sql)), key=repr)
        for table, columns in (("exports", "id, kind, time"), ("merged_spools", "name, time")):
            found[table] = connection.execute(f"SELECT {columns} FROM {table} ORDER BY 1").fetchall()
        held = [json.loads(text) for (text,) in connection.execute("SELECT holds FROM exports")]
        found["holds"] = sorted({(scope,) for scopes in held for scope in scopes}) if held else [("all",)]
        return found


def differences(one: Path, other: Path) -> dict[str, list[Any]]:
    """Where two stores differ: rows of each table that only one has."""
    first, second = dump(one), dump(other)
    return {
        table: [*(row for row in first[table] if row not in second[table]), "|",
                *(row for row in second[table] if row not in first[table])]
        for table in first
        if first[table] != second[table]
    }  # fmt: skip


def bytes_of(paths: Iterable[Path]) -> bytes:
    return b"".join(path.read_bytes() for path in paths if path.is_file())


__all__ = [
    "COVERED", "Session", "World", "ask", "bytes_of", "change", "differences", "dump", "runs_of", "two_copies",
]  # fmt: skip
