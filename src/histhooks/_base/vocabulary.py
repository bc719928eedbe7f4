"""The words by which a record says how something ended, and who decides them."""

from __future__ import annotations

import sys

from histhooks._base.exceptions import code_of

RUNNING = "running"
STATUSES = ("running", "finished", "failed", "interrupted", "killed", "lost", "ended")
ENDS = STATUSES[1:]
UNFINISHED = ("failed", "interrupted", "killed", "lost", "ended")
# Whoever saw the process end knows better.
UNDECIDED = ("running", "ended", "lost")


def status_of(error: BaseException | None) -> str:
    """The status that an exception gives a run (Ctrl-C and a clean exit interrupt, all else fails)."""
    if error is None:
        return "finished"
    asyncio = sys.modules.get("asyncio.exceptions")  # which tells a task of Ctrl-C by cancelling it
    kind = type(error)  # `isinstance` also asks the object, and any code of an exit may compare in its own way
    if issubclass(kind, (KeyboardInterrupt, GeneratorExit)) or (
        asyncio is not None and issubclass(kind, asyncio.CancelledError)
    ):
        return "interrupted"
    if issubclass(kind, SystemExit):
        code = code_of(error)
        return "interrupted" if code is None or (isinstance(code, int) and code == 0) else "failed"
    return "failed"


def ending(
    stated: str,
    *,
    exit_code: int | None = None,
    signal: int | None = None,
    is_alive: bool = False,
    is_guess: bool = False,
) -> str:
    """How a session ended.

    Parameters
    ----------
    stated : str
        The status that the record has.
    exit_code, signal : int, optional
        How its process ended, if somebody saw it: one of the two.
    is_alive : bool
        Whether the process may go on, as far as anybody can see.
    is_guess : bool
        Whether another session stated it, which only missed the process.

    Returns
    -------
    str
        What the session states of itself, unless that is undecided; then what was seen; then `killed`, if the process
        is gone without a word.
    """
    if exit_code is None and signal is None:
        return "killed" if stated == "running" and not is_alive else stated
    if stated in UNDECIDED or is_guess:
        return "killed" if signal is not None else "failed" if exit_code else "finished"
    return stated
