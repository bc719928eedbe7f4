"""Checks of old stores, of odd runs, and of other packages: an answer always, never a traceback."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from helpers.terminals import ask
from histhooks import History, checks
from histhooks.checks import Finding
from histhooks.history import RunRecord
from histhooks.testing import run_program

DATA = Path(__file__).parents[1] / "data"


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_a_store_of_an_old_version_is_judged_as_far_as_it_goes(version: str, tmp_path: Path) -> None:
    store = tmp_path / "old.db"
    store.write_bytes(gzip.decompress((DATA / f"store-{version}.db.gz").read_bytes()))
    before = store.read_bytes()
    with History(store) as history:
        runs = history.runs()
        verdicts = [run.check() for run in runs]
    assert len(runs) >= 6
    for verdict in verdicts:
        told = {*verdict.passed, *verdict.does_not_apply, *(one.id for one in verdict.cannot_tell)}
        told |= {found.id for found in verdict.findings}
        assert told == set(checks.all_checks())
        assert not [one for one in verdict.cannot_tell if "the check failed" in one.why]
    assert any(one.id == "leak.target" for verdict in verdicts for one in verdict.cannot_tell)
    assert store.read_bytes() == before


ODD = """
import histhooks
with histhooks.start_run("empty"):
    pass
with histhooks.start_run("one point") as run:
    run.log({"loss": 1.0})
with histhooks.start_run("zeros") as run:
    for step in range(50):
        run.log({"loss": 0.0, "val_loss": 0.0, "accuracy": 0.0, "val_accuracy": 0.0}, step=step)
with histhooks.start_run("negative") as run:
    for step in range(50):
        run.log({"loss": -float(step), "val_loss": -float(step) / 2}, step=step)
with histhooks.start_run("huge") as run:
    for step in range(50):
        run.log({"loss": 1e308 * (-1) ** step, "val_loss": 1e308}, step=step)
with histhooks.start_run("nothing finite") as run:
    for step in range(50):
        run.log({"loss": float("nan"), "val_loss": float("inf")}, step=step)
with histhooks.start_run("strange", params={"steps": 3, "callbacks": None, "num_class": "x"}) as run:
    run.log_dataset("train", [], [])
    run.log_dataset("test", [[None, "a"], [1, "b"]], ["x", None])
    run.log({"accuracy": 2.0, "test_score": -5.0})
histhooks.flush()
"""


def test_odd_values_cost_no_answer(tmp_path: Path) -> None:
    store = tmp_path / "histhooks.db"
    code, _, err = run_program(ODD, store, HISTHOOKS_STRICT="0")
    assert code == 0, err
    with History(store) as history:
        found = {run.name: run.check() for run in history.runs()}
    alarms = {name: {one.id for one in verdict.findings if one.level != "info"} for name, verdict in found.items()}
    assert alarms.pop("nothing finite") == {"loss.nonfinite"}
    assert {name: ids for name, ids in alarms.items() if ids} == {}
    assert len(found) == 7


def team(run: RunRecord) -> Iterator[Finding]:
    if "team" not in run.tags:
        yield Finding("team.tagged", "warn", "no team is named", advice="histhooks tag RUN team=NAME")


def broken(run: RunRecord) -> list[Finding]:
    raise RuntimeError("out of order")


@pytest.fixture
def others(monkeypatch: pytest.MonkeyPatch) -> None:
    here = Path(__file__).stem
    group = "histhooks.checks"
    entries = [EntryPoint("team.tagged", f"{here}:team", group), EntryPoint("team.broken", f"{here}:broken", group)]
    monkeypatch.setattr("histhooks.checks._registry.entry_points", lambda group: entries)


def test_a_package_adds_checks_and_one_that_fails_costs_its_own_answer(others: None, tmp_path: Path) -> None:
    store = tmp_path / "histhooks.db"
    code, _, err = run_program(ODD.partition("with")[0] + 'with histhooks.start_run("a"):\n    pass\n', store)
    assert code == 0, err
    with History(store) as history:
        verdict = history.check("last", fail_on="warn")
        assert verdict.code == 1
        assert [found.id for found in verdict.findings if found.level == "warn"] == ["team.tagged"]
        assert {one.id: one.why for one in verdict.cannot_tell}["team.broken"].startswith("the check failed")
        assert history.check("last", skip=["team"]).code == 0


ENTRIES = """[histhooks.checks]
team.tagged = team_checks:tagged
team.gone = team_checks:nothing_of_this_name
"""
MODULE = """
from histhooks.checks import Finding

def tagged(run):
    yield Finding("team.tagged", "warn", f"{run.name} has no team")
"""


def test_an_installed_package_that_cannot_be_loaded_costs_its_own_answer(tmp_path: Path) -> None:
    site = tmp_path / "site"
    place = site / "team_checks-1.0.dist-info"
    place.mkdir(parents=True)
    (place / "METADATA").write_text("Metadata-Version: 2.1\nName: team-checks\nVersion: 1.0\n")
    (place / "entry_points.txt").write_text(ENTRIES)
    (site / "team_checks.py").write_text(MODULE)
    store = tmp_path / "histhooks.db"
    code, _, err = run_program('import histhooks\nwith histhooks.start_run("a"):\n    pass\n', store)
    assert code == 0, err
    path = os.pathsep.join(filter(None, [str(site), os.environ.get("PYTHONPATH")]))
    code, out, err = ask("check", store, "last", "--json", "--fail-on", "warn", PYTHONPATH=path)
    assert code == 1, err
    (run,) = json.loads(out)["runs"]
    assert [one["says"] for one in run["findings"] if one["id"] == "team.tagged"] == ["a has no team"]
    (gone,) = [one for one in run["cannot_tell"] if one["id"] == "team.gone"]
    assert gone["advice"] == "report it to team-checks, or uninstall it"
    assert ask("check", store, "last", "--skip", "team", PYTHONPATH=path)[0] == 0


LONG = """
import histhooks
with histhooks.start_run("long") as run:
    for step in range(60_000):
        run.log({"loss": 1.0 / (1 + step) + 0.1, "val_loss": 0.1 + step / 60_000}, step=step)
"""


def test_a_long_curve_is_judged_by_its_parts(tmp_path: Path) -> None:
    store = tmp_path / "histhooks.db"
    code, _, err = run_program(LONG, store)
    assert code == 0, err
    with History(store) as history:
        verdict = history.check("last", only=["fit.past_best"])
    assert [found.id for found in verdict.findings] == ["fit.past_best"]
