"""What a session runs on, and that the same machine is told once."""

import json
import os
import platform
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from histhooks._collect import environment as _environment
from histhooks.testing import query, run_program

PROGRAM = """
import histhooks
for name in ("a", "b"):
    with histhooks.start_run(name):
        pass
"""


def test_environment_and_packages_are_kept_once_for_all_sessions(store_path: Path) -> None:
    for _ in range(2):
        code, _, err = run_program(PROGRAM, store_path, OMP_NUM_THREADS="1", CUDA_VISIBLE_DEVICES="", SECRET_SAUCE="x",
                                   MKL_CBWR="COMPATIBLE", HF_TOKEN="hf_x", TORCH_HOME="/t")  # fmt: skip
        assert code == 0, err
    ((key, python, machine, details),) = query(store_path, "SELECT id, python, machine, details FROM environments")
    assert python == f"{platform.python_implementation()} {platform.python_version()}"
    assert machine == platform.machine()
    facts = json.loads(str(details))
    assert facts["variables"]["OMP_NUM_THREADS"] == "1"
    assert facts["variables"]["CUDA_VISIBLE_DEVICES"] == ""
    assert "SECRET_SAUCE" not in facts["variables"]
    assert facts["variables"]["MKL_CBWR"] == "COMPATIBLE"
    assert not {"HF_TOKEN", "TORCH_HOME"} & facts["variables"].keys()
    if platform.machine() == "x86_64" and sys.platform == "linux":
        assert "sse4_2" in facts["cpu_flags"].split()
    packages = dict(query(store_path, f"SELECT name, version FROM packages WHERE environment_id = '{key}'"))
    assert packages["numpy"] == metadata.version("numpy")
    assert query(store_path, "SELECT DISTINCT environment_id FROM sessions") == [(key,)]


def test_the_page_lists_the_variables_that_are_read() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "guide" / "secrets.md").read_text(encoding="utf-8")
    assert [name for name in _environment.VARIABLES if f"`{name}`" not in page] == []


def test_every_collector_says_what_came_of_it(store_path: Path) -> None:
    code, _, err = run_program(PROGRAM, store_path)
    assert code == 0, err
    told = dict(query(store_path, "SELECT collector, status FROM captures"))
    assert {"environment", "packages", "gpus", "git"} <= told.keys()
    assert set(told.values()) <= {"ok", "skipped", "failed", "truncated", "off"}
    unexplained = query(store_path, "SELECT collector FROM captures WHERE status <> 'ok' AND note IS NULL")
    assert unexplained == []


def test_a_machine_that_has_no_accelerator_lacks_nothing(store_path: Path) -> None:
    places = ("/proc/driver/nvidia", "/dev/nvidiactl", "/dev/kfd", "/dev/dxg")
    if sys.platform != "linux" or shutil.which("nvidia-smi") or any(Path(place).exists() for place in places):
        pytest.skip("this machine may have an accelerator")
    code, _, err = run_program(PROGRAM, store_path, HISTHOOKS_QUIET="0")
    assert code == 0, err
    assert query(store_path, "SELECT status FROM captures WHERE collector = 'gpus'") == [("ok",)]
    assert query(store_path, "SELECT gpus FROM environments") == [("[]",)]
    assert "gpus" not in err


def test_who_acts_is_what_was_said(store_path: Path) -> None:
    code, _, err = run_program(PROGRAM, store_path, HISTHOOKS_ACTOR="night build")
    assert code == 0, err
    assert query(store_path, "SELECT actor, actor_source FROM sessions") == [("night build", "HISTHOOKS_ACTOR")]


def test_a_batch_job_is_told_by_its_number(store_path: Path) -> None:
    code, _, err = run_program(PROGRAM, store_path, SLURM_JOB_ID="17", SLURM_ARRAY_TASK_ID="3", SLURM_ARRAY_JOB_ID="17")
    assert code == 0, err
    assert query(store_path, "SELECT kind, job_id FROM sessions") == [("job", "17_3")]
    assert query(store_path, "SELECT DISTINCT group_name FROM runs") == [("17",)]


