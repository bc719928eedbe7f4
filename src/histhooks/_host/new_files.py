"""Give a file that was written beside its place the name that it is for, so that others see it whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path


def give_name(part: Path, target: Path, *, replace: bool) -> None:
    """Rename a file.

    Parameters
    ----------
    part : Path
        In the same file system as the target.
    target : Path
    replace : bool
        Whether what has that name gives way. If not, it stays, also if it came a moment ago.

    Raises
    ------
    FileExistsError
        If there is something, and it stays.
    OSError
        If the file cannot be renamed.
    """
    if not replace:
        try:
            os.link(part, target)  # fails if it is there, and shows it whole
        except FileExistsError:
            raise
        except OSError:  # not every file system has links
            target.open("xb").close()
        else:
            part.unlink()
            return
    os.replace(part, target)
