"""What came from a file that ``torch.load`` read: its tensors and modules, by which they are known again."""

from __future__ import annotations

import itertools
import os
import weakref
from collections.abc import Mapping
from typing import Any

import torch

# How much of a file's content is looked at: nesting, items of a list, keys of a dict.
DEEPEST = 5
MOST_LISTED = 1000
MOST_KEYS = 20_000


class Loaded:
    """What came from one file; nothing of it is kept alive."""

    def __init__(self, path: str, content: Any) -> None:
        self.path = path
        self.stamp = stamp_of(path)
        self.is_noted = False
        self.modules: list[weakref.ref[Any]] = []
        self._tensors: dict[int, weakref.ref[Any]] = {}
        # A state without tensors, as of plain SGD, is known by where it and its list of groups lie.
        self._states: set[tuple[int, int]] = set()
        self._look(content, 0)

    def _look(self, value: Any, depth: int) -> None:
        if isinstance(value, torch.Tensor):
            self._tensors[id(value)] = weakref.ref(value)
        elif isinstance(value, torch.nn.Module):
            self.modules.append(weakref.ref(value))
        elif depth < DEEPEST and isinstance(value, (dict, list, tuple)):
            if isinstance(value, dict) and "state" in value and "param_groups" in value:
                self._states.add((id(value), id(value["param_groups"])))
            # A long list is a history of numbers, or data.
            inside = value.values() if isinstance(value, dict) else value[:MOST_LISTED]
            for inner in itertools.islice(inside, MOST_KEYS):
                self._look(inner, depth + 1)

    def gave(self, tensors: list[Any]) -> bool:
        """Whether one of the tensors came from this file."""
        found = (self._tensors.get(id(tensor)) for tensor in tensors)
        return any(ref is not None and ref() is tensor for ref, tensor in zip(found, tensors, strict=True))

    def gave_state(self, given: Mapping[str, Any]) -> bool:
        """Whether the state of an optimizer came from this file."""
        tensors = [v for of_one in given["state"].values() for v in of_one.values() if isinstance(v, torch.Tensor)]
        return self.gave(tensors) if tensors else (id(given), id(given["param_groups"])) in self._states


def stamp_of(path: str) -> tuple[int, int, int] | None:
    """Size, time of change and place of a file; None where there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns, found.st_ino
