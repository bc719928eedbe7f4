"""The errors that histhooks raises, only from calls that the user made on purpose."""


class HisthooksError(Exception):
    """Base of all errors of histhooks."""


class StoreError(HisthooksError):
    """A store cannot be opened, read or written. The message names the store, the reason and the next action."""


class NotApplicable(HisthooksError):
    """An integration cannot work here: its framework is missing, too old, or moved."""


class QueryError(HisthooksError):
    """A query that is not valid, or that names something the store does not have."""
