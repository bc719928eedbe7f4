"""What XGBoost leaves beside curves, and loops of `Booster.update`."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from helpers import programs
from histhooks.testing import query

pytest.importorskip("xgboost")

SETUP = """
import json, os, sys
import histhooks, numpy, xgboost
histhooks.autolog("xgboost")
from sklearn.datasets import load_breast_cancer
X, y = load_breast_cancer(return_X_y=True)
train, valid = xgboost.DMatrix(X[:400], y[:400]), xgboost.DMatrix(X[400:], y[400:])
"""
SERIES = """
SELECT m.name, metric, split, direction, count FROM metric_summaries AS m JOIN runs ON runs.id = run_id
WHERE split IS NOT 'system' ORDER BY started_at, m.name
"""


def record(store: Path, body: str) -> list[Any]:
    out = programs.record(store, body, SETUP)
    assert query(store, "SELECT kind, title FROM events WHERE kind IN ('hook_error', 'refused')") == []
    return [json.loads(line) for line in out.splitlines() if line.startswith(("[", "{"))]


def results(store: Path, key: str) -> list[Any]:
    sql = f"SELECT value FROM results JOIN runs ON runs.id = run_id WHERE key = '{key}' ORDER BY started_at, ordinal"
    return [json.loads(str(row[0])) for row in query(store, sql)]


def test_importances_at_the_end_are_those_of_the_booster(store_path: Path) -> None:
    body = """
b = xgboost.train({"max_depth": 2}, train, 5)
print(json.dumps([b.get_score(importance_type="gain"), b.get_score(importance_type="weight")]))
xgboost.XGBClassifier(n_estimators=3).fit(X, y)
xgboost.train({"booster": "gblinear"}, train, 2)
wide = numpy.random.default_rng(0).normal(size=(200, 70))
xgboost.train({"max_depth": 6}, xgboost.DMatrix(wide, wide.sum(axis=1)), 9)
"""
    ((gain, weight),) = record(store_path, body)
    gains, weights = results(store_path, "importance_gain"), results(store_path, "importance_weight")
    assert gains[0] == pytest.approx(gain, rel=1e-5)
    assert weights[0] == weight
    assert (len(gains), len(weights)) == (3, 4)
    assert [len(gains[2]), len(weights[3])] == [50, 50]
    notes = query(store_path, "SELECT note FROM captures WHERE status = 'truncated' AND note LIKE 'importance%'")
    assert [str(note).partition(":")[0] for (note,) in notes] == ["importance_gain", "importance_weight"]


OWN = """
def squared(preds, data):
    return preds - data.get_label(), numpy.ones(len(preds))
def mine(preds, data):
    return "mine_error", float(abs(preds - data.get_label()).mean())
"""


def test_functions_of_the_program_are_known_by_name_and_source(store_path: Path, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text("import numpy\n" + OWN, encoding="utf-8")
    body = f"""
sys.path.insert(0, {str(tmp_path)!r})
from own import mine, squared
xgboost.train({{}}, train, 2, obj=squared, custom_metric=mine, evals=[(valid, "valid")], verbose_eval=False)
def target(true, predicted):
    return predicted - true, numpy.ones(len(true))
xgboost.XGBRegressor(n_estimators=2, objective=target).fit(X, y)
"""
    record(store_path, body)
    params = dict(query(store_path, "SELECT key, value FROM params WHERE key GLOB '*obj*' OR key GLOB 'custom*'"))
    source = "def squared(preds, data):\n    return preds - data.get_label(), numpy.ones(len(preds))\n"
    assert json.loads(str(params["obj.source_sha256"])) == hashlib.sha256(source.encode()).hexdigest()
    assert "custom_metric.source_sha256" in params
    assert "squared" in str(params["obj"])
    assert "target" in str(params["objective"])
    skipped = query(store_path, "SELECT note FROM captures WHERE status = 'skipped' AND collector = 'params'")
    assert skipped == [("objective: the source of target is in no file",)]
    assert ("valid-mine_error", "mine_error", "valid", -1, 2) in query(store_path, SERIES)


def test_a_loop_of_updates_is_one_run_of_its_booster(store_path: Path) -> None:
    body = """
def loop(params, n, fobj=None):
    booster = xgboost.Booster(params, [train, valid])
    for step in range(n):
        booster.update(train, step, fobj)
        if step % 2:
            print(json.dumps([booster.eval_set([(train, "train"), (valid, "valid")], step)]))
    return booster
first = loop({"max_depth": 2, "eta": 0.5, "objective": "binary:logistic"}, 4)
first.save_model("loop.json")
def squared(preds, data):
    return preds - data.get_label(), numpy.ones(len(preds))
second = loop({"max_depth": 3}, 2, squared)
print(json.dumps([second.eval(valid, "holdout")]))
xgboost.train({"max_depth": 2}, train, 3, obj=squared)
with histhooks.paused():
    loop({"max_depth": 1}, 2)
