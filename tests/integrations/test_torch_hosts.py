"""Steps that a host takes: Transformers with a model of its own size, and skorch, both as they are installed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from helpers.loops import values
from histhooks.testing import query, run_program
from histhooks.verify import verify

TRANSFORMERS = """
import json, logging, warnings
warnings.simplefilter("ignore")
import torch
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments
torch.manual_seed(3)
shape = dict(hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8)
model = BertForSequenceClassification(BertConfig(vocab_size=20, max_position_embeddings=8, num_labels=2, **shape))
data = [{"input_ids": torch.randint(0, 20, (4,)), "labels": torch.tensor(n % 2)} for n in range(32)]
arguments = TrainingArguments(
    "out", num_train_epochs=2, per_device_train_batch_size=4, gradient_accumulation_steps=2, report_to=[], use_cpu=True,
    eval_strategy="epoch", save_strategy="epoch", disable_tqdm=True, logging_steps=1, learning_rate=0.01,
)
trainer = Trainer(model, arguments, train_dataset=data, eval_dataset=data)
trainer.train()
trainer.evaluate()
logged = [log for log in trainer.state.log_history if "loss" in log]
weights = [float(p.double().sum()) for p in model.parameters()]
with open("seen.json", "w") as file:
    json.dump([[log["learning_rate"] for log in logged], [log["loss"] for log in logged], weights], file)
"""


def test_a_training_of_transformers_is_one_run_and_the_same(store_path: Path) -> None:
    pytest.importorskip("transformers")
    pytest.importorskip("accelerate")
    seen = []
    for line in ("", "import histhooks; histhooks.autolog()\n"):
        code, _, err = run_program(line + TRANSFORMERS, store_path, HF_HUB_OFFLINE="1")
        assert code == 0, err
        seen.append((store_path.parent / "seen.json").read_text())
    assert seen[0] == seen[1]
    losses = json.loads(seen[0])[1]
    sql = "SELECT kind, framework, status, epochs_done, steps_done FROM runs"
    assert query(store_path, sql) == [("loop", "torch", "finished", 2, 8)]
    # The host logs the sum of two batches.
    assert [2 * loss for loss in values(store_path, "loss")] == pytest.approx(losses, rel=1e-3)
    rates = [0.01 * (8 - n) / 8 for n in range(8)]
    assert values(store_path, "lr/0.0") == pytest.approx(rates)
    params = {key: json.loads(str(value)) for key, value in query(store_path, "SELECT key, value FROM params")}
    assert (params["data.batch_size"], params["data.shuffle"]) == (4, True)
    ((scheduler, site),) = query(
        store_path, "SELECT scheduler, call_site FROM optimizers JOIN runs ON runs.id = run_id"
    )
    assert json.loads(str(scheduler))["class"] == "LambdaLR"
    assert str(site).startswith("<string>:")
    assert verify(store_path).problems == []


def test_a_net_of_skorch_is_the_estimators_run_and_no_loop(store_path: Path) -> None:
    pytest.importorskip("skorch")
    body = """
import histhooks; histhooks.autolog()
import numpy, torch
from sklearn.model_selection import GridSearchCV
from skorch import NeuralNetClassifier
X = numpy.random.default_rng(0).normal(size=(40, 4)).astype("float32")
y = (X.sum(1) > 0).astype("int64")
layers = torch.nn.Sequential(torch.nn.Linear(4, 2), torch.nn.Softmax(-1))
net = NeuralNetClassifier(layers, max_epochs=2, verbose=0).fit(X, y)
GridSearchCV(net, {"lr": [0.1, 0.01]}, cv=2).fit(X, y)
"""
    code, _, err = run_program(body, store_path)
    assert code == 0, err
    sql = "SELECT kind, framework, status FROM runs ORDER BY started_at, id"
    kinds = [("fit", "sklearn", "finished"), ("search", "sklearn", "finished")]
    assert query(store_path, sql) == [*kinds, *[("candidate", "sklearn", "finished")] * 2]
