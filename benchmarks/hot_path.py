"""A `log()` of four numbers: its cost on the training thread, the stalls beside a writer, and the flow to disk."""

from __future__ import annotations

from harness import median, place, python, table, take_turns

LOG = """
import csv, time
import histhooks
run = histhooks.start_run("bench"); histhooks.flush()
kept, file = [], open("log.csv", "a")
write = csv.writer(file).writerow
def to_list(step): kept.append((step, 0.5, 0.25, 0.75, 0.125))
def to_csv(step): write((step, 0.5, 0.25, 0.75, 0.125)); file.flush()
def to_histhooks(step): run.log({"loss": 0.5, "acc": 0.25, "val_loss": 0.75, "val_acc": 0.125}, step=step)
taken = []
for call in (to_list, to_csv, to_histhooks):
    best = []
    for turn in range(20):
        histhooks.flush()
        begin, cpu = time.perf_counter_ns(), time.thread_time_ns()
        for step in range(500): call(step)
        best.append(((time.perf_counter_ns() - begin) / 5e5, (time.thread_time_ns() - cpu) / 5e5))
    best.sort()
    taken += best[10]
print(*taken)
"""
STALLS = """
import array, os, sys, time
{what}
def spin(k):
    for _ in range(k): pass
k = 10_000
while True:
    begin = time.perf_counter(); spin(k); took = time.perf_counter() - begin
    if 0.0008 < took < 0.0013: break
    k = max(1000, int(k * 0.001 / took))
n, clock = 6000, time.perf_counter_ns
taken = array.array("q", bytes(8 * n))
for step in range(n):
    begin = clock()
    spin(k)
    log(step)
    taken[step] = clock() - begin
taken = sorted(taken)
print(*(taken[int(n * q)] / 1e6 for q in (0.5, 0.99, 0.999)), taken[-1] / 1e6)
"""
WITHOUT = "def log(step): pass"
THREAD = """
import threading
def other():
    while True:
        time.sleep(0.25)
        for _ in range(20):  # as much as our writer does, by a thread that does nothing else
            end = time.perf_counter() + 0.0003
            while time.perf_counter() < end: pass
            time.sleep(0.00005)
threading.Thread(target=other, daemon=True).start()
def log(step): pass
"""
WITH = """
import histhooks
run = histhooks.start_run("bench"); histhooks.flush(); time.sleep(1)
def log(step): run.log({"loss": step * 1e-7, "acc": 0.25, "val_loss": 0.75, "val_acc": 0.125}, step=step)
"""
FLOW = """
import os, sqlite3, time
import histhooks
from histhooks._record.engine import engine
def memory(): return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
run = histhooks.start_run("bench"); histhooks.flush()
begin, step, thread_us, memories = time.perf_counter(), 0, [], []
for part in range(10):
    cpu = time.thread_time()
    for _ in range({calls} // 10):
        run.log({{"loss": 0.5, "acc": 0.25, "val_loss": step * 1e-7, "val_acc": 0.125}}, step=step)
        step += 1
    thread_us.append((time.thread_time() - cpu) / ({calls} // 10) * 1e6)
    memories.append(memory())
histhooks.flush(600)
wall = time.perf_counter() - begin
run.end(); engine.finish()
(count,) = sqlite3.connect(os.environ["HISTHOOKS_STORE"]).execute("SELECT count(*) FROM points").fetchone()
assert count >= {calls} * 4, count
size = os.path.getsize(os.environ["HISTHOOKS_STORE"])
first, last = sorted(thread_us[:3])[1], sorted(thread_us[-3:])[1]
print({calls} * 4 / wall, size / ({calls} * 4), first, last, max(memories[:3]), max(memories[-3:]))
"""


def log(repeats: int) -> None:
    """One `log()` of four numbers beside `list.append` and a CSV line that is flushed."""
    with place() as folder:
        columns = take_turns({"all": lambda: python(folder, code=LOG).numbers}, repeats)["all"]
    found = [median(column) for column in columns]
    rows = {}
    for number, name in enumerate(("list.append", "csv + flush", "histhooks log()")):
        wall, cpu = found[2 * number], found[2 * number + 1]
        rows[name] = (wall, cpu, wall / found[0], wall / found[2])
    table("one call with four numbers", ("µs", "µs of CPU", "x list", "x csv"), rows)


def stalls(repeats: int) -> None:
    """Steps of a millisecond in plain Python, the worst case: how long the slowest of them take."""
    programs = {"without": WITHOUT, "beside some other thread": THREAD, "recorded": WITH}
    with place() as folder:
        taken = take_turns(
            {
                name: lambda what=what: python(folder, code=STALLS.format(what=what)).numbers
                for name, what in programs.items()
            },
            repeats,
            warm_up=0,
        )
    rows = {name: [median(column) for column in columns] for name, columns in taken.items()}
    table("a step of 1 ms and its log()", ("p50 ms", "p99 ms", "p99.9 ms", "max ms"), rows)


def throughput(repeats: int) -> None:
    """Points to disk as fast as they can be logged; the last row logs 10 million of them in one run."""
    rows = {}
    for name, calls, turns in (("200,000 points", 50_000, repeats), ("10 million points", 2_500_000, 1)):
        with place() as folder:
            taken = []
            for turn in range(turns):
                store = folder / f"{turn}.db"
                taken.append(python(folder, code=FLOW.format(calls=calls), HISTHOOKS_STORE=str(store)).numbers)
                store.unlink()
        rows[name] = [median(column) for column in zip(*taken, strict=True)]
    columns = ("points/s", "bytes/point", "µs CPU first", "µs CPU last", "MB first", "MB last")
    table(
        "until all is on disk",
        columns,
        rows,
        "µs of the training thread for each call, at the beginning and at the end",
    )
