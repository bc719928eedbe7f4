"""How a store is called on pages: in their addresses, at their top, and in the commands that can be copied."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from histhooks._host.store_location import is_target
from histhooks.team.postgres.address import masked

_SCHEMA = re.compile(r"[?&]histhooks_schema=([^&]*)")


@dataclass(frozen=True, slots=True)
class Place:
    """A store as pages name it.

    Attributes
    ----------
    name : str
        In the addresses of its pages.
    shown : str
        Its path, or the address of the target without secrets.
    short : str
        For the top of a page: the name of the file, or the address without login and parameters.
    option : str
        What a command needs to ask this store; empty for a file.
    """

    name: str
    shown: str
    short: str
    option: str = ""


def place_of(word: str, taken: set[str]) -> Place:
    """How a store is called.

    Parameters
    ----------
    word : str
        The path, or the address of a target.
    taken : set of str
        Names that other stores of the server have.
    """
    if not is_target(word):
        file = Path(word)
        return Place(_free(file.stem, taken), str(file), file.name)
    head, _, query = masked(word).partition("?")
    scheme, mark, rest = head.partition("://")
    login, _, where = rest.rpartition("@")
    short = f"{scheme}{mark}{where}"
    stem = where.rstrip("/").rpartition("/")[2] if mark else Path(word.partition(":")[2]).stem
    schema = _SCHEMA.search(query)
    stem = f"{stem}-{schema[1]}" if schema is not None else stem
    kept = "&".join(pair for pair in query.split("&") if pair and "=***" not in pair)
    # A password cannot be copied, and a login is of little use without it: everyone has their own.
    address = f"{scheme}{mark}{where if ':***' in login else rest}{'?' if kept else ''}{kept}"
    return Place(_free(stem, taken), masked(word), short or head, f"--store {_for_shell(address)}")


def _for_shell(word: str) -> str:
    return word if re.fullmatch(r"[\w@%+=:,./-]+", word, re.ASCII) else "'" + word.replace("'", "'\"'\"'") + "'"


def _free(stem: str, taken: set[str]) -> str:
    clean = name_of(stem)
    name, number = clean, 2
    while name in taken:
        name, number = f"{clean}-{number}", number + 1
    return name


def name_of(stem: str) -> str:
    """The name of a store in URLs, made of that of its file."""
    return re.sub(r"\.{2,}|[^A-Za-z0-9_.-]+", "-", stem).strip(".-") or "store"
