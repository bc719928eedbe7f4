"""Data of real programs by content, from the call that is given it to what `History` and `histhooks data` say of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

import histhooks
from helpers import programs
from histhooks.cli import cli

HEAD = """
import time
import numpy as np
import histhooks
histhooks.autolog()
random = np.random.default_rng(0)
X = random.normal(size=(1000, 6)); y = (X[:, 0] > 0).astype(int)
"""
KINDS = """
with histhooks.start_run("leak") as run:
    run.log_dataset("train", X[:800], y[:800])
    run.log_dataset("test", np.concatenate([X[800:], X[:7]]), np.concatenate([y[800:], y[:7]]))
with histhooks.start_run("clean") as run:
    run.log_dataset("train", X[:800], y[:800]); run.log_dataset("valid", X[800:], y[800:])
order = random.permutation(800)
with histhooks.start_run("reordered") as run:
    run.log_dataset("train", X[:800][order], y[:800][order])
with histhooks.start_run("float32") as run:
    run.log_dataset("train", X[:800].astype("float32"), y[:800])
few = random.integers(0, 2, (900, 3)).astype(float)
with histhooks.start_run("few values") as run:
    run.log_dataset("train", few[:600]); run.log_dataset("test", few[600:])
large = random.normal(size=(40_000, 8))
for name in ("large", "one cell"):
    with histhooks.start_run(name) as run:
        run.log_dataset("train", large)
        deadline = time.monotonic() + 60  # what the block still uses is looked at until it ends
        while not histhooks.History().run(name).datasets[0].digests and time.monotonic() < deadline:
            time.sleep(0.05)
    large = large.copy(); large[12_345, 6] += 1e-9
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recorded") / "histhooks.db"
    programs.script(path, HEAD + KINDS)
    return path


def code_of(store: Path, *words: str) -> int:
    done = CliRunner().invoke(cli, ["data", str(store), *words], standalone_mode=False)
    return int(done.return_value or 0) if done.exception is None else 2


def test_rows_that_test_data_shares_with_training_data_are_counted(store: Path) -> None:
    with histhooks.History(store) as history:
        (overlap,) = history.run("leak").overlaps
        assert (overlap.roles, overlap.other_roles) == (("test",), ("train",))
        assert (overlap.n_rows, overlap.n_equal, overlap.n_twins, overlap.is_identifying) == (207, 7, 0, True)
        (none,) = history.run("clean").overlaps
        assert none.n_equal == 0
    assert (code_of(store, "leak"), code_of(store, "clean"), code_of(store, "few values")) == (1, 0, 0)


def test_the_same_training_data_is_known_in_each_run(store: Path) -> None:
    with histhooks.History(store) as history:
        assert history.run("leak").datasets[0].digests == history.run("clean").datasets[0].digests
        found = history.compare_data("leak", "clean")
        assert found.is_same is True
        assert found.unknown == ()
        found = history.compare_data("leak", "reordered")
        assert (found.is_same, found.is_reordered) == (False, True)
        found = history.compare_data("leak", "float32")
        assert (found.is_same, found.answer("rows").is_same, found.answer("order").is_same) == (False, True, True)
        found = history.compare_data("leak", "leak", role="train", against="test")
        assert found.shared is not None
        assert (found.shared.n_equal, found.shared.is_exact) == (7, True)


def test_one_cell_of_data_that_is_too_large_for_a_whole_fingerprint_is_seen(store: Path) -> None:
    with histhooks.History(store) as history:
        a, b = (history.run(name).datasets[0] for name in ("large", "one cell"))
        assert (a["coverage"], b["coverage"]) == ("sample", "sample")
        assert history.compare_data("large", "one cell").is_same is False
        assert history.compare_data("large", "large").is_same is True
    assert (code_of(store, "large", "one cell"), code_of(store, "large", "large")) == (1, 0)


@pytest.mark.one_engine("it trains for long")
def test_parts_of_one_dataset_that_meet_are_counted_by_their_numbers(store_path: Path) -> None:
    pytest.importorskip("torch")
    program = """
import torch
from torch.utils.data import DataLoader, Subset, TensorDataset
data = TensorDataset(torch.tensor(X).float(), torch.tensor(y))
model = torch.nn.Linear(6, 2); optimizer = torch.optim.SGD(model.parameters(), 0.1)
loaders = [DataLoader(Subset(data, range(*ends)), batch_size=50) for ends in ((0, 800), (790, 1000))]
for epoch in range(2):
    for rows, target in loaders[0]:
        optimizer.zero_grad(); torch.nn.functional.cross_entropy(model(rows), target).backward(); optimizer.step()
    model.eval()
    with torch.no_grad():
        [model(rows) for rows, target in loaders[1]]
    model.train()
"""
    programs.script(store_path, HEAD + program)
    with histhooks.History(store_path) as history:
        run = history.run()
        found = {one.part: (one.n_rows, one.n_equal) for one in run.overlaps}
        assert found["index"] == (210, 10)
        assert [one.point for one in run.weights] == ["start", "end"]
    assert code_of(store_path) == 1
