"""The pages: what they say is what the command line says, with and without JavaScript."""

from __future__ import annotations

import csv
import gzip
import hashlib
import html
import io
import json
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

import pytest

from helpers.pages import BASE, HOSTILE, client, make, make_hostile
from helpers.programs import wait_for
from histhooks import History

pytest.importorskip("starlette")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("pages") / "h.db")


@pytest.fixture(scope="module")
def visitor(store: Path) -> Iterator[Any]:
    with client(store) as made:
        yield made


def said(store: Path, *arguments: str) -> str:
    """What the command line prints."""
    command = [sys.executable, "-m", "histhooks", arguments[0], str(store), *arguments[1:]]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode in (0, 1), done.stderr
    return done.stdout


def rows_of(text: str) -> list[str]:
    return re.findall(r'<tr data-run="([^"]+)"', text)


FILTERS = [
    {}, {"where": "val_loss < 0.3"}, {"where": "params.lr > 0.001 and tags.team = red"}, {"sort": "val_loss"},
    {"sort": "-val_loss"}, {"sort": "params.lr", "reverse": "1"}, {"status": "failed"}, {"sort": "name asc"},
    {"where": "has tags.team", "sort": "val_acc"}, {"tag": "team=blue"}, {"since": "1d"}, {"kind": "block"},
    {"where": "not has val_loss"}, {"sort": "started_at", "reverse": "1"}, {"where": "name ~ Net1"},
]  # fmt: skip


@pytest.mark.parametrize("asked", FILTERS, ids=str)
def test_rows_and_their_order_are_those_of_the_command_line(visitor: Any, store: Path, asked: dict[str, str]) -> None:
    options = [f"--{name}={value}" for name, value in asked.items() if name != "reverse"]
    options += ["--reverse"] if "reverse" in asked else []
    expected = json.loads(said(store, "runs", "-A", "--json", "-n", "100", *options))
    assert visitor.get("/s/h/runs.json", params=asked).json() == expected
    page = visitor.get("/s/h/runs", params=asked)
    assert rows_of(page.text) == [row["id"] for row in expected]
    assert visitor.get("/s/h/runs.csv", params=asked).text == said(store, "runs", "-A", "--csv", "-n", "100", *options)


def test_what_is_wrong_in_a_filter_is_said_with_its_caret(visitor: Any, store: Path) -> None:
    page = visitor.get("/s/h/runs", params={"where": "val_loss <"})
    assert page.status_code == 400
    message = html.unescape(re.search(r'<pre class="error"[^>]*>(.*?)</pre>', page.text, re.DOTALL)[1])  # type: ignore[index]
    command = [sys.executable, "-m", "histhooks", "runs", str(store), "-A", "--where", "val_loss <"]
    error = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60).stderr
    assert message.strip() in error
    assert "^" in message
    assert visitor.get("/s/h/runs.json", params={"where": "val_loss <"}).json() == {"error": message}


def test_pages_of_a_long_table_follow_each_other(tmp_path: Path) -> None:
    from histhooks.testing import run_program

    program = (
        "import histhooks\nfor n in range(230):\n    with histhooks.start_run(f'run {n % 7}', params={'n': n}): pass"
    )
    assert run_program(program, tmp_path / "many.db")[0] == 0
    with client(tmp_path / "many.db") as visitor:
        for asked in ("", "?sort=params.n", "?sort=name"):
            seen: list[str] = []
            url = f"/s/many/runs{asked}"
            for _ in range(3):
                page = visitor.get(url)
                seen += rows_of(page.text)
                found = re.search(r'href="([^"]*)">Next ', page.text)
                if found:
                    url = "/s/many/runs" + html.unescape(found[1])
            assert len(seen) == len(set(seen)) == 230
            assert found is None


def test_data_of_runs_is_that_of_the_command_line(visitor: Any, store: Path) -> None:
    run = rows_of(visitor.get("/s/h/runs").text)[0]
    assert visitor.get(f"/s/h/runs/{run}.json").json() == json.loads(said(store, "show", run, "--json"))
    a, b = [row["id"] for row in visitor.get("/s/h/runs.json?kind=block&where=has+val_loss").json()[:2]]
    assert visitor.get(f"/s/h/diff/{a}/{b}.json").json() == json.loads(said(store, "diff", a, b, "--json"))
    compared = json.loads(said(store, "compare", a, b, "--json"))
    assert visitor.get(f"/s/h/compare.json?runs={a},{b}").json() == compared


