"""How data was split is recorded, and the split is the one that it would be."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import histhooks
from histhooks.integrations import kit
from histhooks.testing import query, run_program

ROWS = "SELECT function, arguments, n_in, n_out, shuffled, location, run_id IS NULL FROM splits ORDER BY time"


def rows(store: Path) -> list[tuple[object, ...]]:
    return [
        (function, json.loads(str(arguments)), n_in, None if n_out is None else json.loads(str(n_out)), *rest)
        for function, arguments, n_in, n_out, *rest in query(store, ROWS)
    ]


def record(store: Path, program: str) -> str:
    code, out, err = run_program(program, store)
    assert code == 0, err
    return out


SPLIT = """
import numpy as np
from sklearn.model_selection import train_test_split as bound_earlier
{}
X, y = np.arange(60.0).reshape(30, 2), np.arange(30) % 2
np.random.seed(5)
one = bound_earlier(X, y, test_size=0.2, random_state=3, stratify=y)
two = bound_earlier(X.tolist(), shuffle=False, train_size=20)
three = bound_earlier(X, random_state=np.random.RandomState(2))
print(one, two, three, np.random.random())
import inspect, pickle
print(inspect.signature(bound_earlier), pickle.loads(pickle.dumps(bound_earlier)) is bound_earlier, type(bound_earlier))
for wrong in ((), (X, y[:3])):
    try:
        bound_earlier(*wrong)
    except ValueError as error:
        print(error)
"""


def test_train_test_split_is_kept_with_its_settings_and_is_the_same(store_path: Path) -> None:
    pytest.importorskip("sklearn")
    start = "import histhooks; histhooks.autolog(); run = histhooks.start_run('a').__enter__()"
    outs = [record(store_path, SPLIT.format(text)) for text in ("", start)]
    assert outs[0] == outs[1]
    common = {"train_size": None, "shuffle": True, "stratify": False, "test_size": None, "random_state": None}
    assert rows(store_path) == [
        (
            "train_test_split",
            {**common, "test_size": 0.2, "random_state": 3, "stratify": True},
            30, [24, 6], 1, "<string>:7", 0,
        ),
        ("train_test_split", {**common, "shuffle": False, "train_size": 20}, 30, [20, 10], 0, "<string>:8", 0),
        ("train_test_split", {**common, "random_state": "RandomState"}, 30, [22, 8], 1, "<string>:9", 0),
    ]  # fmt: skip


def test_a_split_before_the_first_run_is_of_the_session(store_path: Path) -> None:
    pytest.importorskip("sklearn")
    record(
        store_path,
        """
import histhooks
histhooks.autolog()
from sklearn.linear_model import LogisticRegression
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import train_test_split
X, y = [[float(n)] for n in range(40)], [0, 1] * 20
a, b, c, d = train_test_split(X, y)
HistGradientBoostingClassifier(max_iter=2, early_stopping=True).fit(a, c)
""",
    )
    assert [(row[0], *row[2:]) for row in rows(store_path)] == [("train_test_split", 40, [30, 10], 1, "<string>:8", 1)]


def test_what_cv_means_is_kept_once_in_a_run(store_path: Path) -> None:
    pytest.importorskip("sklearn")
    record(
        store_path,
        """
