"""Which loaded file a loop began with: ``resumes``, ``continues`` or ``fine-tunes``, with the file's hash.

A file counts where its content reached the loop. What ``torch.load`` gave is known again by its tensors, which are held
weakly, when ``load_state_dict`` of a module or an optimizer is called with them:

- `resumes`: an optimizer of the loop took its state from the file;
- `continues`: else, where all that the optimizer trains was filled from it;
- `fine-tunes`: else, where a part was, or where the file left keys of the module out.

Data, a teacher's weights, and what a loop loads after its first step lead to no link; nor do weights that were copied
by hand, or files that were written again before the first step.

A file is a checkpoint by what was done with its content: it filled a module or an optimizer, or it was written from the
state of one. Samples of data in `.pt` files, one each, are none, and cost no more than a look at what they hold.
"""

from __future__ import annotations

import itertools
import os
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any

import torch

from histhooks.integrations._pytorch import current
from histhooks.integrations.kit import Run, guarded
from histhooks.integrations.torch._loaded import DEEPEST, MOST_KEYS, MOST_LISTED, Loaded, stamp_of
from histhooks.integrations.torch._loops import Loop, as_loop, of_run
from histhooks.integrations.torch._optimizers import Tracked
from histhooks.integrations.torch._state import state, thread

_MOST = 50
_MOST_SAVED = 1000


