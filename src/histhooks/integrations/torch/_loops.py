"""A loop and its run: which optimizers step in it, what each step leaves, and how it ends."""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from histhooks.integrations._pytorch import Line, defaults_of, group_settings, log_architecture
from histhooks.integrations.kit import Run, class_name, guarded
from histhooks.integrations.torch import _frames, _models
from histhooks.integrations.torch._course import Course
from histhooks.integrations.torch._gradients import Loss
from histhooks.integrations.torch._optimizers import MOST_GROUPS, Group, Tracked, chosen_rate, schedule_of
from histhooks.integrations.torch._passes import Pass, Passes
from histhooks.integrations.torch._series import Series
from histhooks.integrations.torch._state import Here, Steady, state
from histhooks.integrations.torch._weights import Unit

_MOST_ALIKE = 32  # loops of at most so few steps, one after the other, that are runs of their own
_FEW = 16
_MOST_SEATS = 8  # optimizers of one loop that have series and settings of their own


class Led(NamedTuple):
    """What led to a step: the losses, None for one that nobody knows, and whether these are all.

    Of a step that evaluates the loss itself, the losses are those of the first evaluation, before the update, which
    ``step`` returns.
    """

    losses: list[Loss | None]
    is_sure: bool
    is_closure: bool


Link = Callable[["Loop", Tracked, Any], None]
of_run: dict[str, Loop] = {}  # those that are open, by the id of their run