import numpy as np
from sklearn.linear_model import LassoCV, LogisticRegression
from sklearn.model_selection import (
    GridSearchCV, GroupKFold, KFold, PredefinedSplit, RepeatedKFold, ShuffleSplit, check_cv, cross_val_score,
    cross_validate,
)
import histhooks
histhooks.autolog()
X, y = np.random.normal(size=(60, 2)), np.arange(60) % 2
model = LogisticRegression()
cross_val_score(model, X, y, cv=3)
cross_validate(model, X, y)
GridSearchCV(model, {"C": [1.0, 2.0]}, cv=KFold(4, shuffle=True, random_state=7)).fit(X, y)
cross_val_score(model, X, y, cv=RepeatedKFold(n_splits=2, n_repeats=3, random_state=1))
cross_val_score(model, X, y, cv=ShuffleSplit(2, test_size=0.3))
cross_val_score(model, X, y, cv=[(np.arange(30), np.arange(30, 60))])
cross_val_score(model, X, y, cv=GroupKFold(2), groups=np.arange(60) // 6)
cross_val_score(model, X, y, cv=PredefinedSplit(np.arange(60) % 3))
LassoCV(cv=2).fit(X, y)
check_cv(3, y)
""",
    )
    plain = {"shuffle": False, "random_state": None}
    found = [(row[0], row[1], row[2], row[4], row[6]) for row in rows(store_path)]
    assert found == [
        ("StratifiedKFold", {"n_splits": 3, **plain}, 60, 0, 0),
        ("StratifiedKFold", {"n_splits": 5, **plain}, 60, 0, 0),
        ("KFold", {"n_splits": 4, "shuffle": True, "random_state": 7}, 60, 1, 0),
        ("RepeatedKFold", {"n_splits": 2, "n_repeats": 3, "random_state": 1}, 60, 1, 0),
        ("ShuffleSplit", {"n_splits": 2, "test_size": 0.3, "train_size": None, "random_state": None}, 60, 1, 0),
        ("iterable", {"n_splits": 1}, 60, None, 0),
        ("GroupKFold", {"n_splits": 2, **plain}, 60, 0, 0),
        ("PredefinedSplit", {"test_fold": "ndarray of 60"}, 60, None, 0),
        ("KFold", {"n_splits": 2, **plain}, None, 0, 0),
    ]


def test_random_split_is_kept_with_the_seed_of_its_generator(store_path: Path) -> None:
    pytest.importorskip("torch")
    program = """
import torch
from torch.utils.data import TensorDataset, random_split as bound_earlier
{}
data = TensorDataset(torch.arange(10))
torch.manual_seed(4)
one = bound_earlier(data, [7, 3])
two = bound_earlier(data, (0.5, 0.5), generator=torch.Generator().manual_seed(11))
print(one[0].indices, two[0].indices, torch.rand(1))
import inspect, pickle
print(inspect.signature(bound_earlier).parameters.keys(), pickle.loads(pickle.dumps(bound_earlier)) is bound_earlier)
try:
    bound_earlier(data, [1, 2])
except ValueError as error:
    print(error)
"""
    start = "import histhooks; histhooks.autolog(); run = histhooks.start_run('a').__enter__()"
    outs = [record(store_path, program.format(text)) for text in ("", start)]
    assert outs[0] == outs[1]
    assert rows(store_path) == [
        ("random_split", {"lengths": [7, 3], "seed": None}, 10, [7, 3], 1, "<string>:7", 0),
        ("random_split", {"lengths": [0.5, 0.5], "seed": 11}, 10, [5, 5], 1, "<string>:8", 0),
    ]


def test_the_folds_of_xgboost_are_kept(store_path: Path) -> None:
    pytest.importorskip("xgboost")
    record(
        store_path,
        """
import numpy as np, xgboost
from sklearn.model_selection import KFold
import histhooks
histhooks.autolog()
data = xgboost.DMatrix(np.arange(60.0).reshape(30, 2), np.arange(30) % 2)
xgboost.cv({}, data, 2, nfold=4, seed=9)
xgboost.cv({}, data, 2, folds=KFold(3))
xgboost.cv({}, data, 2, folds=[(np.arange(20), np.arange(20, 30)), (np.arange(10, 30), np.arange(10))])
""",
    )
    assert [row[:5] for row in rows(store_path)] == [
        ("cv", {"nfold": 4, "stratified": False, "shuffle": True, "seed": 9}, 30, None, 1),
        ("KFold", {"n_splits": 3, "shuffle": False, "random_state": None}, 30, None, 0),
        ("list", {"n_splits": 2}, 30, None, None),
    ]


def test_the_part_that_keras_holds_back_is_kept(store_path: Path) -> None:
    pytest.importorskip("keras")
    record(
        store_path,
        """
import keras, numpy as np
import histhooks
histhooks.autolog()
model = keras.Sequential([keras.layers.Dense(1)])
model.compile("sgd", "mse")
model.fit(np.ones((10, 2)), np.ones(10), validation_split=0.3, verbose=0)
""",
    )
    assert rows(store_path) == [("fit", {"validation_split": 0.3}, 10, [7, 3], 0, "<string>:7", 0)]


def test_splits_without_end_are_cut_and_that_is_said(store_path: Path) -> None:
    histhooks.autolog(store=store_path)
    for _ in range(300):
        kit.log_split("own", {"n": 1})
    with histhooks.start_run("a") as run:
        for _ in range(100):
            kit.log_split("own", {"n": 1}, run=run)
        for _ in range(100):
            kit.log_split("again", {"n": 1}, once=True)
    histhooks.flush()
    sql = "SELECT run_id IS NULL, function, count(*) FROM splits GROUP BY 1, 2 ORDER BY 1, 2"
    assert query(store_path, sql) == [(0, "own", 50), (1, "own", 200)]
    sql = "SELECT run_id IS NULL, status, note FROM captures WHERE collector = 'splits' ORDER BY 1"
    cut = "truncated"
    assert query(store_path, sql) == [(0, cut, "50 were kept, and no more"), (1, cut, "200 were kept, and no more")]


def test_data_among_the_settings_is_not_kept(store_path: Path) -> None:
    numpy = pytest.importorskip("numpy")
    histhooks.autolog(store=store_path)
    with histhooks.start_run("a"):
        kit.log_split("own", {"rows": numpy.arange(777000, 777009), "n": numpy.int64(4), "long": list(range(99))})
    histhooks.flush()
    assert query(store_path, "SELECT arguments FROM splits") == [('{"long":"list of 99","n":4,"rows":"ndarray of 9"}',)]


def test_the_hooks_come_back_by_identity() -> None:
    pytest.importorskip("sklearn")
    program = """
import sklearn.base
from sklearn.model_selection import _split
functions = (_split.train_test_split, _split.check_cv)
before = [function.__code__ for function in functions]
import histhooks
histhooks.autolog("sklearn")
assert functions == (_split.train_test_split, _split.check_cv)
assert all(function.__code__ is not code for function, code in zip(functions, before))
histhooks.disable()
assert all(function.__code__ is code for function, code in zip(functions, before))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
