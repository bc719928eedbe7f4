"""What surrounds a program when it is repeated: import paths, variables, secrets, files, another interpreter."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import histhooks
from histhooks import reproduce
from histhooks.reproduce._running import run_program
from histhooks.testing import query

SCRIPT = [sys.executable, "-m", "histhooks"]
TOKEN = "ghp_abcdefghijklmnopqrstuvwxyz0123456789"
PROGRAM = """
import random, sys, time
from pathlib import Path
import histhooks
from package.helper import START
with histhooks.start_run("a", params={"folder": str(Path("out").absolute())}) as run:
    for step in range(5):
        run.log({"loss": START + random.random() * float(Path(sys.argv[1]).read_text())}, step=step)
    run.log({"call_s": time.perf_counter()})
    run.log_results({"best": str(Path("out/best.ckpt").absolute())})
print("the token is", sys.argv[-1])
"""


class Project:
    """A program in a folder of its own, outside of git, whose package lies beside it in `src`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "src/package").mkdir(parents=True)  # without __init__.py: a namespace
        self.helper = folder / "src/package/helper.py"
        self.helper.write_text("START = 1.0\n")
        self.data = folder.parent / "x.txt"
        self.data.write_text("0.5")
        (folder / "train.py").write_text(PROGRAM)

    def run(self, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*SCRIPT, *words], cwd=self.folder, env={**os.environ, **variables}, check=False, capture_output=True,
            text=True,
        )  # fmt: skip

    def record(self, *words: str, path: str = "") -> None:
        start = ("run", "--store", "histhooks.db", "train.py", str(self.data), *words)
        done = self.run(*start, PYTHONPATH=os.pathsep.join(filter(None, ["src", path])))
        assert done.returncode == 0, done.stderr

    def again(self, *words: str, **variables: str) -> tuple[int, dict[str, Any]]:
        done = self.run("reproduce", "last", "--exec", "--yes", "--json", *words, **variables)
        assert done.stdout, done.stderr
        return done.returncode, json.loads(done.stdout)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path / "project")


@pytest.mark.parametrize("how", ["none", "relative", "absolute"])
def test_own_modules_come_from_the_copy_whatever_the_import_path_is_now(project: Project, how: str) -> None:
    project.record()
    project.helper.write_text("START = 5.0\n")
    path = {"none": "", "relative": "src", "absolute": str(project.folder / "src")}[how]
    code, found = project.again(PYTHONPATH=path)
    assert (code, found["level"], found["causes"]) == (0, "bits", [])


def test_the_script_that_is_written_finds_the_modules_of_the_copy(project: Project, tmp_path: Path) -> None:
    project.record()
    project.run("reproduce", "last", "--into", str(tmp_path / "copy"))
    project.helper.unlink()
    environment = {**os.environ, "PYTHON": sys.executable, "HISTHOOKS_STORE": str(tmp_path / "again.db")}
    subprocess.run(["sh", str(tmp_path / "copy/run.sh")], env=environment, check=True, capture_output=True)
    assert (tmp_path / "again.db").exists()


def test_it_is_recorded_although_recording_is_switched_off_here(project: Project) -> None:
    project.record()
    assert project.again(HISTHOOKS="off")[1]["level"] == "bits"


def test_another_interpreter_is_found_from_here_and_not_from_the_copy(project: Project) -> None:
    project.record()
    assert project.again("--python", os.path.relpath(sys.executable, project.folder))[1]["level"] == "bits"


def test_a_secret_that_the_program_prints_stays_nowhere(project: Project) -> None:
    project.record("--token", TOKEN)
    secret = "Xk29-battery-staple"  # of no known shape
    project.data.write_text("0.25")
    code, found = project.again(HISTHOOKS_SECRET_TOKEN=secret)
    assert (code, found["level"]) == (1, "differs")
    assert "the token is [masked]" in found["output"]
    texts = [path.read_bytes() for path in Path(found["folder"]).rglob("*") if path.is_file()]
    assert not any(secret.encode() in text for text in [*texts, json.dumps(found).encode()])


def test_a_file_outside_of_the_project_that_changed_is_the_cause(project: Project) -> None:
    project.record()
    project.data.write_text("0.25")
    code, found = project.again()
    assert (code, found["level"], found["first"]["stage"]) == (1, "differs", "files")
    assert [cause["stage"] for cause in found["causes"]] == ["files"], "a path in the copy is no cause"
    assert found["causes"][0]["keys"] == [str(project.data)]


SLOW = """
import os, subprocess, sys, time
import histhooks
with histhooks.start_run("slow") as run:
    for step in range(600 if os.environ.get("SLOW") else 3):
        run.log({"loss": 0.5}, step=step)
        if os.environ.get("SLOW"):
            histhooks.flush()
            open(os.environ["SLOW"], "w").close()
            time.sleep(0.1)
"""


