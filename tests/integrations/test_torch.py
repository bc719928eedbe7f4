"""What hand-written PyTorch loops leave in the store."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from helpers.loops import ids, names, record, values
from helpers.stores import points
from histhooks.testing import query, run_program

pytest.importorskip("torch")


def test_a_loop_leaves_losses_rates_epochs_settings_and_its_model(store_path: Path) -> None:
    body = """
def train():
    net, losses, rates = Net(), [], []
    optimizer = torch.optim.SGD(net.parameters(), 0.1, momentum=0.9)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 2, 0.5)
    for epoch in range(3):
        for inputs, targets in loader:
            rates.append(optimizer.param_groups[0]["lr"])
            losses.append(step(net, optimizer, inputs, targets))
        with torch.no_grad():
            for inputs, targets in valid:
                net(inputs)
        scheduler.step()
        histhooks.log({"accuracy": epoch / 10}, epoch=epoch)
    return losses, rates
print(json.dumps(train()))
"""
    losses, rates = json.loads(record(store_path, body))
    steps = [(n, n // 8) for n in range(24)]
    assert points(store_path, "loss") == [(*place, loss) for place, loss in zip(steps, losses, strict=True)]
    assert points(store_path, "lr") == [(*place, rate) for place, rate in zip(steps, rates, strict=True)]
    assert points(store_path, "accuracy") == [(7, 0, 0.0), (15, 1, 0.1), (23, 2, 0.2)]
    sql = "SELECT kind, status, framework, model_class, epochs_done, steps_done FROM runs"
    assert query(store_path, sql) == [("loop", "finished", "torch", "__main__.Net", 3, 24)]
    params = {key: json.loads(str(value)) for key, value in query(store_path, "SELECT key, value FROM params")}
    assert (params["optimizer.class"], params["optimizer.momentum"], params["data.batch_size"]) == ("SGD", 0.9, 8)
    assert params["data.shuffle"] is True
    usual = {key for (key,) in query(store_path, "SELECT key FROM params WHERE source = 'default'")}
    assert {"optimizer.dampening", "optimizer.nesterov", "data.num_workers"} <= usual
    assert usual.isdisjoint({"optimizer.momentum", "optimizer.lr", "data.batch_size", "data.shuffle"})
    ((class_name, scheduler),) = query(store_path, "SELECT class_name, scheduler FROM optimizers")
    assert (class_name, json.loads(str(scheduler))["class"]) == ("SGD", "StepLR")
    sql = "SELECT step, lr, n_parameters FROM optimizer_groups ORDER BY step"
    assert query(store_path, sql) == [(0, 0.1, 21), (16, 0.05, 21)]
    ((layers, total),) = query(store_path, "SELECT layers, n_parameters FROM architectures")
    assert [layer["name"] for layer in json.loads(str(layers))] == ["hidden", "out"]
    assert total == 21
    sql = "SELECT role, kind, n_rows, coverage FROM run_datasets JOIN datasets ON id = dataset_id ORDER BY role"
    assert query(store_path, sql) == [("train", "TensorDataset", 64, "all"), ("valid", "TensorDataset", 64, "all")]


def test_models_trained_one_after_the_other_are_runs_of_their_own(store_path: Path) -> None:
    body = """
def train(net, optimizer, steps=8):
    for inputs, targets in loader:
        step(net, optimizer, inputs, targets)
def plain(net, optimizer):
    for _ in range(20):
        step(net, optimizer, *data[:])
nets = [Net() for _ in range(4)]
optimizers = [torch.optim.SGD(net.parameters(), 0.1) for net in nets]
for way in (train, plain):
    for _ in range(2):
        way(nets.pop(0), optimizers.pop(0))
net = Net()
for _ in range(2):
    train(net, torch.optim.Adam(net.parameters(), 0.1))
"""
    record(store_path, body)
    sql = "SELECT status, steps_done, epochs_done FROM runs ORDER BY started_at, id"
    expected = [("finished", 8, 1)] * 2 + [("finished", 20, None)] * 2 + [("finished", 8, 1)] * 2
    assert query(store_path, sql) == expected
    assert names(store_path) == ["loss", "lr"]
    runs = ids(store_path)
    assert query(store_path, "SELECT run_id, kind, other_run_id FROM run_links") == [(runs[5], "continues", runs[4])]


def test_optimizers_that_step_together_are_one_run_with_a_loss_each(store_path: Path) -> None:
    body = """