def test_the_ledger_of_a_run_has_each_entry_that_covers_its_rows(visitor: Any, store: Path) -> None:
    run = rows_of(visitor.get("/s/h/runs").text)[0]
    page = visitor.get(f"/s/h/runs/{run}/ledger").text
    sql = "SELECT DISTINCT l.digest FROM ledger AS l JOIN ledger_parts AS p USING (session_id, seq) WHERE p.scope = ?"
    with closing(sqlite3.connect(store)) as connection:
        digests = [digest for (digest,) in connection.execute(sql, (run,))]
        (rows,) = connection.execute("SELECT sum(n_rows) FROM ledger_parts WHERE scope = ?", (run,)).fetchone()
    assert digests
    assert page.count("<tr") == len(digests) + 1
    assert not [digest for digest in digests if digest[:16] not in page]
    shown = re.findall(r"(?:>| · )[a-z_]+ (\d[\d,]*)(?= · |<)", page[page.index("<tbody") :])
    assert sum(int(count.replace(",", "")) for count in shown) == rows


def test_a_run_is_found_by_any_of_its_names(visitor: Any) -> None:
    run = visitor.get("/s/h/runs.json").json()[0]["id"]
    for word in (run[-8:], "last~0"):
        answer = visitor.get(f"/s/h/runs/{word}/params?theme=dark")
        assert answer.status_code == 302
        assert urljoin(f"{BASE}/s/h/runs/{word}/params", answer.headers["location"]) == (
            f"{BASE}/s/h/runs/{run}/params?theme=dark"
        )
    assert visitor.get("/s/h/runs/last").status_code == 200
    assert visitor.get("/s/h/runs/nobody").status_code == 404
    assert visitor.get("/s/other/runs").status_code == 404


def test_a_series_is_the_window_that_was_asked_for(visitor: Any) -> None:
    run = visitor.get("/s/h/runs.json?where=has+val_loss").json()[0]["id"]
    found = visitor.get(f"/s/h/runs/{run}/series.json?m=loss,odd&from=0&to=9").json()
    assert [curve["name"] for curve in found["curves"]] == ["loss", "odd"]
    assert found["curves"][0]["x"] == list(range(10))
    assert found["curves"][1]["value"] == ["nan", "inf", 2.0]
    for query, why in (
        ("n=1", "from 2"),
        ("x=day", "one of"),
        ("smooth=1", "smoothing is|smooth is"),
        ("m=los", "los"),
    ):
        answer = visitor.get(f"/s/h/runs/{run}/series.json?{query}")
        assert answer.status_code == 400
        assert re.search(why, answer.json()["error"])


def test_all_points_are_in_the_csv(visitor: Any) -> None:
    run = visitor.get("/s/h/runs.json?where=has+val_loss").json()[0]["id"]
    rows = list(csv.reader(io.StringIO(visitor.get(f"/s/h/runs/{run}/points.csv?m=loss,odd").text)))
    assert rows[0] == ["name", "n", "step", "epoch", "time", "value"]
    assert len(rows) == 1 + 300 + 3
    assert [row[5] for row in rows[-3:]] == ["nan", "inf", "2.0"]


def test_columns_are_chosen_by_name(visitor: Any) -> None:
    page = visitor.get("/s/h/runs?cols=params.lr,val_loss.last,tags.team,epochs_done&where=has+val_loss")
    assert page.status_code == 200
    assert page.text.count('data-label="params.lr"') == 6
    assert ">red<" in page.text
    assert visitor.get("/s/h/runs?cols=nothing").status_code == 400
    assert 'value="params.lr"' in visitor.get("/s/h/columns").text


