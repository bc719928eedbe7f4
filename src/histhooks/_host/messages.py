"""Print messages to the user: single lines on stderr that begin with histhooks."""

from __future__ import annotations

import os
import sys
import threading
from typing import TYPE_CHECKING

from histhooks._host.fork_lock import ForkLock
from histhooks._host.store_location import FILE_ONLY, is_target, table_of, working_folder

if TYPE_CHECKING:
    import logging

_said: set[str] = set()
_lock = ForkLock()
# Held while a line is written, and around a fork (`_record.forks`). A stream has a lock inside (`_io.BufferedWriter`)
# that CPython renews in no child: were a thread of ours writing just then, the child would wait for it for ever.
speech = ForkLock(threading.RLock)


class _Stderr:
    """Writes to whatever stderr is now, so that a program that replaced it sees our lines there.

    What a program puts there may raise anything: a window that only the main thread may write to
    (RuntimeError of tkinter), a stream that is closed or None, one that knows no ``·``. A line that cannot be shown is
    dropped; ``logging`` would write about that to the same stream again.
    """

    def write(self, text: str) -> None:
        stream = sys.stderr
        try:
            try:
                stream.write(text)
            except UnicodeEncodeError:
                encoding = getattr(stream, "encoding", None) or "ascii"
                stream.write(text.encode(encoding, "replace").decode(encoding))
            stream.flush()
        except Exception:
            return


def _format(record: logging.LogRecord) -> str:
    text = f"histhooks: {record.getMessage()}"
    return f"\033[2m{text}\033[0m" if getattr(record, "is_dim", False) else text


def _ready() -> logging.Logger:
    import logging  # costs what the rest of an import costs, and most programs bring it in themselves

    logger = logging.getLogger("histhooks")
    if not logger.handlers:
        handler = logging.StreamHandler(_Stderr())
        formatter = logging.Formatter()
        formatter.format = _format  # type: ignore[method-assign]
        handler.setFormatter(formatter)
        logger.addHandler(handler)
        logger.propagate = False
        if logger.level == logging.NOTSET:
            logger.setLevel(logging.INFO)
    return logger


def prepare() -> None:
    """Bring logging in, on the program's thread.

    It takes a lock around each fork (``logging.__init__``, ``os.register_at_fork``): imported by another thread while
    the program forks, it would release what it never took.
    """
    _ready()


def is_quiet() -> bool:
    """Whether HISTHOOKS_QUIET stops the lines that are no warnings."""
    return os.environ.get("HISTHOOKS_QUIET", "") not in ("", "0")


def say(text: str, *, is_dim: bool = False) -> None:
    """Print a message; frequent ones are dim."""
    if not is_quiet():
        with speech.held():
            _ready().info(text, extra={"is_dim": is_dim})


def be_still(text: str) -> None:
    """Replace `say` in other ranks than the first and in workers, which do not print where they record."""


def warn_of_target(path: object) -> None:
    """Say so where the environment or pyproject.toml names the target of a team in the place of a store."""
    from pathlib import Path

    named = "HISTHOOKS_STORE" if is_target(os.environ.get("HISTHOOKS_STORE")) else ""
    if not named and not os.environ.get("HISTHOOKS_STORE"):
        configured, word = table_of(Path(working_folder()), "store")
        named = f"the store in {configured}" if is_target(word) else ""
    if named:
        warn_once("store/target", f"{named} is not used: {FILE_ONLY}; recording to {path}")


def warn_once(key: str, text: str) -> None:
    """Print a warning, once a process for each key."""
    with _lock.held():
        if key in _said:
            return
        _said.add(key)
    with speech.held():
        _ready().warning(text)


def after_fork() -> None:
    """In a forked child, allow the fork warning again."""
    _said.discard("forked")


def forget() -> None:
    """Allow all warnings again."""
    _said.clear()
