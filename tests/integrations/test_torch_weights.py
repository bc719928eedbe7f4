"""Weights of hand-written loops: at the start, at the end, and what stands in the way."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.loops import AUTOLOG, record
from helpers.weights import BY_HAND, captured, rows
from histhooks.testing import query, run_program

pytest.importorskip("torch")

NETS = """
import torch
class Deep(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden, self.norm, self.out = torch.nn.Linear(4, 8), torch.nn.BatchNorm1d(8), torch.nn.Linear(8, 1)
        self.register_buffer("scratch", torch.zeros(3), persistent=False)
        self.twin = self.out
    def forward(self, x):
        return self.out(self.norm(self.hidden(x)))
x = torch.arange(24.0).reshape(6, 4) / 24
def steps(net, optimizer, count=5):
    for _ in range(count):
        optimizer.zero_grad(); net(x).square().mean().backward(); optimizer.step()
"""


def test_start_and_end_are_those_of_the_state_that_the_program_saves(store_path: Path) -> None:
    body = (
        NETS
        + BY_HAND
        + """
torch.manual_seed(3)
net = Deep()
optimizer = torch.optim.Adam(net.parameters())
parameters = {name for name, _ in net.named_parameters(remove_duplicate=False)}
print(digest({name: value for name, value in net.state_dict().items() if name in parameters}))
steps(net, optimizer)
torch.save(net.state_dict(), "last.pt")
print(digest(torch.load("last.pt")))
print(sum(p.double().square().sum() for p in net.state_dict().values() if p.is_floating_point() and p.ndim).item())
"""
    )
    first, last, _ = record(store_path, body).split()
    start, end = rows(store_path)
    assert (start.point, start.digest, start.step) == ("start", first, None)
    assert (end.point, end.digest, end.step) == ("end", last, 4)
    assert {"out.weight", "twin.weight", "norm.running_mean"} <= end.tensors.keys()
    assert end.tensors["out.weight"] == end.tensors["twin.weight"]
    assert not {name for name in start.tensors if "running" in name}
    assert "scratch" not in end.tensors
    assert (start.n_tensors, start.n_values, start.nonfinite, end.nonfinite) == (8, 65, 0, 0)
    assert (end.n_tensors, end.n_values, end.algorithm) == (11, 82, "xxh3_128")


def test_equal_trainings_have_equal_weights_and_another_seed_others(store_path: Path) -> None:
    body = (
        NETS
        + """
for seed in (1, 1, 2):
    torch.manual_seed(seed)
    net = Deep(); steps(net, torch.optim.SGD(net.parameters(), 0.1))
    histhooks.flush()
"""
    )
    record(store_path, body)
    found = rows(store_path)
    assert [one.point for one in found] == ["start", "end"] * 3
    digests = [one.digest for one in found]
    assert digests[:2] == digests[2:4] != digests[4:]
    assert len(set(digests)) == 4


def test_a_model_that_does_not_move_ends_as_it_began_and_one_that_breaks_is_counted(store_path: Path) -> None:
    body = (
        NETS
        + """
net = torch.nn.Linear(4, 1)
steps(net, torch.optim.SGD(net.parameters(), 0.0))
histhooks.flush()
net = torch.nn.Linear(4, 1)
steps(net, torch.optim.SGD(net.parameters(), float("nan")))
histhooks.flush()
"""
    )
    record(store_path, body)
    still, end, _, broken = rows(store_path)
    assert still.digest == end.digest is not None
    assert (broken.nonfinite, broken.l2) == (5, 0.0)


def test_a_model_that_a_function_lets_go_of_is_read_from_its_optimizer(store_path: Path) -> None:
    body = (
        NETS
        + BY_HAND
        + """
def train(net):
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    steps(net, optimizer)
    parameters = {name for name, _ in net.named_parameters(remove_duplicate=True)}
    print(digest({name: value for name, value in net.state_dict().items() if name in parameters}))
    kept.append(weakref.ref(net))
    del net
import weakref
kept = []
train(Deep())
assert kept[0]() is None
def tune(net):
    net.hidden.requires_grad_(False)
    optimizer = torch.optim.SGD([p for p in net.parameters() if p.requires_grad], 0.1)
    steps(net, optimizer)
    del net
tune(Deep())
"""
    )
    out = record(store_path, body)
    _, end, _, tuned = rows(store_path)
    assert (end.digest, end.n_tensors) == (out.strip(), 6)
    assert (tuned.digest, sorted(tuned.tensors)) == (None, ["norm.bias", "norm.weight", "out.bias", "out.weight"])
    assert captured(store_path) == [
        ("truncated", "known at the end: 4 of 6 parameters of Deep; the others were let go of before")
    ]


def test_two_models_of_one_loop_have_their_classes_in_front(store_path: Path) -> None:
    body = (
        NETS
        + """
class Judge(torch.nn.Linear): pass
maker, judge = Deep(), Judge(1, 1)
first = torch.optim.Adam(judge.parameters()), torch.optim.Adam(maker.parameters())
for _ in range(4):
    for optimizer in first:
        optimizer.zero_grad(); judge(maker(x)).mean().backward(); optimizer.step()
"""
    )
    record(store_path, body)
    start, end = rows(store_path)
    assert {name.partition(".")[0] for name in start.tensors} == {"Deep", "Judge"}
    assert start.tensors.keys() <= end.tensors.keys()
    assert start.tensors["Judge.weight"] != end.tensors["Judge.weight"]


def test_tensors_of_no_module_are_called_by_their_place(store_path: Path) -> None:
    body = """
import torch
image = torch.zeros(2, 2, requires_grad=True)
optimizer = torch.optim.SGD([image], 0.1)
for _ in range(3):
    optimizer.zero_grad(); (image - 1).square().sum().backward(); optimizer.step()
"""
    record(store_path, body)
    start, end = rows(store_path)
    assert (start.l2, list(start.tensors)) == (0.0, ["0.0"])
    assert end.l2 == pytest.approx(2 * (1 - 0.8**3))


def test_optimizers_by_the_thousand_leave_one_start(store_path: Path) -> None:
    body = """
import torch
for _ in range(40):
    image = torch.zeros(2, 2, requires_grad=True)
    optimizer = torch.optim.SGD([image], 0.1)
    for _ in range(3):
        optimizer.zero_grad(); (image - 1).square().sum().backward(); optimizer.step()
    del optimizer
"""
    record(store_path, body)
    ((n_runs,),) = query(store_path, "SELECT count(*) FROM runs")
    assert [one.point for one in rows(store_path)].count("start") == n_runs


def test_many_optimizers_side_by_side_are_looked_at_once_each(store_path: Path) -> None:
    body = (
        NETS
        + """
from histhooks.integrations.torch import _steps
looks = []
class Counted(_steps.Unit):
    def __init__(self, *args):
        looks.append(1)
        super().__init__(*args)
_steps.Unit = Counted
net = torch.nn.Sequential(*[torch.nn.Linear(4, 4) for _ in range(11)])
optimizers = [torch.optim.SGD(layer.parameters(), 0.01) for layer in net]
for _ in range(6):
    net(x).square().mean().backward()
    for optimizer in optimizers:
        optimizer.step(); optimizer.zero_grad()
print(len(looks))
"""
    )
    assert int(record(store_path, body)) <= 11
    assert {one.point for one in rows(store_path)} == {"start", "end"}


def test_what_is_no_plain_tensor_is_said(store_path: Path) -> None:
    body = (
        NETS
        + """
class Special(torch.Tensor): pass
class Own(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(4, 1)
        self.own = torch.nn.Parameter(torch.zeros(1).as_subclass(Special))
    def forward(self, x): return self.linear(x) + self.own
net = Own()
optimizer = torch.optim.SGD(net.parameters(), 0.1)
steps(net, optimizer)
"""
    )
    record(store_path, body)
    assert rows(store_path) == []
    why = "not recorded at the start: own is a Special, no plain tensor"
    assert captured(store_path) == [("skipped", why), ("skipped", why.replace("start", "end"))]


def test_weights_on_a_device_are_not_waited_for(store_path: Path) -> None:
    import torch

    from histhooks.integrations._pytorch import Unreadable, weights_of

    with pytest.raises(Unreadable, match="weight is on a device \\(meta\\), which had to be waited for"):
        weights_of(torch.nn.Linear(2, 2, device="meta"))
    module = torch.nn.Module()
    module.register_buffer("map", torch.eye(3).to_sparse())
    with pytest.raises(Unreadable, match="no dense tensor"):
        weights_of(module)
    with pytest.raises(Unreadable, match="UninitializedParameter"):
        weights_of(torch.nn.LazyLinear(3))
    let_go = torch.nn.Linear(2, 2, bias=False)
    let_go.weight.untyped_storage().resize_(0)
    with pytest.raises(Unreadable, match="let go of"):
        weights_of(let_go)


def test_layout_in_memory_and_modes_of_the_program_do_not_count() -> None:
    import torch
    from torch.overrides import TorchFunctionMode

    from histhooks.integrations._pytorch import read_weights, weights_of

    class Loud(TorchFunctionMode):
        def __torch_function__(self, function, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
            raise AssertionError(f"{function} was seen")

    net = torch.nn.Conv2d(8, 8, 3)
    plain = read_weights(weights_of(net))
    net = net.to(memory_format=torch.channels_last)
    with Loud():
        assert read_weights(weights_of(net)) == plain


SAME = (
    NETS
    + """
import hashlib, pickle, random, weakref
random.seed(1); torch.manual_seed(1)
net = Deep()
optimizer = torch.optim.Adam(net.parameters())
steps(net, optimizer, 1)
versions = [t._version for t in (*net.parameters(), *net.buffers())]
hooks = [len(vars(m)[name]) for m in net.modules() for name in vars(m) if name.endswith("_hooks")]
steps(net, optimizer)
state = {k: v.numpy().tobytes() for k, v in net.state_dict().items()}
gone = [weakref.ref(one) for one in (net, optimizer, net.hidden, net.hidden.weight)]
print(hashlib.sha256(pickle.dumps((state, versions, hooks))).hexdigest(), random.random(), torch.rand(1).item())
del net, optimizer
print([ref() for ref in gone])
"""
)


def test_the_training_is_the_same_with_and_without_and_nothing_is_kept_alive(store_path: Path) -> None:
    plain = run_program(SAME, store_path)
    assert plain[0] == 0, plain[2]
    assert record(store_path, SAME).splitlines() == plain[1].splitlines()
    assert plain[1].splitlines()[-1] == str([None] * 4)
    assert [one.point for one in rows(store_path)] == ["start", "end"]


def test_a_signal_leaves_no_time_to_read_weights_at_the_end(store_path: Path) -> None:
    body = (
        NETS
        + """
import os, signal, time
net = Deep()
optimizer = torch.optim.SGD(net.parameters(), 0.1)
steps(net, optimizer)
histhooks.flush()
os.kill(os.getpid(), signal.SIGTERM)
time.sleep(60)
"""
    )
    code, _, _ = run_program(AUTOLOG + body, store_path)
    assert code == -signal.SIGTERM
    assert [one.point for one in rows(store_path)] == ["start"]
    assert captured(store_path) == [("skipped", "not recorded at the end: a signal ended the run")]


def test_a_loop_in_a_thread_that_goes_on_is_left_alone(store_path: Path) -> None:
    body = (
        NETS
        + """
import threading
begun, over = threading.Event(), threading.Event()
def train():
    net = Deep()
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    steps(net, optimizer)
    begun.set(); over.wait()
thread = threading.Thread(target=train); thread.start()
begun.wait()
histhooks.disable()
over.set(); thread.join()
"""
    )
    record(store_path, body)
    assert [one.point for one in rows(store_path)] == ["start"]
    assert captured(store_path) == [("skipped", "not recorded at the end: another thread ended the run")]


def test_a_block_and_record_leave_weights_too(store_path: Path) -> None:
    body = (
        NETS
        + """
from histhooks.integrations.torch import record
net = Deep()
with record(torch.optim.SGD(net.parameters(), 0.1), net) as run:
    pass
optimizer = torch.optim.SGD(net.parameters(), 0.1)
with record(optimizer, net):
    steps(net, optimizer)
histhooks.autolog("torch")
with histhooks.start_run("block"):
    steps(net, optimizer)
"""
    )
    code, _, err = run_program("import histhooks\n" + body, store_path)
    assert code == 0, err
    found = rows(store_path)
    assert [one.point for one in found] == ["start", "end"] * 2
    assert found[1].tensors.items() >= {("out.weight", found[2].tensors["out.weight"])}


def test_the_steps_of_a_compiled_optimizer_and_of_a_profiled_loop_are_left_alone(store_path: Path) -> None:
    body = (
        NETS
        + """
from torch.utils.flop_counter import FlopCounterMode
net = Deep()
optimizer = torch.optim.SGD(net.parameters(), 0.1)
with FlopCounterMode(display=False) as counter:
    steps(net, optimizer)
print(counter.get_total_flops())
"""
    )
    with_it = record(store_path, body)
    done = subprocess.run([sys.executable, "-c", body], capture_output=True, text=True, check=True, timeout=300)
    assert done.stdout == with_it
    assert [one.point for one in rows(store_path)] == ["start", "end"]
    assert json.loads(with_it) > 0


def test_an_optimizer_that_is_collected_in_another_thread_leaves_the_weights_at_the_end(store_path: Path) -> None:
    body = (
        NETS
        + """
import gc, threading
gc.disable()
net = torch.nn.Linear(4, 1)
optimizer = torch.optim.SGD(net.parameters(), 0.1)
optimizer.cycle = optimizer
steps(net, optimizer)
del optimizer
collector = threading.Thread(target=gc.collect)
collector.start(); collector.join()
histhooks.flush()
"""
    )
    record(store_path, body)
    assert [row.point for row in rows(store_path)] == ["start", "end"]
