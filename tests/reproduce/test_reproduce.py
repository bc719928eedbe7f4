"""A run is repeated from its record: in a folder of its own, compared point by point, and the cause is named."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import histhooks
from histhooks import reproduce
from histhooks.errors import ReproduceError
from histhooks.testing import query

PROGRAM = """
import argparse, random
from pathlib import Path
import histhooks
from helper import start

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=0.1)
parser.add_argument("--token")
asked = parser.parse_args()
values = [float(word) for word in Path("data/x.csv").read_text().split(",")]
for name in ("first", "second"):
    with histhooks.start_run(name, params={"lr": asked.lr}) as run:
        loss = start
        for step in range(20):
            loss -= asked.lr * random.choice(values)
            run.log({"loss": loss}, step=step)
"""
SCRIPT = [sys.executable, "-m", "histhooks"]


class Project:
    """A program in a repository of git, with data that git does not know."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = folder / "histhooks.db"
        (folder / "data").mkdir(parents=True)
        (folder / "train.py").write_text(PROGRAM)
        (folder / "helper.py").write_text("start = 1.0\n")
        (folder / "data/x.csv").write_text("0.1,0.2,0.3,0.4")
        (folder / ".gitignore").write_text("data/\n*.db\n*.db-*\n")
        self.git("init", "-q")
        self.git("add", "-A")
        self.git("-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "one")

    def git(self, *words: str) -> str:
        done = subprocess.run(["git", *words], cwd=self.folder, check=True, capture_output=True, text=True)
        return done.stdout

    def run(self, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONHASHSEED"} | variables
        return subprocess.run(
            [*SCRIPT, *words], cwd=self.folder, env=environment, check=False, capture_output=True, text=True
        )

    def record(self, *words: str) -> None:
        done = self.run("run", *words)
        assert done.returncode == 0, done.stderr

    def reproduce(self, *words: str, **variables: str) -> tuple[int, dict[str, Any]]:
        done = self.run("reproduce", *words, "--json", **variables)
        assert done.stdout, done.stderr
        return done.returncode, json.loads(done.stdout)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    return Project(tmp_path / "project")


def test_a_run_with_changes_on_top_of_its_commit_is_repeated_bit_by_bit(project: Project) -> None:
    (project.folder / "helper.py").write_text("start = 2.0\n")
    (project.folder / "extra.py").write_text("# new\n")
    project.record("train.py", "--lr", "0.05")
    project.git("checkout", "-q", "helper.py")
    (project.folder / "extra.py").unlink()
    before = project.git("status", "--porcelain"), (project.folder / ".git/config").read_bytes()
    code, found = project.reproduce("second")
    assert (code, found["is_possible"], found["expected"], found["blockers"]) == (0, True, "bits", [])
    assert [(Path(file["path"]).name, file["state"]) for file in found["files"]] == [("x.csv", "here")]
    assert found["generators"] == ["random at process start"]
    assert "click==" in found["requirements"]
    assert query(project.store, "SELECT count(*) FROM runs") == [(2,)], "a plan writes nothing"

    code, found = project.reproduce("second", "--exec", "--yes")
    assert (code, found["level"], found["required"], found["first"]) == (0, "bits", "bits", None)
    assert found["agreement"]["n_equal"] == 20
    assert found["folder"] is None
    assert (project.git("status", "--porcelain"), (project.folder / ".git/config").read_bytes()) == before
    rows = query(project.store, "SELECT level, n_points, n_equal, other_run_id FROM reproductions")
    assert rows == [("bits", 20, 20, found["run"])]
    links = query(project.store, "SELECT run_id, kind, other_run_id FROM run_links")
    assert (found["new_run"], "reproduces", found["run"]) in links
    assert len(links) == 2, "both runs of the program are repeated"
    assert query(project.store, f"SELECT name FROM runs WHERE id = '{found['new_run']}'") == [("second",)]
    assert project.run("verify").returncode == 0
    # A repetition stands for the run that it repeats.
    assert project.reproduce("last")[1]["run"]["id"] == found["run"]


def test_data_that_changed_is_told_before_and_named_as_the_cause(project: Project) -> None:
    project.record("train.py")
    (project.folder / "data/x.csv").write_text("0.1,0.2,0.3,0.5")
    code, found = project.reproduce("last")
    assert code == 1
    assert "x.csv has changed since" in found["blockers"][0]["text"]
    assert not found["blockers"][0]["is_hard"]
    code, found = project.reproduce("last", "--exec", "--yes")
    assert (code, found["level"]) == (1, "differs")
    assert found["first"]["series"] == "loss"
    assert Path(found["folder"], "code", "train.py").is_file(), "what did not reach its level can be looked at"
    (project.folder / "data/x.csv").unlink()
    assert "is gone" in project.reproduce("first")[1]["blockers"][0]["text"]


@pytest.mark.parametrize(
    ("change", "stage", "word"),
    [
        (lambda folder: (folder / "helper.py").write_text("start = 1.25\n"), "program text", "helper.py: +1 −1 lines"),
        (lambda folder: (folder / "data/x.csv").write_text("0.5,0.2,0.3,0.4"), "files", "x.csv"),
    ],
)
def test_the_present_files_are_run_in_place_and_what_changed_is_the_cause(
    project: Project, change: Any, stage: str, word: str
) -> None:
    project.record("train.py")
    change(project.folder)
    code, found = project.reproduce("last", "--exec", "--yes", "--in-place")
    assert (code, found["level"]) == (1, "differs")
    assert found["folder"] is None
    assert (found["first"]["stage"], found["causes"][0]["stage"]) == (stage, stage)
    assert word in found["causes"][0]["text"]


def test_an_argument_that_was_a_secret_is_asked_for_and_never_invented(project: Project) -> None:
    project.record("train.py", "--token", "ghp_abcdefghijklmnopqrstuvwxyz0123456789")
    found = project.reproduce("last")[1]
    assert found["masked"] == ["TOKEN"]
    done = project.run("reproduce", "last", "--exec", "--yes")
    assert done.returncode == 2
    assert "HISTHOOKS_SECRET_TOKEN" in done.stderr
    code, found = project.reproduce("last", "--exec", "--yes", HISTHOOKS_SECRET_TOKEN="ghp_" + 36 * "b")
    assert (code, found["level"]) == (0, "bits")
    assert 36 * "b" not in json.dumps(found)


def test_nothing_runs_without_a_yes_or_from_a_store_that_was_altered(project: Project) -> None:
    project.record("train.py")
    done = project.run("reproduce", "last", "--exec")
    assert done.returncode == 2
    assert "--yes" in done.stderr
    connection = sqlite3.connect(project.store)
    with connection:
        connection.execute("UPDATE params SET value = '0.3' WHERE key = 'lr'")
    connection.close()
    done = project.run("reproduce", "last", "--exec", "--yes")
    assert done.returncode == 2
    assert "verify" in done.stderr
    assert query(project.store, "SELECT count(*) FROM runs") == [(2,)]


def test_files_of_another_machine_are_not_called_changed_or_gone(project: Project) -> None:
    project.record("train.py")
    connection = sqlite3.connect(project.store)
    with connection:
        connection.execute("UPDATE sessions SET hostname = 'another'")
    connection.close()
    (project.folder / "data/x.csv").write_text("0.1,0.2,0.3,0.5")
    assert "x.csv has other content here" in project.reproduce("last")[1]["blockers"][0]["text"]
    (project.folder / "data/x.csv").unlink()
    assert "x.csv is not on this machine" in project.reproduce("last")[1]["blockers"][0]["text"]


def test_a_program_that_opens_its_runs_by_hand_and_hooks_nothing_is_repeated(project: Project) -> None:
    program = "import histhooks\nwith histhooks.start_run('one') as run:\n    run.log({'loss': 1.0})\n"
    (project.folder / "plain.py").write_text(program)
    recording = {**os.environ, "HISTHOOKS_STORE": str(project.store)}
    subprocess.run([sys.executable, "plain.py"], cwd=project.folder, env=recording, check=True)
    done = project.run("reproduce", "last", "--exec", "--yes")
    assert (done.returncode, "bits" in done.stdout) == (0, True), done.stdout


def test_a_kept_copy_that_is_gone_stops_no_repetition(project: Project) -> None:
    (project.folder / "kept.py").write_text(
        "import histhooks, pathlib\n"
        "pathlib.Path('m.bin').write_bytes(b'model')\n"
        "with histhooks.start_run('one') as run:\n"
        "    run.log({'loss': 1.0})\n"
        "    run.log_artifact('m.bin', role='model', keep=True)\n"
    )
    project.record("kept.py")
    shutil.rmtree(f"{project.store}.files")
    done = project.run("reproduce", "last", "--exec", "--yes")
    assert done.returncode == 0, done.stderr
    assert "bits" in done.stdout


def test_into_a_folder_comes_all_that_a_person_needs(project: Project, tmp_path: Path) -> None:
    project.record("train.py", "--lr", "0.2")
    with histhooks.History(project.store) as history:
        plan = reproduce.plan(history.run("last"))
        inside = reproduce.restore(plan, tmp_path / "copy")
        with pytest.raises(ReproduceError, match="not empty"):
            reproduce.restore(plan, tmp_path / "copy")
    assert inside == tmp_path / "copy/code"
    names = {path.name for path in (tmp_path / "copy").iterdir()}
    assert names == {"code", "requirements.txt", "data.sha256", "replay.json", "run.sh"}
    if shutil.which("sha256sum"):
        subprocess.run(["sha256sum", "--check", "--quiet", "data.sha256"], cwd=tmp_path / "copy", check=True)
    again = tmp_path / "again.db"
    environment = {**os.environ, "PYTHON": sys.executable, "HISTHOOKS_STORE": str(again)}
    subprocess.run(["sh", str(tmp_path / "copy/run.sh")], env=environment, check=True, capture_output=True)
    with histhooks.History(project.store) as history, histhooks.History(again) as other:
        assert history.agreement(history.run("last"), other.run("last")).level == "bits"


def test_a_commit_that_is_nowhere_here_blocks(project: Project) -> None:
    project.record("train.py")
    shutil.rmtree(project.folder / ".git")
    code, found = project.reproduce("last")
    assert code == 2
    assert "no repository here has commit" in found["blockers"][0]["text"]


@pytest.mark.parametrize("form", ["script", "-m", "-c", "stdin"])
def test_programs_outside_of_git_in_each_form(form: str, tmp_path: Path) -> None:
    folder = tmp_path / "plain"
    folder.mkdir()
    text = "import histhooks, random\nwith histhooks.start_run('a') as run:\n    run.log({'loss': random.random()})\n"
    (folder / "train.py").write_text(text)
    start = {"script": ["train.py"], "-m": ["-m", "train"], "-c": ["-c", text], "stdin": ["-"]}[form]
    store = folder / "histhooks.db"
    words = [*SCRIPT, "run", "--store", str(store), "--", sys.executable, *start]
    subprocess.run(words, cwd=folder, input=text, check=True, capture_output=True, text=True)
    words = [*SCRIPT, "reproduce", str(store), "last", "--exec", "--yes", "--json"]
    done = subprocess.run(words, cwd=folder, check=False, capture_output=True, text=True)
    if form == "stdin":
        assert done.returncode == 2
        assert "standard input" in done.stderr
    else:
        assert json.loads(done.stdout)["level"] == "bits", done.stderr


def test_a_program_that_is_named_by_its_path_runs_as_its_copy_with_the_data_of_its_folder(tmp_path: Path) -> None:
    for name in ("project", "elsewhere"):
        (tmp_path / name).mkdir()
    program = tmp_path / "project/train.py"
    program.write_text(
        "import histhooks, random\nfrom pathlib import Path\nwith histhooks.start_run('a') as run:\n"
        "    run.log({'loss': float(Path('x.txt').read_text()) * random.Random().random()})\n"
    )
    (tmp_path / "elsewhere/x.txt").write_text("0.5")
    words = [*SCRIPT, "run", "--store", "histhooks.db", str(program)]
    subprocess.run(words, cwd=tmp_path / "elsewhere", check=True, capture_output=True)
    program.write_text("raise SystemExit(3)\n")
    words = [*SCRIPT, "reproduce", "last", "--exec", "--yes", "--json"]
    done = subprocess.run(words, cwd=tmp_path / "elsewhere", check=False, capture_output=True, text=True)
    assert done.stdout, done.stderr
    assert json.loads(done.stdout)["level"] == "bits"


def test_a_program_that_calls_autolog_itself_is_repeated_from_that_call_on(tmp_path: Path) -> None:
    text = (
        "import histhooks, random\nhisthooks.autolog(store='own.db')\n"
        "with histhooks.start_run('a') as run:\n    run.log({'loss': random.random()})\n"
    )
    (tmp_path / "train.py").write_text(text)
    subprocess.run([sys.executable, "train.py"], cwd=tmp_path, check=True, capture_output=True)
    words = [*SCRIPT, "reproduce", "own.db", "last", "--exec", "--yes", "--json"]
    done = subprocess.run(words, cwd=tmp_path, check=False, capture_output=True, text=True)
    assert json.loads(done.stdout)["level"] == "bits", done.stderr
    assert query(tmp_path / "own.db", "SELECT count(*) FROM runs") == [(2,)]


def test_a_run_that_was_killed_is_repeated_to_where_it_was(tmp_path: Path) -> None:
    text = """
import histhooks, os, random, time
with histhooks.start_run("a") as run:
    for step in range(40):
        run.log({"loss": random.random()}, step=step)
        if step == 20 and os.environ.get("KILL"):
            with histhooks.History() as history:
                while not history.sql("SELECT 1 FROM sessions WHERE code_version_id IS NOT NULL"):
                    time.sleep(0.05)
            histhooks.flush()
            os.kill(os.getpid(), 9)
"""
    (tmp_path / "train.py").write_text(text)
    words = [*SCRIPT, "run", "--store", "histhooks.db", "train.py"]
    subprocess.run(words, cwd=tmp_path, env={**os.environ, "KILL": "1"}, check=False, capture_output=True)
    assert query(tmp_path / "histhooks.db", "SELECT status FROM runs") == [("killed",)]
    words = [*SCRIPT, "reproduce", "last", "--exec", "--yes", "--json"]
    done = subprocess.run(words, cwd=tmp_path, check=False, capture_output=True, text=True)
    assert done.stdout, done.stderr
    found = json.loads(done.stdout)
    assert (found["level"], found["agreement"]["n_points"]) == ("bits", 21), done.stderr


def test_a_program_that_does_not_come_to_the_run_has_failed(project: Project) -> None:
    project.record("train.py")
    (project.folder / "helper.py").write_text("raise SystemExit(3)\n")
    done = project.run("reproduce", "last", "--exec", "--yes", "--in-place")
    assert done.returncode == 2
    assert "exit code 3" in done.stdout
