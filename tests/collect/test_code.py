"""Which code ran: git as it is, no file touched."""

import json
import os
import shutil
import signal
import subprocess
import zlib
from pathlib import Path

import pytest

from histhooks import History
from histhooks.history.compare.code import state_of
from histhooks.testing import query, run_program
from histhooks.verify import verify

PROGRAM = "import histhooks\nwith histhooks.start_run('a'): pass\n"
SQL = "SELECT commit_hash, branch, dirty, diff, repository, details FROM code_versions"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    for command in (
        ["init", "-q", "-b", "trunk"],
        ["config", "user.email", "ann@example.org"],
        ["config", "user.name", "Ann"],
        ["remote", "add", "origin", "https://ann:hunter2pass@example.org/project.git"],
    ):
        git(folder, *command)
    (folder / "model.py").write_text("width = 1\n")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "first")
    return folder


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_a_clean_work_tree_is_a_commit_and_the_store_leaves_it_clean(repository: Path) -> None:
    store = repository / "histhooks.db"
    code, _, err = run_program(PROGRAM, store, HISTHOOKS_STORE="")
    assert code == 0, err
    ((commit, branch, dirty, diff, remote, _),) = query(store, SQL)
    assert (commit, branch, dirty, diff) == (git(repository, "rev-parse", "HEAD"), "trunk", 0, None)
    assert remote == "https://example.org/project.git"
    assert git(repository, "status", "--porcelain") == ""
    assert query(store, "SELECT project FROM runs") == [("project",)]
    assert query(store, "SELECT actor, actor_source FROM sessions") == [("ann@example.org", "git")]


def test_a_virtual_environment_that_git_does_not_ignore_is_no_change_of_the_code(repository: Path) -> None:
    for name in (
        "env/pyvenv.cfg",
        "env/lib/site-packages/numpy.py",
        "tools/.venv/pyvenv.cfg",
        "tools/.venv/bin/run.py",
    ):
        (repository / name).parent.mkdir(parents=True, exist_ok=True)
        (repository / name).write_text("x = 1\n")
    store = repository / "histhooks.db"
    assert run_program(PROGRAM, store, HISTHOOKS_STORE="")[0] == 0
    ((_, _, dirty, diff, _, details),) = query(store, SQL)
    assert (dirty, diff) == (0, None)
    assert not {key for key in json.loads(str(details)) if "untracked" in key}
    (repository / "tools/new.py").write_text("depth = 3\n")
    other = repository / "other.db"
    assert run_program(PROGRAM, other)[0] == 0
    ((_, _, dirty, _, _, details),) = query(other, SQL)
    assert (dirty, list(json.loads(str(details))["untracked"])) == (1, ["tools/new.py"])


def test_what_differs_from_the_commit_is_kept_and_small_new_code_too(repository: Path) -> None:
    (repository / "model.py").write_text("width = 2\npassword = 'correct-horse-battery'\n")
    (repository / "new.py").write_text("depth = 3\n")
    (repository / "data.csv").write_text("1,2\n")
    store = repository / "histhooks.db"
    code, _, err = run_program(PROGRAM, store)
    assert code == 0, err
    ((_, _, dirty, diff, _, details),) = query(store, SQL)
    assert dirty == 1
    assert isinstance(diff, str)
    assert "+width = 2" in diff
    assert "correct-horse" not in diff
    facts = json.loads(str(details))
    assert facts["diff_masked"] is True
    assert facts["diff_lines"] == diff.count("\n")
    assert list(facts["untracked"]) == ["new.py"]
    (kept,) = query(store, f"SELECT data, encoding FROM contents WHERE sha256 = '{facts['untracked']['new.py']}'")
    data = bytes(kept[0])
    assert (zlib.decompress(data) if kept[1] == "zlib" else data) == b"depth = 3\n"


def test_a_folder_without_git_says_so(tmp_path: Path) -> None:
    store = tmp_path / "histhooks.db"
    code, _, err = run_program(PROGRAM, store, GIT_CEILING_DIRECTORIES=str(tmp_path.parent))
    assert code == 0, err
    ((status, note),) = query(store, "SELECT status, note FROM captures WHERE collector = 'git'")
    assert (status, note) == ("skipped", "no git repository here")


