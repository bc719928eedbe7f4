"""Which code ran: git as it is, no file touched."""

import json
import subprocess
import zlib
from pathlib import Path

import pytest

from histhooks.testing import query, run_program

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
    assert (status, note) == ("skipped", "no git repository here, or no git")