class Links(HTMLParser):
    """Where a page leads."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in ("href", "src") and value is not None:
                self.found.add(value)


@pytest.mark.parametrize("prefix", ["", "/a/b"])
def test_every_link_leads_somewhere_and_none_leaves_the_prefix(store: Path, tmp_path: Path, prefix: str) -> None:
    other = tmp_path / "other.db"
    other.write_bytes(store.read_bytes())
    with client(store, other) as visitor:
        waiting, seen = [f"{BASE}{prefix}/"], set()
        while waiting and len(seen) < 320:
            url = waiting.pop()
            if url in seen:
                continue
            seen.add(url)
            parts = urlsplit(url)
            assert parts.path.startswith(f"{prefix}/"), url
            target = parts.path.removeprefix(prefix) + (f"?{parts.query}" if parts.query else "")
            answer = visitor.get(target)
            assert answer.status_code in (200, 302), url
            if answer.status_code == 302:
                waiting.append(urljoin(url, answer.headers["location"]))
            elif answer.headers["content-type"].startswith("text/html"):
                links = Links()
                links.feed(answer.text)
                waiting += sorted(
                    urljoin(url, link).partition("#")[0] for link in links.found if not link.startswith("data:")
                )
        assert len(seen) > 100


def test_the_list_of_stores_counts_runs_as_their_table_does(store: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.db"
    other.write_bytes(store.read_bytes())
    with client(store, other) as visitor, History(store) as history:
        counted = re.findall(r'data-label="Runs">([0-9,]+)<', visitor.get("/").text)
        assert counted == [f"{history.count():,}"] * 2
        assert history.count() < len(history.sql("SELECT id FROM runs"))  # candidates and parts are beside


def test_the_scripts_of_a_visit_stay_small(visitor: Any) -> None:
    """The table and the charts in one visit, and each other page: 110 KiB of script, 42 KiB compressed."""
    for visit in (("runs", "runs/last", "runs/last/charts"), ("runs", "explore"), ("runs/last/lineage",), ("compare",)):
        found: dict[str, bytes] = {}
        for path in visit:
            page = f"/s/h/{path}"
            for source in re.findall(r'<script [^>]*src="([^"]+)"', visitor.get(page).text):
                found[source.rpartition("/")[2]] = visitor.get(urljoin(page, source)).content
        assert "page.js" in " ".join(found)
        assert sum(map(len, found.values())) <= 110 * 1024, visit
        assert sum(len(gzip.compress(each)) for each in found.values()) <= 42 * 1024, visit


def test_hostile_texts_are_shown_as_texts(tmp_path: Path) -> None:
    store = make_hostile(tmp_path / "bad.db")
    with client(store) as visitor:
        runs = visitor.get("/s/bad/runs.json").json()
        assert len(runs) == len(HOSTILE)
        ids = [row["id"] for row in runs]
        pages = ["runs", "runs?view=folded", "columns", "search?q=1", "audit", f"compare?runs={','.join(ids)}"]
        pages += [f"charts?runs={ids[0]},{ids[1]}", f"diff/{ids[0]}/{ids[1]}"]
        pages += [f"runs/{i}{part}" for i in ids for part in ("", "/charts", "/params", "/events", "/checks", "/code")]
        pages += ["runs?where=" + quote(text) for text in HOSTILE if "\x00" not in text]
        for path in pages:
            answer = visitor.get(f"/s/bad/{path}")
            assert answer.status_code in (200, 400), path
            for danger in ("<img src=x", "<script>document", "\u202e", "\x00", ">49<"):
                assert danger not in answer.text, (path, danger)
        for line in csv.reader(io.StringIO(visitor.get("/s/bad/runs.csv").text)):
            assert not any(cell.startswith(("=", "+", "@")) for cell in line)


def test_a_store_is_not_changed_by_being_shown(tmp_path: Path, store: Path) -> None:
    copy = tmp_path / "copy.db"
    copy.write_bytes(store.read_bytes())
    before = hashlib.sha256(copy.read_bytes()).hexdigest()
    with client(copy) as visitor:
        for path in ("runs", "runs/last", "runs/last/charts", "audit?verify=1", "search?q=note"):
            assert visitor.get(f"/s/copy/{path}").status_code == 200
    assert hashlib.sha256(copy.read_bytes()).hexdigest() == before
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("copy")] == ["copy.db"]


def test_an_empty_store_says_how_to_begin(tmp_path: Path) -> None:
    from histhooks.testing import run_program

    program = "import histhooks\nfrom histhooks.curate import delete\nwith histhooks.start_run('x'): pass"
    store = tmp_path / "empty.db"
    assert run_program(program, store)[0] == 0
    said(store, "delete", "x", "--reason", "a test", "--yes")
    with client(store) as visitor:
        assert "histhooks run train.py" in visitor.get("/s/empty/runs").text


def test_several_stores_have_names_of_their_own(store: Path, tmp_path: Path) -> None:
    twin = tmp_path / "h.db"
    twin.write_bytes(store.read_bytes())
    with client(store, twin) as visitor:
        page = visitor.get("/")
        assert page.status_code == 200
        assert 's/h/runs"' in page.text
        assert 's/h-2/runs"' in page.text
    with client(store) as visitor:
        assert visitor.get("/").headers["location"] == "s/h/runs"


def test_a_store_that_is_deleted_meanwhile_is_one_sentence(tmp_path: Path, store: Path) -> None:
    copy = tmp_path / "gone.db"
    copy.write_bytes(store.read_bytes())
    with client(copy) as visitor:
        assert visitor.get("/s/gone/runs").status_code == 200
        for path in tmp_path.glob("gone.db*"):
            path.unlink()
        answer = visitor.get("/s/gone/runs/last")
        assert answer.status_code in (200, 404, 503)
        assert "Traceback" not in answer.text


PROGRAM = """
import sys
from starlette.testclient import TestClient
from histhooks.ui import app
with TestClient(app(["{store}"], "t" * 20), base_url="http://127.0.0.1") as visitor:
    visitor.get("/?token=" + "t" * 20)
    for path in ("runs", "runs/last", "runs/last/charts", "runs/last/data", "audit?verify=1", "charts?runs=last,last~1",
                 "compare?runs=last,last~1", "diff/last/last~1", "search?q=note",
                 "runs/train·Net1/series.json?m=*loss"):
        assert visitor.get("/s/h/" + path).status_code == 200, path
