"""MLflow's autolog and ours, in either order: both records complete, and either can be switched off."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from histhooks.testing import query, run_program
from histhooks.verify import verify

pytest.importorskip("mlflow")

PROGRAM = """
import json, logging, warnings
warnings.simplefilter("ignore")
logging.disable(logging.WARNING)
import histhooks, mlflow
import numpy as np
import {flavor} as flavor
{setup}
mlflow.set_tracking_uri("file:./mlruns")
def ours():
    histhooks.autolog()
def theirs():
    flavor.autolog(log_models=False)
for begin in ({order}):
    begin()
train()
if {off!r} == "ours":
    histhooks.disable()
else:
    flavor.autolog(disable=True)
train()
runs = mlflow.search_runs(search_all_experiments=True, order_by=["start_time"])
first = runs.iloc[0]
print(json.dumps([list(runs.status), first["{metric}"], first["{param}"]]))
"""
TRAININGS = {
    "keras": (
        "mlflow.keras",
        """
import keras
x = np.linspace(0, 1, 400, dtype="float32").reshape(100, 4)
y = x.sum(axis=1, keepdims=True)
def train():
    keras.utils.set_random_seed(3)
    model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    model.fit(x, y, epochs=3, batch_size=20, verbose=0)
""",
        ("metrics.loss", "loss"),
        ("params.batch_size", "batch_size"),
    ),
    "lightning": (
        "mlflow.pytorch",
        """
import lightning, torch
class Net(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(3, 1)
    def training_step(self, batch, index):
        loss = self.layer(batch[0]).pow(2).mean()
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss
    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)
data = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.ones(16, 3)), 4)
quiet = dict(logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False)
def train():
    lightning.Trainer(max_epochs=3, accelerator="cpu", **quiet).fit(Net(), data)
""",
        ("metrics.train_loss", "train_loss"),
        ("params.epochs", "trainer.max_epochs"),
    ),
    "sklearn": (
        "mlflow.sklearn",
        """
from sklearn.linear_model import Ridge
X = np.arange(60.0).reshape(20, 3)
def train():
    Ridge(alpha=3.0).fit(X, X.sum(1))
""",
        ("metrics.training_score", None),
        ("params.alpha", "alpha"),
    ),
    "xgboost": (
        "mlflow.xgboost",
        """
import xgboost
X = np.arange(60.0).reshape(20, 3)
def train():
    data = xgboost.DMatrix(X, X.sum(1))
    xgboost.train({"max_depth": 2}, data, 5, evals=[(data, "train")], verbose_eval=False)
""",
        ("metrics.train-rmse", "train-rmse"),
        ("params.max_depth", "max_depth"),
    ),
}


@pytest.mark.parametrize("off", ["ours", "theirs"])
@pytest.mark.parametrize("order", ["ours, theirs", "theirs, ours"])
@pytest.mark.parametrize("name", TRAININGS)
def test_both_records_are_complete_and_either_can_be_switched_off(
    store_path: Path, name: str, order: str, off: str
) -> None:
    pytest.importorskip(name)
    flavor, setup, (metric, our_metric), (param, our_param) = TRAININGS[name]
    program = PROGRAM.format(flavor=flavor, setup=setup, order=order, off=off, metric=metric, param=param)
    code, out, err = run_program(program, store_path, MLFLOW_ALLOW_FILE_STORE="true", MLFLOW_DISABLE_TELEMETRY="true")
    assert code == 0, err
    statuses, value, chosen = json.loads(out.splitlines()[-1])
    assert statuses == ["FINISHED"] * (2 if off == "ours" else 1)
    sql = f"SELECT id, status FROM runs WHERE framework = '{name}' AND kind = 'fit' ORDER BY started_at"
    runs = query(store_path, sql)
    assert [status for _, status in runs] == ["finished"] * (1 if off == "ours" else 2)
    # What a neighbour fits to judge a model is hidden; nothing else is there.
    assert query(store_path, "SELECT DISTINCT kind FROM runs WHERE kind != 'preprocess'") == [("fit",)]
    if our_metric is not None:
        sql = (
            f"SELECT value FROM metrics WHERE name = '{our_metric}' AND run_id = '{runs[0][0]}' ORDER BY n DESC LIMIT 1"
        )
        assert query(store_path, sql) == [(pytest.approx(value),)]
    sql = f"SELECT value FROM params WHERE key = '{our_param}' AND run_id = '{runs[0][0]}'"
    assert [json.loads(str(row[0])) for row in query(store_path, sql)] == [float(chosen)]
    assert verify(store_path).problems == []


@pytest.mark.parametrize("order", ["ours, theirs", "theirs, ours"])
def test_the_score_of_training_data_that_mlflow_asks_for_is_none_of_the_program(store_path: Path, order: str) -> None:
    pytest.importorskip("sklearn")
    setup = """
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
X, y = load_iris(return_X_y=True)
def train():
    LogisticRegression(max_iter=500).fit(X, y).score(X[:50], y[:50])
"""
    program = PROGRAM.format(
        flavor="mlflow.sklearn", setup=setup, order=order, off="ours", metric="metrics.training_score", param="params.C"
    )
    code, out, err = run_program(program, store_path, MLFLOW_ALLOW_FILE_STORE="true", MLFLOW_DISABLE_TELEMETRY="true")
    assert code == 0, err
    assert json.loads(out.splitlines()[-1])[1] < 1.0
    sql = "SELECT kind, m.value FROM metrics AS m JOIN runs ON runs.id = run_id WHERE split = 'test'"
    assert query(store_path, sql) == [("fit", 1.0)]
