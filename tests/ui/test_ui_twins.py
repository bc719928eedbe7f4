"""What pages are for programs: each ending gives what the command line prints."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from helpers.pages import client, make, make_hostile
from histhooks.testing import run_program

pytest.importorskip("starlette")

_MODELS = """
import histhooks
for n in (1, 2):
    with histhooks.start_run("train") as run:
        open(f"m{n}.pkl", "w").write(str(n)); run.log_artifact(f"m{n}.pkl", role="model")
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("twins") / "h.db")


@pytest.fixture(scope="module")
def visitor(store: Path) -> Iterator[Any]:
    with client(store) as made:
        yield made


def said(store: Path, verb: str, *arguments: str) -> str:
    """What the command line prints."""
    command = [sys.executable, "-m", "histhooks", verb, *arguments, "--store", str(store)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode in (0, 1, 2), done.stderr
    return done.stdout


def test_a_comparison_is_that_of_the_command_line(visitor: Any, store: Path) -> None:
    ids = [row["id"] for row in visitor.get("/s/h/runs.json?where=has+val_loss").json()[:3]]
    words = ",".join(ids)
    assert visitor.get(f"/s/h/compare.csv?runs={words}").text == said(store, "compare", *ids, "--csv")
    assert visitor.get(f"/s/h/compare.json?runs={words}").json() == json.loads(said(store, "compare", *ids, "--json"))
    page = visitor.get(f"/s/h/compare?runs={words}").text
    assert f'href="../../s/h/compare.csv?runs={words}"' in page
    assert visitor.get("/s/h/compare.csv?runs=last").status_code == 400


def test_names_that_are_left_out_are_left_out_of_each_form(visitor: Any, store: Path) -> None:
    a, b = [row["id"] for row in visitor.get("/s/h/runs.json?where=has+val_loss").json()[:2]]
    asked = ["--without", "metric", "--without", "params.*"]
    words = f"runs={a},{b}&not=metric,params.*"
    found = visitor.get(f"/s/h/compare.json?{words}").json()
    assert found == json.loads(said(store, "compare", a, b, "--json", *asked))
    assert not {column["kind"] for column in found["columns"]} & {"metric", "param"}
    assert visitor.get(f"/s/h/compare.csv?{words}").text == said(store, "compare", a, b, "--csv", *asked)
    page = visitor.get(f"/s/h/compare?{words}").text
    assert f'href="../../s/h/compare.json?{words.replace("&", "&amp;")}"' in page
    assert f'href="?runs={a},{b}&amp;not=params.*"' in page  # which takes one back
    found = visitor.get(f"/s/h/diff/{a}/{b}.json?not=metrics").json()
    told = json.loads(said(store, "diff", a, b, "--json", "--without", "metrics"))
    assert found == {key: told[key] for key in found}
    assert "metrics" not in found["same"]
    assert not found["parts"].get("metrics", {}).get("changes")
    page = visitor.get(f"/s/h/diff/{a}/{b}?not=metrics").text
    assert f'href="../../../../s/h/diff/{b}/{a}?not=metrics"' in page


def test_runs_that_go_on_are_aligned_as_plot_aligns_them(tmp_path: Path) -> None:
    program = """
import histhooks
before = None
for steps in (30, 20):
    with histhooks.start_run("net") as run:
        if before:
            run.link("resumes", before)
        for step in range(steps):
            run.log({"loss": 1.0 / (step + 1)}, step=step, epoch=step // 10)
    before = run.id
"""
    path = tmp_path / "resumed.db"
    assert run_program(program, path)[0] == 0
    with client(path) as visitor:
        for axis, first in (("step", 30.0), ("epoch", 3.0)):
            answer = visitor.get(f"/s/resumed/runs/last/series.json?m=loss&align=1&x={axis}").json()
            (curve,) = answer["curves"]
            told = json.loads(said(path, "plot", "last", "loss", "--align", "--no-attempts", "--x", axis, "--json"))
            assert curve["x"] == told["curves"][0]["pieces"][-1]["x"]
            assert (curve["x"][0], curve["shift"], curve["step"][0]) == (first, first, 0)  # what was recorded stays
        window = visitor.get("/s/resumed/runs/last/series.json?m=loss&align=1&from=35&to=39&band=1&clip=1").json()
        assert window["curves"][0]["x"] == [35.0, 36.0, 37.0, 38.0, 39.0]
        svg = visitor.get("/s/resumed/charts.svg?runs=last&m=loss&align=1").text
        assert "2 attempts, drawn as one curve" in svg


def test_a_comparison_of_hostile_texts_is_safe_in_a_table_program(tmp_path: Path) -> None:
    with client(make_hostile(tmp_path / "bad.db")) as visitor:
        ids = ",".join(row["id"] for row in visitor.get("/s/bad/runs.json").json())
        for line in csv.reader(io.StringIO(visitor.get(f"/s/bad/compare.csv?runs={ids}").text)):
            assert not any(cell.startswith(("=", "+", "@", "\t")) for cell in line)


def test_hits_and_findings_are_those_of_the_command_line(visitor: Any, store: Path) -> None:
    assert visitor.get("/s/h/search.json?q=note").json() == json.loads(said(store, "search", "note", "--json"))
    assert visitor.get("/s/h/search.json").json() == []
    found = json.loads(said(store, "check", "broken", "--json"))
    assert visitor.get("/s/h/runs/broken/checks.json").json() == found


def test_models_are_those_of_the_command_line(tmp_path: Path) -> None:
    store = tmp_path / "prod.db"
    assert run_program(_MODELS, store)[0] == 0
    for n in (1, 2):
        command = [sys.executable, "-m", "histhooks", "promote", f"m{n}.pkl", "--store", str(store), "--model", "a<b"]
        done = [*command, "--reason", f"reason {n}", "--no-check"]
        subprocess.run(done, cwd=tmp_path, check=True, capture_output=True, timeout=120)
    with client(store) as visitor:
        assert visitor.get("/s/prod/models.json").json() == json.loads(said(store, "models", "--json"))
        one = json.loads(said(store, "models", "a<b", "--json"))
        assert visitor.get("/s/prod/models.json?name=a<b").json() == one
        assert visitor.get("/s/prod/models.json?name=nobody").status_code == 404
        assert 'href="../../s/prod/models.json?name=a%3Cb"' in visitor.get("/s/prod/models?name=a<b").text


@pytest.mark.skipif(find_spec("matplotlib") is None, reason="matplotlib is not installed")
def test_a_chart_is_an_image_that_is_not_blank(visitor: Any) -> None:
    image = pytest.importorskip("matplotlib.image")
    run = visitor.get("/s/h/runs.json?where=has+val_loss").json()[0]["id"]
    answer = visitor.get(f"/s/h/charts.png?runs={run}&m=*loss&from=10&to=200&log=1")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "image/png"
    pixels = image.imread(io.BytesIO(answer.content))
    assert pixels.std() > 0.02
    assert visitor.get(f"/s/h/charts.png?runs={run}&m=none").status_code == 400
    assert visitor.get("/s/h/charts.png").status_code == 400


def test_a_page_with_a_fault_has_a_twin_that_names_it(visitor: Any) -> None:
    for path in ("compare.csv", "charts.png", "search.json?q=x&from=y", "runs/nobody/checks.json", "nothing.json"):
        answer = visitor.get(f"/s/h/{path}")
        assert answer.status_code in (200, 400, 404)
        assert answer.status_code == 200 or set(answer.json()) == {"error"}


def verified(visitor: Any, number: int, name: str = "h") -> dict[str, Any]:
    """The verification with a number, once it has ended."""
    until = time.monotonic() + 120
    while True:
        found: dict[str, Any] = visitor.get(f"/s/{name}/audit.json?verify={number}").json()["verified"]
        if found is not None and found["ended_at"]:
            return found
        assert time.monotonic() < until


def test_a_verification_is_asked_for_by_its_number_and_done_once(tmp_path: Path, store: Path) -> None:
    copy = tmp_path / "h.db"
    copy.write_bytes(store.read_bytes())
    with client(copy) as visitor:
        assert visitor.get("/s/h/audit.json").json()["verified"] is None
        first = verified(visitor, 1)
        assert first["report"] == json.loads(said(copy, "verify", "--json"))
        assert verified(visitor, 1) == first
        page = visitor.get("/s/h/audit?verify=1")
        assert "Unaltered" in page.text
        assert 'name="verify" value="2"' in page.text
        assert verified(visitor, 99)["began_at"] > first["began_at"]
        assert 'name="verify" value="3"' in visitor.get("/s/h/audit").text


@pytest.mark.one_engine("what it alters is the file")
def test_an_altered_store_and_a_damaged_one_are_named(tmp_path: Path, store: Path) -> None:
    import sqlite3

    copy = tmp_path / "h.db"
    copy.write_bytes(store.read_bytes())
    with client(copy) as visitor:
        connection = sqlite3.connect(copy)
        connection.execute("UPDATE params SET value = '0.123' WHERE key = 'lr'")
        connection.commit()
        connection.close()
        found = verified(visitor, 1)
        assert found["report"]["ok"] is False
        assert "Does not match its ledger" in visitor.get("/s/h/audit").text


@pytest.mark.one_engine("the list has the paths of files, and one of them goes")
def test_stores_are_listed_with_what_goes_on_in_them(tmp_path: Path, store: Path) -> None:
    live, gone = tmp_path / "live.db", tmp_path / "gone.db"
    gone.write_bytes(store.read_bytes())
    program = "import histhooks, sys\nrun = histhooks.start_run('going').__enter__()\nprint('on', flush=True)\ninput()"
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "HISTHOOKS_STORE": str(live), "HISTHOOKS_QUIET": "1"},
    )  # fmt: skip
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "on\n"
        until = time.monotonic() + 120
        while "going" not in said(live, "runs", "-A"):
            assert time.monotonic() < until
        with client(store, live, gone) as visitor:
            gone.unlink()
            page = visitor.get("/")
            assert page.status_code == 200
            assert "1 running" in page.text
            assert str(live) in page.text
            assert "moved or deleted" in page.text
            assert "Traceback" not in page.text
            assert visitor.get("/s/gone/runs").status_code == 503
    finally:
        process.communicate("\n")


