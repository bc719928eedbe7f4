"""``run``: any program, unchanged, recorded from its first line.

The program runs under plain Python in a process of its own, so that arguments, ``__main__``, tracebacks, debuggers and
exit codes are the same as without histhooks. stdin and stdout are inherited. stderr passes through this process byte by
byte (over a pseudo-terminal if it was a terminal), so that its last lines are known if the program does not finish.

Recording begins in ``sitecustomize``, which ``-I``, ``-E`` and ``-S`` of Python switch off, and which needs a Python of
3.11 or newer that has histhooks. If nothing was recorded, one line at the end says so, and why.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections import deque
from pathlib import Path
from types import FrameType

import click

from histhooks._host import hash_seed
from histhooks._host.messages import is_quiet
from histhooks._host.store_location import FILE_ONLY, is_off, is_target, user_folder
from histhooks._record import conclude
from histhooks.cli import _common as common
from histhooks.cli import _run_push, _run_risks

_WITH_VALUE = ("--store", "--project", "--group", "--watch", "--push-wait")
_LINES = 200
_LINE_BYTES = 10_000
_FORWARDED = ("SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGCONT")


class _Command(click.Command):
    """Stop parsing options at the script, at ``-m MODULE`` or at ``--``; the rest belongs to the program."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ours, kind, rest = _split(args)
        super().parse_args(ctx, ours)
        ctx.params["module"] = rest.pop(0) if kind == "module" and rest else None
        ctx.params["words"] = tuple(rest)
        ctx.params["is_command"] = kind == "command"
        return []


def _split(args: list[str]) -> tuple[list[str], str, list[str]]:
    """The options of histhooks, the kind of what follows (`script`, `module` or `command`), and its words."""
    place = 0
    while place < len(args):
        word = args[place]
        if word == "--":
            return args[:place], "command", args[place + 1 :]
        if word.startswith("-m"):
            return args[:place], "module", [*filter(None, [word[2:]]), *args[place + 1 :]]
        if not word.startswith("-"):
            break
        place += 2 if word in _WITH_VALUE else 1
    return args[:place], "script", args[place:]


@click.command(
    cls=_Command,
    epilog="Example: histhooks run train.py --epochs 3; histhooks run -m package.train; histhooks run -- make train",
)
@click.option("-m", "module", metavar="MODULE", help="Run a module, as python -m does.")
@click.option("--store", metavar="PATH", help="The store to record to.")
@click.option("--project", help="The project of the runs.")
@click.option("--group", help="The group of the runs.")
@click.option(
    "--watch",
    "watched",
    multiple=True,
    metavar="NAME@ALIAS",
    help="Watch this model where it predicts, instead of recording runs; may be repeated.",
)
@click.option(
    "--push-wait",
    metavar="TIME",
    default="30s",
    show_default=True,
    help="How long to wait for the push to the team, where one is named.",
)
@click.argument("words", nargs=-1, metavar="SCRIPT [ARGS]... | -- COMMAND...", type=click.UNPROCESSED)
@click.pass_context
def run(
    context: click.Context,
    words: tuple[str, ...],
    module: str | None,
    store: str | None,
    project: str | None,
    group: str | None,
    watched: tuple[str, ...],
    push_wait: str,
    is_command: bool = False,
) -> None:
    """Run a program, unchanged, and record each training in it and in every Python child.

    Exit code and signals are those of the program. SCRIPT runs under this Python; after -- comes any command: torchrun,
    make, papermill, pytest, jupyter.
    """
    if is_target(store):
        from histhooks.errors import StoreError

        raise StoreError(FILE_ONLY)
    command = _command(words, module, is_command=is_command)
    push_wait_s = common.interval_s("--push-wait", push_wait)
    environment = dict(os.environ)
    # Even if a recording program started this process, it prints where it records.
    environment["HISTHOOKS_ROOT"] = f"run-{os.getpid()}"
    for name, value in (("STORE", store and os.path.abspath(store)), ("PROJECT", project), ("GROUP", group),
                        ("WATCH", ",".join(watched))):  # fmt: skip
        if value:
            environment[f"HISTHOOKS_{name}"] = value
    if not is_off():
        environment |= hash_seed.to_set(environment)
    _hold_standard_streams()
    folder = _scratch()
    try:
        environment["HISTHOOKS_RUN"] = os.devnull if folder is None else str(folder)
        bootstrap = str(Path(__file__).parent.parent / "_bootstrap")
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, [bootstrap, environment.get("PYTHONPATH")]))
        code = _supervise(command, environment, folder, push_wait_s)
    finally:
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)
    if code < 0:
        _die(-code)
    context.exit(code)


def _hold_standard_streams() -> None:
    """Keep files that histhooks opens from taking the numbers of closed standard streams.

    Under some daemons they are closed, and text for stderr would go into the file that got its number. In the program
    they stay closed, since files that Python opens are not inherited (PEP 446).
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free: this one


def _scratch() -> Path | None:
    """A folder where the program's processes report their sessions; None if no place for one can be written."""
    state = user_folder("XDG_STATE_HOME", ".local/state")
    for parent in (None, state):
        try:
            if parent is not None:
                parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            return Path(tempfile.mkdtemp(prefix="histhooks-run-", dir=parent))
        except OSError:
            continue
    click.echo(
        "histhooks: no temporary folder can be written (set TMPDIR): recording goes on, without exit code", err=True
    )
    return None


