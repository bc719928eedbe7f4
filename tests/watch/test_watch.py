"""A server that is watched: its windows add up to what it predicted, and nothing else about it changes."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import histhooks
from histhooks import models, monitor
from histhooks._watch import calls

pytest.importorskip("sklearn")
pd = pytest.importorskip("pandas")

NAMES = [f"c{i}" for i in range(6)]


def frame(seed: int, n: int = 1000) -> Any:
    return pd.DataFrame(np.random.default_rng(seed).normal(size=(n, 6)), columns=NAMES)


@pytest.fixture
def trained() -> Any:
    """A pipeline in `model.joblib` that is `credit@1` in production."""
    import joblib
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    X = frame(0)
    histhooks.autolog("sklearn", store="h.db")
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, (X["c0"] > 0).astype(int))
    model.score(frame(1, 300), (frame(1, 300)["c0"] > 0).astype(int))
    joblib.dump(model, "model.joblib")
    end_session()
    models.promote("model.joblib", model="credit", reason="test", check=False, store="h.db")
    os.environ["HISTHOOKS_STORE"] = str(Path("h.db").resolve())
    yield model
    del os.environ["HISTHOOKS_STORE"]


def end_session() -> None:
    from histhooks._record.engine import engine

    histhooks.disable()
    engine.finish("finished")


class Hangs(AssertionError):
    """A program does not end; the text says where each of its processes is."""


def serve(program: str, *, watch: str = "credit@production", store: str = "h.db", **variables: str) -> str:
    """Run a program under `histhooks run --watch`; gives what it printed."""
    Path("serve.py").write_text(f"import faulthandler, signal; faulthandler.register(signal.SIGUSR1)\n{program}")
    process = subprocess.Popen(
        [sys.executable, "-m", "histhooks", "run", "--store", store, "--watch", watch, "serve.py"],
        env={**os.environ, "HISTHOOKS_QUIET": "0", **variables}, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, start_new_session=True,
    )  # fmt: skip
    try:
        out, err = process.communicate(timeout=180)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGUSR1)
        time.sleep(2)
        os.killpg(process.pid, signal.SIGKILL)
        raise Hangs("".join(process.communicate())) from None
    assert process.returncode == 0, out + err
    return out + err


def windows(store: str = "h.db") -> list[dict[str, Any]]:
    with sqlite3.connect(store) as connection:
        connection.row_factory = sqlite3.Row
        rows = [dict(row) for row in connection.execute("SELECT * FROM windows ORDER BY ordinal")]
    return [
        {**row, **{name: json.loads(row[name] or "{}") for name in ("columns", "outputs", "latency")}} for row in rows
    ]


def total(store: str = "h.db") -> Any:
    with histhooks.History(store) as history:
        (window,) = history.model("credit").drift(since=None, window="3650d").windows
    return window


def test_a_server_is_watched_with_no_changed_line(trained: Any) -> None:
    printed = serve(
        """
import joblib, numpy as np, pandas as pd, sys
model = joblib.load("model.joblib")
X = pd.DataFrame(np.random.default_rng(1).normal(size=(300, 6)), columns=[f"c{i}" for i in range(6)])
whole = model.predict_proba(X)
parts = [model.predict_proba(X[i:i + 1]) for i in range(50)]
assert np.allclose(np.concatenate(parts), whole[:50])
try:
    model.predict(np.zeros((2, 1)))
except ValueError as error:
    print("raised", len(str(error)) > 0)
rooms = ("histhooks.history", "histhooks.monitor", "histhooks.cli", "histhooks.integrations")
print(sorted(name for name in sys.modules if name.startswith(rooms)))
"""
    )
    assert "raised True" in printed
    assert "\n[]\n" in printed
    assert "350 rows of credit@1" in printed
    window = total()
    assert (window.n_calls, window.n_rows, window.n_errors, window.version) == (52, 350, 1, "1")
    assert window.state == "inside"
    assert sum(window.outputs["scores"]["1"]) == 350
    X = frame(1, 300)
    counted = next(one for one in windows() if one["columns"])["columns"][0]
    assert counted["name"] == "c0"
    rows = np.concatenate([X["c0"], X["c0"][:50]])
    edges = json.loads(query("SELECT facts FROM dataset_columns WHERE name = 'c0'"))["edges"]
    below = np.searchsorted(np.sort(rows), edges, side="right")
    found = [0] * 10
    for one in windows():
        found = [a + b for a, b in zip(found, one["columns"][0]["counts"], strict=True)]
    assert found == np.diff([0, *below, len(rows)]).tolist()


def query(sql: str) -> Any:
    with sqlite3.connect("h.db") as connection:
        return connection.execute(sql).fetchone()[0]


def test_no_value_and_no_row_leaves_the_process(trained: Any) -> None:
    serve(
        """
