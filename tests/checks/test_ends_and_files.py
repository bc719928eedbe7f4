"""Ends, rates, comparisons, seeds and files: each planted fault is found, and its clean twin is silent."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from helpers.checked import Told, checked, told
from helpers.team_stores import change
from histhooks import History
from histhooks.testing import run_program

LOGGED = """
import histhooks, os, random, subprocess, time
from pathlib import Path
histhooks.autolog()

def logged(name, rates, fails=None):
    try:
        with histhooks.start_run(name) as run:
            for step, rate in enumerate(rates):
                run.log({"loss": 1 / (1 + step), "lr": rate}, step=step)
            if fails is not None:
                raise fails
    except (ValueError, KeyboardInterrupt):
        pass

falling = [0.1 * 0.9**step for step in range(20)]
logged("finished", falling)
logged("failed", falling, ValueError("odd"))
logged("interrupted", falling, KeyboardInterrupt())
logged("jumps", [0.1] * 10 + [5.0] * 10)
logged("zero from the middle on", [0.1] * 10 + [0.0] * 10)
logged("warms up", [0.0, 0.01] + [0.1] * 18)

def seeded(name, seed_of):
    with histhooks.start_run(name):
        for epoch in range(4):
            random.seed(seed_of(epoch))
            random.random()

seeded("seeded again", lambda epoch: 7)
seeded("seeded by epoch", lambda epoch: epoch)

def read_twice(name, between):
    path = Path(f"{name}.csv").absolute()
    path.write_text("a,b\\n1,2\\n")
    with histhooks.start_run(name):
        for and_then in (between, lambda path: None):
            with open(path) as file:
                file.read()
            and_then(path)

def elsewhere(path):
    from histhooks.testing import query
    histhooks.flush()
    while not query(os.environ["HISTHOOKS_STORE"], f"SELECT 1 FROM file_reads WHERE path = '{path}'"):
        time.sleep(0.02)  # its content is hashed beside the program
        histhooks.flush()
    subprocess.run(["/bin/sh", "-c", f"echo 3,4 >> '{path}'"], check=True)

read_twice("changed while it was read", elsewhere)
read_twice("read twice", lambda path: None)

def scored(name, count, own=False):
    with histhooks.start_run(name):
        for number in range(count):
            rows = [[float(row), float(own and 1 + number)] for row in range(100)]
            with histhooks.start_run(f"{name} {number}") as run:
                run.log_dataset("test", rows, [row % 2 for row in range(100)])
                run.log({"test_accuracy": 0.9 + 0.001 * number})

scored("tested 24 times", 24)
scored("tested on other rows each time", 24, own=True)
histhooks.flush()
"""


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Told]:
    return checked(LOGGED, tmp_path_factory.mktemp("logged") / "histhooks.db")


@pytest.mark.parametrize(
    ("name", "check", "level"),
    [
        ("failed", "run.unfinished", "fail"),
        ("interrupted", "run.unfinished", "warn"),
        ("jumps", "lr.odd", "warn"),
        ("zero from the middle on", "lr.odd", "warn"),
        ("seeded again", "seed.reset", "info"),
        ("changed while it was read", "data.changed", "warn"),
        ("tested 24 times", "test.reused", "warn"),
    ],
)
def test_a_fault_is_found(logged: dict[str, Told], name: str, check: str, level: str) -> None:
    assert (check, level) in logged[name].found
    assert logged[name].alarms == ({check} if level != "info" else set())


@pytest.mark.parametrize(
    ("name", "check"),
    [
        ("finished", "run.unfinished"),
        ("finished", "lr.odd"),
        ("warms up", "lr.odd"),
        ("seeded by epoch", "seed.reset"),
        ("read twice", "data.changed"),
        ("tested on other rows each time", "test.reused"),
    ],
)
def test_its_clean_twin_is_silent(logged: dict[str, Told], name: str, check: str) -> None:
    assert check in logged[name].passed
    assert logged[name].alarms == set()
    assert check not in {found for found, _ in logged[name].found}


def test_a_file_that_changed_since_is_information(tmp_path: Path) -> None:
    store = tmp_path / "histhooks.db"
    read = LOGGED.partition("falling =")[0] + LOGGED[LOGGED.index("def read_twice") : LOGGED.index("def elsewhere")]
    code, _, err = run_program(read + 'read_twice("read twice", lambda path: None)\nhisthooks.flush()\n', store)
    assert code == 0, err
    with History(store) as history:
        assert told([history.check("last", only=["data.changed"])]).found == set()
        (tmp_path / "read twice.csv").write_text("a,b\n5,6\n7,8\n")
        assert told([history.check("last", only=["data.changed"])]).found == {("data.changed", "info")}
    change(store, "UPDATE sessions SET hostname = 'another'")
    with History(store) as history:
        assert told([history.check("last", only=["data.changed"])]).found == set()


COMPARED = """
import histhooks
histhooks.autolog("sklearn")
import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.dummy import DummyClassifier
from sklearn.model_selection import train_test_split
from sklearn.tree import DecisionTreeClassifier

