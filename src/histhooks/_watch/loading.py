"""See which file a model is loaded from: joblib, pickle, torch, safetensors, Keras, XGBoost, Lightning by torch."""

from __future__ import annotations

import functools
import os
import sys
import weakref
from collections import deque
from collections.abc import Callable, Generator
from types import FunctionType, ModuleType
from typing import Any

from histhooks._hooks.imports import no_longer, when_imported
from histhooks._hooks.patching import Patches
from histhooks._host.guard import guarded
from histhooks._watch import calls

WHO = "watch"
_DEEPEST = 2
_MOST_LISTED = 50

_patches = Patches()
Loaded = Callable[[Any, "str | bytes"], None]


class _States:
    """Tensors that came from files, so that a module which is filled with them is known."""

    def __init__(self) -> None:
        self._known: deque[tuple[str, set[int], list[weakref.ref[Any]]]] = deque(maxlen=10)

    def keep(self, content: Any, path: str) -> None:
        """A file was loaded, which may hold the state of a module."""
        tensors = _tensors(content, 0)[:2000]
        if tensors:
            self._known.append((path, {id(one) for one in tensors}, [weakref.ref(one) for one in tensors[:4]]))

    def file_of(self, state: Any) -> str | None:
        """The file that a state came from."""
        if not isinstance(state, dict):
            return None
        ids = {id(value) for value in state.values()}
        path: str
        for path, known, refs in reversed(self._known):
            if any(ref() is not None for ref in refs) and len(ids & known) > len(ids) / 2:
                return path
        return None


_states = _States()


def _tensors(content: Any, depth: int) -> list[Any]:
    torch = sys.modules.get("torch")
    if torch is None:
        return []
    if isinstance(content, torch.Tensor):
        return [content]
    if depth > _DEEPEST or not isinstance(content, dict):
        return []
    return [one for value in content.values() for one in _tensors(value, depth + 1)]


def models_in(content: Any, depth: int = 0) -> list[Any]:
    """The models in what was loaded: itself, or in a dict or a list of it."""
    if calls.is_model(content):
        return [content]
    if depth >= _DEEPEST:
        return []
    inside = content.values() if isinstance(content, dict) else content if type(content) in (list, tuple) else ()
    return [one for value in list(inside)[:_MOST_LISTED] for one in models_in(value, depth + 1)]


def path_of(file: Any) -> str | None:
    """The file that a path or an open file is; None where it is neither."""
    name = file if isinstance(file, (str, os.PathLike)) else getattr(file, "name", None)
    if not isinstance(name, (str, os.PathLike)):
        return None
    path = os.path.abspath(os.fspath(name)) if isinstance(os.fspath(name), str) else None
    return path if path is not None and os.path.isfile(path) else None


# --- hooks ------------------------------------------------------------------------------------------------------------

Watching = Generator[None, Any, None]
Watcher = Callable[[Callable[..., Any], tuple[Any, ...], dict[str, Any]], Watching]


def _given(args: tuple[Any, ...], kwargs: dict[str, Any], place: int, name: str) -> Any:
    return args[place] if len(args) > place else kwargs.get(name)


def _result(loaded: Loaded, name: str) -> Watcher:
    """A function that gives what it read."""

    def watch(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Watching:
        file = _given(args, kwargs, 0, name)
        content = yield
        _came(loaded, content, file)

    return watch


@guarded
def _came(loaded: Loaded, content: Any, file: Any) -> None:
    path = path_of(file)
    if path is None:
        return
    _states.keep(content, path)
    for model in models_in(content):
        loaded(model, path)


def _bytes(loaded: Loaded) -> Watcher:
    def watch(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Watching:
        content = yield
        data = args[0] if args else None
        if isinstance(data, (bytes, bytearray)) and calls.is_model(content):
            guarded(loaded)(content, bytes(data))

    return watch


def _self(loaded: Loaded, name: str) -> Watcher:
    """A method that fills a model from a file."""

    def watch(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Watching:
        file = _given(args, kwargs, 1, name)
        yield
        path = path_of(file)
        if path is not None and args:
            guarded(loaded)(args[0], path)

    return watch


def _filled(loaded: Loaded) -> Watcher:
    def watch(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Watching:
        yield
        path = _states.file_of(_given(args, kwargs, 1, "state_dict"))
        if path is not None and args:
            guarded(loaded)(args[0], path)

    return watch


def _compiled(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Watching:
    """``torch.compile`` gives another module, which stands for the one that is watched."""
    result = yield
    tally = calls.tally_of(args[0]) if args else None
    if tally is not None and result is not args[0]:
        calls.watch(result, tally)


# Module -> functions in it, what makes the watch, and the param that names the file.
_SEAMS: dict[str, tuple[tuple[str, str, str], ...]] = {
    "joblib.numpy_pickle": (("load", "result", "filename"),),
    "pickle": (("load", "result", "file"), ("loads", "bytes", "")),
    "cloudpickle": (("load", "result", "file"), ("loads", "bytes", "")),
    "dill": (("load", "result", "file"),),
    "skops.io._persist": (("load", "result", "file"),),
    "torch": (("compile", "compiled", ""),),
    "torch.serialization": (("load", "result", "f"),),
    "torch.jit._serialization": (("load", "result", "f"),),
    "torch.nn.modules.module": (("Module.load_state_dict", "filled", ""),),
    "safetensors.torch": (("load_file", "result", "filename"),),
    "keras.src.saving.saving_api": (("load_model", "result", "filepath"),),
    "keras.src.models.model": (("Model.load_weights", "self", "filepath"),),
    "xgboost.core": (("Booster.load_model", "self", "fname"),),
    "xgboost.sklearn": (("XGBModel.load_model", "self", "fname"),),
}


def _installer(loaded: Loaded, name: str) -> Callable[[ModuleType], None]:
    makers: dict[str, Callable[[str], Watcher]] = {
        "result": functools.partial(_result, loaded),
        "self": functools.partial(_self, loaded),
        "bytes": lambda _: _bytes(loaded),
        "filled": lambda _: _filled(loaded),
        "compiled": lambda _: _compiled,
    }

    @guarded
    def install(module: ModuleType) -> None:
        for path, kind, param in _SEAMS[name]:
            holder, _, function = path.rpartition(".")
            owner = vars(module).get(holder) if holder else module
            found = None if owner is None else vars(owner).get(function)
            if isinstance(found, FunctionType):
                if _patches.of(found) is None:
                    _patches.wrap(owner, function, makers[kind](param))
            elif callable(found) and getattr(found, "__module__", "") != __name__ and not _is_ours(found):
                _patches.wrap(owner, function, _around(makers[kind](param)), of_any_kind=True)
        if name == "xgboost.core":
            calls.watch_matrices(module)

    return install


def _is_ours(found: Any) -> bool:
    return any(patch.wrapper is found for patch in _patches)


def _around(watch: Watcher) -> Callable[..., Any]:
    """The same for a function of C, which no front can run."""
    from histhooks._hooks.fronts import run_watched

    def around(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return run_watched(watch, original, args, kwargs)

    return around


def install(loaded: Loaded) -> None:
    """See files from here on.

    Parameters
    ----------
    loaded : callable
        Takes a model, and the path of its file or its bytes.
    """
    if not _patches:
        for name in _SEAMS:
            when_imported(name, _installer(loaded, name), WHO)


def uninstall() -> None:
    """Put everything back, by identity."""
    for name in _SEAMS:
        no_longer(name, WHO)
    _patches.undo()
