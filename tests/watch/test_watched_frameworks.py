"""Models of each framework, loaded from the file of a version: watched, and with the same results as without."""

from __future__ import annotations

import json
import pickle
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import histhooks
from histhooks import models

np = pytest.importorskip("numpy")

# What frameworks of today say of themselves.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

X = np.random.default_rng(0).normal(size=(400, 4)).astype("f4")
Y = (X[:, 0] > 0).astype("i8")
ROWS = np.random.default_rng(1).normal(size=(120, 4)).astype("f4")


def end_session() -> None:
    from histhooks._record.engine import engine

    histhooks.disable()
    engine.finish("finished")


def served(
    framework: str, train: Callable[[], str], load: Callable[[], Any], predict: Callable[[Any], Any],
    monkeypatch: pytest.MonkeyPatch,
) -> list[dict[str, Any]]:  # fmt: skip
    """Train, promote, serve; gives the windows, after a look at what must be as it was."""
    monkeypatch.setenv("HISTHOOKS_STORE", str(Path("h.db").resolve()))
    histhooks.autolog(framework)
    file = train()
    end_session()
    models.promote(file, model="credit", reason="test", check=False)
    bare = load()
    plain = predict(bare)
    monkeypatch.setenv("HISTHOOKS_WATCH", "1")
    histhooks.autolog(framework)
    model = load()
    found = predict(model)
    assert np.array_equal(np.asarray(plain), np.asarray(found))
    assert set(vars(model)) == set(vars(bare))
    assert pickle.loads(pickle.dumps(type(model))) is type(model)
    end_session()
    with sqlite3.connect("h.db") as connection:
        connection.row_factory = sqlite3.Row
        rows = [dict(row) for row in connection.execute("SELECT * FROM windows ORDER BY ordinal")]
    return [{**row, "columns": json.loads(row["columns"]), "outputs": json.loads(row["outputs"])} for row in rows]


def rows_in(windows: list[dict[str, Any]]) -> tuple[int, int, int]:
    counted = sum(sum(column["counts"]) for one in windows for column in one["columns"][:1])
    return sum(one["n_calls"] for one in windows), sum(one["n_rows"] for one in windows), counted


def test_xgboost_classifier(monkeypatch: pytest.MonkeyPatch) -> None:
    xgboost = pytest.importorskip("xgboost")
    pytest.importorskip("sklearn")

    def train() -> str:
        xgboost.XGBClassifier(n_estimators=3).fit(X, Y).save_model("m.ubj")
        return "m.ubj"

    def load() -> Any:
        model = xgboost.XGBClassifier()
        model.load_model("m.ubj")
        return model

    windows = served("xgboost", train, load, lambda model: model.predict_proba(ROWS), monkeypatch)
    assert rows_in(windows) == (1, 120, 120)
    assert set(windows[0]["outputs"]) == {"scores"}


def test_xgboost_booster(monkeypatch: pytest.MonkeyPatch) -> None:
    xgboost = pytest.importorskip("xgboost")

    def train() -> str:
        xgboost.train({"objective": "binary:logistic"}, xgboost.DMatrix(X, Y), 3).save_model("m.ubj")
        return "m.ubj"

    def predict(model: Any) -> Any:
        return np.concatenate([model.predict(xgboost.DMatrix(ROWS)), model.inplace_predict(ROWS)])

    windows = served("xgboost", train, lambda: xgboost.Booster(model_file="m.ubj"), predict, monkeypatch)
    assert rows_in(windows) == (2, 240, 240)


def _trained_net(torch: Any) -> Any:
    net = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.ReLU(), torch.nn.Linear(3, 1))
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    data = torch.utils.data.TensorDataset(torch.tensor(X), torch.tensor(Y, dtype=torch.float32)[:, None])
    for rows, target in torch.utils.data.DataLoader(data, batch_size=100, shuffle=True):
        optimizer.zero_grad()
        torch.nn.functional.binary_cross_entropy_with_logits(net(rows), target).backward()
        optimizer.step()
    return net


def test_a_module_of_torch_in_eval_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")

    def train() -> str:
        torch.save(_trained_net(torch).state_dict(), "m.pt")
        return "m.pt"

    def load() -> Any:
        net = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.ReLU(), torch.nn.Linear(3, 1))
        net.load_state_dict(torch.load("m.pt"))
        return net.eval()

    def predict(net: Any) -> Any:
        with torch.inference_mode():
            found = net(torch.tensor(ROWS))
            net.train()
            net(torch.tensor(ROWS))
            net.eval()
        traced = torch.jit.trace(net, torch.tensor(ROWS))
        assert "clone" not in str(traced.graph)
        compiled = torch.compile(net, backend="eager")
        assert torch.allclose(compiled(torch.tensor(ROWS)), found)
        return found.numpy()

    windows = served("torch", train, load, predict, monkeypatch)
    assert rows_in(windows)[:2] == (2, 240)  # the compiled one too
    assert "__call__" not in vars(torch.nn.Sequential)


def test_a_model_of_keras(monkeypatch: pytest.MonkeyPatch) -> None:
    keras = pytest.importorskip("keras")

    def train() -> str:
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1, activation="sigmoid")])
        model.compile("sgd", "binary_crossentropy")
        model.fit(X, Y, epochs=1, verbose=0)
        model.save("m.keras")
        return "m.keras"

    def predict(model: Any) -> Any:
        return np.concatenate([model.predict(ROWS, verbose=0), model.predict_on_batch(ROWS)])

    windows = served("keras", train, lambda: keras.models.load_model("m.keras"), predict, monkeypatch)
    assert rows_in(windows) == (2, 240, 240)
