"""Compare the arguments of two programs: the words typed after the program's name."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from histhooks.history.compare.change import Part, changes_of

if TYPE_CHECKING:
    from histhooks.history._run_rows import RunRows

_KINDS = ("script", "job", "command")  # what starts the others says nothing of the training
WITH_VALUE = ("-W", "-X", "--check-hash-based-pycs")
# A process that another Python started: numbers of pipes, which no two have alike.
WORKERS = ("--multiprocessing-fork", "joblib.externals.loky", "multiprocessing.spawn", "multiprocessing.forkserver")


def command(a: RunRows, b: RunRows) -> Part:
    """Arguments by option; the interpreter, its options and the program's path do not count, nor their order."""
    found = [run.session for run in (a, b)]
    if any(each["kind"] not in _KINDS for each in found):
        return Part("command", is_there=False)
    unknown = [f"{n}: its command was erased" for n, each in zip("AB", found) if each["command"] is None]
    if unknown:
        return Part("command", unknown=tuple(unknown))
    words = [arguments_of(each["command"]) for each in found]
    if words[0] is None or words[1] is None:
        return Part("command", is_there=False)
    told = [_options(each or []) for each in words]
    return Part("command", tuple(changes_of(*told)), is_there=bool(told[0] or told[1]))


def arguments_of(command: str) -> list[str] | None:
    """The arguments of a program that Python ran; None if they are unknown, or nobody typed them."""
    if any(worker in command for worker in WORKERS):
        return None
    try:
        words = shlex.split(command)[1:]
    except ValueError:
        return None
    while words:
        word = words.pop(0)
        if word == "-c":
            return words  # its text first, since nothing else holds it
        if word in ("-m", "-") or not word.startswith("-"):
            return words[1:] if word == "-m" else words
        if word.startswith(("-m", "-c")):
            return words
        if word in WITH_VALUE and words:
            words.pop(0)
    return []


def options_of(run: RunRows) -> dict[str, Any]:
    """Arguments of the program of a run, by option; empty if nobody typed them, or they were erased."""
    session = run.session
    return options_in(session["kind"], session["command"])


def options_in(kind: str, command: str | None) -> dict[str, Any]:
    """Arguments of a process of some kind, by option; empty if nobody typed them, or they were erased."""
    words = arguments_of(command) if command is not None and kind in _KINDS else None
    return _options(words) if words and command is not None and not command_is_text(command) else {}


def command_is_text(command: str) -> bool:
    """Whether the program itself stands in the command line (``python -c``), which is code and no argument."""
    return " -c " in command


def _options(words: list[str]) -> dict[str, Any]:
    """Arguments by their option, the others by their place; an option that is given again has a list."""
    found: dict[str, list[Any]] = {}
    place, n = 0, 0
    while n < len(words):
        word = words[n]
        n += 1
        name, sign, value = word.partition("=")
        if not _is_option(word):
            place += 1
            found[f"argument {place}"] = [word]
        elif sign:
            found.setdefault(name, []).append(value)
        elif n < len(words) and not _is_option(words[n]):
            found.setdefault(word, []).append(words[n])
            n += 1
        else:
            found.setdefault(word, []).append(True)
    return {key: values[0] if len(values) == 1 else values for key, values in found.items()}


def is_option(name: str) -> bool:
    """Whether a name is one of those that arguments have, and of no param."""
    return name.startswith("-") or (name.startswith("argument ") and name[9:].isdigit())


def _is_option(word: str) -> bool:
    """Whether a word is an option, and no negative number."""
    return len(word) > 1 and word[0] == "-" and not word[1:].replace(".", "").replace("e-", "").isdigit()
