"""What a search leaves: a child for each candidate, and the rest in a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sklearn

from histhooks import recorder
from histhooks._run import Run

_MAX_CANDIDATES = 1000
_MAX_CLASSES = 100


def search_results(search: Any, run: Run) -> dict[str, Any]:
    table = search.cv_results_
    params = list(table.get("params", []))
    for number, candidate in enumerate(params[:_MAX_CANDIDATES]):
        _candidate(run, number, candidate, table)
    out: dict[str, Any] = {"n_candidates": len(params)}
    for name in ("best_params_", "best_index_", "refit_time_"):
        if hasattr(search, name):
            out[name.rstrip("_")] = getattr(search, name)
    if len(params) > _MAX_CANDIDATES:
        names = [name for name in table if name.startswith(("mean_test_", "rank_test_"))]
        rest = [
            {"params": candidate, **{name: float(table[name][number]) for name in names}}
            for number, candidate in enumerate(params[_MAX_CANDIDATES:], start=_MAX_CANDIDATES)
        ]
        out |= {
            f"candidates_beyond_{start + _MAX_CANDIDATES}": rest[start : start + 1000]
            for start in range(0, len(rest), 1000)
        }
    return out


def _candidate(parent: Run, number: int, params: Mapping[str, Any], table: Mapping[str, Any]) -> None:
    folds = sorted(
        (int(key[5 : key.index("_")]), key) for key in table if key.startswith("split") and key[5:6].isdigit()
    )
    values: dict[int, dict[str, float]] = {}
    for fold, key in folds:
        values.setdefault(fold, {})[key.split("_", 1)[1]] = float(table[key][number])
    is_failed = bool(values) and all(
        v != v for scores in values.values() for k, v in scores.items() if k.startswith("test")
    )
    run = recorder.open_run(
        kind="candidate",
        framework=parent.framework,
        framework_version=sklearn.__version__,
        name=f"{parent.name}[{number}]",
        parent=parent,
    )
    run.log_params(dict(params), source="argument")
    for fold, scores in values.items():
        log_scores(run, scores, fold)
    means = {key: table[key][number] for key in table if key.startswith(("mean_", "std_", "rank_"))}
    run.log_results({"candidate": number, **{key: small(value) for key, value in means.items()}})
    fits = len(values) or 1
    seconds = fits * (float(table["mean_fit_time"][number]) + float(table["mean_score_time"][number]))
    run.end("failed" if is_failed else "finished", duration_s=round(seconds, 6))


def log_scores(run: Run, scores: Mapping[str, float], step: int) -> None:
    for name in scores:
        if name.startswith("test_"):
            # A fold's held-out part: scikit-learn says test, but choices are made by it, so it is validation.
            run.declare_metric(name, metric=name[5:], split="valid", direction=1)
        elif name.startswith("train_"):
            run.declare_metric(name, metric=name[6:], split="train", direction=1)
    run.log(scores, step=step)


def small(value: Any) -> Any:
    """An array as a list, or its only value, where it is short."""
    if hasattr(value, "tolist") and getattr(value, "size", 0) <= _MAX_CLASSES:
        listed = value.tolist()
        return listed[0] if isinstance(listed, list) and len(listed) == 1 else listed
    return value
