"""Runs training loops that are given as lists of operations, and says which losses each step used, by the rule alone.

A child process of ``test_torch_loops.py``: a loop comes as a line of JSON, what it must leave and what it left go back.

The rule: the loss of a step is the mean of those backwards whose gradients the step used. So for each parameter the
oracle keeps the backwards that its gradient is made of: a backward adds itself to each parameter that
``torch.autograd.grad`` of the same loss has a gradient for, what clears a gradient empties its list, and what a step
used leads to no other step of that optimizer. It knows nothing of identities, versions or hooks.
"""

from __future__ import annotations

import copy
import gc
import json
import os
import sqlite3
import sys
import threading
from typing import Any

import histhooks

if "--late" not in sys.argv:
    histhooks.autolog("torch")
import torch

torch.set_num_threads(1)
torch.optim.SGD([torch.zeros(1, requires_grad=True)])  # the first optimizer of a process imports the compiler
gc.collect()
gc.freeze()  # what was imported need not be looked at after each loop
UNKNOWN = object()


class Oracle:
    """What gradients are made of, and what steps used."""

    def __init__(self) -> None:
        self.inside: dict[int, list[tuple[int, Any]]] = {}
        self.count = 0
        self.last: dict[int, int] = {}
        self.steps: dict[int, list[Any]] = {}

    def backward(self, loss: float | None, reached: list[Any]) -> None:
        self.count += 1
        for p in reached:
            self.inside.setdefault(id(p), []).append((self.count, loss))

    def cleared(self, parameters: list[Any]) -> None:
        for p in parameters:
            self.inside.pop(id(p), None)

    def used(self, key: int, parameters: list[Any]) -> Any:
        last = self.last.get(key, 0)
        found = {n: loss for p in parameters for n, loss in self.inside.get(id(p), []) if n > last}
        self.count += 1
        self.last[key] = self.count
        if not found or None in found.values():
            return None
        return sum(found[n] for n in sorted(found)) / len(found)

    def stepped(self, key: int, loss: Any) -> None:
        self.steps.setdefault(key, []).append(loss)


