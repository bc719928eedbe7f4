"""``metrics``: points for people, for spreadsheets and for programs; never thinned without a word."""

from __future__ import annotations

import csv
import io
import json
import math
from pathlib import Path

import pytest

from helpers.terminals import ask_on_terminal
from helpers.verbs import ask
from histhooks.testing import run_program

PROGRAM = """
import histhooks, math
with histhooks.start_run("curves") as run:
    for step in range(500):
        run.log({"loss": 1 / (step + 1), "a, b": step}, step=step * 2, epoch=step // 100)
        if step % 100 == 99:
            run.log({"val_loss": math.nan if step == 299 else 2 / (step + 1), "val_acc": step / 500}, step=step * 2)
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("metrics") / "histhooks.db"
    code, _, err = run_program(PROGRAM, path)
    assert code == 0, err
    return path


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_a_pipe_gets_csv_that_reads_back_exactly(store: Path) -> None:
    code, out, err = ask("metrics", store, "curves", "loss", "a, b")
    assert (code, err) == (0, "")
    table = rows(out)
    assert [row["name"] for row in table] == ["loss"] * 500 + ["a, b"] * 500
    assert [float(row["value"]) for row in table[:500]] == [1 / (n + 1) for n in range(500)]
    assert (table[7]["step"], table[7]["epoch"], table[7]["time"][-1]) == ("14", "0", "Z")


def test_json_is_a_list_of_points_also_where_a_value_is_not_finite(store: Path) -> None:
    code, out, _ = ask("metrics", store, "curves", "val_loss", "--json")
    points = json.loads(out)
    assert code == 0
    assert [(p["value"], p["special"]) for p in points][1:4] == [(0.01, None), (None, "nan"), (0.005, None)]
    assert (points[0]["metric"], points[0]["split"], points[0]["epoch"]) == ("loss", "valid", None)
    assert json.loads(ask("metrics", store, "curves", "loss", "--from", "5000", "--json")[1]) == []


def test_patterns_ranges_and_the_last_points(store: Path) -> None:
    table = rows(ask("metrics", store, "curves", "val_*", "val_loss", "--last", "2")[1])
    assert [(row["name"], row["step"]) for row in table] == [
        ("val_acc", "798"), ("val_acc", "998"), ("val_loss", "798"), ("val_loss", "998"),
    ]  # fmt: skip
    table = rows(ask("metrics", store, "curves", "loss", "--from", "10", "--to", "16")[1])
    assert [row["step"] for row in table] == ["10", "12", "14", "16"]


def test_thinning_is_said_on_stderr(store: Path) -> None:
    code, out, err = ask("metrics", store, "curves", "loss", "--thin", "10")
    values = [float(row["value"]) for row in rows(out)]
    assert (code, len(values) <= 12, values[0], values[-1]) == (0, True, 1.0, 1 / 500)
    assert err == f"histhooks: loss: {len(values)} points stand for 500\n"
    _, out, err = ask("metrics", store, "curves", "a, b", "--last", "100", "--thin", "10")
    assert [row["value"] for row in rows(out)][:: len(rows(out)) - 1] == ["400.0", "499.0"]
    assert "stand for 100\n" in err
    _, out, _ = ask("metrics", store, "curves", "val_loss", "--thin", "2")
    assert any(math.isnan(float(row["value"])) for row in rows(out))


def test_a_name_that_is_not_there_is_exit_code_2_with_those_that_are(store: Path) -> None:
    for word in ("val_los", "tr_*"):
        code, out, err = ask("metrics", store, "curves", word)
        assert (code, out) == (2, "")
        assert word in err
        assert err.count("\n") == 1
    assert "it has val_loss," in ask("metrics", store, "curves", "val_los")[2]


def test_on_a_terminal_it_is_a_table(store: Path) -> None:
    code, shown = ask_on_terminal("metrics", store, "curves", "val_*")
    lines = shown.splitlines()
    assert code == 0
    assert lines[0].split() == ["METRIC", "STEP", "EPOCH", "TIME", "VALUE"]
    assert len(lines) == 11
    assert lines[8].split()[0] == "val_loss"
    assert lines[8].endswith("  nan")
    assert ask_on_terminal("metrics", store, "curves", "val_*", "--csv")[1].startswith("name,step,epoch,time,value")
