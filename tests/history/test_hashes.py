"""The hashes that screens show, and the files of a run, are found by `search` and by conditions."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

import histhooks
from helpers.programs import record

PROGRAM = """
import histhooks
histhooks.autolog()
for name in ("shared", "one", "two"):
    with open(f"{name}.csv", "w") as file: file.write(f"content of {name}")
open("shared.csv").close()
with histhooks.start_run("one") as run:
    open("one.csv").close()
    run.log_dataset("train", [[1, 2], [3, 4]])
    run._row("weights", {"run_id": run.id, "point": "end", "n_tensors": 1, "n_values": 1, "digest": "facade0123",
                         "algorithm": "xxh3_128"})
with histhooks.start_run("two") as run:
    open("two.csv").close()
    run.log_artifact("one.csv", role="model", direction="in")
"""


def sha256(name: str) -> str:
    return hashlib.sha256(f"content of {name}".encode()).hexdigest()


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> histhooks.History:
    store = tmp_path_factory.mktemp("hashes") / "histhooks.db"
    record(store, PROGRAM)
    return histhooks.History(store)


def names(history: histhooks.History, where: str) -> list[str]:
    return sorted(run.name for run in history.runs(where=where))


def test_a_condition_finds_runs_by_any_of_their_hashes_or_by_its_beginning(history: histhooks.History) -> None:
    assert names(history, f"sha256 = {sha256('shared')}") == ["one", "two"]
    assert names(history, f"sha256 = {sha256('two')[:8]}") == ["two"]
    assert names(history, f"sha256 = '{sha256('one')[:12].upper()}'") == ["one", "two"]
    assert names(history, "hash = facade01") == ["one"]
    assert names(history, "sha256 = 0123456789") == []
    ((digest,),) = [row.values() for row in history.sql("SELECT content_hash FROM datasets")]
    assert names(history, f"sha256 = {digest[:12]}") == ["one"]
    assert names(history, f"data = {digest[:12]}") == ["one"]
    assert names(history, f"data = {sha256('shared')}") == []


def test_a_metric_that_is_called_data_stays_one(store_path: Path) -> None:
    record(
        store_path,
        """
import histhooks
with histhooks.start_run("one") as run: run.log({"data": 3.0})
""",
    )
    with histhooks.History(store_path) as history:
        assert names(history, "data > 2") == ["one"]
        assert names(history, "runs.data = 0123456789") == []


def test_several_values_are_joined_and_negated_as_sets(history: histhooks.History) -> None:
    one, two = sha256("one")[:12], sha256("two")[:12]
    assert names(history, f"sha256 = {one} and sha256 = {two}") == ["two"]
    assert names(history, f"sha256 = {two} or hash = facade0123") == ["one", "two"]
    assert names(history, f"sha256 != {two}") == names(history, f"not sha256 = {two}") == ["one"]
    assert names(history, f"sha256 in ({two}, facade0123)") == ["one", "two"]
    assert names(history, f"sha256 not in ({two}, 0123456789)") == ["one"]
    assert names(history, "has sha256") == ["one", "two"]
    assert names(history, "sha256 is null") == []


@pytest.mark.one_engine("it names the folder of the file")
def test_a_condition_finds_runs_by_the_files_that_they_read_and_made(history: histhooks.History) -> None:
    assert names(history, "file ~ two.csv") == ["two"]
    assert names(history, "file ~ *one.csv") == ["one", "two"]
    assert names(history, "file !~ two.csv") == ["one"]
    assert names(history, f"file = {Path(history.path).parent}/shared.csv") == ["one", "two"]


def test_search_finds_files_and_hashes_of_six_digits_or_more(history: histhooks.History) -> None:
    def found(text: str) -> list[str]:
        hits = [(each.run.name, hit.what) for each in history.search(text) for hit in each.hits]
        return sorted(f"{name}: {what}" for name, what in hits if what != "command")  # which is the program itself

    assert found("two.csv") == ["two: file"]
    assert found(sha256("shared")[:12]) == ["one: hash", "two: hash"]
    assert found("facade0123") == ["one: hash"]
    assert found(sha256("two")[:5]) == []
