"""Keras 3, with any backend: every ``fit`` leaves a run, with every epoch's logs.

    import histhooks, keras
    histhooks.autolog("keras")
    model.compile("adam", "mse")
    model.fit(x, y, epochs=5, validation_split=0.2)

    # without autolog(): this training and no other
    model.fit(x, y, callbacks=[HistoryCallback()])

==========================================  ==========================================================================
Keras                                       record
==========================================  ==========================================================================
``fit``                                     a run of kind `fit`; ``epochs`` and ``initial_epoch`` planned and done
arguments of ``fit``                        params, under their own names; `data.class_weight` and
                                            `data.sample_weight`: whether there were any
``compile``                                 params `compile.<name>`, the optimizer with its settings and its schedule
logs of an epoch                            points under the host's names, at the last optimizer step of the epoch
learning rate                               points of `lr`, as it was when the epoch began to end
``HistoryCallback(every=n)``                points `batch_<name>` each n batches, read as the host hands them on
``x``, ``y``, ``validation_data``           datasets of role `train` and `valid`
layers, shapes, parameters                  an architecture, once by content
``EarlyStopping``                           params `early_stopping.<name>`; results `stopped_epoch`, `best_epoch`
``ModelCheckpoint``, ``BackupAndRestore``   the files they left, as artifacts of role `checkpoint` or `backup`
callbacks                                   param `callbacks`, by class
``evaluate`` after a fit                    points `test_<name>` of the run that trained that model, one a call
``evaluate`` of a model not trained here    a run of kind `evaluate`
``train_on_batch``                          one run of kind `loop` per model, a point a call
==========================================  ==========================================================================

Seams. Callbacks are the official registration; ours is appended to the list that ``CallbackList`` builds, after its
construction, since a callback that is there before with a batch hook switches asynchronous dispatch off
(``_configure_async_dispatch``). ``fit``, ``evaluate`` and ``train_on_batch`` of the backend's ``Trainer`` are wrapped
for their arguments and for exceptions, of which no callback hears. The validation inside ``fit`` is an ``evaluate``
that is given the fit's own ``CallbackList``: it is none of its own. Keras hands on the logs of an epoch as numbers
(``pythonify_logs``), so reading them waits for nothing that the host does not wait for.

Not recorded: gradients and activations; the logs of batches unless asked; ``predict``; data of a generator, a dataset
or a ``PyDataset`` but for its kind, since reading it would use it up. Tested with 3.15 on the
torch backend; the contract was also held to by hand on JAX and TensorFlow.
"""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import FunctionType
from typing import Any

import keras
from keras.callbacks import Callback, CallbackList

from histhooks import recorder
from histhooks._guard import guarded
from histhooks._patching import Patches
from histhooks._run import Run
from histhooks.errors import NotApplicable
from histhooks.integrations import Integration
from histhooks.integrations.keras._facts import (
    bind,
    files_of,
    learning_rate,
    log_architecture,
    log_arguments,
    log_compiled,
    log_data,
    names_of,
    step_of,
)

_MINIMUM = (3, 6)
_OWN = ("keras", "torch", "jax", "tensorflow", "threading", "concurrent", "functools")
_EARLY_STOPPING = ("monitor", "min_delta", "patience", "baseline", "restore_best_weights", "start_from_epoch")

_patches = Patches()
_is_automatic = False
# The run that trained a model, and the open run of a model that is trained batch by batch.
_trained: weakref.WeakKeyDictionary[Any, str] = weakref.WeakKeyDictionary()
_runs: weakref.WeakKeyDictionary[Any, Run] = weakref.WeakKeyDictionary()
_loops: weakref.WeakKeyDictionary[Any, Run] = weakref.WeakKeyDictionary()
_fitting: ContextVar[_Fit | None] = ContextVar("histhooks_keras_fit", default=None)
_evaluating: ContextVar[dict[str, Any] | None] = ContextVar("histhooks_keras_evaluate", default=None)