def train(inputs_of):
    maker, judge = torch.nn.Linear(2, 3), torch.nn.Linear(3, 1)
    for_judge = torch.optim.Adam(judge.parameters(), 1e-3)
    for_maker = torch.optim.Adam(list(maker.parameters()), 2e-3)
    losses = [], []
    for real in inputs_of():
        fake = maker(torch.randn(len(real), 2))
        for_judge.zero_grad()
        loss = judge(fake.detach()).mean() - judge(real).mean()
        loss.backward()
        for_judge.step()
        losses[0].append(loss.item())
        for_maker.zero_grad()
        loss = -judge(fake).mean()
        loss.backward()
        for_maker.step()
        losses[1].append(loss.item())
    return losses
print(json.dumps([train(lambda: (a for a, _ in loader)), train(lambda: [x] * 5)]))
parts = torch.nn.Linear(3, 3), torch.nn.Linear(3, 1)
both = [torch.optim.SGD(part.parameters(), 0.1 * (n + 1)) for n, part in enumerate(parts)]
for _ in range(3):
    parts[1](parts[0](x)).pow(2).mean().backward()
    for one in both:
        one.step()
        one.zero_grad()
"""
    expected = json.loads(record(store_path, body))
    runs = ids(store_path)
    assert len(runs) == 3
    for run, losses in zip(runs, expected):
        assert values(store_path, "loss/0", run) == losses[0]
        assert values(store_path, "loss/1", run) == losses[1]
        assert set(values(store_path, "lr/1.0", run)) == {2e-3}
    assert len(values(store_path, "loss/1", runs[2])) == 3
    assert values(store_path, "loss/0", runs[2]) == values(store_path, "loss/1", runs[2])
    assert "loss" not in names(store_path)
    sql = "SELECT count(*) FROM optimizers GROUP BY run_id"
    assert query(store_path, sql) == [(2,)] * 3
    assert query(store_path, "SELECT DISTINCT status FROM runs WHERE steps_done != 3") == [("finished",)]


def test_accumulation_closures_and_changed_losses_are_what_backward_saw(store_path: Path) -> None:
    body = """
seen = {"accumulated": [], "closure": [], "changed": []}
def accumulated():
    net, parts = Net(), []
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    for number, (inputs, targets) in enumerate(loader):
        loss = torch.nn.functional.mse_loss(net(inputs), targets) / 4
        loss.backward()
        parts.append(loss.item())
        if number % 4 == 3:
            optimizer.step()
            optimizer.zero_grad()
            seen["accumulated"].append(sum(parts) / 4)
            parts.clear()
def closure():
    net = Net()
    optimizer = torch.optim.LBFGS(net.parameters(), 0.5, max_iter=4)
    def evaluate():
        optimizer.zero_grad()
        loss = torch.nn.functional.mse_loss(net(x), data.tensors[1])
        loss.backward()
        return loss
    for _ in range(5):
        seen["closure"].append(optimizer.step(evaluate).item())
def changed():
    net = Net()
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    for inputs, targets in loader:
        attack = inputs.clone().requires_grad_()
        net(attack).sum().backward()  # for the inputs' gradient; leads to no step
        optimizer.zero_grad()
        loss = torch.nn.functional.mse_loss(net(inputs), targets)
        seen["changed"].append(loss.item())
        loss.backward()
        with torch.no_grad():
            loss /= 4
        optimizer.step()
for way in (accumulated, closure, changed):
    way()
print(json.dumps(seen))
"""
    seen = json.loads(record(store_path, body))
    for run, expected in zip(ids(store_path), seen.values(), strict=True):
        assert values(store_path, "loss", run) == expected
    assert query(store_path, "SELECT steps_done FROM runs ORDER BY started_at, id") == [(2,), (5,), (8,)]


def test_how_many_backwards_led_to_a_step_is_told_and_that_it_changed(store_path: Path) -> None:
    body = """
def train(*counts):
    net = Net()
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    for count in counts:
        optimizer.zero_grad()
        for number in range(count):
            (net(x).square().mean() / count).backward()
        optimizer.step()
