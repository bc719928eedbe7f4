"""What is merged and is no file of this machine: folders and buckets, through the file that is read in their place."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from histhooks._host.store_location import is_target, real_path
from histhooks._store.kept_record import missing
from histhooks.errors import TeamError
from histhooks.team._merged import Merged
from histhooks.team._reading import located
from histhooks.team.box.address import Box, is_box
from histhooks.team.box.files import fetch_files
from histhooks.team.box.places import place_of
from histhooks.team.postgres.address import POSTGRESQL, masked, target_of


def file_to_write(word: str | os.PathLike[str]) -> Path:
    """The file that a person names to write to.

    Raises
    ------
    TeamError
        If it is the target of a team.
    """
    if is_target(word):
        raise TeamError(f"{masked(str(word))} is a target and no file: name a file here, and `histhooks push` it there")
    return real_path(Path(word))


def source_file(word: str | os.PathLike[str]) -> Path:
    """The file to read in the place of what a person names.

    Raises
    ------
    TeamError, StoreError
        If it is a folder or a bucket that cannot be read.
    """
    text = os.fspath(word)
    if text.startswith(POSTGRESQL):
        name = text.partition(":")[0]
        raise TeamError(f"{name}: only files can be merged, and folders; `histhooks pull` it into a file first")
    if is_box(text) or text.startswith("sqlite://"):
        return located(text)
    return Path(word)


def missing_at(words: Iterable[str | os.PathLike[str]]) -> set[str]:
    """Contents whose kept copies are missing where files are merged; a folder or a bucket has what was pushed."""
    return {sha256 for word in words if not is_box(word) for sha256 in missing(source_file(word))}


def fetch_kept(
    words: Iterable[str | os.PathLike[str]], target: Path, folder: Path, merged: Merged, *, is_dry: bool
) -> None:
    """Copy the kept files of folders and buckets that were merged."""
    for word in words:
        if not is_box(word):
            continue
        box = target_of(word)
        assert isinstance(box, Box)
        for source in merged.sources:
            if source["path"] == str(source_file(word)):
                source["path"] = box.shown
        if not is_dry:
            place = place_of(box)
            fetch_files(place, place.names(), target, folder, merged)
