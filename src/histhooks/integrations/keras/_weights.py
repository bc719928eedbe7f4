"""The weights of a model by content, under names that no counter of the process is in: `0.kernel`, `1.bias`, ...

The number is the place among ``model.get_weights()``; a model that is built a second time has other names of layers, as
`dense_7`, and the same places. Nothing of the model is called. On PyTorch and JAX values are read where they lie on the
CPU; those of JAX by the address of their buffer, since ``numpy.asarray`` would hold it, and ``fit`` hands it over to
the device (``donate_argnums``).
"""

from __future__ import annotations

import ctypes
import sys
import threading
from functools import partial
from typing import Any

import keras

from histhooks.integrations._pytorch import Unreadable, Values, values_of
from histhooks.integrations.keras._settings import weights_of
from histhooks.integrations.kit import Run, gathered


def log_first(run: Run, model: Any) -> None:
    """Record the weights of a model before it trains."""
    what = "weights at the start"
    gathered(run, "weights", run.log_weights, "start", partial(values_in, model), what=what)


def log_last(run: Run, status: str, model: Any, step: int | None) -> None:
    """Record the weights of a model as its training ends, where it is there and trains no more."""
    if model is None:
        run.capture("weights", "skipped", "not recorded at the end: the model was let go of before")
    elif status == "killed" or threading.get_ident() != run.thread_id:
        run.capture("weights", "skipped", "not recorded at the end: a signal or another thread ended the run")
    else:
        gathered(run, "weights", _log_last, run, model, step, what="weights at the end")


def _log_last(run: Run, model: Any, step: int | None) -> None:
    run.log_weights("end", partial(values_in, model), step=step)


def values_in(model: Any) -> list[Values]:
    """What is read of the weights of a model.

    Raises
    ------
    Unreadable
        Where it is not built, or its values lie where they had to be waited for.
    """
    if not vars(model).get("built"):
        raise Unreadable("the model is not built")
    named = {f"{n}.{_name_of(v)}": vars(v).get("_value") for n, v in enumerate(weights_of(model))}
    gone = next((name for name, value in named.items() if value is None), None)
    if gone is not None:
        raise Unreadable(f"the value of {gone} is not there")
    backend = keras.backend.backend()
    if backend == "torch":
        return values_of(named)
    if backend == "jax":
        return [_of_jax(name, value) for name, value in named.items()]
    raise Unreadable(f"values of the backend {backend} are not read")


def _name_of(variable: Any) -> str:
    name = str(vars(variable).get("_name", "variable"))
    return "variable" if name.startswith("variable_") else name  # `variable_12`: the count is that of the process


def _of_jax(name: str, array: Any) -> Values:
    if not isinstance(array, sys.modules["jax"].Array):
        raise Unreadable(f"{name} is a {type(array).__name__}, no array")
    if array.is_deleted() or len(array.devices()) != 1:
        raise Unreadable(f"{name} lies on several devices, or nowhere")
    platform = next(iter(array.devices())).platform
    if platform != "cpu" or not array.is_ready():
        raise Unreadable(f"{name} is on a device ({platform}), which had to be waited for")
    data = (ctypes.c_char * array.nbytes).from_address(array.unsafe_buffer_pointer()) if array.nbytes else b""
    return Values(name, str(array.dtype), tuple(array.shape), array.nbytes, id(array), data)
