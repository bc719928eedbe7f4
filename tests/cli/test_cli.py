"""The command line, run as a person runs it, on a history that was recorded for real."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import histhooks
from helpers import programs
from histhooks.cli import VERBS, _doctor, cli

PROGRAM = """
import histhooks
for name in ("first", "second"):
    with histhooks.start_run(name, params={"lr": 0.1}) as run:
        for step in range(10):
            run.log({"val_loss": 1.0 / (step + 1)}, epoch=step)
try:
    with histhooks.start_run("third"):
        raise ValueError("no good")
except ValueError:
    pass
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("history") / "histhooks.db"
    programs.script(path, PROGRAM)
    return path


def ask(*words: str, folder: Path | None = None) -> tuple[int, str, str]:
    environment = {key: value for key, value in os.environ.items() if key != "HISTHOOKS_STORE"}
    done = subprocess.run(
        [sys.executable, "-m", "histhooks", *words],
        env={**environment, "COLUMNS": "100"}, cwd=folder, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert "Traceback (most recent call last)" not in done.stderr
    return done.returncode, done.stdout, done.stderr


def test_runs_lists_the_newest_on_top(store: Path) -> None:
    code, out, _ = ask("runs", str(store))
    assert code == 0
    assert out.index("third") < out.index("second") < out.index("first")
    assert "ValueError" in out
    code, out, _ = ask("runs", "--store", str(store), "--status", "failed", "--json")
    assert [run["name"] for run in json.loads(out)] == ["third"]


def test_show_tells_all_of_a_run(store: Path) -> None:
    code, out, _ = ask("show", "first", "--store", str(store))
    assert code == 0
    for word in ("first", "finished", "lr = 0.1", "val_loss", "valid"):
        assert word in out
    code, out, _ = ask("show", "last", "--store", str(store), "--json")
    record = json.loads(out)
    assert record["error_message"] == "no good"
    assert record["session"]["status"] == "finished"
    assert record["environment"]["python"].startswith("CPython")


@pytest.mark.parametrize("folder", ["", "lib/site-packages"])
def test_show_tells_a_seed_wherever_the_program_lies(tmp_path: Path, folder: str) -> None:
    program = tmp_path / folder / "train.py"
    program.parent.mkdir(parents=True, exist_ok=True)
    program.write_text(
        "import histhooks, random\nhisthooks.autolog()\nrandom.seed(5)\nhisthooks.start_run('a').end()\n"
    )
    environment = {**os.environ, "HISTHOOKS_STORE": str(tmp_path / "histhooks.db"), "HISTHOOKS_QUIET": "1"}
    subprocess.run([sys.executable, str(program)], env=environment, check=True, timeout=300)
    _, out, _ = ask("show", "a", "--store", str(tmp_path / "histhooks.db"))
    assert "random seed(5)" in out


def test_metrics_prints_points(store: Path) -> None:
    code, out, _ = ask("metrics", str(store), "second", "val_loss", "--json")
    assert code == 0
    assert [point["epoch"] for point in json.loads(out)] == list(range(10))
    assert ask("metrics", str(store), "second", "nothing")[0] == 2


def test_verify_says_yes_or_no_by_its_exit_code(store: Path, tmp_path: Path) -> None:
    import shutil
    import sqlite3

    code, out, _ = ask("verify", str(store))
    assert (code, "unaltered" in out, "cannot prove" in out) == (0, True, True)
    copy = tmp_path / "copy.db"
    shutil.copy(store, copy)
    connection = sqlite3.connect(copy)
    connection.execute("UPDATE points SET value = 0 WHERE n = 3")
    connection.commit()
    connection.close()
    code, out, _ = ask("verify", str(copy))
    assert code == 1
    assert "points" in out
    assert ask("verify", str(store), "--head", "0" * 12)[0] == 1


@pytest.mark.parametrize("words", [(), ("-o", "-")])
def test_export_without_a_file_writes_the_records_to_stdout(store: Path, words: tuple[str, ...]) -> None:
    code, out, err = ask("export", "first", "--store", str(store), *words)
    assert (code, err) == (0, "")
    (run,) = json.loads(out)["runs"]
    assert (run["name"], run["params"], len(run["points"]["val_loss"]["value"])) == ("first", {"lr": 0.1}, 10)


@pytest.mark.parametrize("name", ["ls", "list", "log"])
def test_other_names_of_the_listing_lead_to_it(store: Path, name: str) -> None:
    assert ask(name, str(store)) == ask("runs", str(store))


def test_doctor_tells_where_the_store_is(store: Path) -> None:
    code, out, _ = ask("doctor", "--store", str(store), "--json")
    facts = json.loads(out)
    assert code == 0, facts
    assert facts["runs"] == {"failed": 1, "finished": 2}


def test_doctor_shows_the_settings_that_the_environment_has(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_doctor, "FRAMEWORKS", {})  # importing each of them takes a minute
    monkeypatch.setenv("HISTHOOKS_GROUP", "sweep-7")
    for name in ("HISTHOOKS_QUIET", "HISTHOOKS_STRICT", "HISTHOOKS_SYSTEM_S"):
        monkeypatch.delenv(name)
    assert "settings:\n  HISTHOOKS_GROUP: sweep-7\n" in CliRunner().invoke(_doctor.doctor, [str(store)]).output
    monkeypatch.delenv("HISTHOOKS_GROUP")
    assert "settings: none\n" in CliRunner().invoke(_doctor.doctor, [str(store)]).output


def test_what_cannot_be_answered_is_one_line_and_exit_code_2(store: Path, tmp_path: Path) -> None:
    code, _, err = ask("show", "nobody", "--store", str(store))
    assert code == 2
    assert "nobody" in err
    assert "third" in err
    folder = tmp_path / "empty"
    folder.mkdir()
    code, _, err = ask("runs", folder=folder)
    assert code == 2
    assert "no store" in err
    assert list(folder.iterdir()) == []
    (folder / "other.db").write_text("not a database, but long enough to be looked at" * 100)
    assert ask("runs", "other.db", folder=folder)[0] == 2


def test_every_verb_has_help_with_an_example() -> None:
    for name, (_, line) in VERBS.items():
        command = cli.get_command(click.Context(cli), name)
        assert command is not None
        assert command.epilog, name
        assert command.epilog.startswith(f"Example: histhooks {name}")
        assert " ".join((command.help or "").split()).startswith(line), name


def test_history_reads_what_the_command_line_shows(store: Path) -> None:
    with histhooks.History(store) as history:
        run = history.run("first")
        assert run.params == {"lr": 0.1}
        assert run.status == "finished"
        assert [point["value"] for point in run.metrics("val_loss")][:2] == [1.0, 0.5]
        assert history.run("last").name == "third"
        assert history.run("last~2").name == "first"
        assert history.run(run.id[-8:]).id == run.id
        with pytest.raises(histhooks.QueryError, match="readonly"):
            history.sql("DELETE FROM runs")
        frame = run.to_pandas()
        assert frame["val_loss"].tolist()[1] == 0.5


def test_json_of_a_verb_holds_numbers_that_are_not_finite_as_words(tmp_path: Path) -> None:
    program = (
        "import histhooks\nwith histhooks.start_run('odd', params={'C': float('inf'), 'tol': [float('nan')]}): pass"
    )
    store = tmp_path / "histhooks.db"
    environment = {**os.environ, "HISTHOOKS_STORE": str(store)}
    subprocess.run([sys.executable, "-c", program], env=environment, check=True, timeout=300)

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    for verb in (["show", "odd"], ["runs"]):
        _, out, _ = ask(*verb, "--store", str(store), "--json")
        found = json.loads(out, parse_constant=refuse)
        assert (found if verb[0] == "show" else found[0])["params"] == {"C": "inf", "tol": ["nan"]}


def test_doctor_tries_keras_with_a_backend_that_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("keras")
    (tmp_path / "keras.json").write_text('{"backend": "jax"}')
    if find_spec("jax") or not find_spec("torch"):
        pytest.skip("here is no backend that is missing, or none that is installed")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    assert re.fullmatch(r"hooked \(.*\) with KERAS_BACKEND=torch; without it: .*jax.*", _doctor._hooked("keras"))
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    assert _doctor._hooked("keras").startswith("NOT HOOKED: ")
