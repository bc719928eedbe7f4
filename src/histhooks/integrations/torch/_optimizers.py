"""One optimizer: the losses that lead to its next step, and the settings of its groups as they change."""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable
from operator import eq, is_
from typing import TYPE_CHECKING, Any, NamedTuple

from torch.optim.lr_scheduler import CyclicLR, OneCycleLR

from histhooks.integrations._pytorch import group_settings, scheduler_settings
from histhooks.integrations.torch._gradients import next_number

if TYPE_CHECKING:
    from histhooks.integrations.torch._course import Course
    from histhooks.integrations.torch._loaded import Loaded
    from histhooks.integrations.torch._weights import Unit

_MOST_CHANGES = 20
# A rate for each layer or parameter makes groups by the hundred: each is listed at the start, so many are followed.
MOST_GROUPS = 16
_PLAIN = (bool, int, float, str, tuple, type(None))
_numbers = itertools.count(1)


class Group:
    """The settings of one param group, as they were at the last step."""

    __slots__ = (
        "_count", "is_plain", "n_rows", "optimizer_id", "parameters", "position", "rate", "rate_tensor", "settings",
        "values",
    )  # fmt: skip

    def __init__(self, group: dict[str, Any], optimizer_id: str, position: int) -> None:
        self.optimizer_id, self.position = optimizer_id, position
        self.n_rows = 1
        self._count: tuple[int, int | None] = (-1, None)  # how many tensors, and how many numbers in them
        self.parameters: Any = None
        self.look(group)

    def is_same(self, group: dict[str, Any]) -> bool:
        """Whether nothing was assigned since the last look; compares no tensors, so no device is waited for."""
        if len(group) != len(self.values) or group["params"] is not self.parameters:
            return False
        if all(map(is_, group.values(), self.values)):
            return True
        return self.is_plain and _is_plain(group) and all(map(eq, group.values(), self.values))

    def look(self, group: dict[str, Any]) -> None:
        """Keep the settings as they are."""
        is_known = group["params"] is self.parameters and self._count[0] == len(group["params"])
        self.parameters, self.values = group["params"], tuple(group.values())
        n_tensors = len(self.parameters)
        self.settings = group_settings(group, self._count[1] if is_known else None)
        self._count = (n_tensors, self.settings["n_parameters"])
        rate = group.get("lr")
        is_number = isinstance(rate, (int, float))
        self.rate: float | None = float(rate) if rate is not None and is_number else None
        is_on_cpu = not is_number and getattr(getattr(rate, "device", None), "type", None) == "cpu"
        self.rate_tensor = rate if is_on_cpu else None
        # Comparing values where a list or a tensor may have changed in place, or lies on a device, shows nothing.
        self.is_plain = is_number and _is_plain(group)

    def changed(self, group: dict[str, Any]) -> dict[str, float] | None:
        """Keep the settings as they are; give the numbers that changed, but for the rate, None if no setting did."""
        before = self.settings
        self.look(group)
        changed = {k: v for k, v in self.settings.items() if k not in before or _differs(before[k], v)}
        if not changed.keys() - {"initial_lr"}:
            return None
        return {k: v for k, v in _numbers_in(changed) if k not in ("lr", "initial_lr", "n_parameters")}

    def let_go(self) -> None:
        """Keep no parameter alive."""
        self.parameters, self.values, self.rate_tensor = None, (), None

    def current_rate(self) -> float | None:
        """The learning rate; None where it lies on a device."""
        return self.rate if self.rate_tensor is None else float(self.rate_tensor)


def _is_plain(group: dict[str, Any]) -> bool:
    """Whether all settings are numbers and words, or tuples of them, which may be compared by value."""
    return all(
        isinstance(value, _PLAIN) and (value.__class__ is not tuple or all(isinstance(one, _PLAIN) for one in value))
        for name, value in group.items()
        if name not in ("params", "param_names")
    )


def chosen_rate(optimizer: Any, schedulers: list[Any], groups: list[dict[str, Any]]) -> Any:
    """The learning rate that was chosen for the first group, which a schedule may have changed before the first step.

    A schedule keeps it as ``initial_lr``; one that has rates of its own puts its own there, and only the optimizer's
    defaults tell.
    """
    group = groups[0]
    if not schedulers or "lr" not in group:
        return group.get("lr")
    schedulers = [one for outer in schedulers for one in (outer, *getattr(outer, "_schedulers", ()))]
    if not any(isinstance(one, (CyclicLR, OneCycleLR)) for one in schedulers):
        return group.get("initial_lr", group["lr"])
    return group_settings(optimizer.defaults).get("lr", group["lr"]) if len(groups) == 1 else group["lr"]


def schedule_of(schedulers: list[Any]) -> dict[str, Any] | None:
    """The settings of the schedulers of one optimizer; several that nothing holds together stand side by side."""
    found = [scheduler_settings(one) for one in schedulers]
    if len(found) < 2:
        return found[0] if found else None
    return {"class": " + ".join(str(one["class"]) for one in found), "schedulers": found}


class Change(NamedTuple):
    """What changed in a param group since the last step.

    Attributes
    ----------
    group : Group
        With its settings as they are now.
    numbers : dict of str to float
        Settings that changed and are numbers, but for the learning rate.
    is_new : bool
        Whether the group itself is new.
    """

    group: Group
    numbers: dict[str, float]
    is_new: bool


