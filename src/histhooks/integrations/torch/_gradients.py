"""What lies in gradients: for each parameter, the backwards of this thread whose gradients it still has.

A backward adds to ``p.grad`` of the leaves that it reaches, by a node ``AccumulateGrad``: to None it puts a new tensor,
to a tensor it adds in place, which raises ``_version``; under ``create_graph`` it puts a new one. No hook of PyTorch
tells which parameters that were without a hook at each of them (``register_post_accumulate_grad_hook``,
``register_hook``), which the program could see, would copy and pickle with its parameters, and would pay a microsecond
each for. So gradients are looked at before and after each backward, 0.1 µs each, and nothing of the program is used.

Between two backwards a gradient may have been cleared: it is None, or it was changed in place and is all zeros. What is
changed in place and not zero was clipped, scaled, averaged, and is kept. Where another tensor was put in its place,
nobody knows what that was made of. On a device nobody can ask for zeros without
waiting for it, so there a change between two backwards makes the loss of the next step unknown; one between a backward
and its step counts as clipping.

Where only one optimizer steps in a thread, one of its parameters, which the last backward reached, is the witness for
all of them: a backward that changed it reached the optimizer. Where the witness did not change, the graph of that
backward, which is still there behind it, shows what it reached.
"""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Iterable, Sequence
from typing import Any

import torch

from histhooks.integrations._pytorch import OnDevice

Loss = float | OnDevice
_numbers = itertools.count(1)
_MOST = 4096  # backwards in one gradient
_MOST_NODES = 20_000
_MOST_STRAYS = 4096
_MOST_FAILURES = 16
_SAMPLE = 65_536
WALKS = 16


def next_number() -> int:
    """A number that is larger than that of any backward and any step so far."""
    return next(_numbers)


class Backward:
    """One backward: its number in the process, and its loss; None where nobody knows it."""

    __slots__ = ("loss", "number")

    def __init__(self, loss: Loss | None) -> None:
        self.number, self.loss = next(_numbers), loss


class _Entry:
    """What one gradient is made of, and how it was at the last look."""

    __slots__ = ("backwards", "grad_id", "is_unsure", "ref", "version")

    def __init__(self, parameter: Any) -> None:
        self.ref = weakref.ref(parameter)
        self.backwards: tuple[Backward, ...] = ()
        self.grad_id = self.version = -1
        self.is_unsure = False

    def look(self, gradient: Any) -> None:
        self.grad_id, self.version = id(gradient), gradient._version

    def is_kept(self, gradient: Any, *, before_step: bool) -> bool:
        """Whether a gradient still has what was put in."""
        if gradient is None:
            return False
        if id(gradient) == self.grad_id and gradient._version == self.version:
            return True
        found = is_zero(gradient)
        if id(gradient) != self.grad_id or (found is None and not before_step):
            self.is_unsure = True
        self.look(gradient)
        return not found


class Witness:
    """The parameter that stands for the only optimizer of a thread.

    Attributes
    ----------
    optimizer : weakref.ref
        As the optimizer is known: `Tracked.ref`.
    parameter : torch.nn.Parameter
    losses : list
        Of the backwards whose gradients the parameter has; None for one whose loss nobody knows.
    grad_id, version : int
        Its gradient as the last of them left it.
    """

    __slots__ = ("grad_id", "losses", "optimizer", "parameter", "version")

    def __init__(self, optimizer: weakref.ref[Any], parameter: Any) -> None:
        self.optimizer, self.parameter = optimizer, parameter
        self.losses: list[Any] = []
        self.grad_id = self.version = -1

    def is_whole(self) -> bool:
        """Whether nothing happened to the gradient since the last backward that it is known to have."""
        if not self.losses:
            return True
        gradient = self.parameter.grad
        return gradient is not None and id(gradient) == self.grad_id and gradient._version == self.version

    def is_kept(self) -> bool:
        """Whether the gradient still has what backwards put there, asked before a step."""
        gradient = self.parameter.grad
        if gradient is None or id(gradient) != self.grad_id:
            return False
        if gradient._version != self.version:
            if is_zero(gradient):
                return False
            self.look(gradient)
        return True

    def look(self, gradient: Any) -> None:
        """Keep how the gradient is."""
        self.grad_id, self.version = id(gradient), gradient._version

    def takes(self, loss: Loss | None, before: Any, version: int) -> bool:
        """Take the loss of a backward, where the gradient is not as before; give whether it is not."""
        gradient = self.parameter.grad
        if gradient is None or (gradient is before and gradient._version == version):
            return False
        self.look(gradient)
        if len(self.losses) < _MOST:
            self.losses.append(loss)
        return True


