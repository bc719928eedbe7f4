"""The write side of a store: made by anyone first, migrated apart, never where it does not belong."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import histhooks
from histhooks._host.store_location import find_store, keep_out_of_git, project_name, store_path
from histhooks._store.connection import Link, Unwritable
from histhooks._store.opening import check
from histhooks._store.spools import merge_waiting
from histhooks._store.stamp import APPLICATION_ID, SCHEMA_VERSION
from histhooks._store.store import HEADS, Store
from histhooks.testing import query
from histhooks.verify import verify


def test_an_old_store_is_brought_up_to_date_in_a_process_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "histhooks.db"
    Store(path).close()
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION - 1}")
    connection.close()
    program = f"""
import sys
from pathlib import Path
from histhooks._store.store import Store
Store(Path({str(path)!r})).close()
heavy = {{"sqlite_utils", "numpy", "pandas"}} & set(sys.modules)
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
    connection.close()


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    blocker = tmp_path / "file"
    blocker.write_text("here is no folder")
    with pytest.raises(Unwritable, match="file"):
        Store(blocker / "histhooks.db")


def test_a_new_store_is_readable_by_any_sql_tool(tmp_path: Path) -> None:
    path = tmp_path / "histhooks.db"
    store = Store(path)
    assert store.connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    store.close()
    assert path.read_bytes()[:15] == b"SQLite format 3"
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT count(*) FROM metrics").fetchone() == (0,)
    connection.close()


def test_the_store_is_where_it_was_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HISTHOOKS_STORE", raising=False)
    inner = tmp_path / "repository" / "inner"
    inner.mkdir(parents=True)
    assert store_path(None, inner) == inner / "histhooks.db"
    (tmp_path / "repository" / ".git" / "info").mkdir(parents=True)
    assert store_path(None, inner) == tmp_path / "repository" / "histhooks.db"
    assert project_name(None, inner) == "repository"
    assert find_store(None, inner) is None
    (tmp_path / "repository" / "histhooks.db").touch()
    assert find_store(None, inner) == tmp_path / "repository" / "histhooks.db"
    (inner / "pyproject.toml").write_text('[tool.histhooks]\nstore = "named.db"\n')
    assert store_path(None, inner) == inner / "named.db"
    monkeypatch.setenv("HISTHOOKS_STORE", str(tmp_path / "variable.db"))
    assert store_path(None, inner) == tmp_path / "variable.db"
    assert store_path(tmp_path / "asked.db", inner) == tmp_path / "asked.db"


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("git@code.example:group/credit.git", "credit"), ("https://ada:word@code.example/group/credit", "credit"),
        ("ssh://git@code.example:2222/group/my%20model.git/", "my model"), ("/srv/git/credit/.git", "credit"),
        ("code.example:credit.git", "credit"), ("https://code.example/..", "clone"), ("", "copy"),
        ("https://word@code.example", "clone"), ("https://code.example/credit.git?token=word", "credit"),
    ],
)  # fmt: skip
def test_clones_of_one_repository_are_one_project(tmp_path: Path, url: str, name: str) -> None:
    clone = tmp_path / "clone"
    subprocess.run(["git", "init", "-q", clone], check=True)
    subprocess.run(["git", "-C", clone, "config", "remote.backup.url", "/elsewhere/copy.git"], check=True)
    if url:
        subprocess.run(["git", "-C", clone, "config", "remote.origin.url", url], check=True)
    assert project_name(None, clone) == name


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("https://code.example/credit.git ; the old one", "credit"),
        ("https://code.example/credit.git # new", "credit"),
        ('"https://code.example/my credit.git" # new', "my credit"),
        ("https://code.example/%2e%2e%2fetc", "clone"),
    ],
)
def test_what_a_person_wrote_beside_a_remote_is_no_part_of_its_name(tmp_path: Path, line: str, name: str) -> None:
    clone = tmp_path / "clone"
    subprocess.run(["git", "init", "-q", clone], check=True)
    with (clone / ".git" / "config").open("a") as file:
        file.write(f'[remote "origin"]\n\turl = {line}\n')
    assert project_name(None, clone) == name


