"""List the installed packages as importlib.metadata does, at a twentieth of its cost.

importlib.metadata parses the whole metadata of each distribution as an e-mail, with descriptions of hundreds of lines.
But name and version are in the first lines (PEP 566). So only the head of the file is read, with three system calls:
beside a busy program, each one may cost a turn of the interpreter's lock. Unusual cases (archives on ``sys.path``,
importers that find distributions themselves) are left to importlib.metadata. Its import alone takes 10 ms, most of them
for e-mail.
"""

from __future__ import annotations

import os
import re
import sys
from importlib.machinery import PathFinder
from typing import TYPE_CHECKING, Any

from histhooks._base.secrets import mask_text

if TYPE_CHECKING:
    from importlib.metadata import Distribution

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
    for place in _folders() or _distributions():
        told = (_head(place) or _whole(_at(place))) if isinstance(place, str) else _whole(place)
        if told is None:
            n_unreadable += 1
        elif told[0]:
            found.setdefault(told[0], told[1])
    return sorted(found.items()), n_unreadable


def origins() -> dict[str, dict[str, Any]]:
    """Where packages came from that no index gave: a repository, a folder, a file (PEP 610), or a path of imports.

    Returns
    -------
    dict of str to dict
        By the name of the package: `url`, with `vcs` and `commit`, `is_editable` or `sha256` where they are known; or
        the `folder` in which its metadata lie, where that is none of installed packages.
    """
    found: dict[str, dict[str, Any]] = {}
    seen = set[str]()
    for place in _folders() or ():
        data = _bytes_of(f"{place}/direct_url.json", None)
        is_installed = os.path.basename(os.path.dirname(place)) in ("site-packages", "dist-packages")
        if is_installed and not data:
            continue
        told = _head(place) or _whole(_at(place))
        if told is None or not told[0] or told[0] in seen:
            continue
        seen.add(told[0])
        found[told[0]] = _direct(data) if data else {"folder": mask_text(os.path.dirname(os.path.abspath(place)))}
    return dict(sorted(found.items()))


def _direct(data: bytes) -> dict[str, Any]:
    """What direct_url.json says."""
    import json

    try:
        told = json.loads(data)
        out: dict[str, Any] = {"url": mask_text(str(told["url"]))}
        vcs, archive, folder = (told.get(key) or {} for key in ("vcs_info", "archive_info", "dir_info"))
        if vcs:
            out |= {"vcs": str(vcs["vcs"]), "commit": str(vcs["commit_id"])}
        if folder.get("editable"):
            out["is_editable"] = True
        hashes = archive.get("hashes") or dict([str(archive.get("hash", "=")).split("=", 1)])
        if hashes.get("sha256"):
            out["sha256"] = str(hashes["sha256"])
        if told.get("subdirectory"):
            out["subdirectory"] = str(told["subdirectory"])
    except (ValueError, KeyError, TypeError, AttributeError):
        return {"url": None}
    return out


def may_have_entry_points(group: str) -> bool:
    """Whether a distribution may have entry points of a group; False if none has, which is mostly so."""
    folders = _folders()
    word = group.encode()
    return folders is None or any(word in _bytes_of(f"{folder}/entry_points.txt", None) for folder in folders)


def _folders() -> list[str] | None:
    """Where the distributions on ``sys.path`` have their metadata, in its order; None if there may be others."""
    finders = [finder for finder in sys.meta_path if hasattr(finder, "find_distributions")]
    if finders != [PathFinder]:
        return None
    found = []
    for place in sys.path:
        if type(place) is not str or place.lower().rstrip("/\\").endswith(".egg"):
            return None
        try:
            names = os.listdir(place or ".")
        except NotADirectoryError:  # an archive
            return None
        except OSError:
            continue
        found += [os.path.join(place, name) for name in names if name.lower().endswith((".dist-info", ".egg-info"))]
    return found


def _distributions() -> list[str | Distribution]:
    """All that importlib.metadata finds: the folder of each that has one, else itself."""
    from importlib import metadata
    from pathlib import Path

    found: list[str | Distribution] = []
    for distribution in metadata.distributions():
        path = getattr(distribution, "_path", None)
        is_plain = type(distribution) is metadata.PathDistribution and isinstance(path, Path)
        found.append(str(path) if is_plain else distribution)
    return found


def _at(folder: str) -> Distribution:
    from importlib import metadata
    from pathlib import Path

    return metadata.PathDistribution(Path(folder))


def _whole(distribution: Distribution) -> tuple[str | None, str | None] | None:
    """Name and version as importlib.metadata reads them; None if it cannot."""
    import zipfile

    try:
        told = distribution.metadata
        name, version = ((told.get_all(key) or [None])[0] for key in ("Name", "Version"))
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        return None
    return name, version


def _head(folder: str) -> tuple[str, str] | None:
    """Name and version from the first lines of the file; None if these are not plain."""
    data = _first_bytes(folder)
    found: dict[bytes, bytes] = {}
    place = 0
    while line := _HEADER.match(data, place):
        found.setdefault(line[1].lower(), line[2])
        if all(key in found for key in _WANTED):
            try:
                name, version = (found[key].decode("utf-8") for key in _WANTED)
            except ValueError:
                return None
            return name, version
        place = line.end()
    return None


def _first_bytes(folder: str) -> bytes:
    # The order in which importlib.metadata looks; the last is an .egg-info that is a file.
    for path in (f"{folder}/METADATA", f"{folder}/PKG-INFO", folder):
        if data := _bytes_of(path, _HEAD_BYTES):
            return data
    return b""


def _bytes_of(path: str, most: int | None) -> bytes:
    """What a file begins with, or with None all of it; nothing where it cannot be read."""
    try:
        file = os.open(path, os.O_RDONLY)
    except OSError:
        return b""
    try:
        return os.read(file, os.fstat(file).st_size if most is None else most)
    except OSError:
        return b""
    finally:
        os.close(file)
