"""What every test has: a folder and an environment of its own, and failures of ours that are raised, not swallowed."""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from histhooks._host.settings import SETTINGS

pytest.register_assert_rewrite("helpers")

# Keras reads it once, when it is imported; constraints.txt holds the version of torch.
os.environ["KERAS_BACKEND"] = "torch"

# It is a seed that every run would have, also those of fixtures.
os.environ.pop("PYTHONHASHSEED", None)

# A shell starts what runs in its background deaf to Ctrl-C, and the programs that tests start would be deaf too.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# What a developer's shell, a batch system or CI may have set, and a test must not see.
OUTSIDE = (
    *(setting.name for setting in SETTINGS),
    "RANK",
    "LOCAL_RANK",
    "WORLD_SIZE",
    "SLURM_PROCID",
    "SLURM_JOB_ID",
    "SLURM_ARRAY_JOB_ID",
)


@pytest.fixture(scope="session", autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What fixtures of a whole module record leaves nothing in the home of who runs the tests."""
    home = tmp_path_factory.mktemp("home")
    os.environ.update(XDG_DATA_HOME=str(home / "data"), XDG_STATE_HOME=str(home / "state"))


@pytest.fixture(autouse=True)
def own_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Run the test, and each process that it starts, in an empty folder with settings of its own."""
    for name in OUTSIDE:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HISTHOOKS_STRICT", "1")
    monkeypatch.setenv("HISTHOOKS_QUIET", "1")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home" / "data"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "home" / "state"))
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    yield
    end_session()


def end_session() -> None:
    """End what the test recorded in this process, so that the next one begins a session and a store of its own."""
    if "histhooks._record.engine" not in sys.modules:
        return
    import histhooks
    from histhooks._host import messages
    from histhooks._host.store_location import Settings
    from histhooks._record.engine import engine

    histhooks.disable()
    engine.finish("finished")
    engine.settings = Settings()
    engine.reset()
    messages.forget()


@pytest.fixture
def store_path(tmp_path: Path) -> Path:
    """Where a test may make its store; nothing is there yet."""
    return tmp_path / "histhooks.db"


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of a repository in which real trainings were recorded (`trainings.make`); only to be read."""
    from helpers import trainings

    return trainings.make(tmp_path_factory.mktemp("trained"))
