"""Loops in which most steps are alike and some are not: each point is at its step, with its value, once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from helpers.warm import run_warm
from histhooks import History
from histhooks.testing import query

pytest.importorskip("torch")

# Each loop gives, by name, what it must leave: [step, value] in order.
SETUP = """
import gc, histhooks, json, threading, weakref
histhooks.autolog("torch")
import torch
from histhooks import recorder
torch.manual_seed(3)
x = torch.randn(16, 3)
y = x.sum(1, keepdim=True)

def made(lr=0.125, **settings):
    net = torch.nn.Linear(3, 1)
    return net, torch.optim.SGD(net.parameters(), lr, **settings)

def loss_of(net):
    return torch.nn.functional.mse_loss(net(x), y)

class Seen(dict):
    def __init__(self):
        super().__init__(loss=[], lr=[])
        self.step = 0
    def add(self, losses, lr=0.125):
        if losses:
            self["loss"].append([self.step, sum(losses) / len(losses)])
        self["lr"].append([self.step, lr])
        self.step += 1

def step(net, optimizer, seen, lr=0.125):
    optimizer.zero_grad()
    loss = loss_of(net)
    loss.backward()
    optimizer.step()
    seen.add([loss.item()], lr)

def steps(count, *given):
    for _ in range(count):
        step(*given)
"""
LOOPS = {
    "alike": """
steps(30, net, optimizer, seen)
""",
    "a rate that is assigned": """
steps(5, net, optimizer, seen)
optimizer.param_groups[0]["lr"] = 0.0625
steps(5, net, optimizer, seen, 0.0625)
optimizer.param_groups[0]["momentum"] = 0.5
seen["momentum"] = [[seen.step, 0.5]]
steps(5, net, optimizer, seen, 0.0625)
""",
    "parameters that are replaced": """
steps(4, net, optimizer, seen)
for _ in range(2):
    net = torch.nn.Linear(3, 1)
    optimizer.param_groups[0]["params"] = list(net.parameters())
    steps(4, net, optimizer, seen)
""",
    "a setting of one's own that becomes a tensor, and a number again": """
import numpy
optimizer.param_groups[0]["scale"] = 1.0
steps(4, net, optimizer, seen)
for value in (torch.ones(2), 2.0, (0.5, torch.ones(2)), (0.5, torch.zeros(2)), numpy.ones(2), numpy.zeros(2), 1.0):
    optimizer.param_groups[0]["scale"] = value
    steps(4, net, optimizer, seen)
seen["scale"] = [[8, 2.0], [28, 1.0]]
""",
    "a rate that is a tensor": """
net = torch.nn.Linear(3, 1)
optimizer = torch.optim.SGD(net.parameters(), torch.tensor(0.125))
steps(4, net, optimizer, seen)
optimizer.param_groups[0]["lr"].fill_(0.0625)
steps(4, net, optimizer, seen, 0.0625)
""",
    "a schedule": """
