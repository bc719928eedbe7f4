"""Runs taken out into a file: every format says what the store says, and nothing is written to the store."""

from __future__ import annotations

import csv
import hashlib
import json
import math
import os
import shutil
import sqlite3
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from helpers import held_data
from helpers.programs import HOST, ON_THAT_HOST
from helpers.stores import VERIFIER
from histhooks import History, QueryError, StoreError, curate
from histhooks.export import export
from histhooks.testing import query, run_program
from histhooks.verify import verify

# Root writes into any folder, unless it gives up the right to.
WITHOUT_RIGHTS = ["setpriv", "--bounding-set=-dac_override,-fowner"] if os.geteuid() == 0 else []
PERSON = {"LOGNAME": "zaphodbb", "HISTHOOKS_ACTOR": "zaphodbb@heartofgold.example"}

PROGRAM = """
import histhooks, random
histhooks.autolog()
random.seed(3)
with histhooks.start_run("early"):
    pass
with histhooks.start_run("search", params={"grid": [1, float("nan")]}, tags={"owner": "zaphodbb"}) as search:
    search.note("ask zaphodbb")
    for number in range(2):
        with histhooks.start_run(f"child {number}") as child:
            child.log_dataset("train", np.arange(6.0).reshape(3, 2))
            child.log_architecture("torch", "Net", ["layer"], 3, 3)
            for step, value in enumerate([0.5, float("nan"), float("inf"), -float("inf"), 0.1]):
                child.log({"loss": value, "val_loss": 2.0}, step=10 * step, epoch=step)
            for step in range(200):
                child.log({"long": 1.0 / (step + 1)})
            child.log_artifact("model.bin"); child.log_optimizer(0, "Adam", {"lr": 0.1}, [{"lr": 0.1}])
with histhooks.start_run("other") as other:
    other.log_dataset("train", np.ones((4, 2)))
    other.log({"loss": 0.5})
"""


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "home" / "zaphodbb" / "histhooks.db"
    path.parent.mkdir(parents=True)
    record(path, PROGRAM)
    return path


def record(store: Path, program: str, **variables: str) -> None:
    (store.parent / "model.bin").write_bytes(b"weights")
    program = ON_THAT_HOST + "import numpy as np\n" + textwrap.dedent(program)
    code, _, err = run_program(program, store, **{**PERSON, "HISTHOOKS_PROJECT": "p", **variables})
    assert code == 0, err


