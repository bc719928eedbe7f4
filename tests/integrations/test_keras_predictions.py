"""What functions of scikit-learn make of what models of Keras predict, on the torch backend."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from helpers import programs
from helpers.networks import KERAS as DATA
from histhooks.testing import query

pytest.importorskip("keras")
pytest.importorskip("sklearn")

SETUP = "import histhooks\nhisthooks.autolog()\nfrom sklearn.metrics import *\n" + DATA
record = partial(programs.record, setup=SETUP, is_warm=True)
SCORES = """
SELECT r.kind, m.name, m.split, p.value FROM metric_summaries AS m JOIN runs AS r ON r.id = m.run_id
JOIN points AS p ON p.series = m.series WHERE m.name GLOB '*_error*' OR m.name GLOB '*_score*'
ORDER BY r.started_at, m.name, p.n
"""


def scores(store: Path) -> list[Any]:
    assert query(store, "SELECT kind, title FROM events WHERE kind IN ('hook_error', 'refused')") == []
    return query(store, SCORES)


def test_a_metric_of_what_a_fitted_model_predicts_is_a_point_of_its_fit(store_path: Path) -> None:
    body = """
model = build()
early = model.predict(x, verbose=0)
mean_squared_error(y, early)                                       # of a model that nothing has trained
model.fit(x[:60], y[:60], validation_data=(x[60:80], y[60:80]), epochs=2, verbose=0)
new = model.predict(x[80:], verbose=0)
seen = [mean_squared_error(y[80:], new), mean_absolute_error(y[80:, 0], new[:, 0])]
seen.append(r2_score(y[:60], model.predict(x[:60], verbose=0)))
seen.append(r2_score(y[60:80], model.predict_on_batch(x[60:80])))
max_error(y[80:, 0], new[:, 0] * 1.0)                              # another array
mean_squared_error(y[80:], model(x[80:]).detach().numpy())         # no prediction that is known
print(json.dumps(seen))
"""
    squared, absolute, train, valid = json.loads(record(store_path, body))
    assert scores(store_path) == [
        ("fit", "mean_absolute_error", "test", pytest.approx(absolute)),
        ("fit", "mean_squared_error", "test", pytest.approx(squared)),
        ("fit", "train_r2_score", "train", pytest.approx(train)),
        ("fit", "valid_r2_score", "valid", pytest.approx(valid)),
    ]
    roles = query(store_path, "SELECT role FROM run_datasets ORDER BY ordinal")
    assert [role for (role,) in roles][:3] == ["train", "valid", "test"]


def test_a_column_of_several_is_named_and_one_of_several_inputs_stands_for_none(store_path: Path) -> None:
    body = """
labels = np.arange(100) % 3
model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(3, "softmax")])
model.compile("sgd", "sparse_categorical_crossentropy")
model.fit(x, labels, verbose=0)
chances = model.predict(x, verbose=0)
roc_auc_score(labels, chances, multi_class="ovr"); roc_auc_score(labels == 2, chances[:, 2])
one, other = keras.layers.Input((4,)), keras.layers.Input((4,))
both = keras.Model([one, other], keras.layers.Dense(1)(one + other))
both.compile("sgd", "mse")
both.fit([x, x], y, verbose=0)
r2_score(y, both.predict([x, x + 1], verbose=0))
"""
    record(store_path, body)
    assert [row[1:3] for row in scores(store_path)] == [
        ("train_roc_auc_score/column=2", "train"),
        ("train_roc_auc_score/multi_class=ovr", "train"),
        ("unsaid_r2_score", None),
    ]


def test_what_is_predicted_in_a_loop_belongs_to_it_and_inside_a_fit_to_nobody(store_path: Path) -> None:
    body = """
model = build()
for start in range(0, 80, 20):
    model.train_on_batch(x[start : start + 20], y[start : start + 20])