def _command(words: tuple[str, ...], module: str | None, *, is_command: bool) -> list[str]:
    if module is not None:
        return [sys.executable, "-m", module, *words]
    if not words:
        raise click.UsageError("run takes a script, -m MODULE, or -- COMMAND")
    if is_command:
        if shutil.which(words[0]) is None:
            raise click.UsageError(f"no command {words[0]!r} on the PATH")
        return list(words)
    if not os.path.exists(words[0]):
        hint = (
            f"; to run the command {words[0]!r}: histhooks run -- {' '.join(words)}" if shutil.which(words[0]) else ""
        )
        raise click.UsageError(f"no script {words[0]!r} here{hint}")
    return [sys.executable, *words]


class _Relay(threading.Thread):
    """Passes the program's stderr on, and keeps its last lines."""

    def __init__(self, source: int) -> None:
        super().__init__(name="histhooks-stderr", daemon=True)
        self._source = source
        self._lines: deque[bytes] = deque(maxlen=_LINES)
        self._open = b""

    def run(self) -> None:
        """Relay until the last writer has gone."""
        while True:
            try:
                data = os.read(self._source, 1 << 16)
            except OSError:  # the other end of a terminal is gone
                return
            if not data:
                return
            _write_all(data)
            *whole, self._open = (self._open + data).split(b"\n")
            self._lines.extend(whole)
            self._open = self._open[-_LINE_BYTES:]

    def tail(self) -> str:
        """The last lines, each as it last stood on the screen."""
        lines = [*self._lines, self._open] if self._open else list(self._lines)
        shown = [line.rstrip(b"\r").rpartition(b"\r")[2][-_LINE_BYTES:] for line in lines]
        return b"\n".join(shown).decode("utf-8", "replace")


def _write_all(data: bytes) -> None:
    while data:
        try:
            data = data[os.write(2, data) :]
        except OSError:
            return


def _supervise(command: list[str], environment: dict[str, str], folder: Path | None, push_wait_s: float) -> int:
    """Run a command; give its exit code, or less than 0: the signal that ended it."""
    is_terminal = os.isatty(2) and hasattr(os, "openpty")  # Windows has no pseudo-terminals of this kind
    reading, writing = _terminal() if is_terminal else os.pipe()
    process = subprocess.Popen(command, env=environment, stderr=writing)
    os.close(writing)

    def forward(number: int, frame: FrameType | None) -> None:
        if process.poll() is None:
            process.send_signal(number)

    def interrupt(number: int, frame: FrameType | None) -> None:
        # Ctrl-C reaches every process of the terminal's group by itself; of the console, on Windows.
        if hasattr(os, "tcgetpgrp") and not _is_in_foreground():
            forward(number, frame)

    for name in _FORWARDED:
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), forward)
    signal.signal(signal.SIGINT, interrupt)
    if is_terminal:
        signal.signal(signal.SIGWINCH, lambda number, frame: _copy_size(reading))
    relay = _Relay(reading)
    relay.start()
    code = process.wait()
    relay.join(timeout=1.0)  # a child that lives on may hold the other end
    if folder is not None:
        _conclude(folder, process.pid, code, relay.tail(), environment.get("HISTHOOKS_WATCH"))
        _push(folder, push_wait_s)
    return code


def _terminal() -> tuple[int, int]:
    """Both ends of a terminal as wide as the one that stderr is."""
    import pty
    import tty

    reading, writing = pty.openpty()
    tty.setraw(writing)
    _copy_size(writing)
    return reading, writing


def _copy_size(terminal: int) -> None:
    import termios

    try:
        termios.tcsetwinsize(terminal, termios.tcgetwinsize(2))
    except termios.error:
        return


def _is_in_foreground() -> bool:
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)


def _why_nothing(folder: Path, watch: str | None) -> str:
    if not watch:
        return f"nothing was recorded: {conclude.why_nothing(folder)}"
    return (
        f"nothing was watched: no file of {watch} was loaded that histhooks sees; `histhooks models` lists the "
        "versions, and histhooks.watch(NAME, model) watches a model that comes from elsewhere"
    )


def _conclude(folder: Path, pid: int, code: int, stderr: str, watch: str | None) -> None:
    import sqlite3

    from histhooks.errors import HisthooksError

    sessions = conclude.told(folder)
    if not sessions and not is_quiet() and not is_off():
        click.echo(f"histhooks: {_why_nothing(folder, watch)}", err=True)
    ends = {**conclude.ends(folder), pid: (code, None) if code >= 0 else (None, -code)}
    for session in sessions:
        try:
            conclude.conclude(session, *ends.get(session.pid, (None, None)), stderr)
        except (sqlite3.Error, HisthooksError, OSError) as error:
            click.echo(f"histhooks: how it ended was not recorded: {error}", err=True)
    _run_risks.say(sessions)


def _push(folder: Path, wait_s: float) -> None:
    """Have what was recorded pushed, where a team is named; what fails waits for the next push."""
    try:
        _run_push.push([*dict.fromkeys(_run_push.home_of(session.store) for session in conclude.told(folder))], wait_s)
    except (OSError, ValueError):
        return


def _die(number: int) -> None:
    """End as the program did, without writing a second core file."""
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    if number != signal.SIGKILL:
        signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
