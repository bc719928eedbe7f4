"""Values that torchmetrics computes in a loop of the program's own are points of that loop."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from helpers import programs
from histhooks.testing import query

pytest.importorskip("torch")
pytest.importorskip("torchmetrics")

SETUP = """
import json, warnings
warnings.simplefilter("ignore")
import torch
from torchmetrics.classification import MulticlassAccuracy, MulticlassConfusionMatrix, MulticlassF1Score
from torchmetrics import MeanMetric, MeanSquaredError, MetricCollection
early = MulticlassAccuracy(3)
RECORD
torch.manual_seed(0)
x = torch.randn(60, 4)
y = (x.sum(dim=1) > 0).long()
def loop(epochs, judge, model=None):
    model = model or torch.nn.Linear(4, 3)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    for epoch in range(epochs):
        for start in range(0, 60, 20):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(x[start : start + 20]), y[start : start + 20]).backward()
            optimizer.step()
        with torch.no_grad():
            judge(model(x))
    return model
"""
RECORDED = SETUP.replace("RECORD", "import histhooks; histhooks.autolog('torch')")
POINTS = """
SELECT m.name, m.split, step, value FROM metrics AS m JOIN runs ON runs.id = run_id
WHERE m.split IS NOT 'system' AND m.name NOT IN ('loss', 'lr') ORDER BY started_at, m.name, n
"""


def record(store: Path, body: str, setup: str = RECORDED) -> list[Any]:
    out = programs.record(store, body, setup, is_warm=True)
    assert query(store, "SELECT kind, title FROM events WHERE kind IN ('hook_error', 'refused')") == []
    return [json.loads(line) for line in out.splitlines() if line.startswith("[")]


def test_what_compute_gives_is_a_point_of_the_loop_once(store_path: Path) -> None:
    body = """
accuracy, second, matrix = MulticlassAccuracy(3), MulticlassAccuracy(3, average="micro"), MulticlassConfusionMatrix(3)
said = []
def judge(out):
    for metric in (accuracy, second, matrix, early):
        metric(out[:30], y[:30])                     # values of a batch
        metric.update(out[30:], y[30:])
    said.append([float(accuracy.compute()), float(second.compute()), float(early.compute())])
    accuracy.compute()                               # from the cache
    matrix.compute()
    for metric in (accuracy, second, matrix, early):
        metric.reset()
early.update(torch.eye(3), torch.arange(3)); early.compute(); early.reset()   # before there is a loop
model = loop(2, judge)
print(json.dumps(said))
"""
    ((first, second),) = record(store_path, body)
    assert query(store_path, POINTS) == [
        *[("MulticlassAccuracy", None, 2, pytest.approx(first[0])), ("MulticlassAccuracy", None, 5, second[0])],
        *[("MulticlassAccuracy/2", None, 2, pytest.approx(first[1])), ("MulticlassAccuracy/2", None, 5, second[1])],
        *[("MulticlassAccuracy/3", None, 2, pytest.approx(first[2])), ("MulticlassAccuracy/3", None, 5, second[2])],
    ]
    directions = query(store_path, "SELECT direction FROM metric_summaries WHERE name = 'MulticlassAccuracy'")
    assert directions == [(1,)]
    assert query(store_path, "SELECT count(*) FROM results WHERE key = 'MulticlassConfusionMatrix'") == [(2,)]


def test_a_collection_has_the_names_that_the_program_sees(store_path: Path) -> None:
    body = """
several = MetricCollection({"acc": MulticlassAccuracy(3), "f1": MulticlassF1Score(3)}, prefix="val_")
def judge(out):
    several.update(out, y)
    print(json.dumps([{name: float(value) for name, value in several.compute().items()}]))
    several.reset()
loop(2, judge)
"""
    shown = [line[0] for line in record(store_path, body)]
    expected = [
        (name, "valid", 3 * epoch + 2, pytest.approx(values[name]))
        for name in ("val_acc", "val_f1")
        for epoch, values in enumerate(shown)
    ]
    assert query(store_path, POINTS) == expected


def test_what_belongs_to_no_loop_leaves_nothing(store_path: Path) -> None:
    body = """
metric = MeanSquaredError()
metric.update(x[:, 0], x[:, 1]); metric.compute(); metric.reset()
with histhooks.paused():
    loop(1, lambda out: (early.update(out, y), early.compute()))
first = loop(1, lambda out: None)
import threading
def work():
    early.update(first(x), y); early.compute()       # another thread's loop
thread = threading.Thread(target=work); thread.start(); thread.join()
"""
    record(store_path, body)
    assert query(store_path, POINTS) == []


SAME = """
import hashlib, inspect, pickle
said = []
several = MetricCollection({"acc": MulticlassAccuracy(3), "f1": MulticlassF1Score(3)})
def judge(out):
    for metric in (early, several):
        said.append(str(metric(out, y)))
        said.append(str(metric.compute()))
        said.append(type(metric.compute()).__name__)
    said.append((sorted(vars(early)), sorted(early.state_dict()), type(early).compute.__qualname__))
    try:
        early.update(out, y[:3])
    except Exception as error:
        said.append((type(error).__name__, str(error)))
model = loop(2, judge)
said.append([p.detach().numpy().tobytes() for p in model.parameters()])
said.append((str(inspect.signature(MulticlassAccuracy.compute)), str(inspect.signature(MulticlassAccuracy.forward))))
said.append((len(pickle.dumps(early)), torch.rand(1).item()))
print("same", hashlib.sha256(repr(said).encode()).hexdigest())
"""


def test_metrics_are_the_same_with_and_without(store_path: Path) -> None:
    said = [
        [line for line in programs.record(store_path, SAME, setup).splitlines() if line.startswith("same")]
        for setup in (RECORDED, SETUP.replace("RECORD", ""))
    ]
    assert said[0] == said[1] != []


def test_a_metric_in_what_is_compiled_is_left_alone(store_path: Path) -> None:
    body = """
made = MulticlassAccuracy(3)
model = loop(1, lambda out: (made.update(out, y), made.compute()))
whole = torch.compile(lambda a, b: early(a, b), backend="eager")
with torch.no_grad():
    assert float(whole(model(x), y)) == float(MulticlassAccuracy(3)(model(x), y))
"""
    record(store_path, body)
    assert [row[0] for row in query(store_path, POINTS)] == ["MulticlassAccuracy"]


def test_disable_puts_the_functions_back(store_path: Path) -> None:
    body = """
from torchmetrics import Metric
codes = Metric.__init__.__code__, Metric.forward.__code__, MulticlassAccuracy.compute.__code__
assert MulticlassAccuracy(3).compute is not None
import histhooks
histhooks.autolog("torch")
loop(1, lambda out: (early.update(out, y), early(out, y), MulticlassAccuracy(3)))
assert Metric.forward.__code__ is not codes[1]
histhooks.disable()
assert (Metric.__init__.__code__, Metric.forward.__code__, MulticlassAccuracy.compute.__code__) == codes
"""
    programs.record(store_path, body, SETUP.replace("RECORD", ""))
