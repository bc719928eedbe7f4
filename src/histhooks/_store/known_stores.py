"""The stores that this user has recorded to: a list in the user's state folder, to find them later."""

from __future__ import annotations

import os
from pathlib import Path

from histhooks._host.store_location import user_folder

_MOST = 100


def _list() -> Path:
    """The file of that list, which cannot be written where an account has no home."""
    return (user_folder("XDG_STATE_HOME", ".local/state") or Path(os.devnull)) / "stores"


def remember(store: Path) -> None:
    """Put a store on top of the list; where that cannot be written, nothing is remembered."""
    try:
        path, line = _list(), str(store.absolute())
        known = _lines(path)
        if (known and known[0] == line) or "\n" in line:
            return
        kept = [line, *(other for other in known if other != line)][:_MOST]
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        new = path.with_name(f"{path.name}.{os.getpid()}")
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            file.write("\n".join(kept) + "\n")
        os.replace(new, path)  # two at once: one of them is remembered the next time
    except (OSError, ValueError):
        return


def known_stores() -> list[Path]:
    """The stores that are still there, the one recorded to last on top."""
    try:
        return [path for line in _lines(_list()) if (path := Path(line)).is_file()]
    except OSError:
        return []


def _lines(path: Path) -> list[str]:
    try:
        return [line for line in path.read_text(encoding="utf-8").splitlines() if line]
    except (OSError, ValueError):
        return []
