"""`histhooks whence`: which run made a file, told by its content."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import histhooks
from helpers import verbs

PROGRAM = """
import histhooks
from pathlib import Path
Path("model.pt").write_bytes(b"weights"); Path("data.csv").write_bytes(b"1,2,3"); Path("draft.pt").write_bytes(b"old")
with histhooks.start_run("trainer") as run:
    run.log_artifact("model.pt", role="model", step=7)
    run.log_artifact("draft.pt", role="checkpoint")
    run.log_artifact("data.csv", role="data", direction="in")
with histhooks.start_run("reader") as run:
    run.log_artifact("model.pt", role="model", direction="in")
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    environment = {**os.environ, "HISTHOOKS_STORE": str(tmp_path / "histhooks.db"), "HISTHOOKS_QUIET": "1"}
    subprocess.run([sys.executable, "-c", PROGRAM], cwd=tmp_path, env=environment, check=True, timeout=60)
    return tmp_path


def ask(*words: str, folder: Path) -> tuple[int, str, str]:
    return verbs.ask("whence", *words, folder=folder)


def test_a_file_is_known_by_its_content_wherever_it_lies(folder: Path) -> None:
    code, out, _ = ask("model.pt", folder=folder)
    assert code == 0
    made, read = out.splitlines()
    assert "made by " in made
    assert "trainer (finished), model at step 7" in made
    assert read.startswith("read by ")
    (folder / "model.pt").rename(folder / "moved.bin")
    code, out, _ = ask("moved.bin", folder=folder)
    assert code == 0
    assert f", as {folder / 'model.pt'}, which is there no longer" in out
    code, out, _ = ask("moved.bin", "--json", folder=folder)
    record = json.loads(out)
    assert [row["name"] for row in record["made_by"]] == ["trainer"]
    assert [row["name"] for row in record["read_by"]] == ["reader"]


def test_a_file_that_was_only_read_or_has_other_content_was_made_by_nobody_known(folder: Path) -> None:
    code, out, _ = ask("data.csv", folder=folder)
    assert code == 0
    assert "read by " in out
    assert "no run in " in out
    (folder / "draft.pt").write_bytes(b"new content")
    code, out, _ = ask("draft.pt", folder=folder)
    assert code == 1
    assert "other content was written there" in out
    assert "trainer" in out
    (folder / "own.txt").write_text("nobody recorded this")
    code, out, _ = ask(str(folder / "histhooks.db"), "own.txt", "--json", folder=folder)
    assert code == 1
    assert json.loads(out)["sha256"] is None


def test_a_folder_is_found_and_so_is_a_file_that_lies_in_a_recorded_one(folder: Path) -> None:
    program = """
import histhooks, pathlib
pathlib.Path("model/deep").mkdir(parents=True); pathlib.Path("model/deep/weights.bin").write_bytes(b"deep weights")
with histhooks.start_run("of a folder") as run: run.log_artifact("model", role="model")
"""
    environment = {**os.environ, "HISTHOOKS_STORE": str(folder / "histhooks.db"), "HISTHOOKS_QUIET": "1"}
    subprocess.run([sys.executable, "-c", program], cwd=folder, env=environment, check=True, timeout=60)
    (folder / "model").rename(folder / "moved")
    code, out, _ = ask("moved", folder=folder)
    assert (code, "of a folder" in out, "model, which is there no longer" in out) == (0, True, True)
    code, out, _ = ask("moved/deep/weights.bin", folder=folder)
    assert (code, "of a folder" in out, "model/deep/weights.bin" in out) == (0, True, True)
    (folder / "moved" / "deep" / "weights.bin").write_bytes(b"else weights")
    assert ask("moved", folder=folder)[0] == 1
    assert ask("moved/deep/weights.bin", folder=folder)[0] == 1


def test_no_such_file_and_no_store(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    assert ask("missing.pt", folder=folder)[0] == 2
    code, out, _ = ask(str(folder), folder=folder)
    assert (code, "no run in" in out) == (1, True)
    assert ask(folder=folder)[0] == 2
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "model.pt").write_bytes(b"weights")
    code, _, err = ask("model.pt", folder=elsewhere)
    assert code == 2
    assert str(folder / "histhooks.db") in err  # where this user has recorded to