"""
    shown = [line[0] for line in record(store_path, body)]
    assert query(store_path, "SELECT kind, status, steps_done FROM runs ORDER BY started_at") == [
        ("loop", "finished", 4),  # the boosters are there until the program ends
        ("loop", "finished", 2),
        ("fit", "finished", 3),
    ]
    points = query(store_path, "SELECT m.name, m.split, step, value FROM metrics AS m JOIN runs ON runs.id = run_id "
                   "WHERE m.split IS NOT 'system' ORDER BY started_at, step, m.name")  # fmt: skip
    expected = []
    for text in shown[:3]:
        step = int(text[1 : text.index("]")])
        for name, _, value in (part.rpartition(":") for part in text.split("\t")[1:]):
            expected.append((name, name.partition("-")[0], step, float(value)))
    # `eval` says no iteration, so its point is of the last update.
    expected.append(("holdout-rmse", "valid", 1, float(shown[3].rpartition(":")[2])))
    assert sorted(map(str, points)) == sorted(map(str, expected))
    params = query(
        store_path, "SELECT value FROM params JOIN runs ON runs.id = run_id WHERE key = 'max_depth' ORDER BY started_at"
    )
    assert [row[0] for row in params] == ["2", "3", "2"]
    assert query(store_path, "SELECT role, direction FROM run_artifacts") == [("model", "out")]
    roles = query(store_path, "SELECT role, count(*) FROM run_datasets GROUP BY role ORDER BY role")
    assert roles == [("train", 3), ("valid", 3)]


def test_a_loop_that_fails_says_so_and_one_inside_a_fit_is_none(store_path: Path) -> None:
    body = """
booster = xgboost.Booster({"max_depth": 2}, [train])
def broken(preds, data):
    raise ZeroDivisionError("own words")
try:
    booster.update(train, 0, broken)
except ZeroDivisionError as error:
    print(json.dumps([str(error)]))
class Own(xgboost.XGBRegressor):
    def fit(self, X, y):
        inner = xgboost.Booster({"max_depth": 1}, [train])
        inner.update(train, 0)
        return super().fit(X, y)
Own(n_estimators=2).fit(X, y)
"""
    assert record(store_path, body) == [["own words"]]
    rows = query(store_path, "SELECT kind, status, error_message FROM runs ORDER BY started_at")
    assert rows == [("loop", "failed", "own words"), ("fit", "finished", None)]


def test_ranking_and_survival_objectives_have_their_metrics(store_path: Path) -> None:
    body = """
groups = numpy.repeat(numpy.arange(40), 10)
ranker = xgboost.XGBRanker(n_estimators=3, objective="rank:ndcg", eval_metric=["ndcg@5", "map"])
ranker.fit(X[:400], y[:400], qid=groups, eval_set=[(X[:100], y[:100])], eval_qid=[groups[:100]], verbose=False)
times = xgboost.DMatrix(X[:100])
times.set_float_info("label_lower_bound", y[:100] + 1.0)
times.set_float_info("label_upper_bound", y[:100] + 2.0)
params = {"objective": "survival:aft", "eval_metric": ["aft-nloglik", "interval-regression-accuracy"]}
xgboost.train(params, times, 3, evals=[(times, "train")], verbose_eval=False)
cox = xgboost.DMatrix(X[:100], numpy.where(y[:100], 2.0, -3.0))
xgboost.train({"objective": "survival:cox"}, cox, 3, evals=[(cox, "train")], verbose_eval=False)
"""
    record(store_path, body)
    known = {row[0]: row[3] for row in query(store_path, SERIES)}
    assert known == {
        "validation_0-ndcg@5": 1,
        "validation_0-map": 1,
        "train-aft-nloglik": -1,
        "train-interval-regression-accuracy": 1,
        "train-cox-nloglik": -1,
    }
    assert len(results(store_path, "importance_gain")) == 3


SAME = """
import pickle, hashlib, inspect
import numpy, xgboost
RECORD
rng = numpy.random.default_rng(0)
X = rng.normal(size=(60, 4)); y = X.sum(axis=1)
d = xgboost.DMatrix(X, y)
said = []
def attempt(function, *args, **kwargs):
    try:
        said.append(pickle.dumps(function(*args, **kwargs)))
    except Exception as error:
        said.append((type(error).__name__, str(error).splitlines()[0]))
b = xgboost.Booster({"max_depth": 2}, [d])
for step in range(3):
    attempt(b.update, d, step), attempt(b.eval_set, [(d, "d")], step), attempt(b.eval, d)
attempt(b.update, 3, 0), attempt(b.update), attempt(b.eval_set, [(3, "d")]), attempt(b.boost, d, 3, y, numpy.ones(60))
attempt(lambda: b.save_raw()), attempt(lambda: sorted(vars(b)))
attempt(lambda: pickle.loads(pickle.dumps(b)).predict(d))
for function in (xgboost.Booster.update, xgboost.Booster.eval_set, xgboost.Booster.__init__, xgboost.Booster.boost):
    said.append((str(inspect.signature(function)), function.__doc__, function.__qualname__, sorted(vars(function))))
print("same", hashlib.sha256(repr(said).encode()).hexdigest())
"""


def test_a_loop_is_the_same_with_and_without(store_path: Path) -> None:
    said = []
    for start in ("import histhooks; histhooks.autolog('xgboost')", ""):
        said.append(programs.record(store_path, SAME.replace("RECORD", start)))
    assert said[0] == said[1] != ""
    assert query(store_path, "SELECT kind FROM runs") == [("loop",)]
