"""The manifest of a folder, as one that somebody else wrote."""

from __future__ import annotations

import pytest

from histhooks._base import manifest

SHA256 = "0" * 64


def test_a_manifest_lists_what_it_was_made_of() -> None:
    files = [manifest.File("a/..b", 1, SHA256), manifest.File("weights.bin", 2, None)]
    assert manifest.files_of(manifest.text_of(files)) == files


@pytest.mark.parametrize("path", ["../x", "a/../../x", "/etc/x", "a//x", "./x", "", "a\0b", "..", 7])
def test_a_manifest_that_names_a_place_outside_its_folder_is_none(path: str) -> None:
    text = manifest.text_of([manifest.File("a", 1, SHA256), manifest.File("b", 1, SHA256)])
    assert len(manifest.files_of(text)) == 2
    harmful = manifest.text_of([manifest.File(path, 1, SHA256)])
    assert manifest.files_of(harmful) == []
