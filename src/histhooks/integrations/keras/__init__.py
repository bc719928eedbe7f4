"""Keras 3, with any backend: every ``fit`` leaves a run, with every epoch's logs.

    import histhooks, keras
    histhooks.autolog("keras")
    x, y = keras.random.normal((100, 4)), keras.random.normal((100, 1))
    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile("adam", "mse")
    model.fit(x, y, epochs=5, validation_split=0.2)

    # without autolog(): this training and no other
    from histhooks.integrations.keras import HistoryCallback
    model.fit(x, y, callbacks=[HistoryCallback()])

==========================================  ==========================================================================
Keras                                       record
==========================================  ==========================================================================
``fit``                                     a run of kind `fit`; ``epochs`` and ``initial_epoch`` planned and done
arguments of ``fit``                        params, under their own names; `data.class_weight` and
                                            `data.sample_weight`: whether there were any
``compile``                                 params `compile.<name>`, the optimizer with its settings and its schedule
optimizers that ``train_step`` keeps        the same by attribute: `optimizers`, params `<attribute>.<name>`
logs of an epoch                            points under the host's names, at the last optimizer step of the epoch
learning rate                               points of `lr`, or `lr/<optimizer>.0`: in force at the epoch's last step
``HistoryCallback(every=n)``                points `batch_<name>` each n batches, at the step that they lead to
``x``, ``y``, ``validation_data``           datasets of role `train` and `valid`; of a ``validation_split`` both parts,
                                            where rows of the data can be looked at without a copy
layers, shapes, parameters                  an architecture, once by content
``EarlyStopping``                           params `early_stopping.<name>`; results `stopped_epoch`, `best_epoch`
``ModelCheckpoint``, ``ReduceLROnPlateau``  params `model_checkpoint.<name>`, `reduce_lr_on_plateau.<name>`;
                                            `learning_rate_scheduler.<name>` likewise
``ModelCheckpoint``, ``BackupAndRestore``   each file that they wrote, when the next epoch begins or training ends, as
                                            artifacts of role `checkpoint` or `backup`
a backup that was taken up                  that file as an artifact that was read; a link `resumes` to who wrote it;
                                            the epochs that were left as those planned
``save``, ``save_weights``                  an artifact of role `model` of the run that trained the model, also
                                            after its end; of role `checkpoint` while it trains
``load_model``, ``load_weights``            the file as an artifact that was read, of the run that comes of it
callbacks                                   param `callbacks`, by class
``evaluate`` after a fit                    points `test_<name>` of the run that trained that model, one a call
``evaluate`` of a model not trained here    a run of kind `evaluate`
``train_on_batch``                          one run of kind `loop` per model, a point a call, with the learning rate
==========================================  ==========================================================================

Seams. Callbacks are the official registration; ours is appended to the list that ``CallbackList`` builds, after its
construction, since a callback that is there before with a batch hook switches asynchronous dispatch off
(``_configure_async_dispatch``). ``fit``, ``evaluate`` and ``train_on_batch`` of the backend's ``Trainer`` are wrapped
for their arguments and for exceptions, of which no callback hears. The validation inside ``fit`` is an ``evaluate``
that is given the fit's own ``CallbackList``: it is none of its own. Keras hands logs on as numbers (``pythonify_logs``,
for each batch, in a thread of its own where it dispatches asynchronously), so reading them waits for nothing that the
host does not wait for.

Not recorded: gradients and activations; the logs of batches unless asked; ``predict``; data of a generator, a dataset
or a ``PyDataset`` but for its kind, since reading it would use it up. Tested with 3.15 on the
backends torch 2.13, JAX 0.10 and TensorFlow 2.21, the latter two where they are installed.
"""

from __future__ import annotations

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
from histhooks._messages import warn_once
from histhooks._patching import Patches
from histhooks._run import Run
from histhooks.errors import NotApplicable
from histhooks.integrations import Integration
from histhooks.integrations.keras._facts import (
    Optimizers,
    bind,
    log_architecture,
    log_arguments,
    log_compiled,
    log_data,
    log_split_data,
    names_of,
)
from histhooks.integrations.keras._files import log_read, note_read, place_of
from histhooks.integrations.keras._fit import Fit, TestWatcher, Watcher

_MINIMUM = (3, 6)
_OWN = ("keras", "torch", "jax", "tensorflow", "threading", "concurrent", "functools")

_patches = Patches()
_is_automatic = False
# The run that trained a model, and the open run of a model that is trained batch by batch.
_trained: weakref.WeakKeyDictionary[Any, str] = weakref.WeakKeyDictionary()
_runs: weakref.WeakKeyDictionary[Any, Run] = weakref.WeakKeyDictionary()
_loops: weakref.WeakKeyDictionary[Any, Run] = weakref.WeakKeyDictionary()
_steps_of: weakref.WeakKeyDictionary[Run, int] = weakref.WeakKeyDictionary()
_fitting: ContextVar[Fit | None] = ContextVar("histhooks_keras_fit", default=None)
_evaluating: ContextVar[dict[str, Any] | None] = ContextVar("histhooks_keras_evaluate", default=None)


