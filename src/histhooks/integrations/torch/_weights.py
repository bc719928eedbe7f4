"""The weights of a loop's models: before the first step of an optimizer, and when the run ends.

At the start only parameters are read, since the forward pass that led to the first step has changed buffers, such as
the means of batch normalization, already. At the end it is all that ``state_dict()`` has, under the same names. If the
model is let go of before its optimizer, as the variables of a function are that returns nothing, the parameters that
the optimizer still holds are read, and buffers are gone. Names of several models have the class in front, as layers
have in their architecture. Where parameters belong to no module, they are called by the number of their group and their
place in it.

A run that a signal ends, and one that another thread ends while its own may still train, leaves no weights at the end.
An optimizer that Python's collector takes, in whatever thread, trains no more.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterable, Mapping
from typing import Any

from histhooks.integrations._pytorch import Unreadable, Weights, read_weights, together, values_of, weights_of
from histhooks.integrations.kit import Run, gathered

MOST_MODELS = 8  # of one loop
Found = Weights | str | None  # or why they could not be read


class Unit:
    """One model of a loop, or the tensors of an optimizer that belong to none; neither is kept alive.

    Parameters
    ----------
    model : torch.nn.Module or None
    groups : list of dict
        The param groups of the optimizer.

    Attributes
    ----------
    kind : str
        The class of the model.
    start : Weights, str or None
        Its parameters before the first step.
    is_one_of_many : bool
        Whether other optimizers have gone on for its own, with other tensors maybe.
    """

    __slots__ = ("_last", "_model", "_names", "is_one_of_many", "kind", "start")

    def __init__(self, model: Any, groups: Iterable[Mapping[str, Any]]) -> None:
        self.kind = "tensors" if model is None else type(model).__name__
        self._model = None if model is None else weakref.ref(model)
        self._names: dict[int, str] = {}  # of parameters by identity, which an optimizer keeps alive
        self._last: Found = None  # read as an optimizer was let go of, after the model itself
        self.start: Found = None
        self.is_one_of_many = False
        try:
            values = values_of(_unowned(groups)) if model is None else weights_of(model, buffers=False)
            self._names = {one.key: one.name for one in reversed(values)}
            self.start = read_weights(values)
        except Unreadable as why:
            self.start = str(why)

    def model(self) -> Any:
        """The model; None where it is gone, or there is none."""
        return None if self._model is None else self._model()

    def let_go(self, parameters: Iterable[Any]) -> None:
        """Read what an optimizer holds that is let go of, where the model is gone."""
        if self.model() is not None:
            return
        named = {self._names[id(p)]: p for p in parameters if id(p) in self._names}
        found = _read(named)
        before = self._last
        if isinstance(found, Weights) and isinstance(before, Weights):
            is_other = {part.name for part in before.parts}.isdisjoint(named)
            found = together([("", before), ("", found)]) if is_other else found
        self._last = found or before

    def end(self) -> tuple[Found, str]:
        """All weights now; and what of them was gone."""
        model = self.model()
        if model is not None:
            try:
                return read_weights(weights_of(model)), ""
            except Unreadable as why:
                return str(why), ""
        if self.is_one_of_many:
            return "several optimizers stepped for each other, and their parameters are gone", ""
        if not isinstance(self._last, Weights):
            return self._last or "the model was let go of before", ""
        n_held, n_known = len(self._last.parts), len(self._names)
        if n_held == n_known:
            return self._last, ""
        return self._last.of_a_part(), f"{n_held} of {n_known} parameters of {self.kind}"


def _read(named: Mapping[str, Any]) -> Found:
    try:
        return read_weights(values_of(named))
    except Unreadable as why:
        return str(why)


def _unowned(groups: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    return {f"{n}.{place}": p for n, group in enumerate(groups) for place, p in enumerate(group["params"])}


class LoopWeights:
    """The weights of one loop.

    Parameters
    ----------
    run : Run
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._units: list[Unit] = []
        self._n_begun = 0
        self.is_over = False

    def knows(self, model: Any) -> bool:
        """Whether a model is known."""
        return any(unit.model() is model for unit in self._units)

    @property
    def is_full(self) -> bool:
        """Whether no more models are looked at."""
        return len(self._units) >= MOST_MODELS

    def join(self, units: Iterable[Unit]) -> None:
        """Take in models whose first step came, each once."""
        for unit in units:
            model = unit.model()
            if not self.is_full and (model is None or not self.knows(model)):
                self._units.append(unit)

    def goes_over(self) -> None:
        """An optimizer went on for another one that is gone, such as for the model of the next task."""
        for unit in self._units:
            unit.is_one_of_many = True

    def begun(self, step: int | None = None) -> None:
        """Record what those were at their start that joined since the last call."""
        new = range(self._n_begun, len(self._units))
        if new:
            self._n_begun = len(self._units)
            found = [self._units[n].start for n in new]
            gathered(self._run, "weights", self._log, "start", found, [self._prefixes()[n] for n in new], step)

    def let_go(self, parameters: Iterable[Any], known: Mapping[int, Any]) -> None:
        """An optimizer is let go of: with it, its parameters; `known` are all optimizers.

        Python collects cycles, which optimizers are part of, in whatever thread comes to it. If no other optimizer has
        these parameters, nobody trains them any more, and any thread may read them.
        """
        parameters = list(parameters)
        wanted = {id(parameter) for parameter in parameters}
        others = [tracked for tracked in list(known.values()) if tracked.ref() is not None]
        self.is_over = not any(id(parameter) in wanted for tracked in others for parameter in tracked.parameters())
        for unit in self._units:
            gathered(self._run, "weights", unit.let_go, parameters, what="weights at the end")

    def ended(self, status: str, steps: int) -> None:
        """Record what the models are now, as the run ends."""
        if self._units:
            self.begun()
            gathered(self._run, "weights", self._log_end, status, max(0, steps - 1), what="weights at the end")

    def _log_end(self, status: str, step: int) -> None:
        if status == "killed":
            found: list[tuple[Found, str]] = [("a signal ended the run", "")]
        elif not (self.is_over or _is_safe(self._run.thread_id)):
            found = [("another thread ended the run", "")]
        else:
            found = [unit.end() for unit in self._units]
        self._log("end", [one for one, _ in found], self._prefixes(), step)
        gone = [part for _, part in found if part]
        if gone:
            why = f"known at the end: {', '.join(gone)}; the others were let go of before"
            self._run.capture("weights", "truncated", why)

    def _prefixes(self) -> list[str]:
        if len(self._units) == 1:
            return [""]
        counts: dict[str, int] = {}
        prefixes = []
        for unit in self._units:
            counts[unit.kind] = count = counts.get(unit.kind, 0) + 1
            prefixes.append(f"{unit.kind}." if count == 1 else f"{unit.kind}_{count}.")
        return prefixes

    def _log(self, point: str, found: list[Found], prefixes: list[str], step: int | None) -> None:
        why = next((one for one in found if isinstance(one, str)), None)
        if why is not None:
            self._run.capture("weights", "skipped", f"not recorded at the {point}: {why}")
            return
        known = together([(prefix, one) for prefix, one in zip(prefixes, found) if isinstance(one, Weights)])
        if known is not None:
            self._run.log_weights(point, known, step=step)


def _is_safe(thread_id: int) -> bool:
    """Whether a loop's thread trains no more while its weights are read: it is this one, or over."""
    return threading.get_ident() == thread_id or all(one.ident != thread_id for one in threading.enumerate())
