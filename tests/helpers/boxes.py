"""Folders and buckets of a team: what is wrong with one, and what stands in its files."""

from __future__ import annotations

import gzip
from pathlib import Path

from helpers.team_stores import World
from histhooks import team
from histhooks.team.box.address import Box
from histhooks.team.box.drops import drop_of
from histhooks.team.box.verifying import verify_box
from histhooks.team.postgres.address import target_of


def box(target: str) -> Box:
    """The folder or bucket of an address."""
    found = target_of(target)
    assert isinstance(found, Box)
    return found


def problems(target: str) -> list[str]:
    """What a verification names."""
    return verify_box(box(target)).problems


def pulled(target: str, path: Path) -> Path:
    """A file with all that a target has."""
    path.unlink(missing_ok=True)
    assert team.pull(target, into=path).ok
    return path


def drops(folder: Path) -> list[Path]:
    """The files that pushes left in a folder."""
    top = folder / "histhooks-1"
    return sorted(path for path in top.rglob("*.db.gz") if drop_of(path.relative_to(top).as_posix()) is not None)


def plain(folder: Path) -> bytes:
    """All that is in the files of a folder."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return b"".join(gzip.decompress(data) if (data := path.read_bytes())[:2] == b"\x1f\x8b" else data for path in files)


def both(folder: Path) -> World:
    """Two people's stores with what both have, and what each has alone."""
    world = World(folder)
    for number in range(3):
        world.do("train", 0, number)
    world.do("copy", 0, 0)
    world.do("train", 1, 2)
    world.do("train", 0, 3)
    return world
