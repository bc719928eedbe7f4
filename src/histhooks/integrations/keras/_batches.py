"""``train_on_batch``: one run of kind `loop` for each model, and a point for each call."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from histhooks.integrations._estimators import is_training_data, saw, trained_by
from histhooks.integrations.keras._facts import described, log_compiled
from histhooks.integrations.keras._files import log_read
from histhooks.integrations.keras._logs import numbers_in
from histhooks.integrations.keras._optimizers import Optimizers
from histhooks.integrations.keras._weights import log_first, log_last
from histhooks.integrations.kit import Run, gathered, guarded, scope

# Logs by name, of which the host is about to make a list (``Trainer._flatten_metrics_in_order``).
_flattening: ContextVar[list[Mapping[str, Any]] | None] = ContextVar("histhooks_keras_flattening", default=None)


def around_flattening(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Keep the logs of a call that gives the values alone; asking the model for names may run the program's code."""
    seen = _flattening.get()
    if seen is not None and len(args) > 1 and isinstance(args[1], dict):
        seen.append(dict(args[1]))
    return original(*args, **kwargs)


class Loop:
    """The run of a model that is trained batch by batch."""

    def __init__(self, run: Run, model: Any) -> None:
        self.run = run
        self._steps: int | None = None
        self._odd: set[str] = set()
        self._data: list[weakref.ref[Any]] = []
        self._model = weakref.ref(model)
        self._has_begun = False
        run.before_end = self._concluded

    def _concluded(self, status: str) -> dict[str, Any]:
        model = self._model()
        if self._has_begun:
            log_last(self.run, status, model, None if self._steps is None else self._steps - 1)
        return {"steps_done": self._steps}

    @contextmanager
    def call(self, bound: Mapping[str, Any]) -> Iterator[Callable[[Any], None]]:
        """One call: what is inside belongs to the run, and what it gives is a point."""
        if not self._has_begun:
            self._has_begun = True
            log_first(self.run, bound["self"])
        kept: list[Any] = []
        seen: list[Mapping[str, Any]] = []
        token = _flattening.set(seen)
        try:
            with scope(self.run):
                yield kept.append
        except BaseException as error:
            self.run.end(error=error)
            raise
        finally:
            _flattening.reset(token)
        self._log(bound, kept[0], seen)

    @guarded
    def _log(self, bound: Mapping[str, Any], result: Any, seen: list[Mapping[str, Any]]) -> None:
        logs = result if isinstance(result, dict) else seen[-1] if seen else {}
        numbers, odd = numbers_in(logs)
        for name in odd.keys() - self._odd:
            self._odd.add(name)
            self.run.missing("metrics", f"{name}: {odd[name]}")
        optimizers = Optimizers(bound["self"])
        step = gathered(self.run, "metrics", optimizers.last_step, what="step")
        self.run.log({**optimizers.rates(), **numbers}, step=step)
        self._steps = self._steps if step is None else step + 1
        gathered(self.run, "data", self._see, bound, what="train")

    def _see(self, bound: Mapping[str, Any]) -> None:
        """Keep the first data in mind; where other data follows, nobody knows all that the model was trained on."""
        x, known = bound.get("x"), self.run.data
        if known is not None and (not known.is_whole or any(kept() is x for kept in self._data)):
            return
        self._data = [weakref.ref(x)] if hasattr(x, "__weakref__") or hasattr(x, "shape") else []
        if known is None:
            saw(self.run, *described(x, bound.get("y")))
        elif not is_training_data(self.run, *described(x, bound.get("y"))):
            known.is_whole = False


class Loops:
    """The open runs of models that are trained batch by batch, each of which ends with its model."""

    def __init__(self, open_run: Callable[..., Run]) -> None:
        self._open_run = open_run
        self._loops: dict[int, tuple[weakref.ref[Any], Loop]] = {}

    @guarded
    def of(self, bound: Mapping[str, Any]) -> Loop | None:
        """The loop of a model, which begins with its first batch."""
        model = bound["self"]
        found = self._loops.get(id(model))
        if found is None or found[0]() is not model or found[1].run.status != "running":
            found = (weakref.ref(model), self._begin(model))
            self._loops[id(model)] = found
        return found[1] if found[1].run.is_recorded else None

    def _begin(self, model: Any) -> Loop:
        run = self._open_run("loop", model)
        gathered(run, "artifacts", log_read, run, model, what="model")
        optimizers = Optimizers(model)
        gathered(run, "params", log_compiled, run, model, optimizers, what="compile")
        optimizers.watch()
        if run.is_recorded:
            trained_by(run, model, is_own=True)
            weakref.finalize(model, self._gone, id(model), run).atexit = False
        return Loop(run, model)

    def _gone(self, key: int, run: Run) -> None:
        found = self._loops.get(key)
        if found is not None and found[1].run is run:
            del self._loops[key]
        run.end()

    def end_inside(self, fit: Run) -> None:
        """End the loops that callbacks of a fit began."""
        for _, loop in list(self._loops.values()):
            if loop.run.parent_id == fit.id and loop.run.parent_id is not None:
                loop.run.end()
