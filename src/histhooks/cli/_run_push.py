"""The push at the end of ``histhooks run``, where a team is named: started here, and waited for.

A batch system ends all processes of a job with its first one, so that a detached process would be lost.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import click

from histhooks._host.messages import is_quiet
from histhooks._record import pushing

_LOOK_S = 0.05


def push(stores: list[Path], wait_s: float) -> None:
    """Start a push of each store, and wait for it; no longer than it takes to fail.

    Parameters
    ----------
    stores : list of Path
    wait_s : float, seconds
    """
    if not stores or pushing.mode() == "off":
        return
    began = time.time()
    started = {store: pushing.start(store, "now", None, is_child=True) for store in stores}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    late: list[Path] = stores
    try:
        end = time.monotonic() + wait_s
        while late := [store for store in late if _goes_on(store, started[store], began)]:
            if time.monotonic() >= end:
                break
            time.sleep(_LOOK_S)
    except KeyboardInterrupt:  # the push goes on
        pass
    if is_quiet():
        return
    lines = [pushing.unknown_word(), *map(pushing.not_pushed, stores)]
    if late:
        lines.append(f"the push goes on after {wait_s:g} s (--push-wait); histhooks team status says what waits")
    for line in filter(None, lines):
        click.echo(f"histhooks: {line}", err=True)


def home_of(path: Path) -> Path:
    """The store that a spool belongs to, as far as its folder tells; any other file is a store itself."""
    beside = path.parent
    return beside.with_suffix("") if beside.suffix == ".spool" and beside.with_suffix("").is_file() else path


def _goes_on(store: Path, number: int | None, began: float) -> bool:
    if number is None:
        return False
    try:
        if os.waitpid(number, os.WNOHANG)[0]:
            return False
    except (ChildProcessError, AttributeError):
        return False
    report = pushing.last_report(store)
    return not (report.get("error") and report.get("at", 0) >= began)