def test_a_run_says_which_one_repeats_it_and_how_far_they_agree(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(
        "import histhooks\n"
        "with histhooks.start_run('loop') as run:\n"
        "    for step in range(9): run.log({'loss': 1 / (step + 1)}, step=step)\n"
    )
    store = tmp_path / "h.db"
    variables = {**os.environ, "HISTHOOKS_STORE": str(store), "HISTHOOKS_QUIET": "1"}
    verb = [sys.executable, "-m", "histhooks"]
    for words in (["run", "train.py"], ["reproduce", "last", "--exec", "--yes", "--in-place", "--store", str(store)]):
        done = subprocess.run([*verb, *words], cwd=tmp_path, env=variables, capture_output=True, text=True, timeout=240)
        assert done.returncode == 0, done.stderr
    with client(store) as visitor:
        again, first = (row["id"] for row in visitor.get("/s/h/runs.json").json())
        page = visitor.get(f"/s/h/runs/{first}").text
        assert "the same bits" in page
        assert "which repeats it" in page
        assert "9 of 9 points equal" in page
        assert f"diff/{first}/{again}" in page
        assert "which it repeats" in visitor.get(f"/s/h/runs/{again}").text


@pytest.mark.parametrize("address", ["audit.json?verify=1", "charts.png?runs={}&m=*loss"])
def test_what_the_server_starts_imports_nothing_from_the_folder_it_is_in(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    if "png" in address and find_spec("matplotlib") is None:
        pytest.skip("matplotlib draws them")
    for name in ("psutil", "secrets", "matplotlib"):
        (tmp_path / f"{name}.py").write_text("open('imported', 'w').close()\nraise SystemExit('mine')\n")
    monkeypatch.chdir(tmp_path)
    with client(store) as visitor:
        run = visitor.get("/s/h/runs.json?where=has+val_loss").json()[0]["id"]
        answer = visitor.get(f"/s/h/{address.format(run)}")
        assert answer.status_code == 200, answer.text
        if "audit" in address:
            end = time.monotonic() + 60
            while not (found := visitor.get("/s/h/audit.json").json()["verified"])["ended_at"]:
                assert time.monotonic() < end
                time.sleep(0.1)
            assert found["problem"] is None
            assert found["report"]["ok"]
    assert not (tmp_path / "imported").exists()
