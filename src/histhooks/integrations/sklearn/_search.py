"""What a search leaves: a child for each candidate, and the rest in a table.

Why a fit failed inside a search or a validation, scikit-learn keeps in ``fit_error`` (a traceback as text), also from
worker processes; ``_warn_or_raise_about_fit_failures(results, error_score)`` in ``model_selection/_validation.py`` gets
it for all fits, in the order of ``cv_results_`` (candidate by candidate, each with its folds), before ``error_score``
takes the place of their scores. Which search they are of, and which candidates, stands nowhere but in the frames that
called it: a search inside another one's fits comes this way too, and candidates are an argument of a closure that each
kind of search calls by itself (``_run_search``).
"""

from __future__ import annotations

import re
import sys
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import sklearn

from histhooks.integrations.kit import Run, ask, current_run, gathered, guarded, open_run

_MAX_CANDIDATES = 1000
_MAX_CLASSES = 100
_FOLD = re.compile(r"split(\d+)_((?:test|train)_.+)")
_OF_SEARCH = ("best_params_", "best_index_", "refit_time_", "n_splits_", "n_resources_", "n_iterations_")
_OF_HOST = ("evaluate_candidates", "cross_validate", "learning_curve")
_STARTS = ("Traceback (most recent call last):", "  + Exception Group Traceback (most recent call last):")
# The last line of a traceback that is no place in a file: `module.Class: message`.
_ERROR = re.compile(r"(?s)^([A-Za-z_][\w.<>]*)(?:: ?(.*))?$")


class _Fits:
    """The fits of one search or validation, as the host reports them: for each the error, or None."""

    def __init__(self, search: Any) -> None:
        self.search_id = None if search is None else id(search)
        self.errors: list[str | None] = []
        self.candidates: list[Any] = []

    def failed(self) -> list[str]:
        return [error for error in self.errors if error is not None]


_fits: weakref.WeakKeyDictionary[Run, _Fits] = weakref.WeakKeyDictionary()


def watch_fits_of(run: Run, search: Any) -> None:
    """Listen to what the host reports of the fits of a search; with None, of the validation that the run is."""
    _fits[run] = _Fits(search)


