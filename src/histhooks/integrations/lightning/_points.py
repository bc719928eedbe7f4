"""What a fit has logged, as points: each where a logger of Lightning gets it, whether there is a logger or not."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from typing import Any

from histhooks.integrations._pytorch import is_elsewhere
from histhooks.integrations.kit import Run

_MOST_STEPS = 1 << 62
# Of each series of a run: of which phase it is.
_owners: weakref.WeakKeyDictionary[Run, dict[str, str]] = weakref.WeakKeyDictionary()


def owners_of(run: Run) -> dict[str, str]:
    """The series that a run has, and of which phase each is."""
    return _owners.setdefault(run, {})


class Points:
    """The points of one fit.

    Loggers get what ``_LoggerConnector.log_metrics`` is called with. ``callback_metrics`` has more: what is logged with
    ``logger=False``, the name without its ending where one is logged by step and by epoch, and what callbacks put
    there themselves. A value stays there until the next one, so only what is new counts: Lightning puts another tensor
    there for each (https://github.com/Lightning-AI/pytorch-lightning/issues/7558).

    What the connector keeps is read as it is (``_callback_metrics``): its property reduces what was logged over the
    epoch, for which the processes of a distributed training wait for each other, and only one of them records.
    """

    def __init__(self, run: Run, trainer: Any) -> None:
        self._run = run
        self._trainer = trainer
        self._names: dict[tuple[str, str], str] = {}  # of a phase and a name: that of the series
        self._owners = owners_of(run)
        self._seen: dict[str, Any] = {}  # by name: what was there when it was recorded last
        self._held: dict[str, Any] = {}  # what training had logged before a validation, and no logger got
        self._foreign: set[str] = set()  # names of what callbacks put there themselves, in this epoch
        self._at: dict[str, tuple[int, int]] = {}  # by name: step and epoch of the latest point in training
        self._validated_after = -1  # so many batches
        self.rates: dict[str, float] = {}
        self._rates_at = -1  # the step whose rates were recorded last

    # --- what is there ------------------------------------------------------------------------------------------

    def _now(self) -> dict[str, Any]:
        return dict(self._trainer._logger_connector._callback_metrics)

    def _new(self, now: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in now.items() if self._seen.get(name) is not value and is_number(value)}

    def _of_training(self) -> set[str]:
        return names_of(self._trainer.fit_loop.epoch_loop._results)

    def _of_validation(self) -> set[str]:
        return names_of(self._trainer.fit_loop.epoch_loop.val_loop._results)

    def _batches(self) -> int:
        return int(self._trainer.fit_loop.epoch_loop.batch_progress.total.ready)

    def _step(self) -> int:
        return max(0, int(self._trainer.global_step) - 1)

    # --- moments ------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Training begins; what is there already is of nothing that counts."""
        self._seen = self._now()

    def step_logged(self, metrics: dict[str, Any]) -> None:
        """Loggers get the values of a step."""
        now, step = self._now(), self._step()
        known = self._of_training() | self._of_validation()
        # What a callback put there: LearningRateMonitor does, which also gives it to loggers.
        foreign = {name: value for name, value in self._new(now).items() if name not in known and name not in metrics}
        self._foreign |= foreign.keys()
        values = {**foreign, **metrics}
        self._seen.update({name: now[name] for name in values if name in now})
        self._at.update(dict.fromkeys(values, (step, self._trainer.current_epoch)))
        if values:
            self._put_all("train", metrics, foreign, step)

    def logged_directly(self, metrics: Mapping[str, Any], step: Any) -> None:
        """A logger gets values from a callback or from the program itself; LearningRateMonitor is such a one."""
        values = {name: value for name, value in metrics.items() if isinstance(name, str) and is_number(value)}
        now, phase = self._now(), "valid" if self._trainer.validating else "train"
        self._seen.update({name: now[name] for name in values if name in now})
        self._foreign |= values.keys() & now.keys()
        at = step if type(step) is int and step >= 0 else self._step()
        self._at.update(dict.fromkeys(values, (at, self._trainer.current_epoch)))
        if values:
            self._put(phase, values, at, self._trainer.current_epoch, is_by_step=False)

    def epoch_logged(self, metrics: dict[str, Any]) -> None:
        """Loggers get what was reduced over an epoch, the last that happens in it."""
        now, step = self._now(), self._step()
        new = {name: value for name, value in self._new(now).items() if name not in metrics}
        training, validation = self._of_training(), self._of_validation()
        # What a validation found was recorded then, but is put there anew as often as anybody asks.
        new = {name: value for name, value in new.items() if name not in validation or name in training}
        if self._validated_after == self._batches():
            new = {name: value for name, value in new.items() if name not in validation}
        new = {**self._held, **{name: now[name] for name in self._foreign if name in now}, **new}
        # Of what is logged by step, the value after the last one too: it is what the program sees after a fit.
        here = (step, self._trainer.current_epoch)  # an epoch that is stopped while it accumulates has no step
        more = {name: value for name, value in new.items() if self._at.get(name) != here}
        self._put_all("train", metrics, more, step)
        self._seen, self._held, self._foreign = now, {}, set()

    def validation_begins(self) -> None:
        """A validation inside the fit begins, which may come several times an epoch."""
        now = self._now()
        own = self._of_training() | (now.keys() - self._of_validation())
        new = {name: value for name, value in self._new(now).items() if name in own}
        self._seen.update(now)
        self._held.update(new)

    def validation_logged(self, metrics: dict[str, Any], batch: int | None) -> None:
        """Loggers get the values of a batch of a validation, or what it found when it is over."""
        epoch = self._trainer.current_epoch
        if batch is not None:
            if metrics:
                self._put("valid", metrics, batch, epoch, is_by_step=False)
            return
        now = self._now()
        new = self._new(now)
        self._seen.update(now)
        self._validated_after = self._batches()
        if new or metrics:
            self._put_all("valid", metrics, new, self._step(), is_by_step=False)

    # --- where it goes ------------------------------------------------------------------------------------------

    def _put_all(
        self, phase: str, metrics: dict[str, Any], more: dict[str, Any], step: int, *, is_by_step: bool = True
    ) -> None:
        """Record what loggers get, and what else is there.

        Where the program logs a `step`, loggers take it as the place of all that comes with it
        (``_LoggerConnector.log_metrics``), and have no metric of that name.
        """
        epoch, own = self._trainer.current_epoch, metrics.get("step")
        if own is None or is_elsewhere(own) or not 0 <= float(own) < _MOST_STEPS:
            self._put(phase, {**more, **metrics}, step, epoch, is_by_step=is_by_step)
            return
        self._put(phase, {k: v for k, v in metrics.items() if k != "step"}, int(own), epoch, is_by_step=False)
        rest = {name: value for name, value in more.items() if name not in metrics}
        if rest or is_by_step:
            self._put(phase, rest, step, epoch, is_by_step=is_by_step)

    def _put(self, phase: str, values: dict[str, Any], step: int, epoch: int, *, is_by_step: bool = True) -> None:
        points = {self._names.get((phase, name)) or self._named(phase, name): value for name, value in values.items()}
        if is_by_step:
            points |= self.rates if step != self._rates_at else {}
            self._rates_at = step
        self._run.log(points, step=step, epoch=epoch)

    def _named(self, phase: str, name: str) -> str:
        """The series of what was logged in a phase: `loss`, and `loss/valid` where training logs a `loss` too."""
        owner = self._owners.get(name)
        is_free = owner is None and not (phase == "valid" and name in self._of_training_loggers())
        series = name if is_free or owner == phase else f"{name}/{phase}"
        while self._owners.get(series, phase) != phase:
            series += f"/{phase}"
        self._owners[series] = phase
        self._names[phase, name] = series
        known = Run.describe(name)
        if known.metric == name and known.split != phase:  # the name itself says nothing else
            self._run.declare_metric(series, metric=name, split=phase, direction=self._run.what_is(name).direction)
        elif series != name:
            self._run.declare_metric(
                series, metric=known.metric, split=phase, direction=self._run.what_is(name).direction
            )
        return series

    def _of_training_loggers(self) -> set[str]:
        """Names under which loggers get what training logs."""
        results = list(self._trainer.fit_loop.epoch_loop._results.values())
        return {item.meta.forked_name(how) for item in results for how in (True, False) if item.meta.logger}


def names_of(results: Any) -> set[str]:
    """All names that what a loop collects has in ``callback_metrics``."""
    found = set()
    for item in list(results.values()):
        meta = item.meta
        suffix = ""
        if meta.add_dataloader_idx and meta.dataloader_idx is not None:
            suffix = results.DATALOADER_SUFFIX.format(meta.dataloader_idx)
        found |= {meta.name + suffix, meta.forked_name(True) + suffix, meta.forked_name(False) + suffix}
    return found


def is_number(value: Any) -> bool:
    """Whether something in ``callback_metrics`` is a number; callbacks may put anything there."""
    return bool(value.numel() == 1) if hasattr(value, "numel") else type(value) in (int, float, bool)