class HistoryCallback(Callback):
    """Records the fit whose ``callbacks`` it is in; beside ``autolog()`` it changes nothing.

    One object may serve any number of fits, each of which is a run.

    Parameters
    ----------
    every : int, optional
        Record the logs of each so many batches too. Reading them may wait for the device, as the progress bar does.

    Examples
    --------
    >>> callback = HistoryCallback()
    >>> history = model.fit(x, y, callbacks=[callback])  # doctest: +SKIP
    """

    async_safe = True

    def __init__(self, every: int | None = None) -> None:
        super().__init__()
        self.every = every
        guarded(_arm)()


class _Watcher(Callback):
    """What is in the host's list while a fit is recorded."""

    async_safe = True

    def __init__(self, fit: _Fit) -> None:
        super().__init__()
        self._fit = fit

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        self._fit.epoch_ended(epoch, logs or {})

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        self._fit.train_ended()


class _BatchWatcher(_Watcher):
    """The same, with the logs of batches, which Keras computes only for those that ask."""

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        self._fit.batch_ended(batch, logs or {})


class _TestWatcher(Callback):
    """What is in the host's list while an evaluation is recorded: learns its scores by name."""

    async_safe = True

    def __init__(self, scores: dict[str, Any]) -> None:
        super().__init__()
        self._scores = scores

    def on_test_end(self, logs: Mapping[str, Any] | None = None) -> None:
        self._scores.update(logs or {})


class _Fit:
    """One call of ``fit``: its run, and how far it is."""

    def __init__(self, run: Run, model: Any, planned: int, every: int | None, *, is_own: bool) -> None:
        self.run = run
        self.is_own = is_own
        self.every = every
        self._model = model
        self._planned = planned
        self._done = 0
        self._others: list[Any] = []
        self._begin = time.time()

    def enter(self, callbacks: Any) -> None:
        """Put ours in the host's list, in the place of those that a program put in."""
        given = list(callbacks.callbacks)
        self._others = [c for c in given if not isinstance(c, (HistoryCallback, _Watcher))]
        for callback in given:
            if isinstance(callback, HistoryCallback) and callback.every is not None:
                self.every = callback.every
        ours = (_BatchWatcher if self.every else _Watcher)(self)
        ours.set_model(self._model)
        ours.set_params(callbacks.params)
        # First: another callback may move the learning rate, or fail, at the same moment.
        callbacks.callbacks[:] = [ours, *self._others]
        self._log_callbacks()

    def _log_callbacks(self) -> None:
        names = [f"{type(c).__module__}.{type(c).__qualname__}" for c in self._others]
        self.run.log_params({"callbacks": names}, source="resolved")
        stopping = self._stopping()
        if stopping is not None:
            known = {name: getattr(stopping, name, None) for name in _EARLY_STOPPING}
            self.run.log_params(
                {"early_stopping": {k: v for k, v in known.items() if v is not None}}, source="argument"
            )
        monitored = next((c.monitor for c in self._others if isinstance(getattr(c, "monitor", None), str)), None)
        if monitored is not None and recorder.main_metric() is None:
            self.run.update(main_metric=monitored)

    def _stopping(self) -> Any:
        return next((c for c in self._others if isinstance(c, keras.callbacks.EarlyStopping)), None)

    @guarded
    def epoch_ended(self, epoch: int, logs: Mapping[str, Any]) -> None:
        """Record an epoch, at its last optimizer step."""
        step = step_of(self._model)
        self.run.log(dict(logs), step=step, epoch=epoch)
        rate = learning_rate(self._model, step)
        if rate is not None:
            self.run.log({"lr": rate}, step=step, epoch=epoch)
        self._done += 1
        self.run.update(epochs_done=self._done, steps_done=None if step is None else step + 1)

    @guarded
    def batch_ended(self, batch: int, logs: Mapping[str, Any]) -> None:
        """Record a batch, where it is its turn."""
        if self.every and (batch + 1) % self.every == 0:
            self.run.log({f"batch_{name}": value for name, value in logs.items()}, step=step_of(self._model))

    @guarded
    def train_ended(self) -> None:
        """Record what callbacks found out."""
        results: dict[str, Any] = {}
        stopping = self._stopping()
        if stopping is not None and getattr(stopping, "best", None) is not None:
            results |= {"best_epoch": stopping.best_epoch, "best_score": float(stopping.best)}
            if getattr(stopping, "stopped_epoch", 0):
                results |= {"stopped_epoch": stopping.stopped_epoch, "restored_best": stopping.restore_best_weights}
        self.run.log_results(results)

    @guarded
    def ended(self) -> None:
        """Record the files that callbacks left; also after a failure."""
        for callback in self._others:
            for path, role in files_of(callback):
                if path.is_file() and path.stat().st_mtime >= self._begin - 1:
                    self.run.log_artifact(path, role=role)


