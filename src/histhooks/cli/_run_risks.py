"""What checks say at the end of a program: one line on stderr, if they have a warning or a failure.

`histhooks run` prints it (`say`); for a program that called ``autolog()`` itself a process of its own finds it
(`print_line`, called by ``_record/closing_line.py``). The program has ended by then. What fails here says nothing:
`histhooks check` does.
"""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from histhooks._host.messages import is_quiet
from histhooks._host.store_location import is_off, is_strict

if TYPE_CHECKING:
    from histhooks._record.conclude import Session
    from histhooks.checks import Finding
    from histhooks.history import History, RunRecord

_MOST_S = 0.2  # in which runs are judged, the last one first; the first one is always
_TITLES, _RUNS = 3, 3  # that are named
_KNOWN = ("run.unfinished", "rec.dropped")  # the program's own end, and the line of the recorder, say so


def say(sessions: list[Session]) -> None:
    """Print what checks find in the runs of some sessions, in one line at most."""
    if not sessions or is_off() or is_quiet() or _is_switched_off():
        return
    try:
        line = _line(sessions)
        if line is not None:
            click.echo(f"histhooks: {line}", err=True)
    except Exception:  # the program's exit code is all that counts now
        if is_strict():
            raise


def print_line(session_id: str, store: str, mark: str) -> None:
    """Print what checks find in the runs of one session behind a mark, or nothing."""
    from histhooks._record.conclude import Session

    line = _line([Session(session_id, 0, Path(store))])
    if line is not None:
        click.echo(f"{mark}{line}")


def _is_switched_off() -> bool:
    return os.environ.get("HISTHOOKS_CHECK", "").lower() in ("off", "0", "false", "no")


def _line(sessions: list[Session]) -> str | None:
    from histhooks.checks import all_checks
    from histhooks.checks._config import configured
    from histhooks.checks._registry import IDS
    from histhooks.history import History

    config = configured()
    if not config.after_run:
        return None
    names = [name for name in IDS if name not in (*config.skip, *_KNOWN)]
    titles = {name: check.title for name, check in all_checks().items()}
    for store in dict.fromkeys(session.store for session in sessions):
        with History(store) as history:
            mine = [session.id for session in sessions if session.store == store]
            found = _found(history, mine, names)
            if found:
                return _words(found, titles, _command(history, [run for run, _ in found], store))
    return None


def _found(history: History, sessions: list[str], names: list[str]) -> list[tuple[RunRecord, tuple[Finding, ...]]]:
    """The runs in which there is a warning or a failure, the last one first."""
    from histhooks.checks._types import INFO

    found, until = [], time.monotonic() + _MOST_S
    for run in _runs(history, sessions):
        findings = tuple(one for one in run.check(names).findings if one.level != INFO)
        if findings:
            found.append((run, findings))
        if time.monotonic() > until:
            break
    return found


def _runs(history: History, sessions: list[str]) -> Iterator[RunRecord]:
    from histhooks.checks._inner import with_inner

    for session in reversed(sessions):
        for run in history.runs(where=f"session_id = '{session}'", is_nested=False):
            if run.kind not in ("candidate", "preprocess"):
                yield from with_inner(run)


def _words(found: list[tuple[RunRecord, tuple[Finding, ...]]], titles: dict[str, str], command: str) -> str:
    worst = sorted((one for _, findings in found for one in findings), key=lambda one: -one.rank)
    ids = list(dict.fromkeys(one.id for one in worst))
    told = [titles[name] for name in ids[:_TITLES]] + ([f"{len(ids) - _TITLES} more"] if len(ids) > _TITLES else [])
    runs = f" in {len(found)} runs" if len(found) > 1 else ""
    return f"{len(worst)} finding{'s' * (len(worst) > 1)}{runs}: {'; '.join(told)} ({command})"


def _command(history: History, runs: list[RunRecord], store: Path) -> str:
    """What to type to see them."""
    from histhooks._base.ids import short_id
    from histhooks.errors import HisthooksError
    from histhooks.history._opening import locate

    try:
        is_here = locate().samefile(store)
    except (HisthooksError, OSError):
        is_here = False
    words = ["histhooks", "check", *([] if is_here else [os.path.relpath(store)])]
    outer = list(dict.fromkeys(_outermost(run) for run in runs))
    is_last = outer == [history.run("last").id]
    return shlex.join([*words, *(["last"] if is_last else [short_id(one) for one in outer[:_RUNS]])])


def _outermost(run: RunRecord) -> str:
    while run.parent is not None:
        run = run.parent
    return run.id
