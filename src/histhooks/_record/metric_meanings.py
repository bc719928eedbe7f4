"""What the names of a run's metrics mean: what is measured, on which data, and which direction is better."""

from __future__ import annotations

from typing import TYPE_CHECKING

from histhooks._base.metric_names import Metric, describe, is_of_outputs
from histhooks._record.run_data import DataFacts

if TYPE_CHECKING:
    from histhooks._record.session import Session


class Meanings(DataFacts):
    """The part of a :class:`histhooks.Run` that knows what its metrics are."""

    kind: str

    def __init__(self, session: Session | None) -> None:
        super().__init__(session)
        self._metrics: dict[str, Metric] = {}

    def declare_metric(
        self, name: str, *, metric: str | None = None, split: str | None = None, direction: int | None = None
    ) -> None:
        """Say what a metric's name means, before its first point.

        Parameters
        ----------
        name : str
        metric : str, optional
            What is measured, without the split.
        split : str, optional
            `train`, `valid`, `test` or `system`; `unsaid` where nobody knows on which data.
        direction : int, optional
            1 where more is better, -1 where less is, 0 where nobody can know.

        Examples
        --------
        >>> with histhooks.start_run() as run:
        ...     run.declare_metric("score", split="valid", direction=1)
        ...     run.log({"score": 0.9})
        """
        known = describe(name)
        kept = None if split == "unsaid" else split or known.split
        self._metrics[name] = Metric(metric or known.metric, kept, known.direction if direction is None else direction)

    def what_is(self, name: str) -> Metric:
        """What a metric's name means in this run.

        A name that says no split is `train`, but for a block that only uses a model, or a statistic of what one puts
        out: what a program logs about production data is of no split.
        """
        declared = self._metrics.get(name)
        if declared is not None:
            return declared
        found = describe(name)
        is_silent = self.kind == "block" and found.split == "train" and found.metric == name
        if is_silent and (self.uses_only() or is_of_outputs(name)):
            return found._replace(split=None)
        return found

    describe = staticmethod(describe)  # for integrations: what a name says by itself
