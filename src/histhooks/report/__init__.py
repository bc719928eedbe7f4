"""One run as one page of facts, for people who were not there: a colleague, a reviewer, an auditor.

>>> import histhooks
>>> from histhooks.report import report
>>> history = histhooks.History("histhooks.db")
>>> report(history.run("last"), "report.html")

The page is self-contained: it loads no script, no style sheet and no picture. Everything that came from a program is
escaped. It is readable in dark mode and on paper, too.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from histhooks._base.version import __version__
from histhooks.errors import QueryError, StoreError
from histhooks.report import _contents, _html, _markdown
from histhooks.report._blocks import Facts, Page, Section, Table, Text

if TYPE_CHECKING:
    from histhooks.history import RunRecord
    from histhooks.verify import Report as Verified

__all__ = ["page_of", "report"]

_WRITERS = {".html": _html.write, ".htm": _html.write, ".md": _markdown.write}


def report(run: RunRecord, path: str | os.PathLike[str], *, force: bool = False, with_verify: bool = True) -> Path:
    """Write a report of a run.

    Parameters
    ----------
    run : RunRecord
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


def page_of(run: RunRecord, *, with_verify: bool = True) -> Page:
    """What a report of a run says.

    Parameters
    ----------
    run : RunRecord
    with_verify : bool

    Returns
    -------
    Page
    """
    found, why = _verified(run) if with_verify else (None, "it was not asked for")
    row = run.row
    words = [row["kind"], row["framework"], row["framework_version"], row["project"] and f"project {row['project']}"]
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return Page(
        title=run.name,
        status=run.status,
        subtitle=" · ".join([word for word in words if word] + [run.id]),
        verdict=_verdict(found, why),
        highlights=_contents.highlights(run),
        sections=[*_contents.sections(run), _ledger(run, found, why)],
        foot=f"Written {now} from {run.history.path.name} by histhooks {__version__}. All times are UTC.",
    )


def _verified(run: RunRecord) -> tuple[Verified | None, str]:
    from histhooks.verify import verify

    try:
        return verify(run.history.path), ""
    except StoreError as error:
        return None, str(error)


def _verdict(found: Verified | None, why: str) -> Text:
    if found is None:
        return Text(f"This history was not verified: {why}.", "plain")
    if not found.ok:
        return Text(f"This history does not fit its ledger: {len(found.problems)} problems, listed at the end.", "bad")
    lines, rows = f"{found.lines:,} lines", f"{found.rows:,} rows"
    return Text(f"This history fits its ledger: {lines} over {rows} were computed again.", "good")


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
            blocks.append(Table(["what does not fit"], [[problem] for problem in found.problems[:100]]))
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
