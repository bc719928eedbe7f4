"""Recording begins in odd places too: where it cannot, the program goes on and one line says why."""

import os
import shlex
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import textwrap
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

FIT = """
import numpy as np
from sklearn.linear_model import LinearRegression
LinearRegression().fit(np.ones((5, 2)), np.ones(5))
print("the end")
"""
RECORDED = f"import histhooks; histhooks.autolog()\n{FIT}"
OTHER = ("setpriv", "--reuid", "12345", "--regid", "12345", "--clear-groups", sys.executable)


def _call(*command: object, **variables: str | None) -> subprocess.CompletedProcess[str]:
    """Run a command as a person would: failures of histhooks are not raised, and its lines are shown."""
    outside = ("HISTHOOKS_STRICT", "HISTHOOKS_QUIET")
    environment = {name: value for name, value in os.environ.items() if name not in outside}
    environment = {name: value for name, value in (environment | variables).items() if value is not None}
    words = [str(word) for word in command]
    return subprocess.run(words, env=environment, capture_output=True, text=True, errors="replace", timeout=300)


def _program(text: str, name: str = "program.py") -> Path:
    path = Path.cwd() / name
    path.write_text(text, encoding="utf-8")
    return path


def _rows(store: Path, sql: str = "SELECT kind, status FROM runs ORDER BY id") -> list[tuple[str, ...]]:
    if not store.exists():
        return []
    connection = sqlite3.connect(store)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


@pytest.fixture
def anybody() -> Iterator[Path]:
    """A folder that every account may reach; skips where no other account can be taken on."""
    if os.getuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("only root becomes another account")
    if _call(*OTHER, "-c", "import histhooks, sklearn").returncode:
        pytest.skip("another account may not read this Python")
    with tempfile.TemporaryDirectory(prefix="anybody-") as name:  # pytest's own folders are root's alone
        folder = Path(name)
        folder.chmod(0o777)
        yield folder