train(1, 1, 1)
train(4, 4, 1, 4, 4, 3)  # what is left of an epoch is no change
train(2, 2, 1, 1, 1, 5, 5)
"""
    record(store_path, body)
    sql = "SELECT value FROM params WHERE key = 'backwards_per_step' AND run_id = '{}' ORDER BY ordinal"
    told = [[int(str(value)) for (value,) in query(store_path, sql.format(run))] for run in ids(store_path)]
    assert told == [[1], [4], [2, 1, 5]]
    sql = "SELECT run_id, step FROM events WHERE kind = 'backwards_per_step' ORDER BY time"
    assert query(store_path, sql) == [(ids(store_path)[2], 2), (ids(store_path)[2], 5)]
    sql = "SELECT DISTINCT source FROM params WHERE key = 'backwards_per_step'"
    assert query(store_path, sql) == [("resolved",)]
    command = [sys.executable, "-m", "histhooks", "diff", *ids(store_path)[:2], "--store", str(store_path)]
    assert "backwards_per_step" in subprocess.run(command, capture_output=True, text=True, check=False).stdout


@pytest.mark.parametrize("workers", [0, 1])
def test_a_loader_made_where_it_is_used_is_told_and_keeps_no_data(store_path: Path, workers: int) -> None:
    body = f"""
import gc, weakref
from torch.utils.data import DataLoader, TensorDataset
net = Net()
optimizer = torch.optim.SGD(net.parameters(), 0.1)
judged = [torch.ones(3) for _ in range(5)]
for epoch in range(2):
    for batch in DataLoader(data, 16, shuffle=True, num_workers={workers}):
        step(net, optimizer, *batch)
    for batch in DataLoader(judged, 4):
        net(batch)
del optimizer
for _ in range(2):
    seen = weakref.ref(made := TensorDataset(x[:32].clone(), x[:32, :1].clone()))
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    for batch in DataLoader(made, 8, num_workers={workers}):
        made = None
        step(net, optimizer, *batch)
    gc.collect()
    assert seen() is None
    del optimizer
"""
    record(store_path, body)
    first, second, third = ids(store_path)
    sql = "SELECT key, value FROM params WHERE run_id = '{}' AND key LIKE 'data.%' ORDER BY ordinal"
    rows = query(store_path, sql.format(first))
    params = dict(rows)
    assert len(rows) == len(params), "the settings are told once"
    told = [params[f"data.{name}"] for name in ("batch_size", "num_workers", "shuffle", "sampler")]
    assert told == ["16", str(workers), "true", '"RandomSampler"']
    sql = "SELECT role, kind, n_rows FROM run_datasets JOIN datasets ON id = dataset_id WHERE run_id = '{}' ORDER BY 1"
    assert query(store_path, sql.format(first)) == [("train", "TensorDataset", 64), ("valid", "list", 5)]
    for run in (second, third):
        assert query(store_path, sql.format(run)) == [("train", "TensorDataset", 32)]
    assert query(store_path, "SELECT epochs_done FROM runs ORDER BY started_at, id") == [(2,), (1,), (1,)]
    assert [place[1] for place in points(store_path, "loss", first)] == [0] * 4 + [1] * 4


def test_a_scaled_loss_is_told_unscaled_and_a_step_left_out_is_told(store_path: Path) -> None:
    body = """
net, losses = Net(), []
optimizer = torch.optim.SGD(net.parameters(), 0.1)
scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
for number, (inputs, targets) in enumerate(loader):
    optimizer.zero_grad()
    loss = torch.nn.functional.mse_loss(net(inputs), targets)
    if number == 3:
        loss = loss * float("inf")
    else:
        losses.append(loss.item())
    scaler.scale(loss).backward()
    scaler.step(optimizer)
    scaler.update()
print(json.dumps(losses))
"""
    losses = json.loads(record(store_path, body))
    assert values(store_path, "loss") == losses
    assert query(store_path, "SELECT kind, step FROM events WHERE kind = 'step_skipped'") == [("step_skipped", 3)]


def test_settings_that_change_are_told_at_the_step_that_uses_them(store_path: Path) -> None:
    body = """
net = Net()
net.hidden.requires_grad_(False)
optimizer = torch.optim.SGD(net.out.parameters(), 0.1, momentum=0.5)
for epoch in range(3):
    for number, batch in enumerate(loader):
        if (epoch, number) == (0, 5):
            optimizer.param_groups[0]["momentum"] = 0.25
            optimizer.param_groups[0]["nesterov"] = True
        if (epoch, number) == (1, 0):
            net.hidden.requires_grad_(True)
            optimizer.add_param_group({"params": net.hidden.parameters(), "lr": 0.01})
        step(net, optimizer, *batch)
"""
    record(store_path, body)
    sql = "SELECT position, step, lr, n_parameters, settings FROM optimizer_groups ORDER BY step"
    rows = query(store_path, sql)
    assert [row[:4] for row in rows] == [(0, 0, 0.1, 5), (0, 5, 0.1, 5), (1, 8, 0.01, 16)]
    assert json.loads(str(rows[1][4]))["nesterov"] is True
    assert points(store_path, "momentum") == [(5, 0, 0.25)]
    assert [place[0] for place in points(store_path, "lr")] == list(range(8))
    assert [place[0] for place in points(store_path, "lr/0.1")] == list(range(8, 24))


def test_a_schedule_that_moves_each_step_leaves_series_and_few_rows(store_path: Path) -> None:
    body = """
