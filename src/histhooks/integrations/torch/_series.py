"""The series of a loop: how losses and rates are called, and when their points go out."""

from __future__ import annotations

import time
from collections.abc import Iterable

from histhooks.integrations._pytorch import OnDevice
from histhooks.integrations.kit import Run
from histhooks.integrations.torch._course import Course
from histhooks.integrations.torch._gradients import Loss
from histhooks.integrations.torch._optimizers import Change, Group, Tracked
from histhooks.integrations.torch._state import Here, state
from histhooks.integrations.torch._weights import LoopWeights

# A schedule that moves each step would leave a row each step; its series has all of it.
_MOST_ROWS = 100
PATIENCE = 16  # steps for which names wait for another optimizer that may step too
_Point = tuple[Tracked, list[Loss], list[float | None], int, int | None, int]


class Series(Course):
    """What a loop leaves at each step.

    Parameters
    ----------
    run : Run
    here : Here
        The thread that steps.
    """

    def __init__(self, run: Run, here: Here) -> None:
        super().__init__(run)
        self._here = here
        self.members: list[Tracked] = []
        self.epoch: int | None = None
        self.first_number = 0
        self.held: list[_Point] | None = []
        self._names: dict[str, str | None] = {}  # of a series; None, or another one, if the program logs it
        self._emitted: set[str] = set()
        self.weights = LoopWeights(run)

    @property
    def is_holding(self) -> bool:
        """Whether the first points wait for their names."""
        return self.held is not None

    def release(self, *, is_last: bool = False) -> None:
        """Let the first points go, once it is clear how they are called.

        ``loss`` becomes ``loss/0`` where a second optimizer steps too, and the program may log a name itself.
        """
        if self.held is None:
            return
        peers = any(0 < other.number < self.first_number for other in list(state.unstepped.values()))
        if peers and len(self.held) < PATIENCE and not is_last:
            return
        held, self.held = self.held, None
        for point in held:
            self.emit(point)
        self.weights.begun()

    def emit(self, point: _Point) -> None:
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
                run.log_mean(loss_name, losses, step, epoch, now)
            else:
                metrics[loss_name] = sum(loss for loss in losses if isinstance(loss, float)) / len(losses)
        for name, rate in zip(names[1:], rates):
            if rate is not None and name is not None:
                metrics[name] = rate
        if metrics:
            run.put((run, metrics, step, epoch, now))

    def _names_of(self, tracked: Tracked, n_groups: int) -> list[str | None]:
        """How the loss and the rates of an optimizer are called; None where the program logs that name itself."""
        is_first = tracked.position == 0 and "lr" in self._emitted
        if n_groups == 1 and (len(self.members) == 1 or is_first):
            names = ["loss", "lr"]
        else:
            # What points of the first one were called, they go on to be called.
            is_first = tracked.position == 0 and (len(self.members) == 1 or "loss" in self._emitted)
            names = ["loss" if is_first else f"loss/{tracked.position}"]
            names += [f"lr/{tracked.position}.{position}" for position in range(n_groups)]
        self._emitted.update(names)
        return [self._names.get(name, name) for name in names]

    def forget_names(self) -> None:
        self._here.steady = None
        for member in self.members:
            member.names = None

    def record_change(self, tracked: Tracked, change: Change) -> None:
        """Record settings that changed: a row, and points of this step for numbers."""
        group = change.group
        if change.is_new:
            self.forget_names()
            self._log_group(tracked, group)
            return
        if change.numbers:
            is_plain = len(self.members) == 1 and len(tracked.groups) == 1
            place = "" if is_plain else f"/{tracked.position}.{group.position}"
            values = {f"{key}{place}": value for key, value in change.numbers.items()}
            self.run.put((self.run, values, tracked.steps, self.epoch, time.time_ns()))
        if group.n_rows < _MOST_ROWS:
            group.n_rows += 1
            self._log_group(tracked, group)
        elif group.n_rows == _MOST_ROWS:
            group.n_rows += 1
            text = f"settings of param group {group.position} change all the time: `optimizer_groups` has the first"
            self.run.event("truncated", f"{text} {_MOST_ROWS}, the series have all", step=tracked.steps)

    def _log_group(self, tracked: Tracked, group: Group) -> None:
        facts = dict(group.settings)
        count = facts.pop("n_parameters", None)
        run = self.run
        run.log_optimizer_group(group.optimizer_id, group.position, facts, step=tracked.steps, n_parameters=count)

    def record_backwards(self, tracked: Tracked, before: int) -> None:
        """Record that another number of backwards leads to a step; 0 did before the first."""
        if before:
            title = f"{tracked.backwards} backwards lead to a step of optimizer {tracked.position}, where {before} did"
            self.run.event("backwards_per_step", title, step=tracked.steps - 1)
        name = "backwards_per_step" if tracked.position == 0 else f"backwards_per_step.{tracked.position}"
        self.run.log_params({name: tracked.backwards}, source="resolved")

    # --- names that the program logs itself -----------------------------------------------------------------------

    def notice(self, names: Iterable[str]) -> None:
        """See which names of losses and rates the program logs in this run, so that nothing is there twice."""
        for name in names:
            if name.__class__ is str and name not in self._names and name.startswith(("loss", "lr")):
                # Before the first point is out, the program logs each step; later, it logs something else.
                self._names[name] = f"{name}/step" if name in self._emitted else None
                self.forget_names()
