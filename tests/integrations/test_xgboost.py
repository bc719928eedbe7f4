"""What XGBoost's own calls leave in the store."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from helpers import programs
from histhooks.testing import query

pytest.importorskip("xgboost")

DATA = """
import numpy as np
import xgboost as xgb
from sklearn.datasets import load_breast_cancer
X, y = load_breast_cancer(return_X_y=True)
train, valid = xgb.DMatrix(X[:400], y[:400]), xgb.DMatrix(X[400:], y[400:])
binary = {"objective": "binary:logistic", "eval_metric": ["auc", "logloss"], "nthread": 1}
"""
SETUP = "import histhooks\nhisthooks.autolog()\n" + DATA
POINTS = "SELECT step, value FROM metrics WHERE name = '{}' ORDER BY n"


record = partial(programs.record, setup=SETUP, is_warm=True)


def params(store: Path, where: str = "true") -> dict[str, tuple[object, object]]:
    found = query(store, f"SELECT key, value, source FROM params WHERE {where}")
    return {str(key): (json.loads(str(value)), source) for key, value, source in found}


def results(store: Path) -> dict[str, object]:
    return {str(key): json.loads(str(value)) for key, value in query(store, "SELECT key, value FROM results")}


def test_every_metric_at_every_iteration_is_there_also_the_one_that_stopped(store_path: Path) -> None:
    body = """
seen = {}
model = xgb.train(binary, train, 200, evals=[(train, "train"), (valid, "holdout")], early_stopping_rounds=4,
                  evals_result=seen, verbose_eval=False)
import json
print(json.dumps([seen, model.best_iteration, model.best_score]))
"""
    seen, best_iteration, best_score = json.loads(record(store_path, body))
    for data, metrics in seen.items():
        for metric, values in metrics.items():
            expected = list(enumerate(values))
            assert query(store_path, POINTS.format(f"{data}-{metric}")) == expected, (data, metric)
    n = len(seen["holdout"]["logloss"])
    assert n < 200
    found = results(store_path)
    assert (found["best_iteration"], found["stopped_iteration"]) == (best_iteration, n - 1)
    assert found["best_score"] == pytest.approx(best_score)
    config = found["booster_config"]
    assert isinstance(config, dict)
    assert config["learner"]["objective"]["name"] == "binary:logistic"
    assert query(store_path, "SELECT main_metric, steps_done, status FROM runs") == [("holdout-logloss", n, "finished")]
    sql = "SELECT name, metric, split, direction FROM metric_summaries ORDER BY name"
    assert query(store_path, sql) == [
        ("holdout-auc", "auc", "valid", 1),
        ("holdout-logloss", "logloss", "valid", -1),
        ("train-auc", "auc", "train", 1),
        ("train-logloss", "logloss", "train", -1),
    ]
    assert query(store_path, "SELECT role, name FROM run_datasets ORDER BY role") == [
        ("train", None),
        ("valid", "holdout"),
    ]


def test_arguments_are_recorded_as_the_host_binds_them(store_path: Path) -> None:
    record(store_path, "xgb.train({'eta': 0.1, 'maximize': 'odd'}, train, 3)")
    found = params(store_path)
    assert found["eta"] == (0.1, "argument")
    assert found["num_boost_round"] == (3, "argument")
    assert found["params.maximize"] == ("odd", "argument")
    assert found["maximize"] == (None, "default")
    assert found["early_stopping_rounds"] == (None, "default")
    assert found["callbacks"] == (["xgboost.callback.EvaluationMonitor"], "resolved")


def test_own_objectives_metrics_and_callbacks_are_named(store_path: Path) -> None:
    body = """
def squared(predicted, data):
    residual = predicted - data.get_label()
    return residual, np.ones_like(residual)
def wrong(predicted, data):
    return "wrong", float(((predicted > 0.5) != data.get_label()).mean())
class Mine(xgb.callback.TrainingCallback):
    pass
