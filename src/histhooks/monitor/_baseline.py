"""Windows that a person accepted: of data with seasons, the training alone is no measure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from histhooks.errors import QueryError

if TYPE_CHECKING:
    from histhooks._store.model_rows import Ask


@dataclass(frozen=True, slots=True)
class Baseline:
    """What is accepted of each column.

    Attributes
    ----------
    limits : mapping of int to float
        The stability index, by position.
    n_windows : int
    """

    LEAST: ClassVar[int] = 6  # windows, as in NannyML

    limits: Mapping[int, float]
    n_windows: int


class Accepted(NamedTuple):
    """A span of time that a person accepted.

    Attributes
    ----------
    since, until : str
        ISO 8601 UTC.
    reason : str
    """

    since: str
    until: str
    reason: str


def accepted(ask: Ask, model: str) -> Accepted:
    """The span that was accepted last.

    Raises
    ------
    QueryError
        If there is none.
    """
    rows = ask(
        "SELECT e.reason, e.checks FROM model_events AS e JOIN model_versions AS v ON v.id = e.version_id "
        "WHERE v.model = ? AND e.action = 'note' AND e.checks LIKE '%\"baseline\"%' "
        "ORDER BY e.time DESC, e.session_id DESC, e.ordinal DESC",
        model,
    )
    for row in rows:
        span = json.loads(row["checks"]).get("baseline")
        if isinstance(span, dict):
            return Accepted(span["since"], span["until"], row["reason"] or "")
    raise QueryError(
        f"no windows of {model} are accepted as a baseline; "
        f"`histhooks monitor {model} --accept 14d --reason WHY` accepts those of the last 14 days"
    )