def watch_failures(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[None]:
    """Hear of the fits before the host says of them what it will."""
    _hear(args[0] if args else kwargs.get("results"))
    yield


@guarded
def _hear(results: Any) -> None:
    run = current_run()
    fits = _fits.get(run) if run is not None else None
    if fits is None:
        return
    frame: Any = sys._getframe(1)
    for _ in range(10):
        if frame is None or frame.f_code.co_name in _OF_HOST:
            break
        frame = frame.f_back
    if frame is None or frame.f_code.co_name not in _OF_HOST:
        return
    errors = [one.get("fit_error") for one in results]
    if fits.search_id is None:
        fits.errors = errors  # those of validations inside it came before
    elif id(frame.f_locals.get("self")) == fits.search_id:
        fits.errors += errors
        fits.candidates += list(frame.f_locals.get("candidate_params") or [])


# --- candidates -------------------------------------------------------------------------------------------------------


def log_search(run: Run, held: Mapping[str, Any]) -> None:
    """Record what ``cv_results_`` holds; an estimator that is no search may have one of another shape."""
    table = held["cv_results_"]
    if not isinstance(table, Mapping):
        run.missing("candidates", f"cv_results_ is a {type(table).__name__}, not a table by name")
        return
    if "params" not in table:
        _log_curve(run, table)
        return
    params = ask(lambda: list(table["params"]))
    run.update(kind="search")
    fits = _fits.pop(run, _Fits(None))
    n_splits = _n_splits(held, table)
    errors = fits.errors if n_splits and len(fits.errors) == len(params) * n_splits else []
    for number, candidate in enumerate(params[:_MAX_CANDIDATES]):
        its = errors[number * n_splits : (number + 1) * n_splits]
        gathered(run, "candidates", _candidate, run, number, candidate, table, its, what=f"candidate {number}")
    out: dict[str, Any] = {"n_candidates": len(params)}
    for name in _OF_SEARCH:
        if name in held:
            out[name.rstrip("_")] = gathered(run, "results", small, held[name], what=name)
    if n_splits:
        out["n_fits"] = len(params) * n_splits
    run.log_results(out)
    gathered(run, "results", _log_failures, run, fits, what="fits that failed")
    if len(params) > _MAX_CANDIDATES:
        gathered(run, "candidates", _log_rest, run, params, table, what=f"candidates beyond {_MAX_CANDIDATES}")


def _n_splits(held: Mapping[str, Any], table: Mapping[str, Any]) -> int:
    told = held.get("n_splits_")
    if isinstance(told, int):
        return told
    return len({found.group(1) for found in map(_FOLD.fullmatch, _names(table)) if found})


def _names(table: Mapping[str, Any]) -> list[str]:
    return [name for name in table if isinstance(name, str)]


def _log_rest(run: Run, params: list[Any], table: Mapping[str, Any]) -> None:
    names = [name for name in _names(table) if name.startswith(("mean_test_", "rank_test_"))]
    rest = [
        {"params": candidate, **{name: float(table[name][number]) for name in names}}
        for number, candidate in enumerate(params[_MAX_CANDIDATES:], start=_MAX_CANDIDATES)
    ]
    starts = range(0, len(rest), 1000)
    run.log_results({f"candidates_beyond_{start + _MAX_CANDIDATES}": rest[start : start + 1000] for start in starts})


def _log_curve(run: Run, table: Mapping[str, Any]) -> None:
    """Record a table without candidates: scores by number of features (RFECV), or by threshold."""
    kept = {name: gathered(run, "results", small, table[name], what=name) for name in _names(table)}
    if kept:
        run.log_results({"cv_results": kept})


def _candidate(parent: Run, number: int, params: Any, table: Mapping[str, Any], errors: Sequence[str | None]) -> None:
    run = _open_candidate(parent, number)
    how: tuple[str, dict[str, Any]] = ("finished", {})
    try:
        _log_params(run, params)
        folds = _folds(run, table, number)
        for fold, scores in folds.items():
            log_scores(run, scores, fold)
        results: dict[str, Any] = {"candidate": number}
        for name in _names(table):
            if name != "params" and not name.startswith(("param_", "split")):
                results[name] = gathered(run, "results", _cell, table, name, number, what=name)
        failed = [error for error in errors if error is not None]
        if failed:
            results["n_failed_fits"] = len(failed)
        run.log_results(results)
        times = (results.get("mean_fit_time"), results.get("mean_score_time"))
        if all(isinstance(one, float) for one in times):
            seconds = (len(folds) or 1) * sum(times)  # type: ignore[arg-type]
            how[1]["duration_s"] = round(seconds, 6)
        how = _outcome(run, folds, errors, failed, how[1])
    finally:
        run.end(how[0], **how[1])


def _outcome(
    run: Run,
    folds: Mapping[int, Mapping[str, float]],
    errors: Sequence[str | None],
    failed: Sequence[str],
    facts: dict[str, Any],
) -> tuple[str, dict[str, Any]]:
    """How a candidate ended: failed where all its fits did, whatever stands in for its scores, or where it has none."""
    if failed and len(failed) == len(errors):
        return "failed", {**facts, **_reason(failed[0])}
    if failed:
        title = f"{len(failed)} of {len(errors)} fits failed"
        run.event("fit_failed", title, failed[0], severity="warning")
    tests = [value for scores in folds.values() for name, value in scores.items() if name.startswith("test_")]
    if tests and all(value != value for value in tests):
        return "failed", {**facts, "error_message": "it has no score: all are nan"}
    return "finished", facts


def _open_candidate(parent: Run, number: int) -> Run:
    return open_run(
        kind="candidate",
        framework=parent.framework,
        framework_version=sklearn.__version__,
        name=f"{parent.name}[{number}]",
        parent=parent,
    )


def _log_params(run: Run, params: Any) -> None:
    if isinstance(params, Mapping):
        run.log_params(dict(params), source="argument")
    else:
        run.missing("params", f"those of a candidate are a {type(params).__name__}, not named")


def _folds(run: Run, table: Mapping[str, Any], number: int) -> dict[int, dict[str, float]]:
    folds: dict[int, dict[str, float]] = {}
    for name in _names(table):
        found = _FOLD.fullmatch(name)
        value = gathered(run, "scores", _score, table, name, number, what=name) if found else None
        if found and value is not None:
            folds.setdefault(int(found.group(1)), {})[found.group(2)] = value
    return dict(sorted(folds.items()))


def _score(table: Mapping[str, Any], name: str, number: int) -> float:
    return ask(lambda: float(table[name][number]))


def _cell(table: Mapping[str, Any], name: str, number: int) -> Any:
    return small(ask(lambda: table[name][number]))


# --- fits that failed -------------------------------------------------------------------------------------------------


def log_failed_fits(run: Run) -> None:
    """Record how many fits of a validation failed, and why."""
    _log_failures(run, _fits.pop(run, _Fits(None)))


def _log_failures(run: Run, fits: _Fits) -> None:
    failed = fits.failed()
    if failed:
        run.log_results({"n_failed_fits": len(failed)})
        title = f"{len(failed)} of {len(fits.errors)} fits failed"
        run.event("fit_failed", title, failed[0], severity="warning")


@guarded
def log_failed_search(run: Run) -> None:
    """Of a search that ended without ``cv_results_``: its candidates as far as the host reported them."""
    fits = _fits.pop(run, None)
    if fits is None or not fits.errors or not fits.candidates:
        return
    gathered(run, "results", _log_failures, run, fits, what="fits that failed")
    n_splits = len(fits.errors) // len(fits.candidates)
    for number, params in enumerate(fits.candidates[:_MAX_CANDIDATES]):
        its = fits.errors[number * n_splits : (number + 1) * n_splits]
        gathered(run, "candidates", _candidate, run, number, params, {}, its, what=f"candidate {number}")


def _reason(text: str) -> dict[str, str]:
    """Columns of `runs` for an error that is known by its traceback."""
    lines = text.rstrip("\n").split("\n")
    start = max((number for number, line in enumerate(lines) if line.startswith(_STARTS)), default=0)
    if lines[start].startswith(_STARTS[1]):
        # Each line of a group stands behind a bar, and its members below a rule of dashes.
        end = next((n for n, line in enumerate(lines) if n > start and "+-+-" in line), len(lines))
        lines = [line.removeprefix("  | ") for line in lines[start + 1 : end]]
    last = max((number for number, line in enumerate(lines) if line.startswith(("  File ", "    "))), default=-1)
    said = "\n".join(lines[last + 1 :])
    found = _ERROR.match(said)
    out = {"traceback": text}
    if found:
        out["error_type"] = found.group(1).rpartition(".")[2]
    return {**out, "error_message": (found.group(2) or "") if found else said}


# --- scores -----------------------------------------------------------------------------------------------------------


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
    if hasattr(type(value), "tolist") and ask(getattr, value, "size", 0) <= _MAX_CLASSES:
        listed = ask(value.tolist)
        return listed[0] if isinstance(listed, list) and len(listed) == 1 else listed
    return value
