"""What every test has: a folder and an environment of its own, and failures of ours that are raised, not swallowed."""

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from histhooks._host.settings import SETTINGS

pytest.register_assert_rewrite("helpers")

# Keras reads it once, when it is imported; constraints.txt holds the version of torch.
os.environ["KERAS_BACKEND"] = "torch"

# Tests run beside each other and train small models, where threads of a pool spin while they wait for a core. NumPy,
# torch and XGBoost read it when they are imported; a test that asks about threads sets its own.
os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")

# It is a seed that every run would have, also those of fixtures.
os.environ.pop("PYTHONHASHSEED", None)

# A hook of git runs them with the repository that it belongs to, and git does as the account likes it.
for name in [name for name in os.environ if name.startswith("GIT_")]:
    del os.environ[name]
os.environ.update(GIT_CONFIG_GLOBAL=os.devnull, GIT_CONFIG_NOSYSTEM="1")

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
    "SLURM_ARRAY_TASK_ID",
    "PBS_JOBID",
    "LSB_JOBID",
    "AWS_BATCH_JOB_ID",
    # who somebody is
    "GITHUB_ACTOR",
    "GITLAB_USER_LOGIN",
    "CIRCLE_USERNAME",
    "BUILD_USER_ID",
    "BUILDKITE_BUILD_CREATOR",
    # how wide a screen is
    "COLUMNS",
    "LINES",
)
# Use of the machine is sampled after ten seconds, which only a slow machine takes for most tests; those that ask about
# it set their own.
NO_SAMPLES = {"HISTHOOKS_SYSTEM_S": "3600"}

# Fixtures of a whole module have no other place for it.
for name in OUTSIDE:
    os.environ.pop(name, None)
os.environ.update(NO_SAMPLES)

# One example may take longer on a busy machine than the fifth of a second that Hypothesis allows.
with contextlib.suppress(ImportError):
    from hypothesis import HealthCheck, settings

    left_out = {*settings().suppress_health_check, HealthCheck.too_slow}
    settings.register_profile("any machine", settings(), deadline=None, suppress_health_check=list(left_out))
    settings.load_profile("any machine")


@pytest.fixture(scope="session", autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What fixtures of a whole module record leaves nothing in the home of who runs the tests."""
    home = tmp_path_factory.mktemp("home")
    os.environ.update(
        XDG_DATA_HOME=str(home / "data"), XDG_STATE_HOME=str(home / "state"), XDG_CACHE_HOME=str(home / "cache")
    )


@pytest.fixture(scope="session", autouse=True)
def words_of_both_engines(own_home: None) -> Iterator[None]:
    """What the reading code asks SQLite in any test, PostgreSQL would answer too; where one is named."""
    if not os.environ.get("HISTHOOKS_TEST_POSTGRESQL"):
        yield
        return
    from helpers.both_engines import check, remembered

    with remembered() as asked:
        yield
    check(asked)


@pytest.fixture(autouse=True)
def own_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Run the test, and each process that it starts, in an empty folder with settings of its own."""
    for name in OUTSIDE:
        monkeypatch.delenv(name, raising=False)
    for name, value in NO_SAMPLES.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HISTHOOKS_STRICT", "1")
    monkeypatch.setenv("HISTHOOKS_QUIET", "1")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home" / "data"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "home" / "state"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home" / "cache"))
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    yield
    from helpers.sessions import end_session

    end_session()


@pytest.fixture
def store_path(tmp_path: Path) -> Path:
    """Where a test may make its store; nothing is there yet."""
    return tmp_path / "histhooks.db"


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of a repository in which real trainings were recorded (`trainings.make`); only to be read."""
    from helpers import trainings

    return trainings.make(tmp_path_factory.mktemp("trained"))


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """The address of a PostgreSQL database: a server of these tests, or what HISTHOOKS_TEST_POSTGRESQL names."""
    from helpers.postgresql import ANOTHER, server

    if os.environ.get(ANOTHER):
        pytest.importorskip("psycopg")
        yield os.environ[ANOTHER]
        return
    with server() as started:
        yield started.address


@pytest.fixture
def target(postgresql: str) -> str:
    """A target of a team that is made and empty."""
    from uuid import uuid4

    from histhooks import team

    address = f"{postgresql}{'&' if '?' in postgresql else '?'}histhooks_schema=hh_{uuid4().hex[:12]}"
    team.init(address)
    return address


@pytest.fixture(scope="session")
def template(postgresql: str) -> Iterator[str]:
    """A database of that server with the schema of a target, of which copies are made."""
    from helpers.engines import template_of

    with template_of(postgresql) as name:
        yield name


@pytest.fixture(scope="module")
def engine(request: pytest.FixtureRequest) -> Iterator[str]:
    """What tests of reading ask: files, or databases that have what the files have (`helpers.engines`)."""
    name = getattr(request, "param", "sqlite")
    if name == "sqlite":
        yield name
        return
    from helpers.engines import read_there

    with read_there(request.getfixturevalue("postgresql"), request.getfixturevalue("template")):
        yield name
