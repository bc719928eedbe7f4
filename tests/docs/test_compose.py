"""The compose file of examples/team: what its services run, run here on a real PostgreSQL without a container."""

import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.request import HTTPCookieProcessor, build_opener

import pytest

yaml = pytest.importorskip("yaml")

FILE = Path(__file__).resolve().parents[2] / "examples" / "team" / "compose.yaml"


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))["services"]
    return found


def command_of(service: dict[str, Any], **replaced: str) -> list[str]:
    text = service["command"].replace("$$", "$")
    for there, here in replaced.items():
        assert there in text
        text = text.replace(there, here)
    return shlex.split(text)


def test_tables_are_made_and_the_pages_answer(services: dict[str, Any], postgresql: str, tmp_path: Path) -> None:
    pytest.importorskip("starlette")
    schema = f"hh_compose_{os.getpid()}"
    address = f"{postgresql}{'&' if '?' in postgresql else '?'}histhooks_schema={schema}"
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "HISTHOOKS_TEAM": address}
    for _ in range(2):  # a second start finds what is there
        made = subprocess.run(command_of(services["tables"]), env=environment, capture_output=True, text=True)
        assert made.returncode == 0, made.stderr
    token = tmp_path / "token"
    words = command_of(services["ui"], **{"/state/token": str(token), "--port 6100": "--port 0 --json"})
    with subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, text=True) as served:
        try:
            assert served.stdout is not None
            port = yaml.safe_load(served.stdout.readline())["port"]
            url = f"http://127.0.0.1:{port}/?token={token.read_text(encoding='utf-8').strip()}"
            with build_opener(HTTPCookieProcessor()).open(url, timeout=60) as answer:
                assert "no runs" in answer.read().decode().lower()
        finally:
            served.terminate()


def test_only_the_database_is_open_to_other_machines(services: dict[str, Any]) -> None:
    open_to_all = [name for name, each in services.items() for port in each.get("ports", ()) if port.count(":") == 1]
    assert open_to_all == ["db"]
