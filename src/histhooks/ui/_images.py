"""Charts as PNG: drawn in a process of its own, since matplotlib brings NumPy, which the server never loads."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from histhooks.errors import QueryError
from histhooks.ui._cards import looking
from histhooks.ui._charts import chosen, state_of
from histhooks.ui._others import sorry

if TYPE_CHECKING:
    from starlette.responses import Response

    from histhooks.ui._pages import Ask

_PATIENCE_S = 60.0
_SAID = "histhooks: "
# The store comes by standard input: the address of a target may hold a password, and others can read a command line.
_PLOT = (
    "import os, sys\nfrom histhooks.cli import main\n"
    "sys.argv[1:1] = ['plot', '--store', os.fsdecode(sys.stdin.buffer.read())]\nmain()"
)


_CALLED = {"start": "from", "stop": "to", "log_x": "log-x"}


def _options(asked: dict[str, Any]) -> Iterator[str]:
    """What `plot` takes, as options of the command line."""
    for name, value in asked.items():
        if name == "attempts":
            yield from () if value else ("--no-attempts",)
        elif isinstance(value, bool):
            yield from (f"--{_CALLED.get(name, name)}",) if value else ()
        elif value is not None:
            yield f"--{_CALLED.get(name, name)}={value}"


def as_png(ask: Ask) -> Response:
    """One chart as a file: `histhooks plot RUN... NAME... -o chart.png`."""
    if find_spec("matplotlib") is None:
        return sorry(ask, 501, 'a PNG needs matplotlib: pip install "histhooks[plot]"; charts.svg needs nothing')
    state = state_of(ask)
    runs = chosen(ask, state.runs)
    looks = list(_options(looking(state, "".join(state.card[:1]), attempts=len(runs) == 1)))
    with tempfile.TemporaryDirectory(prefix="histhooks-") as folder:
        file = Path(folder) / "chart.png"
        command = [sys.executable, "-P", "-c", _PLOT, "-o", str(file)]
        words = [*looks, "--", *(run.id for run in runs), *state.m]
        try:
            done = subprocess.run(
                command + words,
                capture_output=True,
                check=False,
                timeout=_PATIENCE_S,
                input=os.fsencode(ask.stores.source(ask.store)),
            )
        except subprocess.TimeoutExpired:
            return sorry(ask, 503, f"the chart took longer than {_PATIENCE_S:g} s to draw; choose fewer runs or curves")
        if done.returncode != 0 or not file.is_file():
            said = done.stderr.decode("utf-8", "replace").strip().splitlines()
            raise QueryError((said or ["the chart could not be drawn"])[-1].removeprefix(_SAID).removeprefix("Error: "))
        return ask.answer(file.read_bytes(), "image/png", name="chart.png")
