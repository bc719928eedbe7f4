"""The file that is read in the place of a target."""

from __future__ import annotations

import time
from pathlib import Path

from histhooks._host.messages import warn_once
from histhooks.errors import StoreError
from histhooks.team.box.address import Box
from histhooks.team.postgres.address import Database, target_of

_PAUSE_S = 1.0  # between two looks of one process at a database
_MOST = 5  # lines about files that cannot be read
_BOX_PAUSE_S = 30.0  # and of one reader at a folder or a bucket

_brought: dict[str, tuple[float, Path]] = {}  # targets of this process, and when they were last asked


def located(word: str, *, is_again: bool = False) -> Path:
    """The file to read in the place of a target.

    Parameters
    ----------
    word : str
    is_again : bool
        Whether a reader that has it open asks for what came since.

    Raises
    ------
    StoreError, TeamError
        If there is none, or the target cannot be read.
    """
    target = target_of(word)
    if isinstance(target, Path):
        if not target.is_file():
            raise StoreError(f"no store at {target}; name another")
        return target
    if isinstance(target, Box):
        return _of_box(target, word, is_again=is_again)
    from histhooks.team.postgres.mirror import mirrored

    when, path = _brought.get(word, (-_PAUSE_S, Path()))
    if time.monotonic() - when < _PAUSE_S and path.exists():
        return path
    path = mirrored(target)
    _brought[word] = (time.monotonic(), path)
    return path


def _of_box(box: Box, word: str, *, is_again: bool) -> Path:
    when, path = _brought.get(word, (-_BOX_PAUSE_S, Path()))
    if is_again and time.monotonic() - when < _BOX_PAUSE_S and path.exists():
        return path
    from histhooks.team.box.reading import cached

    path, done = cached(box)
    for fault in done.faults[:_MOST]:
        warn_once(f"{box.shown} {fault}", f"{box.shown}: {fault}")
    if len(done.faults) > _MOST:
        more = len(done.faults) - _MOST
        warn_once(f"{box.shown} {more}", f"{box.shown}: {more} more files are left out; `histhooks verify` names them")
    _brought[word] = (time.monotonic(), path)
    return path


def heard_since(word: str, moments: dict[str, str]) -> set[str]:
    """The sessions from whose store something was pushed after a moment, so that their own silence means something.

    Parameters
    ----------
    word : str
        A target.
    moments : dict of str to str
        A moment, ISO-8601 UTC, by the id of a session.
    """
    target = target_of(word)
    if not isinstance(target, Database):
        return set() if isinstance(target, Box) else set(moments)
    from histhooks.team.postgres.hearing import pushed_since

    return pushed_since(target, moments)


def last_push(word: str) -> tuple[str, str] | None:
    """When something was pushed last, ISO-8601 UTC, and by which role; None if that is not known to who asks."""
    target = target_of(word)
    if not isinstance(target, Database):
        return None
    from histhooks.team.postgres.hearing import latest

    return latest(target)
