"""Weights of Lightning and Keras, at the start and at the end of a fit."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

from helpers import programs
from helpers.networks import KERAS, LIGHTNING
from helpers.weights import BY_HAND, captured, rows
from histhooks.testing import run_program


@pytest.mark.parametrize("root", ["lightning.pytorch", "pytorch_lightning"])
def test_a_lightning_module_is_read_before_training_and_after_it(store_path: Path, root: str) -> None:
    pytest.importorskip(root.partition(".")[0])
    body = (
        BY_HAND
        + """
class Frozen(Net):
    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.0)
class Sharded(Net):
    def __init__(self):
        super().__init__()
        self.map = torch.nn.Parameter(torch.eye(2).to_sparse(), requires_grad=False)
pl.seed_everything(3, verbose=False)
net = Net()
print(digest(net.state_dict()))
fit = trainer(max_epochs=2)
fit.fit(net, data)
fit.save_checkpoint("last.ckpt")
print(digest(torch.load("last.ckpt", weights_only=False)["state_dict"]))
print(digest(net.state_dict()))
trainer(max_epochs=1).fit(Frozen(), data)
trainer(max_epochs=1).fit(Sharded(), data)
import weakref
gone = weakref.ref(net)
del net, fit
import gc; gc.collect()
print(gone())
"""
    )
    setup = "import histhooks\nhisthooks.autolog('lightning')\n" + LIGHTNING.replace("{root}", root).replace("{{", "{")
    out = programs.record(store_path, body, setup.replace("}}", "}")).split()
    found = rows(store_path)
    assert [one.point for one in found] == ["start", "end"] * 2
    assert [one.digest for one in found[:2]] == [out[0], out[1]]
    assert out[1] == out[2]
    assert out[3] == "None"
    assert (found[1].step, found[1].tensors.keys()) == (7, {"layer.weight", "layer.bias"})
    assert found[2].digest == found[3].digest
    why = "not recorded at the {}: map is no dense tensor"
    assert captured(store_path) == [("skipped", why.format("start")), ("skipped", why.format("end"))]


KERAS_BODY = (
    BY_HAND
    + """
import gc, json, weakref
def names(model):
    return {f"{n}.{value.path.rpartition('/')[2]}": array
            for n, (value, array) in enumerate(zip(model.weights, model.get_weights()))}
class Stop(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 0:
            first.append(digest(names(self.model)))
first, last = [], []
def train(seed, **more):
    keras.utils.set_random_seed(seed)
    layers = keras.layers
    model = keras.Sequential([layers.Input((4,)), layers.Dense(8), layers.BatchNormalization(), layers.Dense(1)])
    model.compile(keras.optimizers.SGD(more.get("lr", 0.01)), "mse")
    model.fit(x, y, epochs=2, verbose=0, callbacks=[Stop()])
    last.append(digest(names(model)))
    return model
model = train(1)
train(1)
train(2)
model.save("model.keras")
last.append(digest(names(keras.saving.load_model("model.keras"))))
broken = train(3, lr=float("nan"))
batches = train(4)
for _ in range(3):
    batches.train_on_batch(x, y)
last.append(digest(names(batches)))
gone = weakref.ref(model)
del model
gc.collect()
print(json.dumps([first, last, gone() is None]))
"""
)


@pytest.mark.parametrize("backend", ["torch", "jax"])
def test_a_keras_model_is_read_before_training_and_after_it(store_path: Path, backend: str) -> None:
    pytest.importorskip("keras")
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    program = "import histhooks\nhisthooks.autolog('keras')\n" + KERAS + KERAS_BODY
    code, out, err = run_program(program, store_path, KERAS_BACKEND=backend, JAX_PLATFORMS="cpu")
    assert code == 0, err
    first, last, is_gone = json.loads(out)
    assert is_gone
    found = rows(store_path)
    assert [one.point for one in found] == ["start", "end"] * 6
    assert [one.digest for one in found[:10:2]] == first
    assert found[10].digest == found[9].digest
    saved = last.pop(3)
    assert [one.digest for one in found[1::2]] == last
    assert found[1].digest == found[3].digest == saved
    assert found[1].digest != found[5].digest
    assert (found[0].n_tensors, found[0].n_values, found[0].nonfinite) == (8, 81, 0)
    assert found[7].nonfinite is not None
    assert found[7].nonfinite > 20
    assert found[1].tensors.keys() >= {"0.kernel", "4.moving_mean"}
