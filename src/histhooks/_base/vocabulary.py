"""The status words of runs and sessions, the functions that choose one, and words that rows of seeds have."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from histhooks._base.exceptions import code_of

RUNNING, FINISHED, FAILED, INTERRUPTED, KILLED, LOST, ENDED = STATUSES = (
    "running", "finished", "failed", "interrupted", "killed", "lost", "ended",
)  # fmt: skip
ENDS = STATUSES[1:]
UNFINISHED = (FAILED, INTERRUPTED, KILLED, LOST, ENDED)
STOPPED = (FAILED, INTERRUPTED, KILLED)  # before it was done, as its own process saw
CUT_SHORT = (RUNNING, INTERRUPTED, KILLED, LOST)  # what it would have recorded next is not known
TO_THE_END = (FINISHED, ENDED)  # as far as is known
OPEN = (RUNNING, LOST)  # its process may still write
UNREPORTED = (RUNNING, KILLED, LOST)  # only its process could state the end, and has not
UNDECIDED = (RUNNING, ENDED, LOST)  # whoever saw the process end knows better
WORST_FIRST = (FAILED, KILLED, LOST, INTERRUPTED, ENDED, RUNNING, FINISHED)
# What a person should make of each: every screen has a colour for these.
GRADES = {
    FINISHED: "good", RUNNING: "going", FAILED: "failure", KILLED: "bad", LOST: "bad", INTERRUPTED: "doubtful",
    ENDED: "doubtful",
}  # fmt: skip

# In `seeds`: what the value of a generator without a seed begins with, before the entropy that it was made from; and
# where PYTHONHASHSEED comes from if no person chose it.
ENTROPY = "entropy:"
BY_HISTHOOKS = "histhooks run"


def in_sql(words: Iterable[str]) -> str:
    """Some of these words as a list of SQL."""
    return f"({', '.join(repr(word) for word in words)})"


def status_of(error: BaseException | None) -> str:
    """The status that an exception gives a run (Ctrl-C and a clean exit interrupt, all else fails)."""
    if error is None:
        return FINISHED
    asyncio = sys.modules.get("asyncio.exceptions")  # which signals Ctrl-C to a task by cancelling it
    kind = type(error)  # `isinstance` also asks the object, and any code of an exit may compare in its own way
    if issubclass(kind, (KeyboardInterrupt, GeneratorExit)) or (
        asyncio is not None and issubclass(kind, asyncio.CancelledError)
    ):
        return INTERRUPTED
    if issubclass(kind, SystemExit):
        code = code_of(error)
        return INTERRUPTED if code is None or (isinstance(code, int) and code == 0) else FAILED
    return FAILED


def ending(
    stated: str,
    *,
    exit_code: int | None = None,
    signal: int | None = None,
    is_alive: bool | None = False,
    is_guess: bool = False,
) -> str:
    """How a session ended.

    Parameters
    ----------
    stated : str
        The status that the record has.
    exit_code, signal : int, optional
        How its process ended, if somebody saw it: one of the two.
    is_alive : bool or None
        Whether the process goes on, or may; None if nothing can be seen of it, and nothing was heard for long.
    is_guess : bool
        Whether another session stated it, which only missed the process.

    Returns
    -------
    str
        What the session states of itself, unless that is undecided, or `finished` before an exit code that is not 0 or
        a signal; then what was seen; then `killed`, if the process
        is gone without a word, or `lost`, if nobody knows.
    """
    if exit_code is None and signal is None:
        if stated != RUNNING or is_alive:
            return stated
        return LOST if is_alive is None else KILLED
    if stated in UNDECIDED or is_guess or (stated == FINISHED and (exit_code or signal is not None)):
        return KILLED if signal is not None else FAILED if exit_code else FINISHED
    return stated
