"""What a generator without a seed was made from is kept, and the program gets what it would get without."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from histhooks.testing import query, run_program

ENTROPY = "SELECT library, call, substr(value, 9), location FROM seeds WHERE value LIKE 'entropy:%' ORDER BY ordinal"


def record(store: Path, program: str) -> str:
    code, out, err = run_program(program, store)
    assert code == 0, err
    return out


def test_the_entropy_that_a_generator_holds_is_the_one_that_is_kept(store_path: Path) -> None:
    out = record(
        store_path,
        """
from numpy.random import default_rng as bound_earlier, SeedSequence
import random
import numpy as np
import histhooks
histhooks.autolog()
print(bound_earlier().bit_generator.seed_seq.entropy)
print(SeedSequence().entropy)
print(np.random.RandomState()._bit_generator.seed_seq.entropy)
np.random.RandomState(3); np.random.default_rng(3); np.random.RandomState([1, 2]); np.random.seed(4)
with histhooks.start_run("a"):
    print(np.random.Philox().seed_seq.entropy)
    np.random.RandomState(5)
random.Random(); random.Random(3)
""",
    )
    rows = query(store_path, ENTROPY)
    assert [row[:2] for row in rows] == [
        ("numpy", "default_rng"),
        ("numpy", "SeedSequence"),
        ("numpy", "SeedSequence"),
        ("numpy", "SeedSequence"),
        ("random", "Random"),
    ]
    assert [row[2] for row in rows[:-1]] == out.split()
    assert [row[3] for row in rows] == [f"<string>:{line}" for line in (7, 8, 9, 12, 14)]
    assert query(store_path, "SELECT count(*) FROM seeds WHERE value LIKE 'entropy:%' AND run_id IS NOT NULL") == [(0,)]


def test_the_seed_of_random_makes_the_same_generator(store_path: Path) -> None:
    out = record(
        store_path,
        """
import random
import histhooks
histhooks.autolog()
class Own(random.Random):
    pass
print(random.Random().random(), Own().gauss(0, 1))
random.seed()
print(random.random())
histhooks.start_run("a").end()
""",
    )
    import random

    first, second, third = (int(str(row[2])) for row in query(store_path, ENTROPY))
    expected = [random.Random(first).random(), random.Random(second).gauss(0, 1), random.Random(third).random()]
    assert [float(word) for word in out.split()] == expected


def test_the_seed_that_torch_draws_is_kept(store_path: Path) -> None:
    pytest.importorskip("torch")
    out = record(
        store_path,
        """
import histhooks
histhooks.autolog()
import torch
print(torch.seed())
histhooks.start_run("a").end()
""",
    )
    assert query(store_path, ENTROPY) == [("torch", "seed", out.strip(), "<string>:5")]


def test_what_python_and_pickle_make_for_themselves_is_not_kept(store_path: Path) -> None:
    record(
        store_path,
        """
import copy, pickle, random, tempfile
import numpy as np
import histhooks
histhooks.autolog()
kept = [random.Random(3), np.random.RandomState(3), np.random.default_rng(3)]
copy.deepcopy(kept)
pickle.loads(pickle.dumps(kept[1:]))
tempfile.TemporaryFile().close()
random.SystemRandom().random()
histhooks.start_run("a").end()
""",
    )
    assert query(store_path, ENTROPY) == []


def test_the_seed_of_each_tree_is_no_entropy(store_path: Path) -> None:
    pytest.importorskip("sklearn")
    record(
        store_path,
        """
import numpy as np
from sklearn.ensemble import RandomForestClassifier
from sklearn.utils import check_random_state as bound
import histhooks
histhooks.autolog()
def check_random_state(seed):
    return np.random.RandomState(seed)
RandomForestClassifier(20, random_state=1).fit([[0.0], [1.0]] * 9, [0, 1] * 9)
bound(3)
check_random_state(None), check_random_state(3), check_random_state(None)
""",
    )
    assert [row[3] for row in query(store_path, ENTROPY)] == ["<string>:8", "<string>:8"]


def test_a_loop_that_makes_generators_is_cut_and_that_is_said(store_path: Path) -> None:
    record(
        store_path,
        """
import numpy as np
import histhooks
histhooks.autolog()
for _ in range(100_000):
    np.random.SeedSequence()
with histhooks.start_run("a"):
    pass
""",
    )
    assert len(query(store_path, ENTROPY)) == 200
    note = "of generators that were made without a seed, the first 200 were kept; the last one at <string>:6"
    sql = "SELECT status, note FROM captures WHERE collector = 'entropy'"
    assert query(store_path, sql) == [("truncated", note)]


def test_nothing_is_kept_or_given_where_recording_is_off(store_path: Path) -> None:
    program = """
