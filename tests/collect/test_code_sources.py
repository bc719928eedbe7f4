"""What is code and what is not; sources that git does not have; taking rows of data out of an old store."""

import hashlib
import json
import os
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path

import pytest

from histhooks import History, curate
from histhooks._collect import code_files
from histhooks.testing import query
from histhooks.verify import verify

DOCS = Path(__file__).resolve().parents[2] / "docs"
RUN = "import histhooks\nwith histhooks.start_run('a'): pass\n"
FAILS = "import histhooks\ntry:\n    with histhooks.start_run('a'): 1 / 0\nexcept ZeroDivisionError: pass\n"
ROWS = "name,iban\nCarol White,DE89370400440532013000\n"


def git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    for command in (["init", "-q"], ["config", "user.email", "ann@example.org"], ["config", "user.name", "Ann"]):
        git(folder, *command)
    return folder


def python(folder: Path, *arguments: str, given: str | None = None) -> None:
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, input=given, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def cli(folder: Path, *arguments: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "histhooks", *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(autouse=True)
def _own_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HISTHOOKS_STORE", raising=False)


def bytes_of(store: Path) -> bytes:
    """All of a store, what is compressed in it included."""
    packed = query(store, "SELECT data FROM contents WHERE encoding = 'zlib'")
    return store.read_bytes() + b"".join(zlib.decompress(bytes(data)) for (data,) in packed)


@pytest.mark.parametrize(
    ("name", "text", "is_data"),
    [
        ("train.py", "x = 1\n", False),
        ("data.py", "name,iban\nCarol White,DE89\n", True),
        ("conf.yaml", "lr: 0.1\nmodel:\n  width: 3\n", False),
        ("people.yaml", "- name: Carol\n  iban: 1\n- name: Dave\n  iban: 2\n", True),
        ("people.yml", "a:\n  name: C\nb:\n  name: D\nc:\n  name: E\n", True),
        ("conf.json", '{"lr": 0.1, "betas": [0.9, 0.999], "net": {"width": 3}}', False),
        ("people.json", '{"rows": [{"name": "Carol"}, {"name": "Dave"}]}', True),
        ("frame.json", '{"name": {"0": "Carol", "1": "Dave"}}', True),
        ("list.json", '["Carol"]', True),
        ("broken.json", "{", True),
        ("conf.toml", "lr = 0.1\n[model]\nwidth = 3\n", False),
        ("people.toml", '[[p]]\nname = "C"\n[[p]]\nname = "D"\n', True),
        ("query.sql", "SELECT a FROM t\n", False),
        ("dump.sql", "INSERT INTO t VALUES ('Carol')\n", True),
        ("big.json", '{"a": "' + "x" * 20_000 + '"}', True),
    ],
)  # fmt: skip
def test_settings_are_code_as_long_as_they_hold_no_records(name: str, text: str, is_data: bool) -> None:
    assert code_files.holds_rows(name, text) is is_data


def test_no_row_of_a_changed_or_new_table_reaches_the_store_and_code_does(repository: Path) -> None:
    tables = ("data.csv", "notes.txt", "people.json", "nb.ipynb", "old.py", "gone.csv", "odd näme.csv")
    for name in tables:
        (repository / name).write_text("a,b\n1,2\n")
    (repository / "train.py").write_text(RUN)
    (repository / "conf.yaml").write_text("lr: 0.1\n")
    git(repository, "add", ".")
    git(repository, "commit", "-qm", "first")
    for name in tables[:-2]:
        (repository / name).write_text(ROWS)
    (repository / "gone.csv").unlink()
    git(repository, "mv", "odd näme.csv", "other.csv")
    (repository / "other.csv").write_text(ROWS)
    (repository / "train.py").write_text(RUN + "# changed\n")
    (repository / "conf.yaml").write_text("lr: 0.2\n")
    (repository / "new.csv").write_text(ROWS)
    (repository / "new.json").write_text('[{"name": "Carol White"}]')
    (repository / "helper.py").write_bytes(b"width = 1\r\n")
    (repository / ".env").write_text("PASSWORD=correct-horse-battery\n")
    python(repository, "train.py")
    store = repository / "histhooks.db"
    assert b"Carol" not in bytes_of(store)
    ((diff, details),) = query(store, "SELECT diff, details FROM code_versions")
    assert "+# changed" in str(diff)
    assert "+lr: 0.2" in str(diff)
    facts = json.loads(str(details))
    assert set(facts["others_changed"]) == {*tables[:-1], "odd näme.csv", "other.csv"}
    assert facts["others_changed"]["gone.csv"]["state"] == "deleted"
    assert facts["others_changed"]["data.csv"]["size_bytes"] == len(ROWS)
    assert set(facts["others_untracked"]) == {"new.csv", "new.json", ".env"}
    assert facts["others_untracked"][".env"]["sha256"] is None  # of a secret not even a hash
    assert len(facts["others_untracked"]["new.csv"]["sha256"]) == 64
    assert facts["sources"] == {}
    with History(store) as history:
        run = history.run("last")
        assert run.untracked == {"helper.py": "width = 1\r\n"}
    code, text = cli(repository, "show", "last", "--code")
    assert code == 0
    assert "data.csv differed from the commit and is no code" in text
    anonymous = repository / "anonymous.db"
    cli(repository, "export", "last", "-o", str(anonymous), "--anonymous")
    assert b"Carol" not in bytes_of(anonymous)
    # The same files again: the same code. Other rows: other data, which counts.
    python(repository, "train.py")
    (repository / "data.csv").write_text(ROWS * 2)
    python(repository, "train.py")
    with History(store) as history:
        assert "code" in history.diff("last~2", "last~1").same
        keys = [change.key for change in history.diff("last~1", "last").part("code").changes]
    assert keys == ["file data.csv"]


def test_sources_are_code_wherever_they_came_from(tmp_path: Path) -> None:
    folder = tmp_path / "plain"
    (folder / "lib").mkdir(parents=True)
    (folder / "lib" / "part.py").write_text("width = 1\n")
    (folder / "late.py").write_text("late = 1\n")
    (folder / "executed.py").write_text(RUN)
    (folder / "train.py").write_text(
        "import lib.part\nexec(compile(open('executed.py').read(), 'executed.py', 'exec'))\nimport late\n"
    )
    store = folder / "histhooks.db"
    python(folder, "train.py")
    python(folder, "-c", RUN)
    with (folder / "train.py").open() as file:
        subprocess.run([sys.executable, "-"], cwd=folder, stdin=file, check=True, capture_output=True)
    python(folder, "-", given=RUN)
    python(folder, "-c", f"exec({RUN!r})")
    with zipfile.ZipFile(folder / "train.pyz", "w") as file:
        file.writestr("__main__.py", RUN)
    python(folder, "train.pyz")
    with History(store) as history:
        runs = history.runs()[::-1]
        assert set(runs[0].sources) == {"train.py", "lib/part.py", "late.py", "executed.py"}
        assert runs[1].sources == {"-c": RUN}
        assert runs[2].sources["<stdin>"] == (folder / "train.py").read_text()
        assert runs[5].sources == {"train.pyz/__main__.py": RUN}
        assert runs[5].code is not None
        assert runs[5].code["entry_script"] == str(folder / "train.pyz")
        assert "came through a pipe" in runs[3].sources["<stdin>"]
        assert "text that exec() ran" in runs[4].sources["<string>"]
        assert history.diff(runs[3], runs[3]).part("code").unknown == ()
    python(folder, "train.py")
    (folder / "lib" / "part.py").write_text("width = 2\n")
    python(folder, "train.py")
    with History(store) as history:
        runs = history.runs()[::-1]
        assert "code" in history.diff(runs[0], runs[6]).same
        found = history.diff(runs[6], runs[7])
        assert [change.key for change in found.part("code").changes] == ["source lib/part.py"]
        assert found.patch is not None
        assert "+width = 2" in str(found.patch.text)
    code, text = cli(folder, "show", "last", "--code")
    assert (code, "width = 2" in text) == (0, True)


def test_two_runs_of_other_cells_never_read_the_same_code(tmp_path: Path) -> None:
    program = """
import sys
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
for cell in ("import histhooks", "x = 1", sys.argv[1], "with histhooks.start_run('a'): y = x", "y = 'after'"):
    shell.run_cell(cell, store_history=True).raise_error()
"""
    (tmp_path / "nb.py").write_text(program)
    for middle in ("x = 2", "x = 2", "x = 3"):
        python(tmp_path, "nb.py", middle)
    store = tmp_path / "histhooks.db"
    with History(store) as history:
        run = history.run("last")
        sources = [cell["source"] for cell in run.cells]
        assert sources == ["import histhooks", "x = 1", "x = 3", "with histhooks.start_run('a'): y = x"]
        assert run.as_json()["cells"][0] == {"title": "In [1]", "source": "import histhooks"}
        assert "code" in history.diff("last~2", "last~1").same
        found = history.diff("last~1", "last")
        assert "code" not in found.same
        assert [change.key for change in found.part("code").changes] == ["cells"]
        assert found.patch is not None
        assert "+x = 3" in str(found.patch.text)
    assert "x = 3" in cli(tmp_path, "show", "last", "--code")[1]
    assert "+x = 3" in cli(tmp_path, "diff", "last~1", "last")[1]
    cli(tmp_path, "report", "last", "-o", "a.html")
    assert "x = 3" in (tmp_path / "a.html").read_text()
    curate.redact(reason="asked to", runs=("last",), store=store)
    assert b"x = 3" not in bytes_of(store)
    assert verify(store).problems == []
    with History(store) as history:
        assert history.diff("last~1", "last").part("code").unknown != ()


def old_store(repository: Path) -> Path:
    """A store as the first version left it: the rows of a table that git tracks stand in the diff."""
    (repository / "data.csv").write_text("a,b\n1,2\n")
    (repository / "train.py").write_text(RUN)
    git(repository, "add", ".")
    git(repository, "commit", "-qm", "first")
    (repository / "train.py").write_text(RUN + "# changed\n")
    (repository / "data.csv").write_text(ROWS)
    program = (
        "import histhooks._collect.code_files as f\nf.is_table = lambda text: False\n"
        "f.CODE_SUFFIXES += ('.csv',)\nexec(open('train.py').read())\n"
    )
    python(repository, "-c", program)
    python(repository, "-c", program)
    return repository / "histhooks.db"


def test_an_old_store_loses_its_rows_of_data_and_keeps_its_code(repository: Path) -> None:
    store = old_store(repository)
    assert b"Carol White" in bytes_of(store)
    code, text = cli(repository, "redact", "--data-rows", "--dry-run")
    assert code == 0, text
    assert "code_versions.diff" in text
    assert b"Carol White" in bytes_of(store)
    code, text = cli(repository, "redact", "--data-rows", "--reason", "rows of customers", "--yes")
    assert code == 0, text
    assert b"Carol White" not in bytes_of(store)
    ((diff,),) = query(store, "SELECT diff FROM code_versions")
    assert "+# changed" in str(diff)
    report = verify(store)
    assert (report.problems, report.redacted_parts > 0) == ([], True)
    assert "redacted" in cli(repository, "verify")[1]
    done = subprocess.run(
        [sys.executable, DOCS / "reference" / "verify_ledger.py", store], capture_output=True, check=False
    )
    assert done.returncode == 0, done.stdout
    with History(store) as history:
        assert history.diff("last~1", "last").differs is None
        assert any("redacted" in why for why in history.diff("last~1", "last").part("code").unknown)
    assert "redacted" in cli(repository, "show", "last", "--code")[1]
    # What was changed by hand afterwards is still seen.
    subprocess.run([sys.executable, "-c", "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); "
                    "c.execute(\"UPDATE code_versions SET diff = 'x'\"); c.commit()", store], check=True)  # fmt: skip
    assert not verify(store).ok


def test_a_module_from_another_folder_is_code_and_moved_elsewhere_the_same(tmp_path: Path) -> None:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "train.py").write_text("import sys\nsys.path.insert(0, sys.argv[1])\nimport helper\n" + RUN)
    for name, text in (("one", "width = 1\n"), ("two", "width = 1\n"), ("three", "width = 3\n")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "helper.py").write_text(text)
        python(folder, "train.py", str(tmp_path / name))
    with History(folder / "histhooks.db") as history:
        assert str(tmp_path / "one" / "helper.py") in history.run("last~2").sources
        assert "code" in history.diff("last~2", "last~1").same
        keys = [change.key for change in history.diff("last~1", "last").part("code").changes]
    assert keys == [f"source {tmp_path / 'two' / 'helper.py'}", f"source {tmp_path / 'three' / 'helper.py'}"]


