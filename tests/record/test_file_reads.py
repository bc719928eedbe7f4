"""Files that a program reads and writes are recorded by content, and nothing of the program changes by it."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest

import histhooks
from helpers.programs import record
from histhooks.testing import query, run_program

READS = "SELECT path, sha256, size_bytes, function, location, run_id IS NULL FROM file_reads ORDER BY time, ordinal"
NOTES = "SELECT status, note FROM captures WHERE collector = 'file_reads' ORDER BY time, ordinal"


@pytest.fixture(autouse=True)
def here(store_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Be where the programs run."""
    monkeypatch.chdir(store_path.parent)


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def reads(store: Path) -> list[tuple[Any, ...]]:
    return [(os.path.basename(path), *rest) for path, *rest in query(store, READS)]


def test_what_is_read_before_a_run_is_its_sessions_and_in_a_run_the_runs(store_path: Path) -> None:
    Path("before.csv").write_text("1,2")
    Path("inside.csv").write_text("3,4")
    Path("unread.csv").write_text("5,6")
    record(
        store_path,
        """
import histhooks
open("unread.csv").close()
histhooks.autolog()
import pathlib
open("before.csv").close()
open(b"before.csv").close()
with histhooks.start_run("a"):
    pathlib.Path("inside.csv").read_text()
    with open("before.csv", "rb") as file: file.read()
histhooks.disable()
open("unread.csv").close()
""",
    )
    assert reads(store_path) == [
        ("before.csv", sha256("1,2"), 3, "open", "<string>:6", 1),
        ("inside.csv", sha256("3,4"), 3, "open", "<string>:9", 0),
        ("before.csv", sha256("1,2"), 3, "open", "<string>:10", 0),
    ]
    assert query(store_path, "SELECT DISTINCT path FROM file_reads WHERE path NOT LIKE '/%'") == []
    ((size, mtime),) = query(store_path, "SELECT size_bytes, mtime FROM file_reads WHERE path LIKE '%inside.csv'")
    known = os.stat("inside.csv")
    assert (size, mtime) == (known.st_size, known.st_mtime_ns // 1000)
    history = histhooks.History(store_path)
    assert [(Path(each["path"]).name, each["is_before"]) for each in history.run().file_reads] == [
        ("before.csv", 1), ("inside.csv", 0), ("before.csv", 0),
    ]  # fmt: skip
    history.close()
    assert query(store_path, NOTES) == [("ok", None)]


def test_what_a_run_writes_is_its_artifact_and_no_file_twice(store_path: Path) -> None:
    record(
        store_path,
        """
import histhooks
histhooks.autolog()
with open("before.txt", "w") as file: file.write("before")
with histhooks.start_run("a") as run:
    with open("mine.txt", "w") as file: file.write("mine")
    with open("logged.txt", "w") as file: file.write("logged")
    run.log_artifact("logged.txt", role="model")
    with open("gone.txt", "w") as file: file.write("gone")
    import os; os.remove("gone.txt")
    with open(".env", "w") as file: file.write("hidden")
    with open("mine.txt") as file: file.read()
""",
    )
    rows = query(store_path, "SELECT path, role, direction, sha256 FROM run_artifacts ORDER BY path")
    assert [(os.path.basename(path), *rest) for path, *rest in rows] == [
        ("logged.txt", "model", "out", sha256("logged")),
        ("mine.txt", "file", "out", sha256("mine")),
    ]
    assert [row[0] for row in reads(store_path)] == ["mine.txt"]


def test_what_is_no_file_of_data_is_left_alone(store_path: Path) -> None:
    Path("data.csv").write_text("1")
    Path("module.py").write_text("x = 1")
    Path(".env").write_text("KEY=1")
    os.mkfifo("pipe")
    out = record(
        store_path,
        """
import errno, json, os, sys, threading
import histhooks
histhooks.autolog()
with histhooks.start_run("a"):
    reader = threading.Thread(target=lambda: print(open("pipe").read()))
    reader.start()
    with open("pipe", "w") as pipe: pipe.write("through the pipe")
    reader.join()
    for path in ("module.py", ".env", "/dev/null", "/proc/self/status", json.__file__):
        open(path).close()
    for path, number in (("missing.csv", errno.ENOENT), (".", errno.EISDIR), ("data.csv\\0", None)):
        try:
            open(path)
        except OSError as error:
            assert error.errno == number and error.__traceback__.tb_next is None, error
        except ValueError as error:
            assert number is None and error.__traceback__.tb_next is None
    descriptor = os.open("data.csv", os.O_RDONLY)
    open(descriptor).close()
    os.close(os.open(".", os.O_RDONLY))
""",
    )
    assert out == "through the pipe\n"
    assert [row[0] for row in reads(store_path)] == ["data.csv"]


def test_a_file_that_changed_since_has_no_hash_and_the_record_says_so(store_path: Path) -> None:
    Path("data.csv").write_text("as it was read")
    record(
        store_path,
        """
import histhooks
histhooks.autolog()
open("data.csv").close()
with open("data.csv", "w") as file: file.write("as it is now, which is longer")
with histhooks.start_run("a"):
    open("data.csv").close()
""",
    )
    now = sha256("as it is now, which is longer")
    assert [row[:3] for row in reads(store_path)] == [("data.csv", None, 14), ("data.csv", now, 29)]
    (status, note), last = query(store_path, NOTES)
    assert (status, note.rpartition("/")[2]) == (
        "skipped", "data.csv has no hash: it was written again before its content was hashed",
    )  # fmt: skip
    assert last == ("truncated", "1 of 2 files have no hash")


def test_a_file_that_is_read_again_after_a_change_is_another_content(store_path: Path) -> None:
    record(
        store_path,
        """
import histhooks
histhooks.autolog()
with histhooks.start_run("a"):
    for text in ("first", "second one"):
        with open("data.csv", "w") as file: file.write(text)
        for _ in range(3):
            open("data.csv").close()
        from histhooks._record.file_records import between, records
        between()
        while records.queue.thread_id: pass
""",
    )
    assert [row[:3] for row in reads(store_path)] == [
        ("data.csv", sha256("first"), 5), ("data.csv", sha256("second one"), 10),
    ]  # fmt: skip


def test_a_large_file_is_known_by_size_at_once_and_the_end_of_the_session_waits_for_no_hash(store_path: Path) -> None:
    record(
        store_path,
        """
import histhooks
for name, size in (("large.bin", 3 << 30), ("huge.bin", 5 << 30)):
    with open(name, "wb") as file: file.truncate(size)
histhooks.autolog()
with histhooks.start_run("a"):
    open("large.bin").close()
    open("huge.bin").close()
""",
    )
    assert sorted(row[:3] for row in reads(store_path)) == [("huge.bin", None, 5 << 30), ("large.bin", None, 3 << 30)]
    notes = [note.rpartition("/")[2] for _, note in query(store_path, NOTES)]
    assert sorted(notes) == [
        "2 of 2 files have no hash",
        "huge.bin has no hash: 5120 MB is more than is hashed, 4 GB of a file and 16 in all",
        "large.bin has no hash: the session ended first",
    ]


def test_a_larger_file_has_its_hash_in_a_second_row_and_is_listed_once(store_path: Path) -> None:
    record(
        store_path,
        """
import histhooks
with open("large.bin", "wb") as file: file.truncate(65 << 20)
histhooks.autolog()
with histhooks.start_run("a"):
    open("large.bin").close()
    from histhooks._record.file_records import between, records
    between()
    while records.queue.thread_id: pass
""",
    )
    assert [row[1] is None for row in reads(store_path)] == [True, False]
    history = histhooks.History(store_path)
    (read,) = history.run().file_reads
    assert read["sha256"] == hashlib.sha256(bytes(65 << 20)).hexdigest()
    history.close()


def test_of_many_files_the_first_are_kept_and_the_record_says_so(store_path: Path) -> None:
    record(
        store_path,
        """
import os
import histhooks
histhooks.autolog()
os.mkdir("images")
for number in range(3000):
    open(f"images/{number}.png", "w").close()
with histhooks.start_run("a"):
    for _ in range(3):
        for number in range(3000):
            open(f"images/{number}.png").close()
from histhooks._record.file_reads import _state
assert len(_state.seen) == _state.n_looks == 1000, (len(_state.seen), _state.n_looks)
""",
    )
    assert len(reads(store_path)) == 100
    assert query(store_path, NOTES) == [("truncated", "100 files read by open were kept, and no more")]


def test_a_log_that_is_opened_for_each_line_is_looked_at_once(store_path: Path) -> None:
    Path("data.csv").write_text("1")
    record(
        store_path,
        """
import histhooks
histhooks.autolog()
with histhooks.start_run("a"):
    for number in range(2000):
        with open("log.txt", "a") as file: print(number, file=file)
        with open(".hidden", "a") as file: print(number, file=file)
    open("data.csv").close()
""",
    )
    rows = query(store_path, "SELECT path, sha256 FROM run_artifacts")
    assert [(os.path.basename(str(path)), digest) for path, digest in rows] == [
        ("log.txt", sha256("".join(f"{number}\n" for number in range(2000))))
    ]
    assert [row[0] for row in reads(store_path)] == ["data.csv"]


def test_workers_that_load_data_record_nothing(store_path: Path) -> None:
    for name in ("forked", "spawned", "trained"):
        Path(name).write_text(name)
    program = """
import multiprocessing, os
import histhooks
histhooks.autolog()

def load(name):
    open(name).close()
    if name == "trained":
        with histhooks.start_run("in the child"):
            open(name).close()

if __name__ == "__main__":
    with histhooks.start_run("a"):
        if not os.fork():
            open("forked").close()
            os._exit(0)
        os.wait()
        for name in ("spawned", "trained"):
            worker = multiprocessing.get_context("spawn").Process(target=load, args=(name,))
            worker.start()
            worker.join()
            assert worker.exitcode == 0
"""
    Path("main.py").write_text(program)
    code, _, err = run_program("import runpy; runpy.run_path('main.py', run_name='__main__')", store_path)
    assert code == 0, err
    rows = query(store_path, "SELECT f.path, r.name FROM file_reads AS f LEFT JOIN runs AS r ON r.id = f.run_id")
    assert [(os.path.basename(path), run) for path, run in rows] == [("trained", "in the child")]


@pytest.mark.parametrize("how", ["off", "paused", "data off"])
def test_what_is_not_to_be_recorded_is_not_seen(how: str, store_path: Path) -> None:
    Path("data.csv").write_text("1")
    program = """
import os
import histhooks
histhooks.autolog()
"""
    program += {
        "off": 'os.environ["HISTHOOKS"] = "off"\nopen("data.csv").close()\ndel os.environ["HISTHOOKS"]\n',
        "paused": 'with histhooks.paused(): open("data.csv").close()\n',
        "data off": 'os.environ["HISTHOOKS_DATA"] = "off"\nopen("data.csv").close()\n',
    }[how]
    record(store_path, program + 'with histhooks.start_run("a"): pass\n')
    assert reads(store_path) == []


def test_secrets_in_paths_are_masked(store_path: Path) -> None:
    Path("password=hunter2").mkdir()
    Path("password=hunter2", "data.csv").write_text("1")
    record(
        store_path,
        """
import histhooks
histhooks.autolog()
with histhooks.start_run("a"):
    open("password=hunter2/data.csv").close()
""",
    )
    assert b"hunter2" not in store_path.read_bytes()
    assert len(reads(store_path)) == 1


def test_odd_opens_raise_nothing_and_the_stack_of_the_program_is_as_deep(store_path: Path) -> None:
    Path("data.csv").write_text("1")
    program = """
import json, os, sys
class Odd(os.PathLike):
    def __fspath__(self): return "data.csv"
class Refusing(os.PathLike):
    def __fspath__(self): raise LookupError("no path")
found = []
def deeper(count):
    try:
        open(f"{'./' * (count % 7)}data.csv").close()
        return deeper(count + 1)
    except RecursionError:
        return count
for path in (Odd(), "data.csv", "\\udcff.csv", b"\\xff.csv", 10 ** 6, -1, True, 1.5, None):
    try:
        open(path).close()
        found.append("opened")
    except Exception as error:
        found.append([type(error).__name__, str(error), error.__traceback__.tb_next is None])
try:
    open(Refusing())
except LookupError as error:
    found.append(str(error))
found.append(deeper(0) > 200)
print(json.dumps(found))
"""
    code, plain, err = run_program(program.replace("True, ", ""), store_path)
    assert code == 0, err
    hooks = 'import histhooks\nhisthooks.autolog()\nrun = histhooks.start_run("a").__enter__()\n'
    assert record(store_path, hooks + program.replace("True, ", "")) == plain
    assert json.loads(plain)[0] == "opened"
