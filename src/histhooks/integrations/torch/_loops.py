"""A loop and its run: who steps in it, what each step leaves, and how it ends."""

from __future__ import annotations

import time
import weakref
from collections.abc import Iterable
from typing import Any

from histhooks._device import OnDevice, Reading
from histhooks._points import Line
from histhooks._run import Run
from histhooks._time import iso
from histhooks._torch_objects import (
    class_name,
    defaults_of,
    group_settings,
    log_architecture,
    scheduler_settings,
)
from histhooks.integrations.torch import _models
from histhooks.integrations.torch._optimizers import Group, Loss, Tracked, chosen_rate
from histhooks.integrations.torch._passes import Pass, Passes
from histhooks.integrations.torch._state import Here, Steady, state

PATIENCE = 16  # steps for which names wait for another optimizer that may step too
_Point = tuple[Tracked, list[Loss], list[float | None], int, int | None, int]


class Loop:
    """The optimizers that step together, and their run.

    Parameters
    ----------
    run : Run
    here : Here
        The thread that steps.
    is_own : bool
        Whether the run was opened for this loop by a hook, and so ends with it.
    """

    def __init__(self, run: Run, here: Here, *, is_own: bool) -> None:
        self.run, self.is_own, self._here = run, is_own, here
        self.members: list[Tracked] = []
        self.epoch: int | None = None
        self.steps = 0
        self.pass_: Pass | None = None
        self.first_number = 0
        self._alive = 0
        self._has_valid = False
        self.seen_passes = 0
        self._began_after = here.passes.of_others
        self._held: list[_Point] | None = []
        self._names: dict[str, str | None] = {}  # ours, and what it became where the program logs that name itself
        self._emitted: set[str] = set()
        self._models: list[weakref.ref[Any]] = []
        self.linked: set[str] = set()  # files that it began with
        self._n_trainable = -1
        self.last_ns = 0
        self._clock = time.perf_counter()
        state.of_run[str(run.id)] = self
        run.last_step = lambda: self.steps - 1 if self.steps else None
        run.before_end = self._concluded
        self._watch()

    @property
    def is_open(self) -> bool:
        """Whether its run still takes points."""
        return self.run.status == "running"

    @property
    def is_holding(self) -> bool:
        """Whether the first points wait for their names."""
        return self._held is not None

    # --- who belongs to it ----------------------------------------------------------------------------------------

    def add(self, tracked: Tracked, optimizer: Any, models: Iterable[Any] = ()) -> None:
        """Take in an optimizer: its settings, its schedule, its model."""
        self._here.steady = None
        tracked.loop, tracked.position, tracked.steps = self, len(self.members), 0
        tracked.backwards = 0
        self.members.append(tracked)
        self._forget_names()
        self._alive += 1
        state.unstepped.pop(id(optimizer), None)
        groups = [group_settings(group) for group in optimizer.param_groups]
        if tracked.number == 0 and not tracked.schedulers:
            tracked.schedulers = _models.schedulers_of(optimizer)
        scheduler = tracked.scheduler()
        told = None if scheduler is None else scheduler_settings(scheduler)
        name = type(optimizer).__name__
        optimizer_id = self.run.log_optimizer(
            tracked.position, name, group_settings(optimizer.defaults), list(groups), told
        )
        tracked.groups = [Group(group, optimizer_id, n) for n, group in enumerate(optimizer.param_groups)]
        role = "optimizer" if tracked.position == 0 else f"optimizer.{tracked.position}"
        first = {k: v for k, v in groups[0].items() if k not in ("n_parameters", "initial_lr")} if groups else {}
        if "lr" in first:
            first["lr"] = chosen_rate(optimizer, scheduler, groups)
        usual = {role: defaults_of(type(optimizer))}
        self.run.log_params({role: {"class": name, **first}}, source="resolved", defaults=usual)
        self._log_models([*models] or _models.of(optimizer, tracked.modules))
        self._log_origin(tracked)

    def _log_models(self, found: list[Any]) -> None:
        known = [module for module in (ref() for ref in self._models) if module is not None]
        new = [module for module in found if all(module is not other for other in known)]
        if not new:
            return
        self._models += [weakref.ref(module) for module in new]
        if self.is_own or self.run.kind == "loop" or not known:
            self.run.update(model_class=" + ".join(class_name(module) for module in [*known, *new]))
        log_architecture(self.run, "torch", [*known, *new])
        self._n_trainable = _count_trainable([*known, *new])

    def _log_origin(self, tracked: Tracked) -> None:
        """A link to the run that trained the same parameters before."""
        first = tracked.first()
        if first is None:
            return
        ref, run_id = state.trained.get(id(first), (None, ""))
        if ref is not None and ref() is first and run_id != self.run.id:
            self.run.link("continues", run_id)
        if len(state.trained) > 1000:
            state.trained = {key: entry for key, entry in list(state.trained.items()) if entry[0]() is not None}
        state.trained[id(first)] = (weakref.ref(first), str(self.run.id))

    def group_added(self, tracked: Tracked, group: dict[str, Any], position: int) -> None:
        """A param group that came after the first step."""
        optimizer_id = tracked.groups[0].optimizer_id if tracked.groups else ""
        known = Group(group, optimizer_id, position)
        tracked.groups.append(known)
        self._forget_names()
        facts = dict(known.settings)
        count = facts.pop("n_parameters", None)
        self.run.log_optimizer_group(optimizer_id, position, facts, step=tracked.steps, n_parameters=count)

    def optimizer_gone(self, tracked: Tracked) -> None:
        """An optimizer was let go; with the last one the run of a loop ends."""
        self._alive -= 1
        self._here.steady = None
        for group in tracked.groups:
            group.let_go()
        if self._alive == 0 and self.is_own and self.is_open:
            # A batch was fetched and no step followed: an exception, or a break, which nobody can tell apart here.
            self.run.end("ended" if self._here.is_midway else "finished")

    def is_fed_by(self, one: Pass | None) -> bool:
        """Whether a batch of a pass is one to train on, as far as that is known."""
        if self.pass_ is None or one is None:
            return True
        return one is self.pass_ or one.is_like(self.pass_)

    def trains(self, module: Any) -> bool:
        """Whether a parameter of a module is the first of an optimizer here."""
        firsts = [member.first() for member in self.members]
        return any(parameter is first for parameter in module.parameters() for first in firsts)

    # --- steps ----------------------------------------------------------------------------------------------------

    def stepped(self, tracked: Tracked, optimizer: Any, here: Here, context: Run | None) -> Steady | None:
        """Record a step; give the short way of the next ones, where there is one.

        Of the losses of a closure, the first is that before the update, which ``step`` returns.
        """
        if here.in_closure:
            losses = here.in_closure[:1]
            tracked.losses.clear()
        else:
            losses = [*tracked.losses] or ([*here.unclaimed] if here.loss is None else [])
            tracked.losses.clear()
            if here.loss is not None:  # a hook of the backward that runs now makes the step
                losses.append(here.loss)
        if here.unclaimed:
            here.unclaimed.clear()
        if losses and here.in_closure is None:
            tracked.count_backwards(len(losses), self)
        epoch = self.epoch if here.passes.count == self.seen_passes else self._turn(here.passes)
        rates = tracked.rates(optimizer, self)
        step, now = tracked.steps, time.time_ns()
        if step == 0:
            state.files.link(self, tracked, optimizer)
        tracked.steps = step + 1
        if step >= self.steps:
            self.steps = step + 1
        self.last_ns = now
        if self._held is None:
            self._emit((tracked, losses, rates, step, epoch, now))
        else:
            self._held.append((tracked, losses, rates, step, epoch, now))
            if len(self._held) > 1:
                self.release()
        return self._settled(tracked, losses, here, context)

    def _settled(self, tracked: Tracked, losses: list[Loss], here: Here, context: Run | None) -> Steady | None:
        names, known = tracked.names, tracked.groups[0]
        if (
            self._held is None
            and names is not None
            and None not in names
            and len(self.members) == len(tracked.groups) == len(losses) == tracked.backwards == 1
            and losses[0].__class__ is float
            and known.is_plain
            and known.rate is not None
            and here is self._here
            and here.in_closure is None
            and not here.scaled
            and not state.unstepped
        ):
            line = Line(self.run, str(names[0]), {str(names[1]): known.rate}, self.epoch)
            return Steady(self, tracked, line, context)
        return None

    def release(self, *, is_last: bool = False) -> None:
        """Let the first points go, once it is clear how they are called.

        ``loss`` becomes ``loss/0`` where a second optimizer steps too, and the program may log a name itself.
        """
        if self._held is None:
            return
        peers = any(0 < other.number < self.first_number for other in list(state.unstepped.values()))
        if peers and len(self._held) < PATIENCE and not is_last:
            return
        held, self._held = self._held, None
        for point in held:
            self._emit(point)

    def _emit(self, point: _Point) -> None:
        tracked, losses, rates, step, epoch, now = point
        names = tracked.names
        if names is None or len(names) != len(rates) + 1:
            names = tracked.names = self._names_of(tracked, len(rates))
        run, loss_name = self.run, names[0]
        metrics: dict[str, float] = {}
        if losses and loss_name is not None:
            loss = losses[0]
            if len(losses) == 1 and loss.__class__ is float:
                metrics[loss_name] = loss
            elif any(isinstance(loss, OnDevice) for loss in losses):
                run._append(("later", Reading(run, loss_name, losses, step, epoch, now)))
            else:
                metrics[loss_name] = sum(loss for loss in losses if isinstance(loss, float)) / len(losses)
        for name, rate in zip(names[1:], rates):
            if rate is not None and name is not None:
                metrics[name] = rate
        if metrics:
            run._append((run, metrics, step, epoch, now))

    def _names_of(self, tracked: Tracked, n_groups: int) -> list[str | None]:
        """How the loss and the rates of an optimizer are called; None where the program logs that name itself."""
        if len(self.members) == 1 and n_groups == 1:
            names = ["loss", "lr"]
        else:
            is_single = len(self.members) == 1
            names = ["loss" if is_single else f"loss/{tracked.position}"]
            names += [f"lr/{tracked.position}.{position}" for position in range(n_groups)]
        self._emitted.update(names)
        return [self._names.get(name, name) for name in names]

    def _forget_names(self) -> None:
        self._here.steady = None
        for member in self.members:
            member.names = None

    def settings_changed(self, tracked: Tracked, position: int, numbers: dict[str, float]) -> None:
        """Record the new values of settings other than the learning rate, as points of this step."""
        is_plain = len(self.members) == 1 and len(tracked.groups) == 1
        place = "" if is_plain else f"/{tracked.position}.{position}"
        values = {f"{key}{place}": value for key, value in numbers.items()}
        self.run._append((self.run, values, tracked.steps, self.epoch, time.time_ns()))

    # --- names that the program logs itself -----------------------------------------------------------------------

    def _watch(self) -> None:
        """See which of our names the program logs in this run, so that nothing is there twice."""
        run, log = self.run, self.run.log

        def watching(metrics: Any, *, step: int | None = None, epoch: int | None = None) -> None:
            for name in metrics:
                if name.__class__ is str and name not in self._names and name.startswith(("loss", "lr")):
                    # Before our first point is out, the program logs each step; later, it logs something else.
                    self._names[name] = f"{name}/step" if name in self._emitted else None
                    self._forget_names()
            log(metrics, step=step, epoch=epoch)

        setattr(run, "log", watching)  # noqa: B010

    # --- epochs ---------------------------------------------------------------------------------------------------

    def _turn(self, passes: Passes) -> int | None:
        """Passes began since the last step: the epoch that this step is in."""
        new = passes.since(max(self.seen_passes, self._began_after))
        self.seen_passes = passes.count
        before = self.pass_
        found = None if before is None else passes.latest(before.is_like)
        if found is not None and before is not None and before.is_open() and not found.is_open():
            found = before  # the same data was looked at meanwhile
        if found is None or not (found is not self.pass_ or found.is_open()):
            found = passes.latest(Pass.is_open) or found
        if found is None or found is self.pass_:
            self._note_others(new)
            return self.epoch
        if before is None or not found.is_like(before):
            found.tell(self.run, "train")
        self.pass_ = found
        self._note_others(new)
        if self.epoch is None:
            self.epoch = 0
        else:
            self.epoch += 1
            self.run.update(epochs_done=self.epoch, steps_done=self.steps)
            self._look_at_frozen()
        return self.epoch

    def _note_others(self, new: list[Pass]) -> None:
        """Loaders that were passed over between steps, and led to none: the data that training is judged by."""
        for other in new:
            if not self._has_valid and (self.pass_ is None or not other.is_like(self.pass_)):
                self._has_valid = other.tell(self.run, "valid")

    def _look_at_frozen(self) -> None:
        models = [module for module in (ref() for ref in self._models) if module is not None]
        if models and len(models) == len(self._models):
            count = _count_trainable(models)
            if count != self._n_trainable:
                title = f"{self._n_trainable} parameters were trainable, now {count} are"
                self.run.event("trainable", title, step=self.steps)
                self._n_trainable = count
                log_architecture(self.run, "torch", models)

    # --- the end --------------------------------------------------------------------------------------------------

    def _concluded(self, status: str) -> dict[str, Any]:
        self.release(is_last=True)
        self._here.steady = None
        self._here.passes.of_others = self._here.passes.count
        state.of_run.pop(str(self.run.id), None)
        facts: dict[str, Any] = {"steps_done": self.steps}
        if self.epoch is not None:
            is_through = self.pass_ is not None and self.pass_.is_used_up
            is_left = status == "finished" and (self.pass_ is None or not self.pass_.is_open())
            facts["epochs_done"] = self.epoch + (1 if is_through or is_left else 0)
        if self.is_own and self.last_ns:
            facts["ended_at"] = iso(self.last_ns // 1000)
            facts["duration_s"] = round((self.last_ns // 1000 - self.run.start_us) / 1e6, 6)
        return facts


def _count_trainable(models: list[Any]) -> int:
    return sum(p.numel() for model in models for p in model.parameters() if p.requires_grad)
