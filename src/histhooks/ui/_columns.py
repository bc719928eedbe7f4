"""Names: which columns there are to choose from, and what the box of a filter can be completed with."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from histhooks._base.vocabulary import STATUSES
from histhooks.history.query.names import COLUMNS, SEVERAL, Names, split, step_of
from histhooks.history.query.run_query import params_of, results_of, summaries_of, tags_of
from histhooks.history.query.where import KINDS
from histhooks.history.query.writing import name_of
from histhooks.ui._pages import Ask
from histhooks.ui._state import RunsState

if TYPE_CHECKING:
    from starlette.responses import Response

_MOST_NAMES = 2000  # of a kind
_LOOKED_AT = 300  # runs, to see what varies
_MOST_STEPS = 4
_STATS = ("best", "last", "first", "min", "max")
_OF_RUN = (
    "framework", "framework_version", "model_class", "kind", "group_name", "epochs_done", "steps_done", "call_site",
    "error_type",
)  # fmt: skip


def columns(ask: Ask) -> Response:
    """Which columns there are to choose from."""
    state = RunsState.parse(ask.query)
    names = Names(ask.history)
    steps, step = _steps(ask, state)
    stats = (*_STATS, *(f"at_{each}" for each in steps))
    varies = _varying(ask, state) if dict(parse_qsl(ask.query)).get("vary") else None
    kinds = [
        ("Metrics", "", names.of("metrics"), stats), ("Params", "params.", names.of("params"), ()),
        ("Results", "results.", names.of("results"), ()), ("Tags", "tags.", names.of("tags"), ()),
        ("Run", "", list(_OF_RUN), ()),
    ]  # fmt: skip
    groups = []
    for title, prefix, found, stats in kinds:
        listed = [f"{prefix}{name}" for name in found]
        shown = [name for name in listed if varies is None or name in varies or name in state.cols]
        if shown:
            groups.append((title, shown[:_MOST_NAMES], max(0, len(shown) - _MOST_NAMES), stats))
    is_varying = varies is not None
    return ask.page("columns.html", title="Columns", state=state, groups=groups, is_varying=is_varying, step=step)


def _steps(ask: Ask, state: RunsState) -> tuple[list[int], str]:
    """The steps at which a metric is a column, or may become one; and the one that was typed."""
    typed = dict(parse_qsl(ask.query)).get("step", "").strip()
    stats = [f"at_{typed}", *(split(name)[2] for name in state.cols)]
    return sorted({step for stat in stats if (step := step_of(stat)) is not None})[:_MOST_STEPS], typed


def _varying(ask: Ask, state: RunsState) -> set[str]:
    """The names in which the latest runs of the table differ."""
    rows = ask.history.runs(**state.which, limit=_LOOKED_AT, with_inner=True, is_nested=False)
    ids = [run.id for run in rows]
    summaries = {
        run_id: {each["name"]: (each["min"], each["max"], each["last"], each["last_special"]) for each in found}
        for run_id, found in summaries_of(ask.history, ids).items()
    }
    varying = {name for name in _OF_RUN if len({run.row[name] for run in rows}) > 1}
    for prefix, by_run in (
        ("", summaries), ("params.", params_of(ask.history, ids)), ("results.", results_of(ask.history, ids)),
        ("tags.", tags_of(ask.history, ids)),
    ):  # fmt: skip
        varying |= {f"{prefix}{name}" for name in _differing(ids, by_run)}
    return varying


def _differing(ids: Sequence[str], by_run: dict[str, dict[str, Any]]) -> Iterable[str]:
    names = dict.fromkeys(name for found in by_run.values() for name in found)
    for name in names:
        if len({json.dumps(by_run.get(run_id, {}).get(name), default=str) for run_id in ids}) > 1:
            yield name


def names_json(ask: Ask) -> Response:
    """The names that a filter may use, each as it is written there, and the words that some of them take."""
    known = Names(ask.history)
    found = [*COLUMNS, *SEVERAL]
    for table, prefix in (("metrics", ""), ("params", "params."), ("results", "results."), ("tags", "tags.")):
        found += [name_of(f"{prefix}{name}") for name in known.of(table)[:_MOST_NAMES]]
    values = {
        "status": list(STATUSES), "kind": list(KINDS), "project": known.choices("project", 100),
        "framework": known.choices("framework", 100),
    }  # fmt: skip
    return ask.json({"names": list(dict.fromkeys(found)), "values": values})