class Machine:
    """One thread's models and optimizers, and what is done with them."""

    def __init__(self, spec: dict[str, Any]) -> None:
        generator = torch.Generator().manual_seed(spec["seed"])
        self.parts = [torch.nn.Linear(3, 3) for _ in range(spec["parts"])]
        with torch.no_grad():
            for part in self.parts:
                for p in part.parameters():
                    p.copy_(torch.rand(p.shape, generator=generator) + 0.1)
        self.x = torch.rand(4, 3, generator=generator) + 0.5
        self.oracle = Oracle()
        self.optimizers = [self.made(kind, owned) for kind, owned in spec["optimizers"]]
        self.inner: list[Any] = []
        self.n = 0

    def made(self, kind: str, owned: list[int]) -> Any:
        parameters = [p for part in dict.fromkeys(owned) for p in self.parts[part].parameters()]
        if kind == "lbfgs":
            return torch.optim.LBFGS(parameters, lr=1e-3, max_iter=3)
        if kind == "adam":
            return torch.optim.Adam(parameters, lr=1e-4)
        return torch.optim.SGD(parameters, lr=1e-4, momentum=0.5 if kind == "momentum" else 0.0)

    def loss_of(self, path: list[int], extra: Any = None) -> Any:
        self.n += 1
        out = self.x if extra is None else self.x + extra
        for part in path:
            out = self.parts[part](out)
        return out.square().mean() * (1 + 0.1 * self.n)

    def everything(self, extra: Any = None) -> list[Any]:
        return [p for part in self.parts for p in part.parameters()] + ([] if extra is None else [extra])

    def reached(self, loss: Any, among: list[Any]) -> list[Any]:
        gradients = torch.autograd.grad(loss, among, retain_graph=True, allow_unused=True)
        return [p for p, g in zip(among, gradients) if g is not None]

    def own(self, optimizer: Any) -> list[Any]:
        return [p for group in optimizer.param_groups for p in group["params"]]

    # --- operations -----------------------------------------------------------------------------------------------

    def zero(self, o: int, to_none: bool) -> None:
        self.optimizers[o].zero_grad(set_to_none=to_none)
        self.oracle.cleared(self.own(self.optimizers[o]))

    def zero_part(self, part: int, to_none: bool) -> None:
        self.parts[part].zero_grad(set_to_none=to_none)
        self.oracle.cleared(list(self.parts[part].parameters()))

    def zero_by_hand(self, part: int, which: int, to_none: bool) -> None:
        p = list(self.parts[part].parameters())[which]
        if to_none:
            p.grad = None
        elif p.grad is not None:
            p.grad.zero_()
        self.oracle.cleared([p])

    def backward(self, path: list[int], times: int = 1) -> None:
        loss = self.loss_of(path)
        reached = self.reached(loss, self.everything())
        for turn in range(times):
            loss.backward(retain_graph=turn < times - 1)
            self.oracle.backward(loss.item(), reached)

    def backward_to(self, path: list[int], part: int) -> None:
        loss = self.loss_of(path)
        only = list(self.parts[part].parameters())
        reached = self.reached(loss, only)
        if reached:
            loss.backward(inputs=reached)
            self.oracle.backward(loss.item(), reached)

    def backward_of_several(self, one: list[int], other: list[int]) -> None:
        losses = [self.loss_of(one), self.loss_of(other)]
        reached = [p for loss in losses for p in self.reached(loss, self.everything())]
        torch.autograd.backward(losses)
        self.oracle.backward(sum(loss.item() for loss in losses), reached)

    def backward_of_a_vector(self, path: list[int]) -> None:
        out = self.loss_of(path) * torch.ones(2)
        reached = self.reached(out.sum(), self.everything())
        out.backward(torch.ones(2))
        self.oracle.backward(None, reached)

    def backward_with_graph(self, path: list[int]) -> None:
        loss = self.loss_of(path)
        reached = self.reached(loss, self.everything())
        loss.backward(create_graph=True)
        self.oracle.backward(loss.item(), reached)
        for p in self.everything():
            if p.grad is not None and p.grad.grad_fn is not None:
                p.grad.detach_()

    def backward_that_fails(self, path: list[int]) -> None:
        loss = self.loss_of(path)

        def fail(gradient: Any) -> None:
            raise KeyError("in a hook")

        loss.register_hook(fail)
        try:
            loss.backward()
        except KeyError:
            pass

    def gradient(self, path: list[int]) -> None:
        loss = self.loss_of(path)
        torch.autograd.grad(loss, self.reached(loss, self.everything()))

    def changed_in_place(self, o: int, way: str) -> None:
        own = self.own(self.optimizers[o])
        if way == "clip":
            torch.nn.utils.clip_grad_norm_(own, 0.01)
        else:
            for p in own:
                if p.grad is not None:
                    p.grad.mul_(0.5)

    def step(self, o: int, way: str = "") -> None:
        optimizer = self.optimizers[o]
        if isinstance(optimizer, torch.optim.LBFGS):
            return
        loss = self.oracle.used(o, self.own(optimizer))
        optimizer.step(None) if way == "none" else optimizer.step()
        self.oracle.stepped(o, loss)

    def step_with_closure(self, o: int, paths: list[list[int]], to_none: bool) -> None:
        optimizer, first = self.optimizers[o], []
        own = self.own(optimizer)

        def closure() -> Any:
            optimizer.zero_grad(set_to_none=to_none)
            self.oracle.cleared(own)
            total = 0.0
            for path in paths:
                loss = self.loss_of(path)
                reached = self.reached(loss, self.everything())
                loss.backward()
                self.oracle.backward(loss.item(), reached)
                total = loss
            if not first:
                first.append(self.oracle.used(o, own))
            return total

        optimizer.step(closure)
        self.oracle.used(o, own)
        self.oracle.stepped(o, first[0])

    def validate(self, path: list[int]) -> None:
        with torch.no_grad():
            self.loss_of(path)

    def attack(self, path: list[int], steps: int) -> None:
        delta = torch.zeros(3, requires_grad=True)
        optimizer = torch.optim.RMSprop([delta], lr=1e-3)  # of a kind of its own: the next one goes on for it
        for _ in range(steps):
            optimizer.zero_grad()
            loss = self.loss_of(path, delta)
            reached = self.reached(loss, self.everything())
            loss.backward()
            self.oracle.backward(loss.item(), reached)
            optimizer.step()
            self.inner.append(loss.item())

    def copy(self, o: int) -> None:
        parts, optimizer = copy.deepcopy((self.parts, self.optimizers[o]))
        self.parts += parts
        self.optimizers.append(optimizer)

    def run(self, operations: list[list[Any]]) -> None:
        for name, *given in operations:
            getattr(self, name)(*given)


def runs_of(known: set[str]) -> tuple[list[Any], int]:
    """The series of losses of the runs that are new in the store, and how often a loss was said to be unknown."""
    connection = sqlite3.connect(os.environ["HISTHOOKS_STORE"])
    try:
        ids = [one for (one,) in connection.execute("SELECT id FROM runs WHERE kind = 'loop'") if one not in known]
        known.update(ids)
        series: dict[tuple[str, str], list[Any]] = {}
        sql = "SELECT name, step, value FROM metrics WHERE run_id = ? AND split <> 'system' ORDER BY n"
        for one in ids:
            for name, step, value in connection.execute(sql, (one,)):
                if name.startswith("loss"):
                    series.setdefault((one, name), []).append((step, value))
        return list(series.values()), len(ids)
    finally:
        connection.close()


def play(threads: list[dict[str, Any]]) -> list[Machine]:
    machines = [Machine(spec) for spec in threads]
    if len(threads) == 1:
        machines[0].run(threads[0]["operations"])
        return machines
    barrier, errors = threading.Barrier(len(threads)), []

    def turn(machine: Machine, spec: dict[str, Any]) -> None:
        barrier.wait()
        try:
            machine.run(spec["operations"])
        except BaseException as error:
            errors.append(error)

    started = [threading.Thread(target=turn, args=pair) for pair in zip(machines, threads)]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join()
    if errors:
        raise errors[0]
    return machines


def main() -> None:
    known: set[str] = set()
    for line in sys.stdin:
        machines = play(json.loads(line))
        wanted = [
            [(step, loss) for step, loss in enumerate(steps) if loss is not None]
            for machine in machines
            for steps in machine.oracle.steps.values()
        ]
        inner = sorted(loss for machine in machines for loss in machine.inner)
        del machines
        gc.collect()
        histhooks.flush(60)
        found, _ = runs_of(known)
        print(json.dumps({"wanted": [one for one in wanted if one], "inner": inner, "found": found}), flush=True)


if __name__ == "__main__":
    main()
