"""What the pages of `histhooks ui` cost: the start, pages of a store of 10,000 runs, curves of a million points.

A real server in a process of its own is asked over the loopback: numbers hold all that a browser waits for but drawing.
"""

from __future__ import annotations

import http.client
import itertools
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil

HERE = Path(__file__).parent
RUNS, POINTS = 10_000, 1_000_000
PAGES = {
    "runs, 100 of 10,000": "runs", "runs, next page": "", "where a metric": f"runs?where={quote('val_loss < 0.3')}",
    "sorted by a metric": "runs?sort=val_loss", "sorted by a param": "runs?sort=params.lr", "a run": "runs/{run}",
    "runs.json": "runs.json", "search": "search?q=keras", "diff": "diff/{run}/{other}",
    "1M points, whole": "runs/{long}/series.json?m=step_loss&n=2000",
    "1M points, a tenth": "runs/{long}/series.json?m=step_loss&n=2000&from=300000&to=400000",
    "1M points, smoothed": "runs/{long}/series.json?m=step_loss&n=2000&smooth=0.9",
}  # fmt: skip


class Visitor:
    """Asks a server over one connection."""

    def __init__(self, port: int, token: str) -> None:
        self._line = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self._root = f"/@{token}/s/"

    def get(self, path: str) -> bytes:
        """Ask, and read the whole answer."""
        self._line.request("GET", self._root + path, headers={"accept-encoding": "gzip"})
        answer = self._line.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{path}: {answer.status}")
        return body


def _ms(question: Callable[[], Any], repeats: int) -> list[float]:
    question()
    found = []
    for _ in range(repeats):
        begin = time.perf_counter()
        question()
        found.append((time.perf_counter() - begin) * 1000)
    return found


def pages(repeats: int) -> None:
    """Pages of the UI on a store of 10,000 runs, one with a million points."""
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "big.db"
        made = [sys.executable, str(HERE / "make_store.py"), str(store), "--runs", str(RUNS), "--points", str(POINTS)]
        subprocess.run(made, check=True)
        measure(store, repeats)


def measure(store: Path, repeats: int) -> None:
    """Measure the pages of one store."""
    begin = time.perf_counter()
    command = [sys.executable, "-m", "histhooks", "ui", str(store), "--json", "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        told = json.loads(process.stdout.readline())
        token = told["url"].rpartition("token=")[2]
        visitor = Visitor(told["port"], token)
        visitor.get(f"{store.stem}/runs")
        print(f"start to the first page: {time.perf_counter() - begin:.2f} s")
        words = _words(visitor, store.stem)
        print(f"{'page':<24}{'median ms':>10}{'worst ms':>10}{'KiB gz':>8}")
        for title, path in PAGES.items():
            target = f"{store.stem}/{path.format(**words) if path else words['next']}"
            times = _ms(_asking(visitor, target), repeats)
            kib = len(visitor.get(target)) / 1024
            print(f"{title:<24}{statistics.median(times):>10.0f}{max(times):>10.0f}{kib:>8.1f}")
        _crowd(told["port"], token, store.stem)
        print(f"memory: {psutil.Process(told['pid']).memory_info().rss / 2**20:.0f} MiB")
    finally:
        process.terminate()
        process.wait()


def _asking(visitor: Visitor, target: str) -> Callable[[], bytes]:
    """Ask for a page with a word that no page reads, since the server keeps an answer for a second."""
    again, sign = itertools.count(), "&" if "?" in target else "?"
    return lambda: visitor.get(f"{target}{sign}again={next(again)}")


def _words(visitor: Visitor, name: str) -> dict[str, str]:
    import gzip
    import html
    import re

    def text(path: str) -> str:
        body = visitor.get(f"{name}/{path}")
        return (gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body).decode()

    page = text("runs")
    ids = re.findall(r'<tr data-run="([^"]+)"', page)
    following = re.search(r'href="(\?[^"]*)">Next', page)
    long = json.loads(text(f"runs.json?where={quote('has step_loss')}"))[0]["id"]
    assert following is not None
    return {"run": ids[0], "other": ids[1], "long": long, "next": f"runs{html.unescape(following[1])}"}


def _crowd(port: int, token: str, name: str) -> None:
    """A hundred questions of twenty visitors at once."""
    times: list[float] = []

    def visit() -> None:
        visitor = Visitor(port, token)
        for _ in range(5):
            begin = time.perf_counter()
            visitor.get(f"{name}/runs")
            times.append((time.perf_counter() - begin) * 1000)

    threads = [threading.Thread(target=visit) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    slow = sorted(times)[int(len(times) * 0.95)]
    print(f"20 visitors at once: median {statistics.median(times):.0f} ms, 95 % within {slow:.0f} ms")
