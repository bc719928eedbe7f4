"""Batches in files: counted at the edges of the training, judged by chance, and never kept."""

import json
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import histhooks
from histhooks import models, monitor
from histhooks.cli import cli
from histhooks.errors import QueryError

pd = pytest.importorskip("pandas")
pytest.importorskip("sklearn")

N_COLUMNS = 20


def train(X: Any, y: Any, X_test: Any = None, y_test: Any = None) -> Any:
    """Train, test and save a model under `credit@1`; gives the model."""
    import joblib
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    histhooks.autolog("sklearn", store="h.db")
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, y)
    if X_test is not None:
        model.score(X_test, y_test)
    joblib.dump(model, "model.joblib")
    end_session()
    models.promote("model.joblib", model="credit", reason="test", check=False, store="h.db")
    return model


def end_session() -> None:
    """End what is recorded, with what was still to be counted of the data."""
    from histhooks._record.engine import engine

    histhooks.disable()
    engine.finish("finished")


def frame(rng: np.random.Generator, n: int, *, shift: float = 0.0) -> Any:
    X = pd.DataFrame(rng.normal(size=(n, N_COLUMNS)), columns=[f"c{i}" for i in range(N_COLUMNS)])
    X["c7"] += shift
    return X


def target(rng: np.random.Generator, X: Any) -> Any:
    return (X["c0"] + X["c1"] + 0.7 * rng.normal(size=len(X)) > 0).astype(int)


def at(X: Any, start: int) -> Any:
    """Rows that came in one hour, the first of which is so many hours after 2026-01-01."""
    return X.assign(when=pd.Timestamp("2026-01-01") + pd.Timedelta(hours=start) + pd.to_timedelta(range(len(X)), "s"))


def run(*words: str) -> tuple[int, Any]:
    result = CliRunner().invoke(cli, ["monitor", *words, "--store", "h.db", "--json"])
    return result.exit_code, json.loads(result.stdout)


def test_200_stationary_windows_of_real_data_then_a_shift_of_half_a_standard_deviation() -> None:
    from sklearn.datasets import load_breast_cancer

    data = load_breast_cancer(as_frame=True)
    rng = np.random.default_rng(3)
    drawn = rng.integers(0, len(data.data), 2000)
    train(data.data.iloc[drawn].reset_index(drop=True), data.target.iloc[drawn].to_numpy())
    spread = float(data.data["mean texture"].std())
    parts = []
    for hour in range(210):
        X = data.data.iloc[rng.integers(0, len(data.data), 300)].reset_index(drop=True)
        if hour >= 200:
            X["mean texture"] += 0.5 * spread
        parts.append(at(X, hour))
    pd.concat(parts).to_csv("batch.csv", index=False)

    code, report = run("credit", "--data", "batch.csv", "--time", "when", "--window", "1h")

    states = [window["state"] for window in report["windows"]]
    assert len(states) == 210
    assert states[:200].count("outside") == 0
    assert states[:200].count("watch") <= 2
    assert "outside" in states[200:203]
    assert (code, report["state"], report["change"]["what"]) == (1, "outside", "mean texture")
    assert report["change"]["at"].startswith("2026-01-09T08")


def test_a_shift_of_one_column_of_20_is_outside_within_three_windows() -> None:
    rng = np.random.default_rng(0)
    X = frame(rng, 2000)
    train(X, target(rng, X))
    windows = [at(frame(rng, 300, shift=0.5 if hour >= 100 else 0.0), hour) for hour in range(104)]
    pd.concat(windows).to_csv("batch.csv", index=False)

    report = monitor.from_file("credit", "batch.csv", time="when", window="1h", store="h.db")

    states = [window.state for window in report.windows]
    assert states[:100].count("outside") == 0
    assert states[:100].count("watch") <= 2
    assert "outside" in states[100:103]
    assert report.windows[-1].worst is not None
    assert report.windows[-1].worst.column == "c7"
    assert report.code == 1


