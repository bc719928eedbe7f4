"""Stores that are merged: what was deleted stays so, what differs is named, and no source changes."""

from __future__ import annotations

import gzip
import hashlib
import itertools
import json
import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from helpers.stores import alone, is_fine
from helpers.team_stores import Session, World, ask, change, differences, runs_of, two_copies
from helpers.verbs import ask as histhooks
from histhooks import History, curate, team
from histhooks._base.ids import new_id
from histhooks._store.spool_folders import folders
from histhooks._store.spools import merge_waiting
from histhooks._store.store import Store, open_spool
from histhooks.export import export
from histhooks.testing import run_program
from histhooks.verify import verify

DATA = Path(__file__).parents[1] / "data"


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Two copies of a store, in each of which a session of its own recorded since."""
    return two_copies(tmp_path / "world")


@pytest.mark.parametrize("is_first", [True, False])
def test_a_deleted_run_stays_deleted_in_every_order(world: World, tmp_path: Path, is_first: bool) -> None:
    here, older = world.files
    run_id = runs_of(older)[0]
    curate.tag(run_id, {"seen": "in the copy, which knows of no deletion"}, store=older)
    curate.delete(run_id, reason="wrong data", store=here)
    team.merge(*(world.files if is_first else world.files[::-1]), into=tmp_path / "new.db")
    copy = Path(shutil.copy(older, tmp_path / "into.db"))
    done = team.merge(here, into=copy)
    assert done.deleted_runs >= 1
    for path in (tmp_path / "new.db", copy):
        assert run_id not in runs_of(path)
        assert is_fine(path)
        assert run_id.encode() in path.read_bytes()  # in the ledger and the tombstone
        assert f"tag-{run_id}".encode() not in path.read_bytes()
    assert team.merge(older, into=here).runs == 2
    assert run_id not in runs_of(here)


def test_verify_names_a_run_that_was_deleted_and_is_here_again(world: World) -> None:
    here, older = world.files
    run_id = runs_of(older)[0]
    curate.delete(run_id, reason="wrong data", store=here)
    assert is_fine(here)
    with closing(sqlite3.connect(here)) as connection, connection:
        connection.execute("ATTACH DATABASE ? AS older", (str(older),))
        connection.execute("INSERT INTO runs SELECT * FROM older.runs WHERE id = ?", (run_id,))
        connection.execute("INSERT INTO states SELECT * FROM older.states WHERE subject_id = ?", (run_id,))
    assert f"run {run_id}: it was deleted, and is here again" in verify(here).problems
    assert f"run {run_id} was deleted, and is here again" in alone(here)[1]


def test_shared_content_that_a_tombstone_names_stays_only_if_a_row_names_it(tmp_path: Path) -> None:
    world = World(tmp_path / "world")
    for _ in range(2):
        world.do("train", 0, 1)
    world.do("copy", 0, 0)
    here, older = world.files
    doomed = runs_of(here)
    for run_id in (doomed[0], doomed[2]):  # those inside them go too
        curate.delete(run_id, reason="all of them", store=here)
    assert ask(here, "SELECT count(*) FROM datasets") == [(0,)]
    team.merge(here, older, into=tmp_path / "nothing.db")
    assert ask(tmp_path / "nothing.db", "SELECT count(*) FROM datasets") == [(0,)]
    Session(older, 8).train(shared=1)  # names data that the tombstone names
    team.merge(here, older, into=tmp_path / "one.db")
    assert ask(tmp_path / "one.db", "SELECT n_rows FROM datasets") == [(1,)]
    assert is_fine(tmp_path / "one.db")


def test_what_was_redacted_comes_back_from_no_copy(world: World, tmp_path: Path) -> None:
    here, older = world.files
    Session(older, 9).train()  # the same text of code, by somebody who knows of no redaction
    run_id = runs_of(here)[0]
    curate.redact(users=("ann",), runs=(run_id,), reason="asked for", store=here)
    assert b"import torch  # of ann" not in texts(here)
    for number, order in enumerate(itertools.permutations(world.files)):
        path = tmp_path / f"{number}.db"
        team.merge(*order, into=path)
        assert is_fine(path)
        assert b"of ann" not in texts(path)
        for word in (f"note-{run_id}", "train person1x", "print('person1x')"):
            assert word.encode() not in path.read_bytes()
    copy = Path(shutil.copy(older, tmp_path / "into.db"))
    assert team.merge(here, into=copy).redacted > 0
    assert is_fine(copy)
    assert b"of ann" not in texts(copy)
    assert f"note-{run_id}".encode() not in copy.read_bytes()


def texts(path: Path) -> bytes:
    import zlib

    rows = ask(path, "SELECT encoding, data FROM contents")
    return b"".join(zlib.decompress(data) if encoding == "zlib" else data for encoding, data in rows)


def test_a_text_that_is_recorded_again_after_its_redaction_is_another_recording(tmp_path: Path) -> None:
    world = World(tmp_path / "world")
    world.do("train", 0, 0)
    (here,) = world.files
    curate.redact(runs=(runs_of(here)[0],), reason="asked for", store=here)
    before = texts(here)
    Session(here, 4).train()  # the text of session 1
    assert len(texts(here)) > len(before)
    assert is_fine(here)
    team.merge(here, into=tmp_path / "again.db")
    assert differences(here, tmp_path / "again.db") == {}


def test_a_redacted_value_that_is_here_again_is_named(world: World) -> None:
    here, older = world.files
    run_id = runs_of(here)[0]
    curate.redact(runs=(run_id,), reason="asked for", store=here)
    with closing(sqlite3.connect(here)) as connection, connection:
        connection.execute("ATTACH DATABASE ? AS older", (str(older),))
        connection.execute("INSERT OR IGNORE INTO salts SELECT * FROM older.salts WHERE subject_id = ?", (run_id,))
        connection.execute("UPDATE notes SET body = ? WHERE run_id = ?", (f"note-{run_id}", run_id))
    assert any("was redacted, and is here again" in problem for problem in verify(here).problems)


def test_folds_and_summaries_of_a_source_are_made_again(world: World, tmp_path: Path) -> None:
    (here, _) = world.files
    team.merge(here, into=tmp_path / "right.db")
    change(here, "UPDATE runs SET name = 'other', status = 'failed', main_metric = 'loss'")
    change(here, "UPDATE metric_summaries SET max = 99, count = count + 1")
    change(here, "UPDATE rollups SET mean = 99")
    team.merge(here, into=tmp_path / "new.db")
    assert differences(tmp_path / "right.db", tmp_path / "new.db") == {}


def test_an_anonymous_export_gets_its_values_from_a_whole_store(world: World, tmp_path: Path) -> None:
    here, _ = world.files
    run_id = runs_of(here)[0]
    for number in range(2):
        export(run_id, to=tmp_path / f"part-{number}.db", store=here, anonymous=True)
    team.merge(tmp_path / "part-0.db", tmp_path / "part-1.db", into=tmp_path / "parts.db")
    assert is_fine(tmp_path / "parts.db")
    team.merge(tmp_path / "parts.db", here, into=tmp_path / "whole.db")
    report = verify(tmp_path / "whole.db")
    assert (report.ok, report.problems) == (True, [])
    assert ask(tmp_path / "whole.db", "SELECT body FROM notes WHERE run_id = ?", run_id) == [(f"note-{run_id}",)]
    ((held,),) = ask(tmp_path / "whole.db", "SELECT holds FROM exports")
    assert set(runs_of(here)) <= set(json.loads(held))


def test_a_part_holds_only_what_one_of_the_files_has_whole(world: World, tmp_path: Path) -> None:
    here, older = world.files
    session = world.sessions[1]
    first, second = (run.id for run in session.runs)
    session.runs.reverse()
    session.go_on(5)  # on the first run, which the older copy then has less of
    export(second, to=tmp_path / "part.db", store=here)
    team.merge(older, tmp_path / "part.db", into=tmp_path / "union.db")
    assert is_fine(tmp_path / "union.db")
    ((held,),) = ask(tmp_path / "union.db", "SELECT holds FROM exports")
    assert second in json.loads(held)
    assert first not in json.loads(held)
    team.merge(tmp_path / "union.db", here, into=tmp_path / "whole.db")
    ((held,),) = ask(tmp_path / "whole.db", "SELECT holds FROM exports")
    assert first in json.loads(held)
    assert is_fine(tmp_path / "whole.db")


def test_two_versions_of_one_number_stay_two_versions(tmp_path: Path) -> None:
    world = World(tmp_path / "world")
    world.do("train", 0, 4)
    world.files.append(tmp_path / "other.db")
    world._train(tmp_path / "other.db", 4)
    team.merge(*world.files, into=tmp_path / "team.db")
    assert ask(tmp_path / "team.db", "SELECT model, number FROM model_versions") == [("churn", 1)] * 2
    assert is_fine(tmp_path / "team.db")


def unpacked(name: str, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.decompress((DATA / f"{name}.db.gz").read_bytes()))
    return path


def state(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_sources_of_any_version_and_kind_are_read_and_not_changed(world: World, tmp_path: Path) -> None:
    folder = tmp_path / "sources"
    old = [unpacked(f"store-{version}", folder / version / "old.db") for version in ("1.0", "1.1")]
    for version in ("1.0", "1.1"):
        spools = folder / version / "old.db.spool"
        spools.mkdir()
        unpacked(f"spool-{version}", spools / f"spool-{version}.db")
    text = folder / "text.db"
    with closing(sqlite3.connect(world.files[0])) as source, closing(sqlite3.connect(text)) as target:
        target.executescript("\n".join(source.iterdump()))
    before = state(folder)
    os.chmod(folder, 0o555)
    done = team.merge(*old, text, into=tmp_path / "team.db")
    os.chmod(folder, 0o755)
    assert state(folder) == before
    assert done.ok
    assert is_fine(tmp_path / "team.db")
    with History(tmp_path / "team.db") as history:
        assert {"loop", "far"} <= {run.name for run in history.runs()}
    team.merge(text, *reversed(old), into=tmp_path / "other.db")
    assert differences(tmp_path / "team.db", tmp_path / "other.db") == {}


def test_a_store_is_merged_while_a_program_records_to_it(world: World, tmp_path: Path) -> None:
    live = tmp_path / "live" / "live.db"
    live.parent.mkdir()
    with closing(Store(live)) as store:
        run_program("import histhooks\nwith histhooks.start_run('one') as run: run.log({'a': 1})", live)
        store.connection.execute("BEGIN IMMEDIATE")
        store.connection.execute("UPDATE runs SET name = 'not committed'")
        before = sorted(os.listdir(live.parent))
        done = team.merge(live, world.files[0], into=tmp_path / "team.db")
        assert sorted(os.listdir(live.parent)) == before
        store.connection.execute("ROLLBACK")
    assert done.ok
    assert ask(tmp_path / "team.db", "SELECT name FROM runs WHERE kind = 'block'") == [("one",)]
    assert is_fine(tmp_path / "team.db")


def test_a_run_that_was_deleted_comes_back_from_no_spool(world: World) -> None:
    here, older = world.files
    run_id = runs_of(older)[0]
    curate.delete(run_id, reason="wrong data", store=here)
    spool = folders(here)[0] / f"{new_id()}.db"
    spool.parent.mkdir()
    shutil.copy(older, spool)
    change(spool, "UPDATE sessions SET status = 'finished'")
    with History(here) as history:
        assert run_id not in {run.id for run in history.runs()}
    with closing(Store(here)) as store:
        assert merge_waiting(store) == [spool.name]
    assert run_id not in runs_of(here)
    assert len(runs_of(here)) == 8  # a run inside it went too
    assert is_fine(here)


def test_a_spool_that_contradicts_its_store_stays_where_it_is(world: World) -> None:
    here, _ = world.files
    session = world.sessions[0]
    spool = folders(here)[0] / f"{session.id}.db"
    spool.parent.mkdir()
    open_spool(spool).close()
    shutil.copy(here, spool)
    change(spool, "UPDATE ledger SET digest = 'ab' WHERE seq = 0")
    change(spool, "UPDATE sessions SET status = 'finished'")
    with closing(Store(here)) as store:
        assert merge_waiting(store) == []
    assert spool.exists()


PROGRAM = """
import histhooks
open("model.bin", "wb").write(b"weights of NAME" * 100)
with histhooks.start_run("NAME") as run:
    run.log_artifact("model.bin", keep=True)
