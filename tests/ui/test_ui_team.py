"""The pages of a team: a proxy says who asks, and the database decides what this role sees."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from helpers.pages import BASE, make
from helpers.readers import Readers
from helpers.serving import served
from histhooks import History
from histhooks.errors import HisthooksError
from histhooks.team.postgres.address import target_of
from histhooks.team.postgres.witnessing import verify_database
from histhooks.ui import _app, app, serve
from histhooks.ui._identity import Proxies

pytest.importorskip("starlette")

PAGES = (
    "runs", "runs.json", "runs.csv", "runs/last", "columns", "names.json", "models", "search?q=secret", "explore",
    "charts?runs=last", "audit", "audit.json", "lineage", "runs?where=project+%3D+fraud", "runs?group=project",
    "runs/last/params", "runs/last/events", "runs/last.json", "search.json?q=of",
)  # fmt: skip


@pytest.fixture(scope="module")
def readers(postgresql: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Readers]:
    from uuid import uuid4

    from histhooks import team

    address = f"{postgresql}{'&' if '?' in postgresql else '?'}histhooks_schema=hh_{uuid4().hex[:12]}"
    team.init(address, by_project=True)
    with closing(Readers(address, tmp_path_factory.mktemp("readers"))) as made:
        yield made


@pytest.fixture
def visitor(readers: Readers) -> Iterator[Any]:
    """Asks for a page by the proxy of the server, in the name of somebody."""
    from starlette.testclient import TestClient

    application = _app.make([readers.address], None, proxies=Proxies("X-Forwarded-User", ["10.0.0.0/8"]))
    with TestClient(application, base_url=BASE, follow_redirects=False, client=("10.1.2.3", 5000)) as client:

        def ask(path: str, who: str, **headers: str) -> Any:
            return client.get(path, headers={"X-Forwarded-User": who, **headers})

        yield ask


def until(ask: Callable[[], Any], is_so: Callable[[Any], Any]) -> Any:
    """The first answer of which something holds; the last one after a minute."""
    end = time.monotonic() + 60
    while not is_so(found := ask()) and time.monotonic() < end:
        time.sleep(0.2)
    return found


def root_of(readers: Readers) -> str:
    schema = readers.address.rpartition("=")[2]
    return f"/s/postgres-{schema}"


def test_each_visitor_sees_what_the_role_may_see_whoever_asked_before(visitor: Any, readers: Readers) -> None:
    root, marks = root_of(readers), {}
    for who, own, other in [(readers.ann, "ann", "bob"), (readers.bob, "bob", "ann")] * 2:
        for page in PAGES:
            answer = visitor(f"{root}/{page}", who)
            assert answer.status_code in (200, 302), (page, answer.text)
            assert f"of_{other}" not in answer.text, (who, page)
            assert f"{other}@example.com" not in answer.text, (who, page)
            assert answer.headers["cache-control"] == "private, no-cache"
            assert "x-forwarded-user" in answer.headers["vary"].lower()
            tag = answer.headers.get("etag")
            if tag and page in ("runs", "runs.json"):
                assert marks.setdefault((page, tag), who) == who
                assert visitor(f"{root}/{page}", who, **{"if-none-match": tag}).status_code == 304
        assert f"run_of_{own}" in visitor(f"{root}/runs", who).text
        (row,) = visitor(f"{root}/runs.json", who).json()
        assert row["name"] == f"run_of_{own}"
        found = visitor(f"{root}/runs/{row['id']}/charts", readers.bob if own == "ann" else readers.ann)
        assert found.status_code == 404, found.text


def test_the_etag_of_another_is_no_answer(visitor: Any, readers: Readers) -> None:
    root = root_of(readers)
    mark = visitor(f"{root}/runs.json", readers.ann).headers["etag"]
    answer = visitor(f"{root}/runs.json", readers.bob, **{"if-none-match": mark})
    assert answer.status_code == 200
    assert "run_of_bob" in answer.text


def test_who_may_see_nothing_gets_a_page_without_runs(visitor: Any, readers: Readers) -> None:
    answer = visitor(f"{root_of(readers)}/runs", readers.stranger)
    assert answer.status_code == 200
    assert "No runs yet" in answer.text
    assert visitor(f"{root_of(readers)}/runs.json", readers.stranger).json() == []


def test_a_role_that_is_not_there_is_named_with_what_its_owner_runs(visitor: Any, readers: Readers) -> None:
    answer = visitor(f"{root_of(readers)}/runs", 'eve"; DROP TABLE runs; --')
    assert answer.status_code == 403
    assert "Not for you" in answer.text
    assert "CREATE ROLE &#34;eve&#34;&#34;; DROP TABLE runs; --&#34; NOLOGIN;" in answer.text
    found = visitor(f"{root_of(readers)}/runs.json", "eve")
    assert found.status_code == 403
    assert found.json()["remedy"] == ['CREATE ROLE "eve" NOLOGIN;', f'GRANT "eve" TO "{readers.web}";']


@pytest.mark.parametrize("name", ["postgres", "none", "NONE", "public", "pg_read_all_data", "a" * 64])
def test_a_name_that_is_no_persons_sees_nothing(visitor: Any, readers: Readers, name: str) -> None:
    answer = visitor(f"{root_of(readers)}/runs.json", name)
    assert answer.status_code == 403
    assert "run_of" not in answer.text


def test_a_role_of_which_the_server_is_no_member_sees_nothing(visitor: Any, readers: Readers) -> None:
    readers.ask(f'CREATE ROLE "other_{readers.web}" NOLOGIN')
    try:
        answer = visitor(f"{root_of(readers)}/runs.json", f"other_{readers.web}")
        assert answer.status_code == 403
        assert answer.json()["remedy"] == [f'GRANT "other_{readers.web}" TO "{readers.web}";']
    finally:
        readers.ask(f'DROP ROLE "other_{readers.web}"')


def test_a_right_that_is_taken_away_is_gone(visitor: Any, readers: Readers) -> None:
    root = root_of(readers)
    assert visitor(f"{root}/runs", readers.bob).status_code == 200
    readers.ask(f'REVOKE "{readers.bob}" FROM "{readers.web}"')
    try:
        # A page is made anew after a second.
        answer = until(lambda: visitor(f"{root}/runs", readers.bob), lambda found: found.status_code != 200)
        assert answer.status_code == 403
        assert "run_of_bob" not in answer.text
    finally:
        readers.ask(f'GRANT "{readers.bob}" TO "{readers.web}"')


def test_pages_name_the_address_and_never_the_password_or_a_file(visitor: Any, readers: Readers) -> None:
    shown = readers.address.replace("s3cret", "***").replace("&", "&amp;")
    for page in ("runs", "runs/last", "audit"):
        text = visitor(f"{root_of(readers)}/{page}", readers.ann).text
        assert shown in text
        assert "postgresql:///postgres · histhooks</title>" in text
        assert "s3cret" not in text
        assert "targets/" not in text
        assert ".db" not in text
        assert readers.ann in text
    assert "--store &#39;postgresql:///postgres?host=" in visitor(f"{root_of(readers)}/runs/last", readers.ann).text


def test_verifying_is_done_in_the_name_of_who_asks(visitor: Any, readers: Readers) -> None:
    root = root_of(readers)
    found = {who: visitor(f"{root}/audit.json?verify=1", who).json()["verified"] for who in (readers.ann, readers.bob)}
    for who in found:
        ask = lambda who=who: visitor(f"{root}/audit.json", who).json()["verified"]  # noqa: E731
        found[who] = until(ask, lambda one: one["ended_at"])
    rows = {who: one["report"]["rows"] for who, one in found.items()}
    assert len(set(rows.values())) == 1, found
    everything = verify_database(target_of(readers.owner)).rows
    assert 0 < rows[readers.ann] < everything
    assert visitor(f"{root}/audit.json", readers.stranger).json()["verified"] is None


def test_mine_are_the_runs_of_who_signed_in(store: Path) -> None:
    from starlette.testclient import TestClient

    with History(store) as history:
        actor = history.run("last").session["actor"]
    application = _app.make([store], None, proxies=Proxies("X-Forwarded-User", ["10.0.0.0/8"]))
    with TestClient(application, base_url=BASE, client=("10.1.2.3", 1)) as client:
        found = {
            who: client.get("/s/h/runs.json?who=me", headers={"X-Forwarded-User": who}).json()
            for who in (actor, actor.upper(), "nobody")
        }
    assert len(found[actor]) == len(found[actor.upper()]) == 8
    assert found["nobody"] == []


def test_a_push_is_seen_in_an_open_page(readers: Readers) -> None:
    with served(readers.owner, "--port", "0") as server:
        root = root_of(readers)
        line = http.client.HTTPConnection("127.0.0.1", server.told["port"], timeout=60)
        line.request("GET", f"{root}/live", headers={"cookie": server.cookie})
        answer = line.getresponse()

        def event() -> dict[str, Any]:
            while not (text := answer.readline()).startswith(b"data: "):
                assert text
            return dict(json.loads(text[6:]))

        assert event()["whole"]
        before = len(json.loads(server.ask(f"{root}/runs.json").text))
        readers.train("carla", "other")
        assert event()
        assert len(json.loads(server.ask(f"{root}/runs.json").text)) == before + 1
        line.close()


def test_who_pushed_a_run_stands_beside_its_actor(visitor: Any, readers: Readers) -> None:
    from helpers.verbs import ask

    root = root_of(readers)
    text = visitor(f"{root}/runs/last", readers.ann).text
    assert "ann@example.com  (by HISTHOOKS_ACTOR)  pushed by postgres" in text
    assert "pushed by postgres" in ask("show", "--store", readers.owner, "run_of_bob")[1]
    for who, found in (("ann", ["run_of_ann"]), ("postgres", ["run_of_ann"]), ("bob", [])):
        assert [row["name"] for row in visitor(f"{root}/runs.json?who={who}", readers.ann).json()] == found
    session = visitor(f"{root}/runs.json", readers.ann).json()[0]["session_id"]
    answer = visitor(f"{root}/sessions/{session}", readers.ann)
    assert answer.status_code == 200, answer.text[answer.text.index("said") :][:600]
    assert "Pushed by" in answer.text


def test_the_list_of_stores_has_the_last_push(readers: Readers, store: Path) -> None:
    with served(readers.owner, store, "--port", "0") as server:
        text = server.ask("/").text
        assert "Last push" in text
        assert "by postgres" in text
        assert readers.owner.replace("&", "&amp;") in text


@pytest.mark.parametrize(
    ("peer", "headers", "status"),
    [
        (("10.1.2.3", 1), {"X-Forwarded-User": "ann"}, 200),
        (("10.1.2.3", 1), {}, 401),
        (("10.1.2.3", 1), {"X-Forwarded-User": " "}, 401),
        (("11.1.2.3", 1), {"X-Forwarded-User": "ann"}, 401),
        (("127.0.0.1", 1), {"X-Forwarded-User": "ann"}, 401),
        (("fd00::7", 1), {"X-Forwarded-User": "ann"}, 200),
        (("fe80::7", 1), {"X-Forwarded-User": "ann"}, 401),
        (("::ffff:10.1.2.3", 1), {"X-Forwarded-User": "ann"}, 200),
        (("192.168.1.9", 1), {"X-Forwarded-User": "ann"}, 200),
        (None, {"X-Forwarded-User": "ann"}, 401),
        (("11.1.2.3", 1), {"X-Forwarded-User": "ann", "X-Forwarded-For": "10.1.2.3"}, 401),
        (("10.1.2.3", 1), [("X-Forwarded-User", "ann"), ("x-forwarded-user", "bob")], 401),
    ],
)
def test_the_header_is_believed_from_the_proxy_alone(store: Path, peer: Any, headers: Any, status: int) -> None:
    from starlette.testclient import TestClient

    networks = ["10.0.0.0/8", "fd00::/8", "192.168.1.9"]
    application = _app.make([store], None, proxies=Proxies("X-Forwarded-User", networks))
    with TestClient(application, base_url=BASE, client=peer) as client:
        answer = client.get("/s/h/runs", headers=headers)
        assert answer.status_code == status
        if status == 401:
            assert "nobody is signed in" in answer.text
            for path in ("/", "/s/h/live", "/static/page.js", "/@x/", "/?token=x"):
                assert client.get(path, headers=headers).status_code == 401
        assert client.get("/healthz").status_code == 200


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (b"J\xc3\xb6rg", "Jörg"),
        (b"\xff\xfe", ""),
        (b"a\x00b", ""),
        (b"a" * 300, ""),
        (b" ann ", "ann"),
    ],
)
def test_a_name_is_text(value: bytes, name: str) -> None:
    scope = {"headers": [(b"x-forwarded-user", value)], "client": ("10.1.2.3", 1)}
    assert Proxies("X-Forwarded-User", ["10.0.0.0/8"]).identity_of(scope) == name


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("alike") / "h.db")


def test_what_a_visitor_writes_is_in_the_visitors_name(store: Path, tmp_path: Path) -> None:
    from starlette.testclient import TestClient

    copy = tmp_path / "h.db"
    copy.write_bytes(store.read_bytes())
    application = _app.make([copy], None, write=True, proxies=Proxies("X-Forwarded-User", ["10.0.0.0/8"]))
    with TestClient(application, base_url=BASE, follow_redirects=False, client=("10.1.2.3", 1)) as client:
        forms = {}
        for who in ("ann@example.com", "bob"):
            text = client.get("/s/h/runs/last", headers={"X-Forwarded-User": who}).text
            forms[who] = text.partition('name="form" value="')[2].partition('"')[0]
        assert len(set(forms.values())) == 2
        run = json.loads(client.get("/s/h/runs.json", headers={"X-Forwarded-User": "bob"}).text)[0]["id"]
        sent = {"X-Forwarded-User": "ann@example.com", "origin": BASE}
        for who, status in (("bob", 403), ("ann@example.com", 303)):
            form = {"form": forms[who], "text": "seen"}
            assert client.post(f"/s/h/runs/{run}/note", data=form, headers=sent).status_code == status
    with History(copy) as history:
        (session,) = history.sql("SELECT * FROM sessions WHERE kind = 'command'")
        assert (session["actor"], session["actor_source"]) == ("ann@example.com", "proxy")
        assert history.sql("SELECT author FROM notes WHERE body = 'seen'") == [{"author": "ann@example.com"}]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--trust-header X-Forwarded-User", "--trusted-proxy"),
        ("--trusted-proxy 10.0.0.0/8", "--trust-header"),
        ("--trust-header X-Forwarded-User --trusted-proxy 0.0.0.0/0", "trusts everybody"),
        ("--trust-header X-Forwarded-User --trusted-proxy ::/0", "trusts everybody"),
        ("--trust-header X-Forwarded-User --trusted-proxy 10.0.0.1/8", "host bits"),
        ("--trust-header Cookie --trusted-proxy 10.0.0.0/8", "cannot say who asks"),
        ("--trust-header X-Forwarded-User --trusted-proxy 10.0.0.0/8 --uds s", "unix"),
        ("--trust-header X-Forwarded-User --trusted-proxy unix", "--uds"),
        ("--trust-header X-Forwarded-User --trusted-proxy 10.0.0.0/8 --token-file t", "--token-file"),
        ("--trust-header X-Forwarded-User --trusted-proxy 10.0.0.0/8 --embed *", "--embed"),
    ],
)
def test_options_that_do_not_fit_are_refused(store: Path, words: str, said: str) -> None:
    from helpers.verbs import ask

    code, _, errors = ask("ui", str(store), "--no-open", *words.split())
    assert code == 2
    assert said in errors


def test_a_target_is_not_annotated_from_its_pages(readers: Readers) -> None:
    from helpers.verbs import ask

    code, _, errors = ask("ui", readers.owner, "--write", "--no-open")
    assert code == 2
    assert "leave out --write" in errors


def test_the_verb_asks_the_database_in_the_name_of_each_visitor(readers: Readers) -> None:
    words = (
        "--host",
        "0.0.0.0",
        "--behind-proxy",
        "--trust-header",
        "X-Forwarded-User",
        "--trusted-proxy",
        "127.0.0.1",
    )
    with served(readers.address, *words, "--port", "0") as server:
        assert server.told["url"].endswith(f":{server.told['port']}/")
        assert server.told["stores"] == [readers.address.replace("s3cret", "***")]
        told = {
            who: json.loads(server.ask(f"{root_of(readers)}/runs.json", X_Forwarded_User=who).text)[0]["name"]
            for who in (readers.ann, readers.bob)
        }
        assert told == {readers.ann: "run_of_ann", readers.bob: "run_of_bob"}
        assert server.ask("/").status == 401


def test_a_socket_of_the_file_system_is_a_proxy_if_that_is_said(store: Path, short: Path) -> None:
    words = ("--trust-header", "X-Forwarded-User", "--trusted-proxy", "unix", "--uds", short / "s")
    with served(store, *words) as server:
        assert server.ask("/s/h/runs").status == 401
        assert server.ask("/s/h/runs", X_Forwarded_User="ann").status == 200


def test_python_asks_in_the_name_of_each_visitor_too(readers: Readers) -> None:
    names = {"trust_header": "X-Forwarded-User", "trusted_proxies": ["127.0.0.1"]}
    with closing(serve([readers.address], **names)) as server:  # type: ignore[arg-type]
        assert server.token is None
        for who, name in ((readers.ann, "run_of_ann"), (readers.bob, "run_of_bob"), ("", "")):
            asking = http.client.HTTPConnection("127.0.0.1", server.port)
            asking.request("GET", f"{root_of(readers)}/runs.json", headers={"X-Forwarded-User": who} if who else {})
            answer = asking.getresponse()
            found = json.loads(answer.read()) if answer.status == 200 else [{"name": ""}]
            assert (answer.status, found[0]["name"]) == (200 if who else 401, name)
            asking.close()
    assert callable(app([readers.address], **names))  # type: ignore[arg-type]
    with pytest.warns(UserWarning, match="may do anything in"):
        app([readers.owner], **names)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "nothing says who may look"),
        (
            {"trust_header": "X-User", "trusted_proxies": ["10.0.0.5"], "token": "x" * 20},
            "leave out the token",
        ),
        ({"trust_header": "X-Who"}, "with trusted_proxies="),
        ({"trusted_proxies": ["10.0.0.5"]}, "name it as trust_header"),
        ({"trust_header": "X-Who", "trusted_proxies": ["0.0.0.0/0"]}, "trusts everybody"),
    ],
)
def test_options_of_python_that_do_not_fit_are_refused(store: Path, options: dict[str, Any], said: str) -> None:
    with pytest.raises(HisthooksError, match=said):
        app([store], **options)
    for more, what in (({"token": "x" * 20}, "leave out the token"), ({"uds": "s"}, "as unix, together with uds")):
        with pytest.raises(HisthooksError, match=what):
            serve([store], trust_header="X-Who", trusted_proxies=["10.0.0.5"], **more)  # type: ignore[arg-type]
