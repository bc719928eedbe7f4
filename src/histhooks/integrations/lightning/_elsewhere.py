"""A fit in a process that Lightning starts from the caller: what it records goes through the relay."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

from histhooks.integrations.kit import guarded
from histhooks.integrations.lightning._calls import Call, Hook, active
from histhooks.integrations.lightning._fit import Fit
from histhooks.integrations.lightning._spawned import Relay


class Elsewhere:
    """What the processes of a launcher run, in the place of the Trainer's own function.

    Parameters
    ----------
    relay : Relay
    function : callable
        A bound method of the Trainer.
    arm : callable
        Puts the hooks in there; pickled by its name.
    """

    def __init__(self, relay: Relay, function: Callable[..., Any], arm: Callable[[], None]) -> None:
        self.relay = relay
        self.function = function
        self.arm = arm

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run it, and have what rank 0 records sent to the caller."""
        with _followed(self.relay, self.function, self.arm):
            return self.function(*args, **kwargs)


class _Beginning(Call):
    """A fit in a process that Lightning started: which of them it is, is known only in its first hook."""

    def __init__(self, relay: Relay, trainer: Any) -> None:
        super().__init__()
        self._relay = relay
        self._trainer = trainer

    @guarded
    def set_up(self) -> None:
        """The process knows its rank now."""
        trainer = self._trainer
        if trainer.global_rank == 0:
            run = self._relay.open_here()
            run.__enter__()  # so that nobody else records the steps of this process
            fit = active[id(trainer)] = Fit(run, trainer, trainer.lightning_module)
            fit.set_up()

    hooks: ClassVar[dict[str, Hook]] = {"setup": set_up}


@contextmanager
def _followed(relay: Relay, function: Any, arm: Callable[[], None]) -> Iterator[None]:
    """Record what a bound method of a trainer does, in a process that Lightning started."""
    trainer = function.__self__
    if relay.is_elsewhere:
        guarded(arm)()
        active[id(trainer)] = _Beginning(relay, trainer)
    try:
        yield
    finally:
        call = active.pop(id(trainer), None) if relay.is_elsewhere else None
        if isinstance(call, Fit):
            call.conclude()