# Parameter, its gradient before a backward, and that one's version.
Mark = tuple[Any, Any, int]


class Gradients:
    """The gradients that backwards of one thread reached.

    Attributes
    ----------
    witness : Witness or None
    """

    def __init__(self) -> None:
        self.witness: Witness | None = None
        self._entries: dict[int, _Entry] = {}
        self._strays: list[weakref.ref[Any]] = []  # parameters of no optimizer that is known
        self._n_failures = 0
        self.walks = 0  # backwards whose graph is still to be looked at for optimizers that nobody saw

    # --- around a backward ----------------------------------------------------------------------------------------

    def before(self, optimizers: Iterable[Any]) -> list[Mark]:
        """Look at all gradients that a backward may change; what was cleared is forgotten."""
        marks: list[Mark] = []
        entries = self._entries
        for p in self._everywhere(optimizers):
            gradient = p.grad
            entry = entries.get(id(p))
            if entry is not None and not (self._is_valid(entry, p) and entry.is_kept(gradient, before_step=False)):
                del entries[id(p)]
            marks.append((p, gradient, -1 if gradient is None else gradient._version))
        return marks

    def _everywhere(self, optimizers: Iterable[Any]) -> list[Any]:
        found = [p for optimizer in optimizers for group in optimizer.param_groups for p in group["params"]]
        if self._strays:
            found += [p for p in (ref() for ref in self._strays) if p is not None]
        return found

    def _is_valid(self, entry: _Entry, parameter: Any) -> bool:
        return entry.ref() is parameter

    def after(self, marks: Sequence[Mark], backward: Backward) -> set[int]:
        """See what a backward changed; gives those parameters by identity."""
        reached: set[int] = set()
        for p, before, version in marks:
            gradient = p.grad
            if gradient is not None and (gradient is not before or gradient._version != version):
                self._put(p, gradient, backward)
                reached.add(id(p))
        return reached

    def _put(self, parameter: Any, gradient: Any, backward: Backward) -> None:
        entry = self._entries.get(id(parameter))
        if entry is None or not self._is_valid(entry, parameter):
            entry = self._entries[id(parameter)] = _Entry(parameter)
        entry.look(gradient)
        if not entry.backwards or entry.backwards[-1] is not backward:
            entry.backwards = (*entry.backwards[1 - _MOST :], backward)

    def walked(self, tensors: Any, inputs: Any, backward: Backward) -> set[int]:
        """Whom a backward reached that has run, by its graph."""
        reached: set[int] = set()
        for p in leaves(tensors, inputs):
            gradient = p.grad
            if gradient is not None:
                self._put(p, gradient, backward)
                reached.add(id(p))
        return reached

    def look_for_strays(self, tensors: Any, inputs: Any, backward: Backward) -> None:
        """A backward may lead to the first step of an optimizer whose making nobody saw."""
        self.walks -= 1
        if self.walks > 0:
            reached = self.walked(tensors, inputs, backward)
            known = {id(ref()) for ref in self._strays}
            new = [self._entries[one].ref for one in reached if one not in known]
            self._strays = [ref for ref in [*self._strays, *new] if ref() is not None][-_MOST_STRAYS:]
        else:
            for ref in self._strays:
                self._entries.pop(id(ref()), None)
            self._strays = []

    # --- the witness ----------------------------------------------------------------------------------------------

    def spill(self, optimizer: Any) -> None:
        """Give up the witness: what it saw is in all gradients of its optimizer, as far as they are not cleared."""
        witness, self.witness = self.witness, None
        if witness is None or not witness.losses:
            return
        backwards = [Backward(loss) for loss in witness.losses]
        kept = witness.parameter.grad
        is_replaced = kept is not None and id(kept) != witness.grad_id
        for p in self._everywhere([] if optimizer is None else [optimizer]):
            gradient = p.grad
            if gradient is not None:
                for backward in backwards:
                    self._put(p, gradient, backward)
                if p is witness.parameter:
                    self._entries[id(p)].grad_id, self._entries[id(p)].version = witness.grad_id, witness.version
                elif is_zero(gradient):
                    del self._entries[id(p)]
                else:
                    self._entries[id(p)].is_unsure = is_replaced

    def choose(self, ref: weakref.ref[Any], reached: set[int], optimizer: Any) -> None:
        """Make the smallest parameter that the last backward reached the witness."""
        if self._n_failures < _MOST_FAILURES and not self.walks:
            own = [p for group in optimizer.param_groups for p in group["params"] if id(p) in reached]
            if own:
                self.witness = Witness(ref, min(own, key=torch.Tensor.numel))

    def failed(self) -> None:
        """A backward did not reach the witness."""
        self._n_failures += 1

    # --- around a step --------------------------------------------------------------------------------------------

    def used(self, optimizer: Any, last: int) -> tuple[list[Backward], bool]:
        """The backwards since a number whose gradients a step is about to use, and whether these are all."""
        found: dict[int, Backward] = {}
        unsure: set[int] = set()
        entries = self._entries
        if entries:
            for group in optimizer.param_groups:
                for p in group["params"]:
                    entry = entries.get(id(p))
                    if entry is None or entry.backwards[-1].number <= last or not self._is_valid(entry, p):
                        continue
                    new = [b for b in entry.backwards if b.number > last and b.number not in found]
                    if not new:
                        continue
                    if not entry.is_kept(p.grad, before_step=True):
                        del entries[id(p)]
                    elif entry.is_unsure:
                        unsure |= {b.number for b in new}
                    else:
                        found |= {b.number: b for b in new}
        return [found[number] for number in sorted(found)], unsure <= found.keys()

    def consumed(self, optimizer: Any, others: Iterable[Any]) -> int:
        """A step was made: what it used leads to no other step of this optimizer. Gives the number of the step."""
        number = next(_numbers)
        if self._entries:
            shared = {id(p) for other in others for group in other.param_groups for p in group["params"]}
            for group in optimizer.param_groups:
                for p in group["params"]:
                    if id(p) not in shared:
                        self._entries.pop(id(p), None)
            if len(self._entries) > 1000:
                self._entries = {key: entry for key, entry in self._entries.items() if entry.ref() is not None}
        return number