def _is_nested() -> bool:
    run = recorder.current_run()
    return run is not None and run.is_implicit and run.kind != "loop"


def _may_record(callbacks: Any) -> bool:
    given = callbacks if isinstance(callbacks, (list, tuple)) else [callbacks]
    is_asked = _is_automatic or any(isinstance(c, HistoryCallback) for c in given)
    return is_asked and recorder.is_recording() and not recorder.is_task()


def _open(kind: str, model: Any, **facts: Any) -> Run:
    return recorder.open_run(
        kind=kind,
        framework="keras",
        framework_version=keras.__version__,
        model_class=f"{type(model).__module__}.{type(model).__qualname__}",
        call_site=recorder.call_site(_OWN),
        **facts,
    )


# --- fit --------------------------------------------------------------------------------------------------------------


@guarded
def _begin(original: Callable[..., Any], bound: dict[str, Any]) -> _Fit | None:
    model = bound.get("self")
    if model is None or _is_nested() or not _may_record(bound.get("callbacks")):
        return None
    planned, initial = int(bound.get("epochs", 1)), int(bound.get("initial_epoch", 0))
    run = _open("fit", model, epochs_planned=max(0, planned - initial))
    fit = _Fit(run, model, planned, None, is_own=True)
    _describe(run, original, bound, model)
    return fit


@guarded
def _describe(run: Run, original: Callable[..., Any], bound: dict[str, Any], model: Any) -> None:
    log_arguments(run, original, bound)
    log_compiled(run, model)
    log_data(run, "train", bound.get("x"), bound.get("y"))
    validation = bound.get("validation_data")
    if isinstance(validation, (tuple, list)) and len(validation) >= 2:
        log_data(run, "valid", validation[0], validation[1])
    elif validation is not None:
        log_data(run, "valid", validation, None)
    if model in _trained:
        run.link("continues", _trained[model])


