"""Annotating from a page: only with `--write`, only by forms of this server, and as the command line does it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from helpers.pages import make
from helpers.serving import Served, served

pytest.importorskip("starlette")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("writing") / "h.db")


@pytest.fixture(scope="module")
def server(store: Path) -> Iterator[Served]:
    with served(store, "--port", "0", "--write", HISTHOOKS_ACTOR="grace") as made:
        yield made


def run_of(store: Path) -> dict[str, Any]:
    """What the command line says of the run that is annotated here."""
    command = [sys.executable, "-m", "histhooks", "show", str(store), "broken", "--json"]
    found: dict[str, Any] = json.loads(subprocess.run(command, capture_output=True, check=True, timeout=60).stdout)
    return found


@pytest.fixture(scope="module")
def form(server: Served) -> str:
    page = server.ask("/s/h/runs/" + server.ask("/s/h/runs/broken").headers["location"].rpartition("/")[2])
    (token,) = set(re.findall(r'name="form" value="([0-9a-f]{64})"', page.text))
    return token


def test_tags_notes_and_names_are_those_of_the_command_line(store: Path, server: Served, form: str) -> None:
    run = run_of(store)
    at = f"/s/h/runs/{run['id']}"
    answer = server.send(f"{at}/tag", {"form": form, "tag": "stage = prod=eu"})
    assert (answer.status, answer.headers["location"]) == (303, f"../{run['id']}#annotations")
    assert server.send(f"{at}/note", {"form": form, "text": "first\r\nand second: ✓ <b>"}).status == 303
    after = run_of(store)
    assert [(tag["key"], tag["value"], tag["author"]) for tag in after["tags"]] == [("stage", "prod=eu", "grace")]
    assert [(note["body"], note["author"]) for note in after["notes"]] == [("first\nand second: ✓ <b>", "grace")]
    page = server.ask(at).text
    assert "and second: ✓ &lt;b&gt;" in page
    assert server.send(f"{at}/untag", {"form": form, "tag": "stage"}).status == 303
    assert [tag["value"] for tag in run_of(store)["tags"] if tag["key"] == "stage"][-1:] in ([], [None])
    assert server.send(f"{at}/rename", {"form": form, "name": "repaired"}).status == 303
    assert server.send("/s/h/runs/repaired/rename", {"form": form, "name": "broken"}).status == 303
    command = [sys.executable, "-m", "histhooks", "verify", str(store), "--json"]
    assert subprocess.run(command, capture_output=True, check=False, timeout=60).returncode == 0


@pytest.mark.parametrize(
    ("headers", "fields"),
    [
        ({"origin": "http://evil.example"}, {}),
        ({"origin": "null"}, {}),
        ({"origin": ""}, {}),
        ({"origin": "http://127.0.0.1:1"}, {}),
        ({"origin": "http://127.0.0.1.evil.com"}, {}),
        ({"origin": "http://[bad"}, {}),
        ({"cookie": "histhooks-0=x"}, {}),
        ({}, {"form": "0" * 64}),
        ({}, {"form": ""}),
        ({}, {"form": "é"}),
    ],
    ids=str,
)
def test_what_no_page_of_the_server_sent_changes_nothing(
    store: Path, server: Served, form: str, headers: dict[str, str], fields: dict[str, str]
) -> None:
    answer = server.send("/s/h/runs/broken/note", {"form": form, "text": "evil", **fields}, **headers)
    assert answer.status == 403
    assert "evil" not in json.dumps(run_of(store)["notes"])


def test_without_a_token_in_the_form_nothing_is_done(server: Served) -> None:
    assert server.send("/s/h/runs/broken/note", {"text": "x"}).status == 403


@pytest.mark.parametrize(
    ("path", "fields", "status", "said"),
    [
        ("runs/broken/tag", {"tag": "two words=1"}, 400, "two_words"),
        ("runs/broken/tag", {"tag": "=1"}, 400, "a tag is KEY"),
        ("runs/broken/note", {"text": "  "}, 400, "empty"),
        ("runs/broken/rename", {"name": ""}, 400, "empty"),
        ("runs/broken/untag", {"tag": "none"}, 400, "no tag"),
        ("runs/nobody/note", {"text": "x"}, 404, "no run"),
        ("runs/broken/note", {"text": "x", "more": "y"}, 400, "one field"),
        ("runs/broken/note", {"tag": "x"}, 400, "one field"),
        ("runs/broken/note", {"text": "x" * 70_000}, 413, "64 KiB"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(
    server: Served, form: str, path: str, fields: dict[str, str], status: int, said: str
) -> None:
    answer = server.send(f"/s/h/{path}", {"form": form, **fields})
    assert answer.status == status
    assert said in answer.text
    assert "Traceback" not in answer.text


def test_another_store_another_type_and_a_body_without_an_end_are_refused(server: Served, form: str) -> None:
    assert server.send("/s/other/runs/broken/note", {"form": form, "text": "x"}).status == 404
    headers = {"origin": server.origin, "content_type": "text/plain"}
    assert server.ask("/s/h/runs/broken/note", "POST", f"form={form}&text=x".encode(), **headers).status == 415
    line = server._line()
    line.putrequest("POST", "/s/h/runs/broken/note")
    for name, value in {
        "cookie": server.cookie, "origin": server.origin, "content-type": "application/x-www-form-urlencoded",
        "transfer-encoding": "chunked",
    }.items():  # fmt: skip
        line.putheader(name, value)
    line.endheaders()
    for _ in range(5):
        line.send(b"4000\r\n" + b"x" * 0x4000 + b"\r\n")
    assert line.getresponse().status == 413
    line.close()


@pytest.mark.parametrize("path", ["/", "/s/h/runs", "/s/h/runs/broken", "/s/h/runs/broken/delete", "/static/page.js"])
def test_nothing_else_can_be_sent(server: Served, form: str, path: str) -> None:
    assert server.send(path, {"form": form, "text": "x"}).status == 405
    for method in ("PUT", "DELETE", "PATCH"):
        assert server.ask(path, method, origin=server.origin).status == 405


def test_a_server_that_only_shows_takes_no_form(store: Path) -> None:
    with served(store, "--port", "0") as only:
        page = only.ask("/s/h/runs/last").text
        assert 'method="post"' not in page
        assert 'name="referrer"' not in page
        for deed in ("tag", "untag", "note", "rename"):
            answer = only.send(f"/s/h/runs/broken/{deed}", {"form": "", "text": "x"})
            assert answer.status == 405
            assert "--write" in answer.text


def test_behind_a_proxy_the_origin_is_the_name_that_was_allowed(store: Path) -> None:
    with served(store, "--port", "0", "--write", "--allow-host", "team.example") as behind:
        page = behind.ask("/s/h/runs/last").text
        (form,) = set(re.findall(r'name="form" value="([0-9a-f]{64})"', page))
        sent = {"form": form, "text": "through a proxy"}
        secure = {"x_forwarded_proto": "https"}
        for origin, status in (("https://team.example", 303), ("http://team.example", 403), ("https://x.example", 403)):
            assert behind.send("/s/h/runs/broken/note", sent, origin=origin, **secure).status == status
