"""The record, scores, shapes of curves, code and GPUs: each planted fault is found, and its clean twin is silent."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.checked import Told, checked, told
from helpers.programs import UNTIL
from histhooks import History, checks
from histhooks.checks import Config
from histhooks.testing import run_program

LOGGED = """
import histhooks, math, random
rng = random.Random(0)

def curves(name, loss, val_loss=None, epochs=40):
    with histhooks.start_run(name) as run:
        for epoch in range(epochs):
            run.log({"loss": loss(epoch)}, epoch=epoch, step=epoch)
            if val_loss is not None:
                run.log({"val_loss": val_loss(epoch)}, epoch=epoch, step=epoch)

def falls(epoch):
    return 0.2 + math.exp(-epoch / 5)

curves("jumps", lambda epoch: rng.choice([0.4, 1.6]) + 0.1 * rng.random())
curves("noise around a fall", lambda epoch: falls(epoch) * (1 + 0.05 * rng.random()))
curves("stopped early", falls, lambda epoch: 2.0 * 0.9**epoch, epochs=15)
curves("levelled off", falls, falls, epochs=60)

def scored(name, n, accuracy):
    rows = [[float(row), float(row % 7)] for row in range(n)]
    with histhooks.start_run(name) as run:
        run.log_dataset("test", rows, [row % 2 for row in range(n)])
        run.log({"test_accuracy": accuracy})

scored("60 rows", 60, 0.9)
scored("1,000 rows", 1000, 0.9)
scored("no row is wrong", 300, 1.0)
scored("some rows are wrong", 300, 0.98)
histhooks.flush()
"""


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Told]:
    return checked(LOGGED, tmp_path_factory.mktemp("logged") / "histhooks.db")


@pytest.mark.parametrize(
    ("check", "fault", "twin"),
    [
        ("loss.unstable", "jumps", "noise around a fall"),
        ("fit.still_improving", "stopped early", "levelled off"),
        ("test.small", "60 rows", "1,000 rows"),
        ("score.perfect", "no row is wrong", "some rows are wrong"),
    ],
)
def test_a_fault_is_found_and_its_twin_is_silent(logged: dict[str, Told], check: str, fault: str, twin: str) -> None:
    assert (check, "info") in logged[fault].found
    assert check in logged[twin].passed
    assert (logged[fault].alarms, logged[twin].alarms) == (set(), set())


DROPS = """
import resource, time
import histhooks
with histhooks.start_run("drops") as run:
    histhooks.flush()
    resource.setrlimit(resource.RLIMIT_FSIZE, (ROOM, resource.RLIM_INFINITY))
    for step in range(60_000):
        run.log({"loss": 1 / (1 + step), "lr": 0.1}, step=step)
        if step % 5000 == 0:
            time.sleep(0.3)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
"""


@pytest.mark.parametrize(("room", "found"), [("400_000", {("rec.dropped", "warn")}), ("resource.RLIM_INFINITY", set())])
def test_points_that_were_lost_are_a_warning(room: str, found: set[tuple[str, str]], tmp_path: Path) -> None:
    store = tmp_path / "histhooks.db"
    variables = {"HISTHOOKS_BUFFER_MB": "4", "HISTHOOKS_STRICT": "0"}
    code, _, err = run_program(DROPS.replace("ROOM", room), store, **variables)
    assert code == 0, err
    with History(store) as history:
        one = told([history.check("last", only=["rec.dropped"])])
    assert one.found == found
    assert all(says.endswith("points were dropped") for says in one.says.values())


CAPTURES = """
import histhooks

with histhooks.start_run("a gap") as run:
    histhooks.recorder.note_capture("results", "failed", "of another collector", run=run)
    histhooks.recorder.note_capture("weights", "failed", "the device is gone", run=run)
with histhooks.start_run("a part") as run:
    histhooks.recorder.note_capture("weights", "truncated", "the first 2,000 tensors", run=run)
with histhooks.start_run("nothing") as run:
    histhooks.recorder.note_capture("gpu_use", "skipped", "no GPU", run=run)
