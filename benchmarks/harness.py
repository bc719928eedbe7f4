"""What every measure here shares: contenders that take turns, programs in processes of their own, one form of table."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Done:
    """A program that ended well."""

    wall_s: float
    numbers: list[float]  # what it printed


@contextmanager
def place() -> Iterator[Path]:
    """An empty folder; the byte code of all programs that run in it is kept in it."""
    with tempfile.TemporaryDirectory(prefix="histhooks-bench-") as folder:
        yield Path(folder)


def python(
    folder: Path, *arguments: str, code: str | None = None, executable: str = sys.executable, **variables: str
) -> Done:
    """Run a program of Python.

    Its byte code is cached, as it is for users whatever this shell says; the first run of a program fills the cache, so
    measures throw their first turn away. Numbers that it prints on its last line are given back.
    """
    environment = {**os.environ, "HISTHOOKS_QUIET": "1", "PYTHONPYCACHEPREFIX": str(folder / "bytecode"), **variables}
    environment.setdefault("HISTHOOKS_STORE", str(folder / "histhooks.db"))
    for name in ("PYTHONDONTWRITEBYTECODE", "HISTHOOKS_STRICT"):
        environment.pop(name, None)
    command = [executable, "-W", "ignore", *(["-c", code] if code is not None else []), *arguments]
    begin = time.perf_counter()
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    wall_s = time.perf_counter() - begin
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)[:200]} failed:\n{done.stderr[-2000:]}")
    last = (done.stdout.strip().splitlines() or [""])[-1]
    return Done(wall_s, [float(word) for word in last.split()])


def take_turns(
    contenders: Mapping[str, Callable[[], Sequence[float]]], repeats: int, warm_up: int = 1
) -> dict[str, list[list[float]]]:
    """Let contenders take turns, each time in another order, so that all of them meet the same noise.

    Parameters
    ----------
    contenders : mapping of str to callable
        Each gives the numbers of one turn.
    repeats : int
    warm_up : int
        First turns that do not count.

    Returns
    -------
    dict of str to list
        For each contender and each of its numbers, the values of all turns.
    """
    taken: dict[str, list[Sequence[float]]] = {name: [] for name in contenders}
    names = list(contenders)
    for turn in range(repeats + warm_up):
        shift = turn % len(names)
        for name in names[shift:] + names[:shift]:
            numbers = contenders[name]()
            if turn >= warm_up:
                taken[name].append(numbers)
    return {name: [list(column) for column in zip(*turns, strict=True)] for name, turns in taken.items()}


def median(values: Sequence[float]) -> float:
    """The median."""
    return statistics.median(values)


def table(title: str, columns: Sequence[str], rows: Mapping[str, Sequence[float | str]], note: str = "") -> None:
    """Print one table: a name and numbers in each row."""
    width = max([len(name) for name in rows] + [len(title)]) + 2
    widths = [max(len(column), 10) + 2 for column in columns]
    print(f"\n{title:{width}}" + "".join(f"{column:>{w}}" for column, w in zip(columns, widths, strict=True)))
    for name, numbers in rows.items():
        print(f"{name:{width}}" + "".join(f"{_figure(n):>{w}}" for n, w in zip(numbers, widths, strict=True)))
    print(note, flush=True)


def _figure(number: float | str) -> str:
    if isinstance(number, str):
        return number
    if number != number:
        return "-"
    return f"{number:,.0f}" if abs(number) >= 1000 else f"{number:.1f}" if abs(number) >= 100 else f"{number:.3g}"
