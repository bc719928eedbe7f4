"""What the callbacks of a Trainer were given and found out, under both names of Lightning.

Only what an object keeps as its own (``vars``) is read: a property of a program's callback may do anything.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from histhooks.integrations.kit import Run, gathered

_ROOTS = ("lightning.pytorch.callbacks.", "pytorch_lightning.callbacks.")
# They show what goes on, and change nothing of it.
_VIEWS = ("Callback", "Checkpoint", "ProgressBar", "TQDMProgressBar", "RichProgressBar", "ModelSummary",
          "RichModelSummary", "LambdaCallback")  # fmt: skip


def log_callbacks(run: Run, callbacks: list[Any]) -> None:
    """Record which callbacks there are, and the settings of Lightning's own; a second one of a kind is `<kind>_2`."""
    names = [f"{type(c).__module__}.{type(c).__qualname__}" for c in callbacks]
    run.log_params({"callbacks": names}, source="resolved")
    for name, kind, callback in _by_role(callbacks):
        found = gathered(run, "params", _settings, callback, kind, what=f"settings of {name}")
        if found is not None:
            run.log_params({name: found[0]}, source="argument", defaults={name: found[1]})
    monitored = next((m for m in (vars(c).get("monitor") for c in callbacks) if isinstance(m, str)), None)
    if monitored is not None:
        run.rank_by(monitored)


def _by_role(callbacks: list[Any]) -> Iterator[tuple[str, type, Any]]:
    """Lightning's own callbacks, and those that inherit from them, with a name and the class of Lightning's."""
    counts: dict[str, int] = {}
    for callback in callbacks:
        kind = next((k for k in type(callback).__mro__ if k.__module__.startswith(_ROOTS)), None)
        if kind is None or kind.__name__ in _VIEWS:
            continue
        role = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", kind.__name__).lower()
        counts[role] = counts.get(role, 0) + 1
        yield role + _number(counts[role]), kind, callback


def _number(count: int) -> str:
    return "" if count == 1 else f"_{count}"


def _settings(callback: Any, kind: type) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the constructor was given, as far as the callback keeps it, and what it takes where nothing is given."""
    parameters = inspect.signature(kind).parameters
    kept = vars(callback)
    given = {name: kept.get(name, kept.get(f"_{name}")) for name in parameters if name in kept or f"_{name}" in kept}
    usual = {p.name: p.default for p in parameters.values() if p.default is not p.empty}
    if "min_delta" in given:
        given["min_delta"] = abs(given["min_delta"])  # EarlyStopping negates it where less is better
    if "every_n_epochs" in given:
        # None becomes 0, or 1 where no other moment is given (ModelCheckpoint.__init_triggers).
        usual |= {"every_n_train_steps": 0, "every_n_epochs": min(1, given["every_n_epochs"])}
    return {name: value for name, value in given.items() if _is_plain(value)}, usual


def _is_plain(value: Any) -> bool:
    if isinstance(value, dict):  # an accumulation by epoch
        return all(isinstance(inner, int) for inner in value.values())
    if isinstance(value, (list, tuple)):
        return all(isinstance(inner, (bool, int, float, str)) for inner in value)
    return value is None or isinstance(value, (bool, int, float, str))


# --- what came of them ------------------------------------------------------------------------------------------------


def log_outcomes(run: Run, callbacks: list[Any], trainer: Any) -> None:
    """Record what callbacks found out; that of a second one of a kind is `<name>_2`."""
    results: dict[str, Any] = {}
    for callback in callbacks:
        found = gathered(run, "results", _outcomes, callback, what=f"results of {type(callback).__name__}") or {}
        for name, value in found.items():
            if value is not None:
                count = next(n for n in range(1, len(results) + 2) if name + _number(n) not in results)
                results[name + _number(count)] = value
    run.log_results(results)


def _outcomes(callback: Any) -> dict[str, Any]:
    kept = vars(callback)
    found: dict[str, Any] = {}
    if "stopped_epoch" in kept and "patience" in kept:
        reason = getattr(kept.get("stopping_reason"), "name", None)  # since 2.6
        has_stopped = bool(kept["stopped_epoch"]) if reason is None else reason != "NOT_STOPPED"
        if has_stopped:
            found = {"stopped_epoch": kept["stopped_epoch"], "stopping_reason": reason and reason.lower()}
    if kept.get("best_model_path"):
        score = kept.get("best_model_score")
        found["best_model_path"] = kept["best_model_path"]
        found["best_model_score"] = None if score is None else float(score)
    return found | _found_by_tuner(callback)


def _found_by_tuner(callback: Any) -> dict[str, Any]:
    """What a fit of a Tuner was for: the callback that it puts in, and what that found."""
    kind, kept = type(callback).__name__, vars(callback)
    if kind == "BatchSizeFinder":
        return {"tuner": kind, "batch_size": kept.get("optimal_batch_size")}
    if kind == "LearningRateFinder":
        found = getattr(kept.get("optimal_lr"), "results", {})  # its suggestion() speaks where it has none
        return {"tuner": kind, "tried_lr": found.get("lr"), "tried_lr_loss": found.get("loss")}
    return {}


def files_of(callbacks: list[Any]) -> list[str]:
    """The checkpoints that callbacks have left."""
    paths: set[str] = set()
    for callback in callbacks:
        kept = vars(callback)
        paths |= {kept.get("best_model_path") or "", kept.get("last_model_path") or ""}
        paths |= set(kept.get("best_k_models") or {})
    return sorted(path for path in paths if path and Path(path).is_file())
