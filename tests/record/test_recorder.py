"""Runs, sessions and states, recorded by real processes and read back with plain SQL."""

from __future__ import annotations

import json
import math
import os
import random
import re
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest

from helpers.programs import hear
from histhooks.testing import run_program
from histhooks.verify import verify


def start(store: Path, program: str, **variables: str) -> subprocess.Popen[str]:
    ours = {"HISTHOOKS_STORE": str(store), "HISTHOOKS_QUIET": "1", "HISTHOOKS_STRICT": ""}
    # Since 3.12 Python warns of a fork beside any thread, and the writer is one (README, "What it does not do").
    ours["PYTHONWARNINGS"] = "ignore:This process:DeprecationWarning"
    environment = {**os.environ, **ours, **variables}
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program)],
        cwd=store.parent,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def record(store: Path, program: str, **variables: str) -> tuple[int, str, str]:
    process = start(store, program, **variables)
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err


def rows(store: Path, sql: str, *values: Any) -> list[Any]:
    connection = sqlite3.connect(store)
    try:
        return connection.execute(sql, values).fetchall()
    finally:
        connection.close()


def assert_fits(store: Path) -> None:
    report = verify(store)
    assert report.problems == []


def assert_lasts(store: Path, name: str) -> None:
    """A run that somebody else settled has the length that its ends tell."""
    sql = "SELECT duration_s, (julianday(ended_at) - julianday(started_at)) * 86400 FROM runs WHERE name = ?"
    ((told, seen),) = rows(store, sql, name)
    assert told == pytest.approx(seen, abs=0.01)
    assert told >= 0.0


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "histhooks.db"


def test_a_block_keeps_all_that_was_said_of_it(store: Path) -> None:
    program = """
        import histhooks
        open("model.bin", "wb").write(b"weights")
        with histhooks.start_run("mine", params={"a": {"b": 1}, "seed": 2**70}, tags={"team": "red"}) as run:
            for step in range(5):
                run.log({"loss": 1.0 / (step + 1), "val_acc": step}, step=step * 10, epoch=step)
            run.log({"loss": float("nan")}, step=50)
            run.log_results({"best": [1, float("inf")]})
            run.log_artifact("model.bin", role="model")
            run.log_dataset("train", [[1, 2], [3, 4]], [0, 1])
            run.note("all well")
            run.event("milestone", "halfway")
            run.link("resumes", None, "ab" * 32)
            optimizer = run.log_optimizer(0, "SGD", {"lr": 1}, [{"lr": 1, "n_parameters": 3}])
            run.log_optimizer_group(optimizer, 0, {"lr": 0.5}, step=3)
            run.log_architecture("torch", "Net", [{"class": "Linear"}], 3, 3)
            assert histhooks.current_run() is run
    """
    code, _, err = record(store, program)
    assert (code, err) == (0, "")
    (run,) = rows(store, "SELECT id, name, kind, status, duration_s > 0, architecture_id IS NOT NULL FROM runs")
    assert run[1:] == ("mine", "block", "finished", 1, 1)
    assert rows(store, "SELECT key, value, source FROM params ORDER BY key") == [
        ("a.b", "1", "user"),
        ("seed", str(2**70), "user"),
    ]
    assert rows(store, "SELECT step, epoch, value, special FROM metrics WHERE name = 'loss' ORDER BY n")[-2:] == [
        (40, 4, 0.2, None),
        (50, None, None, "nan"),
    ]
    columns = "metric, split, direction, count, min, min_step, max, last_special, nonfinite"
    assert rows(store, f"SELECT {columns} FROM metric_summaries ORDER BY name") == [
        ("loss", "train", -1, 6, 0.2, 40, 1.0, "nan", 1),
        ("acc", "valid", 1, 5, 0.0, 0, 4.0, None, 0),
    ]
    assert rows(store, "SELECT value FROM results") == [('[1,{"$float":"inf"}]',)]
    assert rows(store, "SELECT role, direction, size_bytes FROM run_artifacts JOIN artifacts USING (sha256)") == [
        ("model", "out", 7)
    ]
    found = rows(store, "SELECT role, n_rows, n_columns FROM run_datasets JOIN datasets ON id = dataset_id")
    assert found == [("train", 2, 2)]
    assert rows(store, "SELECT position, lr, step FROM optimizer_groups ORDER BY ordinal") == [(0, 1.0, 0), (0, 0.5, 3)]
    assert rows(store, "SELECT key, value FROM tags") == [("team", "red")]
    assert rows(store, "SELECT body FROM notes") == [("all well",)]
    assert rows(store, "SELECT kind FROM run_links") == [("resumes",)]
    assert_fits(store)