def reaches(optimizer: Any, reached: set[int]) -> bool:
    """Whether one of the parameters that a backward reached is the optimizer's."""
    return any(id(p) in reached for group in optimizer.param_groups for p in group["params"])


def changed(optimizer: Any, marks: Sequence[Mark]) -> bool:
    """Whether a backward that runs has given a gradient to the optimizer so far."""
    own = {id(p) for group in optimizer.param_groups for p in group["params"]}
    return any(
        id(p) in own and p.grad is not None and (p.grad is not before or p.grad._version != version)
        for p, before, version in marks
    )


def is_zero(gradient: Any) -> bool | None:
    """Whether a gradient is all zeros; None where nobody can know without waiting for a device."""
    try:
        if not gradient.is_cpu:
            return None
        with torch.no_grad():
            if gradient.is_sparse:
                return not bool(gradient._values().any())
            if gradient.numel() > _SAMPLE and gradient.is_contiguous() and gradient.view(-1)[:_SAMPLE].any():
                return False
            return not bool(gradient.any())
    except (RuntimeError, NotImplementedError, TypeError, AttributeError):
        return None


def leaves(tensors: Any, inputs: Any = None) -> list[Any]:
    """The leaves that a backward gives gradients to, by its graph, which outlives the backward."""
    given = [tensors] if isinstance(tensors, torch.Tensor) else tensors if isinstance(tensors, Sequence) else []
    stack = [tensor.grad_fn for tensor in given if getattr(tensor, "grad_fn", None) is not None]
    seen = set(stack)
    found = []
    while stack and len(seen) < _MOST_NODES:
        node = stack.pop()
        parameter = getattr(node, "variable", None)
        if parameter is not None:
            found.append(parameter)
        for following, _ in node.next_functions:
            if following is not None and following not in seen:
                seen.add(following)
                stack.append(following)
    if inputs is None:
        return found
    only = {id(one) for one in ([inputs] if isinstance(inputs, torch.Tensor) else inputs)}
    return [one for one in found if id(one) in only]
