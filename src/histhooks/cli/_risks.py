"""What checks warn of, below the facts of a run."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from histhooks._base.ids import short_id
from histhooks._host.store_location import find_store

if TYPE_CHECKING:
    from rich.console import Console

    from histhooks.history import RunRecord

_STYLES = {"fail": "red", "warn": "yellow"}


def _store_of(run: RunRecord) -> str:
    """The option by which a verb finds the store of a run; nothing if it finds it by itself."""
    here, path = find_store(), run.history.path
    if run.history.place != str(path):
        return f" --store {shlex.quote(run.history.place)}"
    return "" if here is not None and here.resolve() == path.resolve() else f" --store {shlex.quote(str(path))}"


def print_risks(run: RunRecord, console: Console) -> None:
    """Print the findings of a run that are no mere information, a line each; nothing if there are none."""
    from rich.text import Text

    from histhooks._views import check_words
    from histhooks.checks import risks

    verdict = risks(run)
    grave = [found for found in verdict.findings if found.rank] if verdict is not None else []
    if not grave:
        return
    told = f"histhooks check {short_id(run.id)}{_store_of(run)} says why, and what to do"
    console.print(Text("\nRisks", style="bold").append(f" {told}", style="not bold dim"), soft_wrap=True)
    for found in grave:
        text = Text(f"  {found.level:<6}", style=_STYLES[found.level])
        console.print(text.append(f"{found.id}: {check_words.told(found)}", style="default"))