def test_a_work_tree_is_of_the_project_of_its_repository(tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    environment = {**os.environ, "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b.example",
                   "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b.example"}  # fmt: skip
    for command in (
        ["init", "-q", clone], ["-C", clone, "commit", "-q", "--allow-empty", "-m", "first"],
        ["-C", clone, "remote", "add", "origin", "https://code.example/credit.git"],
        ["-C", clone, "worktree", "add", "-q", tmp_path / "feature"],
    ):  # fmt: skip
        subprocess.run(["git", *command], check=True, env=environment)
    (tmp_path / "feature" / "src").mkdir()
    assert project_name(None, tmp_path / "feature" / "src") == "credit"


@pytest.mark.parametrize("asks", [True, False])
def test_a_program_that_changes_its_folder_records_where_it_was_when_it_asked(tmp_path: Path, asks: bool) -> None:
    """As one under Hydra, which gives each job a folder of its own."""
    (tmp_path / "job" / "7").mkdir(parents=True)
    program = f"""
import os, histhooks
{"histhooks.autolog()" if asks else ""}
os.chdir("job/7")
with histhooks.start_run("one"):
    pass
"""
    ours = {"HISTHOOKS_STORE": "", "HISTHOOKS_PROJECT": "", "HISTHOOKS_STRICT": "1", "HISTHOOKS_QUIET": "1"}
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env={**os.environ, **ours}, check=True, timeout=60)
    place = tmp_path if asks else tmp_path / "job" / "7"
    assert [path.parent for path in tmp_path.rglob("histhooks.db")] == [place]
    connection = sqlite3.connect(place / "histhooks.db")
    assert connection.execute("SELECT project FROM runs").fetchall() == [(place.name,)]
    connection.close()


@pytest.mark.skipif(sys.version_info[:3] == (3, 13, 0), reason="Python 3.13.0 cannot import socket in such a folder")
def test_a_program_whose_folder_is_gone_still_trains_and_records(tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    program = """
import os, histhooks
os.rmdir(os.getcwd())
with histhooks.start_run("one") as run:
    run.log({"loss": 0.5})
print("trained")
"""
    ours = {"HISTHOOKS_STORE": "", "HISTHOOKS_PROJECT": "", "HISTHOOKS_QUIET": "1", "XDG_DATA_HOME": str(tmp_path)}
    ours |= {"PWD": str(tmp_path / "gone")}
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path / "gone", env={**os.environ, **ours}, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "trained\n"), done.stderr
    (found,) = tmp_path.rglob("histhooks.db")
    connection = sqlite3.connect(found)
    assert connection.execute("SELECT name, project, status FROM runs").fetchall() == [("one", "gone", "finished")]
    connection.close()


