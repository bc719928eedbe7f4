"""Seeds and random states are recorded, and no stream is moved by it."""

from __future__ import annotations

import hashlib
import json
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest

from histhooks.testing import query, run_program

SEEDS = (
    "SELECT library, call, value, run_id IS NULL FROM seeds "
    "WHERE library <> 'python' AND value NOT LIKE 'entropy:%' ORDER BY time"
)


def record(store: Path, program: str) -> str:
    code, out, err = run_program(program, store)
    assert code == 0, err
    return out


def test_every_seed_is_kept_with_its_place_also_under_a_name_bound_earlier(store_path: Path) -> None:
    record(
        store_path,
        """
import random
from random import seed as bound_earlier
from numpy.random import seed as numpy_seed
import histhooks
histhooks.autolog()
import numpy
bound_earlier(1)
numpy_seed(2)
numpy.random.default_rng(3)
numpy.random.default_rng(seed=4)
numpy.random.default_rng()
for _ in range(50):
    random.seed(5)
with histhooks.start_run("a"):
    random.seed("six")
    numpy.random.default_rng([7, 8])
""",
    )
    assert query(store_path, SEEDS) == [
        ("random", "seed", "1", 1),
        ("numpy", "seed", "2", 1),
        ("numpy", "default_rng", "3", 1),
        ("numpy", "default_rng", "4", 1),
        ("random", "seed", "5", 1),
        ("random", "seed", "six", 0),
        ("numpy", "default_rng", "[7,8]", 0),
    ]
    assert query(store_path, "SELECT location FROM seeds")[0] == ("<string>:8",)


def test_a_state_is_enough_to_put_a_generator_back(store_path: Path) -> None:
    out = record(
        store_path,
        """
import json, random
import numpy
import histhooks
histhooks.autolog()
random.seed(1); numpy.random.seed(1)
random.gauss(0, 1); numpy.random.normal()
with histhooks.start_run("a"):
    pass
print(json.dumps([random.gauss(0, 1), random.random(), numpy.random.normal(), numpy.random.random()]))
""",
    )
    expected = json.loads(out)
    sql = "SELECT library, state, digest, algorithm FROM rng_states WHERE point = 'run_start'"
    found = {str(row[0]): row for row in query(store_path, sql)}
    states = {name: zlib.decompress(bytes(row[1])) for name, row in found.items()}
    for name, state in states.items():
        assert hashlib.sha256(state).hexdigest() == found[name][2]
        assert found[name][3] == "MT19937"
    import random

    words, rest = states["random"][:2500], states["random"][2500:]
    gauss = struct.unpack("<d", rest[1:])[0] if rest[0] else None
    own = random.Random()
    own.setstate((3, struct.unpack("<625I", words), gauss))
    assert [own.gauss(0, 1), own.random()] == expected[:2]
    position, has_gauss, following = struct.unpack("<iid", states["numpy"][2496:])
    numpys = np.random.RandomState()
    key = np.frombuffer(states["numpy"][:2496], "<u4")
    numpys.set_state(("MT19937", key, position, has_gauss, following))
    assert [numpys.normal(), numpys.random()] == expected[2:]


def test_a_state_is_kept_once_while_it_does_not_change(store_path: Path) -> None:
    record(
        store_path,
        """
import random
import histhooks
histhooks.autolog()
for name in "abc":
    with histhooks.start_run(name):
        pass
random.random()
with histhooks.start_run("d"):
    pass
""",
    )
    sql = "SELECT point, state IS NULL FROM rng_states WHERE library = 'random' ORDER BY time, point"
    assert query(store_path, sql) == [
        ("first_seen", 0),
        ("run_start", 1),
        ("run_start", 1),
        ("run_start", 1),
        ("run_start", 0),
    ]


def test_functions_come_back_by_identity_and_pickle_meanwhile(tmp_path: Path) -> None:
    program = """
import pickle, random, numpy
import histhooks
before = random.seed, numpy.random.seed, numpy.random.default_rng
histhooks.autolog()
during = random.seed, numpy.random.seed, numpy.random.default_rng
assert before[0] == during[0]  # a method of Python: its code is replaced, and the object stays
assert not any(a is b for a, b in zip(before[1:], during[1:]))
for function in during[1:]:
    assert pickle.loads(pickle.dumps(function)) is function
assert type(numpy.random.default_rng(1)) is numpy.random.Generator
try:
    numpy.random.seed(-1)
except ValueError as error:
    print(error)
histhooks.disable()
assert (random.seed, numpy.random.seed, numpy.random.default_rng) == before
assert numpy.random.default_rng is before[2]
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "Seed must be between 0 and 2**32 - 1\n"), done.stderr


def test_seeds_that_never_end_are_cut_and_that_is_said(store_path: Path) -> None:
    record(
        store_path,
        """
import random
import histhooks
histhooks.autolog()
with histhooks.start_run("a"):
    for number in range(2000):
        random.seed(number)