print([name for name in ("numpy", "pandas", "torch", "sklearn", "keras", "xgboost", "matplotlib", "histhooks._record")
       if name in sys.modules])
"""


def test_pages_load_no_framework(store: Path) -> None:
    program = PROGRAM.replace("{store}", str(store))
    done = subprocess.run(
        [sys.executable, "-X", "utf8", "-c", program], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    loaded = json.loads(done.stdout.replace("'", '"'))
    assert [name for name in loaded if name != "histhooks._record"] == []


def test_a_model_has_its_versions_and_what_was_done(tmp_path: Path) -> None:
    from histhooks.testing import run_program

    program = """
    import histhooks
    for n in (1, 2):
        with histhooks.start_run("train") as run:
            open(f"m{n}.pkl", "w").write(str(n)); run.log_artifact(f"m{n}.pkl", role="model")
    """
    store = tmp_path / "prod.db"
    assert run_program(program, store)[0] == 0
    with client(store) as visitor:
        assert "No model yet" in visitor.get("/s/prod/models").text
        for n in (1, 2):
            command = [
                sys.executable,
                "-m",
                "histhooks",
                "promote",
                f"m{n}.pkl",
                "--store",
                str(store),
                "--model",
                "a<b",
            ]
            command += ["--reason", f"reason {n}", "--no-check"]
            subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, timeout=60)
        # An answer about a database holds for a second.
        wait_for(lambda: 'href="../../s/prod/models?name=a%3Cb"' in visitor.get("/s/prod/models").text)
        page = visitor.get("/s/prod/models?name=a<b").text
        assert "2 versions" in page
        assert page.index("reason 2") < page.index("reason 1")
        assert visitor.get("/s/prod/models?name=nobody").status_code in (400, 404)


def test_of_a_damaged_store_a_page_says_so(tmp_path: Path) -> None:
    path = make(tmp_path / "h.db")
    content = bytearray(path.read_bytes())
    with client(path) as visitor:
        assert visitor.get("/s/h/runs").status_code == 200
        for place in range(4096, len(content), 64):
            content[place] ^= 0xFF
        path.with_name("damaged").write_bytes(content)
        path.with_name("damaged").replace(path)
        answer = visitor.get("/s/h/runs.json")
    assert answer.status_code == 503
    assert "h.db cannot be read" in answer.json()["error"]
    assert "internal error" not in answer.text
