"""The key of row hashes: made once, by whoever is first, and readable by its owner alone."""

import hashlib
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from histhooks._host import row_key
from histhooks._host.settings import given
from histhooks.cli import cli

KEY = "00112233445566778899aabbccddeeff"


@pytest.fixture(autouse=True)
def no_key_of_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_key, "_of_process", [])


def ask(*words: str) -> tuple[int, str]:
    done = CliRunner().invoke(cli, ["key", *words], standalone_mode=True)
    return done.exit_code, done.output


def test_a_project_has_one_key_in_a_file_of_its_owner() -> None:
    found = row_key.row_key("churn")
    path = row_key.key_path("churn")
    assert path is not None
    assert path.parent == Path(os.environ["XDG_DATA_HOME"]) / "histhooks" / "keys"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert bytes.fromhex(path.read_text().strip()) == found.secret
    assert found.id == hashlib.sha256(found.secret).hexdigest()[:8]
    assert row_key.row_key("churn") == found
    assert row_key.row_key("other").secret != found.secret
    assert found.secret.hex() not in repr(found)
    assert [each.name for each in path.parent.iterdir()] == ["churn.key", "other.key"]


def test_processes_that_begin_at_once_have_one_key() -> None:
    code = "from histhooks._host.row_key import row_key; print(row_key('race').secret.hex())"
    begun = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(8)]
    assert len({each.communicate(timeout=60)[0] for each in begun}) == 1


def test_any_name_of_a_project_is_a_file_in_that_folder() -> None:
    paths = [row_key.key_path(name) for name in ("a/b", "a-b", "../x", "", ".", "Größe", "x" * 500, "a\0b", "con:")]
    assert len(set(paths)) == len(paths)
    for path in paths:
        assert path is not None
        assert path.parent.name == "keys"
        assert len(path.name) < 100


def test_the_variable_comes_first_and_is_shown_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HISTHOOKS_KEY", KEY)
    found = row_key.row_key("churn")
    assert found.secret == bytes.fromhex(KEY)
    path = row_key.key_path("churn")
    assert path is not None
    assert not path.exists()
    assert KEY not in str(given())


@pytest.mark.parametrize("text", ["short", "g" * 32, KEY + "00"])
def test_a_variable_that_holds_no_key_leaves_one_that_ends_with_the_process(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HISTHOOKS_KEY", text)
    found = row_key.row_key("churn")
    assert found.id is None
    assert "32 hexadecimal digits" in found.why
    assert text not in found.why
    assert row_key.row_key("churn").secret == found.secret


def test_a_folder_that_cannot_be_written_leaves_a_key_that_ends_with_the_process(tmp_path: Path) -> None:
    Path(os.environ["XDG_DATA_HOME"]).parent.mkdir(parents=True, exist_ok=True)
    Path(os.environ["XDG_DATA_HOME"]).write_text("a file where the folder would be")
    found = row_key.row_key("churn")
    assert found.id is None
    assert "cannot be written" in found.why


def test_a_key_file_that_is_broken_is_left_as_it_is() -> None:
    path = row_key.key_path("churn")
    assert path is not None
    path.parent.mkdir(parents=True)
    path.write_text("not a key")
    assert row_key.row_key("churn").id is None
    assert path.read_text() == "not a key"


def test_a_team_shares_a_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code, _ = ask("export", "--project", "churn", "-o", str(tmp_path / "team.key"))
    assert code == 0
    assert stat.S_IMODE((tmp_path / "team.key").stat().st_mode) == 0o600
    known = row_key.row_key("churn").id
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "colleague"))
    assert ask("import", str(tmp_path / "team.key"), "--project", "churn") == ask("show", "--project", "churn")
    assert row_key.row_key("churn").id == known
    (tmp_path / "other.key").write_text(KEY)
    code, text = ask("import", str(tmp_path / "other.key"), "--project", "churn")
    assert code == 2
    assert "--force" in text
    assert row_key.row_key("churn").id == known
    assert ask("import", str(tmp_path / "other.key"), "--project", "churn", "--force")[0] == 0
    assert row_key.row_key("churn").secret == bytes.fromhex(KEY)
    assert ask("export", "--project", "churn")[1].strip() == KEY


def test_to_show_a_key_makes_none() -> None:
    code, text = ask("show", "--project", "churn")
    assert code != 0
    assert "none was made yet" in text
    path = row_key.key_path("churn")
    assert path is not None
    assert not path.parent.exists()


@pytest.mark.parametrize("words", [("import",), ("show", "x"), ("import", "/nowhere"), ("export", "x")])
def test_wrong_use_is_an_error(words: tuple[str, ...]) -> None:
    assert ask(*words)[0] != 0
