"""Files of models: those that the program writes, and those that it loads, until a run that goes on from one begins."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import Any

from histhooks.integrations._estimators import adding_to, find
from histhooks.integrations.keras._fit import fit_of
from histhooks.integrations.kit import Run, bind, gathered, guarded, is_recording

# Path, size and time of change.
_read: weakref.WeakKeyDictionary[Any, tuple[str, int, int]] = weakref.WeakKeyDictionary()


def place_of(path: Any) -> str | None:
    """The absolute path of a file that is there; None for anything else, as a folder or an address."""
    if not isinstance(path, (str, os.PathLike)) or not Path(path).is_file():
        return None
    return os.path.abspath(path)


def note_read(model: Any, path: Any) -> None:
    """A model was loaded from a file, whole or its weights."""
    place = place_of(path)
    if place is not None:
        known = os.stat(place)
        _read[model] = (place, known.st_size, known.st_mtime_ns)


def log_read(run: Run, model: Any) -> None:
    """Record the file that a model came from, unless it was written again since; once."""
    place, *before = _read.pop(model, ("",))
    if place and place_of(place) is not None:
        known = os.stat(place)
        if [known.st_size, known.st_mtime_ns] == before:
            run.log_artifact(place, role="model", direction="in")


def around_save(
    original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Generator[None, Any, None]:
    yield
    _saved(bind(original, args, kwargs))


@guarded
def _saved(bound: Mapping[str, Any]) -> None:
    """Record a file that the program wrote, as of the run that trained the model; also when that has ended."""
    model, place = bound.get("model"), place_of(bound.get("filepath"))
    if model is None or place is None or not is_recording():
        return
    fit = fit_of(model)
    if fit is not None:
        gathered(fit.run, "artifacts", fit.saved, place, what=place)
        return
    trained = find(model)
    if trained is not None:
        with adding_to(trained.run):
            trained.run.log_artifact(place, role="model")


def around_load(
    original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Generator[None, Any, None]:
    result = yield
    _loaded(result, bind(original, args, kwargs))


@guarded
def _loaded(result: Any, bound: Mapping[str, Any]) -> None:
    model = bound.get("model", result)
    if model is None:
        return
    fit, place = fit_of(model), place_of(bound.get("filepath"))
    if fit is None:
        note_read(model, bound.get("filepath"))
    elif place is not None:
        gathered(fit.run, "artifacts", fit.loaded, place, what=place)