def test_runs_nest_by_block_and_threads_stand_alone(store: Path) -> None:
    program = """
        import threading, histhooks
        with histhooks.start_run("outer"):
            with histhooks.start_run("inner"):
                pass
            def work():
                with histhooks.start_run("alone"):
                    pass
            thread = threading.Thread(target=work); thread.start(); thread.join()
    """
    record(store, program)
    sql = "SELECT r.name, p.name FROM runs AS r LEFT JOIN runs AS p ON p.id = r.parent_id ORDER BY r.name"
    found = rows(store, sql)
    assert found == [("alone", None), ("inner", "outer"), ("outer", None)]


def test_a_block_in_a_generator_that_is_closed_early_is_interrupted_and_nobodys_parent(store: Path) -> None:
    program = """
        import histhooks
        def steps():
            with histhooks.start_run("in a generator") as run:
                for number in range(5):
                    run.log({"loss": float(number)})
                    yield
        generator = steps()
        next(generator)
        with histhooks.start_run("around its end"):
            generator.close()
        assert histhooks.current_run() is None
        histhooks.start_run("later").end()
    """
    code, _, err = record(store, program)
    assert (code, err) == (0, "")
    found = dict(rows(store, "SELECT name, status FROM runs"))
    assert found == {"in a generator": "interrupted", "around its end": "finished", "later": "finished"}
    assert rows(store, "SELECT name, parent_id IS NULL FROM runs WHERE name = 'later'") == [("later", 1)]
    assert_fits(store)


@pytest.mark.parametrize(
    ("ending", "status", "error_type", "exit_code"),
    [
        ("pass", "finished", None, 0),
        ("raise ValueError('no')", "failed", "ValueError", 1),
        ("raise KeyboardInterrupt", "interrupted", None, 130),
        ("import sys; sys.exit(0)", "interrupted", "SystemExit", 0),
        ("import sys; sys.exit(3)", "failed", "SystemExit", 3),
    ],
)
def test_a_status_is_what_happened(
    store: Path, ending: str, status: str, error_type: str | None, exit_code: int
) -> None:
    program = f"""
        import histhooks
        with histhooks.start_run("mine") as run:
            run.log({{"loss": 1.0}})
            {ending}
    """
    code, _, _ = record(store, program)
    assert code in (exit_code, -signal.SIGINT if exit_code == 130 else exit_code)
    assert rows(store, "SELECT status, error_type FROM runs") == [(status, error_type)]
    assert rows(store, "SELECT count FROM metric_summaries") == [(1,)]
    assert_fits(store)


def test_a_session_that_came_to_its_end_is_finished_and_one_that_raised_failed(store: Path) -> None:
    record(store, "import histhooks\nwith histhooks.start_run(): pass")
    record(store, "import histhooks\nwith histhooks.start_run(): pass\nraise ValueError")
    assert rows(store, "SELECT status, exit_code FROM sessions ORDER BY started_at") == [
        ("finished", None), ("failed", 1),
    ]  # fmt: skip


def test_a_session_tells_what_recording_cost_by_its_hooks_and_by_its_threads(store: Path) -> None:
    program = """
        import histhooks
        with histhooks.start_run() as run:
            for step in range(50_000):
                run.log({"loss": 1.0}, step=step)
    """
    _, _, err = record(store, program, HISTHOOKS_QUIET="")
    ((cost_s, wall_s),) = rows(
        store, "SELECT overhead_s, (julianday(ended_at) - julianday(started_at)) * 86400 FROM sessions"
    )
    assert 0.05 < cost_s < wall_s + 60  # 50,000 calls at a microsecond each, and the thread that wrote them
    assert re.search(r"cost \d+\.\d\d s", err)


def test_a_run_left_open_ends_with_the_process(store: Path) -> None:
    record(store, "import histhooks\nrun = histhooks.start_run('open')\nrun.log({'loss': 1.0})")
    assert rows(store, "SELECT status FROM runs") == [("finished",)]
    assert_fits(store)


