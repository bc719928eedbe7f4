"""What a name in a question stands for, as SQL over ``runs AS r``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

SQL = tuple[str, tuple[Any, ...]]  # with the values for its question marks


@dataclass(frozen=True, slots=True)
class Among:
    """A name, understood the other way round: which runs have a value that a condition fits.

    A run that has none is not among them. SQLite reads the value's table first, by its index, and then only the runs
    that are found there.

    Attributes
    ----------
    sql : str
        Whether a run ``r`` is among them; the condition stands for ``{0}``.
    values : tuple
        For the question marks before the condition.
    value : str and values
        What the condition compares.
    is_of_run : bool
        Whether it names runs, not their sessions.
    is_several : bool
        Whether a run has several values, of which any may fit.
    bounds : tuple of str, or None
        Between which two numbers the value lies, if it is a number that may be costly to find; NULL where that is not
        known.
    """

    sql: str
    values: tuple[Any, ...]
    value: SQL
    is_of_run: bool = False
    is_several: bool = False
    bounds: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Joined:
    """A table with one row of a run, or none, that stands beside ``runs AS r``, and a value in it.

    Attributes
    ----------
    table : str
    table_values : tuple
        For the question marks of the table, or of the condition.
    value : str
    values : tuple
    more : str
        A condition, beside that of the run.
    """

    table: str
    table_values: tuple[Any, ...]
    value: str
    values: tuple[Any, ...] = ()
    more: str = ""

    @property
    def written(self) -> str:
        """As it stands in FROM."""
        name = self.table.rpartition(" ")[2]
        return f" LEFT JOIN {self.table} ON {name}.run_id = r.id{' AND ' if self.more else ''}{self.more}"


@dataclass(frozen=True, slots=True)
class Field:
    """A name, understood.

    Attributes
    ----------
    kind : str
        `number`, `time`, `text`, `status`, `tag` or `json`.
    sql : str
        Its value in a run ``r``, NULL where the run has none.
    values : tuple
        For the question marks in it.
    title : str
        What it is, for people.
    direction : tuple of str and values, or None
        Of a metric, SQL of its direction: 1, -1 or 0.
    keys : tuple of str
        Of a param or a result: where it lies in the row of a candidate that has no run of its own.
    among : Among or None
        None if a run is read before its value: of its own columns, and of params and results of a file, whose tables
        have no index by key.
    latest : Joined or None
        Of a target, the table in which the values of all runs are found at once, to sort by them.
    stat : str
        Of a metric, which of its values, such as `last`.
    """

    kind: str
    sql: str
    values: tuple[Any, ...]
    title: str
    direction: SQL | None = None
    keys: tuple[str, ...] = ()
    among: Among | None = None
    stat: str = ""
    latest: Joined | None = None
