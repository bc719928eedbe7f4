"""`histhooks run`: the program is as without us, and everything in it is recorded."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from histhooks._store.spools import waiting
from histhooks.testing import query
from histhooks.verify import verify

pytest.importorskip("sklearn")

FIT = """
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
X, y = load_iris(return_X_y=True)
LogisticRegression(max_iter=500).fit(X, y)
"""
RUN = [sys.executable, "-m", "histhooks", "run"]
STATUS = "SELECT status, exit_code, signal FROM sessions"


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "histhooks.db"
    monkeypatch.setenv("HISTHOOKS_STORE", str(path))
    return path


def run(*command: str, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=300, **options)


@pytest.mark.parametrize(
    ("ending", "status", "code"),
    [
        ("", "finished", 0),
        ("sys.exit(3)", "failed", 3),
        ("raise ValueError('odd')", "failed", 1),
        ("'histhooks' in sys.modules and sys.modules['histhooks'].flush(60); os._exit(5)", "failed", 5),
    ],
)
def test_a_script_sees_and_shows_what_it_does_without_us(store: Path, ending: str, status: str, code: int) -> None:
    program = f"""
import json, os, sys
{FIT}
import __main__
print(json.dumps([sys.argv, sys.orig_argv, __name__, __file__, sys.path, __main__.__name__, input()]))
print("on stderr", file=sys.stderr, flush=True)
sys.stdout.flush()
{ending}
"""
    Path("train.py").write_text(program)
    plain = run(sys.executable, "train.py", "--epochs", "3", "--", "x", input="typed\n")
    assert not store.exists()
    recorded = run(*RUN, "train.py", "--epochs", "3", "--", "x", input="typed\n")
    assert (recorded.returncode, recorded.stdout, recorded.stderr) == (code, plain.stdout, plain.stderr)
    assert plain.returncode == code
    assert query(store, STATUS) == [(status, code, None)]
    assert query(store, "SELECT status FROM runs") == [("finished",)]
    assert query(store, "SELECT entry_script FROM code_versions") != [(None,)]
    assert verify(store).problems == []


def test_a_module_runs_as_python_dash_m_does(store: Path) -> None:
    Path("package").mkdir()
    Path("package/__init__.py").touch()
    Path("package/train.py").write_text(f"import sys\n{FIT}\nprint(__name__, __package__, sys.argv[1:])\n")
    done = run(*RUN, "-m", "package.train", "-m", "1")
    assert (done.returncode, done.stdout) == (0, "__main__ package ['-m', '1']\n"), done.stderr
    assert query(store, STATUS) == [("finished", 0, None)]


def test_every_python_child_of_a_command_is_recorded(store: Path) -> None:
    Path("train.py").write_text(FIT)
    script = f"'{sys.executable}' train.py && '{sys.executable}' -c 'import train' && exit 7"
    done = run(*RUN, "--", "sh", "-c", script)
    assert (done.returncode, done.stderr) == (7, "")
    assert query(store, "SELECT count(*), count(exit_code) FROM sessions") == [(2, 0)]
    assert query(store, "SELECT status FROM runs") == [("finished",), ("finished",)]


def test_worker_processes_leave_no_second_record(store: Path) -> None:
    Path("train.py").write_text(
        FIT
        + """
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import GridSearchCV, cross_val_score
if __name__ == "__main__":
    GridSearchCV(LogisticRegression(max_iter=500), {"C": [1, 2]}, cv=2, n_jobs=2).fit(X, y)
    cross_val_score(LogisticRegression(max_iter=500), X, y, n_jobs=2)
"""
    )
    done = run(*RUN, "train.py")
    assert (done.returncode, done.stderr) == (0, "")
    kinds = query(store, "SELECT kind, count(*) FROM runs GROUP BY kind ORDER BY kind")
    assert kinds == [("candidate", 2), ("fit", 1), ("search", 1), ("validate", 1)]


def test_the_last_lines_of_stderr_are_kept_where_a_run_did_not_finish(store: Path) -> None:
    Path("train.py").write_text(
        """
import os, sys, time
import histhooks
with histhooks.start_run("mine"):
    for line in range(300):
        print("line", line, file=sys.stderr)
    print("10%\\r20%\\rthe end of password='hunter2hunter2'", file=sys.stderr, flush=True)
    time.sleep(1.0)
    histhooks.flush(60)
    os.kill(os.getpid(), 9)
