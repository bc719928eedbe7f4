"""What recording costs: `python -m benchmarks [MEASURE ...] [--repeats N]`; see README.md beside this file."""

from __future__ import annotations

import argparse
import functools
import os
import platform
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from checking import checks  # noqa: E402
from content import content  # noqa: E402
from crowd import crowd  # noqa: E402
from hot_path import log, stalls, throughput  # noqa: E402
from pages import pages  # noqa: E402
from rival_pages import rival_pages  # noqa: E402
from rival_team import rival_team  # noqa: E402
from rivals import rivals  # noqa: E402
from serving import serving  # noqa: E402
from start import run, start  # noqa: E402
from team_history import team  # noqa: E402
from training import training  # noqa: E402


def reading(repeats: int) -> None:
    """Queries and verbs on a store of 10,000 runs (bench_reading.py)."""
    command = [sys.executable, str(HERE / "bench_reading.py"), "--repeats", str(repeats)]
    subprocess.run(command, check=True)


def ui(repeats: int, environments: Path) -> None:
    """Pages of a large store, and the same runs in the UI of others (pages.py, rival_pages.py)."""
    pages(repeats)
    rival_pages(repeats, environments)


def teams(repeats: int, environments: Path, sizes: list[int]) -> None:
    """A team's PostgreSQL, and MLflow's tracking server on the same one (team_history.py, rival_team.py)."""
    rival_team(repeats, environments)
    team(repeats, sizes)


def main() -> None:
    """Measure what was asked for, and print its tables."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "histhooks-benchmarks"
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="what recording costs, as ratios")
    parser.add_argument("--repeats", type=int, default=5, help="turns of each contender (5)")
    parser.add_argument("--environments", type=Path, default=cache, help="where rivals are installed")
    parser.add_argument("--runs", type=int, nargs="+", default=[20_000, 200_000], help="of `team` (20000 200000)")
    parser.add_argument(
        "measure",
        nargs="*",
        help="log, stalls, throughput, start, run, training, crowd, content, serving, rivals, reading, checks, ui or "
        "team; by default all but the last five",
    )
    options = parser.parse_args()
    measures: dict[str, Callable[[int], None]] = {
        **{
            function.__name__: function
            for function in (log, stalls, throughput, start, run, training, crowd, content, serving)
        },
        "rivals": functools.partial(rivals, environments=options.environments),
        "reading": reading,
        "checks": checks,
        "ui": functools.partial(ui, environments=options.environments),
        "team": functools.partial(teams, environments=options.environments, sizes=options.runs),
    }
    unknown = set(options.measure) - set(measures)
    if unknown:
        parser.error(f"unknown measure {', '.join(sorted(unknown))}; known are {', '.join(measures)}")
    machine = f"Python {platform.python_version()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    print(f"{machine}; medians of {options.repeats}")
    large = ("rivals", "reading", "checks", "ui", "team")
    for name in options.measure or [name for name in measures if name not in large]:
        measures[name](options.repeats)


if __name__ == "__main__":
    main()
