"""Files that ``joblib.dump`` writes of estimators that were fitted here: models of the runs that trained them.

joblib dumps arrays for its workers by the same function, and scikit-learn the data sets that it fetched: neither holds
an estimator.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from typing import Any

from sklearn.base import BaseEstimator

from histhooks.integrations._estimators import adding_to, find
from histhooks.integrations.kit import guarded, is_recording


def watch_dump(
    original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Generator[None, Any, None]:
    result = yield
    if is_recording():
        _log_saved(args[0] if args else kwargs.get("value"), result)


@guarded
def _log_saved(value: Any, files: Any) -> None:
    if not isinstance(files, list):
        return  # into an open file, which is not whole yet
    runs = {id(found.run): found.run for found in map(find, _estimators_in(value)) if found is not None}
    for run in runs.values():
        if run.takes_more():
            with adding_to(run):
                run.log_artifact(files[0], role="model")


def _estimators_in(value: Any) -> Iterator[Any]:
    """The estimator that is saved, or those that are saved together in a dict, a list or a tuple."""
    several = value.values() if isinstance(value, Mapping) else value if isinstance(value, (list, tuple)) else [value]
    yield from (one for one in several if isinstance(one, BaseEstimator))