"""
    )
    done = run(*RUN, "train.py")
    assert done.returncode == -signal.SIGKILL
    assert query(store, STATUS) == [("killed", None, "SIGKILL")]
    assert query(store, "SELECT status, duration_s > 0 FROM runs") == [("killed", 1)]
    ((body,),) = query(store, "SELECT body FROM events WHERE kind = 'stderr'")
    lines = str(body).splitlines()
    assert lines[-1] == "the end of password='[masked]'"
    assert len(lines) == 200
    assert lines[-2] == "line 299"
    assert verify(store).problems == []


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP"])
def test_a_signal_goes_to_the_program_and_its_end_comes_back(store: Path, name: str) -> None:
    Path("train.py").write_text(
        "import time\nimport histhooks\nwith histhooks.start_run('mine'):\n    histhooks.flush()\n"
        "    print('ready', flush=True)\n    time.sleep(60)\n"
    )
    program = (
        "import signal, os, sys; signal.signal(signal.SIGHUP, signal.SIG_DFL); os.execv(sys.argv[1], sys.argv[1:])"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, *RUN, "train.py"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.5)
    process.send_signal(getattr(signal, name))
    assert process.wait(timeout=300) == -getattr(signal, name)
    process.stdout.close()
    status = "interrupted" if name == "SIGINT" else "killed"
    assert query(store, "SELECT status, signal FROM sessions")[0][0] == status
    assert query(store, "SELECT status FROM runs") == [(status,)]


def test_a_terminal_stays_one(store: Path) -> None:
    Path("train.py").write_text(
        FIT + "import os, sys\nprint([os.isatty(n) for n in range(3)], os.get_terminal_size(2).columns)\n"
        "print('to stderr', file=sys.stderr)\n"
    )
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(sys.executable, [*RUN, "train.py"])
    seen = b""
    while True:
        try:
            data = os.read(terminal, 4096)
        except OSError:
            break
        if not data:
            break
        seen += data
    _, code = os.waitpid(pid, 0)
    os.close(terminal)
    assert code == 0, seen
    assert b"[True, True, True]" in seen
    assert b"to stderr\r\n" in seen


def test_a_sitecustomize_of_the_user_runs_as_without_us(store: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text("import builtins\nbuiltins.mine = __file__\n")
    Path("train.py").write_text(FIT + "print(mine)\n")
    done = run(*RUN, "train.py", env={**os.environ, "PYTHONPATH": str(site)})
    assert (done.returncode, done.stdout) == (0, f"{site / 'sitecustomize.py'}\n"), done.stderr
    assert query(store, STATUS) == [("finished", 0, None)]


def test_a_python_without_histhooks_runs_as_without_us(store: Path) -> None:
    Path("train.py").write_text("import sys\nprint('ran', 'histhooks' in sys.modules)\n")
    done = run(*RUN, "--", sys.executable, "-S", "train.py")
    assert (done.returncode, done.stdout, done.stderr) == (0, "ran False\n", "")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "run takes a script"),
        (["nothere.py"], "no script 'nothere.py' here"),
        (["sh", "-c", "true"], "histhooks run -- sh -c true"),
        (["--", "no-such-command"], "no command 'no-such-command' on the PATH"),
    ],
)
def test_what_cannot_run_is_one_line_and_exit_code_2(store: Path, words: list[str], says: str) -> None:
    done = run(*RUN, *words)
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert not store.exists()


def test_the_project_and_the_group_can_be_named(store: Path, tmp_path: Path) -> None:
    Path("train.py").write_text(FIT)
    other = tmp_path / "other.db"
    done = run(*RUN, "--store", str(other), "--project", "p", "--group", "g", "train.py")
    assert done.returncode == 0, done.stderr
    assert query(other, "SELECT project, group_name FROM runs") == [("p", "g")]
    assert not store.exists()
    assert json.loads(str(query(other, "SELECT value FROM params WHERE key = 'max_iter'")[0][0])) == 500


def test_what_a_writer_that_hung_left_in_a_spool_comes_home_before_the_end_is_told(store: Path) -> None:
    program = """
import sys
import histhooks
from histhooks._record import engine
with histhooks.start_run("hangs") as run:
    for step in range(100):
        run.log({"loss": float(step)}, step=step)
    histhooks.flush()
    engine.engine.session.event("odd", "in the store", run_id=run.id)
    histhooks.flush()
    engine.engine.writer.lock.acquire()  # as where a system call for the file never comes back
    for step in range(100, 200):
        run.log({"loss": float(step)}, step=step)
finish = engine.engine.finish
engine.engine.finish = lambda: finish(timeout_s=1.0)
print("in vain", file=sys.stderr)
sys.exit(3)
"""
    Path("hangs.py").write_text(program)
    done = run(*RUN, "hangs.py")
    assert done.returncode == 3, done.stderr
    assert waiting(store) == []
    assert query(store, STATUS) == [("failed", 3, None)]
    assert query(store, "SELECT count(*) FROM metrics WHERE name = 'loss'") == [(200,)]
    assert verify(store).problems == []


def test_a_process_that_ended_before_its_first_commit_is_no_error(store: Path) -> None:
    program = "import os, histhooks\nfrom histhooks._collect import survey\n"
    program += (
        "survey.session_facts = lambda *args, **kwargs: os._exit(4)\nhisthooks.start_run('a')\nhisthooks.flush()\n"
    )
    Path("early.py").write_text(program)
    done = run(*RUN, "early.py")
    assert (done.returncode, done.stdout) == (4, "")
    assert "Traceback" not in done.stderr
    assert query(store, STATUS) == []