def test_own_modules_and_lists_of_packages_are_known_by_content(repository: Path, tmp_path: Path) -> None:
    outside = tmp_path / "lib"
    outside.mkdir()
    (outside / "helper.py").write_text("api_key = 'correct-horse-battery'\nwidth = 1\n")
    train = f"import sys\nsys.path.insert(0, {str(outside)!r})\nimport helper, util, hidden\n" + RUN
    files = {
        "train.py": train, "util.py": "depth = 1\n", "hidden.py": "password = 'correct-horse-battery'\n",
        "unused.py": "", "pyproject.toml": "", "uv.lock": "[[package]]\nname = 'a'\n",
        "requirements-dev.txt": "--index-url https://ann:horse-battery@host/simple\n", "poetry.lock": "x" * 70_000,
    }  # fmt: skip
    for name, text in files.items():
        (repository / name).write_text(text)
    git(repository, "add", "-A")
    git(repository, "commit", "-qm", "all")
    python(repository, "train.py")
    store = repository / "histhooks.db"
    ((text,),) = query(store, "SELECT details FROM code_versions")
    details = json.loads(str(text))
    digests = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in files.items()}
    assert details["modules"] == {
        "train.py": digests["train.py"], "util.py": digests["util.py"], "hidden.py": None,
    }  # fmt: skip
    assert details["sources_masked"] == [str(outside / "helper.py")] == list(details["sources"])
    assert sorted(details["locks"]) == ["requirements-dev.txt", "uv.lock"]
    assert details["locks"]["uv.lock"] == digests["uv.lock"]
    assert details["locks_masked"] == ["requirements-dev.txt"]
    assert details["locks_hashed"] == {"poetry.lock": {"sha256": digests["poetry.lock"], "size_bytes": 70_000}}
    assert b"horse-battery" not in bytes_of(store)
    with History(store) as history:
        assert "width = 1" in history.run("last").sources[str(outside / "helper.py")]
    _, out = cli(repository, "show", "last")
    out = " ".join(out.split())
    assert "3 in git, 1 kept whole (1 with secrets masked) beside requirements-dev.txt, uv.lock, poetry.lock" in out
    _, out = cli(repository, "show", "last", "--code")
    assert "# secrets in requirements-dev.txt are masked" in out


