"""Random trainings of Keras: what their callbacks do to logs, models and each other, held to what was true of each.

``HISTHOOKS_EXAMPLES=2000 pytest tests/behaviour/test_keras_trainings.py`` tries as many; the default is a few.
"""

from __future__ import annotations

import itertools
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytest.importorskip("keras")

EXAMPLES = int(os.environ.get("HISTHOOKS_EXAMPLES", "12"))
HOOKS = ["on_train_begin", "on_epoch_begin", "on_train_batch_end", "on_test_end", "on_epoch_end", "on_train_end"]
EPOCH = st.one_of(st.none(), st.integers(0, 2))


def acts(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """What one callback does."""

    def act(do: str, hooks: list[str], **more: Any) -> st.SearchStrategy[Any]:
        return st.fixed_dictionaries({"do": st.just(do), "hook": st.sampled_from(hooks), "at": EPOCH, **more})

    own = st.fixed_dictionaries(
        {
            "do": st.sampled_from(["history", "csv", "csv", "early", "plateau", "rate", "nan", "swap"]),
            "at": st.integers(0, 2),
        }
    )
    names = st.sampled_from(["auc", "lr", "val_auc", "mae"])
    return st.one_of(
        *(own for _ in range(3)),
        act("add", ["on_epoch_end"], name=names, value=st.sampled_from([0.5, 3, float("nan")])),
        act("alter", ["on_epoch_end"]),
        act("remove", ["on_epoch_end"], name=st.sampled_from(["loss", "mae", "auc"])),
        act("odd", ["on_epoch_end"]),
        act("predict", HOOKS),
        act("evaluate", ["on_epoch_begin", "on_epoch_end"], data=st.sampled_from(["train", "valid", "new"])),
        act("stop", HOOKS),
        act("raise", HOOKS),
        act("params", HOOKS),
        act("model", HOOKS),
        act("fit", ["on_epoch_begin", "on_epoch_end"], same=st.booleans(), fit=inner),
    )


def fits(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """One call of ``fit``."""
    more = st.fixed_dictionaries(
        {
            "epochs": st.integers(0, 3), "initial_epoch": st.sampled_from([0, 0, 1]),
            "batch_size": st.sampled_from([4, 6]), "validates": st.booleans(),
            "validation_freq": st.sampled_from([1, 2, [1, 3]]),
            "shuffle": st.booleans(), "steps_per_epoch": st.sampled_from([None, None, 2]),
        }
    )  # fmt: skip
    return st.fixed_dictionaries(
        {
            "more": more,
            "callbacks": st.lists(acts(inner), max_size=4),
            "shape": st.sampled_from(["list", "tuple", "CallbackList"]),
            "data": st.sampled_from(["arrays", "arrays", "generator"]),
        }
    )


PLANS = st.fixed_dictionaries(
    {
        "optimizer": st.sampled_from(["sgd", "adam", "decay", "own", "together", "together decay", "scaled", "ema"]),
        "metrics": st.sampled_from([[], ["mae"]]),
        "fits": st.lists(fits(fits(st.nothing())), min_size=1, max_size=2),
        "evaluates": st.sampled_from([None, "train", "valid", "new"]),
    }
)


class Child:
    """A process that trains what it is told."""

    def __init__(self, folder: Path, **variables: str) -> None:
        folder.mkdir()
        self.store = folder / "histhooks.db"
        ours = {"HISTHOOKS_STORE": str(self.store), "HISTHOOKS_QUIET": "1", "HISTHOOKS_STRICT": "1"}
        self.errors = folder / "stderr"
        with self.errors.open("w") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-W", "ignore", str(Path(__file__).parent / "keras_trainings.py")],
                env={**os.environ, **ours, "KERAS_BACKEND": "torch", "OMP_NUM_THREADS": "1", **variables},
                cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True,
            )  # fmt: skip

    def begin(self, plan: dict[str, Any]) -> None:
        """Give a plan."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(plan) + "\n")
        self.process.stdin.flush()

    def truth(self) -> dict[str, Any]:
        """Get what was true of it."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.errors.read_text()[-5000:]
        truth: dict[str, Any] = json.loads(line)
        return truth

    def close(self) -> None:
        """Let it end."""
        self.process.communicate(timeout=300)
        assert self.process.returncode == 0, self.errors.read_text()[-5000:]


@pytest.fixture(scope="module")
def children(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Child, Child]]:
    folder = tmp_path_factory.mktemp("keras")
    pair = Child(folder / "plain"), Child(folder / "recorded", HISTHOOKS_HERE="1")
    yield pair
    for child in pair:
        child.close()


_names = itertools.count()


@settings(
    max_examples=EXAMPLES, deadline=None, derandomize=EXAMPLES < 100, database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture],
)  # fmt: skip
@given(plan=PLANS)
def test_the_record_of_any_training_is_what_was_true_of_it(children: tuple[Child, Child], plan: dict[str, Any]) -> None:
    plain, recorded = children
    plan = {**plan, "name": f"plan {next(_names)}"}
    for child in children:
        child.begin(plan)
    truth = recorded.truth()
    assert json.dumps(truth) == json.dumps(plain.truth())
    _hold(recorded.store, plan, truth)


