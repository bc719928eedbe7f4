"""Hash files: small ones at once, large ones in a thread.

A file may be written again while it is hashed, for example the latest checkpoint. So its size and modification time are
compared before and after, and if they differ, no hash is recorded.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

from histhooks._collect.fingerprint import hash_file
from histhooks._host.guard import guarded

AT_ONCE = 8 << 20  # bytes; about 10 ms

# sha256 and size, or None if the file changed meanwhile
Found = tuple[str, int] | None


def with_hash(path: Path, use: Callable[[Found], None]) -> None:
    """Hash a file, and do something with what came out; later, where it is large.

    Parameters
    ----------
    path : Path
        A file that is there.
    use : callable
        Takes the SHA-256 and the size in bytes; None if the file changed while it was read.
    """
    before = os.stat(path)
    if before.st_size <= AT_ONCE:
        use(hash_file(path))
        return
    # No daemon: the interpreter waits for it before anything ends.
    threading.Thread(target=guarded(_later), args=(path, before, use), name="histhooks-hash").start()


def _later(path: Path, before: os.stat_result, use: Callable[[Found], None]) -> None:
    use(unchanged_hash(path, before))


def unchanged_hash(path: Path, before: os.stat_result) -> Found:
    """The hash of a file, if it is as it was when its facts were taken."""
    try:
        found = hash_file(path)
        after = os.stat(path)
    except FileNotFoundError:
        return None
    same = (after.st_size, after.st_mtime_ns, after.st_ino) == (before.st_size, before.st_mtime_ns, before.st_ino)
    return found if same else None
