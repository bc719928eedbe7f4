"""``demo``: record a small history with each installed framework, and show it."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

import click

from histhooks.cli import _common as common

_PROGRAMS = (
    ("classics", ("sklearn",), "scikit-learn, with a search, a validation and a fit that fails"),
    ("trees", ("xgboost", "sklearn"), "XGBoost with early stopping"),
    ("layers", ("keras", "torch", "sklearn"), "Keras with a callback of its own"),
    ("modules", ("lightning", "torch", "sklearn"), "Lightning"),
    ("loop", ("torch", "sklearn"), "a PyTorch loop that knows nothing of histhooks, under `histhooks run`"),
)


@click.command(epilog="Example: histhooks demo --store demo.db")
@click.argument("words", nargs=-1, metavar="[STORE]")
@common.written_store_option
@common.json_option
def demo(words: tuple[str, ...], store: str | None, as_json: bool) -> None:
    """Train real models on data that scikit-learn ships, with each installed framework, and show their history."""
    from histhooks._host.store_location import FILE_ONLY, is_target
    from histhooks.errors import HisthooksError

    words, store = common.split_store(words, store)
    if find_spec("sklearn") is None:
        raise HisthooksError(
            'the demo needs the data of scikit-learn, which is missing; pip install "histhooks[sklearn]"'
        )
    place = store or (words[0] if words else None)
    if is_target(place):
        raise HisthooksError(FILE_ONLY)
    folder = Path(tempfile.mkdtemp(prefix="histhooks-demo-"))
    path = Path(place or folder / "histhooks.db").absolute()
    environment = {**os.environ, "HISTHOOKS_STORE": str(path), "HISTHOOKS": "", "HISTHOOKS_PROJECT": "demo"}
    environment["HISTHOOKS_QUIET"] = "1"
    for name, needed, what in _PROGRAMS:
        missing = [framework for framework in needed if find_spec(framework) is None]
        if missing:
            click.echo(f"left out: {what}, since {missing[0]} is not installed", err=True)
            continue
        click.echo(f"running {what}", err=True)
        program = Path(__file__).parent.parent / "_demo" / f"{name}.py"
        command = [sys.executable, str(program)]
        if name == "loop":
            command = [sys.executable, "-m", "histhooks", "run", str(program), "--save", str(folder / "digits.pt")]
        code = subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=False).returncode
        if code != 0:
            raise HisthooksError(f"{program} ended with exit code {code}; see its traceback above")
    _show(path, as_json=as_json)


def _show(path: Path, *, as_json: bool) -> None:
    from histhooks.cli._runs import table
    from histhooks.cli._show import screen

    with common.open_history(str(path)) as history:
        found = [run for run in history.runs(is_nested=False) if run.kind != "preprocess"]
        if as_json:
            common.print_json([{**run.row, "metrics": run.summaries} for run in found])
            return
        click.echo(f"\nThe runs (histhooks runs --store {path}):\n")
        table(found)
        chosen = next((run for run in found if run.kind == "loop"), found[-1])
        click.echo(f"\nOne of them in full (histhooks show {str(chosen.id)[-8:]} --store {path}):\n")
        screen(chosen)
        alike = [run.id[-8:] for run in found if run.framework == "xgboost"][:2]
    click.echo("\nTry next:")
    pair = " ".join(reversed(alike))
    for line in (
        *([f"histhooks diff {path} {pair}", f"histhooks plot {path} {pair}"] if len(alike) == 2 else []),
        f'histhooks show {path} "learning rates"',
        f"histhooks runs {path} --where 'duration_s < 1 and status = finished' --all",
        f"histhooks verify {path}",
        f"sqlite3 {path} 'SELECT name, status, duration_s FROM runs'",
    ):
        click.echo(f"  {line}")
