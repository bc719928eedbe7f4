"""What checks find in the runs of a program that called ``autolog()`` itself: one line, once the program has ended.

Writing loads nothing that reads, so a process of its own reads the store, within a time limit, and this one prints what
it says. Only the first process of a program does so, at a normal end, if stderr is a terminal or HISTHOOKS_CHECK=1;
under ``histhooks run`` the supervisor does (:mod:`histhooks.cli._run_risks`). What fails is dropped.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from histhooks._host.messages import is_quiet, say
from histhooks._host.store_location import is_off, table_of, working_folder

if TYPE_CHECKING:
    from histhooks._record.session import Session

VARIABLE = "HISTHOOKS_CHECK"
_MOST_S, _MOST_ASKED_S = 1.5, 10.0  # that the end of a program waits; where HISTHOOKS_CHECK asks for the line
_MOST_CHARACTERS = 2000
_MARK = "\x1ehisthooks "
# -I and -S leave out what the program's own folders and customizations would bring in.
_CODE = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from histhooks.cli import _run_risks; "
    "_run_risks.print_line(sys.argv[2], sys.argv[3], sys.argv[4])"
)


def wants(session: Session) -> bool:
    """Whether this process says what was found in its runs.

    Parameters
    ----------
    session : Session
        That has just ended well.
    """
    told = os.environ.get(VARIABLE, "").lower()
    if is_off() or is_quiet() or told in ("off", "0", "false", "no"):
        return False
    if not session.speaks or session.rank or session.is_test or not session.n_runs or os.environ.get("HISTHOOKS_RUN"):
        return False
    if not (_is_asked() or _is_terminal()):
        return False
    return not _takes_children(session) and not _is_opted_out()


def print_for(session: Session, store: Path) -> None:
    """Print the line, if there is anything to say; at most 1.5 seconds later, 10 where it was asked for.

    Parameters
    ----------
    session : Session
    store : Path
        Where it was recorded.
    """
    try:
        line = _answer(session.id, store)
    except (OSError, ValueError, RuntimeError, KeyboardInterrupt):  # no room for a process, or the user has no time
        return
    if line:
        say(line)


def _is_asked() -> bool:
    return os.environ.get(VARIABLE, "").lower() in ("1", "on", "true", "yes")


def _is_terminal() -> bool:
    try:
        return sys.stderr.isatty()
    except (AttributeError, ValueError, OSError, RuntimeError):  # what a program may have put there
        return False


def _takes_children(session: Session) -> bool:
    """Whether the program would notice a child: it handles their ends, or is itself one of multiprocessing."""
    process = sys.modules.get("multiprocessing.process")
    if process is not None and process.parent_process() is not None:
        return True
    return session.pid != os.getpid() or getattr(signal, "SIGCHLD", None) is None or (
        signal.getsignal(signal.SIGCHLD) is not signal.SIG_DFL
    )  # fmt: skip


def _is_opted_out() -> bool:
    _, table = table_of(Path(working_folder()), "check")
    return isinstance(table, dict) and table.get("after_run") is False


def _answer(session_id: str, store: Path) -> str:
    import json
    import subprocess

    if not os.path.basename(sys.executable or "").lower().startswith(("python", "pypy")):
        return ""  # another program that has Python in it
    flags = ("-I", "-S", "-W", "ignore", "-c")
    command = [sys.executable, *flags, _CODE, json.dumps(library_path()), session_id, str(store), _MARK]
    variables = {**os.environ, "HISTHOOKS": "off"}
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=variables
    ) as child:
        try:
            out, _ = child.communicate(timeout=_MOST_ASKED_S if _is_asked() else _MOST_S)
        except subprocess.TimeoutExpired:
            child.kill()
            return ""
        except BaseException:
            child.kill()
            raise
    _, mark, text = out.decode("utf-8", "replace").rpartition(_MARK)
    return text.strip() if child.returncode == 0 and mark and len(text) <= _MOST_CHARACTERS else ""


def library_path() -> list[str]:
    """Where packages are found, without the folder of the program, whose modules may have any name."""
    script = os.path.dirname(os.path.abspath(getattr(sys.modules.get("__main__"), "__file__", None) or "."))
    own = {"", os.path.realpath(script), os.path.realpath(working_folder())}
    found = [entry for entry in sys.path if isinstance(entry, str) and entry and os.path.realpath(entry) not in own]
    return [*found, str(Path(__file__).resolve().parents[2])]
