"""Models in production: what is live, what was done to each version, and whether production is as the training was."""

from __future__ import annotations

from typing import TYPE_CHECKING

from histhooks._views import model_data
from histhooks._views import model_words as words_of
from histhooks.errors import QueryError
from histhooks.monitor import _words
from histhooks.ui._state import PageState, of_query

if TYPE_CHECKING:
    from starlette.responses import Response

    from histhooks.monitor import Report
    from histhooks.ui._pages import Ask

_MOST_WINDOWS = 60


def page(ask: Ask) -> Response:
    """All models, or one by its name."""
    state = PageState.parse(ask.query)
    if state.name:
        return _one(ask, state)
    models = ask.history.models()
    columns, rows = words_of.models_table(models, None)
    return ask.page(
        "models.html", title="Models", state=state, models=models, columns=columns, rows=rows,
        warnings=[text for model in models for text in words_of.warnings(model)],
        link=lambda name: ask.link("models", of_query({"name": name})),
    )  # fmt: skip


def as_json(ask: Ask) -> Response:
    """`histhooks models --json`, of all models or of one by its name."""
    name = PageState.parse(ask.query).name
    if name:
        return ask.json(model_data.whole(ask.history.model(name)))
    return ask.json(model_data.summaries(ask.history.models()))


def _one(ask: Ask, state: PageState) -> Response:
    model = ask.history.model(state.name)
    report = _report(ask, state.name)
    windows = list(reversed(report.windows))[:_MOST_WINDOWS] if report is not None else []
    return ask.page(
        "model.html", title=model.name, state=state, model=model, live=list(model.aliases().values()),
        events=words_of.events_table(model), versions=words_of.versions_table(model),
        warnings=words_of.warnings(model), report=report, window_columns=_words.COLUMNS,
        windows=[_words.row(one) for one in windows],
        run_links=[ask.link(f"runs/{each.run.id}") if each.run else "" for each in reversed(model.versions)],
    )  # fmt: skip


def _report(ask: Ask, name: str) -> Report | None:
    """Its windows in production; None if there is nothing that they can be judged by."""
    try:
        return ask.history.model(name).drift(since=None)
    except QueryError:
        return None
