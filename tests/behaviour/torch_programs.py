"""Training loops as programs have them, each with what it must leave; prints what each gave and what was recorded.

A child process of ``test_torch_programs.py``. A program is a function that returns the losses of each series that its
runs must have, one list for each optimizer that is a series: it knows them from the values that it backpropagates.
Those of optimizers that come and go are `inner`: all of them must be somewhere.
"""

from __future__ import annotations

import copy
import gc
import hashlib
import json
import os
import random
import sqlite3
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

IS_RECORDED = os.environ.get("HISTHOOKS_HERE") == "1"
if IS_RECORDED:
    import histhooks

    histhooks.autolog("torch")
import torch  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402
from torch.utils import checkpoint as checkpointing  # noqa: E402
from torch.utils.data import DataLoader, TensorDataset  # noqa: E402

torch.set_num_threads(1)
Series = list[list[float]]
PROGRAMS: dict[str, Callable[[], Any]] = {}


def program(function: Callable[[], Any]) -> Callable[[], Any]:
    PROGRAMS[function.__name__] = function
    return function


def net(width: int = 4, out: int = 1) -> nn.Module:
    return nn.Sequential(nn.Linear(3, width), nn.Tanh(), nn.Linear(width, out))


def sgd(*modules: nn.Module, lr: float = 0.05) -> torch.optim.Optimizer:
    return torch.optim.SGD([p for module in modules for p in module.parameters()], lr)


def batches(n: int = 6) -> list[torch.Tensor]:
    return list(torch.randn(n, 5, 3, generator=torch.Generator().manual_seed(n)))


# --- more than one model ----------------------------------------------------------------------------------------------


def _gan(n: int) -> Series:
    maker, judge = net(out=3), net()
    make, judging = torch.optim.Adam(maker.parameters(), 0.01), torch.optim.Adam(judge.parameters(), 0.01)
    found: Series = [[], []]
    for batch in batches(n):
        judging.zero_grad()
        loss = judge(maker(batch).detach()).mean() - judge(batch).mean()
        loss.backward()
        judging.step()
        found[0].append(loss.item())
        make.zero_grad()
        loss = -judge(maker(batch)).mean()
        loss.backward()
        make.step()
        found[1].append(loss.item())
    return found


@program
def gans_in_threads() -> Series:
    with ThreadPoolExecutor(3) as pool:
        return [series for found in pool.map(_gan, [5, 7, 9]) for series in found]


@program
def judge_steps_often_before_the_maker_does() -> Series:
    maker, judge = net(out=3), net()
    make, judging = sgd(maker), sgd(judge)
    found: Series = [[], []]
    for number in range(90):
        batch = batches(3)[number % 3]
        judging.zero_grad()
        loss = judge(batch).square().mean() + judge(maker(batch).detach()).mean()
        loss.backward()
        judging.step()
        found[0].append(loss.item())
        if number % 10 == 9 and number > 10:
            make.zero_grad()
            loss = judge(maker(batch)).mean()
            loss.backward()
            make.step()
            found[1].append(loss.item())
    return found


@program
def federated_clients() -> Series:
    whole, found = net(), []
    for _ in range(2):
        clients = [copy.deepcopy(whole) for _ in range(3)]
        for number, client in enumerate(clients):
            optimizer, losses = sgd(client), []
            for batch in batches(3 + number):
                optimizer.zero_grad()
                loss = client(batch).square().mean()
                loss.backward()
                optimizer.step()
                losses.append(loss.item())
            found.append(losses)
            del optimizer
        states = [client.state_dict() for client in clients]
        whole.load_state_dict({key: sum(s[key] for s in states) / 3 for key in states[0]})
    return found


@program
def losses_of_two_models_in_one_sum() -> Series:
    one, other = net(), net(5)
    first, second = sgd(one), sgd(other, lr=0.1)
    found: Series = [[], []]
    for batch in batches():
        first.zero_grad(), second.zero_grad()
        loss = one(batch).square().mean() + 2 * other(batch).abs().mean()
        loss.backward()
        first.step(), second.step()
        for series in found:
            series.append(loss.item())
    return found