class Files:
    """What the process loaded, and what it filled with that.

    Attributes
    ----------
    read : list of str
        Files that were read before any loop began.
    """

    def __init__(self) -> None:
        self.read: list[str] = []
        self._loaded: deque[Loaded] = deque(maxlen=_MOST)
        self._filled: deque[tuple[weakref.ref[Any], Loaded, bool]] = deque(maxlen=_MOST)

    @guarded
    def loaded(self, file: Any, content: Any) -> None:
        """A file was read, which is given by its path, or open."""
        path = _path_of(file)
        if path is None:
            return
        found = Loaded(path, content)
        if found.stamp is None:
            return
        self._loaded.append(found)
        for ref in found.modules:
            self._note(found)
            self._fill(ref, found, is_whole=True)

    @guarded
    def saved(self, file: Any, content: Any) -> None:
        """A file was written: a checkpoint, where it holds the state of a module or an optimizer, or one of these."""
        path = _path_of(file)
        loop, run = self._here()
        if path is None or (loop is None and (run is None or run.kind != "block")):
            return
        if not is_state(content, frozenset() if loop is None else loop.parameter_names(), 0) or stamp_of(path) is None:
            return
        if loop is not None and loop.is_open:
            if loop.n_files < _MOST_SAVED:
                loop.run.log_artifact(path, role="checkpoint", direction="out", step=max(0, loop.steps - 1))
            elif loop.n_files == _MOST_SAVED:
                loop.run.event("truncated", f"of the checkpoints that were written, the first {_MOST_SAVED} are listed")
            loop.n_files += 1
        elif run is not None and run.kind == "block":
            run.log_artifact(path, role="checkpoint", direction="out")

    def _here(self) -> tuple[Loop | None, Run | None]:
        run = current.get()
        loop = of_run.get(str(run.id)) if run is not None else as_loop(thread.here.loop)
        return loop, run

    def _note(self, loaded: Loaded) -> None:
        """What came from a file went into a module or an optimizer."""
        if loaded.is_noted:
            return
        loaded.is_noted = True
        loop, run = self._here()
        if loop is not None and loop.is_open:
            if loop.n_files < _MOST_SAVED:
                loop.n_files += 1
                loop.run.log_artifact(loaded.path, role="checkpoint", direction="in", step=max(0, loop.steps - 1))
        elif run is not None and run.kind == "block":
            run.log_artifact(loaded.path, role="checkpoint", direction="in")
        elif run is None and len(self.read) < _MOST:
            self.read.append(loaded.path)

    def _fill(self, ref: weakref.ref[Any], loaded: Loaded, *, is_whole: bool) -> None:
        # What was loaded before is overwritten.
        kept = [entry for entry in self._filled if entry[0]() is not None and entry[0]() is not ref()]
        self._filled = deque([*kept, (ref, loaded, is_whole)], maxlen=_MOST)

    def around_module(self, original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """``Module.load_state_dict``."""
        result = original(*args, **kwargs)
        if self._loaded and args:
            self._module_filled(args[0], args[1] if len(args) > 1 else kwargs.get("state_dict"), result)
        return result

    @guarded
    def _module_filled(self, module: Any, given: Any, result: Any) -> None:
        tensors = [value for value in given.values() if isinstance(value, torch.Tensor)]
        loaded = next((one for one in reversed(self._loaded) if one.gave(tensors)), None)
        if loaded is not None:
            self._note(loaded)
        loop = as_loop(thread.here.loop)
        if loop is not None and loop.is_open and loop.steps and loop.trains(module):
            return  # such as the best weights so far
        if loaded is not None:
            self._fill(weakref.ref(module), loaded, is_whole=not getattr(result, "missing_keys", None))

    def around_optimizer(self, original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """``Optimizer.load_state_dict``."""
        given = args[1] if len(args) > 1 else kwargs.get("state_dict")
        result = original(*args, **kwargs)
        if self._loaded and args:
            self._optimizer_filled(args[0], given)
        return result

    @guarded
    def _optimizer_filled(self, optimizer: Any, given: Any) -> None:
        tracked = state.known(optimizer)
        loaded = next((one for one in reversed(self._loaded) if one.gave_state(given)), None)
        if loaded is not None:
            self._note(loaded)
        if tracked.loop is None or not tracked.loop.is_open or not tracked.steps:
            tracked.loaded = loaded

    def link(self, loop: Loop, tracked: Tracked, optimizer: Any) -> None:
        """At its first step, link a loop to the files that it began with."""
        kinds: dict[Loaded, str] = {} if tracked.loaded is None else {tracked.loaded: "resumes"}
        tracked.loaded = None
        wanted = {id(p) for group in optimizer.param_groups for p in group["params"]}
        reached: dict[Loaded, tuple[set[int], bool]] = {}
        for entry in list(self._filled):
            module, loaded, is_whole = entry[0](), entry[1], entry[2]
            parameters = set() if module is None else {id(p) for p in module.parameters()}
            if not wanted.isdisjoint(parameters):
                self._filled.remove(entry)
                before, was_whole = reached.get(loaded, (set(), True))
                reached[loaded] = before | parameters, was_whole and is_whole
        for loaded, (parameters, is_whole) in reached.items():
            kinds.setdefault(loaded, "continues" if is_whole and wanted <= parameters else "fine-tunes")
        for loaded, kind in kinds.items():
            if loaded.path not in loop.linked and loaded.stamp is not None and loaded.stamp == stamp_of(loaded.path):
                loop.linked.add(loaded.path)
                loop.run.link(kind, None, path=loaded.path)


def _path_of(file: Any) -> str | None:
    path = file if isinstance(file, (str, os.PathLike)) else getattr(file, "name", None)
    return os.path.abspath(path) if isinstance(path, (str, os.PathLike)) else None


def is_state(content: Any, names: frozenset[str], depth: int) -> bool:
    """Whether an object is, or holds, a module, an optimizer or the state of one.

    ``Module.state_dict()`` gives a dict with an attribute ``_metadata``, an optimizer's one with `state` and
    `param_groups`. A dict made by hand, as of averaged weights, has tensors under the names of parameters.
    """
    if isinstance(content, (torch.nn.Module, torch.optim.Optimizer)):
        return True
    if isinstance(content, dict):
        if "_metadata" in getattr(content, "__dict__", ()) or ("state" in content and "param_groups" in content):
            return True
        if any(key in names and isinstance(content[key], torch.Tensor) for key in itertools.islice(content, MOST_KEYS)
               if isinstance(key, str)):  # fmt: skip
            return True
    elif not isinstance(content, (list, tuple)):
        return False
    if depth == DEEPEST:
        return False
    inside = content.values() if isinstance(content, dict) else content[:MOST_LISTED]
    return any(is_state(one, names, depth + 1) for one in itertools.islice(inside, MOST_LISTED))


files = Files()
