"""Promotion: what becomes a version, what is live when, what refuses it, and that the ledger fits."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from helpers.models import alone_ok, make
from histhooks import History, QueryError, models
from histhooks.errors import Refused
from histhooks.testing import query
from histhooks.verify import verify


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return make(tmp_path, "one", "two")


def test_a_file_becomes_version_one_and_is_live(store: Path) -> None:
    done = models.promote("one.bin", model="fraud", reason="the first")
    assert (done.version.name, done.is_new, done.is_moved, done.before) == ("fraud@1", True, True, None)
    run = done.version.run
    assert run is not None
    assert run.name == "one"
    assert done.checks["code"] in (0, 2)
    with History(store) as history:
        live = history.model("fraud").live()
        assert live is not None
        assert (live.number, live.reason, live.alias, live.run_id) == (1, "the first", "production", run.id)
        assert live.author is not None
    assert query(store, "SELECT alias, model, number, reason FROM live_versions") == [
        ("production", "fraud", 1, "the first")
    ]
    assert done.version.signature is not None
    assert [len(done.version.signature["input"]["shape"]), done.version.signature["input"]["shape"][0]] == [2, None]
    assert verify(store).problems == []
    assert alone_ok(store)


def test_a_run_a_hash_and_a_version_name_the_same_file(store: Path) -> None:
    first = models.promote("two", model="fraud", reason="by its run", check=False).version  # its file has moved since
    for what in (first.sha256, first.sha256[:12], "two.bin", "fraud@1", "fraud@production", "fraud@latest"):
        again = models.promote(what, model="fraud", reason="again", to="staging", check=False)
        assert again.version.id == first.id, what
    assert query(store, "SELECT count(*) FROM model_versions") == [(1,)]
    assert query(store, "SELECT count(*) FROM model_events") == [(2,)]


@pytest.mark.parametrize("is_live", [False, True])
def test_a_version_whose_file_is_gone_is_had_again_from_the_file_that_is_promoted(store: Path, is_live: bool) -> None:
    first = models.promote("one.bin", model="fraud", reason="the first").version
    Path("one.bin").rename("elsewhere.bin")
    if not is_live:
        models.demote("fraud", reason="a test")
    done = models.promote("elsewhere.bin", model="fraud", reason="from where it lies now", check=False)
    assert (done.version.id, done.is_new, done.is_moved, done.kept) == (first.id, False, not is_live, True)
    Path("elsewhere.bin").unlink()
    assert models.path("fraud@production").read_bytes() == models.restore("fraud@1", "back.bin").read_bytes()


def test_a_notebook_shows_a_model_and_escapes_what_people_wrote(store: Path) -> None:
    models.promote("one.bin", model="fraud", reason="the <b>first</b>")
    with History(store) as history:
        model = history.model("fraud")
        shown = model._repr_html_()
        assert "the &lt;b&gt;first&lt;/b&gt;" in shown
        assert "promoted to production" in shown
        assert repr(model) == "<Model 'fraud' 1 version (production 1)>"
        assert repr(model.versions[0]).startswith("<ModelVersion fraud@1 sha256 ")


def test_what_is_live_already_leaves_no_event(store: Path) -> None:
    models.promote("one.bin", model="fraud", reason="first")
    again = models.promote("fraud@1", reason="again")
    assert (again.is_moved, again.is_new) == (False, False)
    assert query(store, "SELECT count(*) FROM model_events") == [(1,)]


def test_what_was_live_is_known_for_each_time(store: Path) -> None:
    models.promote("one.bin", model="fraud", reason="first")
    models.promote("two.bin", model="fraud", reason="second")
    with History(store) as history:
        model = history.model("fraud")
        first, second = model.events
        seen = [model.live(at=time) for time in (first.time - 1, first.time, second.time - 1, second.time, None)]
        assert [live and live.number for live in seen] == [None, 1, 1, 2, 2]
        assert second.from_version_id == first.version_id
        assert model.live(at="1 hour ago") is None


def test_a_file_that_no_run_made_is_a_version_without_a_run(store: Path) -> None:
    Path("other.bin").write_bytes(b"from elsewhere")
    done = models.promote("other.bin", model="fraud", reason="bought")
    assert done.version.run is None
    assert any("no recorded run" in notice for notice in done.notices)
    assert done.checks["code"] is None
    assert verify(store).problems == []


def test_a_folder_can_be_a_version_and_is_kept_file_by_file(store: Path) -> None:
    folder = Path("saved")
    (folder / "variables").mkdir(parents=True)
    (folder / "a.txt").write_text("a")
    (folder / "variables" / "b.txt").write_text("b")
    done = models.promote("saved", model="fraud", reason="a folder", keep=True)
    assert done.kept
    assert [file.read_bytes() for file in done.version.file.files] == [b"a", b"b"]
    report = verify(store)
    assert (report.problems, report.kept_files) == ([], 2)


@pytest.mark.parametrize("reason", ["", "  "])
def test_a_reason_is_needed(store: Path, reason: str) -> None:
    with pytest.raises(QueryError, match="why"):
        models.promote("one.bin", model="fraud", reason=reason)


@pytest.mark.parametrize("alias", ["", "3", "latest", "a b", "3x", "a@b"])
def test_an_alias_cannot_be_taken_for_a_number(store: Path, alias: str) -> None:
    with pytest.raises(QueryError, match="no alias"):
        models.promote("one.bin", model="fraud", reason="x", to=alias)


def test_a_model_must_be_named_once(store: Path) -> None:
    with pytest.raises(QueryError, match="which model"):
        models.promote("one.bin", reason="first")
    models.promote("one.bin", model="fraud", reason="first")
    assert models.promote("one.bin", reason="again", to="staging").version.model == "fraud"


def test_bytes_that_are_gone_refuse_a_promotion(store: Path) -> None:
    with pytest.raises(Refused, match=r"cannot be had.*no longer where it was"):
        models.promote("one", model="fraud", reason="first")
    assert models.promote("one", model="fraud", reason="first", check=False).version.number == 1


def test_eight_processes_promote_at_once(store: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from histhooks import models; n = sys.argv[1]\n"
        "Path(f'm{n}.bin').write_text(n); models.promote(f'm{n}.bin', model='fraud', reason=f'number {n}')"
    )
    started = [subprocess.Popen([sys.executable, "-c", program, str(n)], cwd=store.parent) for n in range(8)]
    assert [process.wait(120) for process in started] == [0] * 8
    with History(store) as history:
        model = history.model("fraud")
        assert [version.number for version in model.versions] == [1, 2, 3, 4, 5, 6, 7, 8]
        assert len(model.events) == 8
        before = [None, *(event.version_id for event in model.events[:-1])]
        assert [event.from_version_id for event in model.events] == before
        live = model.live()
        assert live is not None
        assert live.version.id == model.events[-1].version_id
    assert query(store, "SELECT count(*) FROM live_versions") == [(1,)]
    assert verify(store).problems == []