def _around_fit(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    fit = _begin(original, bind(original, args, kwargs))
    if fit is None:
        return original(*args, **kwargs)
    token = _fitting.set(fit)
    try:
        with recorder.scope(fit.run):
            result = original(*args, **kwargs)
    except BaseException as error:
        _conclude(fit, args[0])
        fit.run.end(error=error)
        raise
    finally:
        _fitting.reset(token)
    _conclude(fit, args[0])
    fit.run.end()
    return result


@guarded
def _conclude(fit: _Fit, model: Any) -> None:
    fit.ended()
    log_architecture(fit.run, model)
    _trained[model] = str(fit.run.id)
    _runs[model] = fit.run


def _around_list_init(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    result = original(*args, **kwargs)
    _enter(args[0])
    return result


@guarded
def _enter(callbacks: Any) -> None:
    fit, scores = _fitting.get(), _evaluating.get()
    if scores is not None:
        callbacks.callbacks.append(_TestWatcher(scores))
    elif fit is not None:
        fit.enter(callbacks)


# --- evaluate ---------------------------------------------------------------------------------------------------------


def _around_evaluate(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    bound = bind(original, args, kwargs)
    is_inner = isinstance(bound.get("callbacks"), CallbackList) or _is_nested()
    if is_inner or "self" not in bound or not _may_record(bound.get("callbacks")):
        return original(*args, **kwargs)
    scores: dict[str, Any] = {}
    token = _evaluating.set(scores)
    try:
        with _evaluation(bound) as run:
            result = original(*args, **kwargs)
            _log_scores(run, bound["self"], scores)
        return result
    finally:
        _evaluating.reset(token)


@contextmanager
def _evaluation(bound: dict[str, Any]) -> Iterator[Run | None]:
    """The run that an evaluation belongs to: that which trained the model here, else one of its own."""
    run = _begin_evaluation(bound)
    if run is None or run.kind != "evaluate":
        yield run
        return
    with recorder.scope(run):
        try:
            yield run
        except BaseException as error:
            run.end(error=error)
            raise
    run.end()


@guarded
def _begin_evaluation(bound: dict[str, Any]) -> Run | None:
    model = bound["self"]
    run = _runs.get(model) or _loops.get(model)
    if run is None:
        run = _open("evaluate", model)
        log_architecture(run, model)
    with run.reopened():
        log_data(run, "test", bound.get("x"), bound.get("y"))
    return run


@guarded
def _log_scores(run: Run | None, model: Any, scores: Mapping[str, Any]) -> None:
    if run is None:
        return
    with run.reopened():
        run.log({f"test_{name}": float(value) for name, value in scores.items()}, step=step_of(model))


# --- train_on_batch ---------------------------------------------------------------------------------------------------


def _around_batch(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if not args or _is_nested() or not _may_record(None):
        return original(*args, **kwargs)
    run = _loop(args[0])
    if run is None:
        return original(*args, **kwargs)
    try:
        with recorder.scope(run):
            result = original(*args, **kwargs)
    except BaseException as error:
        _loops.pop(args[0], None)
        run.end(error=error)
        raise
    _log_batch(run, args[0], result)
    return result


@guarded
def _loop(model: Any) -> Run | None:
    run = _loops.get(model)
    if run is None or run.status != "running":
        run = _open("loop", model)
        log_compiled(run, model)
        if run.is_recorded:
            _loops[model] = run
            weakref.finalize(model, run.end).atexit = False
    return run


@guarded
def _log_batch(run: Run, model: Any, result: Any) -> None:
    values = result if isinstance(result, (list, tuple)) else [result]
    logs = result if isinstance(result, dict) else dict(zip(names_of(model), values, strict=False))
    run.log(dict(logs), step=step_of(model))


# --- seams ------------------------------------------------------------------------------------------------------------

_AROUND = {"fit": _around_fit, "evaluate": _around_evaluate, "train_on_batch": _around_batch}


def _trainer() -> type:
    """The class of this backend that has ``fit``: the one that ``keras.Model`` inherits it from."""
    classes: tuple[type, ...] = keras.Model.__mro__
    return next(kind for kind in classes if isinstance(vars(kind).get("fit"), FunctionType))


def _arm() -> None:
    """Put the hooks in, once."""
    if _patches:
        return
    trainer = _trainer()
    for name, around in _AROUND.items():
        _patches.wrap(trainer, name, around)
    _patches.wrap(CallbackList, "__init__", _around_list_init)


def install() -> None:
    """Record every training from here on."""
    global _is_automatic
    version = tuple(int(part) for part in keras.__version__.split(".")[:2])
    if version < _MINIMUM:
        raise NotApplicable(f"Keras {keras.__version__} is too old; 3.6 or newer is needed")
    _arm()
    _is_automatic = True


def uninstall() -> None:
    """Put everything back, by identity."""
    global _is_automatic
    _is_automatic = False
    _patches.undo()


integration = Integration("keras", install, uninstall)