def test_what_is_redacted_leaves_lists_of_packages_and_no_hash_of_a_module(repository: Path) -> None:
    (repository / "train.py").write_text("import util\n" + RUN)
    (repository / "util.py").write_text("name = 'maribel'\n")
    (repository / "uv.lock").write_text("[[package]]\nname = 'maribel'\n")
    git(repository, "add", "train.py", "uv.lock")
    git(repository, "commit", "-qm", "all")
    python(repository, "train.py")
    store = repository / "histhooks.db"
    curate.redact(users=("maribel",), reason="a wish", store=store)
    ((text,),) = query(store, "SELECT details FROM code_versions")
    details = json.loads(str(text))
    assert set(details["modules"].values()) == {None}
    assert b"maribel" not in bytes_of(store)
    assert verify(store).ok
    assert list(details["locks"]) == ["uv.lock"]


def test_a_timed_cell_is_no_text_that_nobody_kept(tmp_path: Path) -> None:
    (tmp_path / "nb.py").write_text(
        "from IPython.core.interactiveshell import InteractiveShell\n"
        "shell = InteractiveShell.instance()\n"
        f"shell.run_cell('%%time\\n' + {RUN!r}, store_history=True).raise_error()\n"
    )
    python(tmp_path, "nb.py")
    with History(tmp_path / "histhooks.db") as history:
        assert history.diff("last", "last").part("code").unknown == ()