def test_labels_hold_or_break_the_promise_of_the_last_test() -> None:
    rng = np.random.default_rng(1)
    X, X_test = frame(rng, 2000), frame(rng, 500)
    model = train(X, target(rng, X), X_test, target(rng, X_test))
    parts = []
    for hour in range(4):
        Z = frame(rng, 400)
        y = target(rng, Z) if hour < 2 else 1 - target(rng, Z)
        parts.append(at(Z.assign(p=model.predict_proba(Z)[:, 1], y=y, id=range(400 * hour, 400 * hour + 400)), hour))
    whole = pd.concat(parts)
    whole.drop(columns="y").to_csv("batch.csv", index=False)
    whole[["id", "y"]].sample(frac=1, random_state=0).to_csv("labels.csv", index=False)

    code, report = run(
        "credit", "--data", "batch.csv", "--time", "when", "--window", "1h", "--labels", "labels.csv", "--key", "id",
        "--prediction", "p",
    )  # fmt: skip

    scores = [window["scores"][0] for window in report["windows"]]
    assert [score["metric"] for score in scores] == ["accuracy"] * 4
    assert [score["state"] for score in scores] == ["kept", "kept", "broken", "broken"]
    assert [score["n"] for score in scores] == [400] * 4
    assert scores[0]["promise_n"] == 500
    assert (code, report["change"]["what"]) == (1, "accuracy")
    truth = ((whole["p"] >= 0.5) == whole["y"]).groupby(whole["when"].dt.hour).mean()
    assert [score["value"] for score in scores] == pytest.approx(truth.tolist())


def test_missing_values_new_categories_and_a_lost_column_are_named() -> None:
    from sklearn.compose import make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    rng = np.random.default_rng(2)
    X = frame(rng, 1000)[["c0", "c1"]].assign(city=rng.choice(["rome", "oslo"], 1000))
    y = target(rng, X)
    histhooks.autolog("sklearn", store="h.db")
    columns = make_column_transformer((SimpleImputer(), ["c0", "c1"]), (OneHotEncoder(), ["city"]))
    model = make_pipeline(columns, LogisticRegression()).fit(X, y)
    import joblib

    joblib.dump(model, "model.joblib")
    end_session()
    models.promote("model.joblib", model="credit", reason="test", check=False, store="h.db")
    Z = frame(rng, 400)[["c0"]].assign(city=["rome", "oslo", "paris", "rome"] * 100)
    Z.loc[:199, "c0"] = np.nan
    Z.to_csv("batch.csv", index=False)

    code, report = run("credit", "--data", "batch.csv")

    found = {(one["column"], one["kind"]): one for one in report["windows"][0]["signals"]}
    assert set(found) >= {("c0", "missing"), ("city", "unseen"), ("c1", "absent")}
    assert found["city", "unseen"]["share"] == 0.25
    assert found["c0", "missing"]["share"] == 0.5
    assert code == 1
    assert b"paris" not in Path("h.db").read_bytes()


def test_another_key_leaves_texts_out_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    X = frame(rng, 1000)
    train(X, target(rng, X))
    with sqlite3.connect("h.db") as connection:
        assert connection.execute("SELECT count(*) FROM dataset_columns").fetchone()[0] >= N_COLUMNS
    frame(rng, 200).to_csv("batch.csv", index=False)
    monkeypatch.setenv("HISTHOOKS_KEY", "0" * 32)
    report = monitor.from_file("credit", "batch.csv", store="h.db")
    assert report.state == "inside"  # numbers need no key


def test_no_row_and_no_value_is_kept() -> None:
    rng = np.random.default_rng(4)
    X = frame(rng, 500)
    train(X, target(rng, X))
    Z = frame(rng, 200)
    Z.iloc[3, 3] = 12.3456789012345
    Z.to_csv("batch.csv", index=False)
    monitor.from_file("credit", "batch.csv", store="h.db")
    with sqlite3.connect("h.db") as connection:
        dump = "\n".join(connection.iterdump())
    values = Z.to_numpy().ravel()
    assert not [value for value in values if repr(float(value)) in dump or f"{value:.10g}" in dump]