def test_a_store_never_makes_a_work_tree_dirty(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    store = tmp_path / "histhooks.db"
    store.touch()
    keep_out_of_git(store)
    keep_out_of_git(store)
    done = subprocess.run(["git", "status", "--porcelain"], cwd=tmp_path, check=True, capture_output=True, text=True)
    assert done.stdout == ""
    assert (tmp_path / ".git" / "info" / "exclude").read_text().count("histhooks.db*") == 1


def git(folder: Path, *args: str) -> str:
    who = ["-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "protocol.file.allow=always"]
    done = subprocess.run(["git", *who, *args], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout


def test_nor_one_that_git_keeps_elsewhere(tmp_path: Path) -> None:
    # In a further work tree, and in a submodule, .git is a file that says where git keeps what it knows.
    first, further = tmp_path / "first", tmp_path / "further"
    first.mkdir()
    git(first, "init", "-q")
    git(first, "commit", "-q", "--allow-empty", "-m", "one")
    git(first, "worktree", "add", "-q", str(further))
    git(first, "submodule", "--quiet", "add", f"{first}/.git", "inner")
    git(first, "commit", "-q", "-m", "two")
    for folder in (further, first / "inner"):
        assert (folder / ".git").is_file()
        store = folder / "histhooks.db"
        store.touch()
        assert "histhooks.db" in git(folder, "status", "--porcelain")
        keep_out_of_git(store)
        assert git(folder, "status", "--porcelain") == ""
    assert git(first, "status", "--porcelain") == ""


WITHOUT_RIGHTS = ["setpriv", "--bounding-set=-dac_override,-fowner"] if os.geteuid() == 0 else []


def test_what_a_folder_that_cannot_be_written_recorded_is_found_from_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HISTHOOKS_STORE", raising=False)
    closed, opened = tmp_path / "closed", tmp_path / "opened"
    closed.mkdir()
    opened.mkdir()
    (closed / "train.py").write_text("import histhooks\nwith histhooks.start_run(name='one'): pass\n")
    closed.chmod(0o555)
    try:
        subprocess.run([*WITHOUT_RIGHTS, sys.executable, "train.py"], cwd=closed, check=True, timeout=60)
        look = [*WITHOUT_RIGHTS, sys.executable, "-m", "histhooks", "runs", "--csv"]
        found = [subprocess.run(look, cwd=folder, capture_output=True, text=True) for folder in (closed, opened)]
    finally:
        closed.chmod(0o755)
    assert found[0].returncode == 0, found[0].stderr
    assert ",one," in found[0].stdout
    assert found[1].returncode != 0, "a folder that can be written has a store of its own, or none"


def test_a_store_in_the_making_is_not_taken_for_a_strangers(tmp_path: Path) -> None:
    # Each question about the file sees what another connection commits meanwhile, but for a snapshot.
    path = tmp_path / "histhooks.db"
    maker = sqlite3.connect(path, isolation_level=None)
    maker.execute("PRAGMA journal_mode = WAL")
    reader = sqlite3.connect(path, isolation_level=None)

    class Interleaved:
        """The reader's connection; the maker commits a table and its mark between two of its questions."""

        in_transaction = property(lambda self: reader.in_transaction)

        def execute(self, sql: str) -> sqlite3.Cursor:
            cursor = reader.execute(sql)
            if "user_version" in sql:
                maker.executescript(f"BEGIN; CREATE TABLE t (a); PRAGMA application_id = {APPLICATION_ID}; COMMIT;")
            return cursor

    assert check(path, Interleaved()) == 0
    reader.close()
    maker.close()


def test_a_spool_that_was_just_made_is_left_to_its_session(tmp_path: Path) -> None:
    store = Store(tmp_path / "histhooks.db")
    spool = tmp_path / "histhooks.db.spool" / "one.db"
    Store(spool, is_spool=True).close()
    assert merge_waiting(store) == []
    assert spool.exists()
    os.utime(spool, (0, 0))
    assert merge_waiting(store) == ["one.db"]
    assert not spool.exists()
    store.close()


def heads_by_hand(lines: list[tuple[str, int, str, list[list[Any]] | None]], sessions: list[str]) -> list[list[Any]]:
    """The last line of each session that no first line names."""
    named = {(head[0], head[1]) for _, seq, _, heads in lines if seq == 0 and heads for head in heads}
    last = {session: (seq, digest) for session, seq, digest, _ in sorted(lines, key=lambda line: line[:2])}
    return [[s, *last[s]] for s in sorted(sessions) if s in last and (s, last[s][0]) not in named]


@pytest.fixture(scope="module")
def write_lines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Any, Any], Store]]:
    """A store whose sessions and ledger lines are what was said last."""
    store = Store(tmp_path_factory.mktemp("heads") / "histhooks.db")

    def write(sessions: list[str], lines: list[tuple[str, int, str, list[list[Any]] | None]]) -> Store:
        execute = store.connection.execute
        execute("BEGIN")
        execute("DELETE FROM ledger")
        execute("DELETE FROM sessions")
        for session in sessions:
            sql = (
                "INSERT INTO sessions (id, kind, started_at, status, recorder_version) VALUES (?, 'script', '', ?, '')"
            )
            execute(sql, (session, "running"))
        for session, seq, digest, heads in lines:
            text = None if heads is None else json.dumps(heads)
            sql = "INSERT INTO ledger (session_id, seq, n_rows, digest, time, heads) VALUES (?, ?, 1, ?, 0, ?)"
            execute(sql, (session, seq, digest, text))
        execute("COMMIT")
        return store

    yield write
    store.close()


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[str], list[tuple[str, int, str, list[list[Any]] | None]]]:
    sessions = draw(st.lists(st.sampled_from("abcdefgh"), unique=True, max_size=7))
    head = st.tuples(st.sampled_from("abcdefghi"), st.integers(0, 4)).map(lambda h: [h[0], h[1], f"{h[0]}{h[1]}"])
    lines = []
    for session in sessions:
        for seq in range(draw(st.integers(0, 5))):
            heads = draw(st.one_of(st.none(), st.lists(head, max_size=5))) if seq == 0 else None
            lines.append((session, seq, f"{session}{seq}", heads))
    return sessions, lines