# The look is over before the program is.
WAITS = f"""{RUN}
import sqlite3, time
histhooks.flush()
for _ in range(1200):
    if sqlite3.connect("histhooks.db").execute("SELECT max(code_version_id IS NULL) FROM sessions").fetchone() == (0,):
        break
    time.sleep(0.05)
"""


@pytest.mark.parametrize("how", ["stdin from a file", "a pipe", "a named pipe", "exec", "exec of a function", "gone"])
def test_what_has_no_file_is_known_to_differ_and_to_be_the_same(tmp_path: Path, how: str) -> None:
    programs = [f"# {n}\nwidth = {width}\n{WAITS}" for n, width in enumerate((1, 1, 2))]
    for text in programs:
        path = tmp_path / "program.py"
        path.write_text(text)
        if how == "stdin from a file":
            with path.open() as file:
                subprocess.run([sys.executable], cwd=tmp_path, stdin=file, check=True, capture_output=True)
        elif how == "a pipe":
            python(tmp_path, given=text)
        elif how == "a named pipe":
            through_a_pipe(tmp_path, text)
        elif how == "exec":
            (tmp_path / "outer.py").write_text("exec(open('program.py').read())\n")
            python(tmp_path, "outer.py")
        elif how == "exec of a function":
            inner = "".join(f"    {line}\n" for line in text.splitlines())
            path.write_text(f"def train():\n{inner}")
            (tmp_path / "outer.py").write_text("exec(open('program.py').read())\ntrain()\n")
            python(tmp_path, "outer.py")
        else:
            path.write_text(f"import os; os.unlink(__file__)\n{text}")
            python(tmp_path, "program.py")
    with History(tmp_path / "histhooks.db") as history:
        run = history.run("last")
        assert run.sources
        if how == "stdin from a file":
            assert run.sources == {"<stdin>": programs[-1]}  # comments count there
        else:
            assert "code" in history.diff("last~2", "last~1").same
        found = history.diff("last~1", "last")
        assert "code" not in found.same
        assert found.part("code").unknown == ()
        assert found.differs