net, rates, momenta = Net(), [], []
optimizer = torch.optim.Adam(net.parameters(), 0.1)
scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=300)
for _ in range(300):
    rates.append(optimizer.param_groups[0]["lr"])
    momenta.append(optimizer.param_groups[0]["betas"][0])
    step(net, optimizer, *data[:8])
    if _ < 299: scheduler.step()
print(json.dumps([rates, momenta]))
"""
    rates, momenta = json.loads(record(store_path, body))
    assert values(store_path, "lr") == rates
    changes = [(n, b) for n, (a, b) in enumerate(itertools.pairwise(momenta), start=1) if a != b]
    assert [(step, value) for step, _, value in points(store_path, "betas.0")] == changes
    assert query(store_path, "SELECT count(*) FROM optimizer_groups") == [(100,)]
    assert query(store_path, "SELECT count(*) FROM events WHERE kind = 'truncated'") == [(1,)]


@pytest.mark.parametrize(
    ("schedule", "first"),
    [
        ("OneCycleLR(optimizer, 0.001, total_steps=9)", 4e-05),
        ("CyclicLR(optimizer, 0.002, 0.004)", 0.002),
        ("LinearLR(optimizer, 0.5, total_iters=4)", 0.005),
        ("LambdaLR(optimizer, lambda step: (step + 1) / 4)", 0.0025),
        ("SequentialLR(optimizer, [s.LinearLR(optimizer, 0.1), s.StepLR(optimizer, 9)], [5])", 0.001),
    ],
)
def test_the_rate_that_was_chosen_is_the_param_and_the_one_in_force_the_series(
    store_path: Path, schedule: str, first: float
) -> None:
    body = f"""
import torch.optim.lr_scheduler as s
net = Net()
optimizer = torch.optim.SGD(net.parameters(), 0.01, momentum=0.9)
scheduler = s.{schedule}
step(net, optimizer, *data[:8])
"""
    record(store_path, body)
    sql = "SELECT value, source FROM params WHERE key = 'optimizer.lr'"
    assert query(store_path, sql) == [("0.01", "resolved")]
    assert values(store_path, "lr") == [pytest.approx(first)]


def test_frozen_parameters_are_counted_and_a_thaw_is_told(store_path: Path) -> None:
    body = """
net = Net()
net.hidden.requires_grad_(False)
optimizer = torch.optim.SGD(net.parameters(), 0.1)
for epoch in range(2):
    for batch in loader:
        step(net, optimizer, *batch)
    net.hidden.requires_grad_(True)
"""
    record(store_path, body)
    counts = query(store_path, "SELECT n_parameters, n_trainable FROM architectures ORDER BY n_trainable")
    assert counts == [(21, 5), (21, 21)]
    sql = "SELECT title, step FROM events WHERE kind = 'trainable'"
    assert query(store_path, sql) == [("5 parameters were trainable, now 21 are", 8)]


def test_inside_a_block_the_loop_is_the_blocks_and_nothing_is_there_twice(store_path: Path) -> None:
    body = """
net, losses = Net(), []
optimizer = torch.optim.SGD(net.parameters(), 0.1)
with histhooks.start_run("mine") as run:
    for number, batch in enumerate(loader):
        losses.append(step(net, optimizer, *batch))
        run.log({"loss": losses[-1]}, step=number)
for batch in loader:
    step(net, optimizer, *batch)
print(json.dumps(losses))
"""
    losses = json.loads(record(store_path, body))
    sql = "SELECT kind, name, framework, steps_done FROM runs ORDER BY started_at, id"
    mine, other = query(store_path, sql)
    assert mine == ("block", "mine", "torch", 8)
    assert (other[0], other[3]) == ("loop", 8)
    run = ids(store_path)[0]
    assert points(store_path, "loss", run) == [(n, None, loss) for n, loss in enumerate(losses)]
    assert len(values(store_path, "lr", run)) == 8


@pytest.mark.parametrize("beside", ["", "histhooks.autolog()"])
def test_a_loop_is_recorded_on_request_alone_and_beside_autolog_once(store_path: Path, beside: str) -> None:
    body = f"""