""",
    )
    assert query(store_path, "SELECT count(*) FROM seeds WHERE library <> 'python'") == [(500,)]
    sql = "SELECT status, note FROM captures WHERE collector = 'seeds'"
    assert query(store_path, sql) == [("truncated", "500 different seeds were kept, and no more")]


@pytest.mark.parametrize(
    ("program", "says"),
    [
        ("pass", "no generator was used"),
        ("random.random()", "no seed was set"),
        ("random.Random(3).random()", "random Random(3)"),
        ("random.seed(7); random.random()", "random seed(7)"),
        ("import numpy", "no generator was used"),
        ("import numpy; numpy.random.rand()", "no seed was set"),
    ],
)
@pytest.mark.parametrize("is_before", [True, False])
def test_show_says_whether_a_seed_is_missing(store_path: Path, program: str, says: str, is_before: bool) -> None:
    lines = (
        [program, "histhooks.start_run('a').end()"] if is_before else ["with histhooks.start_run('a'):", f"  {program}"]
    )
    record(store_path, "\n".join(["import random", "import histhooks", "histhooks.autolog()", *lines]))
    command = [sys.executable, "-m", "histhooks", "show", "last", "--store", str(store_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert says in done.stdout


def test_torch_seeds_states_and_flags_are_kept(store_path: Path) -> None:
    pytest.importorskip("torch")
    out = record(
        store_path,
        """
from torch import manual_seed as bound_earlier
import histhooks
histhooks.autolog()
import torch
bound_earlier(11)
state = torch.default_generator.get_state()
torch.rand(1)
with histhooks.start_run("a"):
    pass
torch.default_generator.set_state(state)
torch.backends.cudnn.benchmark = True
with histhooks.start_run("b"):
    torch.manual_seed(seed=12)
torch.manual_seed(11)
torch.rand(1)
print(torch.default_generator.get_state().numpy().tobytes().hex())
""",
    )
    assert [row[:3] for row in query(store_path, SEEDS)] == [
        ("torch", "manual_seed", "11"),
        ("torch", "manual_seed", "12"),
        ("torch", "manual_seed", "11"),
    ]
    sql = "SELECT state FROM rng_states WHERE library = 'torch' AND point = 'run_start' AND state IS NOT NULL"
    states = [zlib.decompress(bytes(state)) for (state,) in query(store_path, sql + " ORDER BY time")]
    assert [state.hex() for state in states] == [out.strip(), struct.pack("<Q", 11).hex()]
    flags = [json.loads(str(body)) for (body,) in query(store_path, "SELECT body FROM events ORDER BY time")]
    assert [f["torch.backends.cudnn.benchmark"] for f in flags] == [False, True]


def test_the_place_of_a_seed_is_the_programs_also_where_libraries_stand_between(store_path: Path) -> None:
    for needed in ("keras", "lightning"):
        pytest.importorskip(needed)
    record(
        store_path,
        """
import os
os.environ["KERAS_BACKEND"] = "torch"
import histhooks
histhooks.autolog()
import torch, torch._dynamo, keras, lightning
torch.manual_seed(1)
keras.utils.set_random_seed(2)
lightning.seed_everything(3)
histhooks.start_run("a").end()
""",
    )
    rows = query(store_path, "SELECT value, location, library FROM seeds WHERE value IN ('1', '2', '3')")
    own = {(value, place, library) for value, place, library in rows if str(place).startswith("<string>")}
    assert own == {("1", "<string>:7", "torch"), ("2", "<string>:8", "keras"), ("3", "<string>:9", "lightning")}
    assert {library for *_, library in rows} == {"random", "numpy", "torch", "keras", "lightning"}


SPLITS = """
import numpy as np
import histhooks
histhooks.autolog()
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.model_selection import GridSearchCV, KFold, RepeatedKFold, ShuffleSplit, train_test_split
X, y = np.arange(400.0).reshape(200, 2), np.arange(200) % 2
train_test_split(X, y, random_state=41)
train_test_split(X, y)
list(KFold(3, shuffle=True, random_state=42).split(X))
list(RepeatedKFold(n_splits=2, random_state=43).split(X))
list(ShuffleSplit(random_state=np.int64(44)).split(X))
RandomForestClassifier(2, random_state=45).fit(X, y)
HistGradientBoostingClassifier(max_iter=2, early_stopping=True, random_state=46).fit(X, y)
cv = KFold(2, shuffle=True, random_state=47)
GridSearchCV(RandomForestClassifier(2), {"max_depth": [1, 2]}, cv=cv).fit(X, y)
with histhooks.start_run("own", params={"seed": 48, "model": {"random_state": 49, "other_seed": 3}, "n_seed": None}):
    pass
print(np.random.random())
"""


def test_seeds_of_splits_params_and_python_are_kept_and_move_no_stream(store_path: Path) -> None:
    pytest.importorskip("sklearn")
    code, out, err = run_program("import numpy as np; np.random.seed(3)\n" + SPLITS, store_path, PYTHONHASHSEED="7")
    assert code == 0, err
    sql = "SELECT library, call, value FROM seeds WHERE value NOT LIKE 'entropy:%'"
    assert query(store_path, sql + " ORDER BY CAST(value AS INTEGER), library") == [
        ("program", "model.other_seed", "3"),
        ("python", "PYTHONHASHSEED", "7"),
        ("sklearn", "train_test_split", "41"),
        ("sklearn", "KFold", "42"),
        ("sklearn", "RepeatedKFold", "43"),
        ("sklearn", "ShuffleSplit", "44"),
        ("sklearn", "random_state", "45"),
        ("sklearn", "random_state", "46"),
        ("sklearn", "KFold", "47"),
        ("sklearn", "cv.random_state", "47"),
        ("program", "seed", "48"),
        ("program", "model.random_state", "49"),
    ]
    plain = "\n".join(line for line in SPLITS.splitlines() if "histhooks" not in line and line != "    pass")
    alone = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", "import numpy as np; np.random.seed(3)\n" + plain],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert alone.stdout == out
