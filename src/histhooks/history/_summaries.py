"""The metrics of a run, one summary each, by name and in order."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, SupportsIndex, overload

from histhooks._base.text import number
from histhooks.errors import QueryError
from histhooks.history._dataframes import frame
from histhooks.history._ranking import Best, best_of, best_point, main_of, value_of
from histhooks.history._shown import Shown
from histhooks.history.curves.thinning import epoch_at, listed

if TYPE_CHECKING:
    import pandas

    from histhooks.history._run_rows import RunRows

_COLUMNS = (
    "name metric split direction count first last best best_step best_epoch min min_step max max_step nonfinite".split()
)


class Summary(dict[str, Any]):
    """The summary of one metric of one run: its columns are attributes, and keys as in a dict.

    Attributes
    ----------
    run_id, name : str
        The name in the framework, such as ``val_loss``.
    metric : str
        What is measured, without the split.
    split : str or None
        `train`, `valid`, `test` or `system`; None if unknown.
    direction : int
        1 if more is better, -1 if less is, 0 if unknown.
    count, nonfinite : int
        Number of points, and how many of those are not finite.
    first, last, min, max : float or None
        Values; None if it is not finite, or no value is.
    last_special : str or None
        ``nan``, ``inf`` or ``-inf`` if the last value is not finite.
    last_step, min_step, max_step, last_epoch : int or None
        0-based step or epoch of that point.

    Examples
    --------
    >>> summary = run.summaries["val_loss"]
    >>> summary.best, summary.best_step, summary.best_epoch, summary.last, summary.value
    (0.25, 2, 2, 0.25, 0.25)
    >>> summary["min"], summary.row()["count"]
    (0.25, 3)
    """

    __slots__ = ("_run",)

    run_id: str
    name: str
    metric: str
    split: str | None
    direction: int
    count: int
    nonfinite: int
    first: float | None
    last: float | None
    min: float | None
    max: float | None
    last_special: str | None
    last_step: int | None
    min_step: int | None
    max_step: int | None
    last_epoch: int | None

    def __init__(self, row: dict[str, Any], run: RunRows | None = None) -> None:
        super().__init__(row)
        self._run = run

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            try:
                return self[name]
            except KeyError:
                raise AttributeError(f"the summary of a metric has no {name!r}; it has {', '.join(self)}") from None

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self})

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (dict(self),)  # a store does not go with it into another process

    def __repr__(self) -> str:
        return f"<Summary {self._line()}>"

    def _line(self) -> str:
        best = self._best
        found = "" if best is None else f"best {number(best.value)} at step {number(best.step)}, "
        points = f"{self.count:,} point{'s' if self.count != 1 else ''}"
        return f"{self.name}: {found}last {self.last_special or number(self.last)}, {points}"

    @property
    def _best(self) -> Best | None:
        return best_point(self) if self._run is None else best_of(self._run, self)

    @property
    def best(self) -> float | None:
        """The best value; of minibatches the best mean of an epoch. None if it is unknown which direction is better."""
        best = self._best
        return None if best is None else best.value

    @property
    def best_step(self) -> int | None:
        """The 0-based step of the best value; of a mean, the last step of its points."""
        best = self._best
        return None if best is None else best.step

    @property
    def best_epoch(self) -> int | None:
        """The 0-based epoch of the best value; None if it has none."""
        best = self._best
        if best is None or best.epoch is not None or self._run is None:
            return None if best is None else best.epoch
        return epoch_at(self._run.history, self._run.id, self.name, best.step)

    @property
    def value(self) -> float | None:
        """The value that tables show: the mean over folds if the points are folds, else the best, else the last."""
        return self.best if self._run is None else value_of(self._run, self)

    def row(self) -> dict[str, Any]:
        """What is shown of it as a plain dict, with its best value."""
        return {name: getattr(self, name) for name in _COLUMNS}


class Summaries(Shown, list[Summary]):
    """The metrics of a run: a list of summaries, which also finds them by name.

    Examples
    --------
    >>> run.summaries["val_loss"].best
    0.25
    >>> run.summaries.names
    ['loss', 'val_loss']
    >>> "accuracy" in run.summaries, run.summaries.get("accuracy")
    (False, None)
    >>> [summary.name for summary in run.summaries if summary.split == "valid"]
    ['val_loss']
    >>> run.summaries.main.name
    'val_loss'
    >>> run.summaries.to_pandas().loc["val_loss", "best"].item()
    0.25
    """

    def __init__(self, summaries: Iterable[Summary] = (), main_metric: str | None = None) -> None:
        super().__init__(summaries)
        self._main_metric = main_metric

    @overload
    def __getitem__(self, which: SupportsIndex | str, /) -> Summary: ...
    @overload
    def __getitem__(self, which: slice, /) -> Summaries: ...
    def __getitem__(self, which: SupportsIndex | str | slice, /) -> Summary | Summaries:
        """A summary by name or by place.

        Raises
        ------
        QueryError
            If the run has no metric of that name; the message names those it has.
        """
        if isinstance(which, slice):
            return Summaries(super().__getitem__(which), self._main_metric)
        if not isinstance(which, str):
            return super().__getitem__(which)
        found = self.get(which)
        if found is None:
            raise QueryError(f"the run has no metric {which!r}; it has {listed(which, self.names)}")
        return found

    def __contains__(self, which: object) -> bool:
        return which in self.names if isinstance(which, str) else super().__contains__(which)

    def __repr__(self) -> str:
        return "\n".join([f"<{len(self)} summaries>", *(f"  {summary._line()}" for summary in self)])

    def get(self, name: str, otherwise: Summary | None = None) -> Summary | None:
        """A summary by name, or something else if the run has no such metric."""
        return next((summary for summary in self if summary["name"] == name), otherwise)

    @property
    def names(self) -> list[str]:
        """Names of the metrics, in the order of the list."""
        return [summary["name"] for summary in self]

    @property
    def main(self) -> Summary | None:
        """The summary of the metric that ranks the run; None if it has none. docs/guide/compare.md has the rule."""
        found = main_of(self, self._main_metric)
        return None if found is None else self.get(found["name"])

    def to_pandas(self) -> pandas.DataFrame:
        """A row per metric, by name.

        Returns
        -------
        pandas.DataFrame

        Raises
        ------
        QueryError
            If pandas is not installed.
        """
        return frame((summary.row() for summary in self), _COLUMNS).set_index("name")
