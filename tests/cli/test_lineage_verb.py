"""`histhooks lineage`: two trees, on any width, and the JSON of the Python call."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from helpers import verbs
from helpers.lineages import make
from histhooks import History


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("lineage") / "h.db")


def ask(store: Path, *words: str, **variables: str) -> tuple[int, str, str]:
    return verbs.ask("lineage", "--store", store, *words, folder=store.parent, **variables)


def test_both_sides_are_trees(store: Path) -> None:
    code, out, error = ask(store, "fine-tune")
    assert (code, error) == (0, "")
    lines = [line.rpartition("  ")[0] if "  " in line else line for line in out.splitlines()]
    text = "\n".join(lines)
    assert text.index("led to it") < text.index("read c2.pt") < text.index("came of it") < text.index("wrote model.pt")
    assert "│  └─ written by pretrain" in out
    assert "version churn@1" in out
    assert "fine-tunes pretrain" in out
    assert "above" in out


@pytest.mark.parametrize("width", [20, 40, 60, 80, 200])
def test_no_line_is_wider_than_the_terminal(store: Path, width: int) -> None:
    for words in (("fine-tune",), ("raw.csv",), ("search", "--depth", "1")):
        out = ask(store, *words, COLUMNS=str(width))[1]
        assert max(map(len, out.splitlines())) <= width, words


def test_without_signs_for_a_tree_it_uses_ascii(store: Path) -> None:
    out = ask(store, "fine-tune", PYTHONIOENCODING="ascii", PYTHONUTF8="0")[1]
    assert "`- written by pretrain" in out


def test_json_is_that_of_the_python_call(store: Path) -> None:
    with History(store) as history:
        for words in (["fine-tune"], ["churn@1", "--depth", "2"], ["clean.csv"]):
            depth = int(words[2]) if len(words) > 1 else 6
            of = str(store.parent / words[0]) if words[0].endswith("csv") else words[0]
            assert json.loads(ask(store, *words, "--json")[1]) == history.lineage(of, depth=depth).as_json()


def test_what_is_not_known_is_one_line_and_exit_code_2(store: Path) -> None:
    code, out, error = ask(store, "nothing")
    assert (code, out) == (2, "")
    assert "no run is 'nothing'" in error
    assert ask(store, "a", "b")[0] == 2
    assert ask(store, "last", "--depth", "-1")[0] == 2


def test_what_has_no_lineage_says_so(store: Path) -> None:
    out = ask(store, "alone")[1]
    assert "nothing led to it" in out
    assert "nothing came of it" in out