xgb.train({}, train, 4, evals=[(valid, "test")], obj=squared, custom_metric=wrong, callbacks=[Mine()])
"""
    record(store_path, body)
    found = params(store_path)
    assert found["obj"] == ({"$callable": "__main__.squared"}, "argument")
    assert found["custom_metric"] == ({"$callable": "__main__.wrong"}, "argument")
    assert found["callbacks"] == (["__main__.Mine", "xgboost.callback.EvaluationMonitor"], "resolved")
    sql = "SELECT split, count FROM metric_summaries WHERE name = 'test-wrong'"
    assert query(store_path, sql) == [("test", 4)]


def test_splits_are_as_autolog_was_told(store_path: Path) -> None:
    setup = SETUP.replace("autolog()", "autolog(splits={'holdout': 'test'}, metric='holdout-rmse')")
    record(store_path, "xgb.train({}, train, 2, evals=[(valid, 'holdout')])", setup=setup)
    assert query(store_path, "SELECT split FROM metric_summaries") == [("test",)]
    assert query(store_path, "SELECT role FROM run_datasets WHERE name = 'holdout'") == [("test",)]
    assert query(store_path, "SELECT main_metric FROM runs") == [("holdout-rmse",)]


def test_cross_validation_is_one_run_with_means_and_deviations(store_path: Path) -> None:
    out = record(store_path, "print(len(xgb.cv(binary, train, 40, nfold=3, early_stopping_rounds=3, as_pandas=False)"
                 "['test-auc-mean']))")  # fmt: skip
    assert query(store_path, "SELECT kind, status FROM runs") == [("validate", "finished")]
    assert results(store_path)["best_iteration"] == int(out) - 1
    found = dict(query(store_path, "SELECT name, split FROM metric_summaries"))
    assert found["test-auc-mean"] == "valid"
    assert found["train-logloss-std"] == "train"
    ((least,), (most,)) = query(store_path, "SELECT min(count) FROM metric_summaries UNION ALL SELECT max(count) FROM "
                                "metric_summaries")  # fmt: skip
    assert least == most
    assert params(store_path)["nfold"] == (3, "argument")


@pytest.mark.parametrize("frameworks", ["", "'xgboost'", "'sklearn', 'xgboost'", "'xgboost', 'sklearn'"])
def test_a_scikit_learn_wrapper_is_one_run_whatever_is_recorded_beside_it(store_path: Path, frameworks: str) -> None:
    body = f"""
histhooks.disable()
histhooks.autolog({frameworks})
model = xgb.XGBClassifier(n_estimators=6, max_depth=2, early_stopping_rounds=2, random_state=5)
model.fit(X[:400], y[:400], eval_set=[(X[:400], y[:400]), (X[400:], y[400:])], verbose=False)
"""
    record(store_path, body)
    sql = "SELECT kind, framework, model_class, main_metric FROM runs"
    expected = ("fit", "xgboost", "xgboost.sklearn.XGBClassifier", "validation_1-logloss")
    assert query(store_path, sql) == [expected]
    found = params(store_path)
    assert found["max_depth"] == (2, "argument")
    assert found["random_state"] == (5, "argument")
    assert found["subsample"] == (None, "default")
    assert found["objective"] == ("binary:logistic", "default")
    assert found["enable_categorical"][1] == found["missing"][1] == "default"
    assert found["early_stopping.metric_name"] == (None, "default")
    assert found["early_stopping.min_delta"] == (0.0, "default")
    chosen = {name for name, (_, source) in found.items() if source == "argument"}
    assert chosen == {
        "n_estimators", "max_depth", "early_stopping_rounds", "random_state", "early_stopping.rounds", "fit.verbose",
    }  # fmt: skip
    assert found["early_stopping.rounds"] == (2, "argument")
    assert query(store_path, "SELECT count FROM metric_summaries") == [(6,), (6,)]


def test_a_search_keeps_the_curve_of_its_refit_only(store_path: Path) -> None:
    body = """
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
GridSearchCV(xgb.XGBClassifier(n_estimators=3), {"max_depth": [1, 2]}, cv=2).fit(
    X, y, eval_set=[(X[400:], y[400:])], verbose=False)
