"""Loops of many kinds, as people write them: the record has the losses of each, and each program is as without us."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

Told = dict[str, dict[str, Any]]
# Threads take turns as they like, so what they draw does not come out alike twice.
UNLIKE = {"gans_in_threads", "loops_that_begin_together", "tasks_of_a_pool_of_which_some_fail"}


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[Told, Told]:
    """What each program says of itself, plain and recorded."""
    folder = tmp_path_factory.mktemp("programs")
    ours = {"HISTHOOKS_STORE": str(folder / "histhooks.db"), "HISTHOOKS_QUIET": "1", "HISTHOOKS_STRICT": "1"}
    command = [sys.executable, "-W", "ignore", str(Path(__file__).with_name("torch_programs.py"))]
    started = [
        subprocess.Popen(command, env={**os.environ, **ours, **more}, cwd=folder, text=True, stdout=subprocess.PIPE)
        for more in ({}, {"HISTHOOKS_HERE": "1"})
    ]
    found: list[Told] = []
    for process in started:
        out, _ = process.communicate(timeout=300)
        assert process.returncode == 0
        found.append({line["name"]: line for line in map(json.loads, out.splitlines())})
    return found[0], found[1]


def names() -> list[str]:
    text = Path(__file__).with_name("torch_programs.py").read_text()
    return [part.partition("def ")[2].partition("(")[0] for part in text.split("\n@program\n")[1:]]


@pytest.mark.parametrize("name", names())
def test_each_step_has_its_loss_and_the_program_is_as_without_us(told: tuple[Told, Told], name: str) -> None:
    plain, here = (one[name] for one in told)
    if name not in UNLIKE:
        assert (here["gave"], here["state"]) == (plain["gave"], plain["state"])
    gave, record = here["gave"], here["record"]
    left = list(record["series"].values())
    for series in gave["series"]:
        wanted = [[step, loss] for step, loss in enumerate(series)]
        assert wanted in left, (wanted, record["series"])
        left.remove(wanted)
    assert sorted(loss for series in left for _, loss in series) == sorted(gave["inner"]), record["series"]
    assert len(record["statuses"]) <= gave["most_runs"]
    assert record["statuses"] == gave.get("statuses", record["statuses"])