LOOP = """
    import signal, sys, time, histhooks
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests themselves may run under nohup
    with histhooks.start_run("loop") as run:
        histhooks.flush()  # a signal leaves no time for the beginning of a session
        print("ready", flush=True)
        for step in range(100_000):
            run.log({"loss": 1.0 / (step + 1), "acc": 0.5}, step=step)
            if step == 400: print("400", flush=True)
            time.sleep(0.001)
"""


def test_after_sigkill_all_but_the_last_second_is_there_and_the_next_session_settles_it(store: Path) -> None:
    process = start(store, LOOP)
    assert hear(process) == "ready"
    assert hear(process) == "400"
    time.sleep(2.0)  # the last second, and one more for a machine that is slow
    process.kill()
    process.communicate()
    (count,) = rows(store, "SELECT count FROM metric_summaries WHERE name = 'loss'")[0]
    assert count > 400
    assert rows(store, "SELECT status FROM runs") == [("running",)]
    assert_fits(store)
    record(store, "import histhooks\nwith histhooks.start_run('next'): pass")
    assert rows(store, "SELECT name, status FROM runs ORDER BY name") == [("loop", "killed"), ("next", "finished")]
    assert rows(store, "SELECT status FROM sessions ORDER BY started_at") == [("killed",), ("finished",)]
    assert_lasts(store, "loop")
    assert_fits(store)


# Minutes in C code that lets other threads run, as numerical libraries do.
IN_C = LOOP.replace(
    "for step", "import hashlib; hashlib.pbkdf2_hmac('sha256', b'a', b'b', 2 * 10**9)\n        for step"
)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("body", [LOOP, IN_C], ids=["in Python", "in C"])
def test_a_signal_ends_the_process_as_without_us_and_everything_is_kept(store: Path, number: int, body: str) -> None:
    process = start(store, body)
    assert process.stdout is not None
    process.stdout.readline()
    time.sleep(0.6)
    process.send_signal(number)
    process.communicate(timeout=300)
    assert process.returncode == -number
    name = signal.Signals(number).name
    assert rows(store, "SELECT status, signal FROM sessions") == [("killed", name)]
    assert rows(store, "SELECT status FROM runs") == [("killed",)]
    assert_fits(store)


def test_the_closing_line_counts_what_did_not_finish_by_how_it_ended(store: Path) -> None:
    program = """
        import histhooks, os, signal
        for error in (ValueError, ValueError, KeyboardInterrupt, None):
            try:
                with histhooks.start_run():
                    if error: raise error
            except BaseException: pass
        run = histhooks.start_run()
        histhooks.flush()
        os.kill(os.getpid(), signal.SIGTERM)
        import time; time.sleep(60)
    """
    code, _, err = record(store, program, HISTHOOKS_QUIET="0")
    assert code == -signal.SIGTERM
    assert "histhooks: 5 runs (2 failed, 1 interrupted, 1 killed) → " in err
    assert rows(store, "SELECT status, count(*) FROM runs GROUP BY status ORDER BY status") == [
        ("failed", 2), ("finished", 1), ("interrupted", 1), ("killed", 1),
    ]  # fmt: skip


def test_a_handler_of_the_program_decides_alone(store: Path) -> None:
    program = """
        import os, signal, histhooks
        run = histhooks.start_run("mine")
        before = signal.getsignal(signal.SIGTERM)
        signal.signal(signal.SIGTERM, lambda *a: before(*a))
        os.kill(os.getpid(), signal.SIGTERM)
        run.log({"loss": 1.0})
        run.end()
    """
    code, _, _ = record(store, program)
    assert code == 0
    assert rows(store, "SELECT status FROM runs") == [("finished",)]


