"""What a thread that trains is doing, and what the process knows of optimizers and loops."""

from __future__ import annotations

import threading
import weakref
from collections import deque
from typing import TYPE_CHECKING, Any

from histhooks.integrations.torch._files import Files
from histhooks.integrations.torch._optimizers import Loss, Tracked
from histhooks.integrations.torch._passes import Passes

if TYPE_CHECKING:
    from histhooks._points import Line
    from histhooks._run import Run
    from histhooks.integrations.torch._loops import Loop


class Steady:
    """The only optimizer of a loop, where nothing but the loss was new in its last step, nor may be in the next.

    Attributes
    ----------
    optimizer : weakref.ref
    settings : tuple
        All values of its only param group, in order; told by identity, since what the program put there instead may
        be a tensor.
    losses : list
        Those that wait for the next step, as the optimizer has them.
    line : Line
        What the points of its steps have in common.
    context : Run or None
        What the program was inside of.
    """

    __slots__ = ("context", "line", "loop", "losses", "optimizer", "run", "settings", "tracked")

    def __init__(self, loop: Loop, tracked: Tracked, line: Line, context: Run | None) -> None:
        self.loop, self.tracked, self.line, self.context = loop, tracked, line, context
        self.run, self.optimizer = line.run, tracked.ref
        self.losses: list[Any] = tracked.losses
        self.settings = tracked.groups[0].values


class Here:
    """What one thread does."""

    def __init__(self) -> None:
        self.passes = Passes()
        self.loop: Loop | None = None
        self.steady: Steady | None = None  # the short way of most steps, as long as nothing else happens here
        self.is_in_backward = False
        self.loss: Loss | None = None  # of the backward that runs now, where no optimizer has it yet
        self.unclaimed: deque[Loss] = deque(maxlen=4096)  # of backwards that reached no optimizer that is known
        self.scaled: dict[int, tuple[weakref.ref[Any], Loss]] = {}
        self.in_closure: list[Loss] | None = None  # of backwards inside a step that evaluates the loss itself
        self.had_backward = False  # since the last step
        self.is_midway = False  # a batch was fetched, or a backward ran, and no step came yet


def is_hosts(run: Run | None) -> bool:
    """Whether a run is that of a host, which has its own ways to tell of steps."""
    return run is not None and run.kind not in ("block", "loop")


class _Thread(threading.local):
    def __init__(self) -> None:
        self.here = Here()


class State:
    """What the process knows.

    Attributes
    ----------
    is_automatic : bool
        Whether loops are recorded that nobody passed to ``record()``.
    tracked : dict
        Optimizers by identity.
    unstepped : dict
        Those of them that have not stepped.
    has_closures : bool
        Whether any step came with a closure.
    """

    def __init__(self) -> None:
        self.is_automatic = self.has_closures = False
        self.tracked: dict[int, Tracked] = {}
        self.unstepped: dict[int, Tracked] = {}
        self.of_run: dict[str, Loop] = {}
        # Which run trained a parameter, and which files were read before any loop began.
        self.trained: dict[int, tuple[weakref.ref[Any], str]] = {}
        self.files_read: list[str] = []
        self.files = Files(self)
        self.thread = _Thread()

    def track(self, optimizer: Any, *, is_new: bool, modules: list[weakref.ref[Any]] | None = None) -> Tracked:
        """Know an optimizer."""
        key = id(optimizer)
        tracked = Tracked(optimizer, is_new=is_new, modules=modules)
        self.tracked[key] = self.unstepped[key] = tracked
        weakref.finalize(optimizer, self._forget, key, tracked).atexit = False
        return tracked

    def known(self, optimizer: Any) -> Tracked:
        """What is known of an optimizer."""
        tracked = self.tracked.get(id(optimizer))
        return tracked if tracked is not None else self.track(optimizer, is_new=False)

    def _forget(self, key: int, tracked: Tracked) -> None:
        for table in (self.tracked, self.unstepped):
            if table.get(key) is tracked:
                del table[key]

    def candidates(self, here: Here) -> list[Tracked]:
        """The optimizers that a backward of this thread may lead to."""
        members = here.loop.members if here.loop is not None else []
        return [*members, *list(self.unstepped.values())[-8:]] if self.unstepped else members


state = State()
thread = state.thread
