"""Runs as a list that a notebook shows as a table."""

from __future__ import annotations

from histhooks.history._records import RunRecord


class Runs(list[RunRecord]):
    """A list of runs like any other."""

    def _repr_html_(self) -> str:
        from histhooks.history._notebook import runs_html

        return runs_html(self)