def test_a_forked_child_starts_clean_and_the_parent_goes_on(store: Path) -> None:
    program = """
        import os, histhooks
        run = histhooks.start_run("parent")
        run.log({"loss": 1.0})
        pid = os.fork()
        if pid == 0:
            for _ in range(3):
                run.log({"loss": 99.0})
            run.tag("late")
            with run:
                assert histhooks.current_run() is None
                histhooks.log({"loss": 98.0})
            with histhooks.start_run("child") as child:
                child.log({"loss": 2.0})
            histhooks.flush()
            os._exit(0)
        os.waitpid(pid, 0)
        run.log({"loss": 3.0})
        run.end()
    """
    code, _, err = record(store, program)
    assert code == 0, err
    assert [line.partition(" records nothing here")[0] for line in err.splitlines()] == [
        "histhooks: log on run 'parent'"
    ]
    assert rows(store, "SELECT count(*) FROM events WHERE kind = 'forked'") == [(1,)]
    assert rows(store, "SELECT r.name, m.value FROM metrics AS m JOIN runs AS r ON r.id = m.run_id ORDER BY 1, 2") == [
        ("child", 2.0),
        ("parent", 1.0),
        ("parent", 3.0),
    ]
    assert rows(store, "SELECT count(*) FROM sessions") == [(2,)]
    assert_fits(store)


def test_eight_processes_make_one_new_store_at_once(store: Path) -> None:
    program = """
        import histhooks
        with histhooks.start_run("one of many") as run:
            for step in range(500):
                run.log({"a": 1.0, "b": 2.0, "c": 3.0, "d": 4.0}, step=step)
    """
    processes = [start(store, program) for _ in range(8)]
    for process in processes:
        _, err = process.communicate(timeout=300)
        assert (process.returncode, err) == (0, "")
    assert rows(store, "SELECT count(*), min(count) FROM metric_summaries") == [(32, 500)]
    assert rows(store, "SELECT count(*) FROM points") == [(16_000,)]
    assert not store.with_name("histhooks.db.spool").exists()
    assert_fits(store)


def test_an_integration_learns_the_names_of_each_log_before_it_is_recorded(store: Path) -> None:
    code, out, err = record(
        store,
        """
        import histhooks
        with histhooks.start_run("mine") as run:
            run.on_names(lambda names: print(*names))
            run.log({"loss": 1.0, "acc": 0.5})
            run.log(None)  # nothing that it raises here reaches the program
            run.log({"loss": 0.5}, step=7, epoch=1)
        with histhooks.start_run("other") as run:
            run.log({"acc": 0.5})
        """,
    )
    assert (code, out.split()) == (0, ["loss", "acc", "loss"]), err
    titles = [title for (title,) in rows(store, "SELECT title FROM events WHERE kind = 'refused'")]
    assert len(titles) == 1
    assert_fits(store)


def test_a_bad_value_is_refused_and_the_rest_is_kept(store: Path) -> None:
    program = """
        import histhooks
        with histhooks.start_run("mine") as run:
            run.log({"loss": "word", "acc": 0.5, "": 1.0, "none": None})
            run.log_artifact("missing.bin")
            run.link("invents", "x")
            run.tag("")
            run.log(["no mapping"])
        run.log({"late": 1.0})
    """
    code, _, err = record(store, program)
    assert code == 0
    assert all("histhooks" in line for line in err.splitlines())
    assert "missing.bin" in err
    assert rows(store, "SELECT name FROM metric_summaries") == [("acc",)]
    assert rows(store, "SELECT count(*) FROM events WHERE kind = 'refused'")[0][0] >= 6
    assert rows(store, "SELECT status FROM runs") == [("finished",)]
    strict, _, err = record(store, program, HISTHOOKS_STRICT="1")
    assert strict == 1
    assert "loss" in err


def test_an_odd_name_step_or_epoch_takes_no_other_value_of_the_call_with_it(store: Path) -> None:
    program = """
        import histhooks
        with histhooks.start_run("mine", tags={"": 1, "ok": 2}) as run:
            run.log({"": 1.0})
            run.log({5: 1.0, "a": 1.0}, step=3)
            for odd in ("x", float("nan"), float("inf"), 2**70, -3, [1]):
                run.log({"b": 2.0}, step=odd)
                run.log({"c": 3.0}, epoch=odd)
            run.log({"d": 4.0}, step=True, epoch=7.0)
            run.log_results({"": 1, None: 2, "best": 3})
            run.note("")
            run.note(None)
            run.note("kept")
            for odd in range(200):
                run.log({"": 1.0})
    """
    code, _, err = record(store, program)
    assert code == 0, err
    assert err.count("log on run 'mine' was refused") == 1
    found = rows(store, "SELECT name, step, epoch, value FROM metrics WHERE split != 'system' ORDER BY name, n")
    b, c = [("b", n, None, 2.0) for n in range(6)], [("c", n, None, 3.0) for n in range(6)]
    assert found == [("a", 3, None, 1.0), *b, *c, ("d", 1, 7, 4.0)]
    assert rows(store, "SELECT key, value FROM tags") == [("ok", "2")]
    assert rows(store, "SELECT key, value FROM results") == [("best", "3")]
    assert rows(store, "SELECT body FROM notes") == [("kept",)]
    titles = [title for (title,) in rows(store, "SELECT title FROM events WHERE kind = 'refused'")]
    assert len(titles) == 100
    for number, text in ((1, "a tag"), (6, "step is"), (6, "epoch is"), (2, "a result"), (2, "a note"), (1, "not 5")):
        assert sum(text in title for title in titles) == number, text
    assert_fits(store)
    for line in (
        'log({"": 1.0})',
        'log({"a": 1.0}, step=-3)',
        'log({"a": 1.0}, epoch="y")',
        'tag({"": 1})',
        "note(None)",
    ):
        code, _, err = record(store, f"import histhooks\nhisthooks.start_run().{line}", HISTHOOKS_STRICT="1")
        assert (code, "not" in err) == (1, True)


