"""Ask the checks about a run, one after another."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from datetime import date
from typing import TYPE_CHECKING

from histhooks._base.clock import now_us
from histhooks._host.store_location import is_strict
from histhooks.checks._case import Case
from histhooks.checks._config import Config
from histhooks.checks._registry import checks, plug_ins
from histhooks.checks._types import CannotTell, Check, Finding, Found, Said, Skip, Unknown, Verdict

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from histhooks.history._records import RunRecord

_RUN = ("id", "name", "kind", "framework", "model_class", "started_at")


def judge(
    run: RunRecord,
    *,
    names: Iterable[str],
    config: Config,
    fail_on: str,
    against: RunRecord | None = None,
) -> Verdict:
    """What the named checks say of a run."""
    case = Case(run, against)
    findings: list[Finding] = []
    passed, unknown, skipped, versions = list[str](), list[CannotTell](), dict[str, str](), dict[str, str]()
    own, others = checks(), None
    for name in names:
        if name in own:
            check = own[name]
            versions[name] = check.version
            said = _ask(check, case, {**check.thresholds, **config.thresholds.get(name, {})})
            told = [_finding(check, one, config.levels.get(name)) for one in said if isinstance(one, Found)]
            doubts = [CannotTell(name, one.why, one.advice, check.version) for one in said if isinstance(one, Unknown)]
            skips = [one.why for one in said if isinstance(one, Skip)]
        else:
            others = plug_ins() if others is None else others
            told, doubts, skips = _ask_plug_in(name, others[name], run)
            versions[name] = told[0].version if told else "1"
        findings += told
        unknown += doubts
        if skips and not told and not doubts:
            skipped[name] = skips[0]
        elif not told and not doubts:
            passed.append(name)
    findings.sort(key=lambda found: -found.rank)
    kept, waived = _without_waived(findings, run)
    facts = {**{key: run.row[key] for key in _RUN}, "status": run.status}
    return Verdict(facts, kept, waived, tuple(passed), tuple(unknown), skipped, fail_on, versions)


def _ask(check: Check, case: Case, at: Mapping[str, float]) -> list[Said]:
    """What one check says; a check that fails on odd rows costs its own answer only."""
    try:
        return list(check.judge(case, at))
    except sqlite3.Error:
        raise
    except Exception as error:
        if is_strict():
            raise
        return [Unknown(f"the check failed ({type(error).__name__}: {error})", "report it: it is a fault of histhooks")]


def _ask_plug_in(name: str, entry: EntryPoint, run: RunRecord) -> tuple[list[Finding], list[CannotTell], list[str]]:
    """What a check of another package says; one that cannot be loaded, or fails, costs its own answer."""
    package = f"report it to {entry.dist.name}" if entry.dist is not None else "report it to the package that brings it"
    try:
        function = entry.load()
    except Exception as error:
        why = f"it cannot be loaded from {entry.value} ({type(error).__name__}: {error})"
        return [], [CannotTell(name, why, f"{package}, or uninstall it")], []
    try:
        found = list(function(run))
    except Exception as error:
        why = f"the check failed ({type(error).__name__}: {error})"
        return [], [CannotTell(name, why, package)], []
    odd = [one for one in found if not isinstance(one, (Finding, Unknown, Skip))]
    if odd:
        why = f"the check gave {type(odd[0]).__name__}, no Finding"
        return [], [CannotTell(name, why, package)], []
    told = [one for one in found if isinstance(one, Finding)]
    doubts = [CannotTell(name, one.why, one.advice) for one in found if isinstance(one, Unknown)]
    return told, doubts, [one.why for one in found if isinstance(one, Skip)]


def _finding(check: Check, one: Found, level: str | None) -> Finding:
    return Finding(
        check.id, level or one.level, one.says, check.why, one.advice or check.advice, one.value, one.threshold,
        check.source, dict(one.evidence), check.version,
    )  # fmt: skip


def _without_waived(findings: list[Finding], run: RunRecord) -> tuple[tuple[Finding, ...], tuple[Finding, ...]]:
    """The findings, and those that somebody has waived until today or later."""
    if not findings:
        return (), ()
    today = date.fromtimestamp(now_us() / 1e6).isoformat()
    reasons: dict[str, str] = {}
    for row in run.waivers:
        if row["until"] is None or row["until"] >= today:
            who = f" by {row['author']}" if row["author"] else ""
            reasons[row["check_id"]] = f"{row['reason']} (waived{who}" + (
                f" until {row['until']})" if row["until"] else ")"
            )
    kept = tuple(found for found in findings if found.id not in reasons)
    return kept, tuple(_waive(found, reasons[found.id]) for found in findings if found.id in reasons)


def _waive(found: Finding, reason: str) -> Finding:
    from dataclasses import replace

    return replace(found, waived=reason)
