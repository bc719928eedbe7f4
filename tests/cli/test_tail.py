"""``tail``: follows real processes that train, and ends as they do."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from helpers.terminals import COMMAND, ask, ask_on_terminal, environment
from histhooks import History
from histhooks.testing import run_program

# Goes on by a line on its standard input: a step a line, so that nothing depends on how fast the machine is.
TRAIN = """
import sys
import histhooks
with histhooks.start_run("training", params={"max_steps": 40}) as run:
    step = 0
    for line in sys.stdin:
        word = line.strip()
        if word == "fail":
            raise ValueError("no good")
        if word == "event":
            run.event("milestone", "half of it", severity="warning")
        if word == "stop":
            break
        if word.isdigit():
            for _ in range(int(word)):
                run.log({"loss": float("nan") if step == 13 else 1 / (step + 1)}, step=step)
                step += 1
        histhooks.flush()
        print(step, flush=True)
"""


class Training:
    """A program that trains as it is told."""

    def __init__(self, store: Path, **variables: str) -> None:
        ours = {"HISTHOOKS_STORE": str(store), "HISTHOOKS_QUIET": "1", **variables}
        self.process = subprocess.Popen(
            [sys.executable, "-c", TRAIN],
            env={**environment(), **ours}, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip

    def tell(self, word: str) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()
        if word not in ("fail", "stop"):
            assert self.process.stdout.readline().strip().isdigit()

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate(timeout=60)


class Tail:
    """``tail`` beside it."""

    def __init__(self, *words: str | Path) -> None:
        self.process = subprocess.Popen(
            [*COMMAND, "tail", *map(str, words), "--every", "0.05"],
            env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.lines: list[str] = []

    def until(self, is_it: Callable[[str], bool]) -> str:
        """Read until a line that is it."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))
            if is_it(line):
                return line
        raise AssertionError(f"it ended before: {self.lines}")

    def rest(self) -> tuple[int, str]:
        out, err = self.process.communicate(timeout=60)
        self.lines += out.splitlines()
        return self.process.returncode, err


@pytest.fixture
def training(store_path: Path) -> Iterator[Training]:
    started = Training(store_path)
    yield started
    started.end()


def test_it_follows_the_running_run_and_ends_with_it(store_path: Path, training: Training) -> None:
    training.tell("10")
    tail = Tail(store_path)
    tail.until(lambda line: line.startswith("training  block  running"))
    assert tail.until(lambda line: line.startswith("step ")).startswith("step 10 of 40, 25 %")
    tail.until(lambda line: "loss  0.1  best 0.1 at step 9" in line)
    training.tell("10")
    line = tail.until(lambda line: "step 20 of 40" in line)
    assert "loss 0.05" in line
    training.tell("event")
    tail.until(lambda line: "warning: half of it" in line)
    training.tell("stop")
    code, err = tail.rest()
    assert (code, err) == (0, "")
    assert tail.lines[-1].startswith("finished after ")


def test_json_is_an_object_a_line_with_every_new_point(store_path: Path, training: Training) -> None:
    training.tell("10")
    tail = Tail(store_path, "training", "--json")
    tail.until(lambda line: json.loads(line)["type"] == "progress")
    training.tell("10")
    tail.until(lambda line: json.loads(line)["type"] == "progress")
    training.tell("fail")
    code, _ = tail.rest()
    told = [json.loads(line) for line in tail.lines]
    assert code == 1
    assert [told[0]["type"], told[-1]["type"]] == ["run", "end"]
    assert (told[0]["status"], told[0]["metrics"][0]["count"]) == ("running", 10)
    points = [line for line in told if line["type"] == "point"]
    assert [point["step"] for point in points] == list(range(10, 20))
    assert (points[3]["value"], points[3]["special"], points[4]["value"]) == (None, "nan", 1 / 15)
    progress = [line for line in told if line["type"] == "progress"]
    assert [(p["steps_done"], p["steps_planned"], p["share"]) for p in (progress[0], progress[-1])] == [
        (10, 40, 0.25),
        (20, 40, 0.5),
    ]
    assert (told[-1]["status"], told[-1]["error_type"]) == ("failed", "ValueError")