def test_an_account_without_passwd_entry_and_home_records_and_reads(
    anybody: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(anybody)
    path = _program(RECORDED)
    bare = dict.fromkeys(("HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "USER", "LOGNAME"))
    done = _call(*OTHER, path, **bare)
    assert done.stdout == "the end\n"
    assert _rows(anybody / "histhooks.db") == [("fit", "finished")], done.stderr
    assert "a hook failed" not in done.stderr
    read = _call(*OTHER, "-m", "histhooks", "runs", **bare)
    assert read.returncode == 0, read.stderr
    # Nor is there a place to fall back to, where the folder cannot be written.
    anybody.chmod(0o755)
    (anybody / "histhooks.db").unlink()
    done = _call(*OTHER, path, **bare)
    assert (done.returncode, done.stdout) == (0, "the end\n")
    assert "histhooks.db" in done.stderr


@pytest.mark.parametrize("is_named", [False, True])
def test_a_folder_above_that_cannot_be_searched_counts_as_one_without_git(
    anybody: Path, monkeypatch: pytest.MonkeyPatch, is_named: bool
) -> None:
    closed = anybody / "closed"
    inner = closed / "project"
    inner.mkdir(parents=True)
    inner.chmod(0o777)
    (anybody / "home").mkdir()
    (anybody / "home").chmod(0o777)
    closed.chmod(0o700)
    monkeypatch.chdir(anybody)
    store = anybody / "home" / "store.db"
    block = 'with histhooks.start_run("mine") as run: run.log({"a": 1.0})\n'
    path = _program(RECORDED.replace("\n", f"\n{block}", 1))
    command = f"cd {inner} && exec {shlex.join(OTHER)} {path}"
    home = anybody / "home"
    done = _call(
        "sh", "-c", command, HISTHOOKS_STORE=str(store) if is_named else None,
        HOME=str(home), XDG_DATA_HOME=f"{home}/data", XDG_STATE_HOME=f"{home}/state",
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "the end\n"), done.stderr
    found = store if is_named else home / "data" / "histhooks" / "histhooks.db"
    assert sorted(_rows(found)) == [("block", "finished"), ("fit", "finished")], done.stderr


@pytest.mark.parametrize(
    "table",
    ["[tool]\nhisthooks = 'x'", "tool = 3", "[tool.histhooks]\nstore = 7", "[[tool.histhooks]]\nstore = 'a.db'"],
)
def test_a_pyproject_of_another_shape_names_no_store(table: str) -> None:
    _program(table, "pyproject.toml")
    done = _call(sys.executable, _program(RECORDED))
    assert (done.returncode, done.stdout) == (0, "the end\n")
    assert _rows(Path("histhooks.db")) == [("fit", "finished")], done.stderr


@pytest.mark.parametrize("scope", ["{}", "{'__name__': None}", "{'__name__': 3}"])
def test_code_without_a_name_of_a_module_is_recorded(scope: str) -> None:
    text = f"import sys, textwrap\nexec(compile({RECORDED!r}, 'typed', 'exec'), {scope})\n"
    text += "import histhooks\nexec('with histhooks.start_run(): pass', {**" + scope + ", 'histhooks': histhooks})\n"
    done = _call(sys.executable, _program(text))
    assert (done.returncode, done.stdout) == (0, "the end\n"), done.stderr
    assert _rows(Path("histhooks.db")) == [("fit", "finished"), ("block", "finished")]
    assert "a hook failed" not in done.stderr


STREAMS = {
    "threads": """
def write(self, text):
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError("main thread is not in main loop")
""",
    "gone": """
def write(self, text): raise KeyError("the widget is gone")
""",
    "ascii": """
encoding = "ascii"
def write(self, text): lines.append(text.encode("ascii"))
""",
    "unnamed": """
encoding = None
def write(self, text): text.encode("latin-1")
""",
}


@pytest.mark.parametrize("kind", [*STREAMS, "none", "closed"])
def test_a_stderr_that_takes_no_line_of_ours_costs_nothing(kind: str) -> None:
    begin = "import sys, threading, time\nlines = []\n"
    if kind in STREAMS:
        methods = "def flush(self): pass\n" + STREAMS[kind]
        begin += f"class Window:\n{textwrap.indent(methods, '    ')}\nsys.stderr = Window()\n"
    else:
        begin += "sys.stderr = None\n" if kind == "none" else "sys.stderr.close()\n"
    text = begin + "import histhooks\nhisthooks.autolog()\nhisthooks.log({'a': 1.0})\n" + FIT + "time.sleep(0.4)\n"
    done = _call(sys.executable, _program(text))
    assert (done.returncode, done.stdout) == (0, "the end\n"), done.stderr
    assert _rows(Path("histhooks.db")) == [("fit", "finished")]


def test_a_working_folder_that_is_gone_does_not_end_the_program() -> None:
    text = "import os, shutil\nos.mkdir('gone'); os.chdir('gone'); os.rmdir(os.getcwd())\nimport histhooks\n"
    text += "histhooks.autolog(store='runs.db')\nwith histhooks.start_run('a'): pass\n" + FIT
    done = _call(sys.executable, _program(text))
    assert (done.returncode, done.stdout) == (0, "the end\n"), done.stderr


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_run_keeps_the_exit_code_where_streams_are_closed(closed: str) -> None:
    path = _program(FIT + "raise SystemExit(3)\n")
    done = _call("sh", "-c", f"exec {shlex.quote(sys.executable)} -m histhooks run {path} {closed}")
    assert done.returncode == 3, done.stderr
    assert _rows(Path("histhooks.db")) == [("fit", "finished")]
    assert _rows(Path("histhooks.db"), "SELECT exit_code FROM sessions") == [(3,)]


@pytest.mark.parametrize(("option", "word"), [("-I", "-I"), ("-E", "-E"), ("-S", "-S")])
def test_run_says_where_no_python_began_to_record(option: str, word: str) -> None:
    done = _call(sys.executable, "-m", "histhooks", "run", "--", sys.executable, option, _program("print('the end')"))
    assert (done.returncode, done.stdout) == (0, "the end\n")
    assert word in done.stderr
    assert "nothing was recorded" in done.stderr
    assert not Path("histhooks.db").exists()


def test_run_says_why_another_python_recorded_nothing(tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", bare], check=True)
    python = bare / "bin" / "python"
    done = _call(sys.executable, "-m", "histhooks", "run", "--", python, _program("print('the end')"))
    assert (done.returncode, done.stdout) == (0, "the end\n")
    assert f"{python} is Python" in done.stderr
    assert "without histhooks" in done.stderr


def test_run_says_that_a_program_trained_nothing() -> None:
    done = _call(sys.executable, "-m", "histhooks", "run", _program("print('the end')"))
    assert (done.returncode, done.stdout) == (0, "the end\n")
    assert "no training" in done.stderr
    assert _call(sys.executable, "-m", "histhooks", "run", "program.py", HISTHOOKS_QUIET="1").stderr == ""
    assert _call(sys.executable, "-m", "histhooks", "run", "program.py", HISTHOOKS="off").stderr == ""


def test_run_goes_on_where_no_folder_is_temporary(tmp_path: Path) -> None:
    hide = "import os, tempfile\ntempfile.tempdir = '/nowhere/at/all'\n"
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(hide, encoding="utf-8")
    path = _program(FIT + "raise SystemExit(3)\n")
    variables = {"PYTHONPATH": str(tmp_path / "site")}
    done = _call(sys.executable, "-m", "histhooks", "run", path, **variables)
    assert (done.returncode, done.stdout) == (3, "the end\n"), done.stderr
    assert _rows(Path("histhooks.db"), "SELECT exit_code FROM sessions") == [(3,)]  # in the folder of state instead
    home = tmp_path / "home"
    shutil.rmtree(home, ignore_errors=True)
    home.write_text("no folder", encoding="utf-8")
    done = _call(sys.executable, "-m", "histhooks", "run", path, **variables)
    assert (done.returncode, done.stdout) == (3, "the end\n"), done.stderr
    assert "no temporary folder" in done.stderr
    assert len(_rows(Path("histhooks.db"))) == 2


def test_a_zip_file_names_its_runs() -> None:
    with zipfile.ZipFile("train.pyz", "w") as file:
        file.writestr("__main__.py", FIT)
    done = _call(sys.executable, "-m", "histhooks", "run", "train.pyz")
    assert done.stdout == "the end\n", done.stderr
    assert _rows(Path("histhooks.db"), "SELECT name FROM runs") == [("train·LinearRegression",)]


@pytest.mark.parametrize("store", ["/", "/dev/stdout", "0" * 300 + ".db", "0" * 250 + ".db"])
def test_a_store_that_no_file_can_be_named_by_is_said_and_a_spool_takes_it(store: str) -> None:
    with open("output", "wb") as output:
        variables = {**os.environ, "HISTHOOKS_STORE": store, "XDG_STATE_HOME": str(Path("state").absolute())}
        done = subprocess.run(
            [sys.executable, _program("import histhooks\nhisthooks.autolog()\n" + FIT)],
            env=variables, stdout=output, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    assert (done.returncode, Path("output").read_text()) == (0, "the end\n"), done.stderr
    assert "the writer stopped" not in done.stderr
    assert store[:9] in done.stderr
    (spool,) = Path("state").rglob("*.db") if len(store) < 20 else Path().rglob("*.spool/*.db")
    assert _rows(spool) == [("fit", "finished")]


def test_a_store_with_a_null_character_in_its_name_stops_nothing() -> None:
    Path("pyproject.toml").write_text('[tool.histhooks]\nstore = "a\\u0000b"\n', encoding="utf-8")
    done = _call(sys.executable, _program("import histhooks\nhisthooks.autolog()\n" + FIT))
    assert (done.returncode, done.stdout) == (0, "the end\n")
    assert _rows(Path("histhooks.db")) == [("fit", "finished")]
    done = _call(sys.executable, _program("import histhooks\nhisthooks.autolog(store='a\\0b.db')\n" + FIT))
    assert (done.returncode, done.stdout) == (0, "the end\n")
    assert _rows(Path("ab.db")) == [("fit", "finished")]
