"""The UI beside those that one would use instead, in a real Chromium: the same runs in each, in one sitting.

The runs of a made store are written to each rival by its own fastest way in. What a person waits for is measured: from
the address to the name of the newest run in the list, and to the drawn curve of a run with many points, each in a fresh
browser profile, by turns. What is not installed is left out by name.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import psutil
from harness import median, place, table, take_turns
from rivals import environment

RUNS, POINTS = 1000, 100_000
_PATIENCE_S = 240.0

# Writes to the address that it is given.
MLFLOW = """
import json, sys, time
from mlflow import MlflowClient
from mlflow.entities import Metric, Param
client = MlflowClient(sys.argv[2])
experiment = client.create_experiment("bench")
now = int(time.time() * 1000)
for number, line in enumerate(open(sys.argv[1])):
    run = json.loads(line)
    made = client.create_run(experiment, start_time=now + number, run_name=run["name"]).info.run_id
    points = [Metric(n, v, now + number, s) for n, curve in run["curves"].items() for s, v in curve]
    client.log_batch(made, params=[Param(k, str(v)[:400]) for k, v in run["params"].items()][:90])
    for start in range(0, len(points), 1000):
        client.log_batch(made, metrics=points[start:start + 1000])
    client.set_terminated(made, end_time=now + number + 1)
    if run["is_long"]: long = made
print(json.dumps({"experiment": experiment, "long": long}))
"""
_TRACKIO = """
import datetime, json, sys
from trackio.sqlite_storage import SQLiteStorage
for number, line in enumerate(open(sys.argv[1])):
    run = json.loads(line)
    rows = {}
    for name, curve in run["curves"].items():
        for step, value in curve: rows.setdefault(step, {})[name] = value
    steps = sorted(rows)
    SQLiteStorage.bulk_log("bench", run["name"], [rows[s] for s in steps], steps, config=run["params"])
