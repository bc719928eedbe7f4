"""Loops with many optimizers, groups, files and runs: what they leave stays bounded, and each thing is whose it is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from histhooks.testing import query, run_program

pytest.importorskip("torch")

SETUP = """
import histhooks; histhooks.autolog("torch")
import json, torch; from torch import nn; from torch.utils.data import DataLoader, TensorDataset
torch.manual_seed(0); x = torch.randn(30, 8, 3); seen = []
def step(net, optimizer, batch, factor=1):
    optimizer.zero_grad(); loss = net(batch).square().mean() * factor; loss.backward(); optimizer.step()
    return loss.item()
net = nn.Linear(3, 1)
"""


def recorded(store: Path, body: str) -> list[float]:
    code, out, err = run_program(f"{SETUP}{body}\nprint(json.dumps(seen))", store)
    assert code == 0, err
    found: list[float] = json.loads(out)
    return found


def series(store: Path) -> dict[str, list[float]]:
    rows = query(store, "SELECT run_id || name, value FROM metrics WHERE split <> 'system' ORDER BY run_id, name, n")
    found: dict[str, list[float]] = {}
    for name, value in rows:
        found.setdefault(str(name), []).append(float(str(value)))
    return found


@pytest.mark.parametrize("first", [0, 6])
def test_an_optimizer_for_each_batch_goes_on_in_one_series(store_path: Path, first: int) -> None:
    body = f"""
optimizer = torch.optim.SGD(net.parameters(), .01)
for number, batch in enumerate(x):
    if number >= {first}:
        delta = torch.zeros(8, 3, requires_grad=True); attack = torch.optim.Adam([delta], .1)
        for _ in range(3):
            attack.zero_grad(); (-net(batch + delta).square().mean()).backward(); attack.step()
    seen.append(step(net, optimizer, batch))
"""
    seen = recorded(store_path, body)
    found = series(store_path)
    assert seen in found.values()  # the training's own loss is under one name
    assert len(found) <= 6
    assert query(store_path, "SELECT count(*) <= 2 FROM runs") == [(1,)]
    assert query(store_path, "SELECT count(*) < 50 FROM params") == [(1,)]


def test_an_optimizer_for_each_parameter_leaves_one_loss(store_path: Path) -> None:
    body = """
net = nn.Sequential(*[nn.Linear(3, 3) for _ in range(15)])
optimizers = {p: torch.optim.Adam([p], 1e-3) for p in net.parameters()}
def hook(p):
    optimizers[p].step(); optimizers[p].zero_grad()
for p in net.parameters():
    p.register_post_accumulate_grad_hook(hook)
for batch in x:
    loss = net(batch).square().mean(); loss.backward(); seen.append(loss.item())
"""
    seen = recorded(store_path, body)
    assert sorted(name[36:] for name in series(store_path)) == ["loss", "lr"]
    assert seen in series(store_path).values()
    assert query(store_path, "SELECT count(*) FROM captures WHERE collector = 'optimizers'") == [(1,)]


def test_groups_by_the_hundred_are_listed_and_some_are_followed(store_path: Path) -> None:
    body = """
layers = [nn.Parameter(torch.ones(3)) for _ in range(300)]
optimizer = torch.optim.SGD([{"params": [p], "lr": .001 * n} for n, p in enumerate(layers)], .1)
schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda epoch: .9 ** epoch)
for _ in range(5):
    optimizer.zero_grad(); sum(p.sum() for p in layers).backward(); optimizer.step(); schedule.step()
"""
    recorded(store_path, body)
    assert len(series(store_path)) == 17
    assert query(store_path, "SELECT count(*) FROM optimizer_groups WHERE step = 0") == [(300,)]
    sql = "SELECT note FROM captures WHERE collector = 'optimizers'"
    assert query(store_path, sql) == [("the learning rates of 16 of 300 param groups are followed",)]


def test_two_records_at_once_and_two_schedulers_on_one_optimizer_are_both_there(store_path: Path) -> None:
    body = """
from histhooks.integrations.torch import record
nets = [nn.Linear(3, 1) for _ in range(2)]
optimizers = [torch.optim.SGD(one.parameters(), .01) for one in nets]
from torch.optim import lr_scheduler
schedulers = [lr_scheduler.StepLR(optimizers[0], 5), lr_scheduler.ReduceLROnPlateau(optimizers[0])]
seen = [[], []]
with record(optimizers[0], name="a"), record(optimizers[1], name="b"):
    for batch in x:
        for k in (0, 1):
            seen[k].append(step(nets[k], optimizers[k], batch, k + 1))
"""
    seen = recorded(store_path, body)
    found = series(store_path)
    assert all(one in found.values() for one in seen)
    assert query(store_path, "SELECT name, steps_done FROM runs ORDER BY name") == [("a", 30), ("b", 30)]
    ((text,),) = query(store_path, "SELECT scheduler FROM optimizers WHERE scheduler IS NOT NULL")
    schedulers = json.loads(str(text))
    assert [one["class"] for one in schedulers["schedulers"]] == ["StepLR", "ReduceLROnPlateau"]


def test_data_is_valid_where_it_was_passed_without_gradients_and_files_are_what_was_done_with_them(
    store_path: Path,
) -> None:
    body = """
data = [TensorDataset(torch.randn(8 * (k + 1), 3)) for k in range(5)]
loaders = [DataLoader(one, 8) for one in data]
nets = [nn.Linear(3, 1) for _ in range(2)]; optimizers = [torch.optim.SGD(n.parameters(), .05) for n in nets]
for n in range(60):
    torch.save({"x": torch.ones(3)}, f"sample{n % 20}.pt"); torch.load(f"sample{n % 20}.pt")
for epoch in range(3):
    for k in range(2):
        nets[k].train()
        for (batch,) in loaders[k]:
            step(nets[k], optimizers[k], batch)
            torch.load("sample3.pt")
        nets[k].eval()
        for (batch,) in loaders[2 + k]:
            with torch.no_grad():
                nets[k](batch)
        nets[k].train()
    for (batch,) in loaders[4]:
        nets[0](batch)
    torch.save({"net": nets[0].state_dict()}, "net.pt")
    nets[0].load_state_dict(torch.load("net.pt")["net"])
"""
    recorded(store_path, body)
    sql = """SELECT r.started_at, role, n_rows FROM runs r JOIN run_datasets ON run_id = r.id
             JOIN datasets d ON d.id = dataset_id ORDER BY r.started_at, role"""
    assert [row[1:] for row in query(store_path, sql)] == [("train", 8), ("valid", 24), ("train", 16), ("valid", 32)]
    sql = "SELECT DISTINCT path LIKE '%net.pt', role FROM run_artifacts"
    assert query(store_path, sql) == [(1, "checkpoint")]


def test_an_optimizer_that_never_steps_costs_no_later_one_its_first_loss(store_path: Path) -> None:
    body = """
unused = torch.optim.SGD([torch.zeros(1, requires_grad=True)], .1)
for number in range(4):
    net = nn.Linear(3, 1); optimizer = torch.optim.SGD(net.parameters(), .01)
    seen.append([step(net, optimizer, batch) for _ in range(3) for batch in x])
    del optimizer
"""
    seen = recorded(store_path, body)
    assert seen == [values for name, values in series(store_path).items() if name.endswith("loss")]
