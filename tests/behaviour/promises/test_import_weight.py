"""What `import histhooks` and `autolog()` bring into a program: nothing that it did not ask for."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from histhooks.testing import query

# The frameworks, and everything that takes long to import or fixes the number of threads (NumPy, and sqlite-utils by
# way of it). rich and click belong to the command line.
HEAVY = (
    "click",
    "keras",
    "lightning",
    "numpy",
    "pandas",
    "pytorch_lightning",
    "rich",
    "scipy",
    "sklearn",
    "sqlite_utils",
    "tensorflow",
    "torch",
    "xgboost",
)
READING = (
    "histhooks.cli", "histhooks.curate", "histhooks.export", "histhooks.history", "histhooks.migrations",
    "histhooks.verify",
)  # fmt: skip


def loaded_by(program: str) -> set[str]:
    """Modules that a program loads in a process of its own, those apart that any interpreter here begins with."""
    wrapped = f"import sys\nbefore = set(sys.modules)\n{program}\nimport json\n"
    wrapped += "print(json.dumps(sorted(set(sys.modules) - before)))"
    done = subprocess.run([sys.executable, "-c", wrapped], capture_output=True, text=True, check=True, timeout=300)
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    "program",
    [
        "import histhooks",
        "import histhooks; histhooks.autolog()",
        "import histhooks; histhooks.autolog(); histhooks.disable()",
        "import histhooks; histhooks.integrations",
        "import histhooks\nwith histhooks.start_run() as run: run.log({'loss': 0.5}, step=0)\nhisthooks.flush()",
    ],
    ids=["import", "autolog", "disable", "integrations", "a run"],
)
def test_recording_brings_in_no_framework_nothing_heavy_and_nothing_that_reads(
    program: str, store_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HISTHOOKS_STORE", str(store_path))
    loaded = loaded_by(program)
    assert "histhooks" in loaded
    assert {name.partition(".")[0] for name in loaded} & set(HEAVY) == set()
    assert loaded & set(READING) == set()


def test_autolog_makes_no_store_before_there_is_a_run(store_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HISTHOOKS_STORE", str(store_path))
    loaded_by("import histhooks; histhooks.autolog()")
    assert list(store_path.parent.glob("*.db*")) == []


def test_the_reading_side_is_there_when_it_is_asked_for() -> None:
    assert "histhooks.history" in loaded_by("import histhooks; histhooks.History")


WATCHED = """
import sys, threading
import histhooks
histhooks.autolog()
seen, main = [], threading.get_ident()
def watch(event, arguments):
    if threading.get_ident() == main and event in ("open", "subprocess.Popen", "os.posix_spawn", "sqlite3.connect"):
        seen.append([event, str(arguments[0])])
sys.addaudithook(watch)
with histhooks.start_run(tags={"team": "red"}) as run:
    run.log({"loss": 1.0})
    run.note("so far so good")
    histhooks.flush()
seen = [what for what in seen if not (what[1].startswith("/proc/") and what[1].endswith("/stat"))]  # who started whom
print([what for what in seen if not what[1].endswith((".py", ".pyc", ".so")) and ".pyc." not in what[1]])
"""


def test_a_programs_own_thread_opens_no_store_and_gathers_nothing(
    store_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HISTHOOKS_STORE", str(store_path))
    done = subprocess.run([sys.executable, "-c", WATCHED], capture_output=True, text=True, check=True, timeout=300)
    assert done.stdout == "[]\n"
    assert query(store_path, "SELECT environment_id IS NOT NULL FROM sessions") == [(1,)]
    sql = "SELECT t.author = s.actor, n.author = s.actor FROM sessions AS s, tags AS t, notes AS n"
    assert query(store_path, sql) == [(1, 1)]
