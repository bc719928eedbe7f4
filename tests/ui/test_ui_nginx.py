"""A real nginx before the pages: it signs people in, and says who asks, as docs/guide/team.md has it."""

from __future__ import annotations

import base64
import http.client
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from helpers.pages import make
from helpers.serving import served

pytest.importorskip("uvicorn")

CONFIG = """
daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port};
        location /team/ {{
            auth_basic "team"; auth_basic_user_file {folder}/people;
            proxy_pass http://127.0.0.1:{behind}/;
            proxy_http_version 1.1;
            proxy_set_header Host $host;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_set_header X-Forwarded-User $remote_user;
            proxy_buffering off;
            proxy_read_timeout 1h;
        }}
    }}
}}
"""


@contextmanager
def nginx(folder: Path, behind: int) -> Iterator[int]:
    program = shutil.which("nginx")
    if program is None:
        pytest.skip("nginx is not installed: apt-get install nginx")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    people = "".join(f"{name}:{{PLAIN}}secret\n" for name in ("ann", "bob"))
    (folder / "people").write_text(people, encoding="utf-8")
    (folder / "nginx.conf").write_text(CONFIG.format(folder=folder, port=port, behind=behind), encoding="utf-8")
    for place in (folder, folder / "people"):
        os.chmod(place, 0o755 if place.is_dir() else 0o644)
    command = [program, "-p", str(folder), "-e", str(folder / "error.log"), "-c", str(folder / "nginx.conf")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        until = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert process.poll() is None, process.communicate()[0]
                assert time.monotonic() < until
                time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.communicate()


def ask(port: int, path: str, who: str = "", **headers: str) -> tuple[int, str]:
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    login = {"authorization": f"Basic {base64.b64encode(f'{who}:secret'.encode()).decode()}"} if who else {}
    try:
        line.request("GET", path, headers={**login, **headers})
        answer = line.getresponse()
        # A stream has no end; its first words are enough.
        body = answer.read1(200) if path.endswith("/live") else answer.read()
        return answer.status, body.decode()
    finally:
        line.close()


def test_nginx_says_who_asks_and_a_visitor_cannot(tmp_path: Path) -> None:
    store = make(tmp_path / "h.db")
    words = ("--trust-header", "X-Forwarded-User", "--trusted-proxy", "127.0.0.1", "--port", "0")
    with served(store, *words) as server, nginx(tmp_path, server.told["port"]) as port:
        assert ask(port, "/team/s/h/runs")[0] == 401
        assert "X-Forwarded-User" not in ask(port, "/team/s/h/runs")[1]
        for who in ("ann", "bob"):
            for forged in ({}, {"X-Forwarded-User": "mallory"}, {"x-forwarded-user": "mallory"}):
                status, text = ask(port, "/team/s/h/runs", who, **forged)
                assert status == 200
                assert f'title="Signed in as {who}"' in text
                assert "mallory" not in text
        status, text = ask(port, "/team/s/h/live", "ann")
        assert status == 200
        assert text.startswith("retry:")
        assert ask(port, "/team/static/page.js", "ann")[0] == 200
        assert ask(port, "/team/s/h/runs.json", "ann")[0] == 200