import joblib, numpy as np, pandas as pd
model = joblib.load("model.joblib")
X = pd.DataFrame(np.random.default_rng(1).normal(size=(300, 6)), columns=[f"c{i}" for i in range(6)])
model.predict(X)
"""
    )
    with sqlite3.connect("h.db") as connection:
        dump = "\n".join(connection.iterdump())
    values = frame(1, 300).to_numpy().ravel()
    assert not [value for value in values if repr(float(value)) in dump or f"{value:.8g}" in dump]


WORKER = """
import joblib, numpy as np, os, sys, threading
model = joblib.load("model.joblib")
X = np.random.default_rng(3).normal(size=(800, 6))
import warnings; warnings.simplefilter("ignore")
def work(part):
    for i in range(part, 800, 8):
        model.predict(X[i:i + 1])
{how}
"""
HOWS = {
    "one": "for part in range(8): work(part)",
    "threads": "ts = [threading.Thread(target=work, args=(p,)) for p in range(8)]\n"
    "[t.start() for t in ts]; [t.join() for t in ts]",
    "forks": "model.predict(X[:1])\npids = []\nfor part in range(8):\n    pid = os.fork()\n"
    "    if pid == 0:\n        work(part)\n        sys.exit(0)\n    pids.append(pid)\n"
    "[os.waitpid(pid, 0) for pid in pids]",
    "forks that leave by os._exit": "from histhooks._record import forks\n"
    "forks._LEAVE_S = 60.0  # this machine may be a busy one\nmodel.predict(X[:1])\npids = []\n"
    "for part in range(8):\n    pid = os.fork()\n    if pid == 0:\n        work(part); os._exit(0)\n"
    "    pids.append(pid)\n[os.waitpid(pid, 0) for pid in pids]",
}


@pytest.mark.parametrize("how", ["threads", "forks", "forks that leave by os._exit"])
def test_eight_workers_add_up_to_one(trained: Any, how: str) -> None:
    serve(WORKER.format(how=HOWS[how]))
    more = 1 if "forks" in how else 0  # by the parent, before
    window = total()
    assert (window.n_calls, window.n_rows) == (800 + more, 800 + more)
    counts = [sum(column["counts"]) for one in windows() for column in one["columns"] if column["position"] == 0]
    assert sum(counts) == 800 + more
    if how == "forks":
        assert window.n_workers == 9


def test_what_was_flushed_survives_a_kill(trained: Any) -> None:
    Path("serve.py").write_text(
        WORKER.format(
            how="work(0)\nimport histhooks, time\nhisthooks.flush()\nprint('ready', flush=True)\ntime.sleep(60)"
        )
    )
    command = [sys.executable, "-m", "histhooks", "run", "--store", "h.db", "--watch", "credit", "serve.py"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        os.kill(int(children[0]), signal.SIGKILL)
        process.wait()
    assert total().n_rows == 100


def test_sigterm_writes_what_was_counted(trained: Any) -> None:
    Path("serve.py").write_text(WORKER.format(how="work(0)\nimport time\nprint('ready', flush=True)\ntime.sleep(60)"))
    command = [sys.executable, "-m", "histhooks", "run", "--store", "h.db", "--watch", "credit", "serve.py"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait() == -signal.SIGTERM
    assert total().n_rows == 100


def test_a_file_that_is_no_version_is_said_and_served(trained: Any) -> None:
    import joblib
    from sklearn.dummy import DummyClassifier

    joblib.dump(DummyClassifier().fit(frame(0), [0, 1] * 500), "other.joblib")
    printed = serve("import joblib; print(joblib.load('other.joblib').predict([[0] * 6]))")
    assert "[0]" in printed
    assert "is no version of credit" in printed
    assert "nothing was watched: no file of credit@production was loaded" in printed
    assert "no model is called 'debit'" in serve("print(1)", watch="debit@production")


def test_a_process_that_loads_a_model_and_predicts_nothing_says_so(trained: Any) -> None:
    said = serve("import joblib; joblib.load('model.joblib')")
    assert "histhooks: nothing was predicted → " in said
    assert "0 runs" not in said


def test_pickle_and_bytes_and_a_dict_of_models_are_seen(trained: Any) -> None:
    import pickle

    Path("model.pkl").write_bytes(pickle.dumps({"model": trained}))
    bare = pickle.dumps(trained)
    Path("bare.pkl").write_bytes(bare)
    for name in ("model.pkl", "bare.pkl"):
        models.promote(name, model="other", reason="test", check=False, store="h.db")
    said = serve(
        """
import pickle, numpy as np, warnings
warnings.simplefilter("ignore")
with open("model.pkl", "rb") as file:
    pickle.load(file)["model"].predict(np.zeros((3, 6)))
