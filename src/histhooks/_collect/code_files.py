"""Decide which files are code. Only their text is kept; for every other file a name, a size and a hash.

A row of data never reaches the store, whatever file contains it, so the rule prefers a hash in doubt:

- **Code** by its extension or name: programs, scripts, build files, lists of requirements. So is every file that Python
  imported, whatever its name. A file of rows is not code, even if its name ends in ``.py``.
- **Settings** (TOML, YAML, JSON, INI) are code up to 16 KiB, as long as they hold no records: no list of objects or of
  lists, no long list, no three tables with the same keys.
- **SQL** is code unless it inserts or copies rows.
- Everything else is not: tables, text, archives, images, models, notebooks (their outputs are data; the cells that ran
  are recorded by themselves).
"""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import PurePosixPath
from typing import Any

from histhooks._base.secret_shapes import lazily

CODE_SUFFIXES = (
    ".py", ".pyi", ".pyw", ".pyx", ".pxd", ".pxi", ".sh", ".bash", ".zsh", ".fish", ".ps1", ".bat", ".cmd", ".r",
    ".jl", ".c", ".h", ".cc", ".cpp", ".cxx", ".hh", ".hpp", ".hxx", ".cu", ".cuh", ".f90", ".rs", ".go", ".java",
    ".scala", ".kt", ".swift", ".js", ".mjs", ".ts", ".lua", ".pl", ".rb", ".mk", ".cmake", ".proto", ".smk",
)  # fmt: skip
CODE_NAMES = (
    "makefile", "gnumakefile", "dockerfile", "containerfile", "snakefile", "justfile", "jenkinsfile", "cmakelists.txt",
    "pipfile", "requirements.txt", "constraints.txt", "pyproject.toml", "setup.cfg", "tox.ini", "pytest.ini",
    "environment.yml", "environment.yaml",
)  # fmt: skip
SETTINGS_SUFFIXES = (".toml", ".yaml", ".yml", ".json", ".cfg", ".ini", ".conf")
SETTINGS_BYTES = 16 << 10
_SQL = ".sql"
LONG = 20  # members of a list: more of them are a column of data
_ALIKE = 3  # tables with the same keys: as many are records
_ROWS = lazily(r"(?i)\b(?:insert|copy|replace|load)\s+(?:into\b|data\b|\w[\w.\"]*\s*(?:\([^)]*\)\s*)?from\b)")
_ITEM = lazily(r"(?m)^[ \t]*-[ \t]+(?:[\w\"'][^:\n]*:(?:[ \t]|$)|[-\[{])")
_SCALAR = lazily(rf"(?m)(?:^[ \t]*-[ \t]+[^\n]*\n?){{{LONG + 1},}}")
_FLOW = lazily(r"[\[{][^\[\]{}\n]*[,\n]?\s*[\[{]")
_KEY = lazily(r"(?m)^([ \t]*)([\w.\"'-][^:=#\n]*?)[ \t]*[:=]")
_STATEMENT = lazily(r"[=(:\[{#@]|\b(?:import|def|class|return|if|for|end|function)\b")


def is_code_name(path: str) -> bool:
    """Whether a file is code by its name alone."""
    name = PurePosixPath(path).name.lower()
    return name in CODE_NAMES or name.endswith(CODE_SUFFIXES) or bool(re.fullmatch(r"requirements[\w.-]*\.txt", name))


def may_be_code(path: str) -> bool:
    """Whether a file is code if what it holds is: settings, and SQL."""
    return PurePosixPath(path).name.lower().endswith((*SETTINGS_SUFFIXES, _SQL))


def pathspecs() -> list[str]:
    """Patterns of git for the files that are code by their name, in any folder."""
    names = [*(f"*{suffix}" for suffix in CODE_SUFFIXES), *CODE_NAMES, "requirements*.txt"]
    return [f":(top,glob,icase)**/{name}" for name in names]


def holds_rows(path: str, text: str) -> bool:
    """Whether a text is data, although the file's name is one of code or of settings.

    Parameters
    ----------
    path : str
    text : str
        All of the file, or of some lines of it.
    """
    if is_table(text):
        return True
    name = PurePosixPath(path).name.lower()
    if is_code_name(path):
        return False
    if name.endswith(_SQL):
        return _ROWS.search(text) is not None or len(text) > SETTINGS_BYTES
    if len(text) > SETTINGS_BYTES:
        return True
    if name.endswith(".json"):
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            return True
        return not isinstance(value, dict) or has_records(value)
    if name.endswith(".toml"):
        return _of_toml(text)
    return _looks_like_records(text)


def is_table(text: str) -> bool:
    """Whether each line has as many commas (semicolons, tabs, bars) as the first one, and none is a statement."""
    lines = [line for line in text.splitlines() if line.strip()]
    if len(lines) < 2:
        return False
    for mark in (",", ";", "\t", "|"):
        count = lines[0].count(mark)
        if count and all(line.count(mark) == count for line in lines):
            return not any(_STATEMENT.search(line) for line in lines)
    return False


def _of_toml(text: str) -> bool:
    import tomllib

    try:
        return has_records(tomllib.loads(text))
    except (ValueError, RecursionError):
        return True


def has_records(value: Any) -> bool:
    """Whether records lie in a value: a list of objects or of lists, a long list, three tables with the same keys."""
    if isinstance(value, list):
        nested = [member for member in value if isinstance(member, (dict, list))]
        return len(nested) > 1 or len(value) > LONG or any(map(has_records, value))
    if isinstance(value, dict):
        tables = [tuple(sorted(member)) for member in value.values() if isinstance(member, dict) and member]
        numbered = sum(key.isdigit() for key in value)
        alike = max(Counter(tables).values(), default=0)
        return alike >= _ALIKE or numbered > 1 or any(map(has_records, value.values()))
    return False


def _looks_like_records(text: str) -> bool:
    """The same of YAML and INI, which are not parsed: the standard library reads no YAML."""
    if len(_ITEM.findall(text)) > 1 or _SCALAR.search(text) or _FLOW.search(text):
        return True
    keys = Counter((len(indent.expandtabs()), key.strip("\"' ")) for indent, key in _KEY.findall(text))
    return max(keys.values(), default=0) >= _ALIKE or sum(key.isdigit() for _, key in keys) > 1