def through_a_pipe(folder: Path, text: str) -> None:
    pipe = folder / "pipe"
    os.mkfifo(pipe)
    with subprocess.Popen([sys.executable, pipe], cwd=folder, stderr=subprocess.PIPE) as child:
        try:
            pipe.write_text(text)
            assert child.wait(60) == 0
        finally:
            child.kill()
    pipe.unlink()


def test_the_traceback_of_a_program_from_a_named_pipe_does_not_wait_for_it(tmp_path: Path) -> None:
    through_a_pipe(tmp_path, FAILS)
    ((status, traceback),) = query(tmp_path / "histhooks.db", "SELECT status, traceback FROM runs")
    assert status == "failed"
    assert "pipe" in str(traceback)


def test_of_a_piped_program_with_a_secret_in_it_not_even_a_hash_is_kept(tmp_path: Path) -> None:
    for secret in ("hunter2-correct", "hunter3-correct"):
        python(tmp_path, given=f"db_password = {secret!r}\n{WAITS}")
    with History(tmp_path / "histhooks.db") as history:
        assert history.run("last").sources == {}
        found = history.diff("last~1", "last").part("code")
        assert found.unknown[0].endswith("which came through a pipe was not recorded")


def test_methods_that_a_dataclass_has_are_no_text_of_the_program(tmp_path: Path) -> None:
    text = "import dataclasses, histhooks\n@dataclasses.dataclass\nclass Job:\n    lr: float = 0.1\n"
    text += "    def __post_init__(self):\n        with histhooks.start_run('a'): pass\nJob()\n"
    (tmp_path / "train.py").write_text(text)
    python(tmp_path, "train.py")
    with History(tmp_path / "histhooks.db") as history:
        assert history.run("last").sources == {"train.py": text}
    assert query(tmp_path / "histhooks.db", "SELECT note FROM captures WHERE collector = 'sources'") == []
