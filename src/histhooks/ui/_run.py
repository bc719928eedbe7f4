"""The pages of one run: an overview, and its parts as `histhooks report` has them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from histhooks._base.ids import short_id
from histhooks._base.text import number, seconds, value_text
from histhooks._base.vocabulary import FINISHED, RUNNING
from histhooks._views import check_words
from histhooks._views import run_words as facts
from histhooks._views.differing import differences
from histhooks._views.result_words import parts
from histhooks._views.run_table import MEAN, MEAN_SAID, best_text
from histhooks.checks import risks
from histhooks.checks._inner import with_inner
from histhooks.checks._types import FAIL, WARN
from histhooks.errors import QueryError
from histhooks.history._ranking import Best, best_of, main_of
from histhooks.history._repetitions import repetitions_of
from histhooks.history._state import entries_of
from histhooks.history._table import rows_for
from histhooks.report import _checks, _contents, _html, page_of
from histhooks.report._blocks import Curves, Facts, Section, Table, Text
from histhooks.ui import _content
from histhooks.ui._cards import cards_of
from histhooks.ui._others import nowhere
from histhooks.ui._pages import SHORT_ID, Ask, cut
from histhooks.ui._run_head import PARTS, head_of, moved_to, run_of
from histhooks.ui._state import ChartState

if TYPE_CHECKING:
    from starlette.responses import Response

    from histhooks.history import RunRecord

# How far a run agrees with the one that it repeats.
_LEVELS = {
    "bits": "the same bits", "curve": "the same curves", "metric": "the same metric", "differs": "it differs",
    "failed": "it failed",
}  # fmt: skip
_FEW = 24
_CHILDREN = 50


def overview(ask: Ask) -> Response:
    """What a run was, how it went, and how to repeat it."""
    run = run_of(ask)
    if (moved := moved_to(ask, run)) is not None:
        return moved
    chosen, everything = run.chosen, run.params
    results = sorted(run.results.items(), key=lambda item: isinstance(item[1], (dict, list)))
    summaries = [s for s in run.summaries if s["split"] != "system"]
    main = main_of(summaries, run.main_metric)
    same = [s["name"] for s in summaries if main is not None and s["metric"] == main["metric"]]
    is_curve = any(s["count"] > 1 for s in summaries if s["name"] in same)  # a single point is in the table
    names = tuple(dict.fromkeys([*([main["name"]] if main else []), *same]))[:4]
    verdict = _verdict(run)
    return ask.page(
        "run.html",
        **head_of(ask, run, ""),
        highlights=[(label, text) for label, text in _contents.highlights(run) if text != "–"],
        facts=_facts(run),
        related=_related(ask, run),
        made_of=_content.parts_of(ask, run),
        cards=cards_of([run], ChartState(m=names), only=names)[:1] if names and is_curve else [],
        metrics=_metrics(run, summaries),
        params=[(key, value_text(value, 200)) for key, value in list(chosen.items())[:_FEW]],
        n_params=len(everything),
        n_chosen=len(chosen),
        results=[(key, value_text(value, 200), _bars(value)) for key, value in results[:_FEW]],
        n_results=len(results),
        verdict=verdict,
        alarms=_alarms(verdict),
        missing=[c for c in run.captures if c["status"] != "ok"],
        children=_children(run),
        repetitions=[{**one, "says": _LEVELS[one["level"]]} for one in repetitions_of(run.history, run.id)],
        notes=run.notes,
        tags=run.tags,
        failure=_failure(run),
        mean=(MEAN, MEAN_SAID),
    )


def _failure(run: RunRecord) -> dict[str, str] | None:
    if run.status in (FINISHED, RUNNING) and not run.error_type:
        return None
    stderr = "\n\n".join(facts.stderr(run))
    return {"outcome": facts.outcome(run), "traceback": (run.traceback or "").rstrip(), "stderr": stderr}


def _facts(run: RunRecord) -> list[tuple[str, str]]:
    """The first screen of `histhooks show`, in its order."""
    session, code = run.session, facts.code(run)
    found = [
        ("Progress", facts.progress(run)),
        ("When", facts.took(run)),
        ("Where", facts.join(run.call_site, f"on {session['hostname']}" if session["hostname"] else None)),
        ("Who", facts.who(run)),
        ("Command", cut(session["command"] or "", 400)),
        ("Related", "\n".join(facts.links(run))),
        ("Model", "\n".join(facts.model(run))),
        ("Data", "\n".join(dict.fromkeys(map(facts.dataset, run.datasets)))),
        ("Seeds", facts.seeds(run)),
        ("Code", code),
        ("Environment", facts.environment(run)),
    ]
    return [(label, text) for label, text in found if text]


def _related(ask: Ask, run: RunRecord) -> dict[str, str]:
    """Where the short ids of the runs that belong to this one lead; of those in another store there are none."""
    words = dict.fromkeys(SHORT_ID.findall("\n".join(facts.links(run))))
    found = {}
    for word in list(words)[:_FEW]:
        with suppress(QueryError):
            found[word] = ask.link(f"runs/{ask.history.run(word).id}")
    return found


def _metrics(run: RunRecord, summaries: Sequence[Any]) -> list[dict[str, Any]]:
    """A line for each metric of the training: best and last."""
    found = []
    for summary in summaries[:_FEW]:
        best = best_of(run, summary) if summary["direction"] else None
        found.append(
            {
                "name": summary["name"], "split": summary["split"] or "", "count": summary["count"],
                "best": "" if best is None else best_text(best.value, best.mean_of),
                "at": _at(run, summary, best),
                "last": summary["last_special"] or number(summary["last"]),
                "is_mean": best is not None and best.mean_of is not None,
                "arrow": {1: "↑", -1: "↓", 0: ""}[summary["direction"]], "nonfinite": summary["nonfinite"],
            }
        )  # fmt: skip
    return found


def _at(run: RunRecord, summary: Any, best: Best | None) -> str:
    """Where the best value of a metric was."""
    if best is None or best.step is None or best.mean_of == "part" or summary["count"] < 2:
        return ""
    epoch = run.epoch_at(summary["name"], best.step) if best.epoch is None else best.epoch
    told = "" if epoch is None else f"epoch {facts.epoch(run.framework, epoch)}"
    return told if best.mean_of else ", ".join(filter(None, [f"step {best.step:,}", told]))


def _bars(value: Any) -> list[tuple[str, str, float]]:
    """The numbers of a result by name, each with its share of the greatest; empty if it is something else."""
    found = parts(value) or []
    most = max((abs(one) for _, one in found), default=0.0) or 1.0
    return [(name, number(one), round(100 * abs(one) / most, 1)) for name, one in found]


def _verdict(run: RunRecord) -> dict[str, Any] | None:
    """What checks found, if they can judge the run."""
    found = risks(run)
    if found is None:
        return None
    return {"found": found, "counts": check_words.counts(found)}


def _alarms(verdict: dict[str, Any] | None) -> tuple[str, str] | None:
    """How many checks failed, else warned, with the level; None if none did."""
    found = verdict["found"].findings if verdict is not None else ()
    for level in (FAIL, WARN):
        if n := sum(one.level == level for one in found):
            return f"{n} {level}", level
    return None


def _children(run: RunRecord) -> dict[str, Any]:
    children = run.children
    rows = rows_for(run.history, children[:_CHILDREN])
    told = differences(rows)
    lines = [
        {
            "id": row.run_id, "short": short_id(row.run_id), "name": row.values["name"], "status": row.values["status"],
            "words": words[:6], "metric": row.values["metric"] or "",
            "best": best_text(row.values["best"], row.values["mean_of"]),
            "took": "" if row.values["took_s"] is None else seconds(row.values["took_s"]),
        }
        for row, words in zip(rows, told, strict=True)
    ]  # fmt: skip
    return {"lines": lines, "count": len(children)}


def part(ask: Ask) -> Response:
    """One part of a run."""
    run = run_of(ask)
    word = ask.words["part"]
    if word not in PARTS:
        return nowhere(ask)
    if (moved := moved_to(ask, run)) is not None:
        return moved
    title, wanted = PARTS[word]
    own = {"checks": checks, "ledger": _ledger}
    sections = own[word](run) if word in own else [_plain(each) for each in _contents.sections(run, wanted)]
    kept = [each for each in run.artifacts if each["kept"]] if word == "files" and ask.may_take else []
    return ask.page(
        "part.html", **head_of(ask, run, word), sections=sections, part_title=title, kept=kept,
        links=_content.links_of(ask, run),
    )  # fmt: skip


def _plain(section: Section) -> Section:
    return Section(section.title, [block for block in section.blocks if not isinstance(block, Curves)])


def checks(run: RunRecord) -> list[Section]:
    """What checks found."""
    sections, _ = _checks(run)
    return sections


def _ledger(run: RunRecord) -> list[Section]:
    """The entries of the ledger that cover the run: what was written when, and can no longer change unnoticed."""
    entries, total = entries_of(run.history, run.id)
    if not entries:
        return []
    rows = [
        [
            _contents.moment(one["time"]), str(one["seq"]), " · ".join(f"{name} {n:,}" for name, n in one["tables"]),
            one["digest"][:16], short_id(one["session_id"]),
        ]
        for one in entries
    ]  # fmt: skip
    text = (
        f"{total:,} entr{'y covers' if total == 1 else 'ies cover'} rows of this run"
        + (f"; the latest {len(rows):,} are shown" if len(rows) < total else "")
        + ". Each digest is over its rows and the digest of the entry before it, so that a changed row is noticed. The "
        "audit of the store recomputes them."
    )
    facts = Facts([("Session", run.row["session_id"]), ("Latest digest", entries[0]["digest"])])
    table = Table(["written", "entry", "rows", "digest", "session"], rows, numbers=frozenset({1}))
    return [Section("Ledger", [Text(text), facts, table])]


def as_json(ask: Ask) -> Response:
    """`histhooks show RUN --json`."""
    return ask.json(run_of(ask).as_json())


def checks_json(ask: Ask) -> Response:
    """`histhooks check RUN --json`."""
    return ask.json({"runs": [each.check().as_json() for each in with_inner(run_of(ask))]})


def as_report(ask: Ask) -> Response:
    """`histhooks report RUN`, which a browser saves: a page of its own has styles of its own."""
    run = run_of(ask)
    text = _html.write(page_of(run, with_verify=False))
    return ask.answer(text, "text/html; charset=utf-8", name=f"{run.name}-{short_id(run.id)}.html")
