"""Verbs in a process of their own, with pipes or on a terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
from pathlib import Path

COMMAND = [sys.executable, "-m", "histhooks"]
# `doctor` imports each framework, which takes a minute; where a test is about something else that it says, it has none.
DOCTOR = [
    sys.executable, "-c",
    "from histhooks.cli import _doctor, main; _doctor.FRAMEWORKS = {}; main()", "doctor",
]  # fmt: skip


def environment(**variables: str) -> dict[str, str]:
    """This environment without what says which store, colours or size to use."""
    left = ("HISTHOOKS_STORE", "NO_COLOR", "COLUMNS", "LINES", "FORCE_COLOR")
    return {**{key: value for key, value in os.environ.items() if key not in left}, **variables}


def ask(*words: str | Path, folder: Path | None = None, **variables: str) -> tuple[int, str, str]:
    """Run a verb: its exit code and what it wrote to both streams."""
    done = subprocess.run(
        [*COMMAND, *map(str, words)],
        env=environment(**variables), cwd=folder, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert "Traceback (most recent call last)" not in done.stderr
    return done.returncode, done.stdout, done.stderr


def ask_on_terminal(*words: str | Path, columns: int = 100, lines: int = 30, **variables: str) -> tuple[int, str]:
    """Run a verb on a terminal of its own: its exit code and what it showed."""
    return in_terminal([*COMMAND, *map(str, words)], columns=columns, lines=lines, **variables)


def in_terminal(command: list[str], *, columns: int = 100, lines: int = 30, **variables: str) -> tuple[int, str]:
    """Run a command on a terminal of its own: its exit code and what it showed."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
    process = subprocess.Popen(
        command,
        env=environment(**{"TERM": "xterm-256color", **variables}), stdin=theirs, stdout=theirs, stderr=theirs,
    )  # fmt: skip
    os.close(theirs)
    shown = b""
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:  # the other side is closed
            break
        if not piece:
            break
        shown += piece
    os.close(ours)
    return process.wait(timeout=60), shown.decode("utf-8", "replace").replace("\r\n", "\n")
