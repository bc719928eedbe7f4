"""`histhooks data`: the data of a run, and how the data of two runs compares."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

import histhooks
from helpers import content_store, programs, verbs
from histhooks._views.table import cells
from histhooks.cli import cli
from histhooks.report import report

DATA = Path(__file__).parents[1] / "data"
PAGE = Path(__file__).parents[2] / "docs" / "guide" / "data.md"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return content_store.make(tmp_path_factory.mktemp("data") / "histhooks.db")


def ask(store: Path, *words: str, columns: int = 100) -> tuple[int, str]:
    code, out, err = verbs.ask("data", store, *words, COLUMNS=str(columns))
    return code, out + err


def said(text: str) -> str:
    return " ".join(text.split())


def test_a_run_says_what_its_data_is_and_what_its_parts_share(store: Path) -> None:
    code, out = ask(store, "first")
    assert code == 1
    text = said(out)
    for words in (
        "train ndarray 800 × 5", "whole; SHA-256", "no row repeats another one of the 800",
        "of as many rows: train_test_split(test_size=0.2, random_state=7): 1,000 → 800 + 200, shuffled, at train.py:3",
        "5 of 205 rows (2.4 %) are in train too; inside train no row has a twin, and columns tell rows apart",
        "StandardScaler, fitted on train: 5 of these 205 rows: should it have seen them?",
        "5 and the target counted; --columns shows them",
    ):  # fmt: skip
        assert words in text, words


def test_without_rows_in_common_the_exit_code_is_0(store: Path) -> None:
    code, out = ask(store, "clean")
    assert code == 0
    assert "no row is in train too" in out


def test_the_columns_stand_in_a_table(store: Path) -> None:
    _, out = ask(store, "first", "--columns", "--role", "train", columns=120)
    assert "test" not in out.partition("column ")[0].split("train_test_split")[0]
    (line,) = [line for line in out.splitlines() if line.startswith("  0 ")]
    assert line.split()[:4] == ["0", "800", "0", "800"]
    assert any(line.startswith("  (target)") for line in out.splitlines())


@pytest.mark.parametrize("columns", [60, 80, 120, 200])
def test_no_line_is_wider_than_the_terminal(store: Path, columns: int) -> None:
    for words in (("first", "--columns"), ("first", "changed"), ("first", "reordered", "--columns"), ("profile",)):
        _, out = ask(store, *words, columns=columns)
        assert max(map(cells, out.splitlines())) <= columns, (words, columns)


@pytest.mark.parametrize(
    ("words", "code", "verdict"),
    [
        (("first", "again"), 0, "The same content."),
        (("first", "reordered"), 1, "The same rows in another order."),
        (("first", "changed"), 1, "They differ in features."),
        (("first", "profile"), 1, "They differ: their shapes differ."),
        (("large", "large"), 2, "Cannot tell: only a sample of it was hashed."),
        (("first", "first", "--role", "train", "--against", "test"), 1, "They differ in features and target."),
    ],
)
def test_two_runs_are_the_same_or_not_or_nobody_can_tell(
    store: Path, words: tuple[str, ...], code: int, verdict: str
) -> None:
    found, out = ask(store, *words)
    assert (found, out.splitlines()[-1]) == (code, verdict)


def test_how_many_rows_are_shared_is_said_with_what_a_sketch_can_see(store: Path) -> None:
    assert "800 of the 800 different rows of A are in B" in ask(store, "first", "reordered")[1]
    assert "(by a sketch)" in ask(store, "first", "changed")[1]
    assert "rows were hashed with another key" in ask(store, "first", "other key")[1]


def test_what_was_not_recorded_is_said_with_how_to_record_it(store: Path) -> None:
    code, out = ask(store, "none")
    assert (code, "not recorded: which data it used" in out, "HISTHOOKS_DATA" in out) == (2, True, True)
    code, out = ask(store, "profile")
    assert (code, "not recorded: its data by content" in out, "HISTHOOKS_DATA=full" in out) == (2, True, True)
    assert "fingerprint" in out


def test_wrong_use_is_said(store: Path) -> None:
    code, said = ask(store, "first", "again", "changed")
    assert (code, said.splitlines()[-1]) == (2, "Error: data takes one run, or two, not 3")
    assert ask(store, "first", "--against", "test")[0] == 2
    code, out = ask(store, "first", "--role", "valid")
    assert (code, out.splitlines()[-1]) == (2, "Error: it has no data of role 'valid'; it has train, test")


def test_json_has_it_all(store: Path) -> None:
    _, out = ask(store, "first", "--json")
    record = json.loads(out)
    assert record["run"]["name"] == "first"
    train, test = record["datasets"]
    assert {one["part"] for one in train["digests"]} == {"all", "features", "target", "rows", "order"}
    (overlap,) = test["overlaps"]
    assert (overlap["n_equal"], overlap["level"], overlap["by_chance"]) == (5, "warn", 0)
    assert [one["function"] for one in record["splits"]] == ["train_test_split"]
    assert [one["n_fitted"] for one in record["transforms"]] == [5]
    _, out = ask(store, "first", "reordered", "--json")
    record = json.loads(out)
    assert (record["is_same"], record["is_reordered"]) == (False, True)
    assert record["answers"]["rows"] == {"is_same": True, "why": ""}
    assert record["shared_rows"]["n_equal"] == 800


def test_the_page_names_the_keys_of_the_json(store: Path) -> None:
    text = PAGE.read_text(encoding="utf-8").partition("## JSON")[2]
    parts = [re.findall(r"^\| (`.+?) \|", part, flags=re.M) for part in text.split("data A B --json")]
    told = [{key for cell in part for key in re.findall(r"`(\w+)`", cell)} for part in parts]
    one, two = (json.loads(ask(store, *words, "--json")[1]) for words in (("first",), ("first", "changed")))
    assert (set(one), set(two)) == (told[0], told[1])
    assert set(two["shared_rows"]) <= set(re.findall(r"`(\w+)`", text))


def test_show_says_it_in_a_few_lines(store: Path) -> None:
    done = CliRunner().invoke(cli, ["show", str(store), "first"], env={"COLUMNS": "80"}, standalone_mode=False)
    text = said(done.output)
    for words in (
        "test: 5 of 205 rows (2.4 %) are in train too", "train_test_split(test_size=0.2, random_state=7): 1,000",
        "seen by test: StandardScaler, fitted on train", "weights start abababababab → end cdcdcdcdcdcd, 6 values",
    ):  # fmt: skip
        assert words in text, words
    lines = [*done.output.splitlines()]
    command = next(number for number, line in enumerate(lines) if line.startswith("command"))
    after = next(number for number, line in enumerate(lines) if number > command and line[:1].strip())
    assert len(lines) - (after - command) < 40  # but for the command, which has the paths of this machine
    done = CliRunner().invoke(cli, ["show", str(store), "clean"], env={"COLUMNS": "80"}, standalone_mode=False)
    assert "shared rows none between valid and train" in said(done.output)


def test_a_report_has_tables_of_it(store: Path, tmp_path: Path) -> None:
    with histhooks.History(store) as history:
        for name in ("report.md", "report.html"):
            report(history.run("first"), tmp_path / name, with_verify=False)
        digest = history.run("first").datasets[0].digest()
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert digest is not None
    for words in (
        f"| train | all | xxh3\\_128 | {digest.digest} | whole | 800 |", "| test | train | – | features | 5 of 205 |",
        "| train\\_test\\_split |", "| test | 1 | StandardScaler |", "Columns of train", "| start | – | abab",
    ):  # fmt: skip
        assert words in text, words


def test_a_model_that_is_judged_by_its_training_data_is_asked_about(store_path: Path) -> None:
    histhooks.autolog(store=store_path)
    with histhooks.start_run("judged") as run:
        for role in ("train", "valid"):
            run.log_dataset(role, content_store.X, content_store.Y)
    histhooks.flush()
    code, out = ask(store_path, "judged")
    assert code == 1
    assert "should the model be judged by what it was trained on?" in said(out)


def test_files_and_splits_of_a_real_program_stand_beside_its_data(store_path: Path, tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    (tmp_path / "churn.csv").write_text("a,b,y\n" + "".join(f"{n},{n % 7},{n % 2}\n" for n in range(50)))
    program = f"""
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
table = np.loadtxt({str(tmp_path / "churn.csv")!r}, delimiter=",", skiprows=1)
train, test, y, z = train_test_split(table[:, :2], table[:, 2], test_size=0.2, random_state=3)
LogisticRegression().fit(train, y).score(test, z)
"""
    programs.script(store_path, "import histhooks; histhooks.autolog()\n" + program)
    _, out = ask(store_path, columns=200)
    text = said(out)
    assert "of as many rows: train_test_split(" in text
    assert "random_state=3" in text
    assert ": 50 → 40 + 10, shuffled, at " in text
    assert f"churn.csv, {(tmp_path / 'churn.csv').stat().st_size} B, " in text
    with histhooks.History(store_path) as history:
        (split,) = history.run().splits
        assert (split.n_in, split.n_out, split.is_shuffled, split.is_before) == (50, (40, 10), True, True)


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_an_older_store_says_that_nothing_was_recorded(version: str, tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    path.write_bytes(gzip.decompress((DATA / f"store-{version}.db.gz").read_bytes()))
    with histhooks.History(path) as history:
        run = next(run for run in history.runs() if run.datasets)
    code, out = ask(path, run.id)
    assert code == 2
    assert "not recorded: its data by content" in out
