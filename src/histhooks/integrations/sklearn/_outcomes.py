"""What a fit leaves in an estimator beside its curves: results of the run.

Importances and coefficients are named by feature, the 50 largest of them. An attribute that the class computes is
computed here from what it is computed of, without joblib: ``RandomForestClassifier.feature_importances_`` starts
threads, which takes 9 ms for 100 trees, and the mean over its trees 0.2 ms.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from histhooks.integrations.kit import Run, answer, ask, gathered
from histhooks.integrations.sklearn._parts import core_of, held_by
from histhooks.integrations.sklearn._search import small

_RESULTS = (
    *("n_iter_", "best_iteration", "n_features_in_", "classes_", "oob_score_", "inertia_", "best_score_"),
    *("best_threshold_", "n_features_", "n_estimators_", "n_clusters_", "n_components_"),
)
# The same names stand for arrays in other classes.
_NUMBERS = (
    *("loss_", "best_loss_", "best_validation_score_", "alpha_", "l1_ratio_", "lambda_", "lower_bound_"),
    *("kl_divergence_", "reconstruction_err_", "converged_", "stress_", "noise_variance_"),
)
_MOST = 50  # features that are named
_MOST_ROWS = 10  # of coefficients: classes or targets
_MOST_TREES = 1000
_MOST_NAMES = 100  # columns, up to which a pipeline is asked for their names
_MOST_TARGETS = 5000  # that are counted


def log_outcomes(run: Run, estimator: Any, y: Any) -> Mapping[str, Any]:
    """Record what a fit has left, each part by itself; give the results that have a name of the estimator's own."""
    held = held_by(estimator)
    core = core_of(estimator)
    found: dict[str, Any] = {}
    for name in _RESULTS:
        if name in held:
            found[name.rstrip("_")] = gathered(run, "results", small, held[name], what=name)
    for name in _NUMBERS:
        if name in held and isinstance(held[name], (int, float)):
            found[name.rstrip("_")] = held[name]
    if "_predictors" in held and isinstance(held["_predictors"], list):
        found["n_iter"] = len(held["_predictors"])  # a property of HistGradientBoosting*
    its = held if core is estimator else held_by(core)
    if "classes_" in its and y is not None:
        counts = gathered(run, "results", _counts_of, its["classes_"], y, what="counts of classes")
        if counts:
            found["class_counts"] = counts
    found |= gathered(run, "results", _weights_of, run, estimator, core, its, what="importances") or {}
    if found:
        run.log_results(found)
    return found


def _counts_of(classes: Any, y: Any) -> dict[str, int] | None:
    """How many targets there are of each class; of whole numbers, the profile of the data says it once for all runs."""
    numpy = sys.modules.get("numpy")
    if numpy is None or getattr(classes, "ndim", 0) != 1 or not 0 < len(classes) <= 100:
        return None
    if type(y) is list or type(y).__module__.partition(".")[0] in ("pandas", "polars"):
        y = ask(lambda: numpy.asarray(y)) if ask(len, y) <= _MOST_TARGETS else None
    if type(y) is not numpy.ndarray or y.ndim != 1 or len(y) > _MOST_TARGETS or y.dtype.kind in "iu":
        return None
    values, counts = ask(lambda: numpy.unique(y, return_counts=True))
    return {str(value): int(count) for value, count in zip(values.tolist(), counts.tolist(), strict=True)}


# --- importances and coefficients -------------------------------------------------------------------------------------


