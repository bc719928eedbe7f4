"""``bisect``: which change makes a run bad."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING

import click

from histhooks._base.ids import short_id
from histhooks.cli import _common as common

if TYPE_CHECKING:
    from histhooks.history import RunRecord
    from histhooks.reproduce import Bisection, Trial


@click.command(epilog="Example: histhooks bisect last~3 last --metric val_loss --yes")
@click.argument("words", nargs=-1, metavar="[STORE] GOOD BAD")
@common.store_option
@click.option("--metric", metavar="NAME", help="The metric to judge by; by default the one that ranks the good run.")
@click.option("--python", metavar="PATH", help="Another interpreter, which must have histhooks.")
@click.option("--timeout", metavar="S", type=click.FloatRange(min=0, min_open=True), help="End a trial after S s.")
@click.option("--yes", is_flag=True, help="Run without asking.")
@common.json_option
@click.pass_context
def bisect(
    ctx: click.Context,
    words: tuple[str, ...],
    store: str | None,
    metric: str | None,
    python: str | None,
    timeout: float | None,
    yes: bool,
    as_json: bool,
) -> None:
    """Find which of the changes between a good run and a bad one makes it bad, by running parts of each.

    The parts are code, arguments, data and variables. Nothing is recorded. Exit code 0: found; 1: repeating the two
    runs does not tell them apart; 2: one of them cannot be run.
    """
    from histhooks.errors import HisthooksError
    from histhooks.reproduce import bisect as search

    words, store = common.split_store(words, store)
    if len(words) != 2:
        raise click.UsageError(f"bisect takes two runs, the good one first, not {len(words)}")
    with common.open_history(store) as history:
        good, bad = (history.run(word) for word in words)
        if not yes:
            _ask(good)
        try:
            found = search(good, bad, metric=metric, python=python, timeout_s=timeout, told=None if as_json else _trial)
        except HisthooksError as error:
            click.echo(f"histhooks: {error}", err=True)
            ctx.exit(2)
        if as_json:
            common.print_json(found.as_json())
        else:
            _screen(found)
        ctx.exit(1 if found.causes is None else 0)


def _ask(good: RunRecord) -> None:
    command = shlex.join(shlex.split(good.session["command"] or "")[:12])
    if not sys.stdin.isatty():
        raise click.UsageError(f"this would run `{command}` several times; add --yes to run it without asking")
    click.confirm(f"Run `{command}` with parts of both runs, several times?", abort=True, err=True)


def _trial(trial: Trial) -> None:
    parts = " and ".join(trial.parts) if trial.parts else "nothing"
    value = "no value" if trial.value is None else common.number(trial.value)
    click.echo(f"{'bad ' if trial.is_bad else 'good'}  {value:<12}  with {parts} of the bad run", err=True)


def _screen(found: Bisection) -> None:
    from rich.text import Text

    console = common.console()
    line = Text(f"{found.metric}  ", style="bold")
    line.append(common.number(found.good_value), style="green").append(f" ({short_id(found.good)}) → ", style="dim")
    line.append(common.number(found.bad_value), style="red").append(f" ({short_id(found.bad)})", style="dim")
    console.print(line)
    console.print(Text(f"differ in {', '.join(found.parts)}; {len(found.trials)} trials", style="dim"))
    if found.causes is None:
        console.print(Text("cannot tell  ", style="yellow").append(found.why, style="default"))
    else:
        console.print(Text("cause  ", style="bold red").append(" and ".join(found.causes), style="bold"))
        console.print(Text(f"See histhooks diff {short_id(found.good)} {short_id(found.bad)}", style="dim"))
