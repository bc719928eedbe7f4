"""Every integration is held to the contract with the host program."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from helpers.warm import run_warm
from histhooks import integrations
from histhooks.testing import CHECKS, Case, check_same_result

CASES = {
    "sklearn": Case(
        name="sklearn",
        setup="""
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
X, y = load_iris(return_X_y=True)
""",
        train="""
model = make_pipeline(StandardScaler(), RandomForestClassifier(5)).fit(X, y)
result = (model, model.predict_proba(X), model.score(X, y), X, y)
""",
        failing="LogisticRegression(C=-1.0).fit(X, y)",
        functions=(
            "sklearn.linear_model._logistic:LogisticRegression.fit",
            "sklearn.pipeline:Pipeline.fit",
            "sklearn.base:ClassifierMixin.score",
            "sklearn.base:RegressorMixin.score",
            "sklearn.model_selection._search:BaseSearchCV.score",
            "joblib:dump",
            "joblib.numpy_pickle:dump",
            "sklearn.model_selection._validation:cross_validate",
            "sklearn.model_selection:cross_val_score",
        ),
    ),
    "keras": Case(
        name="keras",
        setup="""
import keras
import numpy as np
x = np.linspace(0, 1, 400, dtype="float32").reshape(100, 4)
y = x.sum(axis=1, keepdims=True)
""",
        train="""
keras.utils.set_random_seed(3)
model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(1)])
model.compile(keras.optimizers.Adam(0.01), "mse", metrics=["mae"])
callbacks = [keras.callbacks.EarlyStopping(patience=2)]
history = model.fit(x, y, epochs=3, batch_size=16, validation_split=0.2, verbose=0, callbacks=callbacks)
weights = [w.tobytes() for w in model.get_weights()]
result = (weights, history.history, model.predict(x, verbose=0), len(callbacks), sorted(vars(model)))
""",
        failing="model = keras.Sequential([keras.layers.Dense(1)]); model.compile('sgd', 'mse'); model.fit(x, y[:3])",
        functions=(
            "keras.src.backend.torch.trainer:TorchTrainer.fit",
            "keras.src.backend.torch.trainer:TorchTrainer.evaluate",
            "keras.src.backend.torch.trainer:TorchTrainer.train_on_batch",
            "keras.src.backend.torch.trainer:TorchTrainer.predict",
            "keras.src.callbacks.callback_list:CallbackList.__init__",
        ),
    ),
    "lightning": Case(
        name="lightning",
        setup="""
import logging, warnings
warnings.simplefilter("ignore")
import lightning
import torch
logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
class Net(lightning.LightningModule):
    def __init__(self, width=4):
        super().__init__()
        self.save_hyperparameters()
        self.layer = torch.nn.Linear(3, 1)
    def training_step(self, batch, index):
        loss = torch.nn.functional.mse_loss(self.layer(batch[0]), batch[1])
        self.log("train_loss", loss, on_step=True, on_epoch=True)
        return loss
    def validation_step(self, batch, index):
        self.log("val_loss", torch.nn.functional.mse_loss(self.layer(batch[0]), batch[1]))
    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), 0.01)
def trainer():
    return lightning.Trainer(
        max_epochs=2, logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
        accelerator="cpu", devices=1,
    )
""",
        train="""
torch.manual_seed(3)
x = torch.linspace(0, 1, 96).reshape(32, 3)
data = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, x.sum(1, keepdim=True)), 8, shuffle=True)
net, fitter = Net(), trainer()
callbacks = len(fitter.callbacks)
fitter.fit(net, data, data)
assert len(fitter.callbacks) == callbacks
weights = [p.detach().numpy().tobytes() for p in net.parameters()]
result = (weights, {k: float(v) for k, v in fitter.callback_metrics.items()}, torch.rand(1).item(), callbacks)
""",
        failing="trainer().fit(Net(), 3, 4)",
        functions=(
            "lightning.pytorch.trainer.trainer:Trainer.fit",
            "lightning.pytorch.trainer.trainer:Trainer.test",
            "lightning.pytorch.trainer.trainer:Trainer.validate",
        ),
    ),
    "torch": Case(
        name="torch",
        is_loop=True,
        setup="""
import torch
class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden, self.drop, self.out = torch.nn.Linear(3, 8), torch.nn.Dropout(0.2), torch.nn.Linear(8, 1)
    def forward(self, x):
        return self.out(self.drop(torch.relu(self.hidden(x))))
def train(fails=False):
    generator = torch.Generator().manual_seed(3)
    x = torch.linspace(0, 1, 96).reshape(32, 3)
    data = torch.utils.data.TensorDataset(x, x.sum(1, keepdim=True))
    loader = torch.utils.data.DataLoader(data, 8, shuffle=True, generator=generator)
    net = Net()
    optimizer = torch.optim.AdamW(net.parameters(), 0.01)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=12)
    losses = []
    for epoch in range(3):
        for inputs, targets in loader:
            optimizer.zero_grad()
            loss = torch.nn.functional.mse_loss(net(inputs), targets)
            loss.backward()
            optimizer.step()
            scheduler.step()
            losses.append(loss.item())
            if fails and len(losses) == 5:
                raise ArithmeticError("odd")
    weights = [p.detach().numpy().tobytes() for p in net.parameters()]
    moments = [(sorted(s), float(s["step"]), s["exp_avg"].numpy().tobytes()) for s in optimizer.state.values()]
    return weights, moments, losses, sorted(vars(optimizer)), sorted(optimizer.state_dict()["param_groups"][0])
""",
        train="""
torch.manual_seed(3)
result = (train(), torch.rand(1).item())
""",
        failing="train(fails=True)",
        functions=(
            "torch.autograd:backward",
            "torch.serialization:save",
            "torch.serialization:load",
            "torch:save",
            "torch.optim.optimizer:Optimizer.__init__",
            "torch.optim.lr_scheduler:LRScheduler.__init__",
            "torch.utils.data.dataloader:DataLoader.__iter__",
            "torch.amp.grad_scaler:GradScaler.step",
        ),
    ),
    "xgboost": Case(
        name="xgboost",
        setup="""
import xgboost
from sklearn.datasets import load_breast_cancer
X, y = load_breast_cancer(return_X_y=True)
""",
        train="""
train, valid = xgboost.DMatrix(X[:400], y[:400]), xgboost.DMatrix(X[400:], y[400:])
chosen = {"objective": "binary:logistic", "subsample": 0.5, "seed": 3, "nthread": 1}
evals = [(train, "train"), (valid, "valid")]
seen = {}
model = xgboost.train(
    chosen, train, 12, evals=evals, early_stopping_rounds=3, evals_result=seen, verbose_eval=False
)
result = (model, bytes(model.save_raw()), model.predict(valid), seen, chosen, len(evals))
""",
        failing="xgboost.train({}, xgboost.DMatrix(X, y), 3, callbacks=[object()])",
        functions=(
            "xgboost:train",
            "xgboost:cv",
            "xgboost.training:train",
            "xgboost.sklearn:train",
            "xgboost.sklearn:XGBModel.fit",
            "xgboost.sklearn:XGBClassifier.fit",
        ),
    ),
}


def test_every_integration_has_a_case() -> None:
    assert set(integrations.available()) <= set(CASES)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("case", CASES.values(), ids=lambda case: case.name)
def test_the_contract_holds(case: Case, check: Callable[[Case], None], monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip(case.name)
    if check is not check_same_result:  # which imports ours before the framework, and after it
        monkeypatch.setattr("histhooks.testing.run_program", run_warm)
    check(case)
