"""The browser that `histhooks ui` starts: what stands in its command line, which other users can read."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from helpers.pages import make

pytest.importorskip("starlette")

# Keeps cookies, as a browser does, and visits the address twice; the second time as somebody else.
BROWSER = """
import json, sys
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import urljoin
from urllib.request import build_opener, HTTPCookieProcessor

seen = []
visitor = build_opener(HTTPCookieProcessor())
for opener, url in ((visitor, sys.argv[2]), (visitor, urljoin(sys.argv[2], "/help")), (build_opener(), sys.argv[2])):
    try:
        with opener.open(url, timeout=60) as answer:
            seen.append([answer.status, answer.url])
    except HTTPError as error:
        seen.append([error.code, url])
part = Path(sys.argv[1] + ".part")
part.write_text(json.dumps({"url": sys.argv[2], "seen": seen}))
part.rename(sys.argv[1])
"""


def test_the_command_line_of_the_browser_has_no_token_and_lets_in_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, browser, said = make(tmp_path / "h.db"), tmp_path / "browser.py", tmp_path / "said.json"
    browser.write_text(BROWSER)
    monkeypatch.setenv("BROWSER", f"{sys.executable} {browser} {said} %s")
    monkeypatch.delenv("SSH_CONNECTION", raising=False)
    process = subprocess.Popen(
        [sys.executable, "-m", "histhooks", "ui", str(store), "--port", "0"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        lines = [process.stdout.readline(), process.stdout.readline()]
        printed = lines[1].split()[1]
        found = _waited(said, process)
    finally:
        process.kill()
        process.communicate()
    token = parse_qs(urlsplit(printed).query)["token"][0]
    assert len(token) > 16
    assert token not in found["url"]
    assert [status for status, _ in found["seen"]] == [200, 200, 403]
    assert "token" not in found["seen"][0][1]


def _waited(file: Path, process: subprocess.Popen[str]) -> dict[str, object]:
    import time

    until = time.monotonic() + 120
    while not file.exists():
        assert process.poll() is None
        assert time.monotonic() < until, "no browser was started"
        time.sleep(0.1)
    found: dict[str, object] = json.loads(file.read_text())
    return found


def test_a_code_is_good_for_a_while_and_for_its_user(monkeypatch: pytest.MonkeyPatch) -> None:
    from histhooks.ui import _one_use

    assert _one_use.OneUse().takes("wrong", None, 1) is False
    once = _one_use.OneUse()
    monkeypatch.setattr(_one_use, "users_of", lambda *_: {os.getuid() + 1})
    assert not once.takes(once.code, ("127.0.0.1", 1), 2)
    monkeypatch.setattr(_one_use, "users_of", lambda *_: {os.getuid()})
    assert once.takes(once.code, ("127.0.0.1", 1), 2)
    assert not once.takes(once.code, ("127.0.0.1", 1), 2)
    monkeypatch.setattr(_one_use, "_GOOD_FOR_S", -1.0)
    late = _one_use.OneUse()
    assert not late.takes(late.code, None, 2)


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="the system does not say whose a connection is")
@pytest.mark.parametrize(("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_the_system_says_whose_a_connection_is(family: int, host: str) -> None:
    from histhooks.ui._one_use import users_of

    with socket.socket(family) as server:
        try:
            server.bind((host, 0))
        except OSError:
            pytest.skip(f"there is no {host} here")
        server.listen()
        port = server.getsockname()[1]
        with socket.create_connection((host, port), timeout=60) as client:
            mine = client.getsockname()[1]
            assert users_of(mine, port) == {os.getuid()}
        assert users_of(1, port) == set()
