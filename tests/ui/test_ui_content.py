"""The pages of one content: data, code, a file, a session, and the runs that touched it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import pytest

from helpers.lineages import make, make_wide
from helpers.pages import BASE, HOSTILE, client
from histhooks import History
from histhooks.testing import run_program

pytest.importorskip("starlette")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("content") / "h.db")


@pytest.fixture(scope="module")
def visitor(store: Path) -> Iterator[Any]:
    with client(store) as made:
        yield made


@pytest.fixture(scope="module")
def ids(store: Path) -> dict[str, str]:
    """An id of each kind, by the folder of its pages."""
    with History(store) as history:
        run = history.run("fine-tune")
        return {
            "data": run.datasets[0]["id"], "files": run.artifacts["model.pt"]["sha256"],
            "code": run.code["id"], "sessions": run.row["session_id"], "run": run.id,
        }  # fmt: skip


@pytest.mark.parametrize(
    ("folder", "said"),
    [
        ("data", ["pretrain", "2"]),
        ("files", ["judge", "churn@1"]),
        ("code", ["prepare", "alone"]),
        ("sessions", ["search"]),
    ],
)
def test_a_content_has_a_page_with_its_runs(
    visitor: Any, store: Path, ids: dict[str, str], folder: str, said: list[str]
) -> None:
    page = visitor.get(f"/s/h/{folder}/{ids[folder]}")
    assert page.status_code == 200
    assert all(word in page.text for word in said)
    assert ids["run"] in page.text
    kind = {"files": "file", "sessions": "session"}.get(folder, folder)
    with History(store) as history:
        found = history.content(ids[folder], kind=kind).as_json()
    assert visitor.get(f"/s/h/{folder}/{ids[folder]}.json").json() == found


def test_the_beginning_of_an_id_leads_to_the_whole(visitor: Any, ids: dict[str, str]) -> None:
    for folder in ("data", "files", "code"):
        answer = visitor.get(f"/s/h/{folder}/{ids[folder][:9]}?theme=dark")
        assert answer.status_code == 302
        whole = f"{BASE}/s/h/{folder}/{ids[folder]}?theme=dark"
        assert urljoin(f"{BASE}/s/h/{folder}/x", answer.headers["location"]) == whole


@pytest.mark.parametrize(
    "path", ["data/ffffffff", "files/..%2f..%2fetc", "code/x", "sessions/'--", "files/%00", "data/a.json"]
)
def test_what_is_not_there_is_not_found(visitor: Any, path: str) -> None:
    answer = visitor.get(f"/s/h/{path}")
    assert answer.status_code == 404
    assert "Traceback" not in answer.text


def test_pages_of_a_run_lead_to_what_it_is_made_of(visitor: Any, ids: dict[str, str]) -> None:
    overview = visitor.get(f"/s/h/runs/{ids['run']}").text
    for folder in ("data", "files", "code", "sessions"):
        assert f"s/h/{folder}/{ids[folder]}" in overview, folder
    assert f'href="../../../../s/h/files/{ids["files"]}"' in visitor.get(f"/s/h/runs/{ids['run']}/files").text
    assert f"s/h/data/{ids['data']}" in visitor.get(f"/s/h/runs/{ids['run']}/data").text
    assert f"s/h/sessions/{ids['sessions']}" in visitor.get(f"/s/h/runs/{ids['run']}/environment").text
    lineage = visitor.get(f"/s/h/runs/{ids['run']}/lineage").text
    assert f"s/h/files/{ids['files']}" in lineage
    page = visitor.get(f"/s/h/files/{ids['files']}").text
    assert f"s/h/lineage?file={ids['files']}" in page
    assert "download" not in page  # without --files


def test_of_very_many_runs_the_latest_are_listed_and_the_others_counted(tmp_path: Path) -> None:
    with client(make_wide(tmp_path / "wide.db", 150)) as visitor:
        with History(tmp_path / "wide.db") as history:
            data = history.run("run 0").datasets[0]["id"]
        page = visitor.get(f"/s/wide/data/{data}").text
        assert page.count('<th scope="row">') == 100
        assert "All 150 in the table of runs" in page
        where = visitor.get("/s/wide/runs", params={"where": f"data = '{data}'"})
        assert 'data-total="150"' in where.text


def test_hostile_texts_are_texts(tmp_path: Path) -> None:
    program = f"""
    import histhooks
    from pathlib import Path
    for number, text in enumerate({HOSTILE!r}):
        path = Path(f"f{{number}}"); path.write_text(text)
        with histhooks.start_run(text) as run:
            run.log_artifact(path, role=text); run.log_dataset(text, [[number]])
    """
    store = tmp_path / "bad.db"
    assert run_program(program, store, HISTHOOKS_STRICT="0")[0] == 0
    with History(store) as history:
        paths = [f"files/{file['sha256']}" for run in history.runs() for file in run.artifacts]
        paths += [f"data/{data['id']}" for run in history.runs() for data in run.datasets]
        paths += [f"sessions/{history.run('last').row['session_id']}"]
    assert len(paths) > 15
    with client(store) as visitor:
        for path in paths:
            answer = visitor.get(f"/s/bad/{path}")
            assert answer.status_code == 200, path
            for danger in ("<img src=x", "<script>document", "\u202e", "\x00", ">49<", "x" * 600):
                assert danger not in answer.text, (path, danger)
