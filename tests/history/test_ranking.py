"""The metric that ranks a run, and its best value: one rule for every verb."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import histhooks
from helpers import verbs
from histhooks.history._ranking import best_of, main_of, outcomes_of
from histhooks.plot._curves import main_names


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "a.db"
    histhooks.autolog("torch", store=path)
    histhooks.disable()
    return path


def cli(store: Path, *words: str) -> str:
    code, out, err = verbs.ask(*words, "--store", store)
    assert code in (0, 1), err
    return out


def test_the_same_metric_ranks_a_run_in_every_verb(store: Path) -> None:
    with histhooks.start_run("a") as run:
        for step in range(5):
            run.log({"val_accuracy": step / 10, "val_loss": 1 - step / 10, "loss": 0.1}, step=step)
    histhooks.flush()
    with histhooks.History(store) as history:
        record = history.run("last")
        main = main_of(record.summaries, record.main_metric)
        outcome = outcomes_of(history, {record.id: None})[record.id]
        assert main is not None
        assert outcome is not None
        assert {main["name"], outcome.name, main_names(record)[-1]} == {"val_loss"}
    assert "* val_loss" in cli(store, "show", "last")
    assert "↓ val_loss" in cli(store, "runs", "--all-projects")


@pytest.mark.parametrize(
    ("logged", "ranks"),
    [
        (("loss", "val_odd"), "val_odd"),  # nobody knows which way is better, and yet it is no training score
        (("loss", "test_loss"), "test_loss"),
        (("test_loss", "val_score"), "val_score"),
        (("accuracy", "loss"), "loss"),
    ],
)
def test_training_never_outranks_validation_or_test(store: Path, logged: tuple[str, ...], ranks: str) -> None:
    with histhooks.start_run("a") as run:
        run.log(dict.fromkeys(logged, 0.5))
    histhooks.flush()
    with histhooks.History(store) as history:
        record = history.run("last")
        main = main_of(record.summaries)
        assert main is not None
        assert main["name"] == ranks


def test_minibatches_are_ranked_by_the_mean_of_their_epoch(store: Path) -> None:
    for name, losses in (("lucky", [[0.0, 2.0], [0.9, 1.1]]), ("steady", [[0.9, 0.9], [0.8, 0.8]])):
        with histhooks.start_run(name) as run:
            for epoch, batches in enumerate(losses):
                for n, loss in enumerate(batches):
                    run.log({"loss": loss}, step=2 * epoch + n, epoch=epoch)
                run.log({"val_loss": 1 - epoch / 10}, step=2 * epoch + 1, epoch=epoch)
    histhooks.flush()
    with histhooks.History(store) as history:
        lucky = history.run("lucky")
        found = {row["name"]: best_of(lucky, row) for row in lucky.summaries}
        assert found["loss"] == (1.0, 1, "epoch", 0)
        assert found["val_loss"] == (0.9, 3, None, None)
        assert [run.name for run in history.runs(order_by="loss")] == ["steady", "lucky"]
        assert [run.name for run in history.runs(where="loss < 0.9")] == ["steady"]
        assert [run.name for run in history.runs(where="loss.min < 0.1")] == ["lucky"]
        (change,) = [c for c in history.diff("lucky", "steady").part("metrics").changes if c.key == "loss"]
        assert (change.a["best"], change.b["best"], change.note) == (1.0, 0.8, "better")
        (column,) = [c for c in history.compare("lucky", "steady").columns if c.name == "loss"]
        assert column.values == (1.0, 0.8)
    assert "1~" in cli(store, "show", "lucky")
    assert json.loads(cli(store, "runs", "--json", "--where", "loss <= 0.8", "--all-projects"))[0]["name"] == "steady"


def test_an_epoch_that_was_broken_off_is_not_the_best(store: Path) -> None:
    with histhooks.start_run("short") as run:
        for step, loss in enumerate([4.0, 2.0, 1.0, 3.0, 2.0, 1.0, 0.1]):  # the last epoch has one step of its three
            run.log({"loss": loss}, step=step, epoch=step // 3)
    with histhooks.start_run("long") as run:
        for step, loss in enumerate([4.0, 2.0, 1.0, 3.0, 2.0, 1.0, 0.1, 0.3]):
            run.log({"loss": loss}, step=step, epoch=step // 3)
    histhooks.flush()
    with histhooks.History(store) as history:
        bests = {name: best_of(history.run(name), history.run(name).summaries[0]) for name in ("short", "long")}
        assert bests == {"short": (2.0, 5, "epoch", 1), "long": (pytest.approx(0.2), 7, "epoch", 2)}
        assert [run.name for run in history.runs(where="loss < 1")] == ["long"]
    table = cli(store, "runs", "--all-projects")
    assert " 2~ " in table
    assert "~ the best mean of an epoch" in table


def test_a_long_series_and_a_loop_without_epochs_are_ranked_by_parts(store: Path) -> None:
    from histhooks.recorder import open_run

    values = [0.0, *(1.0 + (n >= 500) for n in range(1, 1000))]
    loop = open_run(kind="loop", framework="torch", name="loop")
    block = open_run(kind="block", name="block")
    for run in (loop, block):
        for n, value in enumerate(values):
            run.log({"loss": value}, step=n)
        run.end()
    long = open_run(kind="block", name="long")
    for n in range(20_480):
        long.log({"loss": 0.0 if n == 5000 else 1.0 + (n < 10_240)}, step=n, epoch=n // 10_240)
    long.end()
    histhooks.flush()
    with histhooks.History(store) as history:
        bests = {}
        for name in ("loop", "block", "long"):
            record = history.run(name)
            (row,) = [row for row in record.summaries if row["name"] == "loss"]
            bests[name] = best_of(record, row)
    assert bests["loop"] == (0.99, 99, "part", None)
    assert bests["block"] == (0.0, 0, None, None)
    assert bests["long"] is not None
    assert bests["long"][0] == 1.0


def test_candidates_without_a_run_of_their_own_are_counted(store: Path) -> None:
    from histhooks.recorder import open_run

    search = open_run(kind="search", name="search")
    for number in range(2):
        open_run(kind="candidate", name=f"c{number}", parent=search).end()
    search.log_results({"candidates_beyond_2": [{"C": n} for n in range(5)], "candidates_beyond_7": [{"C": 9}]})
    search.end()
    histhooks.flush()
    assert "▸8" in cli(store, "runs", "--all-projects")
    assert "Children 8, of which 6 stand in the results only" in cli(store, "show", "search")
