"""Where the bytes of versions are now: kept, still where they were, overwritten, gone, or not to be seen from here."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from histhooks._host.process import identity
from histhooks._store.kept_files import find
from histhooks.history._around import state_of_file

if TYPE_CHECKING:
    from histhooks.history._version_rows import ModelVersion, VersionFile

KEPT, THERE, OVERWRITTEN, GONE, ELSEWHERE = STATES = ("kept", "there", "overwritten", "gone", "elsewhere")


class Bytes(NamedTuple):
    """Where the bytes of a version are.

    Attributes
    ----------
    state : str
        `kept`: a copy is beside the store. `there`: a known path has them. `overwritten`: a known path of this machine
        has others. `gone`: no known path has anything. `elsewhere`: a copy lies beside another store, or all known
        paths are of other machines.
    place : str or None
        The kept copy, or the path.
    """

    state: str
    place: str | None


def bytes_of(version: ModelVersion) -> Bytes:
    """Look for the bytes of a version. Kept copies are looked for, and not read: `verify` and `restore` do."""
    file = version.file
    if file["kept"]:
        return Bytes(KEPT, str(find(version.reader.beside, file["sha256"]) or version.path))
    found = _of_folder(version, file) if file.is_folder else _of_file(version, file)
    is_missing = found.state in (OVERWRITTEN, GONE)
    return Bytes(ELSEWHERE, found.place) if is_missing and file["elsewhere"] else found


def _of_folder(version: ModelVersion, file: VersionFile) -> Bytes:
    states = [state_of_file(each["path"], each["sha256"] or "") for each in file.files]
    if all(state == "same" for state in states):
        return Bytes(THERE, version.path)
    if version.path not in file.places_of(identity().hostname):
        return Bytes(ELSEWHERE, version.path)
    is_gone = all(state == "gone" for state in states)
    return Bytes(GONE if is_gone else OVERWRITTEN, version.path)


def _of_file(version: ModelVersion, file: VersionFile) -> Bytes:
    changed = []
    places = [*file.known_places()]
    for place in places:
        try:
            is_same = os.stat(place).st_size == file["size_bytes"] and state_of_file(place, file["sha256"]) == "same"
        except OSError:
            continue
        if is_same:
            return Bytes(THERE, place)
        changed.append(place)
    here = file.places_of(identity().hostname)
    overwritten = next((place for place in changed if place in here), None)
    if overwritten is not None:
        return Bytes(OVERWRITTEN, overwritten)
    beyond = next((place for place in places if place not in here), None)
    return Bytes(GONE, version.path) if beyond is None else Bytes(ELSEWHERE, beyond)