def _weights_of(run: Run, estimator: Any, core: Any, held: Mapping[str, Any]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    importances = _importances_of(core, held)
    rows: Any = importances if importances is not None else held.get("coef_")
    is_array = type(rows) is getattr(sys.modules.get("numpy"), "ndarray", None)  # that of ``sparsify`` is none
    if not is_array or rows.dtype.kind not in "fiu" or rows.ndim not in (1, 2) or not rows.size:
        names = _own_names(held)
        return {"feature_names": names[:100]} if names else {}
    names = _names_for(estimator, held, rows.shape[-1])
    if importances is not None:
        out["feature_importances"] = _named(run, "feature_importances", names, importances.tolist())
        return out
    listed = rows.tolist()
    if rows.ndim == 1 or len(listed) == 1:
        out["coef"] = _named(run, "coef", names, listed if rows.ndim == 1 else listed[0])
    else:
        labels = _labels(held, len(listed))
        out["coef"] = {
            label: _named(run, f"coef of {label}", names, row)
            for label, row in zip(labels[:_MOST_ROWS], listed[:_MOST_ROWS], strict=False)
        }
        if len(listed) > _MOST_ROWS:
            run.capture("results", "truncated", f"coef: {_MOST_ROWS} of {len(listed)} rows")
    if "intercept_" in held:
        out["intercept"] = _rounded(small(held["intercept_"]))
    return out


def _importances_of(core: Any, held: Mapping[str, Any]) -> Any:
    """Importances of features as the class computes them; None if it has none, or only code of a program's class."""
    if "feature_importances_" in held:
        return held["feature_importances_"]
    module = type(core).__module__
    if "tree_" in held and module == "sklearn.tree._classes":
        return ask(held["tree_"].compute_feature_importances)
    if module not in ("sklearn.ensemble._forest", "sklearn.ensemble._gb"):
        return None
    members: Any = held.get("estimators_")
    is_boosted = module.endswith("_gb")
    trees = [member for stage in members for member in stage] if is_boosted and members is not None else members or []
    grown = [tree for tree in (held_by(one).get("tree_") for one in trees) if tree is not None and tree.node_count > 1]
    if not grown or len(grown) > _MOST_TREES:
        return None
    numpy = sys.modules["numpy"]
    # As BaseForest.feature_importances_ and BaseGradientBoosting.feature_importances_ do, tree by tree.
    each = numpy.array([tree.compute_feature_importances(normalize=False) for tree in grown])
    if not is_boosted:
        each /= numpy.maximum(each.sum(axis=1, keepdims=True), sys.float_info.min)
    mean = each.mean(axis=0)
    return mean / total if (total := mean.sum()) else mean


def _named(run: Run, what: str, names: list[str], values: list[float]) -> dict[str, float]:
    """The largest values by the name of their feature, to six digits."""
    pairs = sorted(zip(names, values, strict=True), key=lambda pair: -abs(pair[1]))
    if len(pairs) > _MOST:
        run.capture("results", "truncated", f"{what}: the {_MOST} largest of {len(pairs)}")
    return {name: float(f"{value:.6g}") for name, value in pairs[:_MOST]}


def _rounded(value: Any) -> Any:
    if isinstance(value, list):
        return list(map(_rounded, value))
    return float(f"{value:.6g}") if isinstance(value, float) else value


def _labels(held: Mapping[str, Any], n: int) -> list[str]:
    classes: Any = held.get("classes_")
    if getattr(classes, "ndim", 0) == 1 and len(classes) == n:
        return [str(one) for one in classes.tolist()]
    return [str(number) for number in range(n)]


def _own_names(held: Mapping[str, Any]) -> list[str]:
    names: Any = held.get("feature_names_in_")
    return [str(name) for name in names.tolist()] if getattr(names, "ndim", 0) == 1 else []


def _names_for(estimator: Any, held: Mapping[str, Any], n: int) -> list[str]:
    """Names of the features that the last estimator saw; ``x0`` and so on, as scikit-learn counts them, if unknown."""
    names = _own_names(held)
    if len(names) != n and n <= _MOST_NAMES:
        names = answer([], _names_before_last, estimator)
    return names if len(names) == n and len(set(names)) == n else [f"x{number}" for number in range(n)]


def _names_before_last(estimator: Any) -> list[str]:
    """What the steps before the last one of scikit-learn's own pipeline call what they put out."""
    best = held_by(estimator).get("best_estimator_")
    pipeline = estimator if best is None else best
    if type(pipeline).__module__ != "sklearn.pipeline" or not hasattr(type(pipeline), "named_steps"):
        return []
    return [str(name) for name in pipeline[:-1].get_feature_names_out().tolist()]