def test_a_run_whose_process_is_killed_is_over_though_nobody_writes_it(store_path: Path, training: Training) -> None:
    training.tell("5")
    tail = Tail(store_path)
    tail.until(lambda line: "loss" in line)
    training.process.send_signal(signal.SIGKILL)
    training.process.wait(timeout=60)
    assert tail.rest()[0] == 1
    assert tail.lines[-1].startswith("killed after ")
    code, out, err = ask("tail", store_path)
    assert code == 1
    assert "nothing is running" in err
    assert out.startswith("training  block  killed")


def test_it_follows_a_run_through_its_spool(store_path: Path) -> None:
    training = Training(store_path, HISTHOOKS_NETWORK="1")
    try:
        training.tell("10")
        tail = Tail(store_path)
        tail.until(lambda line: "step 10 of 40" in line)
        training.tell("10")
        tail.until(lambda line: "step 20 of 40" in line)
        training.tell("stop")
        assert tail.rest()[0] == 0
        assert tail.lines[-1].startswith("finished")
    finally:
        training.end()


def test_once_tells_where_it_stands(store_path: Path, training: Training) -> None:
    training.tell("10")
    code, out, _ = ask("tail", store_path, "--once")
    assert (code, "step 10 of 40, 25 %" in out, "left" in out or "steps/s" in out) == (0, True, True)
    code, out, _ = ask("tail", store_path, "--once", "--json")
    assert [json.loads(line)["type"] for line in out.splitlines()] == ["run", "progress"]
    training.tell("fail")
    training.process.wait(timeout=60)
    code, out, err = ask("tail", store_path, "--once")
    assert (code, "nothing is running" in err) == (1, True)
    assert out.splitlines()[-1].startswith("failed after")
    assert out.splitlines()[-1].endswith("ValueError: no good")


def test_ctrl_c_leaves_quietly(store_path: Path, training: Training) -> None:
    training.tell("1")
    tail = Tail(store_path)
    tail.until(lambda line: "loss" in line)
    tail.process.send_signal(signal.SIGINT)
    code, err = tail.rest()
    assert (code, err.strip()) == (130, "")
    assert training.process.poll() is None


def test_on_a_terminal_the_picture_stays_in_its_place(store_path: Path) -> None:
    program = "import histhooks\nwith histhooks.start_run('done') as run:\n for n in range(50): run.log({'loss': -n})"
    code, _, err = run_program(program, store_path)
    assert code == 0, err
    code, shown = ask_on_terminal("tail", store_path, "done", columns=80)
    assert code == 0
    for word in ("done", "finished", "loss", "-49", "█", "finished after"):
        assert word in shown
    with pytest.raises(json.JSONDecodeError):
        json.loads(shown)


def test_what_is_not_there_is_exit_code_2(store_path: Path) -> None:
    assert ask("tail", store_path)[0] == 2
    code, _, err = run_program("import histhooks\nwith histhooks.start_run('one'): pass", store_path)
    assert code == 0, err
    code, out, err = ask("tail", store_path, "nobody")
    assert (code, out) == (2, "")
    assert "no run is 'nobody'" in err
    assert ask("tail", store_path, "one", "two")[0] == 2


def test_python_follows_too(store_path: Path, training: Training) -> None:
    training.tell("10")
    with History(store_path) as history:
        looks = history.run("training").follow(0.05, from_start=True)
        first = next(looks)
        assert [point.step for _, point in first.points] == list(range(10))
        training.tell("5")
        later = next(update for update in looks if update.points)
        assert [(name, point.step) for name, point in later.points] == [("loss", step) for step in range(10, 15)]
        assert (later.progress.steps_done, later.is_over) == (15, False)
        training.tell("stop")
        *_, last = looks
        assert (last.is_over, last.run.status, last.progress.left_s) == (True, "finished", None)