import random
import histhooks
histhooks.autolog()
import numpy as np
random.Random(); np.random.default_rng()
from histhooks._record.engine import engine
assert not [entry for entry in engine.session.buffer if "entropy" in repr(entry)]
"""
    code, _, err = run_program(program, store_path, HISTHOOKS="off")
    assert code == 0, err
    assert not store_path.exists()


SAME = """
import copy, inspect, pickle, random, sys, threading, traceback, warnings
import numpy as np
from numpy.random import RandomState as Bound
warnings.simplefilter("always")
{autolog}
class Own(np.random.RandomState):
    def __init__(self, seed=None, more=1):
        super().__init__(seed)
        self.more = more
class Mine(random.Random):
    def seed(self, a=None):
        self.was = a
        super().seed(a)
print(type(np.random.RandomState()) is np.random.RandomState is Bound, type(np.random.default_rng()))
print(isinstance(Own(), np.random.RandomState), Own(3).rand(), Mine(3).random(), Mine().was)
print(type(np.random.SeedSequence().entropy), type(random.Random()), random.Random)
for kind in (np.random.RandomState, np.random.SeedSequence, np.random.default_rng, random.Random, np.random.PCG64):
    try:
        print(inspect.signature(kind))
    except ValueError as error:
        print(error)
    print(kind.__module__, kind.__qualname__, pickle.loads(pickle.dumps(kind)) is kind)
made = [np.random.RandomState(5), np.random.default_rng(5), random.Random(5), np.random.SeedSequence(5)]
print([type(one) for one in pickle.loads(pickle.dumps(made))], len(pickle.dumps(made)))
print(pickle.dumps(np.random.SeedSequence()).count(b"histhooks"), copy.deepcopy(made)[0].rand())
for seed in (-1, 3.5, "word", [], [[1]], object):
    for make in (np.random.RandomState, np.random.seed):
        try:
            make(seed)
        except Exception as error:
            told = "".join(traceback.format_exception(error)).replace("numpy.random.mtrand.", "")
            print(type(error), error, type(error.__context__), "histhooks" in told and make is np.random.RandomState)
np.random.seed(4); random.seed(4)
print(np.random.rand(), random.random(), np.random.RandomState(7).rand())
"""


def test_types_signatures_pickles_errors_and_seeded_streams_are_the_same(tmp_path: Path) -> None:
    out = []
    for autolog in ("", "import histhooks; histhooks.autolog()", "import histhooks; histhooks.autolog('sklearn')"):
        program = tmp_path / "program.py"
        program.write_text(SAME.format(autolog=autolog))
        done = subprocess.run([sys.executable, str(program)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        out.append(done.stdout + done.stderr)
    assert out[0] == out[1] == out[2]


def test_everything_comes_back_by_identity() -> None:
    program = """
import operator, random, sys
import numpy.random
bits, words = sys.modules["numpy.random.bit_generator"], sys.modules["numpy.random._mt19937"]
before = bits.randbits, words.operator, random.Random.seed.__code__
assert before[1] is operator, "NumPy asks for the seed in another way"
import histhooks
histhooks.autolog()
during = bits.randbits, words.operator, random.Random.seed.__code__
assert not any(a is b for a, b in zip(before, during))
assert {name for name in dir(operator) if getattr(operator, name) is not getattr(words.operator, name)} <= {
    "__name__", "__doc__", "__loader__", "__spec__", "__package__", "__file__", "__cached__", "__builtins__"}
histhooks.disable()
after = bits.randbits, words.operator, random.Random.seed.__code__
assert all(a is b for a, b in zip(before, after))
histhooks.autolog()
assert bits.randbits is not before[0]
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_numpy_that_draws_in_another_way_is_said_to_be_unseen(store_path: Path) -> None:
    record(
        store_path,
        """
import numpy.random.bit_generator
del numpy.random.bit_generator.randbits
import histhooks
histhooks.autolog()
histhooks.start_run("a").end()
""",
    )
    sql = "SELECT status, note FROM captures WHERE collector = 'entropy'"
    note = "this NumPy draws entropy in another way: generators that it makes without a seed are not kept"
    assert query(store_path, sql) == [("skipped", note)]


def test_each_forked_child_still_has_numbers_of_its_own(store_path: Path) -> None:
    out = record(
        store_path,
        """
import os, random
import numpy as np
import histhooks
histhooks.autolog()
histhooks.start_run("a").end()
for _ in range(2):
    child = os.fork()
    if not child:
        print(random.random(), random.Random().random(), np.random.default_rng().random(), flush=True)
        os._exit(0)
    os.waitpid(child, 0)
print(random.random(), random.Random().random(), np.random.default_rng().random())
""",
    )
    assert len(set(out.split())) == 9


def test_show_says_that_a_generator_had_no_seed(store_path: Path) -> None:
    record(
        store_path,
        """
import numpy as np
import histhooks
histhooks.autolog()
np.random.default_rng().random()
histhooks.start_run("a").end()
""",
    )
    command = [sys.executable, "-m", "histhooks", "show", "last", "--store", str(store_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "no seed was set" in done.stdout
    assert "entropy:" not in done.stdout
