"""The sources that ran and that git does not have: from where Python took them.

Asked are the modules that were imported, the frames that a run was opened from (which knows what `exec` and `runpy`
ran), the command line (``-c``), standard input where it is a file, and the archive that a program came in. Installed
packages and the standard library are not sources of the program: `packages` has their versions. Nothing is imported
or called for this but `zipimport`'s own reader, and no module's `__getattr__`.

Of what came through a pipe, was a string that `exec` ran, or lies in a file that is gone by now, no text is left. What
Python made of it stands for it, by its hash: two such programs that differ are known to differ.
"""

from __future__ import annotations

import os
import stat
import sys
import zipimport
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from types import CodeType, FrameType
from typing import Any

from histhooks._base.call_site import is_front
from histhooks._base.secret_keys import kind_of
from histhooks._base.secrets import mask_text

COMMAND = "-c"
STDIN = "<stdin>"
PROGRAM = "<program>"
_MOST_BYTES = 256 << 10
_GENERATED = ("__autograph_generated_file", "torchinductor_")
_INSTALLED = ("site-packages", "dist-packages")
_OF_CELLS = ("<ipython-input-", "<timed ", "<magic-timeit>")  # whose text stands in a cell
_WITH_VALUE = ("-W", "-X", "--check-hash-based-pycs")
_MOST_CODES = 100
_MAKERS = "__create_fn__."  # of dataclasses
# Names of the files whose code was running when a run was opened.
filenames: set[str] = set()
# Code that ran then and that is in no file: that of a pipe, `exec` of a string; by its identity, which it keeps alive.
_codes: dict[int, CodeType] = {}
# The code of the program, which a pipe or a file that is gone may have given.
_program: list[CodeType] = []


def saw(frame: FrameType | None) -> None:
    """Note from where a run is opened: some 50 ns a frame."""
    outermost = None
    while frame is not None:
        code = frame.f_code
        name = code.co_filename
        if name not in filenames:
            filenames.add(name)
        if not _program and code.co_name == "<module>" and frame.f_globals.get("__name__") == "__main__":
            outermost = code
        if name[:1] == "<" and id(code) not in _codes and len(_codes) < _MOST_CODES:
            is_made = _is_of_package(frame.f_globals) or code.co_qualname.startswith(_MAKERS)
            is_apart = _is_nowhere(name) and not is_made and not is_front(code)
            if is_apart:
                _codes[id(code)] = code
        frame = frame.f_back
    if outermost is not None:
        _program.append(outermost)


def _is_nowhere(name: str) -> bool:
    is_kept = name in _linecache() and not (
        name == "<string>" and command_text() is not None
    )  # `-c`, since Python 3.13
    if is_kept or name.startswith(("<frozen ", "<attrs generated", "<string>-")):
        return False
    is_given = name == STDIN or (name == "<string>" and _is_worker())
    return not is_given and not name.startswith(_OF_CELLS)


def _is_of_package(facts: dict[str, Any]) -> bool:
    """Whether a library made the code, as it makes the methods of its classes."""
    path = facts.get("__file__")
    return isinstance(path, str) and is_installed(path)


def _linecache() -> dict[str, Any]:
    found: dict[str, Any] = getattr(sys.modules.get("linecache"), "cache", {})
    return found


def count() -> tuple[int, int]:
    """Changes where :func:`look` may find more than before."""
    return len(sys.modules), len(filenames) + len(_codes)


@dataclass(slots=True)
class Sources:
    """Where the program's sources are.

    Attributes
    ----------
    files : list of str
        Paths of files, absolute.
    texts : dict of str to str
        Text that lies in no file of its own, by what it is called.
    roots : list of str
        Folders that modules were imported from, absolute.
    lost : list of str
        What ran and cannot be had, in words.
    unkept : list of str
        What is known by what Python made of it alone, in words; it stands in `texts` as a comment.
    """

    files: list[str] = field(default_factory=list)
    texts: dict[str, str] = field(default_factory=dict)
    roots: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    unkept: list[str] = field(default_factory=list)

    def know(self, name: str, what: str, codes: list[CodeType]) -> None:
        """Keep what stands for a text that nobody has: the hash of what Python made of it."""
        told = instructions_of(codes)
        if told is None:
            self.lost.append(what)
        else:
            self.texts[name] = f"# No text was kept of {what}.\n# What {told}\n"
            self.unkept.append(what)


