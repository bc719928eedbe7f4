"""Points of a run as one table: a row per step, a column per metric."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from histhooks.errors import QueryError
from histhooks.history._dataframes import pandas_module
from histhooks.history.curves.series import NO_EPOCH, Series, read_series
from histhooks.history.curves.thinning import matching

if TYPE_CHECKING:
    import pandas

    from histhooks.history._run_rows import RunRows

_INDEXES = ("step", "epoch", "time")


def frame_of(run: RunRows, names: tuple[str, ...], index: str) -> pandas.DataFrame:
    """Metrics of a run as a DataFrame; see :meth:`RunRecord.to_pandas`."""
    if index not in _INDEXES:
        raise QueryError(f"rows cannot be told apart by {index!r}; choose one of {', '.join(_INDEXES)}")
    pandas = pandas_module()
    import numpy

    known = [summary["name"] for summary in run.summaries]
    wanted = matching(names, known) if names else sorted(known)
    by_name = {name: read_series(run.history, run.id, name, None) for name in wanted}
    keys = {name: getattr(series, index)[_is_placed(series, index)] for name, series in by_name.items()}
    rows = numpy.unique(numpy.concatenate([numpy.empty(0, dtype="i8"), *keys.values()]))
    columns = {}
    for name, series in by_name.items():
        column = numpy.full(len(rows), numpy.nan)
        # If a key repeats, the last assignment stays.
        column[numpy.searchsorted(rows, keys[name])] = series.value[_is_placed(series, index)]
        columns[name] = column
    labels = pandas.to_datetime(rows, unit="us", utc=True) if index == "time" else rows
    frame = pandas.DataFrame(columns, index=pandas.Index(labels, name=index))
    frame.columns.name = "name"
    return frame


def _is_placed(series: Series, index: str) -> Any:
    return series.epoch != NO_EPOCH if index == "epoch" else slice(None)