def test_a_machine_without_git_says_so(repository: Path, tmp_path: Path) -> None:
    store = repository / "histhooks.db"
    code, _, err = run_program(PROGRAM, store, PATH=str(tmp_path / "nothing"))
    assert code == 0, err
    ((status, note),) = query(store, "SELECT status, note FROM captures WHERE collector = 'git'")
    assert (status, note) == ("skipped", "no git on the PATH")


def test_what_git_refuses_is_told_in_its_words_without_the_folder(repository: Path) -> None:
    store = repository / "histhooks.db"
    code, _, err = run_program(PROGRAM, store, GIT_TEST_ASSUME_DIFFERENT_OWNER="1")
    assert code == 0, err
    ((status, note),) = query(store, "SELECT status, note FROM captures WHERE collector = 'git'")
    assert status == "failed"
    assert str(note).startswith("git: fatal: ")
    assert "owner" in str(note)
    assert str(repository) not in str(note)


def test_before_the_first_commit_the_branch_and_what_is_staged_are_known(tmp_path: Path) -> None:
    folder = tmp_path / "young"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "trunk")
    (folder / "model.py").write_text("width = 1\n")
    git(folder, "add", ".")
    store = folder / "histhooks.db"
    code, _, err = run_program(PROGRAM, store)
    assert code == 0, err
    ((commit, branch, dirty, diff, where, _),) = query(store, SQL)
    assert (commit, branch, dirty, where) == (None, "trunk", 1, str(folder))
    assert "+width = 1" in str(diff)
    assert query(store, "SELECT status FROM captures WHERE collector = 'git'") == [("ok",)]


def test_of_a_big_diff_whole_lines_are_kept_and_the_rest_is_counted(repository: Path) -> None:
    lines = [f"row_{n} = {n * n}  # \u00e9" for n in range(80_000)]
    lines[30_000:30_000] = ["password = 'correct-horse-battery'"]
    (repository / "model.py").write_text("\n".join(lines))
    store = repository / "histhooks.db"
    code, _, err = run_program(PROGRAM, store)
    assert code == 0, err
    whole = git(repository, "diff", "HEAD") + "\n"
    ((_, _, dirty, diff, _, details),) = query(store, SQL)
    facts = json.loads(str(details))
    assert (dirty, diff) == (1, None)
    assert facts["diff_lines"] == whole.count("\n")
    assert facts["diff_masked"] is True
    (kept,) = query(store, f"SELECT data FROM contents WHERE sha256 = '{facts['diff_content']}'")
    text = zlib.decompress(bytes(kept[0])).decode()
    assert whole.replace("correct-horse-battery", "[masked]").startswith(text)
    assert text.endswith("\n")
    n_lines = text.count("\n")
    n_kept = len("".join(whole.splitlines(keepends=True)[:n_lines]))
    assert (1 << 20) - 100 < n_kept <= 1 << 20
    assert facts["diff_cut_characters"] == len(whole) - n_kept


def slow(folder: Path, *words: str) -> str:
    """A PATH on which git answers some questions never, as in a work tree behind a slow network."""
    folder.mkdir()
    script = folder / "git"
    patterns = "|".join(f'*" {word} "*' for word in words)
    script.write_text(f'#!/bin/sh\ncase " $* " in {patterns}) exec sleep 60;; esac\nexec {shutil.which("git")} "$@"\n')
    script.chmod(0o755)
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


@pytest.fixture
def slow_git(tmp_path: Path) -> str:
    """A PATH on which git looks for changes for ever."""
    return slow(tmp_path / "slow", "status", "diff")


def test_a_remote_that_was_not_told_in_time_is_not_taken_for_none(repository: Path, tmp_path: Path) -> None:
    store = repository / "histhooks.db"
    code, _, err = run_program(PROGRAM, store, PATH=slow(tmp_path / "slow", "remote.origin.url"))
    assert code == 0, err
    sql = "SELECT status, note FROM captures WHERE collector = 'git'"
    assert query(store, sql) == [("truncated", "remote or branch: git had not answered when the process ended")]
    ((commit, branch, dirty, _, _, _),) = query(store, SQL)
    assert (commit, branch, dirty) == (git(repository, "rev-parse", "HEAD"), "trunk", 0)


