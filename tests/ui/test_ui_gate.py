"""Who may ask: the token, the name of the host, methods and paths; and what each answer carries."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import pytest

from helpers.pages import BASE, TOKEN, client, make
from histhooks.ui import app
from histhooks.ui._pages import static_file

pytest.importorskip("starlette")

PAGES = Path(__file__).resolve().parents[2] / "src" / "histhooks" / "ui"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("gate") / "h.db")


@pytest.fixture(scope="module")
def visitor(store: Path) -> Iterator[Any]:
    with client(store) as made:
        yield made


@pytest.fixture
def stranger(store: Path) -> Iterator[Any]:
    with client(store) as made:
        made.cookies.clear()
        yield made


@pytest.mark.parametrize("path", ["/", "/s/h/runs", "/s/h/runs.json", "/s/h/live", "/static/page.js", "/help"])
def test_without_the_token_nothing_is_shown(stranger: Any, path: str) -> None:
    answer = stranger.get(path)
    assert answer.status_code == 403
    assert "histhooks ui" in answer.text
    assert stranger.get(path, params={"token": TOKEN[:-1]}).status_code == 403


def test_the_health_of_the_server_needs_no_token(stranger: Any) -> None:
    assert (stranger.get("/healthz").text, stranger.get("/healthz").status_code) == ("ok\n", 200)


def test_the_token_leaves_the_address_and_becomes_a_cookie(stranger: Any) -> None:
    answer = stranger.get(f"/s/h/runs?status=failed&token={TOKEN}")
    assert (answer.status_code, answer.headers["location"]) == (303, "runs?status=failed")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert TOKEN not in cookie
    assert stranger.get("/s/h/runs?status=failed").status_code == 200


def test_a_path_is_no_address_of_another_site(stranger: Any) -> None:
    for path in ("/https:elsewhere.example", "/x/https:elsewhere.example", "//elsewhere.example", "/a//b:80"):
        answer = stranger.get(f"http://127.0.0.1{path}?token={TOKEN}")
        assert answer.status_code == 303
        assert urlsplit(urljoin(f"http://127.0.0.1{path}", answer.headers["location"])).netloc == "127.0.0.1"


@pytest.mark.parametrize(
    ("protocol", "is_secure"), [(None, False), ("http", False), ("https", True), ("HTTPS, http", True)]
)
def test_the_cookie_of_a_browser_that_came_by_https_is_for_https_alone(
    stranger: Any, protocol: str | None, is_secure: bool
) -> None:
    headers = {} if protocol is None else {"x-forwarded-proto": protocol}
    answer = stranger.get(f"/s/h/runs?token={TOKEN}", headers=headers)
    assert answer.status_code == 303
    assert ("secure" in answer.headers["set-cookie"].lower().split("; ")) == is_secure


@pytest.mark.parametrize("query", [b"", f"token={TOKEN}".encode()])
def test_what_is_not_http_is_refused(store: Path, query: bytes) -> None:
    sent = []

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "websocket", "scheme": "ws", "path": "/s/h/runs", "raw_path": b"/s/h/runs", "query_string": query,
        "headers": [(b"host", b"localhost")], "subprotocols": [],
    }  # fmt: skip
    asyncio.run(app([store], token=TOKEN)(scope, receive, send))
    assert sent == [{"type": "websocket.close", "code": 1008}]


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.com", "localhost.evil.com", "10.0.0.1", "", "0.0.0.0"]
)
def test_another_host_is_refused_and_the_option_is_named(visitor: Any, host: str) -> None:
    answer = visitor.get("/s/h/runs", headers={"host": host})
    assert answer.status_code == 421
    assert "--allow-host" in answer.text


@pytest.mark.parametrize("host", ["localhost", "localhost:1", "127.0.0.1:6100", "[::1]:6100", "127.9.9.9"])
def test_names_of_this_machine_are_let_in(visitor: Any, host: str) -> None:
    cookies = "; ".join(f"{name}={value}" for name, value in visitor.cookies.items())
    assert visitor.get("/s/h/runs", headers={"host": host, "cookie": cookies}).status_code == 200


def test_a_host_that_was_allowed_is_let_in(store: Path) -> None:
    with client(store, hosts=["team.example"]) as made:
        cookies = "; ".join(f"{name}={value}" for name, value in made.cookies.items())
        headers = {"host": "team.example", "cookie": cookies}
        assert made.get("/s/h/runs", headers=headers).status_code == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
@pytest.mark.parametrize("path", ["/", "/s/h/runs", "/static/page.js"])
def test_pages_only_show(visitor: Any, method: str, path: str) -> None:
    assert visitor.request(method, path).status_code == 405


@pytest.mark.parametrize(
    "path",
    [
        "/static/../_gate.py", "/static/%2e%2e/_gate.py", "/static/..%2f_gate.py", "/static/%2e%2e%2f_gate.py",
        "/static/....//_gate.py", "/static/%252e%252e%252f_gate.py", "/static/..\\_gate.py", "/static/%5c..%5c_gate.py",
        "/static/%00", "/static/page.js%00.css", "/s/../etc/passwd", "/s/h/../../etc/passwd", "/s/%2fetc%2fpasswd/runs",
        "/s/h/runs/..%2f..%2fetc", "//etc/passwd", "/etc/passwd", "/static//etc/passwd", "/static/", "/s/", "/static/x",
    ],
)  # fmt: skip
def test_no_spelling_leads_outside(visitor: Any, path: str) -> None:
    answer = visitor.request("GET", BASE + path)
    assert answer.status_code in (404, 403)
    assert "root:" not in answer.text


def test_data_is_not_given_to_other_sites(visitor: Any) -> None:
    headers = {"sec-fetch-site": "cross-site"}
    assert visitor.get("/s/h/runs.json", headers=headers).status_code == 403
    assert visitor.get("/s/h/runs/last/series.json", headers=headers).status_code == 403
    assert visitor.get("/s/h/runs", headers=headers).status_code == 200


@pytest.mark.parametrize("path", ["/s/h/runs", "/s/h/runs.json", "/static/page.js", "/nowhere", "/healthz"])
def test_each_answer_carries_the_policy(visitor: Any, path: str) -> None:
    headers = visitor.get(path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-opener-policy"] == headers["cross-origin-resource-policy"] == "same-origin"
    assert not [name for name in headers if name.startswith("access-control")]


def test_a_frame_of_a_notebook_has_the_token_in_its_path(stranger: Any) -> None:
    answer = stranger.get(f"/@{TOKEN}/s/h/runs")
    assert answer.status_code == 200
    links = re.findall(r'href="([^"#?]*)', answer.text)
    assert any(link.startswith("runs/") for link in links)
    assert not any(link.startswith("/") for link in links)
    assert stranger.get("/@wrong/s/h/runs").status_code == 403


def test_a_page_that_the_browser_has_is_not_sent_again(visitor: Any) -> None:
    answer = visitor.get("/s/h/runs?status=failed")
    again = visitor.get("/s/h/runs?status=failed", headers={"if-none-match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_no_template_has_a_script_a_style_or_a_handler_in_it() -> None:
    for path in (PAGES / "templates").glob("*.html"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(
            r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son[a-z]+=|javascript:|\|\s*safe|https?://", text
        ), path


def test_scripts_ask_nothing_from_elsewhere() -> None:
    for name in ("page.js", "chart.js", "histhooks.css"):
        text = (PAGES / "static" / name).read_text(encoding="utf-8")
        assert not re.search(r"https?://|//[a-z]+\.[a-z]|@import|innerHTML\s*=[^=]|insertAdjacent|\beval\(", text), name
        assert name != "histhooks.css" or "url(" not in text


def test_scripts_are_sent_without_what_is_beside_them() -> None:
    for path in sorted((PAGES / "static").glob("*.js")):
        text = path.read_text(encoding="utf-8")
        sent = static_file(path.name)
        assert sent is not None
        if ".min." in path.name:
            assert sent == path.read_bytes()
            continue
        # A text over several lines would lose the spaces at the beginning of each.
        assert [line for line in text.splitlines() if line.count("`") % 2] == [], path.name
        kept = [line.strip() for line in text.splitlines() if not line.lstrip().startswith("//")]
        assert sent.decode().splitlines() == kept
        assert len(sent) < 0.95 * len(text.encode())


def test_the_chart_library_is_the_one_that_was_released() -> None:
    found = {
        name: hashlib.sha256((PAGES / "static" / name).read_bytes()).hexdigest()
        for name in ("uPlot.iife.min.js", "uPlot.min.css", "uPlot.LICENSE.txt")
    }
    assert found == HASHES
    assert "MIT" in (PAGES / "static" / "uPlot.LICENSE.txt").read_text(encoding="utf-8")


HASHES = {
    "uPlot.iife.min.js": "19c8d4c6ad88929a79f4ae49d6f7161566dfd0ba3d15cc495e974f787eb78f1f",
    "uPlot.min.css": "df630c6a8d6f8eeaff264b50f73ce5b114f646ffd9a0bb74f049b0a00135fa04",
    "uPlot.LICENSE.txt": "8f989229699b4fe2f1a0432d0e9edc338a8a911e250e2d1b01ecd770a5f5b1bd",
}
