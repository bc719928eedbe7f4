"""The graph of a lineage: where everything is placed, where it leads, and its twin, the answer of the command line."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.lineages import make, make_wide
from helpers.pages import HOSTILE, client
from histhooks import History
from histhooks.testing import run_program

pytest.importorskip("starlette")

from histhooks.ui._layers import HEIGHT, WIDTH, placed

NAMES = st.integers(0, 11).map("n{}".format)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("lineage") / "h.db")


@pytest.fixture(scope="module")
def visitor(store: Path) -> Iterator[Any]:
    with client(store) as made:
        yield made


def said(store: Path, *words: str) -> Any:
    command = [sys.executable, "-m", "histhooks", "lineage", "--store", str(store), *words, "--json"]
    return json.loads(subprocess.run(command, capture_output=True, check=True, timeout=120, cwd=store.parent).stdout)


def nodes_in(text: str) -> list[str]:
    return re.findall(r'data-node="([^"]+)"', text)


@given(st.lists(st.tuples(NAMES, NAMES), max_size=40))
def test_nodes_do_not_overlap_and_links_lead_to_the_right(links: list[tuple[str, str]]) -> None:
    nodes = list(dict.fromkeys(["n0", *(name for pair in links for name in pair)]))
    found = placed("n0", nodes, links)
    assert found.places.keys() == {*nodes}
    boxes = list(found.places.values())
    for number, (x, y) in enumerate(boxes):
        assert 0 <= x <= found.width - WIDTH
        assert 0 <= y <= found.height - HEIGHT
        assert not any(x == other and abs(y - top) < HEIGHT for other, top in boxes[:number])
    assert found.paths.keys() == {(a, b) for a, b in links if a != b}
    column = found.columns
    turned = [pair for pair in found.paths if column[pair[0]] >= column[pair[1]]]
    if not turned:
        return
    # Only where links close a circle does one lead back.
    for a, b in turned:
        reached, waiting = {b}, [b]
        while waiting:
            here = waiting.pop()
            new = {end for start, end in links if start == here} - reached
            reached |= new
            waiting += new
        assert a in reached


def test_a_chain_is_a_row_from_earlier_to_later() -> None:
    names = [f"n{number}" for number in range(2000)]
    found = placed("n1000", names, list(pairwise(names)))
    assert [found.columns[name] for name in names] == list(range(2000))
    assert len({y for _, y in found.places.values()}) == 1


def test_the_twin_is_what_the_command_line_prints(visitor: Any, store: Path) -> None:
    with History(store) as history:
        run = history.run("fine-tune")
        sha256, data = run.artifacts[0]["sha256"], run.datasets[0]["id"]
    assert visitor.get(f"/s/h/runs/{run.id}/lineage.json").json() == said(store, run.id)
    assert visitor.get(f"/s/h/lineage.json?run={run.id[-8:]}&depth=2").json() == said(store, run.id, "--depth", "2")
    assert visitor.get(f"/s/h/lineage.json?file={sha256}").json() == said(store, sha256)
    assert visitor.get(f"/s/h/lineage.json?data={data[:10]}").json() == said(store, data)
    assert visitor.get("/s/h/lineage.json?version=churn@1").json() == said(store, "churn@1")
    assert visitor.get("/s/h/lineage.json?of=churn@production").json() == said(store, "churn@1")


def test_the_page_has_each_node_once_and_each_leads_somewhere(visitor: Any, store: Path) -> None:
    with History(store) as history:
        found = history.lineage("fine-tune")
    page = visitor.get(f"/s/h/runs/{found.root.id}/lineage")
    assert page.status_code == 200
    assert sorted(nodes_in(page.text)) == sorted(node.id for node in found.nodes)
    assert page.text.count('class="edge ') == len({(link.source, link.target) for link in found.links})
    assert "fine-tunes" in page.text
    assert visitor.get("/s/h/runs/fine-tune/lineage").headers["location"].endswith(f"/runs/{found.root.id}/lineage")


def test_what_is_left_out_is_a_node_with_its_count(tmp_path: Path) -> None:
    with client(make_wide(tmp_path / "wide.db", 300)) as visitor:
        page = visitor.get("/s/wide/lineage?run=base")
        assert len([key for key in nodes_in(page.text) if not key.startswith("fold ")]) <= 200
        assert re.search(r">27\d more runs<", page.text)


@pytest.mark.parametrize(
    ("query", "status", "why"),
    [
        ("run=nobody", 404, "no run"), ("file=abcdef", 404, "no file"), ("data=123", 404, "no data"),
        ("depth=1.5", 400, "depth"),
        ("depth=-1", 400, "depth"), ("version=churn@9", 400, "no version"), ("of=/etc/passwd", 400, "no hash"),
        ("depth=x", 400, "number"),
    ],
)  # fmt: skip
def test_what_is_not_there_is_one_sentence(visitor: Any, query: str, status: int, why: str) -> None:
    for path in ("lineage", "lineage.json"):
        answer = visitor.get(f"/s/h/{path}?{query}")
        assert (answer.status_code, why in answer.text) == (status, True), answer.text


def test_a_file_of_the_server_is_never_opened(visitor: Any, store: Path) -> None:
    assert visitor.get(f"/s/h/lineage?of={store.parent / 'model.pt'}").status_code == 400


def test_hostile_names_stay_in_their_boxes(tmp_path: Path) -> None:
    program = f"""
    import histhooks
    from pathlib import Path
    for number, text in enumerate({HOSTILE!r}):
        path = Path(f"f{{number}}")
        path.write_text(text)
        with histhooks.start_run(text) as run:
            run.log_artifact(path, role=text); run.log_dataset("train", [[number]])
            if number:
                run.log_artifact(Path(f"f{{number - 1}}"), direction="in"); run.link("continues", before)
        before = run.id
    """
    store = tmp_path / "bad.db"
    assert run_program(program, store, HISTHOOKS_STRICT="0")[0] == 0
    with client(store) as visitor:
        page = visitor.get(f"/s/bad/lineage?depth=40&run={visitor.get('/s/bad/runs.json').json()[0]['id']}")
        assert page.status_code == 200
        assert len(nodes_in(page.text)) > 20
        for danger in ("<img src=x", "<script>document", "\u202e", "\x00", ">49<", "x" * 400):
            assert danger not in page.text, danger


def test_without_runs_and_without_links_it_says_so(visitor: Any, tmp_path: Path) -> None:
    store = tmp_path / "empty.db"
    assert run_program("import histhooks\nwith histhooks.start_run('x'): pass", store)[0] == 0
    with client(store) as other:
        page = other.get("/s/empty/lineage")
        assert page.text.count("Nothing is known.") == 2
        assert 'class="graph"' not in page.text
    command = [sys.executable, "-m", "histhooks", "delete", str(store), "x", "--reason", "a test", "--yes"]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    with client(store) as other:
        assert "histhooks run train.py" in other.get("/s/empty/lineage").text
        assert other.get("/s/empty/lineage.json").status_code == 404
