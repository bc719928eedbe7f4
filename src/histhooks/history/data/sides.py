"""Which data a person means: that of a run, by its role, or a data set by its id."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from histhooks.errors import QueryError
from histhooks.history._records import RunRecord
from histhooks.history.data.comparison import Side
from histhooks.history.data.dataset import Dataset, by_role, dataset_with_id
from histhooks.history.query.selectors import find

if TYPE_CHECKING:
    from histhooks.history._reader import Reader

_ID = re.compile(r"[0-9a-f]{8,64}")
_WHOLE_ID = 64
HOW = "data is recorded unless HISTHOOKS_DATA=off"


def side_of(history: Reader, given: str | RunRecord, role: str | None) -> Side:
    """The data of a run, or of an id.

    Raises
    ------
    QueryError
        If there is no such run or data set, or the run has no data of that role.
    """
    if isinstance(given, RunRecord):
        return _of_run(given, role)
    if len(given) == _WHOLE_ID and (data := _with_id(history, given)) is not None:
        return Side(data, None)
    try:
        run = RunRecord(history, find(history, given))
    except QueryError:
        data = _with_id(history, given)
        if data is None:
            raise
        return Side(data, None)
    return _of_run(run, role)


def _with_id(history: Reader, part: str) -> Dataset | None:
    """The data set whose id, or whose hash as a screen shows it, begins so."""
    if not _ID.fullmatch(part):
        return None
    sql = (
        "SELECT id FROM datasets WHERE substr(id, 1, ?1) = ?2 OR substr(content_hash, 1, ?1) = ?2 "
        "UNION SELECT dataset_id FROM dataset_digests WHERE part = 'all' AND substr(digest, 1, ?1) = ?2 LIMIT 6"
    )
    ids = [row["id"] for row in history.sql(sql, len(part), part)]
    if len(ids) > 1:
        raise QueryError(
            f"several data sets begin with {part!r}: {', '.join(one[:12] for one in ids)}; give more of it"
        )
    return dataset_with_id(history, ids[0]) if ids else None


def _of_run(run: RunRecord, role: str | None) -> Side:
    sets = by_role(run.datasets)
    if not sets:
        raise QueryError(f"no data was recorded of {run.name} ({run.id[-8:]}); {HOW}")
    wanted = role if role is not None else "train" if "train" in sets else next(iter(sets))
    if wanted not in sets:
        raise QueryError(f"{run.name} ({run.id[-8:]}) has no data of role {wanted!r}; it has {', '.join(sets)}")
    told = {"id": run.id, "name": run.name, "status": run.status, "started_at": run.started_at}
    return Side(sets[wanted], told)
