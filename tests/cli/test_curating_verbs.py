"""Changing a history from the command line: what it says, its exit codes, and its JSON."""

from __future__ import annotations

import json
import os
import pty
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from histhooks import History, curate
from histhooks.testing import query, run_program
from histhooks.verify import verify

PROGRAM = """
import histhooks
for name in ("first", "second", "third"):
    with histhooks.start_run(name) as run:
        run.log({"loss": 0.5})
        with histhooks.start_run("inside"): pass
"""


@pytest.fixture
def store(store_path: Path) -> Path:
    code, _, err = run_program(PROGRAM, store_path, HISTHOOKS_ACTOR="ann@example.org", LOGNAME="zaphodbb")
    assert code == 0, err
    return store_path


def ask(store: Path, *words: str, stdin: str | None = None, **variables: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "histhooks", words[0], str(store), *words[1:]], env={**os.environ, **variables},
        input=stdin, stdin=None if stdin is not None else subprocess.DEVNULL,
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert "Traceback (most recent call last)" not in done.stderr
    return done.returncode, done.stdout, done.stderr


def test_untag_takes_a_tag_off_and_leaves_a_trace(store: Path) -> None:
    assert ask(store, "tag", "first", "team=red", "baseline", "ann=secret")[0] == 0
    code, out, _ = ask(store, "untag", "first", "baseline", "team=red")
    assert (code, "is no longer tagged: baseline, team" in out) == (0, True)
    code, _, err = ask(store, "untag", "first", "team")
    assert (code, "has no tag 'team'; it has ann" in err) == (2, True)
    assert ask(store, "untag", "first")[0] == 2
    with History(store) as history:
        run = history.run("first")
        assert run.tags == {"ann": "secret"}
        trace = [(row["key"], row["value"], row["is_removed"]) for row in run.related("tags")]
        assert ("team", "red", 0) in trace
        assert trace[-2:] == [("baseline", None, 1), ("team", None, 1)]
        assert [found.id for found in history.runs(tag="team")] == []
        assert [found.id for found in history.runs(where="has tags.baseline")] == []
        assert [found.id for found in history.runs(where="tags.team = red")] == []
        assert [found.id for found in history.runs(tag="ann")] == [run.id]
    assert "baseline" not in ask(store, "show", "first")[1]
    assert json.loads(ask(store, "runs", "--json")[1])[-1]["tags"] == {"ann": "secret"}
    assert ask(store, "tag", "first", "team=blue")[0] == 0
    curate.untag("first", "ann", store=store)
    with History(store) as history:
        assert history.run("first").tags == {"team": "blue"}
    assert verify(store).ok
    # A value that was erased is no tag that was taken off.
    assert ask(store, "redact", "--run", "first", "--reason", "request", "--yes")[0] == 0
    with History(store) as history:
        assert history.run("first").tags == {"team": None}
    assert verify(store).ok


def test_the_name_of_a_tag_with_spaces_is_refused_with_the_right_form(store: Path) -> None:
    code, _, err = ask(store, "tag", "first", "team red")
    assert (code, "the name of a tag has no spaces: team=red, not 'team red'" in err) == (2, True)
    code, _, err = ask(store, "tag", "first", "my team=dark red")
    assert (code, "my_team=dark red" in err) == (2, True)
    assert ask(store, "tag", "first", "team=dark red")[0] == 0


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("dashboard", "histhooks ui"), ("import", "histhooks merge"), ("rm", "histhooks delete"),
        ("artifacts", "histhooks restore"), ("untagg", "untag"), ("reprot", "report"),
    ],
)  # fmt: skip
def test_a_word_of_another_tool_leads_to_the_verb(word: str, hint: str) -> None:
    done = subprocess.run([sys.executable, "-m", "histhooks", word], capture_output=True, text=True, check=False)
    assert (done.returncode, f"no verb is called '{word}'" in done.stderr, hint in done.stderr) == (2, True, True)


