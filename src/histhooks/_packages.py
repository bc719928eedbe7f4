"""Which packages are installed, as importlib.metadata tells, at a twentieth of its price.

It parses the whole metadata of each distribution as an e-mail, descriptions of hundreds of lines included; name and
version stand in the first lines (PEP 566). Here only the
head of the file is read, with three system calls: beside a busy program each one may cost a turn of the interpreter's
lock. Whatever is not as plain as it mostly is, importlib.metadata is asked for.
"""

from __future__ import annotations

import os
import re
import zipfile
from importlib import metadata
from pathlib import Path

_HEAD_BYTES = 4096
# A header of one line; the next one must be there, since it could go on with this one.
_HEADER = re.compile(rb"([!-9;-~]+):[ \t]*([^\r\n]*)\r?\n(?=[^ \t])")
_WANTED = (b"name", b"version")


def installed() -> tuple[list[tuple[str, str | None]], int]:
    """The distributions that this process could import from.

    Returns
    -------
    packages : list of (name, version)
        In order of their names; of several with one name the first on ``sys.path``, which is what an import gives.
    n_unreadable : int
        How many more there are that say nothing which can be read.
    """
    found: dict[str, str | None] = {}
    n_unreadable = 0
    for distribution in metadata.distributions():
        try:
            name, version = _head(distribution) or _whole(distribution)
        except (OSError, ValueError, KeyError, zipfile.BadZipFile):
            n_unreadable += 1
            continue
        if name:
            found.setdefault(name, version)
    return sorted(found.items()), n_unreadable


def _whole(distribution: metadata.Distribution) -> tuple[str | None, str | None]:
    told = distribution.metadata
    name, version = ((told.get_all(key) or [None])[0] for key in ("Name", "Version"))
    return name, version


def _head(distribution: metadata.Distribution) -> tuple[str, str] | None:
    """Name and version from the first lines of the file; None where these are not plain."""
    path = getattr(distribution, "_path", None)
    if type(distribution) is not metadata.PathDistribution or not isinstance(path, Path):
        return None  # in an archive, or found by an importer of its own
    data = _first_bytes(str(path))
    found: dict[bytes, bytes] = {}
    place = 0
    while line := _HEADER.match(data, place):
        found.setdefault(line[1].lower(), line[2])
        if all(key in found for key in _WANTED):
            name, version = (found[key].decode("utf-8") for key in _WANTED)
            return name, version
        place = line.end()
    return None


def _first_bytes(folder: str) -> bytes:
    # The order in which importlib.metadata looks; the last is an .egg-info that is a file.
    for path in (f"{folder}/METADATA", f"{folder}/PKG-INFO", folder):
        try:
            file = os.open(path, os.O_RDONLY)
        except OSError:
            continue
        try:
            data = os.read(file, _HEAD_BYTES)
        except OSError:
            continue
        finally:
            os.close(file)
        if data:
            return data
    return b""