def test_a_short_program_does_not_wait_for_a_slow_git_and_keeps_what_was_known(repository: Path, slow_git: str) -> None:
    store = repository / "histhooks.db"
    code, _, err = run_program(PROGRAM, store, PATH=slow_git, HISTHOOKS_QUIET="0")
    assert code == 0, err
    ((commit, branch, dirty, diff, _, details),) = query(store, SQL)
    assert (commit, branch) == (git(repository, "rev-parse", "HEAD"), "trunk")
    facts = json.loads(str(details))
    assert list(facts.pop("sources")) == ["-c"]
    assert (dirty, diff, facts) == (None, None, {"diff_missing": True})
    told = {str(row[0]): row[1:] for row in query(store, "SELECT collector, status, note FROM captures")}
    assert {name: told[name][0] for name in ("environment", "packages")} == {"environment": "ok", "packages": "ok"}
    assert told["git"][0] == told["diff"][0] == "failed"
    assert told["git"][1] == "whether it has changes is not known: git had not answered when the process ended"
    assert told["diff"][1] == "git had not answered when the process ended"
    assert "not captured: diff, entry_script, git" in err
    assert query(store, "SELECT count(*) FROM sessions WHERE environment_id IS NULL OR code_version_id IS NULL") == [
        (0,)
    ]
    assert verify(store).problems == []
    with History(store) as history:
        # Nobody takes it for the commit as it is: that there were no changes is not known.
        state = state_of(history, history.run("last").code, None)
    assert state is not None
    assert state.missing == ["whether it had changes is not known", "its diff was not kept"]


def test_who_is_killed_while_git_is_asked_has_the_environment(repository: Path, slow_git: str) -> None:
    store = repository / "histhooks.db"
    program = """
import os, signal, sqlite3, time
import histhooks
from histhooks._record.engine import engine
histhooks.start_run("a")
while True:
    histhooks.flush()
    if sqlite3.connect(os.environ["HISTHOOKS_STORE"]).execute("SELECT environment_id FROM sessions").fetchone()[0]:
        break
    time.sleep(0.05)
# Whoever forks now does not wait for git either.
assert engine.writer._gathering.thread.is_alive()
assert engine.writer.importing.acquire(timeout=300)
os.kill(os.getpid(), signal.SIGKILL)
"""
    code, _, err = run_program(program, store, PATH=slow_git)
    assert code == -signal.SIGKILL, err
    assert query(store, "SELECT environment_id IS NULL, code_version_id IS NULL FROM sessions") == [(0, 1)]
    assert query(store, "SELECT status FROM captures WHERE collector = 'packages'") == [("ok",)]
    assert query(store, "SELECT count(*) FROM captures WHERE collector = 'git'") == [(0,)]


def test_a_part_that_fails_takes_no_other_with_it(repository: Path) -> None:
    store = repository / "histhooks.db"
    program = (
        "import platform\ndef broken(*args): raise OSError('no such thing')\nplatform.python_implementation = broken\n"
        + PROGRAM
    )
    code, _, err = run_program(program, store)
    assert code == 0, err
    assert query(store, "SELECT commit_hash FROM code_versions") == [(git(repository, "rev-parse", "HEAD"),)]
    sql = "SELECT collector, status, note FROM captures WHERE collector <> 'entry_script' ORDER BY collector"
    failed = ("failed", "OSError: no such thing")
    assert query(store, sql) == [
        ("environment", *failed), ("git", "ok", None), ("gpus", *failed), ("packages", *failed),
    ]  # fmt: skip
    assert query(store, "SELECT environment_id IS NULL, code_version_id IS NULL FROM sessions") == [(1, 0)]


def test_what_hangs_for_ever_is_told_as_missing_and_not_waited_for(repository: Path) -> None:
    os.mkfifo(repository / "piped.py")  # opening it waits for a writer, as a file behind a dead network does
    store = repository / "histhooks.db"
    program = (
        "import platform\nhang = lambda *args: open('piped.py').read()\nplatform.python_implementation = hang\n"
        + PROGRAM
    )
    code, _, err = run_program(program, store)
    assert code == 0, err
    rows = query(store, "SELECT collector, status, note FROM captures")
    assert {(row[0], row[1]) for row in rows} == {
        (name, "skipped") for name in ("environment", "git", "gpus", "packages")
    }
    assert all(str(row[2]).startswith("not there yet when the process ended, ") for row in rows)
    assert query(store, "SELECT r.status, s.status FROM runs AS r JOIN sessions AS s ON s.id = r.session_id") == [
        ("finished", "finished")
    ]
    assert verify(store).problems == []