def test_the_same_file_is_counted_once_and_the_history_stays_verified() -> None:
    rng = np.random.default_rng(5)
    X = frame(rng, 500)
    train(X, target(rng, X))
    frame(rng, 200).to_csv("batch.csv", index=False)
    first = monitor.from_file("credit", "batch.csv", store="h.db")
    again = monitor.from_file("credit", "batch.csv", store="h.db")
    assert first.windows == again.windows
    assert any("recorded already" in note for note in again.notes)
    with histhooks.History("h.db") as history:
        assert len(history.sql("SELECT id FROM windows")) == 1
        assert monitor.judge(history, "credit", since=None).windows == first.windows
    assert CliRunner().invoke(cli, ["verify", "h.db"]).exit_code == 0


def test_another_span_counts_the_file_again_and_takes_the_place_of_the_first() -> None:
    rng = np.random.default_rng(5)
    X = frame(rng, 500)
    train(X, target(rng, X))
    pd.concat([at(frame(rng, 150), hour) for hour in (1, 13)]).to_csv("batch.csv", index=False)

    def n_rows(window: str) -> list[int]:
        report = monitor.from_file("credit", "batch.csv", time="when", window=window, store="h.db")
        return [one.n_rows for one in report.windows]

    assert [n_rows("1d"), n_rows("12h"), n_rows("1d")] == [[300], [150, 150], [300]]
    with histhooks.History("h.db") as history:
        judged = monitor.judge(history, "credit", since=None, window="12h").windows
        assert [one.n_rows for one in judged] == [150, 150]
        assert "span" not in judged[0].outputs
        assert len(history.sql("SELECT id FROM windows")) == 3


def test_labels_of_few_rows_are_not_summed() -> None:
    import joblib
    from sklearn.linear_model import LinearRegression

    rng = np.random.default_rng(5)
    X = frame(rng, 500)
    histhooks.autolog("sklearn", store="h.db")
    joblib.dump(LinearRegression().fit(X, X["c0"]), "model.joblib")
    end_session()
    models.promote("model.joblib", model="credit", reason="test", check=False, store="h.db")
    for name, n in (("few", 9), ("many", 10)):
        frame(rng, n).assign(p=51_000.5, y=52_341.5).to_csv(f"{name}.csv", index=False)
        monitor.from_file("credit", f"{name}.csv", prediction="p", target="y", store="h.db")
    with histhooks.History("h.db") as history:
        sums = history.sql("SELECT metric, count FROM window_metrics WHERE metric IN ('target', 'absolute_error')")
    assert sorted((one["metric"], one["count"]) for one in sums) == [
        ("absolute_error", 9), ("absolute_error", 10), ("target", 10),
    ]  # fmt: skip


def test_a_coefficient_of_determination_takes_the_labels_that_are_summed() -> None:
    from histhooks.monitor._scores import scored

    labels, errors = np.arange(20.0), np.full(20, 0.5)
    sums = {
        "squared_error": {"sum": float((errors**2).sum()) * 2, "count": 40},
        "target": {"sum": float(labels.sum()), "count": 20},
        "target_squares": {"sum": float((labels**2).sum()), "count": 20},
    }
    found = {score.metric: score.value for score in scored(sums, {}, [])}
    assert found["r2"] == pytest.approx(1 - 0.25 / labels.var())


def test_a_field_beyond_the_limit_of_csv_is_an_error_that_names_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    from histhooks.monitor._reading import parts_of

    Path("big.csv").write_text("a,b\n1," + "x" * 200_000 + "\n")
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "pandas" else find(name))
    with pytest.raises(QueryError, match=r"big\.csv cannot be read: field larger"):
        list(parts_of(Path("big.csv")))


def test_a_csv_reads_the_same_without_pandas(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    rng = np.random.default_rng(6)
    X = frame(rng, 500)
    train(X, target(rng, X))
    Z = frame(rng, 200)
    Z.iloc[:20, 2] = np.nan
    Z.to_csv("batch.csv", index=False)
    with_pandas = monitor.from_file("credit", "batch.csv", store="h.db")
    Z.to_csv("other.csv", index=False, lineterminator="\r\n")
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "pandas" else find(name))
    without = monitor.from_file("credit", "other.csv", store="h.db")
    assert without.windows[0].psi == with_pandas.windows[0].psi
    assert without.windows[0].signals == with_pandas.windows[0].signals