make_pipeline(xgb.XGBClassifier(n_estimators=4)).fit(X, y)
"""
    record(store_path, body)
    kinds = query(store_path, "SELECT kind, count(*) FROM runs GROUP BY kind ORDER BY kind")
    assert kinds == [("candidate", 2), ("fit", 1), ("search", 1)]
    sql = "SELECT r.kind, m.count FROM metric_summaries AS m JOIN runs AS r ON r.id = m.run_id WHERE m.name LIKE 'val%'"
    assert query(store_path, sql) == [("search", 3)]


@pytest.mark.parametrize(
    ("error", "status", "error_type"),
    [("RuntimeError('odd')", "failed", "RuntimeError"), ("KeyboardInterrupt()", "interrupted", None)],
)
def test_what_came_before_a_failure_or_an_interrupt_is_kept(
    store_path: Path, error: str, status: str, error_type: str | None
) -> None:
    body = f"""
class Stop(xgb.callback.TrainingCallback):
    def after_iteration(self, model, epoch, evals_log):
        if epoch == 3:
            raise {error}
try:
    xgb.train({{}}, train, 10, evals=[(valid, "valid")], callbacks=[Stop()], verbose_eval=False)
except BaseException as error:
    print(type(error).__name__)
"""
    assert record(store_path, body).strip() == error.partition("(")[0]
    assert query(store_path, "SELECT status, error_type, steps_done FROM runs") == [(status, error_type, 4)]
    assert query(store_path, "SELECT count, last_step FROM metric_summaries") == [(4, 3)]


@pytest.mark.parametrize("beside", ["", "histhooks.autolog()"])
def test_a_callback_records_alone_and_beside_autolog_once(store_path: Path, beside: str) -> None:
    body = f"""
import histhooks, copy, pickle
from histhooks.integrations.xgboost import HistoryCallback
{beside}
callback = HistoryCallback()
callbacks = [callback]
for _ in range(2):
    xgb.train({{}}, train, 3, evals=[(valid, "valid")], callbacks=callbacks, verbose_eval=False)
assert callbacks == [callback]
try:
    xgb.train({{}}, train, 3, evals=[(valid, "valid")], callbacks=[callback], num_boost_rounds=3)
except TypeError:
    pass
xgb.XGBRegressor(n_estimators=3, callbacks=callbacks).fit(X, y)
assert type(pickle.loads(pickle.dumps(callback))) is xgb.callback.TrainingCallback
assert type(copy.deepcopy(callback)) is HistoryCallback
if not {beside!r}:
    xgb.train({{}}, train, 3)
"""
    record(store_path, body, setup=DATA)
    sql = "SELECT model_class, status FROM runs ORDER BY started_at"
    booster = "xgboost.core.Booster"
    assert query(store_path, sql) == [
        (booster, "finished"),
        (booster, "finished"),
        (booster, "failed"),
        ("xgboost.sklearn.XGBRegressor", "finished"),
    ]
    assert query(store_path, "SELECT count FROM metric_summaries") == [(3,), (3,)]


def test_training_that_goes_on_is_linked_to_the_run_before(store_path: Path) -> None:
    body = """
first = xgb.train({}, train, 3, evals=[(valid, "valid")], early_stopping_rounds=2, verbose_eval=False)
xgb.train({}, train, 2, xgb_model=first)
first.save_model("first.json")
xgb.train({}, train, 2, xgb_model="first.json")
"""
    record(store_path, body)
    runs = [row[0] for row in query(store_path, "SELECT id FROM runs ORDER BY started_at")]
    links = query(store_path, "SELECT run_id, kind, other_run_id FROM run_links ORDER BY time")
    assert links == [(runs[1], "continues", runs[0]), (runs[2], "continues", None)]
    sql = "SELECT a.run_id, a.direction FROM run_artifacts AS a JOIN run_links AS l ON l.sha256 = a.sha256"
    assert sorted(query(store_path, sql)) == [(runs[0], "out"), (runs[2], "in")]
    best = query(store_path, "SELECT run_id FROM results WHERE key = 'best_iteration'")
    assert best == [(runs[0],)]


def test_a_train_that_only_a_closure_holds_is_still_recorded(store_path: Path) -> None:
    body = """