@given(history=histories())
@settings(max_examples=300, deadline=None)
def test_the_heads_of_any_history_are_the_last_lines_that_nobody_named(
    history: tuple[list[str], list[tuple[str, int, str, list[list[Any]] | None]]],
    write_lines: Callable[[Any, Any], Store],
) -> None:
    sessions, lines = history
    assert write_lines(sessions, lines).heads() == heads_by_hand(lines, sessions)


def test_heads_are_looked_for_by_the_key_however_many_lines_a_session_has(tmp_path: Path) -> None:
    store = Store(tmp_path / "histhooks.db")
    steps = [row[3] for row in store.connection.execute(f"EXPLAIN QUERY PLAN {HEADS}")]
    on_ledger = [step for step in steps if step.split()[1] in ("ledger", "l")]
    assert len(on_ledger) == 3
    assert all(step.split()[0] == "SEARCH" and "USING PRIMARY KEY" in step for step in on_ledger)


def test_a_store_that_was_written_as_text_and_read_back_is_still_one(tmp_path: Path) -> None:
    first, second = tmp_path / "first.db", tmp_path / "second.db"
    program = "import histhooks\nwith histhooks.start_run('again') as run: run.log({'loss': 0.1, 'odd': float('nan')})"
    for store in (first, second):
        if store is second:
            connection, copy = sqlite3.connect(first), sqlite3.connect(second)
            copy.executescript("\n".join(connection.iterdump()))
            connection.close()
            copy.close()
            assert histhooks.History(second).run("last").name == "again"
            assert verify(second).problems == []
        subprocess.run([sys.executable, "-c", program], env={**os.environ, "HISTHOOKS_STORE": str(store)}, check=True)
    assert query(second, "SELECT name, status FROM runs") == [("again", "finished")] * 2
    assert query(second, "PRAGMA application_id") == [(APPLICATION_ID,)]
    assert query(second, "PRAGMA user_version") == [(SCHEMA_VERSION,)]
    assert verify(second).problems == []


def test_a_reader_that_closes_while_it_is_opened_is_no_closed_descriptor(tmp_path: Path) -> None:
    """The log of another connection, open when ours is made and gone at its first use, is not ours."""
    path = tmp_path / "h.db"
    Store(path).close()
    reader = sqlite3.connect(path)
    reader.execute("PRAGMA journal_mode = WAL")
    reader.execute("SELECT count(*) FROM runs").fetchall()

    def use() -> None:
        reader.close()
        link.connection.execute("SELECT count(*) FROM runs").fetchall()

    link = Link(path, use, timeout_s=5.0, n_statements=10)
    link.open()
    assert link.connection.execute("SELECT count(*) FROM runs").fetchone() == (0,)
    link.close()
