"""The packages of a run as a lock file: what pip would fetch for the recorded versions, with hashes."""

from __future__ import annotations

import hashlib
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from histhooks.errors import ReproduceError
from histhooks.reproduce._lock import lock

pytest.importorskip("pip")


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one wheel, which is all that pip finds."""
    folder = tmp_path / "index"
    folder.mkdir()
    with zipfile.ZipFile(folder / "Tiny_pack-1.5-py3-none-any.whl", "w") as wheel:
        wheel.writestr("tiny_pack.py", "x = 1\n")
        wheel.writestr("tiny_pack-1.5.dist-info/METADATA", "Metadata-Version: 2.1\nName: Tiny_pack\nVersion: 1.5\n")
        wheel.writestr(
            "tiny_pack-1.5.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr("tiny_pack-1.5.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    for name in ("PIP_CONSTRAINT", "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    return folder


def test_each_package_stands_with_the_file_that_pip_would_fetch(index: Path, tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("# Packages of run a\ntiny_pack==1.5\n")
    found = tomllib.loads(lock(tmp_path / "requirements.txt", sys.executable).read_text())
    digest = hashlib.sha256((index / "Tiny_pack-1.5-py3-none-any.whl").read_bytes()).hexdigest()
    assert (found["lock-version"], found["requires-python"]) == (
        "1.0",
        f"=={sys.version_info[0]}.{sys.version_info[1]}.*",
    )
    ((name, version, wheels),) = [(each["name"], each["version"], each["wheels"]) for each in found["packages"]]
    assert (name, version, wheels[0]["hashes"]) == ("tiny-pack", "1.5", {"sha256": digest})
    assert wheels[0]["url"].endswith("/Tiny_pack-1.5-py3-none-any.whl")


def test_a_package_that_pip_does_not_find_is_named_and_nothing_is_written(index: Path, tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("tiny_pack==2.0\n")
    with pytest.raises(ReproduceError, match=r"tiny_pack==2\.0"):
        lock(tmp_path / "requirements.txt", sys.executable)
    assert not (tmp_path / "pylock.toml").exists()