def look() -> Sources:
    """Find the sources of this program, as far as they are known by now."""
    found = Sources()
    files: dict[str, None] = {}
    roots: set[str] = set()
    for name, module in sys.modules.copy().items():  # a list of pairs is not made at once, and others import meanwhile
        facts = _facts_of(module)
        path = facts.get("__file__")
        if not isinstance(path, str) or is_installed(path) or _is_generated(path):
            continue
        if os.path.isfile(path):
            if not path.endswith(tuple(_extensions())):
                files[os.path.abspath(path)] = None
                roots.update(_root_of(name, os.path.abspath(path)))
        else:
            text = _zipped(name, facts)
            if text is not None:
                found.texts[os.path.abspath(path)] = text
    for name in list(filenames):
        text = _kept(name)
        if text is not None:
            found.texts[name] = text
        elif not (name.startswith("<") or is_installed(name) or _is_generated(name)) and os.path.isfile(name):
            files[os.path.abspath(name)] = None
    found.files, found.roots = sorted(files), sorted(roots)
    _of_command(found)
    _of_program(found)
    executed: dict[str, list[CodeType]] = {}
    # What -c was given has the name of what exec() runs.
    given = [code for one in _program if one.co_filename[:1] == "<" for code in (one, *_inside(one))]
    for code in list(_codes.values()):
        if code in given:
            continue
        executed.setdefault(code.co_filename, []).append(code)
    for name, codes in sorted(executed.items()):
        if name not in found.texts:
            found.know(name, f"text that exec() ran ({name})", codes)
    if len(_codes) == _MOST_CODES:
        found.lost.append(f"what else exec() ran, beyond {_MOST_CODES} pieces")
    return found


def _of_program(found: Sources) -> None:
    """The program, where its file is a pipe (`python <(make)`), or is gone."""
    facts = _facts_of(sys.modules.get("__main__"))
    path = facts.get("__file__")
    if not isinstance(path, str) or path == STDIN or os.path.isfile(path) or _is_worker() or archive() is not None:
        return
    if path in found.texts or os.path.abspath(path) in found.texts:
        return
    what = "which came through a pipe" if os.path.exists(path) else "whose file is gone"
    # A pipe has another name each time.
    name = PROGRAM if os.path.exists(path) else os.path.abspath(path)
    found.know(name, f"the program, {what}", _program[:1])


def _root_of(name: str, path: str) -> Iterator[str]:
    """The folder on `sys.path` that a module came from; nothing for the program itself, and for what it made up."""
    words = name.split(".")
    head, tail = os.path.split(path)
    if tail.startswith("__init__."):
        head, tail = os.path.split(head)
    if tail.partition(".")[0] != words.pop():
        return
    while words:
        head, tail = os.path.split(head)
        if tail != words.pop():
            return
    yield head


def _facts_of(module: Any) -> dict[str, Any]:
    """What a module holds, without asking it: one that is lazy would be loaded."""
    try:
        facts = object.__getattribute__(module, "__dict__")
    except AttributeError:
        return {}
    return facts if isinstance(facts, dict) else {}


def _zipped(name: str, facts: dict[str, Any]) -> str | None:
    """The source of a module in a zip file."""
    loader = facts.get("__loader__")
    if type(loader) is not zipimport.zipimporter:
        return None
    spec = facts.get("__spec__")
    try:
        return loader.get_source(getattr(spec, "name", name) or name)
    except (ImportError, OSError, UnicodeDecodeError, SyntaxError):
        return None


def archive() -> str | None:
    """The zip file that the program is in; None where it is in none."""
    facts = _facts_of(sys.modules.get("__main__"))
    loader = facts.get("__loader__")
    path = loader.archive if type(loader) is zipimport.zipimporter else None
    return os.path.abspath(path) if path is not None and os.path.isfile(path) else None


def _kept(name: str) -> str | None:
    """What `linecache` has of code that is in no file; cells of a notebook are recorded as such."""
    entry = _linecache().get(name)
    if entry is None or len(entry) < 3 or "ipykernel_" in name or name.startswith("<ipython-input-"):
        return None
    if is_installed(name) or os.path.isfile(name) or name.startswith(("<attrs generated", "<string>-")):
        return None
    if name == "<string>" and command_text() is not None:  # what -c was given, since Python 3.13
        return None
    return "".join(entry[2])


def _of_command(found: Sources) -> None:
    text = command_text()
    if text is not None:
        found.texts[COMMAND] = text
    elif is_from_stdin():
        text = _stdin()
        if text is None:
            found.know(STDIN, "the program, which came through a pipe", _program[:1])
        else:
            found.texts[STDIN] = text


def command_text() -> str | None:
    """What ``python -c`` was given; None where it was not started so."""
    if not sys.argv or sys.argv[0] != "-c" or _is_worker():
        return None
    return _command_in(tuple(sys.orig_argv))


