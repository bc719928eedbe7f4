"""Everything that histhooks raises, and only from calls that a person made on purpose."""


class HisthooksError(Exception):
    """Base of all errors of histhooks."""


class StoreError(HisthooksError):
    """A store cannot be opened, read or written; the message says which, why, and what to do."""


class NotApplicable(HisthooksError):
    """An integration cannot work here: its framework is missing, too old, or moved."""


class QueryError(HisthooksError):
    """A question about the history that cannot be answered as it was put."""