class Tracked:
    """An optimizer, held weakly, and what is known of it before its next step.

    Attributes
    ----------
    number : int
        In the order of construction, from 1; 0 where nobody saw that.
    owner : object
        The thread (`Here`) that may look at its gradients: PyTorch writes ``p.grad`` in backward without the
        interpreter's lock, so to read it while another thread's backward runs would end the process.
    steps : int
        Steps that were recorded in its loop.
    backwards : int
        How many backwards lead to a step, as far as that was recorded.
    made, last : int
        When it was made, and when it made its last step, among the backwards and steps of the process.
    kind : tuple
        Its class, and how many param groups it has.
    is_beyond : bool
        Whether it leaves no series, as one too many.
    loop : Course or None
        The loop that it steps in.
    on_gone : callable or None
        Called with this once the optimizer is let go.
    """

    __slots__ = (
        "__weakref__", "_first", "_n_changes", "_other", "backwards", "groups", "is_beyond", "is_echo", "kind", "last",
        "loaded", "loop", "made", "modules", "names", "number", "on_gone", "owner", "position", "ref", "schedulers",
        "steps", "units",
    )  # fmt: skip

    def __init__(self, optimizer: Any, *, is_new: bool, modules: list[weakref.ref[Any]] | None = None) -> None:
        self.ref: weakref.ref[Any] = weakref.ref(optimizer, self._gone)
        self.number = next(_numbers) if is_new else 0
        self.loop: Course | None = None
        self.on_gone: Callable[[Tracked], None] | None = None
        self.owner: object = None
        self.position = 0
        self.steps = 0
        self.backwards = self._other = self._n_changes = 0
        self.last = 0
        self.made = next_number()
        self.kind = (f"{type(optimizer).__module__}.{type(optimizer).__qualname__}", len(optimizer.param_groups))
        self.is_beyond = False
        self.groups: list[Group] = []
        self.schedulers: list[weakref.ref[Any]] = []
        self.modules = modules or []
        self.is_echo = False
        self.loaded: Loaded | None = None  # where its state came from
        self.units: list[Unit] = []  # its models as they were before its first step
        self.names: list[str | None] | None = None  # of its series, until somebody else steps along
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        first = next((p for p in parameters if p.requires_grad), parameters[0] if parameters else None)
        self._first = None if first is None else weakref.ref(first)

    def _gone(self, _: Any) -> None:
        if self.on_gone is not None:
            self.on_gone(self)

    def first(self) -> Any:
        """The first parameter that trains, which stands for all when gradients are looked at."""
        return None if self._first is None else self._first()

    def parameters(self) -> list[Any]:
        """What it trains, as of its last step; nothing once it was let go of."""
        return [parameter for group in self.groups for parameter in group.parameters or ()]

    def count_backwards(self, count: int) -> int | None:
        """Take how many backwards led to a step; another number counts once two steps on end have it.

        The last batches of an epoch may be fewer than a step takes, and what they lead to is no change.

        Returns
        -------
        int or None
            How many did before, 0 at first, if that changed.
        """
        before = None
        if count != self.backwards and (count == self._other or not self.backwards) and self._n_changes < _MOST_CHANGES:
            self._n_changes += bool(self.backwards)
            before, self.backwards = self.backwards, count
        self._other = count
        return before

    def takes_over(self, before: Tracked) -> None:
        """Go on where another optimizer of the same kind ended."""
        self.position, self.steps, self.groups = before.position, before.steps, before.groups
        self.backwards, self._other, self._n_changes = before.backwards, before._other, before._n_changes
        before.groups = []
        before.is_beyond = True

    def outer_schedulers(self) -> list[Any]:
        """The schedulers that no other one holds, in the order of their making."""
        found = [one for one in (ref() for ref in self.schedulers) if one is not None]
        inner = {id(one) for scheduler in found for one in vars(scheduler).get("_schedulers", ())}
        # One that was given another one, as a warm-up of somebody's own, holds it under some name.
        inner |= {id(one) for scheduler in found for one in vars(scheduler).values() if one is not scheduler}
        return [one for one in found if id(one) not in inner]

    def rates(self, optimizer: Any) -> tuple[list[float | None], list[Change]]:
        """The learning rate of each group in force for this step, and what else changed since the last one."""
        found: list[float | None] = []
        changes: list[Change] = []
        param_groups = optimizer.param_groups
        for position in range(len(self.groups), min(len(param_groups), MOST_GROUPS)):
            optimizer_id = self.groups[0].optimizer_id if self.groups else ""
            self.groups.append(Group(param_groups[position], optimizer_id, position))
            changes.append(Change(self.groups[-1], {}, is_new=True))
        for group, known in zip(param_groups, self.groups):
            if not known.is_same(group):
                numbers = known.changed(group)
                if numbers is not None:
                    changes.append(Change(known, numbers, is_new=False))
            found.append(known.current_rate())
        return found, changes


def _differs(one: Any, other: Any) -> bool:
    try:
        return bool(one != other)
    except (RuntimeError, ValueError, TypeError):  # arrays, which compare number by number
        return True


def _numbers_in(settings: dict[str, Any]) -> list[tuple[str, float]]:
    found: list[tuple[str, float]] = []
    for key, value in settings.items():
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            found.append((key, float(value)))
        elif isinstance(value, (tuple, list)) and all(isinstance(v, (int, float)) for v in value):
            found += [(f"{key}.{number}", float(v)) for number, v in enumerate(value)]
    return found