def test_a_program_that_runs_out_of_time_is_said_to(project: Project, tmp_path: Path) -> None:
    (project.folder / "train.py").write_text(SLOW)
    project.record()
    code, found = project.again("--timeout", "5", SLOW=str(tmp_path / "begun"))
    assert (code, found["level"], found["why"], found["causes"]) == (1, "failed", "the program ran out of time", [])
    screen = project.run("reproduce", "last", "--exec", "--yes", "--timeout", "5", SLOW=str(tmp_path / "begun")).stdout
    assert "why       the program ran out of time" in screen
    assert "nothing that is recorded differs" not in screen


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_an_interrupt_ends_the_program_and_links_what_it_recorded(project: Project, tmp_path: Path) -> None:
    (project.folder / "train.py").write_text(SLOW)
    project.record()
    words = [*SCRIPT, "reproduce", "last", "--exec", "--yes"]
    environment = {**os.environ, "SLOW": str(tmp_path / "begun")}
    process = subprocess.Popen(words, cwd=project.folder, env=environment, stderr=subprocess.PIPE)
    while not (tmp_path / "begun").exists():
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    process.communicate()
    assert process.returncode == 130
    assert not (project.folder / "histhooks.db.reproduce").exists()
    (status,) = query(project.folder / "histhooks.db", "SELECT status FROM runs ORDER BY started_at DESC LIMIT 1")[0]
    assert status == "interrupted"
    assert query(project.folder / "histhooks.db", "SELECT count(*) FROM run_links WHERE kind = 'reproduces'") == [(1,)]
    assert project.again()[1]["level"] == "bits", "the run that is repeated is the first one"


def test_of_two_packages_of_one_name_the_version_that_is_imported_counts(project: Project, tmp_path: Path) -> None:
    for folder, version in (("near", "1.0"), ("far", "2.0")):
        meta = tmp_path / folder / f"twice-{version}.dist-info"
        meta.mkdir(parents=True)
        (meta / "METADATA").write_text(f"Metadata-Version: 2.1\nName: twice\nVersion: {version}\n")
    path = os.pathsep.join([str(tmp_path / "near"), str(tmp_path / "far")])
    project.record(path=path)
    for python in ((), ("--python", sys.executable)):
        found = json.loads(project.run("reproduce", "last", "--json", *python, PYTHONPATH=path).stdout)
        assert found["packages"] == []


def test_workers_that_draw_seeds_of_their_own_are_told_before(tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    (tmp_path / "train.py").write_text(
        "from sklearn.model_selection import GridSearchCV\nfrom sklearn.tree import DecisionTreeClassifier\n"
        "X = [[float(n % 7), float(n % 3)] for n in range(24)]\n"
        "search = GridSearchCV(DecisionTreeClassifier(), {'max_depth': [1, 2]}, cv=2, n_jobs=2)\n"
        "search.fit(X, [n % 2 for n in range(24)])\n"
    )
    subprocess.run([*SCRIPT, "run", "train.py"], cwd=tmp_path, check=True, capture_output=True)
    words = [*SCRIPT, "reproduce", "last", "--json"]
    found = json.loads(subprocess.run(words, cwd=tmp_path, check=False, capture_output=True, text=True).stdout)
    assert found["expected"] == "metric"
    assert "GridSearchCV fits estimators without a random_state in other processes" in found["reasons"][0]


def test_two_repetitions_of_one_run_at_once_are_told_apart(project: Project) -> None:
    project.record()
    words = [*SCRIPT, "reproduce", "last", "--exec", "--yes", "--json"]
    both = [subprocess.Popen(words, cwd=project.folder, stdout=subprocess.PIPE) for _ in range(2)]
    found = [json.loads(each.communicate()[0]) for each in both]
    assert [each["level"] for each in found] == ["bits", "bits"]
    assert found[0]["new_run"] != found[1]["new_run"]


def test_what_a_killed_repetition_left_is_no_run_of_its_own(project: Project) -> None:
    project.record()
    first = json.loads(project.run("reproduce", "last", "--json").stdout)["run"]["id"]
    with histhooks.History(project.folder / "histhooks.db") as history:
        plan = reproduce.plan(history.run("last"))
        folder = reproduce.restore(plan, project.folder.parent / "copy")
        code = folder.parent / "code"
        # As `execute` does, which writes the link after it.
        ended, _ = run_program(plan, folder, code, folder.parent, Path(history.path), None, None, None)
    assert ended == 0
    found = json.loads(project.run("reproduce", "last", "--json").stdout)
    assert found["run"]["id"] == first
    assert "repeats" in found["cautions"][0]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_nothing_is_run_if_the_store_cannot_be_written(project: Project) -> None:
    project.record()
    project.folder.chmod(0o500)
    try:
        done = project.run("reproduce", "last", "--exec", "--yes")
    finally:
        project.folder.chmod(0o700)
    assert done.returncode == 2
    assert "cannot be written" in done.stderr
    assert query(project.folder / "histhooks.db", "SELECT count(*) FROM runs") == [(1,)]


def test_what_came_through_a_pipe_and_a_masked_word_are_told_before(project: Project) -> None:
    (project.folder / "train.py").write_text("import histhooks\nwith histhooks.start_run('a'):\n    input()\n")
    words = [*SCRIPT, "run", "--store", "histhooks.db", "train.py", TOKEN]
    subprocess.run(words, cwd=project.folder, input="x\n", text=True, check=True, capture_output=True)
    screen = project.run("reproduce", "last").stdout
    assert "python train.py '[masked]'" in screen
    assert "standard input was a pipe: what the program read from it was not kept" in screen


def test_two_orders_of_sets_are_named_with_both_values(project: Project) -> None:
    start = ("run", "--store", "histhooks.db", "train.py", str(project.data))
    for variables in ({"PYTHONHASHSEED": "77"}, {"PYTHONHASHSEED": "", "HISTHOOKS_HASHSEED": "88"}):
        assert project.run(*start, PYTHONPATH="src", **variables).returncode == 0
    screen = project.run("diff", "last~1", "last", "--points").stdout
    assert "PYTHONHASHSEED: 77 → 88" in screen
