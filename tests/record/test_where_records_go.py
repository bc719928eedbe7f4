"""Where records go: a store that is named too late, no home, a file that is not ours, a spool."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from helpers.recordings import assert_fits, record, rows


def test_a_store_that_is_named_too_late_is_told(store: Path) -> None:
    program = """
        import histhooks
        histhooks.autolog(store="histhooks.db")
        histhooks.start_run("first").end()
        histhooks.autolog(store="histhooks.db")
        histhooks.autolog(store="other.db")
        histhooks.start_run("second").end()
    """
    code, _, err = record(store, program, HISTHOOKS_STORE="")
    assert code == 0, err
    assert len(err.splitlines()) == 1
    assert f"other.db is not used: this process already records to {store}" in err
    assert rows(store, "SELECT name FROM runs ORDER BY name") == [("first",), ("second",)]
    assert not store.with_name("other.db").exists()


def test_an_account_without_a_home_records_and_is_read(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container whose user is a bare number: neither a variable nor the list of accounts knows of a home."""
    for name in ("HOME", "XDG_STATE_HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    nobody = "import pwd\ndef unknown(number): raise KeyError(number)\npwd.getpwuid = unknown\n"
    program = nobody + "import histhooks\nwith histhooks.start_run('mine') as run: run.log({'loss': 1.0})"
    for network in ("", "1"):
        assert record(store, program, HISTHOOKS_NETWORK=network, HISTHOOKS_STRICT="1") == (0, "", "")
    assert len(list(store.with_name("histhooks.db.spool").iterdir())) == 1
    reading = nobody + "from histhooks.cli import main\nimport sys\nsys.argv = ['histhooks', 'runs', '--csv']\nmain()"
    code, out, err = record(store, reading)
    assert (code, err) == (0, "")
    assert out.count(",mine,") == 2
    assert rows(store, "SELECT count(*) FROM events WHERE kind = 'hook_error'") == [(0,)]
    assert_fits(store)


@pytest.mark.parametrize("content", ["not ours", "newer", "noise"])
def test_a_file_that_is_not_ours_is_left_alone_and_a_spool_takes_the_records(store: Path, content: str) -> None:
    if content == "noise":
        store.write_bytes(b"this is no database at all" * 100)
    else:
        connection = sqlite3.connect(store)
        connection.execute("CREATE TABLE theirs (a)")
        if content == "newer":
            connection.execute(f"PRAGMA application_id = {0x48495354}")
            connection.execute("PRAGMA user_version = 2000")
        connection.commit()
        connection.close()
    before = store.read_bytes()
    code, _, err = record(store, "import histhooks\nwith histhooks.start_run('mine') as run: run.log({'loss': 1.0})")
    assert code == 0
    assert store.read_bytes() == before
    assert len(err.splitlines()) == 1
    assert str(store) in err
    (spool,) = store.with_name("histhooks.db.spool").glob("*.db")
    assert rows(spool, "SELECT name, status FROM runs") == [("mine", "finished")]
    assert rows(spool, "SELECT value FROM metrics") == [(1.0,)]
    assert_fits(spool)


def test_a_waiting_spool_comes_home_once(store: Path) -> None:
    store.write_bytes(b"noise" * 1000)
    record(store, "import histhooks\nwith histhooks.start_run('early') as run: run.log({'loss': 1.0})")
    store.unlink()
    record(store, "import histhooks\nwith histhooks.start_run('late'): pass")
    assert rows(store, "SELECT name, status FROM runs ORDER BY name") == [("early", "finished"), ("late", "finished")]
    assert rows(store, "SELECT value FROM metrics") == [(1.0,)]
    assert list(store.with_name("histhooks.db.spool").glob("*.db")) == []
    assert_fits(store)