def held(function=xgb.train):
    return function({}, train, 3, evals=[(valid, "valid")], verbose_eval=False)
import histhooks
histhooks.autolog()
held()
try:
    held.__defaults__[0]({}, train, 3, evals=[(valid, "valid")], custom_metric=lambda p, d: 1 / 0)
except ZeroDivisionError:
    pass
import gc
gc.collect()
"""
    record(store_path, body, setup=DATA)
    assert query(store_path, "SELECT status, steps_done FROM runs ORDER BY started_at") == [
        ("finished", 3),
        ("failed", 0),
    ]


def test_a_model_loads_where_histhooks_is_not_installed(store_path: Path, tmp_path: Path) -> None:
    body = """
import pickle
from histhooks.integrations.xgboost import HistoryCallback
model = xgb.XGBRegressor(n_estimators=2, callbacks=[HistoryCallback()]).fit(X, y)
pickle.dump(model, open("model.pickle", "wb"))
"""
    record(store_path, body)
    program = "import sys; sys.modules['histhooks'] = None; import pickle; pickle.load(open('model.pickle', 'rb'))"
    subprocess.run([sys.executable, "-c", program], cwd=store_path.parent, check=True, timeout=300)


def test_files_of_a_model_lead_to_the_run_that_trained_it(store_path: Path) -> None:
    body = """
before = vars(xgb.Booster)["save_model"]
kept = xgb.callback.TrainingCheckPoint(".", name="kept", interval=2)
booster = xgb.train({}, train, 3, callbacks=[kept])
booster.save_model("booster.ubj")
stopping = xgb.callback.EarlyStopping(rounds=2, save_best=True)
best = xgb.train(binary, train, 60, evals=[(valid, "valid")], callbacks=[stopping], verbose_eval=False)
best.save_model("best.json")
model = xgb.XGBClassifier(n_estimators=2).fit(X, y)
model.save_model("model.json")
loaded = xgb.XGBClassifier()
loaded.load_model("model.json")
loaded.save_model("again.json")
xgb.XGBClassifier(n_estimators=1).fit(X, y, xgb_model=loaded)
xgb.train({}, train, 1, xgb_model=xgb.Booster(model_file="booster.ubj"))
histhooks.disable()
assert vars(xgb.Booster)["save_model"] is before
booster.save_model("late.ubj")
"""
    record(store_path, body)
    runs = [row[0] for row in query(store_path, "SELECT id FROM runs ORDER BY started_at")]
    sql = "SELECT run_id, path, role, direction FROM run_artifacts"
    found = [(runs.index(run), Path(str(path)).name, role, way) for run, path, role, way in query(store_path, sql)]
    kept = sorted(path.name for path in store_path.parent.glob("kept*"))
    assert kept
    assert sorted(found) == [
        (0, "booster.ubj", "model", "out"),
        *((0, name, "checkpoint", "out") for name in kept),
        (1, "best.json", "model", "out"),
        (2, "model.json", "model", "out"),
        (3, "model.json", "model", "in"),
        (4, "booster.ubj", "model", "in"),
    ]
    command = [
        sys.executable,
        "-m",
        "histhooks",
        "whence",
        str(store_path.parent / "best.json"),
        "--store",
        str(store_path),
        "--json",
    ]
    assert str(runs[1]) in subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_a_seam_that_moves_is_noticed() -> None:
    import inspect

    from xgboost import training
    from xgboost.callback import CallbackContainer

    assert "self.callbacks = " in inspect.getsource(CallbackContainer.__init__)
    assert "for c in self.callbacks" in inspect.getsource(CallbackContainer.after_iteration)
    for function in (training.train, training.cv):
        assert "CallbackContainer(" in inspect.getsource(function)
