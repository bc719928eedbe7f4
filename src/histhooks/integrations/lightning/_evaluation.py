"""``Trainer.test`` and ``Trainer.validate``: scores of the run that trained the module, or a run of their own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from histhooks.integrations._estimators import adding_to, find, log_scored, was_validated_on
from histhooks.integrations._pytorch import loader_settings
from histhooks.integrations.kit import Run, bind, current_run, ensure_session, gathered, guarded, scope
from histhooks.integrations.lightning._asking import is_asked
from histhooks.integrations.lightning._calls import Call, Hook, active
from histhooks.integrations.lightning._facts import (
    datamodule_in,
    flat,
    log_hyperparameters,
    seen_of,
    trained_on_a_part,
)
from histhooks.integrations.lightning._fit import Fit
from histhooks.integrations.lightning._points import is_number, owners_of
from histhooks.integrations.lightning._watched import module_of, open_run, what_ended


class Evaluation(Call):
    """One call of ``test`` or ``validate``.

    Parameters
    ----------
    run : Run
        That takes the scores.
    trainer
    verb : str
        `test` or `validate`.
    trained_by : Run or None
        The run that trained the module, where that is known.
    given : object
        The dataloaders of the call.
    """

    def __init__(self, run: Run, trainer: Any, verb: str, trained_by: Run | None, given: Any) -> None:
        super().__init__()
        self.run = run
        self.exception: BaseException | None = None
        self._trainer = trainer
        self._verb = verb
        self._trained_by = trained_by
        self._given = given
        # Where other processes evaluate, what a fit has left stays among what they found.
        self._before = dict(trainer._logger_connector._callback_metrics)
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
        loaders = self._trainer.test_dataloaders if self._verb == "test" else self._trainer.val_dataloaders
        if loaders is None:
            loaders = self._given  # other processes went over it
        splits = [self._split(loader) for loader in flat(loaders)]
        for metrics, step in self._by_batch:
            self._put(metrics, step, splits)
        found = self._trainer._logger_connector._callback_metrics
        scores = {k: v for k, v in found.items() if is_number(v) and v is not self._before.get(k)}
        self._put(scores, max(0, self._trainer.global_step - 1), splits)

    def _split(self, loader: Any) -> str:
        """The split that the data of a loader has for this module."""
        return gathered(self.run, "data", self._judge, loader, what=f"data of {self._verb}()") or "unsaid"

    def _judge(self, loader: Any) -> str:
        if loader_settings(loader) is None:
            self.run.missing("data", f"the data of {self._verb}() comes from no DataLoader")
            return "unsaid"
        seen = seen_of(loader)
        role = "test" if self._verb == "test" else "valid"
        split = log_scored(self.run, seen, trained_by=self._trained_by, role=role).split
        if self._verb == "validate" and (split == "test" or was_validated_on(self._trained_by, seen)):
            return "valid"
        return "unsaid" if split == "train" and self._trained_by in trained_on_a_part else split

    def _put(self, scores: dict[str, Any], step: int, splits: list[str]) -> None:
        self.run.log(
            {self._named(name, self._split_of(name, splits)): score for name, score in scores.items()}, step=step
        )

    @staticmethod
    def _split_of(name: str, splits: list[str]) -> str:
        """That of the loader which a name says it is of; else that of all, where they have one."""
        number = name.rpartition("/dataloader_idx_")[2]
        if number != name and number.isdigit() and int(number) < len(splits):
            return splits[int(number)]
        return splits[0] if len(set(splits)) == 1 else "unsaid"

    def _named(self, name: str, split: str) -> str:
        """The series of a score: another one for each split, and never one of the training."""
        is_of_fit = self.run.kind == "fit"
        series = f"validate_{name}" if self._verb == "validate" and is_of_fit else name
        if split != ("test" if self._verb == "test" else "valid") and split != "unsaid":
            series = f"{split}_{series}"
        taken, what = owners_of(self.run), f"{self._verb} {split}"
        while taken.setdefault(series, what) != what:
            series += f"/{self._verb}" if split != "unsaid" else "/unsaid"
        known = self.run.what_is(name)
        self.run.declare_metric(series, metric=known.metric, split=split, direction=known.direction)
        return series


def watch_evaluation(verb: str, original: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[None]:
    """Watch ``Trainer.test`` or ``Trainer.validate``."""
    bound = bind(original, args, kwargs)
    trainer = bound.get("self")
    evaluation = _begin_evaluation(verb, bound)
    if evaluation is None:
        return
    run, outer, error = evaluation.run, active.get(id(trainer)), None
    active[id(trainer)] = evaluation
    try:
        with scope(run if run.kind == "evaluate" else current_run()):
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
    if not is_asked(trainer) or trainer.global_rank != 0 or not ensure_session():
        return None
    given = bound.get("model")
    module = module_of(given if given is not None else trainer.lightning_module)
    if module is None:
        return None
    fit, known = active.get(id(trainer)), find(module)
    if isinstance(fit, Fit):
        return Evaluation(fit.run, trainer, verb, fit.run, bound.get("dataloaders"))  # from inside its own fit
    trained_by = known.run if known is not None and known.run.takes_more() else None
    run = trained_by or _open(module, bound)
    return Evaluation(run, trainer, verb, trained_by, bound.get("dataloaders"))


def _open(module: Any, bound: dict[str, Any]) -> Run:
    """A run for a module that no run of this process trained, with the hyperparameters that a logger gets here too."""
    run = open_run("evaluate", module)
    gathered(run, "params", log_hyperparameters, run, module, datamodule_in(bound))
    return run


@guarded
def _end_evaluation(evaluation: Evaluation, error: BaseException | None) -> None:
    run = evaluation.run
    if error is None:
        evaluation.conclude()
    if run.kind == "evaluate":
        run.end(error=what_ended(evaluation.exception, error))