def test_nothing_is_gathered_on_the_thread_that_trains(store_path: Path) -> None:
    program = """
import threading
from histhooks._collect import code as _code
from histhooks._collect import environment as _environment
from histhooks._collect import origin
seen = []
def watched(module):
    gather = module.gather
    def watching(*args, **kwargs):
        seen.append((module.__name__, threading.current_thread() is threading.main_thread()))
        return gather(*args, **kwargs)
    module.gather = watching
for module in (_code, _environment, origin):
    watched(module)
import histhooks
with histhooks.start_run("a"):
    histhooks.flush()
import time
until = time.monotonic() + 60
while len({name for name, _ in seen}) < 3 and time.monotonic() < until: time.sleep(0.02)
assert {name for name, _ in seen} == {f"histhooks._collect.{name}" for name in ("code", "environment", "origin")}, seen
assert not any(is_main for _, is_main in seen), seen
"""
    code, _, err = run_program(program, store_path)
    assert code == 0, err


def test_thread_pools_are_told_by_what_the_program_brought(store_path: Path) -> None:
    program = """
        import sklearn.linear_model
        from threadpoolctl import threadpool_limits
        with threadpool_limits(1):
            import histhooks
            histhooks.start_run("a").end()
            histhooks.flush()
            import os, sqlite3, time
            db, until = sqlite3.connect(os.environ["HISTHOOKS_STORE"]), time.monotonic() + 60
            while not db.execute("SELECT * FROM environments").fetchall() and time.monotonic() < until:
                time.sleep(0.05)
    """
    code, _, err = run_program(program, store_path)
    assert code == 0, err
    ((details,),) = query(store_path, "SELECT details FROM environments")
    pools = json.loads(str(details))["thread_pools"]
    assert {pool["user_api"] for pool in pools} == {"blas", "openmp"}
    assert {pool["num_threads"] for pool in pools if pool["user_api"] == "blas"} == {1}


def test_a_session_of_a_test_is_one_however_short_the_test_is(store_path: Path) -> None:
    Path("test_short.py").write_text(
        "import histhooks, time\n"
        "from histhooks._collect import origin\n"
        "told = origin.gather\n"
        "origin.gather = lambda *args, **kwargs: (time.sleep(0.5), told(*args, **kwargs))[1]\n"
        "def test_short():\n"
        "    histhooks.start_run('short').end()\n"
        "def test_of_a_program(tmp_path):\n"
        "    import subprocess, sys\n"
        "    program = 'import histhooks; histhooks.start_run(\"program\").end()'\n"
        "    subprocess.run([sys.executable, '-c', program], check=True)\n"
    )
    environment = {**os.environ, "HISTHOOKS_STORE": str(store_path)}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_short.py"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout
    sql = "SELECT r.name, s.kind FROM runs AS r JOIN sessions AS s ON s.id = r.session_id ORDER BY r.name"
    assert query(store_path, sql) == [("program", "script"), ("short", "pytest")]


def test_a_relative_store_is_where_the_program_began_also_for_its_children(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    program = """
        import os, subprocess, sys
        import histhooks
        {before}
        os.chdir("inner")
        {after}
        histhooks.start_run("outer").end()
        subprocess.run([sys.executable, "-c", "import histhooks; histhooks.start_run('child').end()"], check=True)
    """
    for before, after in (("histhooks.autolog()", ""), ("", "histhooks.autolog()"), ("", "")):
        text = program.format(before=before, after=after)
        code, _, err = run_program(text, tmp_path / "unused", HISTHOOKS_STORE="mine.db")
        assert code == 0, err
    assert query(tmp_path / "mine.db", "SELECT name, count(*) FROM runs GROUP BY name") == [("child", 3), ("outer", 3)]
    assert list((tmp_path / "inner").iterdir()) == []


def test_thread_pools_are_those_that_threadpoolctl_tells() -> None:
    threadpoolctl = pytest.importorskip("threadpoolctl")
    pytest.importorskip("sklearn.linear_model")
    told = threadpoolctl.threadpool_info()
    assert told
    assert _environment._pools_by(threadpoolctl) == told
    assert hasattr(threadpoolctl.ThreadpoolController, "_make_controller_from_path")  # else all that costs ten times
