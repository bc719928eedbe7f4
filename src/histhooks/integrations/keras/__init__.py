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
``fit``                                     a run of kind `fit`; epochs planned and done (``epochs``, ``initial_epoch``)
arguments of ``fit``                        params, under their own names; `data.class_weight` and
                                            `data.sample_weight`: whether there were any
``compile``                                 params `compile.<name>`, the optimizer with its settings and its schedule
optimizers that ``train_step`` keeps        the same by attribute: `optimizers`, params `<attribute>.<name>`
logs of an epoch                            points under the host's names, at the last optimizer step of the epoch: as
                                            ``History`` has them, with what other callbacks put there
several numbers under one name              a series for each, in the host's order: `f1/0`, `f1/1`; of a matrix `cm/0.1`
learning rate                               points of `lr`, or `lr/<optimizer>.0`: in force at the epoch's last step;
                                            Keras's own ``learning_rate`` stays beside it, a program's own `lr` is `lr`
``HistoryCallback(every=n)``                points `batch_<name>` each n batches, at the step that they lead to
``x``, ``y``, ``validation_data``           datasets of role `train` and `valid`; of a ``validation_split`` both parts,
                                            where rows of the data can be looked at without a copy
layers, shapes, parameters                  an architecture, once by content
the model at the start and end of ``fit``   `weights`: digest, norm, number of non-finite values; names are places
                                            among ``get_weights()``, `0.kernel`; on PyTorch and JAX, on the CPU
``EarlyStopping``                           params `early_stopping.<name>`; results `stopped_epoch`, `best_epoch`
``ModelCheckpoint``, ``ReduceLROnPlateau``  params `model_checkpoint.<name>`, `reduce_lr_on_plateau.<name>`;
                                            `learning_rate_scheduler.<name>` likewise
``ModelCheckpoint``, ``BackupAndRestore``   each file that they wrote, when the next epoch begins or training ends, as
                                            artifacts of role `checkpoint` or `backup`
a fit that continues from a backup          that file as an artifact that was read; a link `resumes` to its run; the
                                            epochs that were left are planned (all, if it was of the first one)
``save``, ``save_weights``                  an artifact of role `model` of the run that trained the model, also
                                            after its end; of role `checkpoint` while it trains
``load_model``, ``load_weights``            the file as an artifact that was read, of the run that starts from it
callbacks                                   param `callbacks`, by class
``evaluate`` after a fit, or inside it      points of the run that trains that model, one a call: `test_<name>` on new
                                            data, `train_<name>` and `valid_<name>` on that of the fit, `unsaid_<name>`
                                            where the data cannot be compared; `test_<name>/after` where there were such
                                            points inside the fit
``evaluate`` of a model not trained here    a run of kind `evaluate`
``fit`` inside a fit                        a run of its own inside that of the other, also of the same model
``predict`` inside a fit                    nothing
``predict``, ``predict_on_batch`` outside   what a function of ``sklearn.metrics``, or a metric of Keras, makes of that
                                            very array: points of the run that trained the model
``train_on_batch``                          one run of kind `loop` per model, a point a call, with the learning rate
==========================================  ==========================================================================

How it hooks in.

``fit``, ``evaluate`` and ``train_on_batch`` of the backend's ``Trainer`` are wrapped for their arguments and for
exceptions, which callbacks do not see. The ``CallbackList`` that a fit makes or is given stays unchanged; its hooks are
observed before and after all callbacks run (``_lists``). Logs are one dict that each callback in turn may change, so
they are read after all of them; the learning rate is read before any of them changes it. histhooks adds no callback to
the list, because a callback with a batch hook switches asynchronous dispatch off (``_configure_async_dispatch``). The
validation inside ``fit`` is an ``evaluate`` call that gets the fit's own ``CallbackList``; it is not recorded as an
evaluation. Keras passes logs on as numbers (``pythonify_logs``, for each batch, in a separate thread if it dispatches
asynchronously), so reading them waits for nothing that Keras itself does not wait for. Arrays stay arrays.

No method or property of the program's models, layers, callbacks or schedules is called. Settings are the attributes
that have the names of constructor parameters, because Keras's ``get_config()`` would import TensorFlow if it is
installed. The rate of a custom schedule is the value that Keras gets (PyTorch), or is computed by one call per epoch
(JAX and TensorFlow, which compile it).

Not recorded: gradients and activations; logs of batches, unless asked for; the data of a generator, a
dataset or a ``PyDataset`` except its kind, since reading it would use it up; text and other objects in logs, which
`captures` names. If a subclass of ``CallbackList`` has hooks that call the callbacks themselves, its epochs are taken
from ``History`` at the end, without steps and learning rates. Tested with 3.15 on the backends torch 2.13, JAX 0.10 and
TensorFlow 2.21, the latter two if they are installed.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextvars import ContextVar
from types import FunctionType
from typing import Any