def test_what_no_row_can_hold_takes_nothing_else_with_it(store: Path) -> None:
    program = """
        import histhooks
        with histhooks.start_run("mine") as run:
            histhooks.flush()
            run.log({"loss": 1.0})
            run.event("odd", "severity", severity="odd")
            run.event("odd", "step", step="x")
            run.log_optimizer(0, "SGD", {"lr": 1.0}, [{"lr": float("nan")}])
            run.log_optimizer(-1, "Adam", {})
            run.update(epochs_planned="many", steps_done=2**80)
            run.update(name=object())
            run.log_params({"a": 1}, source=None)
            run.log_params({"b": 2})
            for step in range(100):
                run.log({"loss": 3.0})
            assert histhooks.flush()
            run.log({"loss": 4.0})
    """
    code, _, err = record(store, program)
    assert code == 0, err
    found = rows(store, "SELECT step, value FROM metrics WHERE name = 'loss' ORDER BY n")
    assert found == [(0, 1.0), *((n, 3.0) for n in range(1, 101)), (101, 4.0)]
    assert rows(store, "SELECT name, status, epochs_planned FROM runs") == [("mine", "finished", None)]
    assert rows(store, "SELECT key FROM params") == [("b",)]
    assert rows(store, "SELECT class_name FROM optimizers") == [("SGD",)]
    assert rows(store, "SELECT lr, settings FROM optimizer_groups") == [(None, '{"lr":{"$float":"nan"}}')]
    titles = " ".join(title for (title,) in rows(store, "SELECT title FROM events"))
    for word in ("events", "optimizers", "epochs_planned", "object"):
        assert word in titles
    ((status, note),) = rows(store, "SELECT status, note FROM captures WHERE collector = 'params'")
    assert status == "failed"
    assert note.startswith("a: ")  # the param that it cost
    assert rows(store, "SELECT hook_errors FROM sessions") == [(5,)]
    assert not store.with_name("histhooks.db.spool").exists()
    assert_fits(store)


def test_an_odd_count_in_an_architecture_is_left_out_and_nothing_refers_to_nothing(store: Path) -> None:
    program = """
        import histhooks
        for name, odd in (("words", "many"), ("negative", -1), ("huge", 2**70), ("none", object())):
            with histhooks.start_run(name) as run:
                run.log_architecture("mine", int, [{"class": "Linear"}], odd, 3)
                run.log_params({"huge": 10**5000, "kept": 1})
    """
    code, _, err = record(store, program)
    assert code == 0, err
    assert err.count("n_parameters is a whole number from 0 on") == 4
    sql = "SELECT class_name, n_parameters, n_trainable FROM runs JOIN architectures AS a ON a.id = architecture_id"
    assert rows(store, sql) == [("<class 'int'>", None, 3)] * 4
    assert rows(store, "SELECT count(*) FROM params WHERE key = 'kept'") == [(4,)]
    assert {value.startswith('"0x') for (value,) in rows(store, "SELECT value FROM params WHERE key = 'huge'")} == {
        True
    }
    assert_fits(store)


