"""From the beginning of ``Trainer.fit`` to its end: whether it is recorded, its run, and what ended it."""

from __future__ import annotations

from typing import Any, ClassVar

from histhooks.integrations import kit
from histhooks.integrations._estimators import trained_by
from histhooks.integrations._pytorch import signals
from histhooks.integrations.kit import Run, answer, call_site, ensure_session, gathered, guarded, scope
from histhooks.integrations.lightning._asking import __version__, is_asked
from histhooks.integrations.lightning._calls import Call, Hook, active
from histhooks.integrations.lightning._facts import datamodule_in, keep_in_mind, log_hyperparameters, log_settings
from histhooks.integrations.lightning._fit import Fit, OtherRank, epochs_left
from histhooks.integrations.lightning._spawned import Relay, relay_for

_OWN = ("lightning", "pytorch_lightning", "torch", "threading", "concurrent", "functools")


def open_run(kind: str, module: Any, **facts: Any) -> Run:
    return kit.open_run(
        kind=kind,
        framework="lightning",
        framework_version=__version__,
        model_class=f"{type(module).__module__}.{type(module).__qualname__}",
        call_site=call_site(_OWN),
        **facts,
    )


def module_of(model: Any) -> Any:
    """The module itself, where what ``torch.compile`` made of it was given."""
    if type(model).__name__ == "OptimizedModule":
        return vars(model).get("_modules", {}).get("_orig_mod", model)
    return model


class Watched:
    """One call of ``Trainer.fit`` in which a run is open, or may still be opened."""

    def __init__(self, trainer: Any, bound: dict[str, Any]) -> None:
        self._trainer = trainer
        self._bound = bound
        self._module = module_of(bound.get("model"))
        self._scope: Any = None
        self._relay: Relay | None = None
        self.fit: Fit | None = None

    def begin(self) -> None:
        """Open the run."""
        trainer, module = self._trainer, self._module
        run = open_run("fit", module, epochs_planned=answer(None, epochs_left, trainer))
        gathered(run, "params", log_hyperparameters, run, module, datamodule_in(self._bound))
        gathered(run, "params", log_settings, run, trainer)
        self.fit = active[id(trainer)] = Fit(run, trainer, module)
        self._scope = scope(run)
        self._scope.__enter__()
        self._relay = self.fit.relay = gathered(run, "metrics", relay_for, run, trainer)
        if self._relay is not None:
            gathered(run, "data", keep_in_mind, run, self._bound)

    def wait(self) -> None:
        """See whether the module brings our callback along (``configure_callbacks``)."""
        active[id(self._trainer)] = _Waiting(self)

    def follow(self) -> None:
        """This process is not the first of its training."""
        active[id(self._trainer)] = OtherRank(self._trainer)

    @guarded
    def close(self, error: BaseException | None) -> None:
        """The call is over."""
        active.pop(id(self._trainer), None)
        fit = self.fit
        if fit is None:
            return
        if self._scope is not None:
            self._scope.__exit__(None, None, None)
        if self._relay is None:
            fit.conclude()
        else:
            guarded(self._relay.close)()  # the process of rank 0 has concluded
        fit.run.end(error=what_ended(fit.exception, error))
        guarded(signals.again)()
        trained_by(fit.run, self._module, is_own=True)


def what_ended(heard: BaseException | None, error: BaseException | None) -> BaseException | None:
    """The exception that ended a call: Lightning makes a SystemExit of Ctrl-C, of which a hook has heard before."""
    return heard if isinstance(error, SystemExit) and isinstance(heard, KeyboardInterrupt) else error


class _Waiting(Call):
    """A fit that nobody has asked to record so far."""

    def __init__(self, watched: Watched) -> None:
        super().__init__()
        self._watched = watched

    @guarded
    def set_up(self) -> None:
        """The callbacks of the module are among the trainer's now."""
        trainer = self._watched._trainer
        if trainer.global_rank == 0 and is_asked(trainer) and ensure_session():
            self._watched.begin()
            if self._watched.fit is not None:
                self._watched.fit.set_up()

    hooks: ClassVar[dict[str, Hook]] = {"setup": set_up}


@guarded
def watch(bound: dict[str, Any]) -> Watched | None:
    trainer = bound.get("self")
    if trainer is None or bound.get("model") is None or id(trainer) in active:
        return None
    watched = Watched(trainer, bound)
    if not is_asked(trainer):
        watched.wait()
    elif trainer.global_rank != 0:
        watched.follow()
    elif ensure_session():
        watched.begin()
    else:
        return None
    return watched
