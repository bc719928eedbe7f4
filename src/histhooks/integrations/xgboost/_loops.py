"""Loops of ``Booster.update`` of the program's own: a run of kind `loop` for each booster.

The run begins with the first ``update`` or ``boost`` that no training of XGBoost's own makes, and ends when the booster
is gone. ``eval_set`` and ``eval`` return scores as text (``[3]  train-rmse:0.51  valid-rmse:0.62``, with tabs), whose
numbers are points of that iteration; nothing is evaluated that the program does not evaluate.
"""

from __future__ import annotations

import re
import weakref
from collections.abc import Callable, Generator, Iterator, Mapping
from contextvars import ContextVar
from typing import Any

from histhooks.integrations.kit import Run, gathered, guarded
from histhooks.integrations.xgboost._facts import bind, config_of, direction_of, log_matrix, log_params_of, split_of
from histhooks.integrations.xgboost._models import run_of
from histhooks.integrations.xgboost._outcomes import log_functions
from histhooks.integrations.xgboost._training import current_training

# A score as XGBoost writes it: the name of the data, a hyphen, the metric, and a number.
_SCORE = re.compile(r"\t([^\t]+):([^\t:]+)")


class _Loop:
    """One booster that the program updates."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.n_updates = 0
        self.names: set[str] = set()
        self.train: weakref.ref[Any] | None = None
        run.before_end = lambda _: {"steps_done": self.n_updates}


_is_updating: ContextVar[bool] = ContextVar("histhooks_xgboost_updating", default=False)
_loops: weakref.WeakKeyDictionary[Any, _Loop] = weakref.WeakKeyDictionary()
# What a booster was made with, which it does not keep.
_params: weakref.WeakKeyDictionary[Any, Any] = weakref.WeakKeyDictionary()
# Opens a run, or gives None where the loop is not to be recorded; set by the integration.
open_loop: Callable[[], Run | None] = lambda: None  # noqa: E731


def watch_init(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[None]:
    """Keep in mind what a booster is made with."""
    if current_training.get() is not None:
        return
    yield
    bound = bind(original, args, kwargs)
    params = bound.get("params")
    if params:
        _params[bound["self"]] = dict(params) if isinstance(params, Mapping) else params


def watch_update(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[None]:
    """Count an iteration of a loop; the first one opens its run."""
    if current_training.get() is not None or _is_updating.get() or not args:
        return
    loop = _loops.get(args[0])
    is_new = loop is None
    if loop is None or loop.run.status != "running":
        loop = _begin(args[0])
    if loop is None:
        return
    token = _is_updating.set(True)  # `update` with an objective calls `boost`
    try:
        yield
    except BaseException as error:
        loop.run.end(error=error)
        raise
    finally:
        _is_updating.reset(token)
    loop.n_updates += 1
    if is_new:
        _describe(loop, args[0], bind(original, args, kwargs))


@guarded
def _begin(booster: Any) -> _Loop | None:
    run = open_loop()
    if run is None or not run.is_recorded:
        return None
    loop = _loops[booster] = _Loop(run)
    run_of[booster] = run
    run.end_with(booster)
    return loop


@guarded
def _describe(loop: _Loop, booster: Any, bound: Mapping[str, Any]) -> None:
    """Record what the first iteration was given, and what XGBoost made of it; each part by itself."""
    run, train = loop.run, bound.get("dtrain")
    gathered(run, "params", log_params_of, run, _params.pop(booster, None), what="params")
    gathered(run, "params", log_functions, run, {"obj": bound.get("fobj")}, what="an objective")
    gathered(run, "data", log_matrix, run, "train", train, what="dtrain")
    loop.train = weakref.ref(train) if train is not None else None
    config = gathered(run, "results", config_of, booster, what="booster_config")
    if config is not None:
        run.log_results({"booster_config": config})


def watch_eval(
    original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Generator[None, Any, None]:
    """Record the scores that the program had evaluated."""
    if current_training.get() is not None or not args:
        return
    loop = _loops.get(args[0])
    if loop is None or loop.run.status != "running":
        return
    result = yield
    _log_scores(loop, bind(original, args, kwargs), result)


@guarded
def _log_scores(loop: _Loop, bound: Mapping[str, Any], text: Any) -> None:
    if not isinstance(text, str):
        return
    trained, run, splits = loop.train() if loop.train is not None else None, loop.run, {}
    for data, name in bound.get("evals") or ():
        splits[name] = "train" if data is trained else split_of(name)
        if name not in loop.names:
            loop.names.add(name)
            if data is not trained:
                gathered(run, "data", log_matrix, run, splits[name], data, name, what="an eval set")
    row = {}
    for name, number in _SCORE.findall(text):
        data = max((one for one in splits if name.startswith(f"{one}-")), key=len, default=None)
        if data is not None:
            metric = name[len(data) + 1 :]
            run.declare_metric(name, metric=metric, split=splits[data], direction=direction_of(metric))
            row[name] = float(number)
    iteration = bound.get("iteration")
    run.log(row, step=iteration if isinstance(iteration, int) and iteration >= 0 else max(0, loop.n_updates - 1))


def forget() -> None:
    """Forget all loops; their runs end with the session."""
    _loops.clear()
    _params.clear()
