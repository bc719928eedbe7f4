"""Where the spools of a store lie, and what sessions keep that cannot write beside it."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from histhooks._host.store_location import real_path, user_folder
from histhooks._store.connection import what_else

_NAME = 60  # characters of the name of a store, which may be longer than a file's name may be


def folders(store: Path) -> tuple[Path, Path]:
    """Where the spools of a store lie: beside it, or where that cannot be written, in this user's folder of state."""
    store = real_path(store).absolute()
    digest = hashlib.sha256(os.fsencode(store)).hexdigest()[:12]
    name = store.name[:_NAME] or "root"
    beside = store.parent / f"{name}.spool" if name == store.name else store.parent / f"{name}-{digest}.spool"
    own = user_folder("XDG_STATE_HOME", ".local/state")
    if own is not None and what_else(store):  # beside a device is no place for folders
        beside = own / "spool" / f"{name}-{digest}"
    return beside, own / "spool" / f"{name}-{digest}" if own is not None else beside