class HistoryCallback(Callback):
    """Records the fit whose ``callbacks`` it is in; beside ``autolog()`` it changes nothing.

    One object may serve any number of fits, each of which is a run.

    Parameters
    ----------
    every : int, optional
        Record the logs of each so many batches too.

    Examples
    --------
    >>> import keras
    >>> from histhooks.integrations.keras import HistoryCallback
    >>> model = keras.Sequential([keras.layers.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> x, y = keras.random.normal((8, 4)), keras.random.normal((8, 1))
    >>> history = model.fit(x, y, verbose=0, callbacks=[HistoryCallback()])
    """

    async_safe = True

    def __init__(self, every: int | None = None) -> None:
        super().__init__()
        self.every = every
        guarded(_arm)()

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Called by Keras only where nobody saw the call of ``fit``: it was looked up before the hooks were in."""
        if not _is_nested() and _may_record([self]):
            warn_once("keras/late", "this fit is not recorded: after disable(), make HistoryCallback before the call")


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
def _begin(original: Callable[..., Any], bound: dict[str, Any]) -> Fit | None:
    model = bound.get("self")
    if model is None or _is_nested() or not _may_record(bound.get("callbacks")):
        return None
    planned, initial = int(bound.get("epochs", 1)), int(bound.get("initial_epoch", 0))
    run = _open("fit", model, epochs_planned=max(0, planned - initial))
    fit = Fit(run, model, planned, initial)
    _describe(run, original, bound, model)
    return fit


@guarded
def _describe(run: Run, original: Callable[..., Any], bound: dict[str, Any], model: Any) -> None:
    log_arguments(run, original, bound)
    log_compiled(run, model)
    validation, fraction = bound.get("validation_data"), bound.get("validation_split")
    if fraction and validation is None and bound.get("x") is not None:
        log_split_data(run, bound["x"], bound.get("y"), fraction)
    else:
        log_data(run, "train", bound.get("x"), bound.get("y"))
    if isinstance(validation, (tuple, list)) and len(validation) >= 2:
        log_data(run, "valid", validation[0], validation[1])
    elif validation is not None:
        log_data(run, "valid", validation, None)
    log_read(run, model)
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
def _conclude(fit: Fit, model: Any) -> None:
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
        callbacks.callbacks.append(TestWatcher(scores))
    elif fit is not None:
        given = list(callbacks.callbacks)
        every = next((c.every for c in given if isinstance(c, HistoryCallback) and c.every is not None), None)
        fit.enter(callbacks, [c for c in given if not isinstance(c, (HistoryCallback, Watcher))], every)


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
        log_read(run, model)
        log_architecture(run, model)
    with run.reopened():
        log_data(run, "test", bound.get("x"), bound.get("y"))
    return run


@guarded
def _log_scores(run: Run | None, model: Any, scores: Mapping[str, Any]) -> None:
    if run is None:
        return
    with run.reopened():
        run.log({f"test_{name}": float(value) for name, value in scores.items()}, step=Optimizers(model).last_step())


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
        log_read(run, model)
        log_compiled(run, model)
        if run.is_recorded:
            _loops[model] = run
            run.before_end = lambda status: {"steps_done": _steps_of.get(run)}
            weakref.finalize(model, run.end).atexit = False
    return run


@guarded
def _log_batch(run: Run, model: Any, result: Any) -> None:
    values = result if isinstance(result, (list, tuple)) else [result]
    logs = result if isinstance(result, dict) else dict(zip(names_of(model), values, strict=False))
    optimizers = Optimizers(model)
    step = optimizers.last_step()
    run.log({**logs, **optimizers.rates()}, step=step)
    if step is not None:
        _steps_of[run] = step + 1


# --- files of models --------------------------------------------------------------------------------------------------


def _around_save(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    result = original(*args, **kwargs)
    _saved(bind(original, args, kwargs))
    return result


@guarded
def _saved(bound: Mapping[str, Any]) -> None:
    """Record a file that the program wrote, as of the run that trained the model; also when that has ended."""
    model, place, fit = bound.get("model"), place_of(bound.get("filepath")), _fitting.get()
    if place is None or not recorder.is_recording():
        return
    if fit is not None and fit.model is model:
        fit.saved(place)
        return
    loop = _loops.get(model)
    run = loop if loop is not None and loop.status == "running" else _runs.get(model)
    if run is not None:
        with run.reopened():
            run.log_artifact(place, role="model")


def _around_load(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    result = original(*args, **kwargs)
    _loaded(result, bind(original, args, kwargs))
    return result


@guarded
def _loaded(result: Any, bound: Mapping[str, Any]) -> None:
    model, fit = bound.get("model", result), _fitting.get()
    if model is not None and (fit is None or fit.model is not model):
        note_read(model, bound.get("filepath"))


# --- seams ------------------------------------------------------------------------------------------------------------

_AROUND = {"fit": _around_fit, "evaluate": _around_evaluate, "train_on_batch": _around_batch}
# Methods of a model lead to these, by the module that they are in.
_FILES = {"save_model": _around_save, "save_weights": _around_save, "load_model": _around_load,
          "load_weights": _around_load}  # fmt: skip


def _trainers() -> list[type]:
    """The classes that have a ``fit`` of their own: that of the backend, and above it what others put there (MLflow).

    Theirs may lead to the backend's as it was before; of two of ours, the inner one finds itself inside the other.
    """
    classes: tuple[type, ...] = keras.Model.__mro__
    found = [kind for kind in classes if isinstance(vars(kind).get("fit"), FunctionType)]
    return found[: 1 + next(n for n, kind in enumerate(found) if kind is not keras.Model)]


def _arm() -> None:
    """Put the hooks in, once."""
    if _patches:
        return
    for trainer in _trainers():
        for name, around in _AROUND.items():
            if isinstance(vars(trainer).get(name), FunctionType):
                _patches.wrap(trainer, name, around)
    _patches.wrap(CallbackList, "__init__", _around_list_init)
    for name, around in _FILES.items():
        if isinstance(vars(keras.saving).get(name), FunctionType):
            _patches.wrap(keras.saving, name, around)


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
# `model.fit(x, y, callbacks=[HistoryCallback()])` looks `fit` up before it makes the callback.
guarded(_arm)()