pickle.loads(open("bare.pkl", "rb").read()).predict(np.zeros((4, 6)))
assert pickle.loads(pickle.dumps(len)) is len
assert pickle.loads(pickle.dumps(pickle.loads)) is pickle.loads
""",
        watch="1",
    )
    rows = {one["sha256"]: one["n_rows"] for one in windows() if one["model"] == "other"}
    assert sorted(rows.values()) == [3, 4]
    assert "no run is known to have made it" in said


def test_watching_in_a_block_leaves_everything_as_it_was(trained: Any) -> None:
    import pickle

    from sklearn.pipeline import Pipeline

    before = dict(vars(Pipeline))
    code = Pipeline.predict.__code__
    plain = trained.predict(frame(5, 20))
    with histhooks.watch("credit@production", trained) as model:
        assert model is trained
        assert (model.predict(frame(5, 20)) == plain).all()
        assert "watch" not in str(vars(model))
        assert (pickle.loads(pickle.dumps(model)).predict(frame(5, 20)) == plain).all()
    trained.predict(frame(5, 20))
    assert histhooks.flush()
    end_session()
    assert dict(vars(Pipeline)) == before
    assert Pipeline.predict.__code__ is code
    assert total().n_rows == 20


def test_a_model_that_is_gone_is_not_kept_alive(trained: Any) -> None:
    import gc
    import weakref

    class Served:
        def predict(self, X: Any) -> Any:
            return X[:, 0] > 0

    model = Served()
    ref = weakref.ref(model)
    histhooks.watch("credit", model)
    model.predict(np.zeros((1, 6)))
    del model
    gc.collect()
    assert ref() is None
    assert not calls.tallies()


def test_a_refused_name_is_one_warning_and_the_model_goes_on(
    trained: Any, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("HISTHOOKS_STRICT")
    with histhooks.watch("debit@production", trained) as model:
        model.predict(frame(5, 20))
    histhooks.observe("debit", y_pred=[1], y_true=[1])
    histhooks.observe("credit", y_pred=[1, 0], y_true=[1])
    printed = capfd.readouterr().err
    assert "no model is called 'debit'" in printed
    assert "2 predictions and 1 labels" in printed


def test_labels_that_come_three_windows_late_fill_their_windows(trained: Any) -> None:
    now = time.time() // 3600 * 3600
    truth = (frame(7, 400)["c0"] > 0).astype(int).to_numpy()
    for hour in range(4):
        at = now - 3600 * (6 - hour) + 10
        X = frame(7, 400)
        histhooks.observe("credit", X, y_pred=trained.predict(X), time=at)
        if hour == 3:  # labels of the first two hours, of which the second is bad
            for late in range(2):
                wrong = truth if late == 0 else 1 - truth
                histhooks.observe("credit", y_pred=trained.predict(X), y_true=wrong, time=now - 3600 * (6 - late) + 10)
    assert histhooks.flush()
    end_session()
    with histhooks.History("h.db") as history:
        found = monitor.judge(history, "credit", window="1h").windows
    assert [window.n_rows for window in found] == [400] * 4
    assert [[score.state for score in window.scores] for window in found] == [["kept"], ["broken"], [], []]
    assert [score.n_late for window in found for score in window.scores] == [400, 400]
    delay_s = found[0].scores[0].delay_s
    assert delay_s is not None
    assert delay_s > 3 * 3600
    assert [window.state for window in found] == ["inside", "outside", "inside", "inside"]


def test_times_of_rows_part_them_into_hours(trained: Any) -> None:
    times = np.datetime64("2026-05-01T00:00") + np.arange(120).astype("m8[m]")
    histhooks.observe("credit", frame(7, 120), y_pred=np.ones(120), y_true=np.ones(120), time=times)
    assert histhooks.flush()
    end_session()
    assert [one["n_rows"] for one in windows()] == [60, 60]
    assert [one["started_at"][:13] for one in windows()] == ["2026-05-01T00", "2026-05-01T01"]


def test_threads_count_each_call_once(trained: Any) -> None:
    class Served:
        def predict(self, X: Any) -> Any:
            return self.predict_proba(X) > 0

        def predict_proba(self, X: Any) -> Any:
            return X[:, 0]

    model = Served()
    with histhooks.watch("credit", model):
        threads = [threading.Thread(target=lambda: [model.predict(np.zeros((2, 6))) for _ in range(500)])
                   for _ in range(4)]  # fmt: skip
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    end_session()
    window = total()
    assert (window.n_calls, window.n_rows) == (2000, 4000)
    assert sum(json.loads(query("SELECT latency FROM windows")).values()) <= 2000


def test_several_models_are_watched_in_one_server(trained: Any) -> None:
    import joblib

    joblib.dump(trained, "other.joblib", compress=1)
    models.promote("other.joblib", model="debit", reason="a second one", check=False)
    program = (
        "import joblib, pandas\nX = pandas.read_pickle('X.pkl')\n"
        "for name in ('model', 'other'): joblib.load(f'{name}.joblib').predict(X[:100])\n"
    )
    frame(3).to_pickle("X.pkl")
    Path("serve.py").write_text(program)
    both = ["--watch", "credit@production", "--watch", "debit@production"]
    command = [sys.executable, "-m", "histhooks", "run", "--store", "h.db", *both, "serve.py"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert "is not watched" not in done.stderr
    assert sorted((row["model"], row["n_rows"]) for row in windows()) == [("credit", 100), ("debit", 100)]
