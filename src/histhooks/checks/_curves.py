"""Curves as checks look at them: which ones are losses, and their course as one mean for each epoch or part."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from histhooks.checks._case import class_sizes, target_of
from histhooks.checks._columns import is_weighted
from histhooks.checks._statistics import entropy
from histhooks.history.curves.course import course_of, first_special

if TYPE_CHECKING:
    from histhooks.checks._case import Case

_NO_LOSS = ("time", "lr", "grad", "norm", "memory", "n_iter", "patience", "weight", "temperature", "epsilon")
_PENALTY = 0.01  # of scikit-learn's MLP, whose default is 0.0001


def is_loss(row: Mapping[str, Any]) -> bool:
    """Whether a metric is what a training minimises, or looks like it."""
    name = row["metric"].lower()
    if any(word in name for word in _NO_LOSS):
        return False
    return row["direction"] == -1 or "loss" in name


def first_nonfinite(case: Case, row: Mapping[str, Any]) -> dict[str, Any] | None:
    """The first point of a metric that is not finite: `n`, `step`, `epoch`, `special`."""
    return first_special(case.run.history, case.run.id, row["name"])


def losses(case: Case, split: str) -> list[dict[str, Any]]:
    """The losses of a split, those that are called so first."""
    found = [row for row in case.metrics if row["split"] == split and is_loss(row)]
    return sorted(found, key=lambda row: "loss" not in row["metric"].lower())


def course(case: Case, row: Mapping[str, Any]) -> list[float]:
    """The finite values of a metric in order, as means of epochs where it has several points in each, at most 200."""
    return course_of(case.run.history, case.run.id, row["name"])


def tenth(values: Sequence[float]) -> int:
    """How many values are a tenth of them, at least one."""
    return max(1, len(values) // 10)


def kind_of(case: Case, row: Mapping[str, Any]) -> str | None:
    """What a loss measures: `ce` (cross-entropy in nats), `mse`, `rmse`; None if nobody says."""
    name = row["metric"].lower()
    told = f"{name} {case.params.get('compile.loss', '') if name == 'loss' else ''}".lower()
    if name == "loss" and case.model_class in ("MLPClassifier",):
        return "ce"
    if any(word in told for word in ("crossentropy", "cross_entropy", "logloss", "log_loss", "nll")):
        return None if "focal" in told or "label_smoothing" in told else "ce"
    if "rmse" in told or "root_mean_squared" in told:
        return None if "rmsle" in told else "rmse"
    if "mse" in told.split("_") or "mse" in told.split() or "mean_squared_error" in told:
        return "mse"
    return None


def knows_nothing(case: Case, row: Mapping[str, Any]) -> float | None:
    """The value of a loss for the best constant: entropy of the classes, variance of the target; None if unknown.

    Of a cross-entropy without class counts it is an upper bound, the logarithm of the number of classes. A loss of
    weighted classes or samples is on another scale, and so is what a model loses that was trained by it; one with a
    penalty of weights is more than what the model loses.
    """
    kind = None if is_weighted(case) or _is_penalised(case) else kind_of(case, row)
    roles = {"train": ("train",), "valid": ("valid", "train"), "test": ("test", "train")}.get(row["split"], ("train",))
    data = next(iter(case.data(*roles[:1]) or case.data(*roles)), None)
    if kind == "ce":
        counts = class_sizes(data)
        if counts:
            return entropy(counts) or None  # of one class a constant loses nothing
        if str(case.params.get("objective", "")).startswith("binary:"):
            return math.log(2)
        n_classes = case.params.get("num_class")
        return math.log(n_classes) if isinstance(n_classes, int) and n_classes > 1 else None
    std = target_of(data).get("std")
    if kind in ("mse", "rmse") and isinstance(std, (int, float)) and std > 0:
        return float(std) ** 2 if kind == "mse" else float(std)
    return None


def _is_penalised(case: Case) -> bool:
    """Whether the loss has a penalty of weights in it, as far as scikit-learn and Keras say so."""
    alpha = next((value for key, value in case.params.items() if key.rpartition("__")[2] == "alpha"), None)
    if case.framework == "sklearn":
        return isinstance(alpha, (int, float)) and alpha >= _PENALTY
    architecture = case.run.architecture if case.framework == "keras" else None
    layers = architecture["layers"] if architecture is not None else None
    configs = (
        [layer.get("config") for layer in layers if isinstance(layer, Mapping)] if isinstance(layers, list) else []
    )
    return any(
        value for config in configs if isinstance(config, Mapping) for key, value in config.items()
        if key.endswith("_regularizer")
    )  # fmt: skip


def untrained(case: Case, row: Mapping[str, Any]) -> float | None:
    """The first point of a training loss that was recorded step by step: the loss of a model that has learned nothing.

    None if the points are of epochs or of few samples, or the training began with a model that was trained before.
    """
    batch, epochs = case.params.get("data.batch_size"), case.run.row["epochs_done"] or 0
    if case.framework != "torch" or case.is_continued or not isinstance(batch, int) or batch < 16:
        return None
    is_by_step = row["count"] > epochs + 1 and row["first"] is not None and row["first"] > 0
    return float(row["first"]) if is_by_step else None


def has_rivals(case: Case) -> bool:
    """Whether several losses fight, or rewards are sought: such curves rise and fall on purpose."""
    names = [row["metric"].lower() for row in case.metrics]
    rewards = ("reward", "return", "episode")
    if any(word in name for name in names for word in rewards):
        return True
    fighting = (
        "generator",
        "discriminator",
        "critic",
        "actor",
        "adv",
        "policy",
        "d_loss",
        "g_loss",
        "loss_d",
        "loss_g",
    )
    parts = {word for name in names for word in fighting if word in name}
    return len(parts) > 1 or len(case.run.optimizers) > 1


def judged_by(case: Case) -> dict[str, Any] | None:
    """The loss on validation data that says most: the main metric if it is one, else one that is called so."""
    found = losses(case, "valid") or [row for row in losses(case, "test") if row["count"] > 2]
    main = [row for row in found if row["name"] == case.run.row["main_metric"]]
    return next(iter(main or found), None)


def keeps_best(case: Case, at_step: int | None) -> str | None:
    """How the best state of the model is kept although training went on; None if nothing says that it is."""
    params, results = case.params, case.results
    if params.get("early_stopping.restore_best_weights") is True:
        return "the best weights were restored"
    if case.framework == "xgboost" and "best_iteration" in results and (
        params.get("early_stopping_rounds") or params.get("early_stopping.rounds")
    ):  # fmt: skip
        return f"predictions use iteration {results['best_iteration']}, the best"
    kept = [
        file for file in case.run.artifacts if file["direction"] == "out" and file["role"] in ("checkpoint", "model")
    ]
    if any(value is True for key, value in params.items() if key.endswith("save_best_only")) and kept:
        return "the best checkpoint is kept"
    if any("best" in file["path"].rpartition("/")[2].lower() for file in kept):
        return "the best checkpoint is kept"
    monitors = [key for key in params if "checkpoint" in key and key.endswith("monitor") and params[key]]
    if monitors and kept:
        return "the best checkpoint is kept"
    last = case.run.row["steps_done"]
    if at_step is not None and last and kept and all(f["step"] is not None and f["step"] < 0.9 * last for f in kept):
        return "no checkpoint was written after the best step"
    return None
