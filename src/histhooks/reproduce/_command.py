"""The command of a recorded program, in words that can be run again."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from histhooks._base.secrets import MASK
from histhooks.history.compare.code import cells_of
from histhooks.history.compare.command import WITH_VALUE, WORKERS

if TYPE_CHECKING:
    from histhooks.history import RunRecord

TYPED = ("notebook", "repl")  # kinds of sessions whose program is cells
CELLS = "cells.py"  # the file that the cells of a notebook are written to
MAGIC_CELLS = "cells.ipy"  # the same if they have commands of IPython
_MAGIC = re.compile(r"(?m)^\s*(?:%|!|\?)|^\s*\w+\?+\s*$|=\s*!|=\s*%")


@dataclass(frozen=True, slots=True)
class Command:
    """How a program is started.

    Attributes
    ----------
    options : tuple of str
        Options of Python, such as ``-X dev``.
    form : str
        `script`, `module` (``-m``), `text` (``-c``) or `cells` (of a notebook or a prompt, as a script).
    program : str
        The script's path, the module's name, or the text.
    arguments : tuple of str
    masked : tuple of str
        Names of the arguments whose values were secrets, and were not kept.
    """

    options: tuple[str, ...]
    form: str
    program: str
    arguments: tuple[str, ...]
    masked: tuple[str, ...] = ()

    @property
    def words(self) -> list[str]:
        """The words after the interpreter."""
        mark = {"module": ["-m"], "text": ["-c"]}.get(self.form, [])
        return [*self.options, *mark, self.program, *self.arguments]

    def filled(self, ask: Callable[[str], str]) -> Command:
        """It with each secret as `ask` gives it, by name."""
        names = iter(self.masked)
        words = tuple(word.replace(MASK, ask(next(names))) if MASK in word else word for word in self.arguments)
        return replace(self, arguments=words, masked=())


def command_of(run: RunRecord) -> Command | str:
    """How the program of a run was started, or why it cannot be started again."""
    session = run.session
    if session["kind"] in TYPED:
        cells = cells_of(run)
        if not cells:
            return "what was typed was not recorded"
        if any(_MAGIC.search(cell["source"] or "") for cell in cells):
            return Command((), "module", "IPython", ("--no-banner", "--quick", MAGIC_CELLS))
        return Command((), "cells", CELLS, ())
    if (session["world_size"] or 1) > 1:
        return (
            f"it ran in {session['world_size']} processes that talk to each other (rank {session['rank']}): "
            "such a run is not repeated by one program"
        )
    if session["command"] is None:
        return "its command line was erased"
    if any(worker in session["command"] for worker in WORKERS):
        return "it ran in a worker that another program started: reproduce a run of that program"
    try:
        words = shlex.split(session["command"])[1:]
    except ValueError:
        return "its command line was cut and cannot be read"
    return _parsed(words)


def _parsed(words: list[str]) -> Command | str:
    options: list[str] = []
    while words:
        word = words.pop(0)
        if word.startswith(("-m", "-c")):
            program = word[2:] or (words.pop(0) if words else "")
            return _with_masks(tuple(options), {"-m": "module", "-c": "text"}[word[:2]], program, words)
        if word == "-":
            break
        if not word.startswith("-"):
            return _with_masks(tuple(options), "script", word, words)
        options.append(word)
        if word in WITH_VALUE and words:
            options.append(words.pop(0))
    return "the program was read from standard input, which is not kept"


def _with_masks(options: tuple[str, ...], form: str, program: str, words: list[str]) -> Command | str:
    if MASK in program:
        return "a secret in its command line was masked, within the program's own text"
    masked = []
    for n, word in enumerate(words):
        if MASK in word:
            before = words[n - 1] if n and words[n - 1].startswith("-") else f"argument {n + 1}"
            name = word.partition("=")[0] if "=" in word else before
            masked += [re.sub(r"\W+", "_", name.lstrip("-")).upper()] * word.count(MASK)
    return Command(options, form, program, tuple(words), tuple(masked))


def secret_variable(name: str) -> str:
    """The environment variable that a masked argument is taken from."""
    return f"HISTHOOKS_SECRET_{name}"


def given_secret(name: str) -> str | None:
    """The value that the environment gives for a masked argument."""
    return os.environ.get(secret_variable(name))
