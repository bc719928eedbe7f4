"""What the pages of one run share: which run a path means, its parts, and what stands at the top."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.responses import RedirectResponse

from histhooks._base.vocabulary import RUNNING
from histhooks._views import run_table
from histhooks.history._around import neighbours_of
from histhooks.history._table_rows import progress_row
from histhooks.ui._state import PageState

if TYPE_CHECKING:
    from starlette.responses import Response

    from histhooks.history import RunRecord
    from histhooks.ui._pages import Ask

# A part of a run, by the last word of its path: its title, and the sections of the report that it has.
PARTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "params": ("Params", ("Params", "Optimizer", "Randomness")),
    "data": ("Data", ("Data",)),
    "code": ("Code", ("Code",)),
    "model": ("Model", ("Model", "Weights")),
    "environment": ("Environment", ("Who and where", "Environment")),
    "files": ("Files", ("Files",)),
    "checks": ("Checks", ()),
    "events": ("Events", ("Tags and notes", "Events", "What was gathered, and what was not")),
    "ledger": ("Ledger", ()),
}


def run_of(ask: Ask) -> RunRecord:
    """The run that a path means."""
    return ask.history.run(ask.words["run"])


def moved_to(ask: Ask, run: RunRecord) -> Response | None:
    """To the run's own page, if the path has another word for it; `last` stays, and follows the newest."""
    word = ask.words["run"]
    if word in (run.id, "last"):
        return None
    target = ask.rel(ask.path[1:].replace(f"/runs/{word}", f"/runs/{run.id}", 1))
    return RedirectResponse(target + (f"?{ask.query}" if ask.query else ""), 302)


def tabs(ask: Ask, run: RunRecord) -> list[tuple[str, str]]:
    """The parts of a run with their titles; those in which nothing can be are left out."""
    found = [("", "Overview"), ("charts", "Charts")] if run.summaries else [("", "Overview")]
    return [*found, *((word, title) for word, (title, _) in PARTS.items()), ("lineage", "Lineage")]


def head_of(ask: Ask, run: RunRecord, tab: str, **more: Any) -> dict[str, Any]:
    """What each page of a run has at its top."""
    row = run.row
    release = " ".join(filter(None, [row["framework"], row["framework_version"]]))
    words = [row["kind"], release, f"project {row['project']}" if row["project"] else ""]
    progress = None
    if run.status == RUNNING:
        found = progress_row(run, run.summaries, run.params)
        planned = found["epochs_planned"]
        share = (found["epochs_done"] or 0) / planned if planned else None
        progress = {"said": run_table.progress(found, run.framework), "share": share}
    return {
        "title": run.name, "run": run, "tab": tab, "tabs": tabs(ask, run), "subtitle": [w for w in words if w],
        "progress": progress, "state": PageState(), "neighbours": neighbours_of(run), **more,
    }  # fmt: skip
