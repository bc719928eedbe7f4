"""A store of many runs, made in a minute by the code that records: assembler, ledger, folds, rollups and all.

`python benchmarks/make_store.py big.db --runs 10000 --points 1000000`

Nothing trains here and the numbers are made up, but each row and each ledger line is written as a session writes it, so
that size and times are those of a real store. Sessions lie `--a-day` runs a day back from now; one in ten is a search
with 8 candidates, one run in twenty fails, and curves have 20 epochs of 4 metrics. With `--points`, one run more has a
loss of that many steps.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import random
import time
from pathlib import Path
from typing import Any

from histhooks._base.clock import iso
from histhooks._base.metric_names import Metric, describe
from histhooks._collect.survey import content_id
from histhooks._store.assembler import Assembler
from histhooks._store.entries import row_entry
from histhooks._store.store import Store

_DAY_US = 86_400 * 1_000_000
_EPOCHS = 20
_A_SESSION = 5
_SLICE = 2000  # entries of a batch, as the writer takes them
_MODELS = (
    ("keras", "3.15.0", "Sequential", ("loss", "val_loss", "accuracy", "val_accuracy")),
    ("torch", "2.13.0", "ResNet", ("loss", "val_loss", "lr", "val_acc")),
    ("xgboost", "3.2.0", "XGBClassifier", ("validation_0-logloss", "validation_0-auc", "train-logloss", "train-auc")),
)
_TRACEBACK = 'Traceback (most recent call last):\n  File "train.py", line 31, in <module>\n    model.fit(x, y)\n'


def new_id(time_us: int, stream: random.Random) -> str:
    """A UUIDv7 of another time than now."""
    value = (time_us // 1000 & 0xFFFF_FFFF_FFFF) << 80 | stream.getrandbits(80)
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


class MadeRun:
    """What the assembler asks of a run."""

    def __init__(self, run_id: str, start_us: int) -> None:
        self.id, self.start_us = run_id, start_us

    def what_is(self, name: str) -> Metric:
        return describe(name)


class Maker:
    """Makes sessions and their runs, one after another."""

    def __init__(self, store: Store, seed: int = 0) -> None:
        self.store = store
        self.stream = random.Random(seed)
        self.head: list[Any] | None = None
        self.n_runs = 0

    def session(self, time_us: int, n_runs: int, points: int = 0) -> None:
        """Write one session of some outer runs; the last one has a curve of so many points."""
        session_id = new_id(time_us, self.stream)
        assembler = Assembler(session_id, _refused)
        assembler.heads = [self.head] if self.head else []
        environment, code = self._content()
        facts = {
            "kind": "script", "status": "running", "started_at": iso(time_us), "boot_id": "made", "pid": 4000,
            "recorder_version": "made",
        }  # fmt: skip
        personal = {
            "hostname": f"gpu{self.stream.randrange(8):02}", "username": "ada", "actor": "ada@example.com",
            "command": "python train.py --epochs 20", "cwd": "/home/ada/churn",
        }  # fmt: skip
        self._write(assembler, [("state", "session", session_id, facts, personal)])
        ids = {"environment_id": environment["id"], "code_version_id": code["id"]}
        entries: list[Any] = [
            ("content", "environments", [environment]),
            ("content", "packages", [
                {"environment_id": environment["id"], "name": f"package-{n}", "version": "1.0"} for n in range(60)
            ]),
            ("content", "code_versions", [code]),
            ("state", "session", session_id, ids, None),
        ]  # fmt: skip
        clock = time_us + 1_000_000
        for number in range(n_runs):
            entries += self._run(session_id, clock, points if number == n_runs - 1 else 0)
            clock += 90_000_000
        for start in range(0, len(entries), _SLICE):
            self._write(assembler, entries[start : start + _SLICE])
        end = {"status": "ended", "ended_at": iso(clock), "ledger_head": assembler.previous}
        self._write(assembler, [("state", "session", session_id, end, None)])
        assert assembler.previous is not None
        self.head = [session_id, assembler._seq - 1, assembler.previous]

    def _write(self, assembler: Assembler, entries: list[Any]) -> None:
        batch = assembler.build(entries)
        batch.is_durable = False  # a store that is made again is no loss
        self.store.apply(batch, assembler.session_id)
        assembler.done(batch)

    def _content(self) -> tuple[dict[str, Any], dict[str, Any]]:
        month = self.stream.randrange(12)
        row: dict[str, Any] = {"python": f"CPython 3.11.{month}", "os": "Linux", "machine": "x86_64", "cpu": "made"}
        environment = {**row, "memory_bytes": 1 << 36, "gpus": "[]", "details": "{}"}
        code = {
            "repository": "git@example.com:ada/churn.git", "branch": "main", "dirty": self.stream.randrange(2),
            "commit_hash": hashlib.sha256(bytes([self.stream.randrange(200)])).hexdigest()[:40], "diff": None,
            "entry_script": "train.py", "entry_sha256": None, "details": "{}",
        }  # fmt: skip
        return {"id": content_id(environment), **environment}, {"id": content_id(code), **code}

    def _run(self, session_id: str, time_us: int, points: int) -> list[Any]:
        self.n_runs += 1
        framework, version, model, metrics = _MODELS[self.n_runs % len(_MODELS)]
        is_search = self.n_runs % 10 == 0 and not points
        run_id = new_id(time_us, self.stream)
        facts: dict[str, Any] = {
            "session_id": session_id, "project": ("churn", "vision", "prices")[self.n_runs % 3], "group_name": None,
            "name": f"train·{model}", "kind": "search" if is_search else "fit", "framework": framework,
            "framework_version": version, "model_class": model, "call_site": f"train.py:{31 + self.n_runs % 3}",
            "status": "running", "started_at": iso(time_us), "epochs_planned": _EPOCHS,
        }  # fmt: skip
        if is_search:
            facts |= {"name": "train·GridSearchCV", "framework": "sklearn", "framework_version": "1.9.0"}
        entries: list[Any] = [("state", "run", run_id, facts, None)]
        params = {
            "lr": 10 ** self.stream.uniform(-5, -1), "batch_size": self.stream.choice([32, 64, 128]),
            "optimizer": self.stream.choice(["adam", "sgd"]), "epochs": _EPOCHS, "shuffle": True,
            **{f"setting_{n}": n for n in range(8)},
        }  # fmt: skip
        for number, (key, value) in enumerate(params.items()):
            source = "argument" if number < 4 else "default"
            entries.append(_row("params", run_id, time_us, key=key, value=json.dumps(value), source=source))
        if self.n_runs % 20 == 1:
            tag = {"session_id": session_id, "key": "team", "value": self.stream.choice(["red", "blue"])}
            entries.append(_row("tags", run_id, time_us, **tag, author="ada"))
            note = {"session_id": session_id, "body": f"attempt {self.n_runs}: a lower learning rate"}
            entries.append(_row("notes", run_id, time_us, **note, author="ada"))
        if is_search:
            for number in range(8):
                entries += self._candidate(session_id, run_id, time_us + number * 1000, number)
        else:
            entries += self._points(MadeRun(run_id, time_us), metrics, points)
        digest = hashlib.sha256(run_id.encode()).hexdigest()
        entries.append(("content", "artifacts", [{"sha256": digest, "size_bytes": 1 << 20, "format": "pt"}]))
        entries.append(_row("run_artifacts", run_id, time_us, sha256=digest, path=f"/home/ada/churn/{self.n_runs}.pt",
                            role="model", direction="out", step=None))  # fmt: skip
        final: dict[str, Any] = {"status": "finished", "ended_at": iso(time_us + 60_000_000), "duration_s": 60.0}
        if self.n_runs % 20 == 7:
            final |= {
                "status": "failed",
                "error_type": "ValueError",
                "error_message": "input shapes do not fit: 31 and 32",
            }
            final["traceback"] = _TRACEBACK * 8 + "ValueError: input shapes do not fit: 31 and 32\n"
        entries.append(("state", "run", run_id, {**final, "epochs_done": _EPOCHS, "steps_done": _EPOCHS * 100}, None))
        entries.append(("forget", run_id))
        return entries

    def _candidate(self, session_id: str, parent_id: str, time_us: int, number: int) -> list[Any]:
        run_id = new_id(time_us, self.stream)
        facts = {
            "session_id": session_id, "parent_id": parent_id, "project": "churn",
            "name": f"train·GridSearchCV[{number}]", "kind": "candidate",
            "framework": "sklearn", "status": "running", "started_at": iso(time_us),
        }  # fmt: skip
        run = MadeRun(run_id, time_us)
        folds = [(run, {"test_score": self.stream.uniform(0.5, 1)}, n, None, time_us * 1000) for n in range(5)]
        done = {"status": "finished", "ended_at": iso(time_us + 1000), "duration_s": 0.001}
        return [
            ("state", "run", run_id, facts, None),
            _row("params", run_id, time_us, key="C", value=json.dumps(10.0**number), source="argument"),
            *folds,
            ("state", "run", run_id, done, None),
            ("forget", run_id),
        ]

    def _points(self, run: MadeRun, metrics: tuple[str, ...], points: int) -> list[Any]:
        low = self.stream.uniform(0.1, 0.5)
        out: list[Any] = []
        for epoch in range(_EPOCHS):
            now = run.start_us * 1000 + epoch * 3_000_000_000
            values = {name: low + 1 / (epoch + 1) + self.stream.gauss(0, 0.01) for name in metrics}
            out.append((run, values, epoch * 100, epoch, now))
        gauss, exp = self.stream.gauss, math.exp
        for step in range(points):
            value = low + exp(-step / 2e5) + gauss(0, 0.05)
            out.append((run, {"step_loss": value}, step, None, run.start_us * 1000 + step * 3_000_000))
        return out


def _row(table: str, run_id: str, time_us: int, **columns: Any) -> Any:
    return row_entry(table, run_id, {"run_id": run_id, **columns, "time": time_us})


def _refused(run: Any, text: str) -> None:
    raise AssertionError(text)


def make(
    path: Path, runs: int, *, a_day: int = 200, points: int = 0, seed: int = 0, a_session: int = _A_SESSION
) -> None:
    """Make a store with so many outer runs, ending now, and one more with a long curve where points are asked for."""
    store = Store(path)
    # What a crash would cost is made again; with it, making takes twice as long.
    store.connection.execute("PRAGMA wal_autocheckpoint = 20000")
    maker = Maker(store, seed)
    sessions = math.ceil(runs / a_session)
    now = time.time_ns() // 1000
    step = _DAY_US * a_session // a_day
    for number in range(sessions):
        count = min(a_session, runs - number * a_session)
        maker.session(now - (sessions - number) * step, count)
    if points:
        maker.session(now - step // 2, 1, points)
    store.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    store.close()


def main() -> None:
    """Make a store, and say how large it is."""
    parser = argparse.ArgumentParser(description="a store of many runs")
    parser.add_argument("path", type=Path)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--a-day", type=int, default=200)
    parser.add_argument("--points", type=int, default=0, help="one run more, with a curve of so many points")
    asked = parser.parse_args()
    if asked.path.exists():
        parser.error(f"{asked.path} is there already")
    begin = time.perf_counter()
    make(asked.path, asked.runs, a_day=asked.a_day, points=asked.points)
    size = asked.path.stat().st_size
    took = time.perf_counter() - begin
    print(
        f"{asked.runs} runs in {asked.path}: {size / 1e6:.0f} MB, {size / asked.runs / 1e3:.1f} KB a run, {took:.0f} s"
    )


if __name__ == "__main__":
    main()