class Loop(Series):
    """The optimizers that step together, and their run.

    Parameters
    ----------
    run : Run
    here : Here
        The thread that steps.
    link : callable
        Links the loop, at the first step of an optimizer, to the files that it began with.
    is_own : bool
        Whether the run was opened for this loop by a hook, and so ends with it.
    """

    def __init__(self, run: Run, here: Here, link: Link, *, is_own: bool) -> None:
        super().__init__(run, here)
        self._link = link
        self.is_own = is_own
        self.is_explicit = False  # opened by `record()`
        self.place: tuple[Any, ...] | None = None
        self.is_last_of_row = False  # what follows from the same place is a part of it
        self._alive = 0
        self._has_valid = False
        self.seen_passes = 0
        self._began_after = here.passes.of_others
        self._unsaid: set[str] = set()  # why steps have no loss, said once each
        self._models: list[weakref.ref[Any]] = []
        self.linked: set[str] = set()  # files that it began with
        self._n_trainable = -1
        self.n_files = 0
        self._clock = time.perf_counter()
        self._frames = _frames.running() if is_own else frozenset()
        of_run[str(run.id)] = self
        run.last_step = lambda: self.steps - 1 if self.steps else None
        run.before_end = self._concluded
        if is_own:
            run.is_midway = lambda: self._here.is_midway
        run.on_names(self.notice)

    def begins_at(self, place: tuple[Any, ...] | None) -> None:
        """Know where a loop of its own began: one for each sample makes loops by the thousand, which are bounded."""
        self.place = place
        before, count = self._here.row
        self._here.row = (place, count + 1 if before == place is not None else 1)
        if self._here.row[1] > _MOST_ALIKE:
            self.is_last_of_row = True
            why = f"{_MOST_ALIKE} loops of at most {_FEW} steps began here: those that follow are all in this run"
            self.run.capture("optimizers", "truncated", why)

    @property
    def is_left(self) -> bool:
        """Whether its optimizers are gone, and others may go on for them."""
        return self.is_open and self._alive == 0

    def is_of(self, here: Here) -> bool:
        """Whether it began in a thread."""
        return self._here is here

    def is_left_by(self, error: BaseException) -> bool:
        """Whether an exception passed through a call that the first step came from."""
        return _frames.passed_through(error, self._frames)

    # --- who belongs to it ----------------------------------------------------------------------------------------

    def add(self, tracked: Tracked, optimizer: Any, models: Iterable[Any] = ()) -> None:
        """Take in an optimizer: its settings, its schedule, its model; or let it go on for one of its kind."""
        self._here.steady = None
        before, is_beyond = self._seat_for(tracked)
        tracked.loop, tracked.on_gone, tracked.is_beyond = self, self.optimizer_gone, is_beyond
        self.forget_names()
        self._alive += 1
        state.unstepped.pop(id(optimizer), None)
        units, tracked.units = tracked.units, []
        if before is not None:
            self.weights.goes_over()
            tracked.takes_over(before)
            self.members[self.members.index(before)] = tracked
            return
        tracked.steps = tracked.backwards = 0
        if is_beyond:
            why = f"more than {_MOST_SEATS} optimizers step side by side"
            if self._here.is_in_backward:
                why = "optimizers step inside of backward, each for a part of the parameters"
            self._say_beyond(why)
            return
        tracked.position = len(self.members)
        self.members.append(tracked)
        self._log_optimizer(tracked, optimizer)
        self._log_models([*models] or _models.of(optimizer, tracked.modules))
        self.joined(units)
        self._log_origin(tracked)

    def joined(self, units: list[Unit]) -> None:
        """Take the weights of models before the first step of their optimizer."""
        self.weights.join(units)
        if not self.is_holding:
            self.weights.begun(max(0, self.steps - 1))

    def _seat_for(self, tracked: Tracked) -> tuple[Tracked | None, bool]:
        """For whom an optimizer goes on, and whether it is one too many.

        An attack, a task of meta-learning and a scene make optimizers by the thousand, one after the other: each goes
        on where one of its kind was let go. Where many are there at once, one that was made after the last step of
        another goes on for that one.
        """
        kin = [one for one in self.members if one.kind == tracked.kind]
        if kin and self._here.is_in_backward:
            return None, True  # one for each parameter, which steps as soon as that has its gradient
        gone = next((one for one in kin if one.ref() is None and one.last < tracked.made), None)
        if gone is not None or len(self.members) < _MOST_SEATS:
            return gone, False
        idle = min(kin, key=lambda one: one.last, default=None)
        is_idle = idle is not None and idle.last < tracked.made
        return (idle, False) if is_idle else (None, True)

    def has_seat_for(self, tracked: Tracked) -> bool:
        """Whether one of the kind of an optimizer was here, and is gone."""
        return any(one.kind == tracked.kind and one.ref() is None and one.last < tracked.made for one in self.members)

    def _say_beyond(self, why: str) -> None:
        if why not in self._unsaid:
            self._unsaid.add(why)
            self.run.capture("optimizers", "truncated", f"{why}: those listed stand for the others")

    @guarded
    def _log_optimizer(self, tracked: Tracked, optimizer: Any) -> None:
        groups = [group_settings(group) for group in optimizer.param_groups]
        if tracked.number == 0 and not tracked.schedulers:
            tracked.schedulers = _models.schedulers_of(optimizer)
        schedulers = tracked.outer_schedulers()
        name = type(optimizer).__name__
        optimizer_id = self.run.log_optimizer(
            tracked.position, name, group_settings(optimizer.defaults), list(groups), schedule_of(schedulers)
        )
        tracked.groups = [Group(group, optimizer_id, n) for n, group in enumerate(optimizer.param_groups[:MOST_GROUPS])]
        if len(groups) > MOST_GROUPS:
            note = f"the learning rates of {MOST_GROUPS} of {len(groups)} param groups are followed"
            self.run.capture("optimizers", "truncated", note)
        outer = [one.ref() for one in list(state.tracked.values())]
        if any(
            type(one).__name__ == "ZeroRedundancyOptimizer" and vars(one).get("optim") is optimizer for one in outer
        ):
            self.run.missing("optimizers", "n_parameters is that of the part of the model that this process steps for")
        role = "optimizer" if tracked.position == 0 else f"optimizer.{tracked.position}"
        first = {k: v for k, v in groups[0].items() if k not in ("n_parameters", "initial_lr")} if groups else {}
        if "lr" in first:
            first["lr"] = chosen_rate(optimizer, schedulers, groups)
        usual = {role: defaults_of(type(optimizer))}
        self.run.log_params({role: {"class": name, **first}}, source="resolved", defaults=usual)

    @guarded
    def _log_models(self, found: list[Any]) -> None:
        known = self.models()
        new = [module for module in found if all(module is not other for other in known)]
        if not new:
            return
        self._models += [weakref.ref(module) for module in new]
        if self.is_own or self.run.kind == "loop" or not known:
            self.run.update(model_class=" + ".join(class_name(module) for module in [*known, *new]))
        log_architecture(self.run, "torch", [*known, *new])
        self._n_trainable = _models.count_trainable([*known, *new])

    @guarded
    def _log_origin(self, tracked: Tracked) -> None:
        """A link to the run that trained the same parameters before."""
        first = tracked.first()
        if first is None:
            return
        ref, run_id = state.trained.get(id(first), (None, ""))
        if ref is not None and ref() is first and run_id != self.run.id:
            self.run.link("continues", run_id)
        key = id(first)
        state.trained[key] = (weakref.ref(first, lambda gone: state.forget_trained(key, gone)), str(self.run.id))

    def optimizer_gone(self, tracked: Tracked) -> None:
        """An optimizer was let go; with the last one the run of a loop ends."""
        self._alive -= 1
        self._here.steady = None
        if self.is_open:
            self.weights.let_go(tracked.parameters(), state.tracked)
        for group in tracked.groups:
            group.let_go()
        if self.is_own and self._alive == 0:
            self._here.guests.add(tracked.kind)
            if self.steps > _FEW and not self.is_last_of_row:
                self._here.row = (None, 0)
        if self._alive == 0 and self.is_own and self.is_open and not self.is_last_of_row:
            # A batch was fetched and no step followed: an exception, or a break, which cannot be told apart here.
            self.run.end("ended" if self._here.is_midway else "finished")

    def trains(self, module: Any) -> bool:
        """Whether a parameter of a module is the first of an optimizer here."""
        firsts = [member.first() for member in self.members]
        return any(parameter is first for parameter in module.parameters() for first in firsts)

    # --- steps ----------------------------------------------------------------------------------------------------

    def stepped(self, tracked: Tracked, optimizer: Any, led: Led, here: Here, context: Run | None) -> Steady | None:
        """Record a step; give the short way of the next ones, where there is one."""
        if tracked.is_beyond:
            self.last_ns = time.time_ns()
            return None
        losses: list[Loss] = [loss for loss in led.losses if loss is not None]
        if len(losses) < len(led.losses) or not led.is_sure or not losses:
            losses = self._not_all_known(led, losses, tracked.steps)
        if led.losses and not led.is_closure:
            before = tracked.count_backwards(len(led.losses))
            if before is not None:
                self.record_backwards(tracked, before)
        epoch = self.epoch if here.passes.count == self.seen_passes else self._turn(here.passes)
        rates, changes = tracked.rates(optimizer)
        for change in changes:
            self.record_change(tracked, change)
        step, now = tracked.steps, time.time_ns()
        if step == 0:
            self._link(self, tracked, optimizer)
        tracked.steps = step + 1
        if step >= self.steps:
            self.steps = step + 1
        self.last_ns = now
        if self.held is None:
            self.emit((tracked, losses, rates, step, epoch, now))
        else:
            self.held.append((tracked, losses, rates, step, epoch, now))
            if len(self.held) > 1:
                self.release()
        return self._settled(tracked, optimizer, led, here, context)

    def _not_all_known(self, led: Led, losses: list[Loss], step: int) -> list[Loss]:
        """Say once why a step has no loss, or not the whole one; what is left of it."""
        if not led.is_sure:
            why = "gradients on a device changed in place between two backwards: nobody knows what they were made of"
        elif not led.losses:
            why = "no backward that its thread has made led to it"
        elif len(losses) < len(led.losses):
            why = "it came from a backward of something else than one number in memory"
        else:
            return losses
        if why not in self._unsaid:
            self._unsaid.add(why)
            self.run.capture("loss", "skipped", f"step {step}, the first such, has no loss: {why}")
        return []

    def _settled(self, tracked: Tracked, optimizer: Any, led: Led, here: Here, context: Run | None) -> Steady | None:
        gradients = here.gradients
        if len(led.losses) == 1 and not led.is_closure and not here.is_in_backward and gradients.witness is None:
            found = state.candidates(here)
            if len(found) == 1 and id(optimizer) in found:
                gradients.choose(tracked.ref, here.reached, optimizer)
        names, known, witness = tracked.names, tracked.groups[0], gradients.witness
        if (
            self.held is None
            and names is not None
            and None not in names
            and len(self.members) == len(tracked.groups) == len(led.losses) == tracked.backwards == 1
            and led.losses[0].__class__ is float
            and known.is_plain
            and known.rate is not None
            and here is self._here
            and not led.is_closure
            and not here.scaled
            and not state.new
            and witness is not None
            and witness.optimizer is tracked.ref
        ):
            line = Line(self.run, str(names[0]), {str(names[1]): known.rate}, self.epoch)
            return Steady(self, tracked, line, context, witness)
        return None

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
        found.has_backward = True  # it judges no other loop
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
        run_id = str(self.run.id)
        for other in new:
            is_other = self.pass_ is None or not other.is_like(self.pass_)
            is_other = is_other and (self.pass_ is not None or not other.has_gradients)
            fed_by = -1 if self.pass_ is None else self.pass_.number
            if is_other and not self._has_valid and other.n_batches and other.judges(run_id, fed_by):
                self._has_valid = other.tell(self.run, "valid")

    def models(self) -> list[Any]:
        """Its models, as far as they are known and there."""
        return [module for module in (ref() for ref in self._models) if module is not None]

    def is_judged(self) -> bool:
        """Whether its models are in the mode of evaluation, as far as they are known."""
        models = self.models()
        return bool(models) and not any(vars(module).get("training", True) for module in models)

    def parameter_names(self) -> frozenset[str]:
        """What parameters are called in its models."""
        return frozenset(name for module in self.models() for name, _ in module.named_parameters())

    def _look_at_frozen(self) -> None:
        models = self.models()
        if models and len(models) == len(self._models):
            count = _models.count_trainable(models)
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
        of_run.pop(str(self.run.id), None)
        for member in self.members:
            self.weights.let_go(member.parameters(), state.tracked)
        self.weights.ended(status, self.steps)
        facts: dict[str, Any] = {"steps_done": self.steps}
        if self.epoch is not None:
            is_through = self.pass_ is not None and self.pass_.is_used_up
            is_left = status == "finished" and (self.pass_ is None or not self.pass_.is_open())
            facts["epochs_done"] = self.epoch + (1 if is_through or is_left else 0)
        if self.is_own and self.last_ns:
            facts |= self.run.columns_of_end(self.last_ns)
        return facts


def as_loop(course: Course | None) -> Loop | None:
    """The loop whose course a thread or an optimizer has."""
    return course if isinstance(course, Loop) else None


def judged() -> dict[str, bool]:
    """By the run of each open loop, whether all its models are in the mode of evaluation."""
    return {key: loop.is_judged() for key, loop in list(of_run.items())[-32:]}