@program
def a_teacher_that_follows() -> Series:
    student = net()
    teacher = copy.deepcopy(student).requires_grad_(False)
    optimizer, found = torch.optim.AdamW(student.parameters(), 0.01), []
    for batch in batches():
        with torch.no_grad():
            target = teacher(batch)
        loss = functional.mse_loss(student(batch), target + 1)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            for kept, new in zip(teacher.parameters(), student.parameters()):
                kept.lerp_(new, 0.1)
        found.append(loss.item())
    return [found]


@program
def an_actor_and_its_critic_with_replay() -> Series:
    actor, critic = net(out=3), net()
    acts, judges = sgd(actor), sgd(critic)
    memory: list[Any] = []
    found: Series = [[], []]
    for batch in batches(8):
        with torch.no_grad():
            memory.append((batch, actor(batch)))
        old, action = memory[len(memory) // 2]
        loss = functional.mse_loss(critic(old), action.sum(1, keepdim=True).detach())
        judges.zero_grad()
        loss.backward()
        judges.step()
        found[0].append(loss.detach().item())
        loss = -critic(actor(batch)).mean()
        acts.zero_grad()
        loss.backward()
        acts.step()
        found[1].append(loss.item())
    return found


# --- learning to learn ------------------------------------------------------------------------------------------------


@program
def maml_with_gradients_of_gradients() -> Series:
    model, found = net(), []
    outer = sgd(model)
    for batch in batches():
        outer.zero_grad()
        fast = dict(model.named_parameters())
        for _ in range(2):
            inner = torch.func.functional_call(model, fast, (batch,)).square().mean()
            gradients = torch.autograd.grad(inner, list(fast.values()), create_graph=True)
            fast = {name: p - 0.01 * g for (name, p), g in zip(fast.items(), gradients)}
        loss = torch.func.functional_call(model, fast, (batch,)).abs().mean()
        loss.backward()
        outer.step()
        found.append(loss.item())
    return [found]


@program
def reptile_with_an_optimizer_for_each_task() -> Any:
    model = net()
    meta, found, inner = sgd(model, lr=1.0), [], []
    for batch in batches():
        task = copy.deepcopy(model)
        optimizer = torch.optim.Adam(task.parameters(), 0.01)
        for _ in range(2):
            optimizer.zero_grad()
            loss = task(batch).square().mean()
            loss.backward()
            optimizer.step()
            inner.append(loss.item())
        meta.zero_grad()
        for p, q in zip(model.parameters(), task.parameters()):
            p.grad = (p - q).detach()
        meta.step()
        found.append(None)
    return {"inner": inner, "series": [], "most_runs": 2}


@program
def rates_that_are_learned() -> Series:
    model, rate = net(), torch.tensor(0.05, requires_grad=True)
    meta, found = torch.optim.SGD([rate], 1e-3), []
    for batch in batches():
        names = dict(model.named_parameters())
        inner = torch.func.functional_call(model, names, (batch,)).square().mean()
        gradients = torch.autograd.grad(inner, list(names.values()))
        fast = {name: p.detach() - rate * g for (name, p), g in zip(names.items(), gradients)}
        loss = torch.func.functional_call(model, fast, (batch,)).square().mean()
        meta.zero_grad()
        loss.backward()
        meta.step()
        with torch.no_grad():
            for p, q in zip(model.parameters(), fast.values()):
                p.copy_(q)
        found.append(loss.item())
    return [found]


# --- gradients by other ways ------------------------------------------------------------------------------------------


@program
def gradients_given_by_hand() -> Series:
    model = net()
    optimizer = sgd(model)
    for batch in batches():
        loss = model(batch).square().mean()
        for p, g in zip(model.parameters(), torch.autograd.grad(loss, list(model.parameters()))):
            p.grad = g
        optimizer.step()
    return []


@program
def gradients_by_func() -> Series:
    model = net()
    optimizer, names = sgd(model), dict(model.named_parameters())
    take = torch.func.grad(lambda given, batch: torch.func.functional_call(model, given, (batch,)).square().mean())
    for batch in batches():
        for name, gradient in take({k: p.detach() for k, p in names.items()}, batch).items():
            names[name].grad = gradient
        optimizer.step()
        optimizer.zero_grad()
    return []


@program
def some_by_hand_and_some_by_backward() -> Series:
    one, other = net(), net()
    first, second = sgd(one), sgd(other)
    found = []
    for batch in batches():
        loss = one(batch).square().mean()
        for p, g in zip(one.parameters(), torch.autograd.grad(loss, list(one.parameters()))):
            p.grad = g
        first.step()
        first.zero_grad()
        loss = other(batch).abs().mean()
        loss.backward()
        second.step()
        second.zero_grad()
        found.append(loss.item())
    return [found]


@program
def checkpointed_layers() -> Series:
    model = net()
    optimizer, found = sgd(model), []
    for number, batch in enumerate(batches()):
        optimizer.zero_grad()
        given = batch.requires_grad_()
        out = checkpointing.checkpoint(model, given, use_reentrant=number % 2 == 0)
        loss = out.square().mean()
        loss.backward()
        optimizer.step()
        found.append(loss.item())
    return [found]


@program
def cleared_in_place() -> Series:
    model = net()
    optimizer, found = sgd(model), []
    for number, batch in enumerate(batches(9)):
        optimizer.zero_grad(set_to_none=number % 3 == 1)
        if number % 4 == 3:
            model(batch * 100).square().mean().backward()
            optimizer.zero_grad(set_to_none=False)
        loss = model(batch).square().mean()
        loss.backward()
        optimizer.step()
        found.append(loss.item())
    return [found]


@program
def a_scaler_on_the_cpu() -> Series:
    model = net()
    optimizer, found = sgd(model), []
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
    for number, batch in enumerate(batches(8)):
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            loss = model(batch).float().square().mean()
        is_bad = number == 3
        scaler.scale(loss * (float("inf") if is_bad else 1)).backward()
        scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        scaler.step(optimizer)
        scaler.update()
        if not is_bad:
            found.append(loss.item())
    return [found]


@program
def accumulated_and_reported_otherwise() -> Series:
    model = net()
    optimizer, found, parts = sgd(model), [], []
    for number, batch in enumerate(batches(9)):
        loss = model(batch).square().mean()
        (loss / 3).backward()
        parts.append((loss / 3).item())
        if number % 3 == 2:
            optimizer.step()
            optimizer.zero_grad()
            found.append(sum(parts) / 3)
            parts = []
    return [found]


@program
def two_turns_of_lbfgs() -> Series:
    one, other = net(), net()
    first = torch.optim.LBFGS(one.parameters(), 0.1, max_iter=3)
    second = torch.optim.LBFGS(other.parameters(), 0.1, max_iter=2, line_search_fn="strong_wolfe")
    found: Series = [[], []]
    for batch in batches(4):
        for model, optimizer, series in ((one, first, found[0]), (other, second, found[1])):
            seen: list[float] = []

            def closure(model: Any = model, optimizer: Any = optimizer, seen: Any = seen, x: Any = batch) -> Any:
                optimizer.zero_grad()
                loss = model(x).square().mean()
                loss.backward()
                seen.append(loss.item())
                return loss

            optimizer.step(closure)
            series.append(seen[0])
    return found


@program
def an_optimizer_for_each_parameter_in_backward() -> Series:
    model, found = net(), []
    own = {p: torch.optim.SGD([p], 0.05) for p in model.parameters()}

    def hook(p: Any) -> None:
        own[p].step()
        own[p].zero_grad()

    for p in model.parameters():
        p.register_post_accumulate_grad_hook(hook)
    for batch in batches():
        loss = model(batch).square().mean()
        loss.backward()
        found.append(loss.item())
    return [found]


@program
def sparse_gradients() -> Series:
    table = nn.Embedding(9, 3, sparse=True)
    optimizer, found = torch.optim.SparseAdam(table.parameters(), 0.1), []
    for number in range(5):
        optimizer.zero_grad()
        loss = table(torch.tensor([number, 1, 2])).square().mean()
        loss.backward()
        optimizer.step()
        found.append(loss.item())
    return [found]


@program
def a_head_first_and_the_rest_later() -> Series:
    trunk, head = nn.Linear(3, 4), nn.Linear(4, 1)
    heads, found = sgd(head), []
    rest = sgd(trunk)
    late: list[float] = []
    for epoch in range(3):
        for batch in DataLoader(TensorDataset(torch.cat(batches(30))), 5):
            loss = head(trunk(batch[0])).square().mean()
            heads.zero_grad(), rest.zero_grad()
            loss.backward()
            heads.step()
            found.append(loss.item())
            if epoch == 2:
                rest.step()
                late.append(loss.item())
    return [found, late]


# --- optimizers around optimizers -------------------------------------------------------------------------------------


class Lookahead(torch.optim.Optimizer):
    """Steps by another one, and goes back halfway each third time."""

    def __init__(self, inner: Any) -> None:
        self.inner, self.n = inner, 0
        self.slow = [p.detach().clone() for group in inner.param_groups for p in group["params"]]
        super().__init__([p for group in inner.param_groups for p in group["params"]], {"lr": 0.5})

    def step(self, closure: Any = None) -> Any:
        self.inner.step()
        self.n += 1
        if self.n % 3 == 0:
            with torch.no_grad():
                for slow, p in zip(self.slow, self.param_groups[0]["params"]):
                    slow.lerp_(p, 0.5)
                    p.copy_(slow)


@program
def an_optimizer_around_another() -> Series:
    model = net()
    optimizer, found = Lookahead(torch.optim.Adam(model.parameters(), 0.01)), []
    for batch in batches():
        optimizer.zero_grad()
        loss = model(batch).square().mean()
        loss.backward()
        optimizer.step()
        found.append(loss.item())
    return [found]


@program
def sharpness_aware() -> Series:
    model = net()
    optimizer, found = sgd(model), []
    for batch in batches():
        loss = model(batch).square().mean()
        loss.backward()
        with torch.no_grad():
            moves = [0.01 * p.grad / (p.grad.norm() + 1e-9) for p in model.parameters()]
            for p, move in zip(model.parameters(), moves):
                p.add_(move)
        optimizer.zero_grad()
        second = model(batch).square().mean()
        second.backward()
        with torch.no_grad():
            for p, move in zip(model.parameters(), moves):
                p.sub_(move)
        optimizer.step()
        optimizer.zero_grad()
        found.append(second.item())
    return [found]


class Delegating:
    """What a library puts around an optimizer: no optimizer itself."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def step(self, closure: Any = None) -> Any:
        return self.inner.step(closure)


@program
def an_object_around_an_optimizer_with_two_schedulers() -> Series:
    model = net()
    optimizer, found = Delegating(sgd(model)), []
    schedulers = [torch.optim.lr_scheduler.StepLR(optimizer.inner, 2), torch.optim.lr_scheduler.ExponentialLR(
        optimizer.inner, 0.9)]  # fmt: skip
    for batch in batches():
        optimizer.zero_grad()
        loss = model(batch).square().mean()
        loss.backward()
        optimizer.step()
        for scheduler in schedulers:
            scheduler.step()
        found.append(loss.item())
    return [found]


@program
def experts_that_take_turns() -> Series:
    experts = nn.ModuleList([net() for _ in range(3)])
    optimizers, found = [sgd(one) for one in experts], [[], [], []]
    for number, batch in enumerate(batches(12)):
        n = (number * 7) % 3
        optimizers[n].zero_grad()
        loss = experts[n](batch).square().mean()
        loss.backward()
        optimizers[n].step()
        found[n].append(loss.item())
    return found


@program
def an_attack_on_each_batch() -> Any:
    model = net()
    optimizer, found, inner = torch.optim.Adam(model.parameters(), 0.01), [], []
    for batch in batches():
        delta = torch.zeros(3, requires_grad=True)
        attack = torch.optim.SGD([delta], 0.1)
        for _ in range(3):
            attack.zero_grad()
            loss = -model(batch + delta).square().mean()
            loss.backward()
            attack.step()
            inner.append(loss.item())
        optimizer.zero_grad()
        loss = model(batch + delta.detach()).square().mean()
        loss.backward()
        optimizer.step()
        found.append(loss.item())
    return {"inner": inner, "series": [found], "most_runs": 2}


@program
def test_time_tuning_of_each_sample() -> Any:
    """An optimizer for each sample, with nothing around it."""
    model, inner = net(), []
    for batch in batches(90):
        own = copy.deepcopy(model)
        optimizer = sgd(own)
        for _ in range(2):
            loss = own(batch).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            inner.append(loss.item())
        del optimizer, own
    return {"inner": inner, "series": [], "most_runs": 33}


# --- ends -------------------------------------------------------------------------------------------------------------


@program
def tasks_of_a_pool_of_which_some_fail() -> Any:
    def work(n: int) -> None:
        model = net()
        optimizer = sgd(model)
        for number, batch in enumerate(batches(6)):
            if number == n:
                raise ArithmeticError(f"at {n}")
            optimizer.zero_grad()
            loss = model(batch).square().mean() * n
            loss.backward()
            optimizer.step()
            found[n].append(loss.item())

    found: dict[int, list[float]] = {n: [] for n in (99, 3, 4)}
    with ThreadPoolExecutor(2) as pool:
        for future in [pool.submit(work, n) for n in found]:
            future.exception()
    return {"series": list(found.values()), "statuses": ["failed", "failed", "finished"]}


@program
def loops_that_begin_together() -> Series:
    barrier, found = threading.Barrier(8), []

    def work(n: int) -> None:
        model = net()
        optimizer, losses = sgd(model), []
        barrier.wait()
        for batch in batches(4 + n):
            optimizer.zero_grad()
            loss = model(batch).square().mean() * (n + 1)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        found.append(losses)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(found, key=len)


# --- what came of it --------------------------------------------------------------------------------------------------


def recorded(known: set[str]) -> dict[str, Any]:
    gc.collect()
    assert histhooks.flush(60)
    connection = sqlite3.connect(os.environ["HISTHOOKS_STORE"])
    try:
        ids = [one for (one,) in connection.execute("SELECT id FROM runs") if one not in known]
        known.update(ids)
        series: dict[str, list[tuple[int, float]]] = {}
        for one in ids:
            sql = "SELECT name, step, value FROM metrics WHERE run_id = ? AND split <> 'system' ORDER BY n"
            for name, step, value in connection.execute(sql, (one,)):
                if name.startswith("loss"):
                    series.setdefault(f"{one[-4:]} {name}", []).append((step, value))
        status = dict(connection.execute("SELECT id, status FROM runs"))
        return {"series": series, "statuses": sorted(status[one] for one in ids)}
    finally:
        connection.close()


def main() -> None:
    known: set[str] = set()
    torch.optim.SGD([torch.zeros(1, requires_grad=True)])
    gc.freeze()
    for name in sys.argv[1:] or PROGRAMS:
        torch.manual_seed(3)
        random.seed(3)
        gave = PROGRAMS[name]()
        gave = {"inner": [], "most_runs": 99, **(gave if isinstance(gave, dict) else {"series": gave})}
        state = [torch.rand(1).item(), random.random(), hashlib.sha256(json.dumps(gave).encode()).hexdigest()]
        line = {"name": name, "gave": gave, "state": state}
        if IS_RECORDED:
            line["record"] = recorded(known)
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
