"""examples/serving: trained, promoted, served by FastAPI and by a batch job, and judged, with no changed line."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

np = pytest.importorskip("numpy")
pd = pytest.importorskip("pandas")
pytest.importorskip("sklearn")

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "serving"
HISTHOOKS = [sys.executable, "-m", "histhooks"]


def histhooks(*words: str, code: int = 0) -> str:
    done = subprocess.run([*HISTHOOKS, *words], capture_output=True, text=True, timeout=300)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def promoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in FOLDER.glob("*.py"):
        shutil.copy(path, path.name)
    monkeypatch.setenv("HISTHOOKS_STORE", str(Path("histhooks.db").resolve()))
    histhooks("run", "train.py")
    histhooks("promote", "model.joblib", "--model", "credit", "--reason", "the first", "--no-check")


def applicants(n: int, *, income: float = 3000.0) -> Any:
    rng = np.random.default_rng(5)
    return pd.DataFrame(
        {"income": rng.normal(income, 800.0, n), "debt": rng.gamma(2.0, 900.0, n),
         "age": rng.integers(18, 80, n).astype(float)}
    )  # fmt: skip


def address_of(process: "subprocess.Popen[str]") -> str:
    """Where uvicorn says that it listens: at a port that the system chose."""
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if found := re.search(r"running on (http://\S+)", line):
            return found[1]
    raise AssertionError("".join(lines))


def test_a_web_service_is_watched_and_a_drift_is_named(promoted: None) -> None:
    httpx = pytest.importorskip("httpx")
    pytest.importorskip("fastapi")
    pytest.importorskip("uvicorn")
    command = [*HISTHOOKS, "run", "--watch", "credit@production", "-m", "uvicorn", "app:app", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        url = address_of(process)
        rows = applicants(200, income=4500.0).to_dict("records")
        scores = [httpx.post(f"{url}/score", json=rows[at : at + 4], timeout=300).json() for at in range(0, 200, 4)]
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=300)
    assert all(len(one) == 4 for one in scores)
    report = json.loads(histhooks("monitor", "credit", "--json", code=1))
    windows = report["windows"]  # two where midnight lies between the calls
    assert [sum(one[name] for one in windows) for name in ("n_calls", "n_rows")] == [50, 200]
    assert {one["source"] for one in windows} == {"live"}
    assert max(windows, key=lambda one: one["n_rows"])["worst"]["column"] == "income"


def test_a_batch_job_is_watched_and_its_labels_come_later(promoted: None) -> None:
    X = applicants(300)
    X.assign(customer=range(300)).to_csv("applicants.csv", index=False)
    histhooks("run", "--watch", "credit@production", "batch.py", "applicants.csv", "scores.csv")
    report = json.loads(histhooks("monitor", "credit", "--json"))
    assert (report["state"], report["windows"][-1]["n_rows"]) == ("inside", 300)
    paid = (X["income"] - 0.5 * X["debt"] > 2000.0).astype(int)
    pd.DataFrame({"customer": range(300), "paid": paid}).to_csv("paid.csv", index=False)
    words = ["--data", "scores.csv", "--labels", "paid.csv", "--key", "customer", "--prediction", "score"]
    report = json.loads(histhooks("monitor", "credit", *words, "--json"))
    assert report["windows"][-1]["scores"][0]["state"] == "kept"
    assert report["windows"][-1]["scores"][0]["promise_n"] == 1000


def test_the_programs_do_not_name_histhooks() -> None:
    for name in ("train", "app", "batch"):
        code = (FOLDER / f"{name}.py").read_text().split('"""', 2)[2]
        assert "histhooks" not in code
    assert os.path.isdir(FOLDER)
