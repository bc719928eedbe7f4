"""DataFrames of what is read. pandas is optional: nothing but this needs it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from histhooks._base.text import word_of
from histhooks.errors import QueryError

if TYPE_CHECKING:
    import pandas

_MOMENTS = ("started_at", "ended_at")


def pandas_module() -> Any:
    """Import pandas.

    Raises
    ------
    QueryError
        If it is not installed.
    """
    try:
        import pandas
    except ModuleNotFoundError as error:
        if error.name != "pandas":
            raise
        text = "a DataFrame needs pandas, which is not installed: pip install 'histhooks[pandas]'"
        raise QueryError(text) from None
    return pandas


def _shown(value: Any) -> Any:
    return word_of(value, is_exact=True) if _is_encoded(value) else value


def _is_encoded(value: Any) -> bool:
    """Whether a value is, or holds, what JSON has no word for (:mod:`histhooks._base.jsonable`)."""
    if isinstance(value, dict):
        return next(iter(value), "").startswith("$") or any(map(_is_encoded, value.values()))
    return isinstance(value, (list, tuple)) and any(map(_is_encoded, value))


def frame(rows: Iterable[Mapping[str, Any]], columns: Sequence[str] | None = None) -> pandas.DataFrame:
    """Rows as a DataFrame; columns that end with ``_at`` are times in UTC.

    A value that JSON has no word for, such as an estimator in a pipeline, is the text that tables show.

    Parameters
    ----------
    rows : iterable of mapping
    columns : sequence of str, optional
        Names and order of the columns; by default those of the rows.
    """
    pandas = pandas_module()
    shown = [{name: _shown(value) for name, value in row.items()} for row in rows]
    found = pandas.DataFrame(shown, columns=None if columns is None else list(columns))
    for name in _MOMENTS:
        if name in found.columns:
            found[name] = pandas.to_datetime(found[name], utc=True, format="ISO8601")
    return found