def _hold(store: Path, plan: dict[str, Any], truth: dict[str, Any]) -> None:
    connection = sqlite3.connect(store)
    try:
        ((block,),) = connection.execute("SELECT id FROM runs WHERE name = ?", (plan["name"],)).fetchall()
        runs: list[tuple[Any, ...]] = []
        sql = """WITH RECURSIVE tree(id) AS (SELECT ? UNION ALL SELECT r.id FROM runs AS r JOIN tree AS t ON
                 r.parent_id = t.id) SELECT id, parent_id, kind, status, error_message, epochs_done, steps_done
                 FROM runs WHERE id IN tree AND id <> ? ORDER BY started_at, id"""
        runs = connection.execute(sql, (block, block)).fetchall()
        assert [run[2] for run in runs] == ["fit"] * len(truth["fits"])
        for position, (run, fit) in enumerate(zip(runs, truth["fits"], strict=True)):
            parent = block if fit["parent"] is None else runs[fit["parent"]][0]
            # Where training ended in a fit inside, the fit around it ended with the same.
            assert run[1] == parent
            assert run[3:5] == (fit["end"], fit.get("error"))
            epochs = fit["epochs"]
            assert run[5] == (len(epochs) or None)
            steps = epochs[-1]["step"] if epochs else None
            assert run[6] == (None if steps is None else steps + 1)
            expected = _series(fit) | _scores(truth, position)
            sql = """SELECT name, step, epoch, value, special FROM metrics WHERE run_id = ? AND split IS NOT 'system'
                     ORDER BY name, n"""
            found: dict[str, list[tuple[Any, ...]]] = {}
            for name, step, epoch, value, special in connection.execute(sql, (run[0],)):
                found.setdefault(name, []).append((step, epoch, special or value))
            assert _rounded(found) == _rounded(expected)
            _hold_files(found, fit)
        assert connection.execute("SELECT hook_errors FROM sessions").fetchall() in ([(0,)], [(None,)])
    finally:
        connection.close()


def _hold_files(found: dict[str, list[tuple[Any, ...]]], fit: dict[str, Any]) -> None:
    """What a ``CSVLogger`` wrote is in the record too, where no callback behind it changed that."""
    for rows, later in fit["files"]:
        assert len(rows) == len(fit["epochs"]) or fit["end"] == "failed"
        for row in rows:
            epoch = int(row.pop("epoch"))
            numbers = {name: float(text) for name, text in row.items() if _is_number(text) and name not in later}
            for name, number in numbers.items():
                there = [value for _, e, value in found.get(name, []) if e == epoch]
                assert there == ["nan" if number != number else number], (name, epoch, number, there)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _rounded(series: dict[str, list[tuple[Any, ...]]]) -> dict[str, list[tuple[Any, ...]]]:
    """Rates come from float32 on both ways."""
    return {
        name: [(s, e, float(f"{v:.6g}") if isinstance(v, float) and name.startswith("lr") else v) for s, e, v in points]
        for name, points in series.items()
    }


def _series(fit: dict[str, Any]) -> dict[str, list[tuple[Any, ...]]]:
    """The points that the epochs of a fit have: as History has them, else as they were when all had seen them."""
    series: dict[str, list[tuple[Any, ...]]] = {}
    is_taken = False
    for epoch in fit["epochs"]:
        logs = dict(epoch["logs"])
        for seen in reversed(epoch.get("histories", [])):
            logs |= seen
        is_taken = is_taken or "lr" in logs
        numbers = {name: number for key, value in logs.items() for name, number in _numbers(key, value)}
        rates = {} if epoch["rate"] is None else {"lr/0.0" if is_taken else "lr": epoch["rate"]}
        for name, number in {**numbers, **rates}.items():
            points = series.setdefault(name, [])
            step = len(points) if epoch["step"] is None else epoch["step"]
            points.append((step, epoch["epoch"], "nan" if number != number else float(number)))
    return series


def _numbers(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, (int, float)):
        yield name, value
    elif isinstance(value, dict) and "array" in value:
        yield from ((f"{name}/{n}", number) for n, number in enumerate(value["array"]))


def _scores(truth: dict[str, Any], position: int) -> dict[str, list[tuple[Any, ...]]]:
    series: dict[str, list[tuple[Any, ...]]] = {}
    for score in truth["scores"]:
        if score["fit"] == position:
            split = score["split"]
            for name, value in score["scores"].items():
                special = "nan" if value != value else value
                series_name = f"{split}_{name}"
                if score["epoch"] is None and series_name in series:
                    series_name += "/after"  # a series does not go on when its run has ended
                points = series.setdefault(series_name, [])
                points.append((len(points) if score["step"] is None else score["step"], score["epoch"], special))
    return series
