"""What was recorded since a look."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import histhooks
from histhooks import History, QueryError
from histhooks.curate import delete, tag
from histhooks.testing import run_program


def test_changes_are_the_runs_that_were_recorded_to(store_path: Path) -> None:
    histhooks.autolog("sklearn", store=store_path)
    with histhooks.start_run("one") as one:
        one.log({"loss": 1.0})
    histhooks.flush()
    with History(store_path) as history:
        first = history.changes()
        assert (first.is_whole, first.runs, first.running) == (True, (), ())
        assert history.changes(first.cursor).is_empty
        histhooks.autolog("sklearn", store=store_path)
        with histhooks.start_run("two") as two:
            two.log({"loss": 1.0})
            histhooks.flush()
            history.refresh()
            second = history.changes(first.cursor)
            assert (second.runs, second.running, second.is_whole) == ((two.id,), (two.id,), False)
            two.log({"loss": 0.5})
            histhooks.flush()
            third = history.changes(second.cursor)
            assert third.runs == (two.id,)
        histhooks.flush()
        history.refresh()
        last = history.changes(third.cursor)
        assert (last.runs, last.running) == ((two.id,), ())
        histhooks.disable()
        tag(str(one.id), {"team": "red"}, store=store_path)
        assert history.changes(last.cursor).runs == (one.id,)


def test_a_merge_of_older_records_may_change_anything(store_path: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.db"
    for name, store in (("one", store_path), ("other", other), ("two", store_path)):
        code, _, error = run_program(f"import histhooks\nwith histhooks.start_run('{name}'): pass", store)
        assert code == 0, error
    with History(store_path) as history:
        look = history.changes()
        spools = store_path.with_name(store_path.name + ".spool")
        spools.mkdir()
        shutil.copy(other, spools / "other.db")
        history.refresh()
        assert history.changes(look.cursor).is_whole


def test_a_deletion_changes_what_is_listed(store_path: Path) -> None:
    for name in ("one", "two"):
        code, _, error = run_program(f"import histhooks\nwith histhooks.start_run('{name}'): pass", store_path)
        assert code == 0, error
    with History(store_path) as history:
        look = history.changes()
        delete("one", reason="a test", store=store_path)
        assert not history.changes(look.cursor).is_empty


@pytest.mark.parametrize("text", ["", "x", "[1]", '["a", 2]', "[1, 2, 3]", "{}"])
def test_what_is_no_cursor_is_refused(store_path: Path, text: str) -> None:
    histhooks.autolog("sklearn", store=store_path)
    with histhooks.start_run("one"):
        pass
    histhooks.disable()
    with History(store_path) as history, pytest.raises(QueryError, match="no cursor"):
        history.changes(text)
