"""Names of other tools: each hint names calls that are there, and the name itself stays absent."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from typing import Any

import pytest

import histhooks
from histhooks import Run, curate
from histhooks._base.other_names import ARGUMENTS, HISTORY, MODULE, RECORD, RUN, explained, unknown
from histhooks.history import History, RunRecord

TABLES: list[tuple[Mapping[str, str], Any]] = [
    (MODULE, histhooks), (RUN, Run), (HISTORY, History), (RECORD, RunRecord)
]  # fmt: skip
COLUMNS = {"id", "name", "kind", "status", "started_at", "ended_at", "project"}
HINTS = [text for table, _ in TABLES for text in table.values()]
HINTS += [text for hints in ARGUMENTS.values() for text in hints.values()]


@pytest.mark.parametrize(("table", "owner"), TABLES, ids=["module", "run", "history", "record"])
def test_no_name_with_a_hint_is_there(table: Mapping[str, str], owner: Any) -> None:
    assert [name for name in table if hasattr(owner, name)] == []


@pytest.mark.parametrize(
    ("prefix", "owner"),
    [("histhooks", histhooks), ("histhooks.curate", curate), ("history", History), ("run", (Run, RunRecord))],
    ids=["module", "curate", "history", "run"],
)
def test_each_call_that_a_hint_names_is_there(prefix: str, owner: Any) -> None:
    owners = owner if isinstance(owner, tuple) else (owner,)
    named = {name for text in HINTS for name in re.findall(rf"(?<![\w.]){prefix}\.([a-zA-Z_]\w*)", text)}
    missing = {name for name in named if not any(hasattr(one, name) for one in owners)}
    assert named
    assert missing - COLUMNS == set()


def test_no_call_takes_an_argument_with_a_hint() -> None:
    for call, hints in ARGUMENTS.items():
        assert {*inspect.signature(getattr(histhooks, call)).parameters} & {*hints} == set()


def test_a_name_of_another_tool_is_absent_and_the_error_says_what_to_write() -> None:
    assert not hasattr(histhooks, "init")
    with pytest.raises(AttributeError, match=r"no attribute 'init'; open a run with `with histhooks.start_run"):
        histhooks.init()
    with pytest.raises(AttributeError, match=r"^a run has no attribute 'log_text'; use `run.note\(\"text\"\)`"):
        histhooks.start_run().log_text("a", "b")
    with pytest.raises(AttributeError, match=r"^module 'histhooks' has no attribute 'nothing'$"):
        _ = histhooks.nothing


@pytest.mark.parametrize("argument", ["run_name", "nested", "config"])
def test_an_argument_of_another_tool_is_refused_with_what_to_give(argument: str) -> None:
    with pytest.raises(TypeError, match=f"start_run\\(\\) has no argument '{argument}'; "):
        histhooks.start_run(**{argument: "x"})


def test_a_hint_that_begins_with_a_call_follows_the_word_use() -> None:
    calls = [text for text in HINTS if text.startswith("`")]
    assert len(calls) > 50
    verbs = "is|are|has|leaves|reads|records|shows|switches|writes"
    assert [text for text in calls if re.match(rf"`[^`]*` ({verbs})\b", text)] == []


def test_an_argument_that_no_tool_has_gets_the_words_of_python() -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'nonsense'"):
        histhooks.start_run(nonsense=1)


def test_an_explained_call_keeps_its_signature() -> None:
    assert [*inspect.signature(histhooks.start_run).parameters] == ["name", "params", "tags"]
    assert explained(histhooks.start_run).__name__ == "start_run"
    assert unknown("it", "finish", RUN).startswith("it has no attribute 'finish'; a run ends")


def test_public_rooms_are_attributes_of_the_package() -> None:
    for name in ("curate", "export", "history", "integrations", "plot", "report", "reproduce", "testing", "verify"):
        assert inspect.ismodule(getattr(histhooks, name))
