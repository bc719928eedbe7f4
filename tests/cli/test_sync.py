"""`sync` merges what waits beside a store, and pushes it where a target is named."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from helpers.team_stores import World, runs_of
from helpers.terminals import COMMAND, ask, environment
from histhooks import History


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store, and a session that waits beside it."""
    world = World(tmp_path / "world")
    world.do("train", 0, 1)
    world.do("spool", 0, 1)
    return world.files[0]


def test_without_a_target_it_merges_and_pushes_nothing(store: Path) -> None:
    code, said, _ = ask("sync", str(store), "--json")
    found = json.loads(said)
    assert code == 0
    assert (len(found["merged"]), found["left"], found["pushed"]) == (1, [], None)
    code, said, _ = ask("sync", str(store))
    assert said == f"nothing to merge into {store}\n"


def test_with_a_target_it_pushes_what_came_home_too(store: Path, tmp_path: Path) -> None:
    target = f"folder:{tmp_path / 'shared'}"
    code, said, _ = ask("sync", str(store), "--to", target)
    assert code == 0
    assert said.splitlines()[0] == f"merged 1 session into {store}"
    assert said.splitlines()[1].startswith("sent ")
    assert len(History(target).runs(is_nested=None)) == len(runs_of(store))
    code, said, _ = ask("sync", str(store), "--to", target, "--json")
    assert (code, json.loads(said)["pushed"]["lines"]) == (0, 0)
    code, _, errors = ask("sync", str(store), "--to", f"folder:{tmp_path}/no/where")
    assert code == 2
    assert "no folder" in errors


def test_the_target_of_the_environment_is_pushed_to(store: Path, tmp_path: Path) -> None:
    variables = {**environment(), "HISTHOOKS_TEAM": f"folder:{tmp_path / 'shared'}"}
    done = subprocess.run([*COMMAND, "sync", str(store)], env=variables, capture_output=True, text=True, check=True)
    assert "sent " in done.stdout


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_watch_sends_what_comes_and_ends_cleanly(store: Path, tmp_path: Path, number: signal.Signals) -> None:
    target = tmp_path / "shared"
    command = [*COMMAND, "sync", str(store), "--to", f"folder:{target}", "--watch", "--every", "200ms"]
    process = subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("merged 1 session")
        assert process.stdout.readline().startswith("sent ")
        assert ask("tag", "--store", str(store), runs_of(store)[0], "a=b")[0] == 0
        assert process.stdout.readline().startswith("sent ")
    finally:
        os.kill(process.pid, number)
        _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")


def test_what_was_recorded_last_is_sent_at_the_end(store: Path, tmp_path: Path) -> None:
    target = f"folder:{tmp_path / 'shared'}"
    command = [*COMMAND, "sync", str(store), "--to", target, "--watch", "--every", "10m"]
    process = subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline().startswith("merged 1 session")
    assert process.stdout.readline().startswith("sent ")
    assert ask("tag", "--store", str(store), runs_of(store)[0], "last=1")[0] == 0
    process.terminate()
    said, _ = process.communicate(timeout=60)
    assert (process.returncode, said.startswith("sent ")) == (0, True)
    assert History(target).run(runs_of(store)[0]).tags["last"] == "1"


def test_watch_waits_for_a_folder_that_is_not_there_yet(store: Path, tmp_path: Path) -> None:
    share = tmp_path / "mount"
    command = [*COMMAND, "sync", str(store), "--to", f"folder:{share}/runs", "--watch", "--every", "100ms"]
    process = subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        assert "no folder" in process.stderr.readline()
        share.mkdir()
        end = time.monotonic() + 60
        while not (share / "runs").is_dir() and time.monotonic() < end:
            time.sleep(0.1)
        assert process.stdout is not None
        assert any(line.startswith("sent ") for line in iter(process.stdout.readline, ""))
    finally:
        process.terminate()
        process.communicate(timeout=60)
    assert process.returncode == 0
