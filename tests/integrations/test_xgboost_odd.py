"""Subclasses with a `fit` of their own, callbacks that raise, and calls that are refused: one run each, as it ended."""

from __future__ import annotations

from pathlib import Path

import pytest

from histhooks.testing import query, run_program
from histhooks.verify import verify

pytest.importorskip("xgboost")

HOOK = "import histhooks; histhooks.autolog()\n"
PROGRAM = """
import numpy as np, pickle, xgboost as xgb
rng = np.random.RandomState(0)
X = rng.rand(100, 4); y = (X[:, 0] > .5).astype(int)
few = dict(n_jobs=1, max_depth=2)
class Holds(xgb.XGBClassifier):
    def fit(self, X, y, boom=False):
        pairs = [(X[:80].copy(order="F"), y[:80]), (X[80:], y[80:])]
        super().fit(X[:80], y[:80], eval_set=pairs, verbose=False)
        if boom: raise RuntimeError("after")
        return self
class Plain(xgb.XGBRegressor): pass
class Own(xgb.XGBRegressor):
    def fit(self, X, y):
        self.own_ = xgb.train({"max_depth": 2}, xgb.DMatrix(X, y), 3); return self
class Odd(xgb.XGBRegressor):
    def get_params(self, deep=True):
        if getattr(self, "is_odd", False): raise KeyError("odd")
        return super().get_params(deep)
class Stops(xgb.callback.TrainingCallback):
    def after_iteration(self, model, epoch, evals_log):
        if epoch == 2: raise ValueError("callback")
def ends(call):
    try: call()
    except Exception as error: print(type(error).__name__)
    else: print("ok")
model = Holds(n_estimators=4, **few).fit(X, y)
print(model.score(X[:80], y[:80]), model.score(X[80:], y[80:]), model.score(rng.rand(20, 4), y[:20]))
ends(lambda: Holds(n_estimators=4, **few).fit(X, y, boom=True))
ends(lambda: Plain(n_estimators=3, **few).fit(X, y, eval_set=[(X[:50], y[:50])], verbose=False))
ends(lambda: Own(**few).fit(X, y))
odd = Odd(n_estimators=2, **few); odd.is_odd = True
ends(lambda: odd.fit(X, y))
data = xgb.DMatrix(X, y)
ends(lambda: xgb.train({}, data, 5, callbacks=[Stops()]))
first = xgb.train({}, data, 3, obj=lambda p, d: (p - d.get_label(), np.ones_like(p)))
ends(lambda: xgb.train({}, data, 3, xgb_model=first))
ends(lambda: xgb.train({}, data, 2, xgb_model=pickle.loads(pickle.dumps(first))))
ends(lambda: xgb.train({}, data, 2, xgb_model="nowhere.json"))
halves = np.arange(50), np.arange(50, 100)
ends(lambda: xgb.cv({"max_depth": 2}, data, 3, folds=[halves, halves[::-1]]))
ends(lambda: xgb.train({}, "no matrix", 2))
ends(lambda: xgb.XGBClassifier.fit())
"""


def test_each_training_is_one_run_that_ended_as_it_did(tmp_path: Path) -> None:
    store = tmp_path / "histhooks.db"
    code, plain, err = run_program(PROGRAM, store)
    assert code == 0, err
    code, out, err = run_program(HOOK + PROGRAM, store)
    assert (code, out) == (0, plain), err
    assert "histhooks" not in err
    assert verify(store).problems == []
    assert query(store, "SELECT sum(hook_errors) FROM sessions") == [(0,)]
    runs = query(store, "SELECT kind, framework, model_class, status, error_type FROM runs ORDER BY started_at, id")
    booster = "xgboost.core.Booster"
    assert runs == [
        ("fit", "xgboost", "__main__.Holds", "finished", None),
        ("fit", "xgboost", "__main__.Holds", "failed", "RuntimeError"),
        *[("fit", "xgboost", f"__main__.{name}", "finished", None) for name in ("Plain", "Own")],
        ("fit", "xgboost", "__main__.Odd", "failed", "KeyError"),
        ("fit", "xgboost", booster, "failed", "ValueError"),
        *[("fit", "xgboost", booster, "finished", None)] * 3,
        ("fit", "xgboost", booster, "failed", "XGBoostError"),
        ("validate", "xgboost", booster, "finished", None),
        ("fit", "xgboost", booster, "failed", "TypeError"),
    ]
    sql = """
    SELECT m.name, split, count FROM metric_summaries AS m JOIN runs ON runs.id = run_id
    WHERE model_class LIKE '%Holds' AND status = 'finished' AND split <> 'system' ORDER BY m.name
    """
    assert query(store, sql) == [
        ("score", "test", 1),
        ("train_score", "train", 1),
        ("valid_score", "valid", 1),
        ("validation_0-logloss", "train", 4),
        ("validation_1-logloss", "valid", 4),
    ]
    assert query(store, "SELECT value FROM results WHERE key = 'n_folds'") == [("2",)]
    assert query(store, "SELECT note FROM captures WHERE status = 'failed'") == [("get_params: KeyError: 'odd'",)]
    assert query(
        store, "SELECT count(*) FROM params WHERE key = 'max_depth' AND value = '2' AND source = 'argument'"
    ) == [(6,)]