def test_a_store_that_is_named_too_late_is_told(store: Path) -> None:
    program = """
        import histhooks
        histhooks.autolog(store="histhooks.db")
        histhooks.start_run("first").end()
        histhooks.autolog(store="histhooks.db")
        histhooks.autolog(store="other.db")
        histhooks.start_run("second").end()
    """
    code, _, err = record(store, program, HISTHOOKS_STORE="")
    assert code == 0, err
    assert len(err.splitlines()) == 1
    assert f"other.db is not used: this process already records to {store}" in err
    assert rows(store, "SELECT name FROM runs ORDER BY name") == [("first",), ("second",)]
    assert not store.with_name("other.db").exists()


def test_an_account_without_a_home_records_and_is_read(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container whose user is a bare number: neither a variable nor the list of accounts knows of a home."""
    for name in ("HOME", "XDG_STATE_HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    nobody = "import pwd\ndef unknown(number): raise KeyError(number)\npwd.getpwuid = unknown\n"
    program = nobody + "import histhooks\nwith histhooks.start_run('mine') as run: run.log({'loss': 1.0})"
    for network in ("", "1"):
        assert record(store, program, HISTHOOKS_NETWORK=network, HISTHOOKS_STRICT="1") == (0, "", "")
    assert len(list(store.with_name("histhooks.db.spool").iterdir())) == 1
    reading = nobody + "from histhooks.cli import main\nimport sys\nsys.argv = ['histhooks', 'runs', '--csv']\nmain()"
    code, out, err = record(store, reading)
    assert (code, err) == (0, "")
    assert out.count(",mine,") == 2
    assert rows(store, "SELECT count(*) FROM events WHERE kind = 'hook_error'") == [(0,)]
    assert_fits(store)


def test_a_module_that_is_half_imported_does_not_stop_the_writer(store: Path) -> None:
    program = """
import sys, threading, time, types
import histhooks
sys.modules["IPython"] = types.ModuleType("IPython")  # as another thread sees it at the beginning of its import
with histhooks.start_run("first") as run:
    time.sleep(0.6)
    run.log({"loss": 1.0})
histhooks.recorder.flush()
from histhooks._record.engine import engine
asked = threading.Event()
engine.writer._chores._sampler.sample = lambda: asked.set() or 1 / 0
with histhooks.start_run("second") as run:
    assert asked.wait(60)
    run.log({"loss": 2.0})
raise ArithmeticError("odd")
"""
    code, _, _ = record(store, program)
    assert code == 1
    assert rows(store, "SELECT name, status FROM runs ORDER BY name") == [
        ("first", "finished"),
        ("second", "finished"),
    ]
    assert rows(store, "SELECT value FROM metrics WHERE name = 'loss' ORDER BY value") == [(1.0,), (2.0,)]
    ((status, errors),) = rows(store, "SELECT status, hook_errors FROM sessions")
    assert status == "failed"
    assert errors > 0
    ((title,),) = rows(store, "SELECT DISTINCT title FROM events WHERE kind = 'hook_error'")
    assert "ZeroDivisionError" in str(title)


def test_off_does_nothing_and_makes_no_store(store: Path) -> None:
    program = """
        import histhooks
        with histhooks.start_run("mine") as run:
            run.log({"loss": 1.0})
        assert run.id is None
    """
    assert record(store, program, HISTHOOKS="off")[0] == 0
    assert not store.exists()


def test_paused_hides_what_begins_inside(store: Path) -> None:
    program = """
        import histhooks
        with histhooks.paused():
            with histhooks.start_run("hidden") as run:
                assert run.id is None
        with histhooks.start_run("seen"):
            pass
    """
    record(store, program)
    assert rows(store, "SELECT name FROM runs") == [("seen",)]


def test_random_streams_are_where_they_were(store: Path) -> None:
    program = """
        import random
        random.seed(1)
        if {flag}:
            import histhooks
            with histhooks.start_run("mine") as run:
                run.log({{"loss": 1.0}})
            histhooks.flush()
        print(random.random())
    """
    _, with_us, _ = record(store, program.format(flag=True))
    _, without, _ = record(store, program.format(flag=False))
    assert with_us == without == f"{random.Random(1).random()}\n"


@pytest.mark.parametrize("content", ["not ours", "newer", "noise"])
def test_a_file_that_is_not_ours_is_left_alone_and_a_spool_takes_the_records(store: Path, content: str) -> None:
    if content == "noise":
        store.write_bytes(b"this is no database at all" * 100)
    else:
        connection = sqlite3.connect(store)
        connection.execute("CREATE TABLE theirs (a)")
        if content == "newer":
            connection.execute(f"PRAGMA application_id = {0x48495354}")
            connection.execute("PRAGMA user_version = 2000")
        connection.commit()
        connection.close()
    before = store.read_bytes()
    code, _, err = record(store, "import histhooks\nwith histhooks.start_run('mine') as run: run.log({'loss': 1.0})")
    assert code == 0
    assert store.read_bytes() == before
    assert len(err.splitlines()) == 1
    assert str(store) in err
    (spool,) = store.with_name("histhooks.db.spool").glob("*.db")
    assert rows(spool, "SELECT name, status FROM runs") == [("mine", "finished")]
    assert rows(spool, "SELECT value FROM metrics") == [(1.0,)]
    assert_fits(spool)


def test_a_waiting_spool_comes_home_once(store: Path) -> None:
    store.write_bytes(b"noise" * 1000)
    record(store, "import histhooks\nwith histhooks.start_run('early') as run: run.log({'loss': 1.0})")
    store.unlink()
    record(store, "import histhooks\nwith histhooks.start_run('late'): pass")
    assert rows(store, "SELECT name, status FROM runs ORDER BY name") == [("early", "finished"), ("late", "finished")]
    assert rows(store, "SELECT value FROM metrics") == [(1.0,)]
    assert list(store.with_name("histhooks.db.spool").glob("*.db")) == []
    assert_fits(store)


def test_what_is_brought_up_to_date_is_one_state_with_what_follows_unless_it_was_written(store: Path) -> None:
    program = """
        import histhooks
        from histhooks import recorder
        with histhooks.start_run("brief") as run:
            recorder.flush()
            for step in range(5):
                run.update(steps_done=step + 1, epochs_done=step)
        with histhooks.start_run("long") as run:
            recorder.flush()
            run.update(epochs_planned=9)
            recorder.flush()
            run.update(steps_done=3)
    """
    assert record(store, program)[0] == 0
    said: dict[str, list[Any]] = {}
    for name, text in rows(store, "SELECT name, state FROM states JOIN runs ON id = subject_id ORDER BY time"):
        said.setdefault(name, []).append(json.loads(text))
    assert [state.get("status") for state in said["brief"]] == ["running", "finished"]
    assert said["brief"][1].items() >= {"steps_done": 5, "epochs_done": 4}.items()
    assert [state.get("status") for state in said["long"]] == ["running", None, "finished"]
    assert (said["long"][1]["epochs_planned"], said["long"][2]["steps_done"]) == (9, 3)
    folds = rows(store, "SELECT status, steps_done, epochs_done, epochs_planned FROM runs ORDER BY started_at")
    assert folds == [("finished", 5, 4, None), ("finished", 3, None, 9)]
    assert_fits(store)


def test_personal_values_are_in_columns_only_and_states_hold_commitments(store: Path) -> None:
    record(store, "import histhooks\nwith histhooks.start_run('mine'): pass", HISTHOOKS_ACTOR="Ada Lovelace")
    assert rows(store, "SELECT actor FROM sessions") == [("Ada Lovelace",)]
    for (state,) in rows(store, "SELECT state FROM states WHERE subject = 'session'"):
        assert "Ada" not in state
    assert json.loads(rows(store, "SELECT state FROM states WHERE subject = 'session'")[0][0])["actor"]["$personal"]


def test_a_long_series_has_rollups_that_fit_its_points(store: Path) -> None:
    program = """
        import math, histhooks
        with histhooks.start_run("long") as run:
            for step in range(5000):
                run.log({"loss": math.sin(step)}, step=step)
    """
    record(store, program)
    assert rows(store, "SELECT level, count(*) FROM rollups GROUP BY level") == [(1, 78), (2, 4)]
    low, high, mean = rows(store, "SELECT min, max, mean FROM rollups WHERE level = 2 AND bucket = 1")[0]
    values = [math.sin(step) for step in range(1024, 2048)]
    assert (low, high) == (min(values), max(values))
    assert mean == pytest.approx(sum(values) / 1024)
    assert_fits(store)


def test_a_run_in_a_worker_is_named_after_the_program(store: Path) -> None:
    pytest.importorskip("joblib")
    pytest.importorskip("torch")
    program = """
    import multiprocessing
    from joblib import Parallel, delayed

    def work():
        import histhooks
        histhooks.autolog("torch")
        histhooks.start_run().end()
        histhooks.flush()

    if __name__ == "__main__":
        Parallel(2)(delayed(work)() for _ in range(1))
        process = multiprocessing.get_context("spawn").Process(target=work)
        process.start()
        process.join()
    """
    (store.parent / "tune.py").write_text(textwrap.dedent(program))
    ours = {"HISTHOOKS_STORE": str(store), "HISTHOOKS_QUIET": "1"}
    subprocess.run([sys.executable, "tune.py"], cwd=store.parent, env={**os.environ, **ours}, check=True, timeout=100)
    assert rows(store, "SELECT name FROM runs") == [("tune",), ("tune",)]


def test_threads_that_add_to_an_ended_run_lose_nothing_and_close_it_behind_them(store: Path) -> None:
    program = """
        import threading, histhooks
        with histhooks.start_run("ended") as run:
            run.log({"loss": 1.0})
        both, left = threading.Barrier(2), threading.Event()
        def first():
            with run.reopened():
                both.wait()
                run.log({"test_first": 1.0})
            left.set()
        def second():
            with run.reopened():
                both.wait()
                left.wait()
                run.log({"test_second": 2.0})
        threads = [threading.Thread(target=target) for target in (first, second)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        start = threading.Barrier(8)
        def work(n):
            start.wait()
            for i in range(200):
                with run.reopened():
                    run.log({f"test_{n}": float(i)})
        threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        ends = histhooks.start_run("ends inside")
        with ends.reopened():
            ends.end()
            ends.log({"test_inside": 1.0})
        for late in (run, ends):
            late.log({"late": 1.0})
    """
    code, _, err = record(store, program, HISTHOOKS_STRICT="0")
    assert code == 0, err
    assert err.count("the run has ended") == 2, err
    found = dict(rows(store, "SELECT name, count FROM metric_summaries"))
    expected = {"loss": 1, "test_first": 1, "test_second": 1, "test_inside": 1}
    assert found == expected | {f"test_{n}": 200 for n in range(8)}
    assert rows(store, "SELECT DISTINCT status FROM runs") == [("finished",)]
    assert_fits(store)


def test_an_ended_run_lets_go_of_all_that_recorded_it(store_path: Path) -> None:
    body = """
import gc, histhooks, weakref
from histhooks._store.batch import Series
from histhooks._record.run import Run
def one():
    with histhooks.start_run("short", params={"lr": 0.1}) as run:
        for step in range(3):
            run.log({"loss": 1.0, "accuracy": 0.5}, step=step)
for _ in range(8):
    one()
histhooks.flush()
gc.collect()
print(sum(isinstance(thing, Series) for thing in gc.get_objects()))
print(sum(isinstance(thing, Run) and thing.id is not None for thing in gc.get_objects()))
before = []
for _ in range(2):
    for _ in range(600):
        one()
    histhooks.flush()
    gc.collect()
    before.append(len(gc.get_objects()))
print((before[1] - before[0]) / 600)
"""
    code, out, err = run_program(body, store_path)
    assert code == 0, err
    series, runs, objects = map(float, out.split())
    assert series <= 2  # of the batch that was written last, which may still be put back
    assert runs <= 1
    assert objects < 1.75  # what became of a run, in case that another file must take it


def test_a_run_that_is_taken_up_again_and_again_goes_on_counting(store_path: Path) -> None:
    body = """
import histhooks
with histhooks.start_run("scored") as run:
    run.log({"loss": 1.0})
histhooks.flush()
for n in range(4):
    with run.reopened():
        run.log({f"test_{n}": float(n), "loss": 2.0})
        run.event("scored", f"time {n}")
        run.log_params({f"p{n}": n})
    if n % 2:
        histhooks.flush()
histhooks.flush()
"""
    code, _, err = run_program(body, store_path, HISTHOOKS_STRICT="0")
    assert code == 0, err
    sql = "SELECT name, n FROM metrics WHERE split IS NOT 'system' ORDER BY name"
    assert rows(store_path, sql) == [("loss", 0), *((f"test_{n}", 0) for n in range(4))]
    assert rows(store_path, "SELECT ordinal FROM params WHERE key LIKE 'p_' ORDER BY key") == [(n,) for n in range(4)]
    assert_fits(store_path)