import keras
from keras.callbacks import Callback, CallbackList

from histhooks.integrations._estimators import find, trained_by
from histhooks.integrations.keras import _lists, _metrics
from histhooks.integrations.keras._batches import Loops, around_flattening
from histhooks.integrations.keras._facts import log_arguments, log_compiled, log_data
from histhooks.integrations.keras._files import around_load, around_save, log_read
from histhooks.integrations.keras._fit import Fit, fit_of, fitting
from histhooks.integrations.keras._layers import log_architecture
from histhooks.integrations.keras._predicting import around_predict
from histhooks.integrations.keras._scores import Evaluation, recorded
from histhooks.integrations.kit import (
    Integration,
    Patches,
    Run,
    bind,
    call_site,
    ensure_session,
    gathered,
    guarded,
    is_task,
    open_run,
    outer_run,
    require,
    scope,
)

_OWN = ("keras", "torch", "jax", "tensorflow", "threading", "concurrent", "functools")

_patches = Patches()
_is_automatic = False
_evaluating: ContextVar[Evaluation | None] = ContextVar("histhooks_keras_evaluate", default=None)


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


def _is_part() -> bool:
    """Whether this is part of what goes on in another host, such as a search.

    What a callback, a layer or a generator of the program fits inside a fit of Keras is a training of its own.
    """
    run = outer_run()
    return run is not None and run.framework != "keras"


def _given(callbacks: Any) -> list[Any]:
    """The callbacks of a call, however they were given."""
    if isinstance(callbacks, CallbackList):
        return _lists.callbacks_in(callbacks)
    return list(keras.tree.flatten(callbacks)) if callbacks else []


def _may_record(callbacks: Any) -> bool:
    is_asked = _is_automatic or any(isinstance(c, HistoryCallback) for c in _given(callbacks))
    return is_asked and ensure_session() and not is_task()


def _open(kind: str, model: Any, **facts: Any) -> Run:
    return open_run(
        kind=kind,
        framework="keras",
        framework_version=keras.__version__,
        model_class=f"{type(model).__module__}.{type(model).__qualname__}",
        call_site=call_site(_OWN),
        **facts,
    )


# --- fit --------------------------------------------------------------------------------------------------------------


@guarded
def _begin(original: Callable[..., Any], bound: dict[str, Any]) -> Fit | None:
    model, outer = bound.get("self"), fitting.get()
    is_same = outer is not None and outer.model is model and not outer.has_begun  # wrapped twice, see _trainers
    if model is None or is_same or _is_part() or not _may_record(bound.get("callbacks")):
        return None
    planned, initial = bound.get("epochs", 1), bound.get("initial_epoch", 0)
    is_known = isinstance(planned, int) and isinstance(initial, int)
    run = _open("fit", model, epochs_planned=max(0, planned - initial) if is_known else None)
    fit = Fit(run, model, planned if is_known else None, initial if is_known else 0, outer)
    gathered(run, "params", log_arguments, run, original, bound, what="arguments of fit")
    gathered(run, "params", log_compiled, run, model, fit.optimizers, what="compile")
    gathered(run, "data", log_data, run, bound, what="data")
    gathered(run, "artifacts", log_read, run, model, what="model")
    gathered(run, "links", _log_link, run, model, what="continues")
    given = bound.get("callbacks")
    if isinstance(given, CallbackList):
        _enter_fit(fit, given)
    return fit


def _log_link(run: Run, model: Any) -> None:
    around, earlier = fit_of(model), find(model)
    if around is not None or earlier is not None:
        run.link("continues", around.run.id if around is not None else earlier.run.id if earlier is not None else None)


