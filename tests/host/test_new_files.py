"""A file that gets its name: whole, and over another one only where that is meant."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from histhooks._host.new_files import give_name


def no_links(*_: object) -> None:
    raise PermissionError(1, "Operation not permitted")


@pytest.mark.parametrize("has_links", [True, False])
def test_a_file_gets_its_name_and_leaves_what_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_links: bool
) -> None:
    if not has_links:
        monkeypatch.setattr(os, "link", no_links)
    folder = tmp_path / "files"
    folder.mkdir()
    part, target = folder / "part", folder / "target"
    part.write_text("one")
    give_name(part, target, replace=False)
    assert (target.read_text(), os.listdir(folder)) == ("one", ["target"])
    part.write_text("two")
    with pytest.raises(FileExistsError):
        give_name(part, target, replace=False)
    assert (target.read_text(), part.read_text()) == ("one", "two")
    give_name(part, target, replace=True)
    assert (target.read_text(), os.listdir(folder)) == ("two", ["target"])
