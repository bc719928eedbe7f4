"""Keras on JAX and on TensorFlow: the same training, and the same record, as on the backend of the other tests."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

from helpers.networks import KERAS as DATA
from helpers.networks import KERAS_BATCHES as BATCHES
from helpers.stores import params, points
from histhooks.testing import query, run_program
from histhooks.verify import verify

pytest.importorskip("keras")

SETUP = "import histhooks\nhisthooks.autolog()\n" + DATA


@pytest.fixture(params=["jax", "tensorflow"])
def backend(request: pytest.FixtureRequest) -> str:
    name = str(request.param)
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"{name} is not installed")
    return name


def record(store: Path, backend: str, program: str) -> str:
    code, out, err = run_program(program, store, KERAS_BACKEND=backend, TF_CPP_MIN_LOG_LEVEL="3", JAX_PLATFORMS="cpu")
    assert code == 0, err
    if store.exists():
        report = verify(store)
        assert report.ok, report.problems
    return out


TRAINING = """
import hashlib, random
random.seed(7)
np.random.seed(7)
model = build(keras.optimizers.Adam(keras.optimizers.schedules.ExponentialDecay(0.1, 5, 0.5)))
stopping = keras.callbacks.EarlyStopping(patience=3, restore_best_weights=True)
saving = keras.callbacks.ModelCheckpoint("best.keras", save_best_only=True)
history = model.fit(x, y, 16, 4, verbose=0, validation_split=0.2, callbacks=[stopping, saving])
scores = model.evaluate(x, y, verbose=0, return_dict=True)
for _ in range(2):
    model.train_on_batch(x, y)
weights = hashlib.sha256(b"".join(w.tobytes() for w in model.get_weights())).hexdigest()
stream = [random.random(), float(np.random.random()), keras.random.uniform((2,)).__array__().tolist()]
print(json.dumps([history.history, scores, weights, stream, sorted(vars(model))]))
"""


def test_a_training_is_the_same_and_its_record_complete(store_path: Path, backend: str) -> None:
    plain = record(store_path, backend, DATA + TRAINING)
    assert not store_path.exists()
    assert record(store_path, backend, SETUP + TRAINING) == plain
    seen, scores, *_ = json.loads(plain)
    for name in ("loss", "mae", "val_loss", "val_mae"):
        found = [point for point in points(store_path, name) if point[1] is not None]
        assert found == [(5 * n + 4, n, value) for n, value in enumerate(seen[name])], name
    rates = [0.1 * 0.5 ** ((5 * n + 4) / 5) for n in range(4)]
    # Those of the loop of batches, another run, have no epoch.
    told = [point for point in points(store_path, "lr") if point[1] is not None]
    assert told == [(5 * n + 4, n, pytest.approx(rates[n])) for n in range(4)]
    # All of the data was evaluated, of which a part was trained on and another held back.
    assert points(store_path, "unsaid_mae")[0][2] == pytest.approx(scores["mae"])
    sql = "SELECT kind, status, epochs_done, steps_done FROM runs ORDER BY started_at, id"
    assert query(store_path, sql)[0] == ("fit", "finished", 4, 20)
    assert params(store_path)["backend"] == (backend, "resolved")
    assert query(store_path, "SELECT n_parameters, n_trainable FROM architectures LIMIT 1") == [(49, 49)]
    sql = "SELECT DISTINCT path, role FROM run_artifacts"
    assert query(store_path, sql) == [(str(store_path.parent / "best.keras"), "checkpoint")]


def test_batches_on_request_leave_the_host_its_asynchronous_dispatch(store_path: Path, backend: str) -> None:
    record(store_path, backend, f"import histhooks\n{DATA}{BATCHES}")
    assert [(step, epoch) for step, epoch, _ in points(store_path, "batch_loss")] == [(1, 0), (2, 0), (4, 1), (6, 1)]


@pytest.mark.parametrize(
    ("error", "status"), [("RuntimeError('odd')", "failed"), ("KeyboardInterrupt()", "interrupted")]
)
def test_epochs_before_a_failure_or_an_interrupt_are_kept(
    store_path: Path, backend: str, error: str, status: str
) -> None:
    body = f"""
class Stop(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        if self.model.stop_at == 9:
            raise {error}
        self.model.stop_at += 1
model = build()
model.stop_at = 0
try:
    model.fit(x, y, 25, epochs=9, verbose=0, callbacks=[Stop()])
except BaseException as error:
    print(type(error).__name__)
"""
    assert record(store_path, backend, SETUP + body).strip() == error.partition("(")[0]
    assert query(store_path, "SELECT status, epochs_done, steps_done FROM runs") == [(status, 2, 8)]
    assert len(points(store_path, "loss")) == 2
