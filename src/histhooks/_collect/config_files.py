"""Decide which file that a program parses holds its settings, by name, size and shape. Touches no content of it.

A file of settings is small, has a mapping at its top, and a name that says so. What tools write and read for themselves
is none: lists of packages, lock files, vocabularies, results. JSON is a format of data first, so that a JSON file with
records (:mod:`histhooks._collect.code_files`) is no settings either.
"""

from __future__ import annotations

import os
import re
from typing import Any

from histhooks._base.secret_shapes import lazily
from histhooks._collect import code_files
from histhooks._collect.sources import is_installed

MOST_BYTES = 64 << 10
_SUFFIXES = (".yaml", ".yml", ".toml", ".json", ".jsonc", ".cfg", ".ini", ".conf", ".config")
# Files of other tools, wherever they lie.
_OF_TOOLS = frozenset(
    "pyproject.toml setup.cfg tox.ini pytest.ini mypy.ini package.json package-lock.json composer.json tsconfig.json "
    "environment.yml environment.yaml pnpm-lock.yaml docker-compose.yml docker-compose.yaml compose.yaml mkdocs.yml "
    "dvc.yaml cargo.toml pipfile poetry.toml uv.toml codecov.yml readthedocs.yml".split()
)
_FOLDERS = frozenset(
    ".git .github .cache .config .local .aws .kaggle .ipynb_checkpoints .venv venv node_modules __pycache__".split()
)
# Words in the name of a JSON file that holds something else.
_DATA = lazily(
    r"(?:^|[^a-z])(?:annotations?|cache|class(?:es)?|data|datasets?|history|index|labels?|lock|logs?|manifest|mapping|"
    r"metadata|metrics|outputs?|predictions?|reports?|results?|schema|scores?|splits?|state|stats|statistics|summary|"
    r"tokenizer|tokens|vocab(?:ulary)?|word2id)(?:$|[^a-z])"
)


def name_of(stream: Any) -> str | None:
    """The path of a file that is open; None where it has none, as a text in memory."""
    name = getattr(stream, "name", None)
    return os.fsdecode(name) if isinstance(name, (str, bytes, os.PathLike)) else None


def is_settings_file(path: str) -> bool:
    """Whether a file may hold settings of the program: by its name, the folder that it lies in, and its size."""
    path = os.path.abspath(path)
    folder, name = os.path.split(path.lower())
    if not name.endswith(_SUFFIXES) or name in _OF_TOOLS or name.startswith(".") or "lock" in re.split(r"\W", name):
        return False
    if name.endswith((".json", ".jsonc")) and _DATA.search(name.rpartition(".")[0]):
        return False
    if not _FOLDERS.isdisjoint(folder.split(os.sep)) or is_installed(path):
        return False
    try:
        return os.path.getsize(path) <= MOST_BYTES
    except OSError:
        return False


def is_settings(value: Any, path: str | None) -> bool:
    """Whether what was parsed has the shape of settings; a JSON file with records has not."""
    if not isinstance(value, dict) or not value or not all(isinstance(key, str) for key in value):
        return False
    is_json = path is not None and path.lower().endswith((".json", ".jsonc"))
    return not (is_json and code_files.has_records(value))


def is_column(value: Any) -> bool:
    """Whether a value is a list that is a column of data, or holds one."""
    if isinstance(value, (list, tuple)):
        return len(value) > code_files.LONG or any(map(is_column, value))
    return isinstance(value, dict) and any(map(is_column, value.values()))
