"""``Trainer.test`` and ``Trainer.validate``: scores of the run that trained the module, or a run of their own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from histhooks import recorder
from histhooks._guard import gathered, guarded
from histhooks._run import Run
from histhooks._torch_objects import log_loader
from histhooks._trained import adding_to, find
from histhooks.integrations.lightning._calls import Call, Hook, active
from histhooks.integrations.lightning._facts import bound_arguments, flat
from histhooks.integrations.lightning._fit import Fit
from histhooks.integrations.lightning._points import is_number
from histhooks.integrations.lightning._watched import is_asked, module_of, open_run, what_ended


class Evaluation(Call):
    """One call of ``test`` or ``validate``.

    Parameters
    ----------
    run : Run
        That takes the scores.
    trainer
    verb : str
        `test` or `validate`.
    """

    def __init__(self, run: Run, trainer: Any, verb: str) -> None:
        super().__init__()
        self.run = run
        self.exception: BaseException | None = None
        self._trainer = trainer
        self._verb = verb
        self._by_batch: list[tuple[dict[str, Any], int]] = []

    def failed(self, exception: BaseException) -> None:
        """Lightning has met an exception; of Ctrl-C it makes a SystemExit."""
        self.exception = exception

    hooks: ClassVar[dict[str, Hook]] = {"on_exception": failed}

    def logged(self, metrics: dict[str, Any], step: int | None) -> None:
        """Keep what loggers get of a batch; what they get at the end is in ``callback_metrics`` too."""
        if step is not None and metrics:
            self._by_batch.append((metrics, step))

    def conclude(self) -> None:
        """Record the scores, and the data that they are of."""
        with adding_to(self.run):
            gathered(self.run, "scores", self._log)

    def _log(self) -> None:
        split = "test" if self._verb == "test" else "valid"
        scores = {k: v for k, v in self._trainer._logger_connector._callback_metrics.items() if is_number(v)}
        for metrics, step in self._by_batch:
            self._put(metrics, step, split)
        self._put(scores, max(0, self._trainer.global_step - 1), split)
        loaders = self._trainer.test_dataloaders if self._verb == "test" else self._trainer.val_dataloaders
        for loader in flat(loaders):
            gathered(self.run, "data", log_loader, self.run, split, loader, what=f"data of role {split}")

    def _put(self, scores: dict[str, Any], step: int, split: str) -> None:
        prefix = "validate_" if self._verb == "validate" and self.run.kind == "fit" else ""
        for name in scores:
            self.run.declare_metric(f"{prefix}{name}", metric=self.run.what_is(name).metric, split=split)
        self.run.log({f"{prefix}{name}": value for name, value in scores.items()}, step=step)


def watch_evaluation(verb: str, original: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[None]:
    """Watch ``Trainer.test`` or ``Trainer.validate``."""
    bound = bound_arguments(original, args, kwargs)
    trainer = bound.get("self")
    evaluation = _begin_evaluation(verb, bound)
    if evaluation is None:
        return
    run, outer, error = evaluation.run, active.get(id(trainer)), None
    active[id(trainer)] = evaluation
    try:
        with recorder.scope(run if run.kind == "evaluate" else recorder.current_run()):
            yield
    except BaseException as raised:
        error = raised
        raise
    finally:
        _put_back(trainer, outer)
        _end_evaluation(evaluation, error)
        error = None


def _put_back(trainer: Any, call: Call | None) -> None:
    if call is None:
        active.pop(id(trainer), None)
    else:
        active[id(trainer)] = call


@guarded
def _begin_evaluation(verb: str, bound: dict[str, Any]) -> Evaluation | None:
    trainer = bound.get("self")
    if trainer is None or isinstance(active.get(id(trainer)), Evaluation):
        return None
    if not is_asked(trainer) or trainer.global_rank != 0 or not recorder.is_recording():
        return None
    given = bound.get("model")
    module = module_of(given if given is not None else trainer.lightning_module)
    if module is None:
        return None
    fit, known = active.get(id(trainer)), find(module)
    if isinstance(fit, Fit):
        return Evaluation(fit.run, trainer, verb)  # from inside its own fit
    return Evaluation(known.run if known is not None else open_run("evaluate", module), trainer, verb)


@guarded
def _end_evaluation(evaluation: Evaluation, error: BaseException | None) -> None:
    run = evaluation.run
    if error is None:
        evaluation.conclude()
    if run.kind == "evaluate":
        run.end(error=what_ended(evaluation.exception, error))
