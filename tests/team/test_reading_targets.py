"""A target is read like a file: each verb gives the same JSON, and nothing is written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from helpers.postgresql import ask_target
from helpers.team_stores import World, runs_of
from helpers.verbs import ask
from histhooks import History, curate, team
from histhooks.errors import StoreError, TeamError

VERBS = (
    "runs --all-projects --all --limit 100",
    "runs --all-projects --where loss<1",
    "runs --all-projects --where status=finished",
    "runs --all-projects --sort loss",
    "runs --all-projects --framework sklearn",
    "show last",
    "show last~1",
    "metrics last",
    "diff last~1 last",
    "compare last~2 last~1 last",
    "search loss",
    "search nothing_has_this",
    "check last~5",
    "data last~5",
    "models",
    "lineage last~3",
)


@pytest.fixture(scope="module")
def pushed(trained: Path, postgresql: str) -> str:
    """A target that has what the store of real trainings has."""
    from uuid import uuid4

    address = f"{postgresql}{'&' if '?' in postgresql else '?'}histhooks_schema=hh_{uuid4().hex[:12]}"
    team.init(address)
    assert team.push(trained, to=address).ok
    return address


@pytest.mark.parametrize("words", VERBS)
def test_a_verb_gives_the_same_json(trained: Path, pushed: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(trained.parent)
    (verb, *rest) = words.split()
    places = [(str(trained), trained), (pushed, History(pushed).path)]
    told = []
    for word, path in places:
        code, said, errors = ask(verb, *rest, "--store", word, "--json")
        told.append((code, said.replace(str(path), "PLACE").replace(word, "PLACE"), errors.replace(word, "PLACE")))
    assert told[0][0] in (0, 1), told[0]
    assert told[1] == told[0]


def test_sql_of_ones_own_gives_the_same_rows(trained: Path, pushed: str) -> None:
    with History(trained) as here, History(pushed) as there:
        names = "SELECT name, type FROM sqlite_master WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite_%'"
        for row in here.sql(names):
            name = row["name"]
            columns = [each["name"] for each in here.sql(f"PRAGMA table_info({name})") if each["name"] != "series"]
            if name in ("_sqlite_migrations", "merged_spools", "exports"):
                continue
            if name in ("points", "rollups"):
                table = f"{name} AS t JOIN metric_summaries AS s ON s.series = t.series"
                listed = ", ".join(["s.run_id", "s.name", *(f"t.{column} AS {column}_" for column in columns)])
            else:
                table, listed = name, ", ".join(columns)
            sql = f"SELECT {listed} FROM {table}"
            one, other = (sorted(map(repr, history.sql(sql))) for history in (here, there))
            assert one == other, name


def test_what_comes_is_read_by_the_next_question_and_what_is_deleted_goes(target: str, tmp_path: Path) -> None:
    world = World(tmp_path / "world")
    world.do("train", 0, 2)
    (store,) = world.files
    team.push(store, to=target)
    history = History(target)
    assert len(history.runs(is_nested=None)) == 2
    world.do("train", 0, 0)
    team.push(store, to=target)
    assert len(History(target).runs(is_nested=None)) in (2, 4)  # within a second a process asks once
    code, said, _ = ask("runs", target, "--all-projects", "--all", "--json")
    assert code == 0
    assert len(json.loads(said)) == 4
    run_id = runs_of(store)[0]
    curate.delete(run_id, reason="wrong", store=store)
    team.push(store, to=target)
    assert ask("show", target, run_id, "--json")[0] == 2
    for file in history.path.parent.iterdir():
        assert f"tag-{run_id}".encode() not in file.read_bytes()
    history.close()


def test_a_target_that_lost_lines_is_read_as_it_is_now(target: str, tmp_path: Path) -> None:
    world = World(tmp_path / "world")
    world.do("train", 0, 0)
    world.do("train", 0, 0)
    team.push(world.files[0], to=target)
    assert len(json.loads(ask("runs", target, "--all-projects", "--all", "--json")[1])) == 4
    for table in ("ledger", "ledger_parts", "states"):
        ask_target(target, f"DELETE FROM {table} WHERE session_id = (SELECT max(id) FROM sessions)")
    ask_target(target, "DELETE FROM runs WHERE session_id = (SELECT max(id) FROM sessions)")
    assert len(json.loads(ask("runs", target, "--all-projects", "--all", "--json")[1])) == 2


def test_a_target_is_not_changed_by_the_verbs_that_change_a_store(target: str, tmp_path: Path) -> None:
    world = World(tmp_path / "world")
    world.do("train", 0, 0)
    team.push(world.files[0], to=target)
    run_id = runs_of(world.files[0])[0]
    before = ask_target(target, "SELECT count(*) FROM ledger")
    with pytest.raises(StoreError, match="a target is changed by what is pushed to it"):
        curate.tag(run_id, {"a": "b"}, store=target)
    code, _, errors = ask("note", target, run_id, "text")
    assert code == 2
    assert "histhooks pull" in errors
    code, said, errors = ask("check", target, "last", "--save")
    assert (code, said) == (2, "")  # before it says what it will not keep
    assert "histhooks pull" in errors
    assert ask_target(target, "SELECT count(*) FROM ledger") == before
    assert History(target).run(run_id).tags == History(world.files[0]).run(run_id).tags


def test_doctor_examines_a_target_as_it_does_a_file(
    trained: Path, pushed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from click.testing import CliRunner

    from histhooks.cli import _doctor

    monkeypatch.setattr(_doctor, "FRAMEWORKS", {})  # importing each of them takes a minute

    def doctor(store: str) -> tuple[int, dict[str, Any]]:
        done = CliRunner().invoke(_doctor.doctor, [store, "--json"])
        return done.exit_code, json.loads(done.stdout)

    (code, facts), (other_code, others) = doctor(str(trained)), doctor(pushed)
    assert code == other_code
    assert {name: facts[name] for name in ("schema", "runs", "problems")} == {
        name: others[name] for name in ("schema", "runs", "problems")
    }
    assert others["store"] == f"{pushed} (there)"
    code, facts = doctor("postgresql://ann:geheim@127.0.0.1:1/ml")
    assert code == 1
    assert facts["store"] == "postgresql://ann:***@127.0.0.1:1/ml (not to be read)"
    assert "no server listens at 127.0.0.1" in facts["problems"][0]


def test_a_target_that_cannot_be_read_is_one_sentence_without_its_password() -> None:
    with pytest.raises(TeamError, match="cannot be reached") as found:
        History("postgresql://ann:geheim@127.0.0.1:1/ml")
    assert "geheim" not in str(found.value)
    code, _, errors = ask("runs", "postgresql://ann:geheim@127.0.0.1:1/ml")
    assert code == 2
    assert "geheim" not in errors
    assert errors.count("\n") == 1