schedule = torch.optim.lr_scheduler.StepLR(optimizer, 4, gamma=0.5)
for number in range(12):
    step(net, optimizer, seen, 0.125 * 0.5 ** (number // 4))
    schedule.step()
""",
    "several backwards, now and then": """
steps(4, net, optimizer, seen)
for _ in range(3):
    optimizer.zero_grad()
    losses = [loss_of(net), loss_of(net) * 3]
    for loss in losses:
        loss.backward()
    optimizer.step()
    seen.add([loss.item() for loss in losses])
    steps(3, net, optimizer, seen)
""",
    "a backward that is thrown away": """
steps(4, net, optimizer, seen)
(loss_of(net) * 100).backward()
steps(4, net, optimizer, seen)
""",
    "a step without a backward": """
steps(4, net, optimizer, seen)
optimizer.step()
seen.add([])
steps(4, net, optimizer, seen)
""",
    "closures between plain steps": """
def evaluate():
    optimizer.zero_grad()
    loss = loss_of(net)
    loss.backward()
    return loss
def fails():
    evaluate()
    raise KeyError("in the closure")
steps(4, net, optimizer, seen)
for _ in range(3):
    seen.add([optimizer.step(evaluate).item()])
    steps(2, net, optimizer, seen)
try:
    optimizer.step(fails)
except KeyError:
    steps(4, net, optimizer, seen)
""",
    "a backward that fails": """
steps(4, net, optimizer, seen)
loss = loss_of(net)
loss.backward()
optimizer.step()
seen.add([loss.item()])
for bad in (loss, net(x)):  # its graph is gone; no scalar
    try:
        bad.backward()
    except RuntimeError:
        steps(2, net, optimizer, seen)
    else:
        raise AssertionError
""",
    "a backward of a vector, and one of a list": """
steps(4, net, optimizer, seen)
optimizer.zero_grad()
net(x).backward(torch.ones(16, 1))  # tells no loss
optimizer.step()
seen.add([])
steps(2, net, optimizer, seen)
optimizer.zero_grad()
losses = [loss_of(net), loss_of(net) * 2]
torch.autograd.backward(losses)
optimizer.step()
seen.add([sum(loss.item() for loss in losses)])
steps(2, net, optimizer, seen)
""",
    "a backward inside a backward": """
def inner(tensor):
    return torch.utils.checkpoint.checkpoint(net, tensor, use_reentrant=True)
for _ in range(8):
    optimizer.zero_grad()
    loss = torch.nn.functional.mse_loss(inner(x.clone().requires_grad_()), y)
    loss.backward()
    optimizer.step()
    seen.add([loss.item()])
""",
    "a step in a hook of its backward": """
net = torch.nn.Linear(3, 1, bias=False)
optimizer = torch.optim.SGD(net.parameters(), 0.125)
is_due = True
def stepping(parameter):
    if is_due:
        optimizer.step()
        optimizer.zero_grad()
net.weight.register_post_accumulate_grad_hook(stepping)
for number in range(12):
    losses, is_due = [loss_of(net)], True
    if number > 8:
        losses, is_due = [loss_of(net), *losses], False
        losses[0].backward()
        is_due = True
    losses[-1].backward()
    seen.add([loss.item() for loss in losses])
""",
    "types and odd numbers": """
steps(4, net, optimizer, seen)
for dtype in (torch.float64, torch.bfloat16):
    optimizer.zero_grad()
    loss = loss_of(net).to(dtype)
    loss.backward()
    optimizer.step()
    seen.add([loss.item()])
steps(2, net, optimizer, seen)
class Own(torch.Tensor):
    pass
optimizer.zero_grad()
loss = loss_of(net).as_subclass(Own)
loss.backward()
optimizer.step()
seen.add([loss.item()])
steps(2, net, optimizer, seen)
""",
    "paused for a while": """
steps(4, net, optimizer, seen)
with histhooks.paused():
    steps(3, net, optimizer, Seen())
steps(4, net, optimizer, seen)
""",
    "two passes over a loader": """
for _ in range(2):
    for batch in torch.utils.data.DataLoader(x, 4):
        step(net, optimizer, seen)
""",
    "a scaler that comes late": """
steps(4, net, optimizer, seen)
scaler = torch.amp.GradScaler("cpu", init_scale=16.0)
for _ in range(4):
    optimizer.zero_grad()
    loss = loss_of(net)
    scaler.scale(loss).backward()
    scaler.step(optimizer)
    scaler.update()
    seen.add([loss.item()])
steps(4, net, optimizer, seen)
""",
    "a backward in a thread": """
steps(4, net, optimizer, seen)
other, _ = made()
thread = threading.Thread(target=lambda: loss_of(other).backward())
thread.start()
thread.join()
steps(4, net, optimizer, seen)
""",
    "a name that the program logs itself": """
steps(4, net, optimizer, seen)
recorder.current_run()
loop, = [run for run in histhooks._record.engine.engine.session.live.values()]
at = seen.step
loop.log({"loss": 100.0}, step=at)
late = Seen()
late.step = at
steps(4, net, optimizer, late)
seen["loss/step"], seen["lr"] = late["loss"], seen["lr"] + late["lr"]
seen["loss"].append([at, 100.0])
""",
    "another optimizer that makes no step": """
steps(4, net, optimizer, seen)
other, unused = made()
steps(4, net, optimizer, seen)
""",
    "a group that comes late": """
steps(4, net, optimizer, seen)
more = torch.nn.Linear(3, 1)
optimizer.add_param_group({"params": more.parameters(), "lr": 0.5})
late = Seen()
late.step = seen.step
steps(4, net, optimizer, late)
seen["loss"] += late["loss"]
seen["lr/0.0"] = late["lr"]
seen["lr/0.1"] = [[step, 0.5] for step, _ in late["lr"]]
""",
}


@pytest.mark.parametrize("loop", LOOPS)
def test_each_step_leaves_its_point_once(store_path: Path, loop: str) -> None:
    body = f"{SETUP}\nseen = Seen()\nnet, optimizer = made()\n{LOOPS[loop]}\nprint(json.dumps(seen))\n"
    code, out, err = run_warm(body, store_path)
    assert code == 0, err
    sql = "SELECT step, value FROM metrics WHERE name = ? ORDER BY run_id, n"
    names = "SELECT DISTINCT name FROM metrics WHERE split != 'system'"
    found = {str(name): query(store_path, sql.replace("?", f"'{name}'")) for (name,) in query(store_path, names)}
    assert found == {name: [tuple(point) for point in points] for name, points in json.loads(out).items()}


def test_a_parameter_lives_no_longer_than_its_loop(store_path: Path) -> None:
    body = """
def trained():
    net, optimizer = made()
    steps(8, net, optimizer, Seen())
    return weakref.ref(net.weight)
def is_gone(parameter):
    gc.collect()
    return parameter() is None
print(is_gone(trained()))
with histhooks.start_run("several, one after the other"):
    print(is_gone(trained()), is_gone(trained()))
"""
    code, out, err = run_warm(SETUP + body, store_path)
    assert code == 0, err
    assert out.split() == ["True"] * 3


def test_only_steps_that_are_alike_take_the_short_way(store_path: Path) -> None:
    body = """
from histhooks.integrations.torch._state import thread
def is_short():
    return thread.here.steady is not None
net, optimizer = made()
steps(4, net, optimizer, Seen())
assert is_short()
other, unused = made()
steps(1, net, optimizer, Seen())
assert not is_short()
del other, unused
steps(1, net, optimizer, Seen())
assert is_short()
for batch in torch.utils.data.DataLoader(x, 8):
    assert not is_short()
    steps(1, net, optimizer, Seen())
    assert is_short()
    break
optimizer.step(lambda: loss_of(net).backward())
assert not is_short()
steps(1, net, optimizer, Seen())
assert is_short()
histhooks.disable()
assert not is_short()
"""
    code, _, err = run_warm(SETUP + body, store_path)
    assert code == 0, err


def test_a_step_on_the_short_way_never_fails_with_its_record(store_path: Path) -> None:
    body = """
from histhooks._record.engine import engine
from histhooks.integrations.torch._state import thread
net, optimizer = made()
steps(4, net, optimizer, Seen())
histhooks.flush()
run, steady = histhooks.current_run(), thread.here.steady
from histhooks._record.outlet import late
put, run.put = run.put, late  # as where another thread ends the run in this moment
steps(1, net, optimizer, Seen())
assert thread.here.steady is steady
run.put = put
def broken(*entries):
    raise RuntimeError("a mistake of ours")
engine.writer._assembler._close_points = broken
steps(3, net, optimizer, Seen())
engine.writer.done.wait(30)
steps(3, net, optimizer, Seen())
assert thread.here.steady is steady
"""
    code, _, err = run_warm(SETUP + body, store_path, HISTHOOKS_STRICT="")
    assert code == 0, err
    assert "the run has ended" in err
    assert "the writer stopped" in err
    assert query(store_path, "SELECT count(*) FROM metrics WHERE name = 'loss'") == [(4,)]
    with History(store_path) as history:  # with the spool that the last attempt at the end leaves
        assert [run.session["dropped_points"] for run in history.runs()] == [12]
