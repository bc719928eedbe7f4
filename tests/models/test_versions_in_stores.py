"""What other commands do with versions: deletion, redaction, export, merges, clocks, and one flipped bit."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from helpers.models import alone_ok, make
from histhooks import History, QueryError, StoreError, curate, models
from histhooks._base import clock
from histhooks._store.spools import merge_waiting
from histhooks._store.store import Store
from histhooks.export import export
from histhooks.models import _deeds
from histhooks.testing import query
from histhooks.verify import verify

HOUR = 3_600_000_000


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    made = make(tmp_path, "one", "two", "six")
    models.promote("one.bin", model="fraud", reason="the first", keep=True)
    return made


def fits(store: Path) -> None:
    assert verify(store).problems == []
    assert alone_ok(store)
    assert query(store, "PRAGMA foreign_key_check") == []


def test_a_promoted_run_cannot_be_deleted_and_prune_leaves_it(store: Path) -> None:
    models.demote("fraud", reason="not live any more")
    with pytest.raises(StoreError, match=r"stays: fraud@1 was promoted to production.*10 years"):
        curate.delete("one", reason="old")
    with pytest.raises(StoreError, match=r"fraud@1"):
        curate.delete("one", reason="old", dry_run=True)
    found = curate.prune(keep_last=0, reason="all", dry_run=False)
    assert [run["name"] for run in found.deletion.runs] == ["two", "six"]
    assert [left["why"].partition(" was")[0] for left in found.left] == ["fraud@1"]
    with pytest.raises(StoreError, match=r"kept files.*fraud@1"):
        curate.redact(runs=("one",), files=True, reason="asked for")
    fits(store)


def test_after_the_retention_it_can_be_deleted_and_the_version_stays(store: Path) -> None:
    Path("pyproject.toml").write_text('[tool.histhooks.models]\nretention = "0s"\n')
    curate.delete("one", reason="old")
    with History(store) as history:
        version = history.version("fraud@1")
        assert (version.run, version.file.read_bytes()) == (None, b"oneoneone")  # a version holds its kept copy
        with pytest.raises(QueryError, match="run of fraud@1 is not in this store"):
            history.run("fraud@1")
    fits(store)


def test_an_author_can_be_erased(store: Path) -> None:
    models.approve("fraud@1", reason="seen")
    who = query(store, "SELECT author FROM model_events")[0][0]
    assert who is not None
    curate.redact(users=(str(who),), reason="asked for")
    assert query(store, "SELECT DISTINCT author FROM model_events UNION SELECT author FROM model_versions") == [(None,)]
    with History(store) as history:
        assert [event.author for event in history.model("fraud").events] == [None, None]
    fits(store)


def test_an_export_has_the_versions_of_its_runs(store: Path) -> None:
    models.promote("two.bin", model="fraud", reason="the second")
    export("two", to="part.db", store=store)
    with History("part.db") as history:
        model = history.model("fraud")
        assert [version.number for version in model.versions] == [2]
        live = model.live()
        assert live is not None
        assert live.number == 2
    fits(Path("part.db"))


def merged(store: Path, other: Path) -> None:
    """Merge another store as `sync` does."""
    spool = store.with_name(f"{store.name}.spool")
    spool.mkdir(exist_ok=True)
    shutil.copy(other, spool / "other.db")
    target = Store(store)
    try:
        merge_waiting(target)
    finally:
        target.close()


@pytest.fixture
def two(store: Path) -> tuple[Path, Path]:
    """Two stores of one past."""
    other = store.parent / "other" / "histhooks.db"
    other.parent.mkdir()
    with closing(sqlite3.connect(store)) as connection:
        connection.execute("VACUUM INTO ?", (str(other),))
    return store, other


def test_one_number_of_two_stores_is_two_versions_with_labels_of_their_own(two: tuple[Path, Path]) -> None:
    store, other = two
    here = models.promote("two.bin", model="fraud", reason="here", store=store).version
    there = models.promote("six.bin", model="fraud", reason="there", store=other).version
    assert (here.label, there.label) == ("2", "2")
    merged(store, other)
    with History(store) as history:
        model = history.model("fraud")
        assert [version.label for version in model.versions] == ["1", "2", f"2·{there.id[-4:]}"]
        with pytest.raises(QueryError, match="2 versions of fraud have the number 2") as raised:
            history.version("fraud@2")
        for version in (here, there):
            assert f"fraud@2·{version.id[-4:]}" in str(raised.value)
            assert history.version(f"fraud@2·{version.id[-4:]}").id == version.id
            assert history.version(f"fraud@2.{version.id[-4:]}").id == version.id
        live = model.live()
        assert live is not None
        assert live.version.id == there.id  # the later one
    assert query(store, "SELECT count(*) FROM live_versions WHERE alias = 'production'") == [(1,)]
    assert models.promote("one.bin", model="fraud", reason="again").version.number == 1
    assert models.register("histhooks.db", model="fraud", reason="a third").version.number == 3
    fits(store)


def test_of_two_clocks_each_time_has_one_answer(two: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    store, other = two
    start = clock.now_us()
    for offset, where, what in ((0, store, "two"), (HOUR, other, "six"), (HOUR // 2, store, "one")):
        monkeypatch.setattr(_deeds, "now_us", lambda offset=offset: start + offset)
        models.promote(f"{what}.bin", model="fraud", reason=what, store=where)
    merged(store, other)
    with History(store) as history:
        model = history.model("fraud")
        times = (start - 1, start, start + HOUR // 2 - 1, start + HOUR // 2, start + HOUR - 1, start + HOUR)
        seen = [model.live(at=time) for time in times]
        assert [live and live.reason for live in seen] == ["the first", "two", "two", "one", "one", "six"]
    fits(store)


def test_an_event_follows_those_before_it_also_if_the_clock_went_back(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_deeds, "now_us", lambda: clock.now_us() - HOUR)
    models.promote("two.bin", model="fraud", reason="by a slow clock")
    with History(store) as history:
        live = history.model("fraud").live()
        assert live is not None
        assert live.reason == "by a slow clock"
    assert query(store, "SELECT reason FROM live_versions") == [("by a slow clock",)]


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [
        ("model_events", "reason", "'another one'"),
        ("model_events", "alias", "'staging'"),
        ("model_events", "author", "'somebody else'"),
        ("model_events", "time", "time + 1"),
        (
            "model_versions",
            "sha256",
            "(SELECT max(a.sha256) FROM artifacts AS a WHERE a.sha256 <> model_versions.sha256)",
        ),
        ("model_versions", "number", "7"),
    ],
)
def test_what_was_changed_in_the_file_is_named(store: Path, table: str, column: str, value: str) -> None:
    models.promote("two.bin", model="fraud", reason="the second")
    with closing(sqlite3.connect(store)) as connection:
        which = "number = 1" if table == "model_versions" else "reason = 'the first'"
        connection.execute(f"UPDATE {table} SET {column} = {value} WHERE {which}")
        connection.commit()
    problems = verify(store).problems
    assert problems, "the change was not found"
    assert any(table in problem for problem in problems)
    assert column == "author" or not alone_ok(store)  # which reads no names


def test_a_kept_version_that_is_gone_is_missed(store: Path) -> None:
    shutil.rmtree(f"{store}.files")
    (problem,) = verify(store).file_problems
    assert "one.bin of fraud@1" in problem
