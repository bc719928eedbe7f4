"""The errors that histhooks raises, only from calls that the user made on purpose."""

from __future__ import annotations

import typing as _typing


class HisthooksError(Exception):
    """Base of all errors of histhooks.

    Examples
    --------
    >>> try:
    ...     history.run("no such run")
    ... except histhooks.HisthooksError as error:
    ...     print(type(error).__name__, error)
    QueryError ...no such run...
    """


class StoreError(HisthooksError):
    """A store cannot be opened, read or written. The message names the store, the reason and the next action."""


class NotApplicable(HisthooksError):
    """An integration cannot work here: its framework is missing, too old, or moved."""


class QueryError(HisthooksError):
    """A query that is not valid, or that names something the store does not have."""


class ReproduceError(HisthooksError):
    """A run cannot be run again. The message names what is missing and the next action."""


class Refused(HisthooksError):
    """What was asked is understood and is not done: a check fails, a step is missing, or bytes are gone or not right.

    The message names the reason and the next action. The command line ends with exit code 1.
    """


class TeamError(HisthooksError):
    """Stores cannot be joined: one cannot be read, or the target cannot be written. The message has the next action."""


class ForkError(TeamError):
    """Stores say different things of one session. All else was merged; nothing of that session was.

    Attributes
    ----------
    merged : histhooks.team.Merged
        What was merged, and all sessions that the stores differ in.
    """

    def __init__(self, message: str, merged: _typing.Any = None) -> None:
        super().__init__(message)
        self.merged = merged
