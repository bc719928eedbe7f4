"""The integration that the page for developers writes: built as a package, installed, and held to the contract."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from histhooks.testing import query

PAGE = Path(__file__).resolve().parents[2] / "docs" / "develop" / "integrations.md"
FILES = dict(re.findall(r"^`File ([\w.]+)`\n\n```\w+\n(.*?)^```", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE))
INTEGRATION = "histhooks_tinyfit.py"


def run(*arguments: str, folder: Path, **variables: str) -> str:
    environment = {**os.environ, **variables}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that the package was installed into, beside the framework that it records."""
    pytest.importorskip("hatchling")
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("site")
    for name in ("pyproject.toml", INTEGRATION):
        (source / name).write_text(FILES[name])
    offline = ("--no-build-isolation", "--no-deps", "--no-index", "--disable-pip-version-check", "--quiet")
    run("-m", "pip", "--isolated", "install", *offline, "--target", str(target), ".", folder=source)
    (target / "tinyfit.py").write_text(FILES["tinyfit.py"])
    return target


def test_the_page_has_all_files() -> None:
    assert set(FILES) == {"tinyfit.py", INTEGRATION, "pyproject.toml", "train.py", "test_contract.py"}


def test_it_is_about_fifty_lines_and_imports_the_kit_alone() -> None:
    tree = ast.parse(FILES[INTEGRATION])
    imports = [ast.unparse(node) for node in ast.walk(tree) if isinstance(node, (ast.Import, ast.ImportFrom))]
    assert [line for line in imports if "histhooks" in line] == ["from histhooks.integrations import kit"]
    code = [line for line in FILES[INTEGRATION].splitlines() if line.strip() and not line.lstrip().startswith("#")]
    assert 45 <= len(code) <= 60


def test_it_passes_the_contract(site: Path, tmp_path: Path) -> None:
    (tmp_path / "test_contract.py").write_text(FILES["test_contract.py"])
    told = run(
        "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_contract.py", folder=tmp_path, PYTHONPATH=str(site)
    )
    assert "1 passed" in told


def test_the_program_of_the_page_leaves_a_run(site: Path, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(FILES["train.py"])
    store = tmp_path / "histhooks.db"
    run("train.py", folder=tmp_path, PYTHONPATH=str(site), HISTHOOKS_STORE=str(store), HISTHOOKS_STRICT="1")
    sql = "SELECT name, kind, framework, framework_version, status, call_site FROM runs"
    assert query(store, sql) == [("train·Trainer", "fit", "tinyfit", "1.2.0", "finished", "train.py:5")]
    assert query(store, "SELECT step, value FROM metrics WHERE name = 'loss' ORDER BY step")[0] == (0, 10.0)
    assert query(store, "SELECT key, value, source FROM params ORDER BY key") == [
        ("rate", "0.1", "default"),
        ("rounds", "3", "argument"),
    ]
    assert query(store, "SELECT role FROM run_datasets") == [("train",)]
    assert query(store, "SELECT key FROM results") == [("weight",)]
    assert query(store, "SELECT hook_errors FROM sessions") == [(0,)]
    told = run("-m", "histhooks", "show", "last", folder=tmp_path, PYTHONPATH=str(site), HISTHOOKS_STORE=str(store))
    assert "tinyfit 1.2.0" in told
