"""What a team's history costs: sending, joining, room and answers, on a PostgreSQL of its own.

Stores come from make_store.py with one run a session, as programs leave them. Each push goes to an empty target, in a
process of its own, as a person waits for it. Questions are asked of targets of several sizes, and the exponent says how
the time grows with the number of runs: 0 is not at all, 1 is in proportion.
"""

from __future__ import annotations

import math
import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from a_server import postgresql, size, target
from harness import median, place, table
from make_store import make

RUNS, POINTS = 10_000, 1_000_000
CLIENTS, EVERY_S, FOR_S = 50, 10.0, 60.0

_QUESTIONS: dict[str, dict[str, Any]] = {
    "the last 100 of a project": {"is_nested": False, "project": "churn"},
    "the last 100 of all": {"is_nested": False},
    "where metric and param, by metric": {
        "where": "val_loss < 0.3 and params.lr > 1e-2",
        "order_by": "val_loss",
    },
    "where param = text": {"where": "params.optimizer = adam", "is_nested": False},
    "by tag": {"tag": "team=red"},
    "failed": {"status": "failed"},
    "by a param": {"order_by": "params.lr"},
    "where anything": {"where": "framework = keras and started > 90d ago", "order_by": "val_loss.last"},
}


def team(repeats: int, sizes: Sequence[int]) -> None:
    """Pushes, merges, room, clients and questions."""
    with place() as folder, postgresql() as address:
        many, long = folder / "many.db", folder / "long.db"
        make(many, RUNS, a_session=1)
        make(long, 0, points=POINTS)
        _moves(folder, address, many, long, repeats)
        _clients(folder, address)
        _questions(folder, address, sizes, repeats)


def _moves(folder: Path, address: str, many: Path, long: Path, repeats: int) -> None:
    """What is sent and joined, as whole processes."""
    taken: dict[str, list[tuple[float, float]]] = {}

    def timed(name: str, *words: str) -> None:
        taken.setdefault(name, []).append(verb(*words))

    empty = size(target(address))
    room = (0, 0)
    for turn in range(repeats):
        to_many, to_long = target(address), target(address)
        timed(f"push {RUNS:,} runs, one a session", "push", str(many), "--to", to_many)
        timed("push again, nothing new", "push", str(many), "--to", to_many)
        timed(f"push {POINTS:,} points", "push", str(long), "--to", to_long)
        timed("merge the runs", "merge", str(many), "-o", str(folder / f"many{turn}.db"))
        timed("merge the points", "merge", str(long), "-o", str(folder / f"long{turn}.db"))
        room = (size(to_many) - empty, size(to_long, "point_chunks"))
    rows = {name: [median(column) for column in zip(*turns, strict=True)] for name, turns in taken.items()}
    note = f"room at the target: {room[0] / RUNS / 1000:.1f} KB a run, {room[1] / POINTS:.1f} bytes a point"
    table("whole processes", ("wall s", "CPU s"), rows, note + "; CPU is that of the process, not the server's")


def verb(*words: str) -> tuple[float, float]:
    """Wall and CPU seconds of a verb."""
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "histhooks", *words], env={**os.environ, "HISTHOOKS_QUIET": "1"}, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    wall_s = time.perf_counter() - begin
    if done.returncode:
        raise SystemExit(f"histhooks {' '.join(words)} failed:\n{done.stderr[-2000:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall_s, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _clients(folder: Path, address: str) -> None:
    """Many stores that grow by a run every few seconds, each pushed as often, by threads of one process."""
    from make_store import Maker

    from histhooks import team as teams
    from histhooks._store.store import Store
    from histhooks.errors import HisthooksError

    to = target(address)
    taken: list[float] = []
    failed: list[str] = []
    until = time.monotonic() + FOR_S

    def client(number: int) -> None:
        path = folder / f"client{number}.db"
        maker = Maker(Store(path), seed=number)
        next_at = time.monotonic() + number * EVERY_S / CLIENTS
        while next_at < until:
            time.sleep(max(0.0, next_at - time.monotonic()))
            maker.session(time.time_ns() // 1000, 1)
            begin = time.perf_counter()
            try:
                teams.push(path, to)
            except HisthooksError as error:
                failed.append(f"{type(error).__name__}: {error}")
            taken.append(time.perf_counter() - begin)
            next_at += EVERY_S
        maker.store.close()

    threads = [threading.Thread(target=client, args=(number,)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ordered = sorted(taken)
    figures = [len(ordered), median(ordered) * 1000, ordered[int(len(ordered) * 0.95)] * 1000, len(failed)]
    note = f"each {EVERY_S:.0f} s for {FOR_S:.0f} s, one process" + "".join(f"\n{text}" for text in failed[:3])
    table(f"{CLIENTS} clients", ("pushes", "median ms", "95 % ms", "failed"), {"a run each": figures}, note)


def _questions(folder: Path, address: str, sizes: Sequence[int], repeats: int) -> None:
    """The same questions of targets of several sizes."""
    import histhooks

    columns: list[dict[str, float]] = []
    for runs in sizes:
        store, to = folder / f"{runs}.db", target(address)
        make(store, runs, a_session=1, points=POINTS)
        begin = time.perf_counter()
        verb("push", str(store), "--to", to)
        print(f"{runs:,} runs: pushed in {time.perf_counter() - begin:.0f} s", flush=True)
        store.unlink()
        begin = time.perf_counter()
        verb("runs", to)
        times = {"the first reading, a whole process": (time.perf_counter() - begin) * 1000}
        with histhooks.History(to) as history:
            for name, which in _QUESTIONS.items():
                times[name] = _median_ms(lambda which=which: history.runs(**which, limit=100), repeats)  # type: ignore[misc]
            (run,) = history.runs(where="has step_loss", limit=1)
            times["2,000 of a million points"] = _median_ms(
                lambda run=run: run.series("step_loss", points=2000), repeats
            )  # type: ignore[misc]
        columns.append(times)
    rows = {name: [*(each[name] for each in columns), _exponent(sizes, [each[name] for each in columns])]
            for name in columns[0]}  # fmt: skip
    table("ms, 100 runs each", (*(f"{runs:,}" for runs in sizes), "exponent"), rows)


def _median_ms(function: Callable[[], Any], repeats: int) -> float:
    """The median of some turns, after one that warms caches."""
    function()
    taken = []
    for _ in range(repeats):
        begin = time.perf_counter()
        function()
        taken.append((time.perf_counter() - begin) * 1000)
    return median(taken)


def _exponent(sizes: Sequence[int], times: Sequence[float]) -> float:
    """How the time grows from the first size to the last one; nan with one size."""
    if len(sizes) < 2:
        return math.nan
    return math.log(times[-1] / times[0]) / math.log(sizes[-1] / sizes[0])
