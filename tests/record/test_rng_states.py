"""Where the generators stood: at import, at the start and end of runs; and nothing is moved by looking."""

from __future__ import annotations

import os
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest

from histhooks.testing import query, run_program

POINTS = "SELECT library, point, state IS NOT NULL FROM rng_states ORDER BY time, library"


def record(store: Path, program: str) -> str:
    code, out, err = run_program(program, store)
    assert code == 0, err
    return out


def run(folder: Path, program: str, **variables: str) -> str:
    (folder / "program.py").write_text(program)
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONHASHSEED"} | variables
    done = subprocess.run(
        [sys.executable, "-m", "histhooks", "run", "--store", "h.db", "program.py"],
        env=environment, cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_library_is_read_when_it_comes_and_a_run_where_it_moves(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    run(
        tmp_path,
        """
import random, numpy.random, torch, histhooks
numpy.random.rand()
with histhooks.start_run("a"):
    torch.rand(1)
with histhooks.start_run("b"):
    pass
random.random()
""",
    )
    rows = query(tmp_path / "h.db", POINTS)
    assert rows[:3] == [("random", "process_start", 1), ("numpy", "import", 1), ("torch", "import", 1)]
    assert sorted(rows[3:6]) == [("numpy", "run_start", 1), ("random", "run_start", 0), ("torch", "run_start", 0)]
    assert rows[6] == ("torch", "run_end", 0)
    assert sorted(rows[7:10]) == [("numpy", "run_start", 0), ("random", "run_start", 0), ("torch", "run_start", 1)]
    assert rows[10:] == [("random", "process_end", 0)]


def test_what_was_imported_before_is_called_first_seen(store_path: Path) -> None:
    record(store_path, "import random, numpy.random, histhooks; histhooks.autolog(); histhooks.start_run('a').end()")
    points = {library: point for library, point, _ in query(store_path, POINTS) if point != "run_start"}
    assert points == {"random": "first_seen", "numpy": "first_seen"}


def test_an_untouched_generator_is_kept_by_what_it_was_made_from(store_path: Path) -> None:
    pytest.importorskip("torch")
    out = record(
        store_path,
        """
import histhooks
histhooks.autolog()
import numpy.random, torch
histhooks.start_run("a").end()
print(numpy.random.mtrand._rand._bit_generator.seed_seq.entropy, torch.initial_seed())
print(numpy.random.rand())
""",
    )
    sql = "SELECT library, state FROM rng_states WHERE point = 'import' ORDER BY library"
    states = {str(library): zlib.decompress(bytes(state)) for library, state in query(store_path, sql)}  # type: ignore[call-overload]
    entropy, seed, number = out.split()
    assert {name: (len(data), int.from_bytes(data, "little")) for name, data in states.items()} == {
        "numpy": (16, int(entropy)),
        "torch": (8, int(seed)),
    }
    again = np.random.RandomState(np.random.MT19937(np.random.SeedSequence(int(entropy))))
    assert again.rand() == float(number)


@pytest.mark.parametrize(
    "touch",
    [
        "numpy.random.rand()",
        "numpy.random.normal()",
        "numpy.random.seed(3)",
        "numpy.random.set_state(numpy.random.RandomState().get_state())",
        "for _ in range(624): numpy.random.randint(0, 2**32 - 1)",
        "torch.rand(1)",
        "torch.randn(1)",
        "torch.manual_seed(3); torch.rand(1)",
        "for _ in range(624): torch.rand(1)",
        "torch.default_generator.set_state(torch.Generator().manual_seed(3).get_state()); torch.rand(1)",
    ],
)
def test_a_generator_that_was_touched_is_kept_whole(store_path: Path, touch: str) -> None:
    pytest.importorskip("torch")
    name = touch.partition("numpy.random")[1] or "torch"
    record(
        store_path,
        f"""
import histhooks
histhooks.autolog()
import numpy.random, torch
{touch}
histhooks.start_run("a").end()
""",
    )
    sql = "SELECT state FROM rng_states WHERE point = 'run_start' AND library = '{}'"
    ((state,),) = query(store_path, sql.format(name.partition(".")[0]))
    assert len(zlib.decompress(bytes(state))) == {"numpy.random": 2512, "torch": 5056}[name]  # type: ignore[call-overload]


def test_nothing_moves_where_runs_begin_and_end(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    program = """
import random, numpy, torch
random.seed(3); numpy.random.seed(3); torch.manual_seed(3)
{}
print(random.getstate()[1][-3:], numpy.random.get_state()[2], torch.default_generator.get_state().sum())
print(random.random(), numpy.random.rand(), torch.rand(1))
"""
    recorded = "import histhooks; histhooks.autolog()\nfor name in 'ab':\n    histhooks.start_run(name).end()"
    outs = [run_program(program.format(text), tmp_path / "h.db") for text in ("", recorded)]
    assert outs[0] == outs[1]
    assert query(tmp_path / "h.db", "SELECT count(*) FROM rng_states WHERE point = 'run_end'") == [(0,)]


def test_a_run_that_a_signal_kills_reads_no_generator(store_path: Path) -> None:
    code, _, _ = run_program(
        """
import os, random, signal
import numpy.random
import histhooks
histhooks.autolog()
class Slow(list):
    def __setitem__(self, place, value):
        os.kill(os.getpid(), signal.SIGTERM)  # NumPy holds the lock of its generator
        super().__setitem__(place, value)
histhooks.start_run("a")
histhooks.flush()  # a signal leaves no time for the beginning of a session
numpy.random.shuffle(Slow(range(9)))
""",
        store_path,
    )
    assert code == -15
    assert query(store_path, "SELECT status FROM runs") == [("killed",)]
    assert query(store_path, "SELECT count(*) FROM rng_states WHERE point IN ('run_end', 'process_end')") == [(0,)]


def test_the_hash_seed_is_chosen_recorded_and_no_part_of_the_environment(tmp_path: Path) -> None:
    program = """
import os, subprocess, sys, histhooks
histhooks.start_run("a").end()
print(os.environ.get("PYTHONHASHSEED"), hash("a"))
print(subprocess.run([sys.executable, "-c", "print(hash('a'))"], capture_output=True, text=True).stdout)
"""
    words = [run(tmp_path, program).split() for _ in range(2)]
    assert words[0][0] != words[1][0]
    assert all(word[0].isdigit() and word[1] == word[2] for word in words)
    sql = "SELECT value, location FROM seeds WHERE call = 'PYTHONHASHSEED' ORDER BY time"
    assert query(tmp_path / "h.db", sql) == [(word[0], "histhooks run") for word in words]
    assert query(tmp_path / "h.db", "SELECT count(*) FROM environments") == [(1,)]
    for verb in (["show", "last"], ["diff", "last", "last~1"]):
        command = [sys.executable, "-m", "histhooks", *verb, "--store", "h.db"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert "PYTHONHASHSEED" not in done.stdout.replace("print(os.environ", "")


@pytest.mark.parametrize(
    ("variables", "value"),
    [
        ({"HISTHOOKS_HASHSEED": "0"}, "None"),
        ({"HISTHOOKS_HASHSEED": "off"}, "None"),
        ({"HISTHOOKS": "off"}, "None"),
        ({"HISTHOOKS_HASHSEED": "11"}, "11"),
        ({"PYTHONHASHSEED": "5"}, "5"),
        ({"PYTHONHASHSEED": "5", "HISTHOOKS_HASHSEED": "11"}, "5"),
    ],
)
def test_the_hash_seed_can_be_left_or_chosen(tmp_path: Path, variables: dict[str, str], value: str) -> None:
    assert run(tmp_path, "import os; print(os.environ.get('PYTHONHASHSEED'))", **variables) == value + "\n"


@pytest.mark.parametrize("is_seeded", [True, False])
def test_what_tensorflow_does_not_show_is_said(store_path: Path, is_seeded: bool) -> None:
    pytest.importorskip("tensorflow")
    seed = "tf.random.set_seed(3)" if is_seeded else ""
    record(
        store_path,
        f"""
import histhooks
histhooks.autolog()
import tensorflow as tf
{seed}
tf.random.normal((2,))
histhooks.start_run("a").end()
""",
    )
    sql = "SELECT status, note FROM captures WHERE collector = 'random_states'"
    note = "TensorFlow without tf.random.set_seed() seeds its operations from the system, which it does not show"
    assert query(store_path, sql) == ([] if is_seeded else [("skipped", note)])
    found = query(store_path, "SELECT call, value FROM seeds WHERE library = 'tensorflow'")
    assert found == ([("set_seed", "3")] if is_seeded else [])


def test_first_runs_that_begin_in_several_threads_at_once_share_the_early_states(store_path: Path) -> None:
    program = """
import sys, threading
import histhooks
import numpy.random
histhooks.autolog()
sys.setswitchinterval(1e-6)
barrier = threading.Barrier(8)

def work():
    barrier.wait()
    with histhooks.start_run():
        pass

threads = [threading.Thread(target=work) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""
    for _ in range(5):
        code, _, err = run_program(program, store_path)
        assert (code, err) == (0, "")
    assert query(store_path, "SELECT DISTINCT status FROM runs") == [("finished",)]
    assert query(store_path, "SELECT count(*) FROM runs") == [(40,)]
    early = (
        "SELECT count(*) FROM rng_states WHERE run_id IS NULL AND point <> 'process_end' GROUP BY session_id, library"
    )
    assert set(query(store_path, early)) == {(1,)}
