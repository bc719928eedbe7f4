"""What a thread that trains is doing, and what the process knows of optimizers and loops."""

from __future__ import annotations

import threading
import weakref
from typing import TYPE_CHECKING, Any

from histhooks.integrations._pytorch import Line
from histhooks.integrations.kit import Run
from histhooks.integrations.torch._gradients import WALKS, Backward, Gradients, Loss, Witness, reaches
from histhooks.integrations.torch._optimizers import Tracked
from histhooks.integrations.torch._passes import Passes

if TYPE_CHECKING:
    from histhooks.integrations.torch._course import Course


MOST_CLAIMS = 64
unseen: list[bool] = []  # whether an optimizer may have been made before anybody looked


class Steady:
    """The only optimizer of a loop, where nothing but the loss was new in its last step, nor may be in the next.

    Attributes
    ----------
    optimizer : weakref.ref
    settings : tuple
        All values of its only param group, in order; compared by identity, since what the program put there instead may
        be a tensor.
    witness : Witness
        With the losses that wait for the next step.
    line : Line
        What the points of its steps have in common.
    context : Run or None
        What the program was inside of.
    """

    __slots__ = ("context", "line", "loop", "optimizer", "run", "settings", "tracked", "witness")

    def __init__(self, loop: Course, tracked: Tracked, line: Line, context: Run | None, witness: Witness) -> None:
        self.loop, self.tracked, self.line, self.context = loop, tracked, line, context
        self.run, self.optimizer = loop.run, tracked.ref
        self.witness = witness
        self.settings = tracked.groups[0].values


class Running:
    """A backward that runs: what it is, and how gradients were before it: all, or that of the witness."""

    __slots__ = ("backward", "marks", "steps")

    def __init__(self, backward: Backward, marks: Any) -> None:
        self.backward, self.marks = backward, marks
        self.steps = 0  # that its hooks made


class Closure:
    """A step that evaluates the loss itself: the backwards of its first evaluation."""

    __slots__ = ("first", "is_over", "optimizer")

    def __init__(self, optimizer: Any) -> None:
        self.optimizer = optimizer
        self.first: list[Backward] = []
        self.is_over = False  # what they put into gradients was cleared


class Here:
    """What one thread does."""

    def __init__(self) -> None:
        self.passes = Passes()
        self.loop: Course | None = None  # that stepped last
        self.steady: Steady | None = None  # the short way of most steps, as long as nothing else happens here
        self.is_in_backward = False
        self.gradients = Gradients()
        self.gradients.walks = WALKS if unseen else 0
        self.running: Running | None = None  # the backward that runs now
        self.loss: Loss | None = None  # of the one that runs now, where it took the short way and led to no step yet
        self.stepped: dict[int, Tracked] = {}  # the optimizers that stepped here
        # Backwards whose graph is still to be looked at for optimizers of nobody: so many after the last one was made.
        self.n_claims = MOST_CLAIMS
        self.claims_since = (0, 0)
        self.reached: set[int] = set()  # the parameters that the last backward reached
        # The steps that are being made, as one optimizer around another one makes them, and which stepped inside each.
        self.steps_inside: list[tuple[int, list[Tracked]]] = []
        self.used: dict[int, tuple[list[Backward], bool]] = {}  # what led to the steps that are being made
        self.scaled: dict[int, tuple[weakref.ref[Any], Loss]] = {}
        self.closure: Closure | None = None  # of the step that is being made, where it evaluates the loss itself
        self.guests: set[tuple[str, int]] = set()  # kinds of optimizers that left a run of their own here
        self.row: tuple[Any, int] = (None, 0)  # loops of few steps from one place, one after the other, and how many
        self.had_backward = False  # since the last step
        self.is_midway = False  # a batch was fetched, or a backward ran, and no step came yet


def is_hosts(run: Run | None) -> bool:
    """Whether a run is that of a host, which records steps its own way."""
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
        Those of them that belong to no loop yet.
    new : dict
        Those of them that have made no step, in whatever thread.
    n_tracked : int
        How many optimizers were known so far.
    has_closures : bool
        Whether any step came with a closure.
    """

    def __init__(self) -> None:
        self.is_automatic = self.has_closures = False
        self.n_tracked = 0
        self.tracked: dict[int, Tracked] = {}
        self.unstepped: dict[int, Tracked] = {}
        self.new: dict[int, Tracked] = {}
        # Which run trained a parameter.
        self.trained: dict[int, tuple[weakref.ref[Any], str]] = {}
        self.thread = _Thread()

    def track(self, optimizer: Any, *, is_new: bool, modules: list[weakref.ref[Any]] | None = None) -> Tracked:
        """Know an optimizer."""
        key = id(optimizer)
        self.n_tracked += 1
        tracked = Tracked(optimizer, is_new=is_new, modules=modules)
        self.tracked[key] = self.unstepped[key] = self.new[key] = tracked
        weakref.finalize(optimizer, self._forget, key, tracked).atexit = False
        return tracked

    def known(self, optimizer: Any) -> Tracked:
        """What is known of an optimizer."""
        tracked = self.tracked.get(id(optimizer))
        return tracked if tracked is not None else self.track(optimizer, is_new=False)

    def _forget(self, key: int, tracked: Tracked) -> None:
        for table in (self.tracked, self.unstepped, self.new):
            if table.get(key) is tracked:
                del table[key]

    def forget_trained(self, key: int, gone: weakref.ref[Any]) -> None:
        """A parameter that a run trained is let go."""
        if self.trained.get(key, (None, ""))[0] is gone:
            del self.trained[key]

    def candidates(self, here: Here) -> dict[int, tuple[Tracked, Any]]:
        """The optimizers of a thread: those that stepped in it last, or that a backward of it reached."""
        found = {}
        for key, tracked in list(here.stepped.items()):
            optimizer = tracked.ref()
            if optimizer is None or tracked.owner is not here:
                del here.stepped[key]
            else:
                found[key] = (tracked, optimizer)
        return found

    def may_claim(self, here: Here) -> bool:
        """Whether the graph of a backward is to be looked at for optimizers that have made no step.

        That takes a microsecond for each node, so it ends where an optimizer makes no step for long, until another one
        is made or a pass over data begins, such as an epoch in which more of a model is trained.
        """
        since = (self.n_tracked, here.passes.count)
        if since != here.claims_since:
            here.claims_since, here.n_claims = since, MOST_CLAIMS
        here.n_claims -= 1
        return here.n_claims >= 0

    def claim(self, here: Here, reached: set[int]) -> list[Any]:
        """Give a thread the optimizers that its next backward will reach; gives those that are new to it."""
        found = []
        for key, tracked in list(self.tracked.items()):
            optimizer = tracked.ref()
            if optimizer is None or tracked.owner is here or tracked.is_echo or not reaches(optimizer, reached):
                continue
            here.stepped[key], tracked.owner = tracked, here
            here.n_claims = MOST_CLAIMS
            found.append(optimizer)
        return found


state = State()
thread = state.thread