"""


def test_kept_files_come_along_and_are_verified(tmp_path: Path) -> None:
    stores = [tmp_path / name / f"{name}.db" for name in ("ann", "bob")]
    for store in stores:
        store.parent.mkdir()
        code, _, said = run_program(PROGRAM.replace("NAME", store.stem), store)
        assert code == 0, said
    done = team.merge(*stores, into=tmp_path / "team.db")
    assert (done.kept_files, done.ok) == (2, True)
    assert is_fine(tmp_path / "team.db")
    curate.delete("ann", reason="wrong data", store=stores[0])
    team.merge(stores[0], into=tmp_path / "team.db")
    assert [path.name for path in kept(tmp_path / "team.db")] == [path.name for path in kept(stores[1])]
    (copy,) = kept(stores[1])
    os.chmod(copy, 0o600)
    copy.write_bytes(b"other")
    done = team.merge(*stores, into=tmp_path / "new.db")
    assert not done.ok
    assert "not what was kept" in done.left_out[0]["why"]
    code, _, said = histhooks("merge", *map(str, stores), "-o", str(tmp_path / "third.db"))
    assert code == 1
    assert "not what was kept" in said


def kept(store: Path) -> list[Path]:
    return sorted(path for path in store.with_name(f"{store.name}.files").glob("??/*"))


def test_exit_codes_and_words_of_the_verb(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here, other = map(str, world.files)
    new = str(tmp_path / "team.db")
    code, said, _ = histhooks("merge", here, other, "-o", new, "--dry-run")
    assert (code, Path(new).exists()) == (0, False)
    assert said.startswith("would merge 2 files into")
    code, said, _ = histhooks("merge", here, other, "-o", new, "--json")
    assert (code, json.loads(said)["runs"]) == (0, 10)
    code, said, _ = histhooks("merge", here, other, "--into", new)
    assert (code, said) == (0, f"nothing new: {new} has all of 2 files\n")
    for words, text in (
        ((here, other), "-o FILE makes a new store"),
        ((here, "-o", new), "is there already; add to it with --into"),
        ((here, "--into", str(tmp_path / "none.db")), "make a new one with -o"),
        ((str(tmp_path / "none.db"), "-o", str(tmp_path / "x.db")), "no store at"),
        ((str(tmp_path), "-o", str(tmp_path / "x.db")), "is a folder"),
        ((__file__, "-o", str(tmp_path / "x.db")), "cannot be read"),
        ((new, "--into", new), "name it once"),
        (("postgresql://db/ml", "-o", str(tmp_path / "x.db")), "only files can be merged"),
        ((here, "--into", __file__), "cannot be read"),
    ):
        code, _, said = histhooks("merge", *words)
        assert code == 2, words
        assert text in said
        assert "Traceback" not in said
    assert not (tmp_path / "x.db").exists()
    code, _, said = histhooks("merge", here, "--into", new, HISTHOOKS_NETWORK="1")
    assert code == 2
    assert "network file system" in said
