"""Whether a history is as it was written: its ledger, what was deleted, and the latest verification."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from histhooks._base.clock import iso
from histhooks._base.text import seconds, when
from histhooks.history._state import ledger_of, state_of
from histhooks.ui._state import PageState

if TYPE_CHECKING:
    from starlette.responses import Response

    from histhooks.ui._pages import Ask
    from histhooks.ui._verification import Verification


def page(ask: Ask) -> Response:
    """The page. A person asks for a verification, since it reads all of the store."""
    state, history = PageState.parse(ask.query), ask.history
    found = _verified(ask, state)
    return ask.page(
        "audit.html", title="Audit", state=state, ledger=ledger_of(history), verified=_words(found),
        counts=state_of(history), spools=history.spools, following=1 if found is None else found.number + 1,
        is_asked=bool(state.verify),
    )  # fmt: skip


def as_json(ask: Ask) -> Response:
    """The ledger, and the latest verification as `histhooks verify --json` prints it."""
    ledger = ledger_of(ask.history)
    found = _verified(ask, PageState.parse(ask.query))
    verified = None if found is None else {
        "began_at": _at(found.began), "ended_at": _at(found.ended), "done": found.done, "total": found.total,
        "problem": found.problem or None, "report": found.report,
    }  # fmt: skip
    return ask.json({**ledger._asdict(), "verified": verified})


def _verified(ask: Ask, state: PageState) -> Verification | None:
    """The latest verification; an address that asks for one has its number, so that reading it again begins none."""
    verifications, source = ask.stores.verifications, ask.stores.source(ask.store)
    latest = verifications.of(source)
    following = 1 if latest is None else latest.number + 1
    word = state.verify
    number = min(int(word), following) if word.isdecimal() and len(word) < 9 else int(bool(word))
    return verifications.of(source, number) if number else latest


def _words(found: Verification | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {
        "report": found.report, "problem": found.problem, "is_going": not found.ended, "began": when(_at(found.began)),
        "began_at": _at(found.began), "took": seconds(found.ended - found.began) if found.ended else "",
        "done": found.done, "total": found.total,
    }  # fmt: skip


def _at(time_s: float) -> str | None:
    return iso(int(time_s * 1_000_000)) if time_s else None