def _around_fit(
    original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Generator[None, Any, None]:
    fit = _begin(original, bind(original, args, kwargs))
    if fit is None:
        _metrics.unhook()
        return
    token, inner = fitting.set(fit), _evaluating.set(None)
    try:
        with _metrics.let_be(), scope(fit.run):
            yield
    except BaseException as error:
        _conclude(fit, error)
        raise
    finally:
        fitting.reset(token)
        _evaluating.reset(inner)
    _conclude(fit, None)


def _conclude(fit: Fit, error: BaseException | None) -> None:
    try:
        _look_back(fit, is_failed=error is not None)
    finally:
        # Whatever comes of looking back, Ctrl-C in the midst of it included.
        fit.leave()
        fit.run.end(error=error)


@guarded
def _look_back(fit: Fit, *, is_failed: bool) -> None:
    fit.ended(is_failed=is_failed)
    _loops.end_inside(fit.run)
    gathered(fit.run, "architecture", log_architecture, fit.run, fit.model)
    trained_by(fit.run, fit.model, is_own=True)
    around = fit.outer
    while around is not None and around.model is not fit.model:
        around = around.outer
    if around is not None and fit.run.data is not None:
        # The fit around this one goes on with a model that saw this data too.
        for role, prints in fit.run.data.prints.items():
            for seen in list(prints):
                around.run.know(role, seen)


def _around_list_init(
    original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Generator[None, Any, None]:
    yield
    fit, evaluation = fitting.get(), _evaluating.get()
    if fit is not None or evaluation is not None:
        _enter(args[0], fit, evaluation)


@guarded
def _enter(callbacks: Any, fit: Fit | None, evaluation: Evaluation | None) -> None:
    """Listen to the list that the call which goes on has just made, and to none that code inside it makes."""
    # Who wraps the constructor may hide its arguments.
    model, has_history = vars(callbacks).get("_model"), vars(callbacks).get("_history") is not None
    if evaluation is not None:
        if evaluation.callbacks is None and evaluation.model is model:
            evaluation.enter(callbacks)
    elif fit is not None and fit.callbacks is None and fit.model is model and has_history:
        _enter_fit(fit, callbacks)


def _enter_fit(fit: Fit, callbacks: CallbackList) -> None:
    given = _given(callbacks)
    every = next((c.every for c in given if isinstance(c, HistoryCallback) and c.every is not None), None)
    others = [c for c in given if not isinstance(c, HistoryCallback)]
    # What the host adds by itself is nobody's choice.
    added = [vars(callbacks).get(name) for name in ("_history", "_progbar")]
    fit.enter(callbacks, others, [c for c in others if all(c is not one for one in added)], every)


# --- evaluate ---------------------------------------------------------------------------------------------------------


def _around_evaluate(
    original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Generator[None, Any, None]:
    bound = bind(original, args, kwargs)
    evaluation = _begin_evaluation(bound)
    if evaluation is None:
        return
    token = _evaluating.set(evaluation)
    try:
        with _metrics.let_be(), recorded(evaluation, bound, fit_of(evaluation.model), _open):
            yield
    finally:
        _evaluating.reset(token)
        evaluation.leave()


@guarded
def _begin_evaluation(bound: dict[str, Any]) -> Evaluation | None:
    """The evaluation, where it is the program's own: that of validation data is given the list of its fit."""
    model, given = bound.get("self"), bound.get("callbacks")
    fit, outer = fit_of(model) if model is not None else None, _evaluating.get()
    if model is None or _is_part() or (fit is not None and fit.callbacks is given is not None):
        return None
    if outer is not None and outer.model is model:
        return None  # wrapped twice, see _trainers
    if bound.get("_use_cached_eval_dataset"):
        return None  # of a fit that nobody listens to
    # Who asked for a fit to be recorded asked for what is evaluated inside it.
    if not (_may_record(given) or (fit is not None and ensure_session())):
        return None
    evaluation = Evaluation(model)
    if isinstance(given, CallbackList):
        evaluation.enter(given)
    return evaluation


# --- train_on_batch ---------------------------------------------------------------------------------------------------

_loops = Loops(_open)


def _around_batch(
    original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Generator[None, Any, None]:
    bound = _batch(original, args, kwargs)
    loop = _loops.of(bound) if bound else None
    if loop is None or bound is None:
        return
    with loop.call(bound) as keep:
        keep((yield))


@guarded
def _batch(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any] | None:
    return None if not args or _is_part() or not _may_record(None) else bind(original, args, kwargs)


# --- seams ------------------------------------------------------------------------------------------------------------

_AROUND = {"fit": _around_fit, "evaluate": _around_evaluate, "train_on_batch": _around_batch,
           "predict": around_predict, "predict_on_batch": around_predict}  # fmt: skip
_FLATTENS = "_flatten_metrics_in_order"
# Methods of a model lead to these, by the module that they are in.
_FILES = {"save_model": around_save, "save_weights": around_save, "load_model": around_load,
          "load_weights": around_load}  # fmt: skip


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
    for kind in [k for k in keras.Model.__mro__ if isinstance(vars(k).get(_FLATTENS), FunctionType)][:1]:
        _patches.wrap(kind, _FLATTENS, around_flattening)
    _lists.install()
    for name, around in _FILES.items():
        if isinstance(vars(keras.saving).get(name), FunctionType):
            _patches.wrap(keras.saving, name, around)


def install() -> None:
    """Record every training from here on."""
    global _is_automatic
    require("keras", keras.__version__)
    _arm()
    _is_automatic = True


def uninstall() -> None:
    """Put everything back, by identity."""
    global _is_automatic
    _is_automatic = False
    _metrics.unhook()
    _lists.uninstall()
    _patches.undo()


integration = Integration("keras", install, uninstall)
