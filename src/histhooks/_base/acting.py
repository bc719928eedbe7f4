"""For whom this thread acts: a server of pages does what its visitors ask for, in their names."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_actor: ContextVar[tuple[str, str] | None] = ContextVar("histhooks_acting_for", default=None)


@contextmanager
def acting_for(name: str, source: str) -> Iterator[None]:
    """Act in the name of a person; with an empty name, in that of whoever started the program.

    Parameters
    ----------
    name : str
    source : str
        Who says so.
    """
    token = _actor.set((name, source) if name else None)
    try:
        yield
    finally:
        _actor.reset(token)


def acted_for() -> tuple[str, str] | None:
    """The person for whom this thread acts, and who says so; None if nobody was named."""
    return _actor.get()
