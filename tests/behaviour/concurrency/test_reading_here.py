"""A program that records reads its own runs, and leaves all in one file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from histhooks.testing import query, run_program
from histhooks.verify import verify


@pytest.mark.parametrize("is_named", [False, True], ids=["by default", "by autolog(store=)"])
def test_a_program_sees_what_it_logged_before_and_leaves_one_file(
    store_path: Path, tmp_path: Path, is_named: bool
) -> None:
    named = tmp_path / "named" / "runs.db"
    program = f"""
        import os, threading
        import histhooks
        histhooks.autolog(store={str(named) if is_named else None!r})
        with histhooks.start_run("first") as run: run.log({{"a": 1.0}})
        never_closed = histhooks.History()
        assert [run.name for run in never_closed.runs()] == ["first"]
        with histhooks.start_run("second") as run:
            for i in range(5000): run.log({{"a": float(i)}})
            (found,) = never_closed.sql("SELECT count FROM metric_summaries WHERE name = 'a' AND run_id = ?", run.id)
            assert found == {{"count": 5000}}, found
        assert histhooks.History().run("last").name == "second"
        def read():
            mine = histhooks.History()
            keep.append(mine)
            seen.append([(run.name, run.status) for run in mine.runs()])
        keep, seen = [], []
        thread = threading.Thread(target=read)
        thread.start(); thread.join()
        assert seen == [[("second", "finished"), ("first", "finished")]], seen
        begun = keep[0].cursor("SELECT id FROM runs")
        next(begun)
        if os.fork() == 0:
            with histhooks.start_run("child") as run: run.log({{"a": 1.0}})
            histhooks.flush()
            assert "child" in [run.name for run in never_closed.runs()]
            os._exit(0)
        os.wait()
        del begun
        assert len(never_closed.runs()) == 3
        with histhooks.start_run("last"): pass
    """
    code, _, err = run_program(program, store_path)
    store = named if is_named else store_path
    assert code == 0, err
    assert [name for name in os.listdir(store.parent) if "-wal" in name or "-shm" in name] == []
    assert len(query(store, "SELECT 1 FROM runs WHERE name IN ('first', 'second', 'last')")) == 3
    assert verify(store).problems == []


def test_a_history_that_was_opened_before_the_first_run_sees_it_and_leaves_one_file(store_path: Path) -> None:
    assert run_program("import histhooks; histhooks.start_run('earlier').end()", store_path)[0] == 0
    program = """
        import histhooks
        history = histhooks.History()
        other = histhooks.History()
        assert [run.name for run in history.runs()] == ["earlier"]
        with histhooks.start_run("mine") as run: run.log({"a": 1.0})
        assert [run.name for run in history.runs()] == ["mine", "earlier"]
        other.close()
        try: other.runs()
        except histhooks.QueryError as error: assert "closed" in str(error)
        else: raise AssertionError
    """
    code, _, err = run_program(program, store_path)
    assert (code, err) == (0, "")
    assert [name for name in os.listdir(store_path.parent) if "-wal" in name or "-shm" in name] == []
