"""The outcome of a collector: a missing fact is recorded too."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Capture:
    """One row of `captures`.

    Attributes
    ----------
    collector : str
        What was to be gathered.
    status : str
        `ok`, `skipped`, `failed`, `truncated` or `off`.
    note : str or None
        Why, or how much was cut.
    """

    collector: str
    status: str
    note: str | None = None
