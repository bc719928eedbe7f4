"""Where `histhooks ui` listens and whom it lets in, by its options, asked through real sockets."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import socket
import ssl
import stat
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from helpers.pages import client, make
from helpers.serving import PATIENCE_S, served

pytest.importorskip("starlette")

needs_sockets = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no sockets in the file system here")
needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("options") / "h.db")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("tls")
    cert, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert, "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    return cert, key


def refused(*arguments: str | Path) -> str:
    """What `histhooks ui` says of options that do not go."""
    command = [sys.executable, "-m", "histhooks", "ui", "--json", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE_S)
    assert done.returncode == 2, done
    assert "Traceback" not in done.stderr
    return done.stderr


def test_the_store_and_its_folder_are_as_they_were(store: Path, tmp_path: Path) -> None:
    copy = tmp_path / "h.db"
    copy.write_bytes(store.read_bytes())
    before = hashlib.sha256(copy.read_bytes()).hexdigest()
    with served(copy, "--port", "0") as server:
        assert server.told == {**server.told, "stores": [str(copy)], "pid": server.process.pid, "uds": None}
        for path in ("runs", "runs.json", "runs/last", "runs/last/charts", "search?q=note", "models", "audit"):
            assert server.ask(f"/s/h/{path}").status == 200
    assert hashlib.sha256(copy.read_bytes()).hexdigest() == before
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("h.db")] == ["h.db"]


@needs_sockets
def test_a_socket_of_the_file_system_is_ours_alone_and_needs_no_token(store: Path, short: Path) -> None:
    path = short / "ui.sock"
    with served(store, "--uds", path) as server:
        assert stat.S_IMODE(path.lstat().st_mode) == 0o600
        assert server.told["uds"] == str(path)
        assert server.told["port"] is None
        assert "token" not in server.told["url"]
        answer = server.ask("/s/h/runs")
        assert answer.status == 200
        assert "set-cookie" not in answer.headers
        assert server.ask("/s/h/runs", host="evil.example").status == 421
        assert "another program listens" in refused(store, "--uds", path)
    assert not path.exists()


@needs_sockets
@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_what_a_server_that_was_ended_left_does_not_stand_in_the_way(store: Path, short: Path, end: int) -> None:
    path = short / "ui.sock"
    command = [sys.executable, "-m", "histhooks", "ui", "--json", str(store), "--uds", str(path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline().endswith("}\n")
    process.send_signal(end)
    process.communicate(timeout=PATIENCE_S)
    assert path.exists() == (end == signal.SIGKILL)
    with served(store, "--uds", path) as server:
        assert server.ask("/healthz").body == b"ok\n"


@needs_sockets
def test_a_file_that_is_no_socket_is_kept(store: Path, tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("mine")
    assert "no socket" in refused(store, "--uds", path)
    assert path.read_text() == "mine"
    assert "too long" in refused(store, "--uds", tmp_path / ("x" * 200))
    assert "leave out --port" in refused(store, "--uds", tmp_path / "a", "--port", "1")
    assert "leave out --token-file" in refused(store, "--uds", tmp_path / "a", "--token-file", path)


def test_a_token_file_keeps_the_address(store: Path, tmp_path: Path) -> None:
    file = tmp_path / "token"
    with served(store, "--port", "0", "--token-file", file) as first:
        token = first.token
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.read_text().strip() == token
    with served(store, "--port", "0", "--token-file", file) as again:
        assert again.token == token
        assert token not in Path(f"/proc/{again.told['pid']}/cmdline").read_text() if os.path.isdir("/proc") else True
    file.chmod(0o644)
    assert "chmod 600" in refused(store, "--token-file", file)
    short = tmp_path / "short"
    short.touch(0o600)
    short.write_text("abc")
    assert "16 letters" in refused(store, "--token-file", short)


def test_another_address_needs_tls_or_a_proxy(store: Path) -> None:
    error = refused(store, "--host", "0.0.0.0")
    assert "--behind-proxy" in error
    assert "--ssl-cert" in error
    with served(store, "--port", "0", "--host", "0.0.0.0", "--behind-proxy", "--allow-host", "Team.example") as server:
        assert server.ask("/s/h/runs", host="team.example:443").status == 200
        assert server.ask("/s/h/runs", host="team.example", cookie="x=y").status == 403
        answer = server.ask("/s/h/runs", host="other.example")
        assert answer.status == 421
        assert "--allow-host other.example" in answer.text
        assert server.ask("/s/h/runs", host="0.0.0.0").status == 421


@needs_openssl
def test_with_a_certificate_the_pages_come_over_tls(store: Path, certificate: tuple[Path, Path]) -> None:
    cert, key = certificate
    context = ssl.create_default_context(cafile=str(cert))
    options = ("--host", "0.0.0.0", "--ssl-cert", cert, "--ssl-key", key)
    with served(store, "--port", "0", *options, context=context) as server:
        assert server.told["url"].startswith("https://")
        answer = server.ask(f"/?token={server.token}", cookie="")
        assert "secure" in answer.headers["set-cookie"].lower().split("; ")
        assert server.ask("/s/h/runs").status == 200
    assert "belong together" in refused(store, "--ssl-cert", cert, "--ssl-key", cert)
    assert "cannot be read" in refused(store, "--ssl-cert", store.parent / "none.pem")
    assert "add --ssl-cert" in refused(store, "--ssl-key", key)


def test_a_site_that_was_named_may_show_the_pages_in_a_frame(store: Path) -> None:
    with served(store, "--port", "0", "--embed", "https://notebooks.example") as server:
        framed = server.ask(f"/@{server.token}/s/h/runs", cookie="").headers
        assert "frame-ancestors https://notebooks.example" in framed["content-security-policy"]
        assert "frame-ancestors 'self'" in server.ask("/s/h/runs").headers["content-security-policy"]
    assert "origin" in refused(store, "--embed", "notebooks.example; script-src *")


def test_a_question_without_an_end_is_ended(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from histhooks.history import _held
    from histhooks.ui import _app

    monkeypatch.setattr(_app, "_LIMIT_S", 0.0)
    monkeypatch.setattr(_held, "_STEPS", 1)
    with client(store) as visitor:
        for path in ("runs", "runs.json", "runs/last", "search?q=note", "audit"):
            answer = visitor.get(f"/s/h/{path}")
            assert answer.status_code == 503
            assert "took longer than 0 s" in answer.text
        assert "error" in visitor.get("/s/h/runs.json").json()
        monkeypatch.undo()
        assert visitor.get("/s/h/runs").status_code == 200


def test_visitors_beyond_those_that_wait_are_asked_to_come_again(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from histhooks.ui import _stores

    monkeypatch.setattr(_stores, "_MOST_WAITING", 2)
    go, here = threading.Event(), threading.Semaphore(0)
    found: list[Any] = []
    with client(store) as visitor:
        from histhooks.history import History

        slow = History.table

        def waits(self: History, **which: Any) -> Any:
            here.release()
            go.wait(PATIENCE_S)
            return slow(self, **which)

        monkeypatch.setattr(History, "table", waits)
        threads = [
            threading.Thread(target=lambda n: found.append(visitor.get(f"/s/h/runs?since={n}d")), args=(n,))
            for n in range(1, 10)
        ]
        for thread in threads:
            thread.start()
        for _ in range(4):
            assert here.acquire(timeout=PATIENCE_S)
        until = time.monotonic() + PATIENCE_S
        while len(found) < 3 and time.monotonic() < until:
            time.sleep(0.05)
        go.set()
        for thread in threads:
            thread.join(PATIENCE_S)
    assert Counter(answer.status_code for answer in found) == {200: 6, 503: 3}
    assert all("retry-after" in answer.headers for answer in found if answer.status_code == 503)


def test_the_json_of_the_verb_is_one_object(store: Path) -> None:
    with served(store, "--port", "0") as server:
        assert set(server.told) == {"url", "port", "uds", "stores", "pid"}
        assert json.dumps(server.told)
        assert server.told["url"] == f"http://127.0.0.1:{server.told['port']}/?token={server.token}"


def test_kept_files_are_given_as_they_are_and_only_if_that_was_asked_for(tmp_path: Path) -> None:
    from histhooks.testing import run_program

    program = """
    import histhooks
    from pathlib import Path
    Path('we"ird;.html').write_text("<script>alert(1)</script>")
    Path("gone.bin").write_bytes(b"altered later")
    with histhooks.start_run("train") as run:
        run.log_artifact('we"ird;.html', role="model"); run.log_artifact("gone.bin", role="model")
    """
    store = tmp_path / "kept.db"
    code, _, error = run_program(program, store, HISTHOOKS_KEEP_MODELS="1")
    assert code == 0, error
    page, gone = (hashlib.sha256(text).hexdigest() for text in (b"<script>alert(1)</script>", b"altered later"))
    copies = {path.name: path for path in tmp_path.glob("kept.db.files/*/*")}
    copies[gone].chmod(0o600)
    copies[gone].write_bytes(b"ALTERED later")
    with served(store, "--port", "0", "--files") as server:
        answer = server.ask(f"/s/kept/files/{page}.bin")
        assert answer.body == b"<script>alert(1)</script>"
        assert answer.headers["content-type"] == "application/octet-stream"
        assert answer.headers["content-disposition"] == 'attachment; filename="we-ird-.html"'
        assert f"files/{page}.bin" in server.ask("/s/kept/runs/last/files").text
        altered = server.ask(f"/s/kept/files/{gone}.bin")
        assert altered.status == 503
        assert b"ALTERED later" not in altered.body
        for word in ("0" * 64, page.upper(), page[:40], "x", f"{page}.bin", "..%2f..%2fkept.db", f"..%2f{page}"):
            assert server.ask(f"/s/kept/files/{word}.bin").status == 404
        assert server.ask(f"/s/kept/files/{page}.bin", sec_fetch_site="cross-site").status == 403
    with served(store, "--port", "0") as server:
        answer = server.ask(f"/s/kept/files/{page}.bin")
        assert answer.status == 403
        assert "--files" in answer.text


def test_visitors_who_ask_the_same_get_one_answer_and_a_change_is_seen_at_once(
    tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from histhooks import curate
    from histhooks.history import History

    copy = tmp_path / "h.db"
    copy.write_bytes(store.read_bytes())
    table, asked, go = History.table, [], threading.Event()

    def counted(self: History, **which: Any) -> Any:
        asked.append(which)
        go.wait(PATIENCE_S)
        return table(self, **which)

    monkeypatch.setattr(History, "table", counted)
    found: list[Any] = []
    with client(copy) as visitor:
        threads = [threading.Thread(target=lambda: found.append(visitor.get("/s/h/runs"))) for _ in range(8)]
        for thread in threads:
            thread.start()
        until = time.monotonic() + PATIENCE_S
        while not asked and time.monotonic() < until:
            time.sleep(0.05)
        go.set()
        for thread in threads:
            thread.join(PATIENCE_S)
        assert [answer.status_code for answer in found] == [200] * 8
        assert len({answer.text for answer in found}) == 1
        assert len(asked) < 8
        for n in range(3):
            curate.rename("broken", f"mended {n}", store=copy)
            assert f"mended {n}" in visitor.get("/s/h/runs").text
            curate.rename(f"mended {n}", "broken", store=copy)
