"""One training, and what its callback hears of it."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any

from xgboost.callback import EarlyStopping

from histhooks.integrations.kit import Run, ask, gathered, guarded, is_recording
from histhooks.integrations.xgboost._facts import config_of, direction_of, split_of
from histhooks.integrations.xgboost._models import run_of, stamped
from histhooks.integrations.xgboost._outcomes import log_importances

# Attributes of EarlyStopping, as its constructor sets them where nothing is given.
_EARLY_STOPPING = {"metric_name": None, "data": None, "maximize": None, "save_best": False, "min_delta": 0.0}

current_training: ContextVar[Training | None] = ContextVar("histhooks_xgboost_training", default=None)
# Runs that have the curve of a training already.
with_curve: weakref.WeakSet[Run] = weakref.WeakSet()


class Training:
    """One training: its run, and how far that has its history."""

    def __init__(self, run: Run, splits: Mapping[str, str], n_rounds: int | None, *, is_own: bool) -> None:
        self.run = run
        self.is_own = is_own
        self.is_wrapped = True
        self.splits = splits
        self._n_rounds = n_rounds
        self._stopping: Any = None
        self._counts: dict[tuple[str, str], int] = {}
        self._history: Mapping[str, Any] = {}
        self._steps = 0
        with_curve.add(run)

    def begin(self, callbacks: list[Any]) -> None:
        """Learn which callbacks there are."""
        gathered(self.run, "params", self._log_callbacks, callbacks, what="callbacks")
        self._stopping = next((c for c in callbacks if issubclass(type(c), EarlyStopping)), None)
        if self._stopping is not None:
            gathered(self.run, "params", self._log_stopping, what="early_stopping")

    def _log_callbacks(self, callbacks: list[Any]) -> None:
        names = [f"{type(c).__module__}.{type(c).__qualname__}" for c in callbacks]
        self.run.log_params({"callbacks": names}, source="resolved")

    def _log_stopping(self) -> None:
        kept = {name.lstrip("_"): value for name, value in vars(self._stopping).items()}
        known = {name: kept.get(name) for name in ("rounds", *_EARLY_STOPPING)}
        usual = {"early_stopping": _EARLY_STOPPING}
        self.run.log_params({"early_stopping": known}, source="argument", defaults=usual)

    @guarded
    def advance(self, step: int, history: Mapping[str, Any]) -> None:
        """Log what the history has more than before; a metric that two eval sets share has two points a step."""
        self._steps = step + 1
        self._history = history
        rows: list[dict[str, Any]] = []
        for data, metrics in history.items():
            for metric, values in metrics.items():
                count = self._counts.get((data, metric), 0)
                if not count:
                    self._declare(data, metric, is_cv=isinstance(values[-1], tuple))
                self._counts[data, metric] = len(values)
                name = f"{data}-{metric}"
                for depth, value in enumerate(values[count:]):
                    if depth == len(rows):
                        rows.append({})
                    if isinstance(value, tuple):
                        rows[depth] |= {f"{name}-mean": value[0], f"{name}-std": value[1]}
                    else:
                        rows[depth][name] = value
        for row in rows:
            self.run.log(row, step=step)

    def _declare(self, data: str, metric: str, *, is_cv: bool) -> None:
        name = f"{data}-{metric}"
        split = ("train" if data == "train" else "valid") if is_cv else self.splits.get(data) or split_of(data)
        direction = direction_of(metric)
        if self._is_watched(data, metric):
            maximize = self._stopping.maximize
            # If neither the program nor the name decides, EarlyStopping takes less for better.
            direction = (direction or -1) if maximize is None else 1 if maximize else -1
            if self.run.kind in ("fit", "validate"):
                self.run.rank_by(f"{name}-mean" if is_cv else name)
        if is_cv:
            self.run.declare_metric(f"{name}-mean", metric=f"{metric}-mean", split=split, direction=direction)
            self.run.declare_metric(f"{name}-std", metric=f"{metric}-std", split=split, direction=0)
        else:
            self.run.declare_metric(name, metric=metric, split=split, direction=direction)

    def _is_watched(self, data: str, metric: str) -> bool:
        """Whether early stopping looks at this metric: the named one, else the last metric of the last eval set."""
        stopping = self._stopping
        if stopping is None or data != (stopping.data or list(self._history)[-1]):
            return False
        return bool(metric == (stopping.metric_name or list(self._history[data])[-1]))

    @guarded
    def conclude(self, model: Any) -> None:
        """No more iterations come."""
        results: dict[str, Any] = {}
        for name, kind in (("best_iteration", int), ("best_score", float)):
            # A booster that goes on from an earlier one still carries what stopped that.
            text = model.attr(name) if self._stopping is not None else None
            if text is not None:
                results[name] = gathered(self.run, "results", ask, kind, text, what=name)
        n_rounds = self._n_rounds
        if isinstance(n_rounds, int) and 0 < self._steps < n_rounds:
            results["stopped_iteration"] = self._steps - 1
        folds = getattr(model, "cvfolds", None)
        if folds:
            results["n_folds"] = len(folds)
        booster = folds[0].bst if folds else model
        results["booster_config"] = gathered(self.run, "results", config_of, booster, what="booster_config")
        self.run.log_results({name: value for name, value in results.items() if value is not None})
        if not folds:
            run_of[model] = self.run
            gathered(self.run, "results", log_importances, self.run, model, what="importances")
        if not self.is_wrapped:
            self.end(None)

    def saved(self, path: str) -> None:
        """Record a file that was written in the middle, as ``TrainingCheckPoint`` does."""
        self.run.log_artifact(path, role="checkpoint", step=max(0, self._steps - 1))

    def end(self, error: BaseException | None) -> None:
        """Nothing comes any more."""
        if self.run.status == "running":
            self.run.update(steps_done=self._steps)
            if self.is_own:
                self.run.end(error=error)
        self._history, self._stopping = {}, None

    def lost(self) -> None:
        """The container is gone, and the training never came to its end."""
        if self.run.status == "running":
            self.run.event("unseen_error", "training ended by an exception that no hook saw", severity="warning")
            self.run.update(steps_done=self._steps)
            self.run.end("failed")


@guarded
def saved(self: Any, fname: Any) -> None:
    """Record a file that the program wrote, as of the run that trained the booster, or is at it."""
    begun, trained_it = current_training.get(), run_of.get(self)
    known = stamped(fname)
    if known is None or not is_recording():
        return
    if trained_it is not None:
        with trained_it.reopened():
            trained_it.log_artifact(known[0], role="model")
    elif begun is not None:
        begun.saved(known[0])