def fits(store: Path) -> None:
    report = verify(store)
    assert report.problems == []
    command = [sys.executable, "-I", str(VERIFIER), str(store)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert query(store, "PRAGMA foreign_key_check") == []
    assert query(store, "PRAGMA integrity_check") == [("ok",)]


def content_of(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.rglob("*.db")}


# --- a store ----------------------------------------------------------------------------------------------------------


def test_a_small_store_holds_just_those_runs_and_is_a_store(store: Path, tmp_path: Path) -> None:
    before = content_of(store.parent)
    done = export("search", to=tmp_path / "small.db", store=store)
    assert (done.format, done.runs, done.points) == ("store", 3, 2 * 210)
    assert content_of(store.parent) == before
    small = tmp_path / "small.db"
    fits(small)
    assert query(small, "PRAGMA journal_mode") == [("delete",)]
    assert query(small, "SELECT name FROM runs ORDER BY name") == [("child 0",), ("child 1",), ("search",)]
    assert query(small, "SELECT count(*) FROM datasets") == [(1,)]
    assert [path.name for path in tmp_path.glob("small*")] == ["small.db"]
    with History(store) as ours, History(small) as theirs:
        for name in ("search", "child 0", "child 1"):
            assert theirs.run(name).as_json().keys() == ours.run(name).as_json().keys()
            for key, value in ours.run(name).as_json().items():
                assert repr(theirs.run(name).as_json()[key]) == repr(value), key
            assert theirs.run(name).metrics() == ours.run(name).metrics()
    report = verify(small)
    assert report.not_in_file > 0
    assert [(part["kind"], part["holds"] > 5) for part in report.parts_of] == [("export", True)]
    # The states of generators that an earlier run of the process holds came along.
    lacking = (
        "SELECT count(*) FROM rng_states WHERE digest NOT IN (SELECT sha256 FROM contents) "
        "AND digest NOT IN (SELECT digest FROM rng_states WHERE state IS NOT NULL)"
    )
    assert query(small, lacking) == [(0,)]
    assert query(small, "SELECT kind, command FROM sessions WHERE kind = 'command'") == [
        ("command", "histhooks export")
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["second", "third"])
def test_what_is_known_of_data_comes_along_though_another_run_holds_it(tmp_path: Path, name: str) -> None:
    store, small, again = tmp_path / "all.db", tmp_path / "small.db", tmp_path / "again.db"
    record(store, held_data.PROGRAM)
    known = held_data.known_of(store, name)
    assert all(data["digests"] and data["columns"] and data["sketches"] for data in known)
    export(name, to=small, store=store)
    export(name, to=again, store=small)
    for path in (small, again):
        assert held_data.known_of(path, name) == known
        assert query(path, "SELECT count(*) FROM dataset_sketches") == [(2,)]
        fits(path)


@pytest.mark.parametrize("sql", [
    "DELETE FROM params",
    "DELETE FROM points WHERE n = 3",
    "DELETE FROM run_datasets",
    "DELETE FROM notes",
    "DELETE FROM points",
    "DELETE FROM captures",
    "DELETE FROM datasets",
    "UPDATE runs SET status = 'failed'",
    "UPDATE metric_summaries SET min = 0.0 WHERE name = 'long'",
])  # fmt: skip
def test_what_a_small_store_says_it_holds_cannot_be_taken_out_or_changed(store: Path, tmp_path: Path, sql: str) -> None:
    small = tmp_path / "small.db"
    export("search", to=small, store=store)
    connection = sqlite3.connect(small)
    assert connection.execute(sql).rowcount > 0
    connection.commit()
    connection.close()
    assert not verify(small).ok
    if not sql.startswith("UPDATE"):  # folds and summaries are beyond the script
        command = [sys.executable, "-I", str(VERIFIER), str(small)]
        assert subprocess.run(command, capture_output=True, check=False).returncode == 1


def test_a_small_store_can_be_exported_curated_and_recorded_to(store: Path, tmp_path: Path) -> None:
    small, smaller = tmp_path / "small.db", tmp_path / "smaller.sqlite"
    export("search", to=small, store=store)
    export("child 1", to=smaller, store=small)
    fits(smaller)
    assert query(smaller, "SELECT name FROM runs ORDER BY id") == [("search",), ("child 1",)]
    curate.tag("search", {"seen": "yes"}, store=small)
    record(small, PROGRAM)
    (first,) = query(small, "SELECT min(id) FROM runs WHERE name = 'search'")[0]
    curate.delete(str(first), reason="no more", store=small)
    fits(small)


def test_what_was_said_of_a_run_later_and_by_others_comes_along(store: Path, tmp_path: Path) -> None:
    curate.tag("search", {"seen": "yes"}, store=store)
    curate.rename("search", "grid", store=store)
    curate.note("other", "not for you", store=store)
    curate.redact(runs=("other",), reason="asked", store=store)
    small = tmp_path / "small.db"
    export("grid", to=small, store=store)
    fits(small)
    assert query(small, "SELECT count(*) FROM tags WHERE key = 'seen'") == [(1,)]
    assert query(small, "SELECT count(*) FROM notes") == [(1,)]
    assert query(small, "SELECT count(*) FROM tombstones WHERE action = 'redact'") == [(4,)]  # with its code


def test_an_export_beside_a_writer_is_one_moment(store: Path, tmp_path: Path) -> None:
    program = """
import histhooks, sys
with histhooks.start_run("live") as run:
    print("ready", flush=True)
    step = 0
    while not sys.stdin in __import__("select").select([sys.stdin], [], [], 0.0001)[0]:
        run.log({"loss": 1.0 / (step + 1)}, step=step); step += 1
"""
    environment = {**os.environ, "HISTHOOKS_STORE": str(store)}
    writer = subprocess.Popen(
        [sys.executable, "-c", program], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout is not None
    assert writer.stdout.readline() == "ready\n"
    for number in range(5):
        export(to=tmp_path / f"{number}.db", store=store, is_all=True)
        fits(tmp_path / f"{number}.db")
    writer.communicate("\n", timeout=300)
    assert writer.returncode == 0
    counts = [query(tmp_path / f"{n}.db", "SELECT count(*) FROM points")[0] for n in range(5)]
    assert counts == sorted(counts)
    assert verify(store).ok


def test_runs_in_waiting_spools_are_exported_too(store: Path, tmp_path: Path) -> None:
    record(store, "import histhooks\nwith histhooks.start_run('far') as run: run.log({'loss': 2.0})\n",
           HISTHOOKS_NETWORK="1")  # fmt: skip
    before = content_of(store.parent)
    export("far", "other", to=tmp_path / "both.db", store=store)
    fits(tmp_path / "both.db")
    assert query(tmp_path / "both.db", "SELECT name, value FROM metrics WHERE name = 'loss' ORDER BY value") == [
        ("loss", 0.5), ("loss", 2.0)
    ]  # fmt: skip
    assert content_of(store.parent) == before


@pytest.mark.skipif(bool(WITHOUT_RIGHTS) and not shutil.which("setpriv"), reason="root writes into any folder")
def test_a_store_in_a_folder_that_cannot_be_written_is_exported_and_nothing_into_it(
    store: Path, tmp_path: Path
) -> None:
    for path in store.parent.glob("histhooks.db-*"):
        path.unlink()
    names = sorted(os.listdir(store.parent))
    command = [*WITHOUT_RIGHTS, sys.executable, "-m", "histhooks", "export", str(store), "other", "-o"]
    store.parent.chmod(0o555)
    try:
        done = subprocess.run([*command, str(tmp_path / "one.db")], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        done = subprocess.run([*command, str(store.parent / "b.db")], capture_output=True, text=True, check=False)
        assert (done.returncode, "cannot be written" in done.stderr) == (2, True)
    finally:
        store.parent.chmod(0o755)
    assert sorted(os.listdir(store.parent)) == names
    fits(tmp_path / "one.db")


# --- other formats ----------------------------------------------------------------------------------------------------


def test_json_holds_complete_records_with_points(store: Path, tmp_path: Path) -> None:
    done = export("search", to=tmp_path / "a.json", store=store)
    assert done.format == "json"
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    told = json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
    assert (told["form"], told["anonymous"], len(told["runs"])) == ("histhooks-export-1", False, 3)
    parent, child, _ = told["runs"]
    assert parent["params"] == {"grid": [1, "nan"]}
    assert parent["session"]["username"] == "zaphodbb"
    assert parent["packages"]["numpy"]
    assert child["points"]["loss"]["value"] == [0.5, "nan", "inf", "-inf", 0.1]
    assert child["points"]["loss"]["step"] == [0, 10, 20, 30, 40]
    assert child["points"]["loss"]["epoch"] == [0, 1, 2, 3, 4]
    assert len(child["points"]["long"]["value"]) == 200
    assert child["datasets"][0]["n_rows"] == 3


def test_csv_and_parquet_hold_a_row_a_point(store: Path, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    for name in ("a.csv", "a.parquet"):
        assert export("search", to=tmp_path / name, store=store).points == 2 * 210
    with (tmp_path / "a.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    table = parquet.read_table(tmp_path / "a.parquet").to_pylist()
    assert len(rows) == len(table) == 420
    loss = [row for row in rows if (row["run_name"], row["name"]) == ("child 0", "loss")]
    assert [row["value"] for row in loss] == ["0.5", "nan", "inf", "-inf", "0.1"]
    assert [row["step"] for row in loss] == ["0", "10", "20", "30", "40"]
    assert [(row["metric"], row["split"]) for row in rows if row["name"] == "val_loss"] == [("loss", "valid")] * 10
    for text, typed in zip(rows, table, strict=True):
        assert (text["run_id"], text["name"], int(text["step"])) == (typed["run_id"], typed["name"], typed["step"])
        assert (math.isnan(float(text["value"])) and math.isnan(typed["value"])) or (
            float(text["value"]) == typed["value"]
        )
    micro = query(store, "SELECT min(time) FROM metrics WHERE name = 'val_loss'")[0][0]
    assert min(int(row["time"]) for row in rows if row["name"] == "val_loss") == micro


def test_without_pyarrow_parquet_is_refused_with_what_to_do(store: Path, tmp_path: Path) -> None:
    program = f"""
import sys
sys.modules["pyarrow"] = None
from histhooks import QueryError
from histhooks.export import export
try: export("other", to="a.parquet", store={str(store)!r})
except QueryError as error: print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "pip install 'histhooks[parquet]'" in done.stdout
    assert not (tmp_path / "a.parquet").exists()


# --- anonymous --------------------------------------------------------------------------------------------------------


def test_an_anonymous_store_has_no_personal_value_and_tells_where_names_still_stand(
    store: Path, tmp_path: Path
) -> None:
    assert query(store, "SELECT DISTINCT hostname FROM sessions") == [(HOST,)]
    small = tmp_path / "small.db"
    done = export("other", to=small, store=store, anonymous=True)
    fits(small)
    assert query(small, "SELECT DISTINCT username, hostname, actor, command, cwd FROM sessions") == [
        (None, None, None, None, None)
    ]  # fmt: skip
    assert done.mentions == {"contents.data": 1}  # the program, which was given to -c, has the name in it
    assert b"zaphodbb" not in small.read_bytes()
    assert HOST.encode() not in small.read_bytes()
    done = export("search", to=small, store=store, anonymous=True, force=True)
    assert done.mentions["run_artifacts.path"] == 2  # /.../home/zaphodbb/model.bin
    assert query(small, "SELECT value, author FROM tags") == [(None, None)]
    assert query(small, "SELECT body, author FROM notes") == [(None, None)]
    assert query(small, "SELECT count(*) FROM salts WHERE subject_id NOT IN "
                 "(SELECT id FROM sessions WHERE kind = 'command')") == [(0,)]  # fmt: skip
    assert verify(small).redacted >= 9
    fits(small)


@pytest.mark.parametrize("name", ["a.json", "a.csv", "a.parquet"])
def test_an_anonymous_file_of_another_format_names_nobody(store: Path, tmp_path: Path, name: str) -> None:
    curate.rename("search", "for zaphodbb", store=store)
    record(store, """
        import histhooks
        with histhooks.start_run("paths", params={"file": "/home/zaphodbb/a.csv", "other": "/home/ann/b"}): pass
    """)  # fmt: skip
    assert (HOST,) in query(store, "SELECT hostname FROM sessions")
    export(to=tmp_path / name, store=store, is_all=True, anonymous=True)
    data = (tmp_path / name).read_bytes()
    assert b"zaphodbb" not in data
    assert HOST.encode() not in data
    if name == "a.json":
        told = json.loads(data)
        assert told["anonymous"] is True
        (params,) = [run["params"] for run in told["runs"] if run["name"] == "paths"]
        assert params == {"file": "~/a.csv", "other": "/home/ann/b"}
        assert {run["session"]["username"] for run in told["runs"]} == {None}
        assert "for [user]" in [run["name"] for run in told["runs"]]
    export("paths", to=tmp_path / name, store=store, force=True)
    if name == "a.json":
        assert b"zaphodbb" in (tmp_path / name).read_bytes()


# --- refusals ---------------------------------------------------------------------------------------------------------


def test_a_file_that_is_there_is_left_and_the_store_itself_always(store: Path, tmp_path: Path) -> None:
    target = tmp_path / "a.json"
    target.write_text("mine")
    with pytest.raises(StoreError, match="--force"):
        export("other", to=target, store=store)
    assert target.read_text() == "mine"
    export("other", to=target, store=store, force=True)
    assert json.loads(target.read_text())["runs"]
    with pytest.raises(StoreError, match="the store itself"):
        export("other", to=store, store=store, force=True)
    with pytest.raises(StoreError, match="no folder"):
        export("other", to=tmp_path / "no" / "a.json", store=store)
    assert sorted(p.name for p in tmp_path.iterdir() if p.is_file()) == ["a.json"]


def test_a_file_that_came_while_an_export_was_made_is_left(store: Path, tmp_path: Path) -> None:
    target = tmp_path / "b.json"
    with pytest.raises(StoreError, match="--force"):
        export("other", to=target, store=store, progress=lambda *_: target.write_text("mine") and None)
    assert target.read_text() == "mine"


@pytest.mark.parametrize(("runs", "options"), [
    (("other",), {"to": "a.xlsx"}),
    (("other",), {"to": "a"}),
    ((), {"to": "a.json"}),
    (("nobody",), {"to": "a.json"}),
    (("other",), {"to": "a.json", "is_all": True}),
    ((), {"to": "a.json", "project": "nothing"}),
])  # fmt: skip
def test_what_cannot_be_meant_is_refused(store: Path, runs: tuple[str, ...], options: dict[str, str]) -> None:
    with pytest.raises(QueryError):
        export(*runs, store=store, **options)  # type: ignore[arg-type]
    assert os.listdir() == []


def test_all_of_a_project(store: Path, tmp_path: Path) -> None:
    record(store, "import histhooks\nwith histhooks.start_run('far'): pass\n", HISTHOOKS_PROJECT="churn")
    export(to=tmp_path / "a.json", store=store, project="churn")
    assert [run["name"] for run in json.loads((tmp_path / "a.json").read_text())["runs"]] == ["far"]


def test_the_verb_says_what_it_wrote_and_where_names_stand(store: Path, tmp_path: Path) -> None:
    def ask(*words: str) -> tuple[int, str, str]:
        command = [sys.executable, "-m", "histhooks", "export", str(store), *words]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=300, check=False)
        assert "Traceback" not in done.stderr
        return done.returncode, done.stdout, done.stderr

    code, out, err = ask("search", "-o", "a.db", "--anonymous")
    assert (code, "3 runs, 420 points → a.db" in out, "run_artifacts.path" in err) == (0, True, True)
    code, out, _ = ask("other", "-o", "a.db", "--force", "--json")
    assert (code, json.loads(out)["format"]) == (0, "store")
    code, _, err = ask("other", "-o", "a.db")
    assert (code, "--force" in err) == (2, True)
    code, out, _ = ask("other")  # JSON, to stdout
    assert (code, [run["name"] for run in json.loads(out)["runs"]]) == (0, ["other"])
    assert ask("other", "-o", "a.doc")[0] == 2
