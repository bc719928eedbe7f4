"""Settings of Keras's objects, read from what they keep: none of their methods or properties is called.

``get_config()`` would serialize what it finds, for which Keras imports TensorFlow wherever it is installed
(``serialization_lib``: ``tf.available``), and may be the program's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import FunctionType
from typing import Any

import keras

from histhooks.integrations.kit import Run, answer, parameters_of

_PLAIN = (bool, int, float, str)


def is_setting(value: Any) -> bool:
    """Whether a value is plain."""
    return value is None or isinstance(value, _PLAIN)


def is_of_keras(thing: Any) -> bool:
    """Whether a class or a function is Keras's own."""
    return str(getattr(thing, "__module__", "")).partition(".")[0] == "keras"


def _constructor(kind: type) -> Any:
    return next((vars(base)["__init__"] for base in kind.__mro__ if "__init__" in vars(base)), None)


def names_of(kind: type) -> tuple[str, ...]:
    """The names of a constructor's parameters."""
    found = _constructor(kind)
    return parameters_of(found).names if isinstance(found, FunctionType) else ()


def defaults_of(kind: type) -> dict[str, Any]:
    """What the parameters of a constructor are if nothing is given."""
    found = _constructor(kind)
    return parameters_of(found).defaults if isinstance(found, FunctionType) else {}


def settings_in(thing: Any) -> dict[str, Any]:
    """What an object was made with, as far as it keeps it under the names of its constructor's parameters."""
    kept = vars(thing)
    automatic = getattr(kept.get("_auto_config"), "config", None)  # of a layer whose arguments are plain: as given
    given = dict(automatic) if isinstance(automatic, dict) else {}
    found = {}
    nothing: tuple[str, ...] = ()
    for name in answer(nothing, names_of, type(thing)):
        if name in given or name not in kept:
            continue
        plain = _plain(kept[name])
        if plain is not _ODD:
            found[name] = plain
    return {**found, **given}


_ODD = object()


def _plain(value: Any) -> Any:
    """A value as it may stand in a record; numbers in short lists are settings, an array is none."""
    if is_setting(value) or isinstance(value, (type, FunctionType)):
        return value
    if isinstance(value, (list, tuple)) and len(value) <= 100 and all(is_setting(v) for v in value):
        return list(value)
    return type(value).__name__ if is_of_keras(type(value)) else _ODD


def layers_in(layer: Any) -> list[Any]:
    """The layers that a layer or a model is made of, at any depth."""
    return list(keras.layers.Layer._flatten_layers(layer, include_self=False))


def weights_of(layer: Any) -> list[Any]:
    """The variables that a layer or a model holds, each once: ``Layer.weights``, where nobody overrides it."""
    found: dict[int, Any] = {}
    for part in [layer, *layers_in(layer)]:
        for name in ("_trainable_variables", "_non_trainable_variables"):
            found.update((id(variable), variable) for variable in vars(part).get(name) or ())
    return list(found.values())


def size_of(variable: Any) -> int:
    """How many numbers a variable holds."""
    size = 1
    for n in variable.shape:
        size *= int(n)
    return size


def log_with_defaults(run: Run, role: str, settings: Mapping[str, Any], defaults: Mapping[str, Any]) -> None:
    """Params of another object, with what was left as it is apart from what was chosen."""
    left = {k: v for k, v in settings.items() if is_setting(v) and k in defaults and is_setting(defaults[k])}
    left = {k: v for k, v in left.items() if defaults[k] == v}
    run.log_params({f"{role}.{k}": v for k, v in settings.items() if k not in left}, source="argument")
    run.log_params({f"{role}.{k}": v for k, v in left.items()}, source="default")