print(json.dumps({}))
"""
_TRACKIO_SHOW = """
import sys, trackio
trackio.show("bench", open_browser=False, block_thread=True, host="127.0.0.1", server_port=int(sys.argv[1]))
"""


@dataclass(slots=True)
class Served:
    """A server that runs, and the pages that are asked.

    Attributes
    ----------
    process : Popen
    start_s : float
        Until it answered.
    runs, curve : str
        Addresses of the list of runs, and of the long curve.
    drawn : str
        What is in the page once a curve is drawn, as a CSS selector.
    enter : str
        An address to visit before, which lets in.
    """

    process: subprocess.Popen[str]
    start_s: float
    runs: str
    curve: str
    drawn: str
    enter: str = ""


def rival_pages(repeats: int, environments: Path) -> None:
    """Measure the same pages of each."""
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if find_spec("playwright") is None or browser is None:
        print("beside others: left out, playwright or Chromium is not installed")
        return
    with place() as folder:
        runs = made_runs(folder)
        newest = json.loads(runs.read_text(encoding="utf-8").splitlines()[-1])["name"].rpartition(" ")[2]
        servers: dict[str, Served] = {}
        try:
            for name, start in (("histhooks", _histhooks), ("mlflow", _mlflow), ("trackio", _trackio)):
                executable = sys.executable if name == "histhooks" else environment(environments / name, [name])
                if executable is None:
                    print(f"{name}: left out, it could not be installed")
                    continue
                own = folder / name
                own.mkdir()
                servers[name] = start(folder, own, runs, executable)
            _measured(servers, browser, newest, repeats)
        finally:
            for server in servers.values():
                end(server.process)


def _measured(servers: dict[str, Served], browser: str, newest: str, repeats: int) -> None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])

        def turn(server: Served) -> Callable[[], list[float]]:
            def both() -> list[float]:
                seen = f"document.body && document.body.innerText.includes({newest!r})"
                drawn = f"!!document.querySelector({server.drawn!r})"
                return [*_visit(chromium, server, server.runs, seen), *_visit(chromium, server, server.curve, drawn)]

            return both

        taken = take_turns({name: turn(server) for name, server in servers.items()}, repeats)
        chromium.close()
    rows = {}
    for name, columns in taken.items():
        runs_ms, runs_asked, runs_kib, curve_ms, curve_asked, curve_kib = map(median, columns)
        server = servers[name]
        rows[name] = (
            server.start_s * 1000,
            runs_ms,
            runs_asked,
            runs_kib,
            curve_ms,
            curve_asked,
            curve_kib,
            _mib(server),
        )
    columns_of = ("ms start", "ms runs", "requests", "KiB", "ms curve", "requests", "KiB", "MiB")
    note = "cold browser, warm server; MiB: of all its processes afterwards"
    table(f"{RUNS:,} runs, a curve of {POINTS:,}", columns_of, rows, note)


def _visit(chromium: Any, server: Served, url: str, is_there: str) -> list[float]:
    """Milliseconds from an address to what is waited for, with requests and KiB, in a fresh profile."""
    from playwright.sync_api import Error

    context = chromium.new_context(viewport={"width": 1400, "height": 900})
    page = context.new_page()
    if server.enter:
        context.request.get(server.enter)
    asked = []
    page.on("requestfinished", lambda request: asked.append(request))
    begin = time.perf_counter()
    page.goto(url, wait_until="commit")
    while True:
        with suppress(Error):  # the page is being replaced
            if page.evaluate(is_there):
                break
        if time.perf_counter() - begin > _PATIENCE_S:
            raise SystemExit(f"{url} did not show what was waited for")
        time.sleep(0.01)
    took = (time.perf_counter() - begin) * 1000
    size = 0
    for request in list(asked):
        found = request.sizes()
        size += found["responseBodySize"] + found["responseHeadersSize"]
    context.close()
    return [took, float(len(asked)), size / 1024]


# --- the same runs in each --------------------------------------------------------------------------------------------


def made_runs(folder: Path) -> Path:
    """The runs of a made store as lines of JSON, oldest first."""
    from histhooks.history import History
    from histhooks.history.curves.thinning import find_series, read_points

    here = Path(__file__).parent
    store = folder / "bench.db"
    made = [sys.executable, str(here / "make_store.py"), str(store), "--runs", str(RUNS), "--points", str(POINTS)]
    subprocess.run(made, check=True)
    file = folder / "runs.jsonl"
    with History(store) as history, file.open("w", encoding="utf-8") as out:
        for run in reversed(history.runs(is_nested=False)):
            curves = {
                summary["name"]: [
                    (point.step, point.value)
                    for point in read_points(history, find_series(history, run.id, summary["name"]))
                    if abs(point.value) < 1e300
                ]
                for summary in run.summaries
            }
            is_long = any(len(curve) >= POINTS for curve in curves.values())
            name = f"{run.name} {run.id[-8:]}"
            out.write(json.dumps({"name": name, "params": run.params, "curves": curves, "is_long": is_long}) + "\n")
    return file


def _histhooks(folder: Path, own: Path, runs: Path, executable: str) -> Served:
    command = [executable, "-m", "histhooks", "ui", str(folder / "bench.db"), "--json", "--port", "0"]
    begin = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    text = ""
    while not text.endswith("}\n"):
        text += process.stdout.readline()
    told = json.loads(text)
    root = f"http://127.0.0.1:{told['port']}"
    with urlopen(f"{root}/@{told['url'].rpartition('=')[2]}/s/bench/runs") as answer:
        answer.read()
    start_s = time.perf_counter() - begin
    curve = f"{root}/s/bench/runs/{long_run(folder)}/charts"
    return Served(process, start_s, f"{root}/s/bench/runs", curve, ".card.drawn canvas", told["url"])


def long_run(folder: Path) -> str:
    from histhooks.history import History

    with History(folder / "bench.db") as history:
        return history.runs(where="has step_loss", limit=1)[0].id


def _mlflow(_: Path, own: Path, runs: Path, executable: str) -> Served:
    told = loaded(executable, MLFLOW, own, runs, "sqlite:///mlflow.db")
    port = free_port()
    command = [executable, "-m", "mlflow", "ui", "--backend-store-uri", "sqlite:///mlflow.db", "--port", str(port)]
    process, start_s = started(command, own, f"http://127.0.0.1:{port}/health")
    root = f"http://127.0.0.1:{port}/#/experiments/{told['experiment']}/runs"
    return Served(process, start_s, root, f"{root}/{told['long']}/model-metrics", ".js-plotly-plot .scatterlayer path")


def _trackio(_: Path, own: Path, runs: Path, executable: str) -> Served:
    loaded(executable, _TRACKIO, own, runs)
    port = free_port()
    command = [executable, "-c", _TRACKIO_SHOW, str(port)]
    process, start_s = started(command, own, f"http://127.0.0.1:{port}/")
    root = f"http://127.0.0.1:{port}"
    return Served(process, start_s, f"{root}/runs?project=bench", f"{root}/?project=bench", "canvas, svg .mark-line")


def _variables(own: Path) -> dict[str, str]:
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "1", "HF_HUB_OFFLINE": "1"}
    return {**os.environ, "TRACKIO_DIR": str(own / "trackio"), **quiet}


def loaded(executable: str, program: str, own: Path, runs: Path, *more: str) -> dict[str, Any]:
    """What a program says that copies the runs to a rival."""
    begin = time.perf_counter()
    done = subprocess.run(
        [executable, "-W", "ignore", "-c", program, str(runs), *more],
        cwd=own, env=_variables(own), capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise SystemExit(f"the runs could not be written to {own.name}:\n{done.stderr[-2000:]}")
    print(f"{own.name}: its copy of the runs took {time.perf_counter() - begin:.0f} s", flush=True)
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def started(command: list[str], own: Path, url: str) -> tuple[subprocess.Popen[str], float]:
    begin = time.perf_counter()
    with (own / "log.txt").open("w") as log:
        process = subprocess.Popen(command, cwd=own, env=_variables(own), stdout=log, stderr=log, text=True)
    while True:
        try:
            with urlopen(url, timeout=10) as answer:
                answer.read()
            return process, time.perf_counter() - begin
        except OSError:
            if process.poll() is not None or time.perf_counter() - begin > _PATIENCE_S:
                end(process)
                raise SystemExit(f"{command[2]} did not start:\n{(own / 'log.txt').read_text()[-2000:]}") from None
            time.sleep(0.02)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _family(process: subprocess.Popen[str]) -> Iterator[psutil.Process]:
    try:
        parent = psutil.Process(process.pid)
        yield from parent.children(recursive=True)
        yield parent
    except psutil.Error:
        return


def _mib(server: Served) -> float:
    total = 0
    for each in _family(server.process):
        with suppress(psutil.Error):
            total += each.memory_info().rss
    return total / 2**20


def end(process: subprocess.Popen[str]) -> None:
    for each in list(_family(process)):
        with suppress(psutil.Error):
            each.terminate()
    process.wait()
