"""Pages beside runs and charts: the stores, search, audit, help, and what is said if something is not there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from starlette.responses import RedirectResponse, Response

from histhooks._base.clock import iso
from histhooks._base.ids import short_id
from histhooks._base.text import when
from histhooks._base.vocabulary import RUNNING
from histhooks._host.store_location import is_target
from histhooks._views.differing import differences
from histhooks._views.run_data import hits_data
from histhooks.errors import HisthooksError
from histhooks.history._opening import last_push
from histhooks.history._state import last_change, state_of
from histhooks.history._table import rows_for
from histhooks.ui._pages import Ask
from histhooks.ui._state import PageState

_FOUND = 100


def stores(ask: Ask) -> Response:
    """The stores; if there is one, its runs."""
    if len(ask.stores) == 1:
        return RedirectResponse(ask.rel(f"s/{next(iter(ask.stores))}/runs"), 302)
    found = [_store(ask, name) for name in ask.stores]
    has_pushes = any(one["push"] for one in found)
    return ask.page("stores.html", title="Stores", found=found, has_pushes=has_pushes, state=PageState())


def _store(ask: Ask, name: str) -> dict[str, Any]:
    """A line of the list of stores; one that cannot be read now says why."""
    line: dict[str, Any] = {"name": name, "path": ask.stores.places[name].shown, "problem": "", "push": None}
    try:
        history = ask.stores[name]
        if ask.stores.is_gone(name):
            return {**line, "problem": "it is gone: somebody moved or deleted it while this server ran"}
        history.refresh()
        n_runs, running, changed = history.count(), state_of(history).runs.get(RUNNING, 0), last_change(history)
        push = last_push(ask.stores.source(name)) if is_target(ask.stores.source(name)) else None
    except HisthooksError as error:
        return {**line, "problem": str(error)}
    return {
        **line, "runs": n_runs, "running": running, "spools": len(history.spools),
        "changed": "" if changed is None else when(iso(changed)), "changed_at": "" if changed is None else iso(changed),
        "push": push and {"when": when(push[0]), "at": push[0], "who": push[1]},
    }  # fmt: skip


def to_runs(ask: Ask) -> Response:
    """A store begins with its runs."""
    return RedirectResponse(ask.rel(f"s/{ask.store}/runs"), 302)


def search(ask: Ask) -> Response:
    """Runs that contain some words, with what stands around them."""
    state = PageState.parse(ask.query)
    found = ask.history.search(state.q, limit=_FOUND) if state.q else []
    told = differences(rows_for(ask.history, [each.run for each in found])) if found else []
    lines = [
        {"run": each.run, "short": short_id(each.run.id), "hits": each.hits[:6], "more": max(0, len(each.hits) - 6),
         "words": words[:6], "started": when(each.run.started_at)}
        for each, words in zip(found, told, strict=True)
    ]  # fmt: skip
    return ask.page("search.html", title="Search", state=state, lines=lines, most=_FOUND)


def search_json(ask: Ask) -> Response:
    """`histhooks search --json`."""
    text = PageState.parse(ask.query).q
    return ask.json([hits_data(each) for each in ask.history.search(text, limit=_FOUND)] if text else [])


def help_page(ask: Ask) -> Response:
    """Keys, the language of filters, the words of URLs."""
    return ask.page("help.html", title="Help", state=PageState())


def nowhere(ask: Ask) -> Response:
    """There is no such page."""
    return sorry(ask, 404, "there is no such page")


def sorry(ask: Ask, status: int, said: str, remedy: Sequence[str] = ()) -> Response:
    """What went wrong, and where to go on; with the SQL that the owner of a database would run."""
    if ask.path.endswith((".json", ".csv", ".patch", ".svg", ".png", ".bin")):
        return ask.json({"error": said, **({"remedy": list(remedy)} if remedy else {})}, status)
    words = {403: "Not for you", 404: "Not found", 503: "Not now"}
    title = words.get(status, "Cannot do that")
    return ask.page("error.html", status, title=title, said=said, remedy=remedy, state=PageState())
