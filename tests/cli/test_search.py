"""`histhooks search`: words anywhere in a history that was recorded for real."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import histhooks
from helpers import verbs

PROGRAM = """
import histhooks
from pathlib import Path
Path("weights_final.pt").write_bytes(b"w")
with histhooks.start_run("resnet", params={"optimizer": "AdamW", "title": "Käse 100%"}, tags={"team": "red"}) as run:
    run.note("a Lower learning rate\\nhelped against the plateau")
    run.log({"val_topk": 0.5})
    run.log_results({"verdict": "promising"})
    run.log_artifact("weights_final.pt")
    run.event("milestone", "halfway there", "the whole story")
    with histhooks.start_run("inner", params={"optimizer": "SGD"}):
        pass
try:
    with histhooks.start_run("vit", params={"optimizer": "AdamW"}):
        raise ValueError("shapes do not fit: 31 and 32")
except ValueError:
    pass
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("history")
    environment = {**os.environ, "HISTHOOKS_STORE": str(folder / "histhooks.db"), "HISTHOOKS_QUIET": "1"}
    (folder / "train.py").write_text(PROGRAM, encoding="utf-8")
    subprocess.run([sys.executable, "train.py"], cwd=folder, env=environment, check=True, timeout=60)
    return folder / "histhooks.db"


def ask(*words: str, **variables: str) -> tuple[int, str, str]:
    return verbs.ask(*words, **{"COLUMNS": "100", **variables})


@pytest.mark.parametrize(
    ("text", "names", "what"),
    [
        ("resnet", ["resnet"], "name"),
        ("adamw", ["vit", "resnet"], "param"),
        ("ADAMW plateau", ["resnet"], "note"),
        ("lower rate", ["resnet"], "note"),
        ("shapes", ["vit"], "error"),
        ("ValueError", ["vit"], "traceback"),
        ("weights_final", ["resnet"], "file"),
        ("topk", ["resnet"], "metric"),
        ("promising", ["resnet"], "result"),
        ("halfway", ["resnet"], "event"),
        ("whole story", ["resnet"], "event"),
        ("team", ["resnet"], "tag"),
        ("sgd", ["inner"], "param"),
        ("käse", ["resnet"], "param"),
        ("KÄSE", ["resnet"], "param"),
        ("100%", ["resnet"], "param"),
        ("train.py", ["vit", "inner", "resnet"], "call site"),
        ("python resnet", ["resnet"], "command"),
    ],
)
def test_a_word_is_found_wherever_it_stands(store: Path, text: str, names: list[str], what: str) -> None:
    with histhooks.History(store) as history:
        found = history.search(text)
        assert [one.run.name for one in found] == names
        assert all(what in [hit.what for hit in one.hits] for one in found)
        for one in found:
            for hit in one.hits:
                assert any(word.casefold() in hit.text.casefold() for word in text.split())
                assert "\n" not in hit.text


@pytest.mark.parametrize("text", ["nowhere", "adamw nowhere", "100_", "shapes plateau", "' OR 1=1 --"])
def test_what_is_nowhere_is_not_found(store: Path, text: str) -> None:
    with histhooks.History(store) as history:
        assert history.search(text) == []


def test_the_verb_shows_hits_in_their_runs_and_says_by_its_exit_code(store: Path) -> None:
    code, out, _ = ask("search", str(store), "adamw")
    assert code == 0
    lines = out.splitlines()
    assert lines[0].split()[1:3] == ["vit", "failed"]
    assert "  param     optimizer = AdamW" in lines
    assert lines[-1] == f"2 runs in {store}" or lines[-1].startswith("2 runs in postgresql://")
    code, out, _ = ask("search", str(store), "nowhere")
    assert code == 1
    code, out, _ = ask("search", "--store", str(store), "adamw", "--limit", "1", "--json")
    (one,) = json.loads(out)
    assert (one["name"], one["hits"]) == ("vit", [{"where": "param", "text": "optimizer = AdamW"}])
    assert ask("search", "--store", str(store), "nowhere", "--json")[:2] == (1, "[]\n")
    assert ask("search", "--store", str(store))[0] == 2


def test_hits_are_highlighted_where_colours_are_wanted(store: Path) -> None:
    _, out, _ = ask("search", str(store), "adamw", FORCE_COLOR="1")
    assert "\x1b[33m\x1b[1mAdamW\x1b[0m" in out
    assert "\x1b" not in ask("search", str(store), "adamw", FORCE_COLOR="1", NO_COLOR="1")[1]


def test_a_search_takes_filters(store: Path) -> None:
    assert "vit" not in ask("search", str(store), "adamw", "--where", "status = finished")[1]
    assert ask("search", str(store), "adamw", "--project", "nobody")[0] == 1
    assert ask("search", str(store), "adamw", "--where", "val_topj > 0")[0] == 2
