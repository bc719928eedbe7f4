"""Tables of points, and the attempts of one training."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

import histhooks
from histhooks import History, QueryError
from histhooks.testing import run_program


def test_a_table_has_a_row_per_step_and_the_last_of_repeated_points(store_path: Path) -> None:
    histhooks.autolog("sklearn", store=store_path)
    with histhooks.start_run("table") as run:
        for step, value in ((0, 3.0), (1, 2.0), (1, 1.0), (5, math.inf), (6, math.nan)):
            run.log({"loss": value}, step=step, epoch=step // 2)
        run.log({"loss": 9.0}, step=7)
        run.log({"val_loss": 4.0}, step=1, epoch=0)
        run.log({"val_loss": 5.0}, step=9, epoch=4)
    histhooks.flush()
    with History(store_path) as history:
        record = history.run("table")
        frame = record.to_pandas("loss", "val_*")
        assert (frame.index.name, frame.index.tolist()) == ("step", [0, 1, 5, 6, 7, 9])
        assert (frame.columns.name, list(frame.columns)) == ("name", ["loss", "val_loss"])
        assert frame["loss"].tolist()[:3] == [3.0, 1.0, math.inf]
        assert frame["loss"].isna().tolist() == [False, False, False, True, False, True]
        assert frame["val_loss"].dropna().to_dict() == {1: 4.0, 9: 5.0}
        by_epoch = record.to_pandas("loss", index="epoch")
        assert by_epoch["loss"].dropna().to_dict() == {0: 1.0, 2: math.inf}
        assert by_epoch.index.tolist() == [0, 2, 3]
        by_time = record.to_pandas("loss", index="time")
        assert str(by_time.index.tz) == "UTC"
        assert {"loss", "val_loss"} <= set(record.to_pandas().columns)
        with pytest.raises(QueryError, match="choose one of step, epoch, time"):
            record.to_pandas(index="n")
        with pytest.raises(QueryError, match="no metric 'nothing'"):
            record.to_pandas("nothing")
        with histhooks.start_run("empty"):
            pass
        histhooks.flush()
    with History(store_path) as history:
        assert history.run("empty").to_pandas().empty


FIRST = """
import histhooks, pathlib
with histhooks.start_run("first") as run:
    for step in range(100):
        run.log({"loss": 100 - step}, step=step)
    pathlib.Path("weights.pt").write_bytes(b"weights at step 60")
    run.log_artifact("weights.pt", role="checkpoint")
"""
SECOND = """
import hashlib, histhooks, pathlib
with histhooks.start_run("second") as run:
    run.link("resumes", None, hashlib.sha256(pathlib.Path("weights.pt").read_bytes()).hexdigest())
    for step in range(60, 150):
        run.log({"loss": 100 - step + 0.5}, step=step)
print(run.id)
"""
THIRD = """
import histhooks, sys
with histhooks.start_run("NAME") as run:
    run.link("continues", "OTHER")
"""


def test_attempts_are_found_by_link_and_by_the_file_that_was_loaded(store_path: Path) -> None:
    assert run_program(FIRST, store_path)[0] == 0
    code, out, err = run_program(SECOND, store_path)
    assert code == 0, err
    for name in ("third", "third again"):
        code, _, err = run_program(THIRD.replace("NAME", name).replace("OTHER", out.strip()), store_path)
        assert code == 0, err
    with History(store_path) as history:
        names = {run.name: [attempt.name for attempt in run.attempts] for run in history.runs()}
    # Where two went on from one, the line follows the latest; the other one has a line of its own.
    assert names == {
        "first": ["first", "second", "third again"],
        "second": ["first", "second", "third again"],
        "third again": ["first", "second", "third again"],
        "third": ["first", "second", "third"],
    }


def test_a_link_to_a_run_of_another_store_and_a_circle_end_the_line(store_path: Path) -> None:
    program = """
import histhooks
with histhooks.start_run("run x") as a, histhooks.start_run("run y") as b:
    a.link("resumes", b.id)
    b.link("resumes", a.id)
with histhooks.start_run("run z") as c:
    c.link("resumes", "0190a0b0-0000-7000-8000-000000000000")
"""
    code, _, err = run_program(program, store_path)
    assert code == 0, err
    with History(store_path) as history:
        assert [run.name for run in history.run("run z").attempts] == ["run z"]
        assert sorted(run.name for run in history.run("run x").attempts) == ["run x", "run y"]