def test_what_the_hint_for_merge_says_works(store: Path, tmp_path: Path) -> None:
    other = tmp_path / "other" / "histhooks.db"
    other.parent.mkdir()
    code, _, err = run_program(
        "import histhooks\nopen('m', 'w').write('m')\n"
        "with histhooks.start_run('theirs') as run: run.log_artifact('m', keep=True)",
        other,
    )
    assert code == 0, err
    spool = store.with_name(f"{store.name}.spool")
    spool.mkdir()
    (spool / "other.db").write_bytes(other.read_bytes())
    shutil.copytree(f"{other}.files", spool / "other.db.files")
    assert ask(store, "sync")[0] == 0
    with History(store) as history:
        found = history.run("theirs").artifacts["m"]
        assert (found["kept"], found.read_bytes(), found.path.parent.parent.name) == (True, b"m", "histhooks.db.files")
    assert verify(store).ok


def test_tag_note_and_rename(store: Path) -> None:
    assert ask(store, "tag", "first", "team=red", "baseline", "url=a=b")[0] == 0
    assert ask(store, "note", "first", "two", "words")[0] == 0
    assert ask(store, "note", "first", "-", stdin="from a pipe\n")[0] == 0
    code, out, _ = ask(store, "rename", "first", "a better name")
    assert (code, "'a better name'" in out) == (0, True)
    with History(store) as history:
        run = history.run("a better name")
        assert {row["key"]: row["value"] for row in run.related("tags")} == {
            "team": "red", "baseline": "", "url": "a=b"
        }  # fmt: skip
        assert [row["body"] for row in run.related("notes")] == ["two words", "from a pipe"]
    code, out, _ = ask(store, "tag", "second", "a=b", "--json")
    assert json.loads(out)["tags"] == ["a"]
    assert verify(store).ok


def test_a_note_without_text_is_written_in_the_editor(store: Path, tmp_path: Path) -> None:
    editor = tmp_path / "editor.sh"
    editor.write_text('#!/bin/sh\necho "from the editor" > "$1"\n')
    editor.chmod(0o755)
    outer, inner = pty.openpty()
    command = [sys.executable, "-m", "histhooks", "note", str(store), "first"]
    environment = {**os.environ, "EDITOR": str(editor), "VISUAL": str(editor)}
    done = subprocess.run(command, env=environment, stdin=inner, capture_output=True, text=True, timeout=60)
    os.close(inner)
    os.close(outer)
    assert done.returncode == 0, done.stderr
    assert query(store, "SELECT body FROM notes") == [("from the editor",)]


def test_delete_needs_a_reason_and_tells_what_went(store: Path) -> None:
    code, out, _ = ask(store, "delete", "first")
    assert (code, "would delete 1 run with 1 inside" in out, "--yes" in out) == (0, True, True)
    assert query(store, "SELECT count(*) FROM runs") == [(6,)]
    code, _, err = ask(store, "delete", "first", "--yes")
    assert (code, "--reason" in err) == (2, True)
    code, out, _ = ask(store, "delete", "first", "--dry-run")
    assert (code, "would delete 1 run with 1 inside" in out) == (0, True)
    code, out, _ = ask(store, "delete", "first", "second", "--reason", "wrong data", "--yes")
    assert code == 0
    assert "deleted 2 runs with 2 inside" in out
    assert "a tombstone stays" in out
    code, _, err = ask(store, "delete", "first", "--reason", "again", "--yes")
    assert (code, "no run is 'first'" in err) == (2, True)
    code, out, _ = ask(store, "delete", "third", "--reason", "x", "--yes", "--json")
    record = json.loads(out)
    assert (record["deleted"], len(record["runs"]), record["notice"]) == (True, 2, None)
    code, out, _ = ask(store, "verify")
    assert (code, "deleted, with a tombstone" in out) == (0, True)


