"""Rollback: where it goes, what it refuses, and what a server gets."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from helpers.models import alone_ok, make
from histhooks import History, QueryError, StoreError, models
from histhooks._base import manifest
from histhooks.errors import Refused
from histhooks.history import Artifact
from histhooks.models import _deeds
from histhooks.testing import query
from histhooks.verify import verify

EVENTS = "SELECT action, alias, reason FROM model_events ORDER BY time"


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three versions of one model, all of them live once, none of them kept."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    made = make(tmp_path, "one", "two", "six")
    for name in ("one", "two", "six"):
        models.promote(f"{name}.bin", model="fraud", reason=name)
    return made


def live(store: Path) -> int | None:
    with History(store) as history:
        found = history.model("fraud").live()
        return found.number if found is not None else None


def test_a_rollback_goes_to_the_version_before_and_a_second_one_further_back(store: Path) -> None:
    done = models.rollback("fraud", reason="too many alarms")
    assert (done.version.number, done.before.number if done.before else None, live(store)) == (2, 3, 2)
    assert done.place.read_text() == "twotwotwo"
    assert models.rollback("fraud", reason="and that one too").version.number == 1
    with pytest.raises(Refused, match=r"nothing was production before fraud@1.*since: 2, 3"):
        models.rollback("fraud", reason="more")
    assert models.rollback("fraud", to=3, reason="it was none of these").version.number == 3
    assert query(store, EVENTS)[3:] == [
        ("rollback", "production", "too many alarms"),
        ("rollback", "production", "and that one too"),
        ("rollback", "production", "it was none of these"),
    ]
    assert verify(store).problems == []
    assert alone_ok(store)


def test_after_a_rollback_and_a_promotion_it_goes_to_what_was_live_between(store: Path) -> None:
    models.rollback("fraud", reason="3 is bad")
    Path("new.bin").write_text("new")
    models.promote("new.bin", model="fraud", reason="retrained")
    assert models.rollback("fraud", reason="4 is bad").version.number == 2


def test_a_rollback_that_is_refused_leaves_the_file_that_is_served_as_it_is(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = Path("served/model.bin")
    served.parent.mkdir()
    served.write_text("sixsixsix")
    live_of = _deeds.Deed.live

    def moved(deed: _deeds.Deed, alias: str) -> str | None:  # by somebody else, since it was looked for
        live_of(deed, alias)
        return "another"

    with monkeypatch.context() as patch:
        patch.setattr(_deeds.Deed, "live", moved)
        with pytest.raises(Refused, match="moved by somebody else"):
            models.rollback("fraud", reason="bad", output=served)
    assert (served.read_text(), live(store), os.listdir(served.parent)) == ("sixsixsix", 3, ["model.bin"])
    Path("file").write_text("in the way")
    with pytest.raises(StoreError, match="cannot be written"):
        models.rollback("fraud", reason="bad", output="file/model.bin")
    assert live(store) == 3  # nothing moves if the file cannot be written
    assert models.rollback("fraud", reason="bad", output=served).written == served
    assert (served.read_text(), live(store)) == ("twotwotwo", 2)


def test_a_dry_run_writes_nothing(store: Path) -> None:
    before = store.read_bytes()
    done = models.rollback("fraud", dry_run=True)
    assert (done.version.number, done.is_moved) == (2, False)
    assert store.read_bytes() == before


@pytest.mark.parametrize("harm", ["overwrite", "remove", "flip"])
def test_bytes_that_are_gone_or_other_refuse_it(store: Path, harm: str) -> None:
    path = Path("two.bin")
    if harm == "remove":
        path.unlink()
    else:
        path.write_text("twotwotwx" if harm == "flip" else "longer than before")
    with pytest.raises(Refused, match=r"fraud@2 cannot be gone back to.*last at .*two\.bin"):
        models.rollback("fraud", reason="too many alarms")
    with pytest.raises(Refused):
        models.rollback("fraud", dry_run=True)
    assert live(store) == 3
    assert models.rollback("fraud", to="1", reason="as told").version.number == 1


def test_a_kept_copy_outlives_its_file_and_an_altered_one_is_refused(store: Path) -> None:
    models.promote("fraud@2", reason="again", keep=True)
    models.promote("fraud@3", reason="on")
    Path("two.bin").unlink()
    assert models.rollback("fraud", reason="back", output="served.bin").written == Path("served.bin")
    assert Path("served.bin").read_text() == "twotwotwo"
    models.promote("fraud@3", reason="on")
    (kept,) = [path for path in Path("histhooks.db.files").rglob("*") if path.is_file()]
    kept.chmod(0o600)
    kept.write_text("xwotwotwo")
    with pytest.raises(Refused, match="cannot be gone back to"):
        models.rollback("fraud", reason="back")


def test_a_store_behind_a_link_keeps_its_files_in_one_place(store: Path) -> None:
    Path("link.db").symlink_to(store)
    models.promote("two.bin", model="fraud", reason="kept by another name", keep=True, store="link.db")
    Path("two.bin").unlink()
    assert [path.name for path in Path().glob("*.files")] == ["histhooks.db.files"]
    for name in ("link.db", "histhooks.db"):
        with History(name) as history:
            assert history.version("fraud@2").file.read_bytes() == b"twotwotwo"
    assert verify("link.db").file_problems == []


def test_only_what_was_live_can_be_gone_back_to(store: Path) -> None:
    Path("new.bin").write_text("new")
    models.register("new.bin", model="fraud", reason="to be tried")
    with pytest.raises(Refused, match="fraud@4 was never production"):
        models.rollback("fraud", to=4, reason="x")
    with pytest.raises(QueryError, match="no version 9"):
        models.rollback("fraud", to=9, reason="x")
    with pytest.raises(QueryError, match=r"no model is called 'frod'.*fraud"):
        models.rollback("frod", reason="x")


def test_what_was_rejected_or_retired_is_passed_over_until_it_is_approved(store: Path) -> None:
    models.reject("fraud@2", reason="biased")
    assert models.rollback("fraud", dry_run=True).version.number == 1
    with pytest.raises(Refused, match="fraud@2 was rejected"):
        models.rollback("fraud", to=2, reason="x")
    with pytest.raises(Refused, match=r"fraud@2 was rejected.*biased"):
        models.promote("fraud@2", reason="x")
    models.approve("fraud@2", reason="measured again")
    assert models.rollback("fraud", dry_run=True).version.number == 2


def test_a_retired_version_is_live_nowhere(store: Path) -> None:
    models.promote("fraud@3", to="staging", reason="the same")
    models.retire("fraud@3", reason="data withdrawn")
    assert query(store, "SELECT * FROM live_versions") == []
    assert live(store) is None
    assert models.rollback("fraud", reason="so the one before").version.number == 2


def test_demoting_leaves_nothing_live_and_a_rollback_brings_it_back(store: Path) -> None:
    models.demote("fraud", reason="withdrawn")
    assert live(store) is None
    with pytest.raises(QueryError, match="nothing of fraud is live as 'production'"):
        models.demote("fraud", reason="again")
    assert models.rollback("fraud", reason="it was fine").version.number == 3


def test_a_server_gets_verified_bytes_that_no_training_overwrites(store: Path) -> None:
    served = models.path("fraud@production")
    assert (served.name, served.read_text()) == ("six.bin", "sixsixsix")
    Path("six.bin").write_text("the next training")
    assert models.path("fraud") == served
    assert served.read_text() == "sixsixsix"
    models.rollback("fraud", reason="back")
    assert models.path("fraud").read_text() == "twotwotwo"


def test_what_nobody_asks_for_leaves_the_cache(store: Path) -> None:
    old = models.path("fraud@1").parent
    os.utime(old, (0, 0))
    assert models.path("fraud@1").parent == old  # which counts as asked for
    models.path("fraud@2")
    assert old.is_dir()
    os.utime(old, (0, 0))
    models.path("fraud@3")
    assert not old.exists()


def test_a_damaged_cache_is_written_again_or_refused(store: Path) -> None:
    served = models.path("fraud@1")
    served.write_text("oneoneonX")
    assert models.path("fraud@1").read_text() == "oneoneone"
    served.write_text("oneoneonX!")
    Path("one.bin").unlink()
    with pytest.raises(StoreError, match="cannot be had"):
        models.path("fraud@1")


def test_restoring_writes_and_verifies_and_overwrites_only_when_asked(store: Path) -> None:
    assert models.restore("fraud@2", "out.bin").read_text() == "twotwotwo"
    with pytest.raises(QueryError, match="there already"):
        models.restore("fraud", "out.bin")
    assert models.restore("fraud", "out.bin", force=True).read_text() == "sixsixsix"


def test_restoring_leaves_a_file_that_came_meanwhile(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = Artifact._write

    def late(file: Artifact, part: Path) -> None:
        write(file, part)
        Path("out.bin").write_text("mine")

    monkeypatch.setattr(Artifact, "_write", late)
    with pytest.raises(StoreError, match="exists"):
        models.restore("fraud@2", "out.bin")
    assert (Path("out.bin").read_text(), list(Path().glob(".out.bin*"))) == ("mine", [])
    assert models.restore("fraud@2", "out.bin", force=True).read_text() == "twotwotwo"


def test_a_folder_of_another_store_writes_nothing_outside_of_it(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("work/fold").mkdir(parents=True)
    for path in ("work/fold/in.txt", "out.txt"):
        Path(path).write_text("hello")
    text_of = manifest.text_of
    with monkeypatch.context() as patch:
        patch.setattr(
            manifest,
            "text_of",
            lambda files: text_of([*files, *(file._replace(path="../../out.txt") for file in files)]),
        )
        models.promote("work/fold", model="net", reason="made to harm", keep=True)
    Path("out.txt").unlink()
    with pytest.raises(StoreError, match="one outside the folder"):
        models.restore("net", Path("new/deep/fold"))
    with pytest.raises(StoreError, match="one outside the folder"):
        models.path("net")
    assert list(Path().rglob("out.txt")) == []


@pytest.mark.parametrize(("column", "value"), [("path", "/srv/.."), ("path", "/srv/."), ("path", ""), ("sha256", "..")])
def test_a_version_with_an_odd_path_never_empties_the_cache(store: Path, column: str, value: str) -> None:
    other = models.path("fraud@1")
    models.promote("two.bin", model="other", reason="of a store that came from elsewhere", keep=True)
    with closing(sqlite3.connect(store)) as connection, connection:
        triggers = "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'model_versions'"
        for (name,) in connection.execute(triggers).fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        connection.execute(f"UPDATE model_versions SET {column} = ? WHERE model = 'other'", (value,))
    if column == "path":
        assert models.path("other").read_text() == "twotwotwo"
    else:
        with pytest.raises(StoreError, match="is no SHA-256"):
            models.path("other")
    assert other.read_text() == "oneoneone"
