"""The life of a model, from its training to evidence in other hands, as `examples/model_life` runs it on real data."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from histhooks import History
from histhooks.verify import verify

EXAMPLE = Path(__file__).resolve().parents[2] / "examples/model_life/life.py"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    for module in ("fastapi", "uvicorn", "cryptography", "pandas", "sklearn"):
        pytest.importorskip(module)
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    folder = tmp_path_factory.mktemp("life")
    variables = {key: value for key, value in os.environ.items() if not key.startswith("HISTHOOKS_")}
    done = subprocess.run(
        [sys.executable, str(EXAMPLE), str(folder)],
        env=variables, check=False, capture_output=True, text=True, timeout=900,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    (folder / "printed.txt").write_text(done.stdout)
    return folder


def test_the_monitor_sees_the_new_scanner_and_the_fault_and_nothing_else(folder: Path) -> None:
    with History(folder / "histhooks.db") as history:
        found = history.model("digits").drift(window="0.1s")
    states = [(window.version, window.n_rows, window.state) for window in found.windows]
    quiet, outside = ("inside", "outside")
    expected = [("1", quiet), ("1", quiet), ("1", outside), ("1", outside), ("2", quiet), ("3", outside)]
    assert states == [(version, 120, state) for version, state in expected]


def test_what_was_live_at_each_hour_is_known(folder: Path) -> None:
    with History(folder / "histhooks.db") as history:
        model = history.model("digits")
        assert [(event.action, model.by_id(event.version_id).number) for event in model.events] == [
            ("promote", 1), ("promote", 2), ("promote", 3), ("rollback", 2),
        ]  # fmt: skip
        live = [model.live(at=event.time) for event in model.events]
    assert [each.number for each in live if each is not None] == [1, 2, 3, 2]


def test_the_pack_is_verified_by_python_and_openssl_alone(folder: Path) -> None:
    printed = (folder / "printed.txt").read_text()
    assert "all as the manifest says" in printed
    changed = folder / "received/checks.json"
    changed.write_text(changed.read_text() + " ")
    command = [sys.executable, "-I", "-S", "received/verify_pack.py", "received"]
    done = subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True)
    assert done.returncode == 1
    assert "checks.json" in done.stdout + done.stderr


def test_the_history_is_whole_and_holds_no_scan(folder: Path) -> None:
    with History(folder / "histhooks.db") as history:
        assert {run.status for run in history.runs()} == {"finished"}
    assert verify(folder / "histhooks.db").problems == []
    scan = (folder / "hour_3.csv").read_text().splitlines()[1]
    rows = (scan.encode(), scan.replace(",", ", ").encode())
    assert not any(row in path.read_bytes() for path in folder.glob("histhooks.db*") if path.is_file() for row in rows)