"""


def test_what_was_not_gathered_is_named(tmp_path: Path) -> None:
    one = checked(CAPTURES, tmp_path / "histhooks.db")
    assert ("rec.capture", "warn") in one["a gap"].found
    assert one["a gap"].says["rec.capture"] == "failed to be gathered: weights (the device is gone)"
    assert one["a part"].found == {("rec.capture", "info")}
    assert "rec.capture" in one["nothing"].passed


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ("", set()),
        ("x = 2\n", {("code.dirty", "info")}),
        ("x = 2\n" + "y = 'a line that is long enough'\n" * 40_000, {("code.dirty", "warn")}),
    ],
    ids=["clean", "kept whole", "cut"],
)
def test_code_that_differs_from_its_commit(change: str, found: set[tuple[str, str]], tmp_path: Path) -> None:
    work = tmp_path / "repository"
    work.mkdir()
    (work / "train.py").write_text("import histhooks\nwith histhooks.start_run('a'):\n    pass\n")
    (work / "lib.py").write_text("x = 1\n")
    person = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    for command in (["init", "-q"], ["add", "."], [*person, "commit", "-q", "-m", "first"]):
        subprocess.run(["git", *command], cwd=work, check=True)
    if change:
        (work / "lib.py").write_text(change)
    store = tmp_path / "histhooks.db"
    program = "import runpy, os\nos.chdir('repository')\nrunpy.run_path('train.py', run_name='__main__')\n"
    code, _, err = run_program(program, store)
    assert code == 0, err
    with History(store) as history:
        one = told([history.check("last", only=["code.dirty"])])
    assert one.found == found
    assert ("code.dirty" in one.passed) is (not found)


def test_code_of_a_repository_without_a_commit_is_known_to_be_kept(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("import histhooks\nwith histhooks.start_run('a'):\n    pass\n")
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    command = [sys.executable, "train.py"]
    subprocess.run(command, cwd=tmp_path, env={**os.environ, "HISTHOOKS_STORE": "histhooks.db"}, check=True)
    with History(tmp_path / "histhooks.db") as history:
        one = told([history.check("last", only=["code.dirty"])])
    assert one.found == {("code.dirty", "info")}
    assert one.says["code.dirty"] == "the repository has no commit yet; 1 file of it kept whole"


GPU = """
import sys, time, types

class Use:
    gpu, used = PERCENT, 1 << 30

class NVMLError(Exception):
    pass

machine = types.ModuleType("pynvml")
machine.NVMLError, machine.nvmlInit, machine.nvmlDeviceGetCount = NVMLError, lambda: None, lambda: 1
machine.nvmlDeviceGetHandleByIndex = lambda number: number
machine.nvmlDeviceGetUtilizationRates = machine.nvmlDeviceGetMemoryInfo = lambda handle: Use
sys.modules["pynvml"] = machine
import histhooks
with histhooks.start_run("watched") as run:
    for step in range(30):
        run.log({"loss": 1.0}, step=step)
        time.sleep(0.1)
    until("SELECT 1 FROM metric_summaries WHERE name = 'system/gpu0_percent'")
"""


@pytest.mark.parametrize(("percent", "found"), [(12, {("res.idle", "info")}), (85, set()), (0, set())])
def test_a_gpu_that_waited_is_information(percent: int, found: set[tuple[str, str]], tmp_path: Path) -> None:
    store = tmp_path / "histhooks.db"
    code, _, err = run_program(UNTIL + GPU.replace("PERCENT", str(percent)), store, HISTHOOKS_SYSTEM_S="0.2")
    assert code == 0, err
    with History(store) as history:
        run = history.run("last")
        assert any(row["name"] == "system/gpu0_percent" for row in run.summaries)
        short = checks.check(run, only=["res.idle"], config=Config())
        long = checks.check(run, only=["res.idle"], config=Config(thresholds={"res.idle": {"seconds": 1.0}}))
    assert "res.idle" in short.does_not_apply  # three seconds say nothing
    assert {(one.id, one.level) for one in long.findings} == found
    assert (long.passed == ("res.idle",)) is (not found)
