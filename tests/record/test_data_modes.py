"""What HISTHOOKS_DATA lets be recorded of data."""

import sqlite3
from pathlib import Path

import numpy
import pytest

import histhooks

VALUES = numpy.arange(12.0).reshape(6, 2) + 0.25


class Sealed:
    """Data that says its shape, and raises where its values are read."""

    shape = (6, 2)

    @property
    def __array_interface__(self) -> object:
        raise AssertionError("its values were read")

    def __getitem__(self, key: object) -> object:
        raise AssertionError("its values were read")

    def __iter__(self) -> object:
        raise AssertionError("it was iterated")


def recorded(store: Path, *data: object) -> sqlite3.Connection:
    histhooks.autolog("sklearn", store=store)
    with histhooks.start_run("data") as run:
        for number, X in enumerate(data):
            run.log_dataset(f"role {number}", X)
    histhooks.flush()
    return sqlite3.connect(store)


def test_off_reads_no_value(store_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HISTHOOKS_DATA", "off")
    connection = recorded(store_path, VALUES, Sealed(), VALUES.tolist())
    rows = connection.execute(
        "SELECT d.kind, d.n_rows, d.n_columns, d.coverage, d.content_hash, d.profile FROM run_datasets AS r "
        "JOIN datasets AS d ON d.id = r.dataset_id ORDER BY r.ordinal"
    ).fetchall()
    assert rows == [(kind, 6, 2, "none", None, None) for kind in ("ndarray", "Sealed", "list")]
    captures = connection.execute("SELECT DISTINCT status FROM captures WHERE collector = 'data'").fetchall()
    assert captures == [("off",)]
    connection.close()


def test_off_knows_training_data_by_its_object(store_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    linear_model = pytest.importorskip("sklearn.linear_model")
    monkeypatch.setenv("HISTHOOKS_DATA", "off")
    histhooks.autolog("sklearn", store=store_path)
    target = VALUES[:, 0].copy()
    model = linear_model.LinearRegression().fit(VALUES, target)
    model.score(VALUES, target)
    model.score(VALUES[:4], target[:4])
    model.score(VALUES + 1.0, target)
    histhooks.flush()
    with histhooks.History(store_path) as history:
        names = {point["name"] for point in history.run("last").metrics()}
    assert names == {"score", "train_score", "unsaid_score"}
