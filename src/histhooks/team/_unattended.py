"""The process that pushes a store by itself: detached, patient, one for each store at a time.

:mod:`histhooks._record.pushing` and ``histhooks run`` start it. It tries for a quarter of an hour and then leaves the
rest to the next one, and says how it went in a small file, which the last line of the next session and ``doctor`` read.

Two locks make it one: who has the first pushes, who has the second waits for that, and any other leaves, since the
waiting one reads the store later than now.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from histhooks._record.pushing import last_report, report_of
from histhooks.errors import ForkError, HisthooksError
from histhooks.team._push import is_idle, push
from histhooks.team._target import named_target
from histhooks.team.box.address import Box

_PATIENCE_S = 900.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 2.0, 300.0
_EVERY_S = 10.0  # with `live`
_BOX_EVERY_S = 60.0  # into a folder or a bucket, where each push is a file that stays
_IDLE_S = 60.0
_NICE = 10


def main(store: str, folder: str, when: str) -> None:
    """Push a store; never raises, and prints nothing.

    Parameters
    ----------
    store : str
    folder : str
        In which the target is named.
    when : str
        `end` or `live`; `now` does not wait for a process that pushes already: `histhooks run` waits for this one.
    """
    with contextlib.suppress(OSError, AttributeError):
        os.closerange(3, 4096)  # what the program let its children have
        os.nice(_NICE)
        os.chdir(folder)
    path = Path(store)
    attempts = Attempts(path)
    if when == "now":
        with contextlib.suppress(Exception):
            attempts.until_pushed()
        return
    with contextlib.suppress(Exception), _alone(path) as is_mine:
        if is_mine:
            attempts.until_pushed() if when != "live" else attempts.until_idle()


class Attempts:
    """Tries to push a store, and reports how it went.

    Parameters
    ----------
    store : Path
    sleep : callable, optional
        Waits some seconds.
    """

    def __init__(self, store: Path, sleep: Callable[[float], None] = time.sleep) -> None:
        self._store, self._sleep = store, sleep
        self._pause_s, self._every_s = _FIRST_PAUSE_S, _EVERY_S

    def until_pushed(self) -> bool:
        """Try until all is there or a quarter of an hour is over; whether it is there."""
        end = time.monotonic() + _PATIENCE_S
        while not self.once():
            if time.monotonic() + self._pause_s > end:
                return False
            self._wait()
        return True

    def until_idle(self) -> None:
        """Push every ten seconds until no session has recorded for a minute."""
        quiet_since = time.monotonic()
        while True:
            is_done = self.once()
            is_quiet = is_idle(self._store)
            if not is_quiet:
                quiet_since = time.monotonic()
            elif time.monotonic() - quiet_since >= _IDLE_S:
                if not is_done:
                    self.until_pushed()
                return
            if is_done:
                self._sleep(self._every_s)
            else:
                self._wait()

    def _wait(self) -> None:
        self._sleep(self._pause_s)
        self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S)

    def once(self) -> bool:
        """Try once; whether all is there, but for what will never be."""
        error, target, is_final = None, "", False
        try:
            named = named_target()
        except HisthooksError as raised:  # waiting does not mend what is no target
            self._report(target, str(raised))
            return True
        try:
            self._every_s = _BOX_EVERY_S if isinstance(named, Box) else _EVERY_S
            target = str(named) if isinstance(named, Path) else named.shown
            push(self._store)
            self._pause_s = _FIRST_PAUSE_S
        except HisthooksError as raised:
            error = str(raised)
            is_final = isinstance(raised, ForkError)
        except Exception as raised:  # noqa: BLE001, nobody sees this process: what is not reported is not known
            error = f"internal error: {type(raised).__name__}: {raised}"
        self._report(target, error)
        return error is None or is_final

    def _report(self, target: str, error: str | None) -> None:
        path = report_of(self._store)
        if path is None:
            return
        before, now = last_report(self._store), time.time()
        found: dict[str, Any] = {"store": str(self._store), "target": target, "at": now, "error": error}
        found["pushed_at"] = now if error is None else before.get("pushed_at")
        if error is not None:
            found["failing_since"] = before.get("failing_since") or now
            found["next_at"] = now + self._pause_s
        with contextlib.suppress(OSError):
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            part = path.with_suffix(f".{os.getpid()}")
            part.write_text(json.dumps(found), encoding="utf-8")
            os.replace(part, path)


@contextlib.contextmanager
def _alone(store: Path) -> Iterator[bool]:
    """Wait until no other process pushes a store; False if one waits already."""
    path = report_of(store)
    try:
        import fcntl
    except ImportError:  # Windows: two at once do no harm
        path = None
    if path is None:
        yield True
        return
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        files = [open(path.with_suffix(end), "a") for end in (".lock", ".next")]  # noqa: SIM115, closed below
    except OSError:  # nowhere to agree with others, who do no harm
        yield True
        return

    def locks(file: IO[str]) -> bool:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    pushing, waiting = files
    with pushing, waiting:
        end = time.monotonic() + _PATIENCE_S
        is_next = locks(waiting)
        while is_next and not locks(pushing):
            if time.monotonic() > end:
                is_next = False
            time.sleep(0.2)
        fcntl.flock(waiting, fcntl.LOCK_UN)
        yield is_next