X, y = load_breast_cancer(return_X_y=True)
a, b, c, d = train_test_split(X, y, random_state=0)

def tree(name, depth, b=b, d=d):
    with histhooks.start_run(name):
        (DecisionTreeClassifier(max_depth=depth, random_state=0) if depth else DummyClassifier()).fit(a, c).score(b, d)

tree("constant", 0)
tree("small", 1)
tree("large", 3)
tree("large, other rows", 3, b[:100], d[:100])
histhooks.flush()
"""


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[History]:
    pytest.importorskip("sklearn")
    store = tmp_path_factory.mktemp("compared") / "histhooks.db"
    for threads in ("1", "2"):
        code, _, err = run_program(COMPARED, store, OMP_NUM_THREADS=threads, OPENBLAS_NUM_THREADS=threads)
        assert code == 0, err
    with History(store) as history:
        yield history


def against(history: History, name: str, other: str, check: str, *, is_old: bool = False) -> Told:
    """What a check says of a fit of the second program, against one of the same program or of the first."""

    def fit(name: str, *, is_old: bool) -> str:
        first, second = history.runs(where=f"name = '{name}'", order_by="started_at asc")
        return str((first if is_old else second).children[0].id)

    found = history.check(fit(name, is_old=False), only=[check], against=history.run(fit(other, is_old=is_old)))
    return told([found])


def test_a_gain_that_may_be_noise_is_told_from_one_that_is_none(compared: History) -> None:
    assert against(compared, "large", "small", "gain.noise").found == {("gain.noise", "warn")}
    assert against(compared, "large", "constant", "gain.noise").passed == {"gain.noise"}
    assert against(compared, "small", "large", "gain.noise").passed == {"gain.noise"}  # a loss is no gain
    assert set(against(compared, "large", "large, other rows", "gain.noise").unknown) == {"gain.noise"}


def test_runs_with_other_threads_ran_elsewhere(compared: History) -> None:
    assert against(compared, "large", "small", "env.changed").passed == {"env.changed"}
    found = against(compared, "large", "large", "env.changed", is_old=True)
    assert found.found == {("env.changed", "warn")}
    assert "threads" in found.says["env.changed"]


@pytest.mark.parametrize(
    ("direct_url", "found"),
    [
        ('{"url": "file:///home/me/shared", "dir_info": {"editable": true}}', {("pkg.open", "info")}),
        ('{"url": "https://git.example/shared", "vcs_info": {"vcs": "git", "commit_id": "0123abc"}}', set()),
    ],
)
def test_a_package_from_a_folder_cannot_be_installed_again(
    tmp_path: Path, direct_url: str, found: set[tuple[str, str]]
) -> None:
    place = tmp_path / "site-packages" / "shared-1.0.dist-info"
    place.mkdir(parents=True)
    (place / "METADATA").write_text("Metadata-Version: 2.1\nName: shared\nVersion: 1.0\n")
    (place / "direct_url.json").write_text(direct_url)
    store = tmp_path / "histhooks.db"
    path = os.pathsep.join(filter(None, [str(place.parent), os.environ.get("PYTHONPATH")]))
    code, _, err = run_program('import histhooks\nwith histhooks.start_run("a"):\n    pass\n', store, PYTHONPATH=path)
    assert code == 0, err
    with History(store) as history:
        one = told([history.check("last", only=["pkg.open"])])
        assert "shared" in history.run("last").packages
    assert {each for each in one.found if "shared" in one.says["pkg.open"]} == found


@pytest.fixture
def registered(tmp_path: Path) -> tuple[Path, Path]:
    """A store with a run whose model file is registered, and that file; written as the schema says."""
    store, model = tmp_path / "histhooks.db", tmp_path / "model.bin"
    model.write_bytes(b"weights")
    log = f'with histhooks.start_run("a") as run:\n    run.log_artifact({str(model)!r}, role="model")\n'
    code, _, err = run_program("import histhooks\n" + log, store)
    assert code == 0, err
    with closing(sqlite3.connect(store)) as connection:
        connection.execute(
            "INSERT INTO model_versions (id, session_id, ordinal, model, number, sha256, run_id, path, kept, "
            "author_sha256, time) SELECT 'v1', r.session_id, 0, 'churn', 1, a.sha256, r.id, ?, 0, '', 0 "
            "FROM runs AS r JOIN run_artifacts AS a ON a.run_id = r.id",
            (str(model),),
        )
        connection.commit()
    return store, model


def test_a_registered_file_that_is_gone_or_another_one_is_found(registered: tuple[Path, Path]) -> None:
    store, model = registered

    def check() -> Told:
        with History(store) as history:
            return told([history.check("last", only=["model.gone"])])

    assert check().passed == {"model.gone"}
    model.write_bytes(b"others!")
    assert check().found == {("model.gone", "fail")}
    assert check().says["model.gone"].endswith("has another content")
    model.unlink()
    assert check().says["model.gone"].endswith("is gone")
