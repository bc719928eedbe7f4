"""The list of stores that a user has recorded to: written once a session, read where there is no store."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.terminals import COMMAND, DOCTOR
from histhooks._store.known_stores import known_stores, remember

PROGRAM = "import histhooks; histhooks.start_run('a').end()"


def ask(*words: str, folder: Path) -> tuple[int, str, str]:
    environment = {key: value for key, value in os.environ.items() if key != "HISTHOOKS_STORE"}
    done = subprocess.run(
        [*DOCTOR, *words[1:]] if words[0] == "doctor" else [*COMMAND, *words],
        env=environment, cwd=folder, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def record(path: Path) -> None:
    environment = {**os.environ, "HISTHOOKS_STORE": str(path)}
    subprocess.run([sys.executable, "-c", PROGRAM], env=environment, check=True, timeout=60)


def test_a_reader_where_there_is_no_store_is_told_of_those_that_there_are(tmp_path: Path) -> None:
    for name in ("first", "second", "gone"):
        (tmp_path / name).mkdir()
        record(tmp_path / name / "histhooks.db")
    record(tmp_path / "first" / "histhooks.db")
    (tmp_path / "gone" / "histhooks.db").unlink()
    empty = tmp_path / "empty"
    empty.mkdir()
    for words in (("runs",), ("show",), ("verify",), ("sync",)):
        code, out, err = ask(*words, folder=empty)
        assert (code, out) == (2, "")
        assert err.splitlines()[1:] == [
            f"  {tmp_path / 'first' / 'histhooks.db'} (2 runs)",
            f"  {tmp_path / 'second' / 'histhooks.db'} (1 run)",
        ]
    assert list(empty.iterdir()) == []
    _, out, _ = ask("doctor", folder=empty)
    assert f"recorded to:\n  {tmp_path / 'first' / 'histhooks.db'}\n" in out


def test_the_list_is_this_users_own_and_each_store_is_once_in_it(tmp_path: Path) -> None:
    for name in ("a", "b", "a"):
        path = tmp_path / name
        path.touch()
        remember(path)
    assert known_stores() == [tmp_path / "a", tmp_path / "b"]
    written = Path(os.environ["XDG_STATE_HOME"]) / "histhooks" / "stores"
    assert stat.S_IMODE(written.stat().st_mode) == 0o600
    assert [path.name for path in written.parent.iterdir()] == ["stores"]
    for number in range(150):
        remember(tmp_path / f"store-{number}")
    assert len(written.read_text().splitlines()) == 100


@pytest.mark.parametrize("what", ["a file in the way", "not text"])
def test_a_list_that_cannot_be_read_or_written_stops_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    state = tmp_path / "state"
    monkeypatch.setenv("XDG_STATE_HOME", str(state))
    if what == "a file in the way":
        state.write_text("in the way")
    else:
        (state / "histhooks").mkdir(parents=True)
        (state / "histhooks" / "stores").write_bytes(b"\xff\xfe\x00")
    record(tmp_path / "histhooks.db")  # HISTHOOKS_STRICT=1: a failure of ours would end it
    assert (tmp_path / "histhooks.db").is_file()
    assert known_stores() in ([], [tmp_path / "histhooks.db"])