def test_parquet_is_read() -> None:
    pytest.importorskip("pyarrow")
    rng = np.random.default_rng(6)
    X = frame(rng, 500)
    train(X, target(rng, X))
    frame(rng, 200).to_parquet("batch.parquet")
    assert monitor.from_file("credit", "batch.parquet", store="h.db").windows[0].n_rows == 200


def test_accepted_windows_make_seasons_inside() -> None:
    rng = np.random.default_rng(8)
    X = frame(rng, 2000)
    train(X, target(rng, X))
    now = pd.Timestamp.now("UTC").tz_localize(None).floor("h")
    parts = []
    for hour in range(12):
        season = 0.7 if hour % 2 else 0.4
        Z = frame(rng, 400, shift=season)
        parts.append(Z.assign(when=now - pd.Timedelta(hours=13 - hour) + pd.to_timedelta(range(400), "s")))
    pd.concat(parts).to_csv("batch.csv", index=False)
    code, report = run("credit", "--data", "batch.csv", "--time", "when", "--window", "1h")
    assert (code, report["state"]) == (1, "outside")

    assert monitor.accept("credit", "2d", reason="the seasons of the year", window="1h", store="h.db") == 12
    code, report = run("credit", "--against", "baseline", "--window", "1h")
    assert (code, report["state"], report["against"]) == (0, "inside", "baseline")
    with histhooks.History("h.db") as history:
        (event,) = history.sql("SELECT reason FROM model_events WHERE action = 'note'")
    assert event["reason"] == "the seasons of the year"


def test_what_cannot_be_told_names_the_next_action() -> None:
    rng = np.random.default_rng(9)
    X = frame(rng, 500)
    train(X, target(rng, X))
    code, report = run("credit")
    assert (code, report["state"]) == (2, "cannot tell")
    assert "histhooks run --watch credit@production" in report["why"]
    frame(rng, 50).to_csv("few.csv", index=False)
    code, report = run("credit", "--data", "few.csv")
    assert (code, report["windows"][0]["state"]) == (2, "too few")
    with pytest.raises(QueryError, match="no model is called 'debit'"):
        monitor.from_file("debit", "few.csv", store="h.db")
    with pytest.raises(QueryError, match="nothing of credit is live as 'staging'"):
        monitor.from_file("credit@staging", "few.csv", store="h.db")
    with pytest.raises(QueryError, match="has no column 'when'; it has 'c0'"):
        monitor.from_file("credit", "few.csv", time="when", store="h.db")
    with pytest.raises(QueryError, match="needs a reason"):
        monitor.accept("credit", "7d", reason=" ", store="h.db")
    nothing: Any = None
    with pytest.raises(QueryError, match="needs a reason"):
        monitor.accept("credit", "7d", reason=nothing, store="h.db")
    with pytest.raises(QueryError, match="takes 6 windows"):
        monitor.accept("credit", "7d", reason="why not", store="h.db")
    with histhooks.History("h.db") as history, pytest.raises(QueryError, match="no windows of credit are accepted"):
        monitor.judge(history, "credit", against="baseline")


def test_a_run_without_counts_of_its_columns_says_what_to_record(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HISTHOOKS_DATA", "profile")
    rng = np.random.default_rng(9)
    X = frame(rng, 500)
    train(X, target(rng, X))
    frame(rng, 200).to_csv("batch.csv", index=False)
    report = monitor.from_file("credit", "batch.csv", store="h.db")
    assert (report.state, report.code) == ("cannot tell", 2)
    assert "HISTHOOKS_DATA=full" in report.why


@pytest.mark.parametrize("columns", ["60", "80", "120", "200"])
def test_a_screen_is_as_wide_as_the_terminal(columns: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    X, X_test = frame(rng, 1000), frame(rng, 300)
    model = train(X, target(rng, X), X_test, target(rng, X_test))
    Z = frame(rng, 300, shift=1.0)
    Z.assign(p=model.predict(Z), y=target(rng, Z)).to_csv("batch.csv", index=False)
    monkeypatch.setenv("COLUMNS", columns)
    words = ["monitor", "credit", "--data", "batch.csv", "--prediction", "p", "--target", "y", "--store", "h.db"]
    result = CliRunner().invoke(cli, words)
    assert result.exit_code == 1
    assert "column 'c7' drifted" in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= int(columns)
