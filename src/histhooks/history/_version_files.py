"""Where the bytes of versions are now: kept, still where they were, overwritten, or gone."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from histhooks._store.kept_files import find
from histhooks.history._around import state_of_file

if TYPE_CHECKING:
    from histhooks.history._version_rows import ModelVersion

KEPT, THERE, OVERWRITTEN, GONE = STATES = ("kept", "there", "overwritten", "gone")


class Bytes(NamedTuple):
    """Where the bytes of a version are.

    Attributes
    ----------
    state : str
        `kept`: a copy is beside the store. `there`: a known path has them. `overwritten`: a known path has others.
        `gone`: no known path has anything.
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
    if file.is_folder:
        states = [state_of_file(each["path"], each["sha256"] or "") for each in file.files]
        if all(state == "same" for state in states):
            return Bytes(THERE, version.path)
        is_gone = all(state == "gone" for state in states)
        return Bytes(GONE if is_gone else OVERWRITTEN, version.path)
    changed = None
    for place in file.known_places():
        try:
            is_same = os.stat(place).st_size == file["size_bytes"] and state_of_file(place, file["sha256"]) == "same"
        except OSError:
            continue
        if is_same:
            return Bytes(THERE, place)
        changed = changed or place
    return Bytes(OVERWRITTEN, changed) if changed is not None else Bytes(GONE, version.path)
