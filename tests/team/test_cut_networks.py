"""Networks that lead nowhere or are cut while something is sent; each in a namespace of its own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import pytest

from helpers.postgresql import ask_target, server
from histhooks import team
from histhooks.team.postgres.address import Database, target_of
from histhooks.team.postgres.connecting import _IF_CUT, connect
from histhooks.team.postgres.witnessing import verify_database
from histhooks.testing import run_program

pytest.importorskip("psycopg")
# Brings a socket of the file system to a network; stops for good after some bytes, if that is asked for.
FORWARD = """
import socket, sys, threading
host, path, most = sys.argv[1], sys.argv[2], int(sys.argv[3])
listening = socket.create_server((host, 5432))
print("ready", flush=True)
def pump(source, sink, left):
    while data := source.recv(4096):
        sink.sendall(data)
        left -= len(data)
        if left <= 0:
            print("stopped", flush=True)
            threading.Event().wait()
    sink.close()
while True:
    there, _ = listening.accept()
    behind = socket.socket(socket.AF_UNIX)
    behind.connect(path)
    threading.Thread(target=pump, args=(there, behind, most), daemon=True).start()
    threading.Thread(target=pump, args=(behind, there, 1 << 40), daemon=True).start()
"""


# Listens and answers nobody: its queue is full, so that Linux drops what else comes without a word.
HOLE = """
import socket, time
listening = socket.socket()
listening.bind(("127.0.0.9", 5432))
listening.listen(0)
waiting = []
for _ in range(3):
    waiting.append(socket.socket())
    waiting[-1].setblocking(False)
    waiting[-1].connect_ex(("127.0.0.9", 5432))
print("ready", flush=True)
time.sleep(3600)
"""


class Network(NamedTuple):
    """A namespace in which nothing but this machine can be reached, and not even that if its cable is pulled."""

    name: str

    def run(self, *words: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
        command = ["ip", "netns", "exec", self.name, *map(str, words)]
        return subprocess.run(command, env={**os.environ, **variables}, capture_output=True, text=True, check=False)

    def cable(self, state: str) -> None:
        assert self.run("ip", "link", "set", "lo", state).returncode == 0

    @contextmanager
    def program(self, *words: str) -> Iterator[subprocess.Popen[str]]:
        """A program in it, which is ready."""
        command = ["ip", "netns", "exec", self.name, sys.executable, "-c", *words]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            try:
                yield process
            finally:
                process.kill()

    def push(self, store: Path, target: str, folder: Path) -> tuple[int, str, str]:
        words = (sys.executable, "-m", "histhooks", "push", store, "--to", target)
        done = self.run(*words, XDG_STATE_HOME=str(folder / "state"))
        return done.returncode, done.stdout, done.stderr


@pytest.fixture
def network() -> Iterator[Network]:
    if shutil.which("ip") is None or os.geteuid() != 0:
        pytest.skip("network namespaces are made by root, with ip")
    made = Network(f"hh{os.getpid()}-{os.urandom(3).hex()}")
    done = subprocess.run(["ip", "netns", "add", made.name], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no network namespaces here: {done.stderr.strip()}")
    try:
        made.cable("up")
        yield made
    finally:
        left = subprocess.run(["ip", "netns", "pids", made.name], capture_output=True, text=True, check=True)
        for pid in map(int, left.stdout.split()):  # of pushes that still try
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        subprocess.run(["ip", "netns", "del", made.name], capture_output=True, check=False)


TRAIN = """
import histhooks
with histhooks.start_run("loop", params={"lr": 0.1}) as run:
    for step in range(20):
        run.log({"loss": 1 / (step + 1)})
print("trained")
raise SystemExit(3)
"""


@pytest.mark.parametrize(
    ("host", "reason"), [("127.0.0.9", "no answer in time"), ("10.99.9.9", "there is no way to that host")]
)
def test_a_network_that_leads_nowhere_costs_the_program_nothing(
    network: Network, tmp_path: Path, host: str, reason: str
) -> None:
    store, target = tmp_path / "histhooks.db", f"postgresql://ann@{host}/ml"
    variables = {
        "HISTHOOKS_STORE": str(store), "HISTHOOKS_QUIET": "1", "HISTHOOKS_STRICT": "1", "HISTHOOKS_TEAM": target,
        "XDG_STATE_HOME": str(tmp_path / "state"),
        "PGCONNECT_TIMEOUT": "600",  # who waited for it would not be here in time
    }  # fmt: skip
    with network.program(HOLE):
        for push in ("end", "live"):
            done = network.run(sys.executable, "-W", "ignore", "-c", TRAIN, HISTHOOKS_PUSH=push, **variables)
            assert (done.returncode, done.stdout, done.stderr) == (3, "trained\n", "")
        code, said, errors = network.push(store, f"{target}?connect_timeout=2", tmp_path)
    assert (code, said) == (2, "")
    assert reason in errors
    assert "it waits in the store" in errors
    assert errors.count("\n") == 1


def test_a_cable_that_is_pulled_ends_a_push_and_the_next_one_sends_the_rest(network: Network, tmp_path: Path) -> None:
    store = tmp_path / "histhooks.db"
    run_program(TRAIN, store)
    patience = "keepalives_idle=1&keepalives_interval=1&keepalives_count=2&tcp_user_timeout=3000"
    far = f"postgresql://postgres@127.0.0.1/postgres?sslmode=disable&{patience}"
    with server() as started:
        team.init(started.address)
        database = target_of(started.address)
        assert isinstance(database, Database)
        path = str(started.folder / ".s.PGSQL.5432")
        with network.program(FORWARD, "127.0.0.1", path, "9000") as forwarding:
            words = [sys.executable, "-m", "histhooks", "push", str(store), "--to", far]
            command = ["ip", "netns", "exec", network.name, *words]
            with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as pushing:
                assert forwarding.stdout is not None
                assert forwarding.stdout.readline() == "stopped\n"
                network.cable("down")
                _, errors = pushing.communicate(timeout=300)
        assert pushing.returncode == 2
        assert "the connection was lost" in errors
        assert "nothing is lost, push again later" in errors
        assert errors.count("\n") == 1
        network.cable("up")
        with closing(connect(database)) as connection:  # what is asked for where no address says otherwise
            assert connection.info.get_parameters().items() >= _IF_CUT.items()
        assert ask_target(started.address, "SELECT count(*) FROM runs") == [(0,)]
        with network.program(FORWARD, "127.0.0.1", path, str(1 << 40)):
            code, said, errors = network.push(store, far, tmp_path)
        assert (code, errors) == (0, "")
        assert "1 run" in said
        assert verify_database(database).problems == []


def test_a_namespace_without_any_network_records_as_elsewhere(tmp_path: Path) -> None:
    unshare = shutil.which("unshare")
    if unshare is None or subprocess.run([unshare, "-n", "true"], capture_output=True, check=False).returncode:
        pytest.skip("unshare -n is not allowed here")
    store = tmp_path / "histhooks.db"
    variables = {"HISTHOOKS_STORE": str(store), "HISTHOOKS_TEAM": "postgresql://db.example/ml", "HISTHOOKS_QUIET": "1"}
    environment = {**os.environ, **variables, "XDG_STATE_HOME": str(tmp_path / "state")}
    command = [unshare, "-n", sys.executable, "-W", "ignore", "-c", TRAIN]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (3, "trained\n", "")
    words = [sys.executable, "-m", "histhooks", "runs", str(store), "--json"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert [run["status"] for run in json.loads(done.stdout)] == ["finished"]
