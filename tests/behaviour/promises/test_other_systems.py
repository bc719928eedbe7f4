"""With what macOS and Windows lack taken away, the package imports, records, reads and keeps its contract.

Not a test of the systems themselves: see `helpers/lacking.py`.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.lacking import LACKS, make_site
from histhooks.testing import CHECKS, Case, query

SYSTEMS = sorted(LACKS)
SKLEARN = Case(
    name="sklearn",
    setup="""
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
X, y = load_iris(return_X_y=True)
""",
    train="""
model = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, y)
result = (model, model.predict_proba(X), model.score(X, y), X, y)
""",
    failing="LogisticRegression(C=-1.0).fit(X, y)",
    functions=("sklearn.linear_model._logistic:LogisticRegression.fit", "joblib:dump"),
)
PROGRAM = """
import multiprocessing, os, sys
import histhooks
histhooks.autolog()
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
X, y = load_iris(return_X_y=True)
def fit(C):
    return LogisticRegression(C=C).fit(X, y).score(X, y)
if __name__ == "__main__":
    fit(1.0)
    pool = multiprocessing.Pool(1)
    print(pool.map(fit, [0.1]))
    pool.close()  # and no terminate(), which on Windows leaves a process no moment
    pool.join()
    print(len(histhooks.History().runs()), hasattr(os, "fork"), os.path.exists("/proc/self"))
"""


@pytest.fixture(params=SYSTEMS)
def system(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """One of the systems, for every process that the test starts."""
    monkeypatch.setenv("PYTHONPATH", str(make_site(tmp_path / "site", request.param, "sklearn", "joblib")))
    monkeypatch.setenv("USERNAME", "ann")  # Windows sets it, and has no pwd to ask
    return str(request.param)


def _histhooks(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "histhooks", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def test_what_a_system_lacks_is_gone(system: str) -> None:
    program = (
        "import os, signal, sys, lacking\n"
        f"for name in lacking.LACKS[{system!r}]['os'].split(): assert not hasattr(os, name), name\n"
        f"for name in lacking.LACKS[{system!r}]['signal'].split(): assert not hasattr(signal, name), name\n"
        "sys.modules['histhooks'] = None\n"
        "space = {'__name__': 'histhooks.probe'}\n"
        "exec(\"import os\\nfound = os.path.exists('/proc/self/stat')\", space)\n"
        "assert not space['found']\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


def test_a_program_is_recorded_supervised_and_read(system: str) -> None:
    Path("train.py").write_text(PROGRAM, encoding="utf-8")
    done = _histhooks("run", "train.py")
    assert done.returncode == 0, done.stderr
    assert "a hook failed" not in done.stderr
    store = Path("histhooks.db")
    runs = query(store, "SELECT kind, status, parent_id FROM runs ORDER BY id")
    assert runs == [("fit", "finished", None)] * 2
    rows = query(store, "SELECT kind, status, exit_code, boot_id IS NULL, memory_bytes > 0, hook_errors FROM sessions "
                        "JOIN environments ON environments.id = environment_id")  # fmt: skip
    assert ("script", "finished", 0, 0, 1, 0) in rows
    failed = query(store, "SELECT collector, note FROM captures WHERE status = 'failed'")
    assert failed == []
    for words in (
        ["runs"],
        ["show", "last"],
        ["verify"],
        ["doctor"],
        ["diff", "last~1", "last"],
        ["whence", "train.py"],
    ):
        done = _histhooks(*words)
        assert "Traceback" not in done.stderr, done.stderr
        assert done.returncode in (0, 1), (words, done.stderr)
    assert len(json.loads(_histhooks("runs", "--json").stdout)) == 2


@pytest.mark.parametrize("check", CHECKS)
def test_the_contract_holds(system: str, check: object) -> None:
    check(SKLEARN)  # type: ignore[operator]


def test_git_is_asked_where_select_knows_no_pipes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(make_site(tmp_path / "site", "windows")))
    git = ("git", "-c", "user.name=a", "-c", "user.email=a@example.org")
    for words in (("init", "-q"), ("add", "code.py"), ("commit", "-qm", "a")):
        Path("code.py").write_text("a = 1\n", encoding="utf-8")
        subprocess.run([*git, *words], check=True)
    Path("code.py").write_text("a = 2\n" * 20_000, encoding="utf-8")
    program = "import histhooks\nwith histhooks.start_run('a'): pass\n"
    Path("program.py").write_text(program, encoding="utf-8")
    done = subprocess.run([sys.executable, "program.py"], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    found = query(Path("histhooks.db"), "SELECT status, note FROM captures WHERE collector = 'git'")
    assert found == [("ok", None)]
    ((commit, dirty, details),) = query(Path("histhooks.db"), "SELECT commit_hash, dirty, details FROM code_versions")
    assert dirty == 1
    assert len(str(commit)) == 40
    assert json.loads(str(details))["diff_lines"] > 20_000


@pytest.mark.parametrize(
    ("filename", "folder", "expected"),
    [
        (r"C:\work\train.py", r"C:\work", "train.py"),
        (r"C:\work\sub\train.py", "C:\\work\\", r"sub\train.py"),
        (r"D:\other\train.py", r"C:\work", r"D:\other\train.py"),
        (r"\\host\share\train.py", r"\\host\share", "train.py"),
        ("<stdin>", r"C:\work", "<stdin>"),
    ],
)
def test_a_call_site_with_drive_letters(
    filename: str, folder: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ntpath
    from types import SimpleNamespace

    from histhooks._base import call_site

    monkeypatch.setattr(call_site, "os", SimpleNamespace(path=ntpath, sep="\\", getcwd=lambda: folder))
    assert call_site._relative(filename) == expected