@lru_cache(maxsize=1)
def _command_in(arguments: tuple[str, ...]) -> str | None:
    words = list(arguments[1:])
    while words:
        word = words.pop(0)
        if word in _WITH_VALUE:
            words = words[1:]
        elif word.startswith("-") and not word.startswith(("--", "-W", "-X")) and "c" in word:
            attached = word[word.index("c") + 1 :]
            return attached or (words[0] if words else None)
        elif not word.startswith("-"):
            return None
    return None


def is_from_stdin() -> bool:
    """Whether the program was read from standard input, and not typed."""
    facts = _facts_of(sys.modules.get("__main__"))
    is_typed = hasattr(sys, "ps1") or bool(sys.flags.interactive) or "IPython" in sys.modules
    # While it runs, Python has the name of the stream as that of a file.
    name = facts.get("__file__", STDIN)
    is_file = (isinstance(name, str) and name != STDIN) or facts.get("__spec__") is not None
    return bool(sys.argv) and sys.argv[0] in ("", "-") and not is_file and not is_typed and not _is_worker()


def _stdin() -> str | None:
    """All of standard input, where it is a file; its position stays where it is."""
    try:
        found = os.fstat(0)
        if not stat.S_ISREG(found.st_mode) or found.st_size > _MOST_BYTES or not hasattr(os, "pread"):
            return None
        return os.pread(0, found.st_size, 0).decode("utf-8", "replace")
    except OSError:
        return None


def _is_worker() -> bool:
    """Whether another Python started this process, to work for it."""
    process = sys.modules.get("multiprocessing.process")
    is_child = process is not None and process.parent_process() is not None
    return is_child or "--multiprocessing-fork" in sys.orig_argv


def instructions_of(codes: list[CodeType]) -> str | None:
    """What Python made of a text, by its hash, in words; None if that may reveal a secret, or there is none.

    Line numbers and names of files count no more than comments do; of the same text another Python makes something
    else.
    """
    import hashlib

    told, names = [], set[str]()
    for code in codes:
        if not any(other is not code and code in _inside(other) for other in codes):
            told.append(_told_of(code, names))
    # No hash is kept of what a secret may stand in (:mod:`histhooks._base.secrets`).
    if not told or any(kind_of(name) in ("any", "text", "long") or mask_text(name) != name for name in names):
        return None
    digest = hashlib.sha256("\n".join(sorted(told)).encode("utf-8", "backslashreplace")).hexdigest()
    return f"{sys.implementation.cache_tag} made of it has SHA-256 {digest}."


def _inside(code: CodeType) -> Iterator[CodeType]:
    for const in code.co_consts:
        if isinstance(const, CodeType):
            yield const
            yield from _inside(const)


def _told_of(code: CodeType, names: set[str]) -> str:
    own = (*code.co_names, *code.co_varnames, *code.co_freevars, *code.co_cellvars)
    names.update(own)
    consts = [_told_of_const(const, names) for const in code.co_consts]
    numbers = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags)
    return repr((code.co_name, numbers, own, code.co_code, consts))


def _told_of_const(const: Any, names: set[str]) -> str:
    if isinstance(const, CodeType):
        return _told_of(const, names)
    if isinstance(const, (tuple, frozenset)):
        members = [_told_of_const(member, names) for member in const]
        return repr(members if isinstance(const, tuple) else sorted(members))
    if isinstance(const, str):
        names.add(const)
    return repr(const)


def read(path: str) -> str | None:
    """The text of a source file; None where it is too large or cannot be read."""
    try:
        if os.path.getsize(path) > _MOST_BYTES:
            return None
        with open(path, encoding="utf-8", errors="replace", newline="") as file:
            return file.read()
    except OSError:
        return None


def _is_generated(path: str) -> bool:
    """Whether a framework wrote it (TensorFlow's AutoGraph, torch.compile), under a name that is new each time."""
    return any(word in path for word in _GENERATED)


@lru_cache(maxsize=1)
def _homes() -> tuple[str, ...]:
    """Folders of what is installed."""
    import sysconfig

    paths = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    paths.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    found = {os.path.join(each, "") for path in paths if path for each in (path, os.path.realpath(path))}
    return tuple(sorted(found))


@lru_cache(maxsize=1)
def _extensions() -> list[str]:
    from importlib.machinery import EXTENSION_SUFFIXES

    return EXTENSION_SUFFIXES


def is_installed(path: str) -> bool:
    """Whether a file is of the standard library, of a package, or of histhooks."""
    return path.startswith(_homes()) or any(part in _INSTALLED for part in path.split(os.sep))
