"""Values of ``torchmetrics`` that a loop of the program's own computes: points of that loop's run.

``compute`` of a class is hooked once a metric of it was made or called. A call counts if exactly one loop of its thread
is open, and no fit of another host goes on around it: Lightning logs its own. Values of one batch (``forward``), of a
metric inside another one, and from the cache of one that was computed before are no points. The split is what the name
says (``MetricCollection(prefix="val_")``), else it is not said. From a call of ``torch.compile`` on, nothing is
hooked: what is compiled would have the hooks in its graph.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Generator, Iterator, Mapping
from contextvars import ContextVar
from types import FunctionType, ModuleType
from typing import Any

from histhooks.integrations.kit import Patches, Run, answer, guarded, is_recording, outer_run
from histhooks.integrations.torch._loops import Loop, of_run
from histhooks.integrations.torch._state import thread

_MOST_NUMBERS = 100  # of a value that is a result
_MOST_NAMED = 1000

_is_inside: ContextVar[bool] = ContextVar("histhooks_torchmetrics_inside", default=False)
# By run, and by the id of the metric: these compare by their states.
_names: dict[tuple[str, int], tuple[weakref.ref[Any], str]] = {}


class Hooks:
    """The hooks in torchmetrics, which are taken out once the program compiles."""

    def __init__(self) -> None:
        self._patches = Patches()
        self._seen: weakref.WeakSet[type] = weakref.WeakSet()
        self._is_stopped = False

    def wrap(self, module: ModuleType) -> None:
        """Hook in once ``torchmetrics.metric`` was imported."""
        if self._is_stopped:
            return
        self._base = module.Metric
        self._patches.wrap(module.Metric, "__init__", self._watch_init)
        self._patches.wrap(module.Metric, "forward", self._watch_forward)

    def wrap_collections(self, module: ModuleType) -> None:
        """Hook in once ``torchmetrics.collections`` was imported."""
        if not self._is_stopped:
            self._patches.wrap(module.MetricCollection, "compute", _watch_collection)

    def watch_compile(
        self, original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Iterator[None]:
        """Take the hooks out for good: ``torch.compile`` would trace them as a part of the program."""
        self.undo()
        self._is_stopped = True
        yield

    def undo(self) -> None:
        """Put everything back, by identity."""
        self._is_stopped = False
        self._patches.undo()
        self._seen.clear()
        _names.clear()

    def _watch_init(
        self, original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Iterator[None]:
        self._look_at(type(args[0]) if args else object)
        yield

    def _watch_forward(
        self, original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Iterator[None]:
        self._look_at(type(args[0]) if args else object)
        token = _is_inside.set(True)
        try:
            yield
        finally:
            _is_inside.reset(token)

    @guarded
    def _look_at(self, kind: type) -> None:
        if kind in self._seen or self._is_stopped:
            return
        self._seen.add(kind)
        for base in kind.__mro__:
            function = vars(base).get("compute")
            if base is self._base or not isinstance(function, FunctionType) or self._patches.of(function) is not None:
                continue
            try:
                self._patches.wrap(base, "compute", _watch_compute)
            except Patches.Unfit:
                continue


def _watch_compute(
    original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Generator[None, Any, None]:
    if _is_inside.get() or not args:
        return
    token = _is_inside.set(True)
    try:
        value = yield
    finally:
        _is_inside.reset(token)
    _log(args[0], value)


def _watch_collection(
    original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Generator[None, Any, None]:
    if _is_inside.get() or not args:
        return
    token = _is_inside.set(True)
    try:
        values = yield
    finally:
        _is_inside.reset(token)
    _log_collection(args[0], values)


@guarded
def _log(metric: Any, value: Any) -> None:
    run = _run_here()
    if run is not None:
        name = _name_of(run, metric)
        _log_value(run, name, value, _direction_of(metric))


@guarded
def _log_collection(collection: Any, values: Any) -> None:
    run = _run_here()
    if run is None or not isinstance(values, Mapping):
        return
    renamed = answer(None, getattr, collection, "_set_name", None)
    members: Mapping[str, Any] = answer(dict[str, Any](), getattr, collection, "_modules")
    known = {answer(key, renamed, key): member for key, member in members.items()} if renamed is not None else members
    for name, value in values.items():
        _log_value(run, str(name), value, _direction_of(known.get(name)))


def _run_here() -> Run | None:
    """The run of the one loop of this thread."""
    if outer_run() is not None or not is_recording():
        return None
    here = thread.here
    loops = [one for one in list(of_run.values()) if one.is_open and one.is_of(here)]
    loop = loops[0] if len(loops) == 1 else None
    return loop.run if isinstance(loop, Loop) else None


def _name_of(run: Run, metric: Any) -> str:
    """The name of the class; with a number where the run has other metrics of that class."""
    key = (str(run.id), id(metric))
    known = _names.get(key)
    if known is not None and known[0]() is metric:
        return known[1]
    if len(_names) > _MOST_NAMED:
        _names.clear()
    own = type(metric).__name__
    taken = {name for (run_id, _), (_, name) in _names.copy().items() if run_id == key[0]}
    number = 2
    name = own
    while name in taken:
        name, number = f"{own}/{number}", number + 1
    _names[key] = (weakref.ref(metric), name)
    return name


def _direction_of(metric: Any) -> int:
    is_up = answer(None, getattr, metric, "higher_is_better", None)
    return {True: 1, False: -1}.get(is_up, 0) if isinstance(is_up, bool) else 0


def _log_value(run: Run, name: str, value: Any, direction: int) -> None:
    if isinstance(value, Mapping):
        for key, one in value.items():
            _log_value(run, f"{name}/{key}", one, direction)
        return
    torch: Any = sys.modules["torch"]
    if not isinstance(value, torch.Tensor):
        return
    if value.numel() == 1:
        described = Run.describe(name)
        split = described.split if described.metric != name else "unsaid"
        run.declare_metric(name, metric=described.metric, split=split, direction=direction)
        step = run.last_step() if run.last_step is not None else None
        run.log({name: value.detach().reshape(())}, step=step)
    elif value.numel() <= _MOST_NUMBERS and value.device.type == "cpu":
        run.log_results({name: value.detach().tolist()})