def test_the_store_beside_the_file_is_asked_where_there_is_none_here(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    code, out, _ = ask(str(folder / "model.pt"), folder=tmp_path_factory.mktemp("elsewhere"))
    assert code == 0
    assert "trainer" in out


def test_a_file_of_a_size_that_nobody_recorded_is_not_read(folder: Path) -> None:
    from histhooks.history.query.whence import whence

    with histhooks.History(folder / "histhooks.db") as history:
        seen: list[int] = []
        (folder / "large.bin").write_bytes(b"0" * 5000)
        assert whence(history, folder / "large.bin", seen.append).sha256 is None
        assert seen == []
        assert whence(history, folder / "model.pt", seen.append).made
        assert seen == [7]


READING = """
import histhooks
histhooks.autolog()
open("churn.csv").close()
with histhooks.start_run("first") as run:
    run.log_results({"score": 1.0})
open("late.csv").close()
with histhooks.start_run("second"):
    open("late.csv").close()
    with histhooks.start_run("inside"):
        open("inside.csv").close()
with histhooks.start_run("third"):
    with open("made.csv", "w") as file: file.write("made here")
"""


@pytest.fixture
def read(tmp_path: Path) -> Path:
    for name in ("churn", "late", "inside"):
        (tmp_path / f"{name}.csv").write_text(f"content of {name}")
    (tmp_path / "train.py").write_text(READING)
    environment = {**os.environ, "HISTHOOKS_STORE": str(tmp_path / "histhooks.db"), "HISTHOOKS_QUIET": "1"}
    subprocess.run([sys.executable, "train.py"], cwd=tmp_path, env=environment, check=True, timeout=60)
    return tmp_path


def test_a_file_of_data_names_the_runs_that_read_it_and_those_whose_program_read_it_before(read: Path) -> None:
    code, out, _ = ask("churn.csv", folder=read)
    assert code == 0
    lines = out.splitlines()
    assert [line.split()[3] for line in lines[:3]] == ["third", "second", "first"]
    assert all(" (finished), open at train.py:4 before it began, " in line for line in lines[:3])
    assert lines[3].startswith("no run in ")
    code, out, _ = ask("late.csv", "--json", folder=read)
    rows = json.loads(out)["read_by"]
    assert (code, [(row["name"], row["is_before"], row["location"]) for row in rows]) == (
        0, [("third", 1, "train.py:7"), ("second", 0, "train.py:9")],
    )  # fmt: skip
    assert [row["name"] for row in json.loads(ask("inside.csv", "--json", folder=read)[1])["read_by"]] == ["inside"]
    assert "made by " in ask("made.csv", folder=read)[1]


def test_a_file_of_data_that_changed_since_is_known_by_its_path(read: Path) -> None:
    (read / "churn.csv").write_text("other content")
    code, out, _ = ask("churn.csv", folder=read)
    assert code == 1
    known = hashlib.sha256(b"content of churn").hexdigest()
    assert f"other content was read from there, sha256 {known[:12]}: by " in out


def test_a_hash_or_its_beginning_says_what_it_is_of(read: Path) -> None:
    known = hashlib.sha256(b"content of inside").hexdigest()
    for words in (known, known[:6], known[:12].upper()):
        code, out, _ = ask(words, folder=read)
        assert (code, out.splitlines()[0]) == (0, known)
        assert "read by " in out
        assert "inside (finished), open, " in out
    made = hashlib.sha256(b"made here").hexdigest()
    record = json.loads(ask(made[:10], "--json", folder=read)[1])
    assert (record["hash"], [(use["name"], use["way"], use["what"]) for use in record["uses"]]) == (
        made, [("third", "out", "file")],
    )  # fmt: skip
    assert ask("0123456789abcdef", folder=read)[0] == 1
    code, _, err = ask("12345", folder=read)
    assert (code, "no file '12345'" in err) == (2, True)


def test_the_beginning_of_several_hashes_is_refused_with_their_names(store_path: Path) -> None:
    with histhooks.start_run("a") as run:
        for point, last in (("start", "a"), ("end", "b")):
            run._row("weights", {
                "run_id": run.id, "point": point, "n_tensors": 1, "n_values": 1, "nonfinite": 0,
                "digest": f"abcdef{last}", "algorithm": "xxh3_128", "step": None,
            })  # fmt: skip
    histhooks.flush()
    code, _, err = ask("abcdef", "--store", "histhooks.db", folder=Path.cwd())
    assert code == 2
    assert "2 hashes begin with abcdef: abcdefa, abcdefb; write more of it" in err
    code, out, _ = ask("abcdefb", "--store", "histhooks.db", folder=Path.cwd())
    assert code == 0
    assert "weights of " in out


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_a_store_of_an_earlier_version_has_no_reads(version: str, store_path: Path) -> None:
    data = Path(__file__).parents[1] / "data" / f"store-{version}.db.gz"
    store_path.write_bytes(gzip.decompress(data.read_bytes()))
    history = histhooks.History(store_path)
    runs = history.runs()
    assert runs
    assert all(run.file_reads == [] for run in runs)
    ((digest,),) = [row.values() for row in history.sql("SELECT content_hash FROM datasets LIMIT 1")]
    assert history.runs(where=f"sha256 = {digest[:12]}")
    assert history.search(digest[:12])
    history.close()
    (store_path.parent / "own.csv").write_text("1")
    assert ask("own.csv", folder=store_path.parent)[0] == 1
    assert ask(digest[:12], folder=store_path.parent)[0] == 0
