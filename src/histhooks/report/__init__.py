"""A run, or the life of a model, as one page of facts for people who were not there: a colleague, a reviewer.

>>> import histhooks
>>> from histhooks.report import report
>>> history = histhooks.History("histhooks.db")
>>> report(history.run("last"), "report.html")

The page is self-contained: it loads no script, no style sheet and no picture. Everything that came from a program is
escaped. It is readable in dark mode and on paper, too.
"""

from __future__ import annotations

import os
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from histhooks._base.text import counted
from histhooks._base.version import __version__
from histhooks.errors import QueryError, StoreError
from histhooks.history import Model
from histhooks.report import _contents, _html, _markdown, _model
from histhooks.report._blocks import Facts, Page, Section, Table, Text

if TYPE_CHECKING:
    from histhooks.history import RunRecord
    from histhooks.verify import Report as Verified

__all__ = ["page_of", "report"]

_WRITERS = {".html": _html.write, ".htm": _html.write, ".md": _markdown.write}


def report(
    run: RunRecord | Model, path: str | os.PathLike[str], *, force: bool = False, with_verify: bool = True
) -> Path:
    """Write a report of a run, or of the whole life of a model.

    Parameters
    ----------
    run : RunRecord or Model
    path : str or path
        The extension decides the format: `.html` or `.md`.
    force : bool
        Overwrite a file that is there.
    with_verify : bool
        Whether to verify the history first, which reads all of the store.

    Returns
    -------
    Path

    Raises
    ------
    QueryError
        If the name ends otherwise.
    StoreError
        If the file is there already, or cannot be written.

    Examples
    --------
    >>> from histhooks.report import report
    >>> report(run, "report.html", with_verify=False).name
    'report.html'
    >>> report(history.model("churn"), "churn.md", with_verify=False).name
    'churn.md'
    """
    target = Path(path)
    write = _WRITERS.get(target.suffix.lower())
    if write is None:
        raise QueryError(f"a report ends with {', '.join(_WRITERS)}, not {target.suffix or target.name!r}")
    if target.exists() and not force:
        raise StoreError(f"{target} is there already; give another name, or overwrite it with --force")
    text = write(page_of(run, with_verify=with_verify))
    try:
        target.write_text(text, encoding="utf-8")
    except OSError as error:
        raise StoreError(f"{target} cannot be written ({error}); name another file") from error
    return target


def page_of(run: RunRecord | Model, *, with_verify: bool = True) -> Page:
    """What a report of a run, or of a model, says.

    Parameters
    ----------
    run : RunRecord or Model
    with_verify : bool

    Returns
    -------
    Page

    Examples
    --------
    >>> from histhooks.report import page_of
    >>> page_of(run).title
    'train'
    """
    if isinstance(run, Model):
        return _page_of_model(run, with_verify=with_verify)
    found, why = _verified(run.history.path) if with_verify else (None, "it was not asked for")
    row = run.row
    words = [row["kind"], row["framework"], row["framework_version"], row["project"] and f"project {row['project']}"]
    checks, alarms = _checks(run)
    sections = _contents.sections(run)
    return Page(
        title=run.name,
        status=run.status,
        subtitle=" · ".join([word for word in words if word] + [run.id]),
        verdict=_verdict(found, why),
        highlights=[*([("checks", alarms)] if alarms else []), *_contents.highlights(run)],
        # What speaks against a run comes before what it reached.
        sections=[*((*checks, *sections) if alarms else (*sections, *checks)), _ledger(run, found, why)],
        foot=_foot(run.history.path),
        alarms=alarms,
    )


def _page_of_model(model: Model, *, with_verify: bool) -> Page:
    path = model.history.path
    found, why = _verified(path) if with_verify else (None, "it was not asked for")
    return Page(
        title=model.name,
        status=_model.status(model),
        subtitle=_model.subtitle(model),
        verdict=_verdict(found, why),
        highlights=_model.highlights(model),
        sections=_model.sections(model),
        foot=_foot(path),
        kind="model",
    )


def _foot(path: Path) -> str:
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return f"Written {now} from {path.name} by histhooks {__version__}. All times are UTC."


def _checks(run: RunRecord) -> tuple[list[Section], str]:
    """What checks found, and how many found nothing; and how many failures and warnings there are, in words."""
    from histhooks._views.check_words import counts
    from histhooks.checks import risks

    verdict = risks(run)
    if verdict is None:
        return [], ""
    told = [[found.level, found.id, found.says, found.why, found.advice] for found in verdict.findings]
    told += [["waived", found.id, found.says, found.waived or "", ""] for found in verdict.waived]
    blocks: list[Facts | Text | Table] = []
    if told:
        blocks.append(Table(["level", "check", "says", "why", "next"], told))
    blocks.append(Text(f"{counts(verdict)}. What no check can see stays a question for people.", "plain"))
    levels = Counter(found.level for found in verdict.findings)
    alarms = ", ".join(f"{levels[level]} {level}" for level in ("fail", "warn") if levels[level])
    return [Section("Checks", blocks)], alarms


def _verified(path: Path) -> tuple[Verified | None, str]:
    from histhooks.verify import verify

    try:
        return verify(path, kept_files=False), ""  # which may be many gigabytes
    except StoreError as error:
        return None, str(error)


def _verdict(found: Verified | None, why: str) -> Text:
    if found is None:
        return Text(f"This history was not verified: {why}.", "plain")
    if not found.ok:
        count = len(found.problems)
        return Text(f"This history does not match its ledger: {counted(count, 'problem')}, listed at the end.", "bad")
    lines, rows = f"{found.lines:,} lines", f"{found.rows:,} rows"
    return Text(f"This history matches its ledger: {lines} over {rows} were recomputed.", "good")


def _ledger(run: RunRecord, found: Verified | None, why: str) -> Section:
    ledger = run.ledger
    blocks: list[Facts | Text | Table] = [
        Facts(
            [
                ("Head of the session", ledger["head"] or "none yet"),
                ("Lines, rows", f"{ledger['lines']:,}, {ledger['rows']:,}"),
                ("Last line", _contents.moment(ledger["time"]) if ledger["time"] else None),
            ]
        ),
        _verdict(found, why),
    ]
    if found is not None:
        blocks.append(Facts(_told(found)))
        if found.problems:
            blocks.append(Table(["what does not match"], [[problem] for problem in found.problems[:100]]))
        if found.tombstones:
            rows = [
                [stone["action"], stone["reason"], stone["actor"] or "–", _contents.moment(stone["time"])]
                for stone in found.tombstones
            ]
            blocks.append(Table(["deleted or redacted", "why", "by", "when"], rows))
    return Section("Ledger", blocks)


def _told(found: Verified) -> list[tuple[str, str | None]]:
    """What verifying found in the whole store, beside whether it fits; what is zero is left out."""
    counts = [
        ("Redacted values", found.redacted), ("of these without a tombstone", found.redacted_by_hand),
        ("Deleted parts", found.deleted), ("Parts not in this file", found.not_in_file),
        ("Sessions without an end", len(found.sessions_without_end)), ("Points dropped", found.dropped_points),
    ]  # fmt: skip
    told: list[tuple[str, str | None]] = [(label, f"{n:,}") for label, n in counts if n]
    return [*told, ("What it cannot prove", "\n".join(found.cannot_prove))]