@pytest.mark.parametrize("answer", ["y", "n"])
def test_delete_asks_where_somebody_can_answer(store: Path, answer: str) -> None:
    outer, inner = pty.openpty()
    command = [sys.executable, "-m", "histhooks", "delete", str(store), "first"]
    process = subprocess.Popen(command, stdin=inner, stdout=inner, stderr=inner, close_fds=True)
    os.close(inner)
    os.write(outer, f"wrong data\n{answer}\n".encode())
    shown = b""
    try:
        while chunk := os.read(outer, 4096):
            shown += chunk
    except OSError:
        pass  # the other end is closed
    assert process.wait(timeout=60) == 0
    assert b"would delete 1 run with 1 inside" in shown
    assert query(store, "SELECT count(*) FROM runs") == [(4 if answer == "y" else 6,)]
    assert query(store, "SELECT reason FROM tombstones") == ([("wrong data",)] * 2 if answer == "y" else [])
    os.close(outer)


def test_prune_shows_first_and_does_it_when_told(store: Path) -> None:
    code, _, err = ask(store, "prune")
    assert (code, "needs a rule" in err) == (2, True)
    code, out, _ = ask(store, "prune", "--keep-last", "1", "--dry-run", "--yes", "--reason", "old")
    assert (code, "would delete 2 runs" in out, out.splitlines()[-1]) == (0, True, "nothing was changed")
    code, out, _ = ask(store, "prune", "--keep-last", "1")
    assert (code, "would delete 2 runs" in out, "--yes" in out) == (0, True, True)
    assert query(store, "SELECT count(*) FROM runs") == [(6,)]
    code, _, err = ask(store, "prune", "--keep-last", "1", "--yes")
    assert (code, "--reason" in err) == (2, True)
    code, out, _ = ask(store, "prune", "--keep-last", "1", "--yes", "--reason", "old")
    assert (code, "deleted 2 runs" in out) == (0, True)
    assert query(store, "SELECT name FROM runs WHERE parent_id IS NULL") == [("third",)]
    assert "nothing was changed" in ask(store, "prune", "--keep-last", "1", "--yes", "--reason", "old")[1]
    assert json.loads(ask(store, "prune", "--keep-last", "1", "--json")[1])["runs"] == []


def test_redact_shows_first_and_does_it_when_told(store: Path) -> None:
    code, _, err = ask(store, "redact")
    assert (code, "--user" in err) == (2, True)
    code, out, _ = ask(store, "redact", "--user", "zaphodbb")
    assert (code, "would erase" in out, "cannot be undone" in out) == (0, True, True)
    code, out, _ = ask(store, "redact", "--user", "zaphodbb", "--yes", "--reason", "request 7", "--dry-run")
    assert (code, "would erase" in out, out.splitlines()[-1]) == (0, True, "nothing was changed")
    assert b"zaphodbb" in store.read_bytes()
    code, _, err = ask(store, "redact", "--user", "zaphodbb", "--yes", "--reason", "zaphodbb asked")
    assert (code, "names what is to be erased" in err) == (2, True)
    code, out, _ = ask(store, "redact", "--user", "zaphodbb", "--yes", "--reason", "request 7")
    assert (code, "erased" in out) == (0, True)
    assert b"zaphodbb" not in store.read_bytes()
    code, out, _ = ask(store, "verify")
    assert (code, "redacted" in out) == (0, True)


@pytest.mark.parametrize("words", [
    ("tag", "first"), ("tag", "first", "=x"), ("note",), ("note", "first"), ("rename", "first"), ("delete",),
    ("tag", "nobody", "a"), ("prune", "--older-than", "soon"), ("prune", "first"), ("redact", "first"),
])  # fmt: skip
def test_wrong_use_is_exit_code_2_and_changes_nothing(store: Path, words: tuple[str, ...]) -> None:
    code, out, err = ask(store, *words)
    assert (code, out) == (2, "")
    assert err
    assert query(store, "SELECT count(*) FROM sessions") == [(1,)]
