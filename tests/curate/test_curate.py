"""Tags, notes and names, spools, pruning: what they leave, what they refuse, and that the ledger fits."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from helpers.curating import PERSON, SEARCH, fits, places_of, record, recording
from histhooks import History, QueryError, StoreError, curate
from histhooks._store.spools import waiting
from histhooks.export import export
from histhooks.testing import query


def test_a_tag_a_note_and_a_name_are_sessions_of_their_own_with_author_time_and_ledger(
    store_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(store_path, SEARCH)
    monkeypatch.setenv("HISTHOOKS_ACTOR", "ann@example.org")
    run_id = curate.tag("other", {"team": "blue", "api_key": "abcdefgh12345678", "baseline": ""}, store=store_path)
    assert curate.note(run_id, "the first\nof its kind", store=store_path) == run_id
    assert curate.rename(run_id[-8:], "  baseline  ", store=store_path) == run_id
    with History(store_path) as history:
        run = history.run("baseline")
        assert run.id == run_id
        tags = {row["key"]: (row["value"], row["author"]) for row in run.related("tags")}
        assert tags["team"] == ("blue", "ann@example.org")
        assert tags["baseline"] == ("", "ann@example.org")
        assert "abcdefgh" not in str(tags["api_key"][0])
        assert [(row["body"], row["author"]) for row in run.related("notes")] == [
            ("the first\nof its kind", "ann@example.org")
        ]
    sessions = query(store_path, "SELECT status, command FROM sessions WHERE kind = 'command' ORDER BY id")
    assert [(status, str(command).split()[1]) for status, command in sessions] == [
        ("finished", "tag"), ("finished", "note"), ("finished", "rename")
    ]  # fmt: skip
    assert query(store_path, "SELECT count(*) FROM ledger WHERE session_id IN "
                 "(SELECT id FROM sessions WHERE kind = 'command')") == [(3,)]  # fmt: skip
    names = query(store_path, f"SELECT json_extract(state, '$.name') FROM states WHERE subject_id = '{run_id}' "
                  "AND json_extract(state, '$.name') IS NOT NULL ORDER BY time")  # fmt: skip
    assert names == [("other",), ("baseline",)]
    assert places_of(store_path, "the first") == {"notes.body"}
    fits(store_path)


def test_a_run_that_still_records_can_be_tagged_and_renamed_and_keeps_its_new_name(store_path: Path) -> None:
    with recording(store_path):
        curate.tag("live", {"hot": "yes"}, store=store_path)
        curate.rename("live", "the hot one", store=store_path)
    with History(store_path) as history:
        assert history.run("the hot one").status == "finished"
    fits(store_path)


@pytest.mark.parametrize("call", [
    lambda store: curate.tag("other", {}, store=store),
    lambda store: curate.tag("other", {" ": "x"}, store=store),
    lambda store: curate.note("other", " \n", store=store),
    lambda store: curate.rename("other", "  ", store=store),
    lambda store: curate.tag("nobody", {"a": "b"}, store=store),
    lambda store: curate.delete("nobody", reason="x", store=store),
    lambda store: curate.delete("other", reason="  ", store=store),
    lambda store: curate.delete(reason="x", store=store),
    lambda store: curate.prune(store=store),
    lambda store: curate.prune(older_than="soon", store=store),
    lambda store: curate.prune(status="fine", store=store),
    lambda store: curate.prune(status="failed", dry_run=False, store=store),
    lambda store: curate.redact(reason="x", store=store),
    lambda store: curate.redact(reason="x", users=("",), store=store),
    lambda store: curate.redact(reason="ann asked for it", users=("ann",), store=store),
])  # fmt: skip
def test_what_cannot_be_meant_is_refused_and_changes_nothing(store_path: Path, call: object) -> None:
    record(store_path, SEARCH)
    before = query(store_path, "SELECT count(*), max(digest) FROM ledger")
    with pytest.raises(QueryError):
        call(store_path)  # type: ignore[operator]
    assert query(store_path, "SELECT count(*), max(digest) FROM ledger") == before


def test_there_is_no_store_and_none_is_made(store_path: Path) -> None:
    with pytest.raises(StoreError, match="no store"):
        curate.tag("last", {"a": "b"}, store=store_path)
    assert not store_path.exists()


def test_a_run_in_a_spool_is_left_until_its_session_has_ended_and_then_comes_home_first(store_path: Path) -> None:
    record(store_path, SEARCH)
    with recording(store_path, HISTHOOKS_NETWORK="1"):
        assert len(waiting(store_path)) == 1
        for call in (
            lambda: curate.tag("live", {"a": "b"}, store=store_path),
            lambda: curate.delete("live", reason="wrong", store=store_path),
            lambda: curate.rename("live", "x", store=store_path),
        ):
            with pytest.raises(StoreError, match="lies in the spool"):
                call()
    curate.delete("live", reason="wrong", store=store_path)
    assert waiting(store_path) == []
    assert {n for (n,) in query(store_path, "SELECT name FROM runs WHERE parent_id IS NULL")} == {
        "search", "other", "early"
    }  # fmt: skip
    fits(store_path)


def test_pruning_follows_its_rules_and_by_default_only_tells(store_path: Path) -> None:
    for first, project in ((0, "a"), (4, "b")):
        record(store_path, f"""
            import histhooks
            for number in range({first}, {first + 4 - first // 2}):
                try:
                    with histhooks.start_run(f"run {{number}}") as run:
                        run.log({{"loss": 1.0}})
                        with histhooks.start_run("inside"): pass
                        if number % 2: raise ValueError("no")
                except ValueError: pass
        """, HISTHOOKS_PROJECT=project)  # fmt: skip

    def outer(**rules: object) -> list[str]:
        told = curate.prune(store=store_path, **rules)  # type: ignore[arg-type]
        return [run["name"] for run in told.deletion.runs if not run["is_child"]]

    assert outer(status="failed") == ["run 1", "run 3", "run 5"]
    assert outer(status="failed", keep_last=1) == ["run 1"]  # the last of each project stays
    assert outer(status="failed", project="b") == ["run 5"]
    assert outer(older_than="1h") == []
    assert len(outer(older_than="0h")) == 6
    assert outer(kind="preprocess") == []
    assert query(store_path, "SELECT count(*) FROM runs") == [(12,)]
    assert query(store_path, "SELECT count(*) FROM sessions") == [(2,)]
    done = curate.prune(status="failed", store=store_path, reason="no use", dry_run=False)
    assert len(done.deletion.runs) == 6
    assert query(store_path, "SELECT name FROM runs WHERE parent_id IS NULL ORDER BY id") == [
        ("run 0",), ("run 2",), ("run 4",)
    ]  # fmt: skip
    fits(store_path)


def test_pruning_leaves_what_still_records_and_what_a_run_that_stays_goes_back_to(store_path: Path) -> None:
    record(store_path, """
        import histhooks
        with histhooks.start_run("first") as a: pass
        with histhooks.start_run("second") as b: b.link("resumes", a.id)
        try:
            with histhooks.start_run("third") as c: c.link("resumes", b.id); raise ValueError("no")
        except ValueError: pass
        with histhooks.start_run("alone"): pass
    """)  # fmt: skip
    with recording(store_path):
        done = curate.prune(status="finished", store=store_path, reason="old", dry_run=False)
    assert [run["name"] for run in done.deletion.runs] == ["alone"]
    assert {run["name"]: run["why"] for run in done.left} == {
        "first": "a run that stays goes back to it",
        "second": "a run that stays goes back to it",
        "early": "its session has not ended",
    }
    done = curate.prune(older_than="0h", store=store_path, reason="old", dry_run=False)
    assert done.left == []
    assert query(store_path, "SELECT count(*) FROM runs") == [(0,)]
    fits(store_path)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = tmp_path_factory.mktemp("recorded") / "histhooks.db"
    record(store, SEARCH, **PERSON)
    record(store, SEARCH.replace('"other"', '"another"'), HISTHOOKS_ACTOR="ford")
    return store


DEEDS = st.lists(
    st.tuples(
        st.sampled_from(["tag", "note", "rename", "delete", "prune", "redact run", "redact user", "export"]),
        st.integers(0, 9),
    ),
    min_size=1, max_size=6,
)  # fmt: skip


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(deeds=DEEDS)
def test_whatever_is_done_in_whatever_order_both_verifiers_pass(
    recorded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, deeds: list[tuple[str, int]]
) -> None:
    monkeypatch.setenv("HISTHOOKS_ACTOR", "marvin")  # no question to git each time
    store = tmp_path / f"{time.monotonic_ns()}.db"
    shutil.copy(recorded, store)
    for number, (deed, place) in enumerate(deeds):
        ids = [str(i) for (i,) in query(store, "SELECT id FROM runs ORDER BY id")]
        if not ids:
            break
        run = ids[place % len(ids)]
        if deed == "tag":
            curate.tag(run, {"a": place, "b": None}, store=store)
        elif deed == "note":
            curate.note(run, "text " * (place + 1), store=store)
        elif deed == "rename":
            curate.rename(run, f"name {place}", store=store)
        elif deed == "delete":
            curate.delete(run, reason="x", store=store)
            assert query(store, f"SELECT 1 FROM runs WHERE id = '{run}'") == []
        elif deed == "prune":
            curate.prune(older_than="0h", keep_last=place % 3, reason="x", dry_run=False, store=store)
        elif deed == "redact run":
            curate.redact(runs=(run,), reason="x", store=store)
        elif deed == "redact user":
            curate.redact(users=(("zaphodbb", "ford", "marvin")[place % 3],), reason="x", store=store)
        else:
            part = tmp_path / f"{store.stem}-{number}.db"
            export(run, to=part, store=store, anonymous=bool(place % 2))
            fits(part)
            store = part  # and go on with it
        fits(store)
