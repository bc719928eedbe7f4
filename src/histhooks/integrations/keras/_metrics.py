"""Metrics of Keras that the program updates itself with what a model of its own predicted.

What ``result`` gives is a point of the run that trained the model, if all that the metric has seen are arrays that
``predict`` returned (:mod:`histhooks.integrations._predictions`), each as it is. That it has seen nothing before shows
in its variables, all of which are 0. The hooks in ``update_state`` and ``result`` come with the first such array, and
are out while a fit or an evaluation goes on: Keras compiles the metrics of these, and calls them for each batch.
On TensorFlow there are none, because a ``tf.function`` of the program would have them in its graph.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import FunctionType
from typing import Any, NamedTuple

import keras

from histhooks.integrations._estimators import adding_to
from histhooks.integrations._predictions import Prediction, is_any_known, judge, prediction_of
from histhooks.integrations.keras._logs import numbers_in
from histhooks.integrations.keras._scores import series_of
from histhooks.integrations.kit import ForkLock, Patches, answer, bind, guarded, is_recording

_MOST_KNOWN = 1000

_patches = Patches()
_lock = ForkLock()
_is_inside: ContextVar[bool] = ContextVar("histhooks_keras_metric", default=False)


class _Seen(NamedTuple):
    """What a metric was updated with since it was reset."""

    metric: weakref.ref[Any]
    prediction: Prediction
    split: str
    words: str


# By id of the metric: what it has seen, where that is of one run, and no point yet.
_seen: dict[int, _Seen] = {}
_told: dict[int, _Seen] = {}


@guarded
def hook() -> None:
    """Hook the metrics that there are, because there is an array that one may be updated with."""
    if _patches or keras.backend.backend() == "tensorflow":
        return
    with _lock.held():
        for kind in _below(keras.Metric):
            for name, around in (("update_state", _around_update), ("result", _around_result)):
                function = vars(kind).get(name)
                if isinstance(function, FunctionType) and _patches.of(function) is None:
                    try:
                        _patches.wrap(kind, name, around)
                    except Patches.Unfit:
                        continue


@guarded
def unhook() -> None:
    """Put everything back, by identity; what metrics have seen by now is not known for certain later."""
    if _patches:
        with _lock.held():
            _patches.undo()
    _seen.clear()
    _told.clear()


@contextmanager
def let_be() -> Iterator[None]:
    """Around a call that compiles the metrics of a model: no hooks while it goes on."""
    were_hooked = bool(_patches)
    unhook()
    try:
        yield
    finally:
        if were_hooked and is_any_known():
            hook()


def _below(kind: type) -> list[type]:
    """Classes that derive from one, each once."""
    found: dict[type, None] = {}
    children: list[type] = kind.__subclasses__()
    for child in children:
        found.update(dict.fromkeys([child, *_below(child)]))
    return list(found)


def _around_update(
    original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Generator[None, Any, None]:
    if _is_inside.get() or not args:
        return
    if all(prediction_of(value) is None for value in (*args[1:], *kwargs.values())):
        _forget(args[0])
        return
    earlier = _earlier(args[0])
    token = _is_inside.set(True)
    try:
        yield
    finally:
        _is_inside.reset(token)
    _keep(original, args, kwargs, earlier)


def _around_result(
    original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Generator[None, Any, None]:
    if _is_inside.get() or not args or id(args[0]) not in _seen:
        return
    token = _is_inside.set(True)
    try:
        value = yield
    finally:
        _is_inside.reset(token)
    _log(args[0], value)


def _forget(metric: Any) -> None:
    """What a metric has seen is not known any more."""
    _seen.pop(id(metric), None)
    _told.pop(id(metric), None)


@guarded
def _earlier(metric: Any) -> _Seen | bool:
    """What a metric has seen before this update: True where that is nothing, False where it is not known."""
    seen = _seen.pop(id(metric), None) or _told.pop(id(metric), None)
    if _is_empty(metric):
        return True
    return seen if seen is not None and seen.metric() is metric else False


def _is_empty(metric: Any) -> bool:
    """Whether all variables of a metric are 0, as after a reset; False where they lie on a device."""
    numpy: Any = sys.modules["numpy"]
    values = [answer(None, getattr, one, "_value", None) for one in keras.Metric.variables.__get__(metric)]
    for value in values:
        if hasattr(type(value), "devices"):
            platforms = {device.platform for device in value.devices()}
        else:
            platforms = {getattr(getattr(value, "device", None), "type", None)}
        if platforms != {"cpu"}:
            return False
        if numpy.asarray(value.detach() if hasattr(value, "detach") else value).any():
            return False
    return bool(values)


@guarded
def _keep(
    original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], earlier: _Seen | bool | None
) -> None:
    bound = bind(original, args, kwargs)
    found = prediction_of(bound.get("y_pred"))
    if not earlier or found is None or prediction_of(bound.get("y_true")) is not None or not is_recording():
        return
    prediction = found.prediction
    words = [] if found.column is None else [f"column={found.column}"]
    words += [prediction.part] if prediction.part else []
    words += ["sample_weight"] if bound.get("sample_weight") is not None else []
    text = ",".join(words)
    if isinstance(earlier, _Seen):
        if earlier.prediction.run is not prediction.run or earlier.words != text:
            return
        split = earlier.split if earlier.prediction is prediction else "unsaid"
    elif prediction.run.takes_more():
        with adding_to(prediction.run):
            split = judge(prediction, bound.get("y_true")).split
    else:
        return
    if len(_seen) > _MOST_KNOWN:
        _seen.clear()
    _seen[id(args[0])] = _Seen(weakref.ref(args[0]), prediction, split, text)


@guarded
def _log(metric: Any, value: Any) -> None:
    seen = _seen.pop(id(metric), None)
    if seen is None or seen.metric() is not metric or not seen.prediction.run.takes_more() or not is_recording():
        return
    _told[id(metric)] = seen  # a second call gives the same value
    run, own = seen.prediction.run, vars(metric).get("name") or type(metric).__name__
    own = f"{own}/{seen.words}" if seen.words else own
    numbers, odd = numbers_in({own: value})
    with adding_to(run):
        for name, why in odd.items():
            run.missing("metrics", f"{name}: {why}")
        for name, number in numbers.items():
            known = run.what_is(name)
            series = series_of(run, f"{seen.split}_{name}")
            run.declare_metric(series, metric=known.metric, split=seen.split, direction=known.direction)
            run.log({series: number}, step=seen.prediction.step)