mean_squared_error(y[80:], model.predict_on_batch(x[80:]))
class Judge(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        max_error(y[80:], self.model.predict(x[80:], verbose=0))
build().fit(x[:80], y[:80], verbose=0, callbacks=[Judge()])
"""
    record(store_path, body)
    ((kind, name, split, _),) = scores(store_path)
    assert (kind, name) == ("loop", "unsaid_mean_squared_error" if split is None else "mean_squared_error")


def test_a_metric_of_keras_that_saw_nothing_but_predictions_is_a_point_once(store_path: Path) -> None:
    body = """
from keras import metrics
def own(y_true, y_pred):
    return keras.ops.mean(keras.ops.abs(y_true - y_pred), axis=-1)
model, early = build(), metrics.MeanAbsoluteError()
early.update_state(y, y * 0.5); early.result(); early.reset_state()
model.fit(x[:60], y[:60], validation_data=(x[60:80], y[60:80]), epochs=2, verbose=0)
new, old = model.predict(x[80:], verbose=0), model.predict(x[:60], verbose=0)
model.evaluate(x[80:], y[80:], verbose=0)
seen = []
early.update_state(y[80:], new); seen.append(float(early.result())); early.result()
early.reset_state(); seen.append(float(early(y[:60], old))); float(early.result())
mixed = metrics.MeanSquaredError(name="mixed")
mixed.update_state(y[80:], y[80:] + 1); mixed.update_state(y[80:], new); mixed.result()      # not of the model alone
mixed.reset_state(); mixed.update_state(y[80:], new * 1.0); mixed.result()                   # another array
both = metrics.MeanSquaredError(name="both")
both.update_state(y[80:], new); both.update_state(y[:60], old); seen.append(float(both.result()))
wrapped = metrics.MeanMetricWrapper(own, name="own"); seen.append(float(wrapped(y[80:], new)))
metrics.Mean(name="mean")(new); metrics.R2Score(name="lost").update_state(y[80:], new)
model.fit(x[:60], y[:60], verbose=0)
both.result()                                                    # nobody knows what the fit made of it
print(json.dumps(seen))
"""
    first, train, both, own = json.loads(record(store_path, body))
    assert query(store_path, "SELECT kind, title FROM events WHERE kind IN ('hook_error', 'refused')") == []
    sql = """SELECT m.name, m.split, p.value FROM metric_summaries AS m JOIN points AS p ON p.series = m.series
             WHERE m.name GLOB '*_mean_absolute_error' OR m.name GLOB '*mixed' OR m.name GLOB '*both'
             OR m.name GLOB '*own' OR m.name GLOB '*mean' OR m.name GLOB '*lost' ORDER BY m.name"""
    assert query(store_path, sql) == [
        ("test_mean_absolute_error", "test", pytest.approx(first)),
        ("test_own", "test", pytest.approx(own)),
        ("train_mean_absolute_error", "train", pytest.approx(train)),
        ("unsaid_both", None, pytest.approx(both)),
    ]


def test_metrics_of_keras_have_no_hooks_in_a_fit_and_none_is_left(store_path: Path) -> None:
    body = """
from histhooks.integrations.keras import _metrics
codes = {kind: kind.update_state.__code__ for kind in (keras.metrics.AUC, keras.metrics.MeanMetricWrapper)}
def are_hooked():
    return [kind.update_state.__code__ is not code for kind, code in codes.items()]
class Look(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        inside.append(are_hooked())
model, inside = build(), []
model.fit(x, y, verbose=0)
before = are_hooked()
kept = model.predict(x, verbose=0)
after = are_hooked()
model.fit(x, y, verbose=0, callbacks=[Look()])
print(json.dumps([before, after, inside[0], are_hooked()]))
from histhooks.integrations.keras import uninstall
uninstall()
assert not any(are_hooked()) and not _metrics._seen and not _metrics._told
"""
    assert json.loads(record(store_path, body)) == [[False] * 2, [True] * 2, [False] * 2, [True] * 2]