import histhooks
from histhooks.integrations.torch import record
{beside}
net, other = Net(), Net()
optimizer = torch.optim.SGD(net.parameters(), 0.1)
for_other = torch.optim.SGD(other.parameters(), 0.1)
losses = []
with record(optimizer, net) as run:
    for epoch in range(2):
        for batch in loader:
            losses.append(step(net, optimizer, *batch))
            if not {beside!r}:
                step(other, for_other, *batch)
        run.log({{"accuracy": 0.5}}, epoch=epoch)
try:
    with record(optimizer) as run:
        step(net, optimizer, *data[:8])
        raise ArithmeticError("odd")
except ArithmeticError:
    pass
try:
    with record(3) as run: pass
except TypeError as error:
    print(json.dumps([losses, str(error)]))
"""
    losses, refusal = json.loads(record(store_path, body, is_automatic=False))
    assert "not int" in refusal
    sql = "SELECT kind, status, model_class, epochs_done, steps_done, error_type FROM runs ORDER BY started_at, id"
    first, second = query(store_path, sql)
    assert first == ("loop", "finished", "__main__.Net", 2, 16, None)
    assert second == ("loop", "failed", "__main__.Net", None, 1, "ArithmeticError")
    runs = ids(store_path)
    steps = [(n, n // 8) for n in range(16)]
    assert points(store_path, "loss", runs[0]) == [(*place, loss) for place, loss in zip(steps, losses, strict=True)]
    assert query(store_path, "SELECT DISTINCT class_name FROM optimizers") == [("SGD",)]


def test_a_loop_has_the_same_name_however_it_is_recorded(store_path: Path) -> None:
    body = """
import histhooks
from histhooks.integrations.torch import record
net = Net()
optimizer = torch.optim.SGD(net.parameters(), 0.1)
with record(optimizer):
    step(net, optimizer, *data[:8])
with record(optimizer, net):
    step(net, optimizer, *data[:8])
del optimizer
histhooks.autolog("torch")
step(net, torch.optim.SGD(net.parameters(), 0.1), *data[:8])
"""
    record(store_path, body, is_automatic=False)
    assert query(store_path, "SELECT name FROM runs") == [("session·Net",)] * 3


def test_the_example_of_the_page_runs(store_path: Path) -> None:
    import histhooks.integrations.torch as page

    example = str(page.__doc__).partition("\n\n")[2].partition("\n====")[0]
    code, _, err = run_program(textwrap.dedent(example), store_path)
    assert code == 0, err
    assert query(store_path, "SELECT steps_done FROM runs ORDER BY started_at, id") == [(8,), (1,)]


def test_files_that_are_saved_and_loaded_are_told(store_path: Path) -> None:
    body = """
net = Net()
torch.save(net.state_dict(), "start.pt")
net.load_state_dict(torch.load("start.pt"))
optimizer = torch.optim.SGD(net.parameters(), 0.1)
for batch in loader:
    step(net, optimizer, *batch)
torch.save({"net": net.state_dict()}, f="end.pt")
import io
torch.save(net.state_dict(), io.BytesIO())
"""
    record(store_path, body)
    sql = "SELECT path, role, direction, step FROM run_artifacts ORDER BY time"
    found = [(Path(str(path)).name, *rest) for path, *rest in query(store_path, sql)]
    assert found == [("start.pt", "checkpoint", "in", None), ("end.pt", "checkpoint", "out", 7)]


def test_the_content_of_data_in_memory_is_told_by_its_hash() -> None:
    import torch
    from torch.utils.data import Subset, TensorDataset, random_split

    from histhooks._collect.fingerprint import describe

    x, y = torch.arange(40.0).reshape(20, 2), torch.arange(20)
    data = TensorDataset(x, y)
    same = describe(TensorDataset(x.clone(), y.clone()))["content_hash"]
    half = describe(Subset(data, range(len(x) // 2)))
    assert (half["n_rows"], half["n_columns"]) == (len(x) // 2, x.shape[1])
    assert describe(data)["content_hash"] == same
    x[3, 1] += 1
    assert describe(data)["content_hash"] != same
    parts = [describe(part) for part in random_split(data, [15, 5])]
    assert [part["n_rows"] for part in parts] == [15, 5]
    assert parts[0]["content_hash"] != parts[1]["content_hash"]
    first, second = describe(Subset(data, [1, 2])), describe(Subset(data, [1, 3]))
    assert first["content_hash"] != second["content_hash"]
    assert first["coverage"] == "all"
    assert describe(TensorDataset(x.clone().requires_grad_()))["coverage"] == "none"
