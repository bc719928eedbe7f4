"""The wheel holds all that a program needs: installed into an empty folder, it records a run and verifies it."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
needs = pytest.mark.skipif(
    any(find_spec(name) is None for name in ("hatchling", "pip")), reason="hatchling or pip is not installed"
)
PIP = (sys.executable, "-m", "pip", "--isolated", "--no-input", "--disable-pip-version-check")


def run(*words: str, **variables: str) -> str:
    done = subprocess.run(
        words, env={**os.environ, **variables}, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this tree, made without a network."""
    folder = tmp_path_factory.mktemp("wheel")
    run(*PIP, "wheel", "--no-build-isolation", "--no-deps", "--no-index", "--wheel-dir", str(folder), str(ROOT))
    (found,) = folder.glob("histhooks-*.whl")
    return found


@needs
def test_it_holds_the_schema_the_types_the_demo_and_nothing_beside_the_package(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for name in ("_store/schema.sql", "py.typed", "_demo/loop.py", "_bootstrap/sitecustomize.py", "__main__.py"):
        assert f"histhooks/{name}" in names
    source = ROOT / "src"
    missing = [path for path in source.rglob("*.py") if path.relative_to(source).as_posix() not in names]
    assert missing == []
    assert {name.partition("/")[0] for name in names if ".dist-info/" not in name} == {"histhooks"}


@needs
def test_installed_elsewhere_it_records_a_run_and_verifies_it(wheel: Path, tmp_path: Path) -> None:
    site, store = tmp_path / "site", tmp_path / "runs.db"
    run(*PIP, "install", "--no-deps", "--no-index", "--target", str(site), str(wheel))
    program = (
        "import histhooks\nwith histhooks.start_run('first') as run: run.log({'loss': 0.5})\nprint(histhooks.__file__)"
    )
    variables = {"PYTHONPATH": str(site), "HISTHOOKS_STORE": str(store)}
    assert Path(run(sys.executable, "-c", program, **variables).strip()).is_relative_to(site)
    assert "unaltered" in run(sys.executable, "-m", "histhooks", "verify", str(store), **variables)
    assert "first" in run(sys.executable, "-m", "histhooks", "runs", str(store), **variables)
