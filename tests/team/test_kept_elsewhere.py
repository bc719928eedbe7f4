"""What a team reads of kept files and registered models that lie on other machines: no accusation, and no false yes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from helpers.models import make
from helpers.team_stores import change
from helpers.verbs import ask as histhooks
from histhooks import History, StoreError, models, team
from histhooks.errors import Refused
from histhooks.history._version_files import bytes_of
from histhooks.verify import verify

PROMOTED = (("one", True), ("two", False))


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store with two versions of a model: a copy of the first is kept, of the second none; both files are gone."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    made = make(tmp_path, "one", "two")
    for name, is_kept in PROMOTED:
        models.promote(f"{name}.bin", model="fraud", reason=name, keep=is_kept)
        Path(f"{name}.bin").unlink()
    return made


def told(place: str | Path) -> dict[str, str]:
    """By version: where its bytes are, and what the check of its run says."""
    with History(place) as history:
        found = {}
        for name in ("fraud@1", "fraud@2"):
            version = history.version(name)
            assert version.run is not None
            verdict = history.check(version.run.id, only=["model.gone"])
            level = "fail" if verdict.findings else "cannot tell" if verdict.cannot_tell else "pass"
            found[name] = f"{bytes_of(version).state}, {level}"
        return found


HERE = {"fraud@1": "kept, pass", "fraud@2": "gone, fail"}
THERE = {"fraud@1": "elsewhere, cannot tell", "fraud@2": "gone, fail"}


def test_a_folder_as_target_does_not_say_that_copies_are_gone(store: Path) -> None:
    assert team.push(store, to="folder:box").ok
    assert told(store) == HERE
    there = f"folder:{Path('box').absolute()}"
    assert told(there) == THERE
    code, _, errors = histhooks("restore", "fraud@1", "-o", "again.bin", "--store", there)
    assert code == 1
    assert f"its copy comes with `histhooks pull {there}`" in errors
    assert team.pull(there, into="pulled.db").kept_files == 1
    assert histhooks("restore", "fraud@1", "-o", "again.bin", "--store", "pulled.db")[0] == 0
    assert Path("again.bin").read_text() == "oneoneone"


def test_what_is_pulled_from_a_database_verifies_without_its_copies(store: Path, target: str) -> None:
    assert team.push(store, to=target).ok
    assert told(target) == THERE
    assert team.pull(target, into="pulled.db").ok
    assert told("pulled.db") == THERE
    report = verify("pulled.db")
    assert (report.problems, report.kept_elsewhere) == ([], 1)
    with History("pulled.db") as history, pytest.raises(StoreError, match="beside the store that it was recorded to"):
        history.version("fraud@1").file.read_bytes()
    with pytest.raises(Refused, match="beside the store that it was recorded to"):
        models.promote("fraud@1", to="staging", reason="try", store="pulled.db")
    assert team.merge("pulled.db", into="again.db").ok
    assert (verify("again.db").ok, verify("again.db").kept_elsewhere) == (True, 1)
    assert team.merge("pulled.db", store, into="whole.db").kept_files == 1
    assert (told("whole.db"), verify("whole.db").kept_elsewhere) == (HERE, 0)


def test_a_copy_that_is_missing_stays_missing_wherever_it_is_merged_and_pulled(store: Path, target: str) -> None:
    (copy,) = Path(f"{store}.files").glob("??/*")
    copy.unlink()
    assert team.push(store, to=target).ok
    team.pull(target, into=store)
    team.merge(store, into="merged.db")
    for path in (store, Path("merged.db")):
        (problem,) = verify(path).problems
        assert problem.startswith("missing: the kept copy")


def test_a_copy_that_was_kept_and_is_gone_is_not_called_never_kept(store: Path) -> None:
    models.rollback("fraud", reason="two is worse")
    (copy,) = Path(f"{store}.files").glob("??/*")
    copy.unlink()
    assert "one.bin is gone, and the kept copy is gone" in histhooks("models", "--store", str(store))[1]
    Path("one.bin").write_text("other")
    assert "one.bin has other content now, and the kept copy is gone" in histhooks("models", "--store", str(store))[1]


def test_a_path_of_another_machine_is_neither_gone_nor_overwritten(store: Path) -> None:
    change(store, "UPDATE sessions SET hostname = 'elsewhere'")
    assert told(store) == {"fraud@1": "kept, pass", "fraud@2": "elsewhere, cannot tell"}
    Path("two.bin").write_text("something else that lies there")
    assert told(store)["fraud@2"] == "elsewhere, cannot tell"
    Path("two.bin").write_text("two" * 3)
    assert told(store)["fraud@2"] == "there, pass"
    os.unlink("two.bin")
    code, out, _ = histhooks("models", "--store", str(store))
    assert code == 0
    assert "is gone" not in out
    assert "elsewhere" in out
    assert histhooks("report", "fraud", "-o", "fraud.md", "--store", str(store))[0] == 0
    assert "is a place on another machine" in Path("fraud.md").read_text()


def test_screens_say_where_a_copy_is(store: Path) -> None:
    team.push(store, to="folder:box")
    there = f"folder:{Path('box').absolute()}"
    with History(there) as history:
        run = history.version("fraud@1").run
        assert run is not None
    shown = histhooks("models", "fraud", "--store", there)[1]
    assert "elsewhere" in shown
    assert "no copy was kept" not in shown.partition("fraud@1")[2].partition("\n")[0]
    assert "kept copy is gone" not in histhooks("show", run.id, "--store", there)[1]
