"""The part of :class:`histhooks.History` that reads runs in the order in which they began."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from histhooks.errors import QueryError

if TYPE_CHECKING:
    from histhooks.history._reader import Reader
    from histhooks.history.compare.timeline import Timeline

_BEYOND = 200


class Timelines:
    """Runs one after the other, and what changed between them."""

    def timeline(self, *, limit: int = 20, is_complete: bool = False, **which: Any) -> Timeline:
        """The latest top-level runs as they began: what changed since the run before, what it gained.

        Parameters
        ----------
        limit : int
            Number of runs.
        is_complete : bool
            Whether to include preprocessing.
        **which
            Filters, as for :meth:`runs`: `project`, `since`, `where`, ...

        Returns
        -------
        Timeline
            A list of :class:`TimelineRow`. A run is compared with the one before it of the same kind that was called at
            the same place of the same file.

        Raises
        ------
        QueryError
            If the store has no such name, or a condition cannot be parsed.

        Examples
        --------
        >>> rows = history.timeline(limit=3)
        >>> [(row.metric, row.verdict, row.gain, row.share) for row in rows if row.is_first]
        [...]
        """
        from histhooks.history._records import RunRecord
        from histhooks.history._table import query_of
        from histhooks.history.compare.timeline import timeline

        if limit < 1:
            raise QueryError(f"limit is 1 or more, not {limit}")
        reader = cast("Reader", self)
        query = query_of(reader, which, is_complete=is_complete, order_by="started_at")
        # Beyond those that are shown lie the runs that the earliest of them follow.
        sql, values = query.select("r.*", limit + _BEYOND + 1)
        found = [RunRecord(reader, row) for row in reader.sql(sql, *values)]
        is_whole = len(found) <= limit + _BEYOND
        return timeline(reader, found[: limit + _BEYOND], limit, is_whole=is_whole)
