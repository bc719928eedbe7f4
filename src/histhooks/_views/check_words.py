"""What checks found, as texts and as the forms that programs of a CI read."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from histhooks._base.ids import short_id
from histhooks._base.text import plain
from histhooks._views.table import styled
from histhooks.checks._measured import sentence as measured
from histhooks.checks._types import FAIL, INFO, WARN, is_at_least

if TYPE_CHECKING:
    from histhooks.checks import CannotTell, Check, Finding, Verdict

STYLES = {FAIL: "failed", WARN: "interrupted", INFO: "dim"}
_LEAST, _MOST = 24, 120  # characters of a line of text, which is easier to read if it is not longer


def told(found: Finding) -> str:
    """The fact of a finding, without what would move a cursor."""
    return plain(found.says)


def counts(verdict: Verdict) -> str:
    """How many checks passed, do not apply and cannot tell."""
    n = len(verdict.does_not_apply)
    words = [f"{len(verdict.passed)} passed", f"{n} {'does' if n == 1 else 'do'} not apply"]
    unknown = len({one.id for one in verdict.cannot_tell})
    words += [f"{unknown} cannot tell"] if unknown else []
    words += [f"{len(verdict.waived)} waived"] if verdict.waived else []
    return " · ".join(words)


def summary(verdict: Verdict) -> str:
    """A verdict in few words: `1 fail, 2 warnings`; `nothing found`."""
    found = {level: len(verdict.of(level)) for level in (FAIL, WARN, INFO)}
    words = [f"{found[FAIL]} fail"] if found[FAIL] else []
    words += [f"{found[WARN]} warning{'s' if found[WARN] > 1 else ''}"] if found[WARN] else []
    words += [f"{found[INFO]} info"] if found[INFO] else []
    return ", ".join(words) or _quiet(verdict)


def screen(verdict: Verdict, room: int) -> list[str]:
    """The lines of one verdict, the worst finding first, none wider than there is room."""
    grave = [found for found in verdict.findings if found.level != INFO]
    room = min(room, _MOST)
    lines = []
    for found in grave:
        lines += _finding(found, room)
    for found in verdict.of(INFO):
        lines += _hanging("info", f"{found.id}: {told(found)}", room, INFO)
    for found in verdict.waived:
        lines += _hanging("waived", f"{found.id}: {told(found)}; {plain(found.waived or '')}", room, INFO)
    for why, ids, advice in grouped(verdict.cannot_tell):
        lines += _hanging("?", f"{', '.join(ids)}: cannot tell: {plain(why)}; next time: {advice}", room, INFO)
    if not grave:
        lines.insert(0, f"  {_quiet(verdict)}")
    return [*lines, f"  {counts(verdict)}"]


def _quiet(verdict: Verdict) -> str:
    """What a verdict without warnings and failures is called."""
    if verdict.findings:
        return "no warning, no failure"
    return "nothing found" if verdict.passed or verdict.waived else "nothing could be judged"


def is_silent(verdict: Verdict) -> bool:
    """Whether it has neither findings nor checks that cannot tell."""
    return not (verdict.findings or verdict.waived or verdict.cannot_tell)


def totals(verdicts: Sequence[Verdict], n_hidden: int) -> list[str]:
    """How many runs have a finding, and how many are not shown one by one."""
    bad = sum(verdict.code == 1 for verdict in verdicts)
    warned = sum(verdict.code == 0 and verdict.worst == WARN for verdict in verdicts)
    text = f"{len(verdicts)} runs, {bad or 'none'} with a finding at or above {verdicts[0].fail_on}"
    lines = [text + (f", {warned} with a warning" if warned else "")]
    if n_hidden:
        unjudged = sum(verdict.code == 2 for verdict in verdicts if is_silent(verdict))
        told = [f"{n_hidden - unjudged} with nothing found"] if n_hidden > unjudged else []
        told += [f"{unjudged} to which none of the checks applies"] if unjudged else []
        lines.append(f"  not shown: {', '.join(told)}")
    return lines


def grouped(found: Sequence[CannotTell]) -> list[tuple[str, list[str], str]]:
    """Checks that cannot tell for one reason stand in one line."""
    out: dict[tuple[str, str], list[str]] = {}
    for one in found:
        out.setdefault((one.why, one.advice), []).append(one.id)
    return [(why, ids, advice) for (why, advice), ids in out.items()]


def _finding(found: Finding, room: int) -> list[str]:
    """The fact; below it why it matters, and what to do next."""
    lines = _hanging(found.level, f"{found.id}: {told(found)}", room, found.level)
    for text in (found.why, f"→ {found.advice}" if found.advice else ""):
        lines += textwrap.wrap(text, max(_LEAST, room), initial_indent=" " * 10, subsequent_indent=" " * 10)
    return lines


def _hanging(head: str, text: str, room: int, level: str) -> list[str]:
    first = f"  {head:<6}  "
    lines = textwrap.wrap(text, max(_LEAST, room), initial_indent=first, subsequent_indent=" " * len(first)) or [first]
    if level == INFO:
        return lines
    return [f"  {styled(f'{head:<6}', STYLES[level])}  {lines[0][len(first) :]}", *lines[1:]]


def records(verdict: Verdict) -> list[str]:
    """A line for each finding, with all of it, for grep and awk."""
    run = short_id(verdict.run["id"])
    lines = [
        f"{run}  {found.level:<4}  {found.id}  {told(found)}" + (f"  → {found.advice}" if found.level != INFO else "")
        for found in verdict.findings
    ]
    lines += [f"{run}  waived  {found.id}  {told(found)}  {plain(found.waived or '')}" for found in verdict.waived]
    lines += [f"{run}  ?     {one.id}  cannot tell: {plain(one.why)}  → {one.advice}" for one in verdict.cannot_tell]
    return [*lines, f"{run}  {counts(verdict)}"]


def title(verdict: Verdict) -> str:
    """Which run it is of."""
    run = verdict.run
    return f"{plain(run['name'])}  {run['kind']}  {run['status']}  {short_id(run['id'])}"


def explained(check: Check) -> list[tuple[str, str]]:
    """All that is known of a check, as labels and texts."""
    limits = ", ".join(f"{name} {value:g}" for name, value in check.thresholds.items())
    return [
        ("says", check.title), ("levels", ", ".join(check.levels)), ("rule", check.rule), ("thresholds", limits),
        ("source", check.source), ("needs", check.needs), ("why", check.why), ("advice", check.advice),
        ("found in", check.triggers), ("silent in", check.is_silent), ("not seen", check.limits),
        ("measured", measured(check.id)), ("version", check.version),
    ]  # fmt: skip


def github(verdicts: Iterable[Verdict]) -> list[str]:
    """Workflow commands of GitHub, a line for each finding."""
    words = {FAIL: "error", WARN: "warning", INFO: "notice"}
    return [
        f"::{words[found.level]} title={_property(found.id)}::"
        + _data(f"{verdict.run['name']} {short_id(verdict.run['id'])}: {found.says}. {found.advice}")
        for verdict in verdicts
        for found in verdict.findings
    ]


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def junit(verdicts: Sequence[Verdict]) -> str:
    """A report in the form of JUnit: a suite for each run, a case for each check."""
    from xml.etree import ElementTree as tree

    suites = tree.Element("testsuites", name="histhooks check")
    for verdict in verdicts:
        by_check: dict[str, list[Finding]] = {}
        for found in verdict.findings:
            by_check.setdefault(found.id, []).append(found)
        unknown = {one.id: one for one in verdict.cannot_tell}
        waived = {found.id: found for found in verdict.waived}
        failed = {
            name for name, rows in by_check.items() if any(is_at_least(row.level, verdict.fail_on) for row in rows)
        }
        skipped = {name for name in (*unknown, *verdict.does_not_apply) if name not in by_check}
        name = _legal(f"{verdict.run['name']} {short_id(verdict.run['id'])}")
        suite = tree.SubElement(
            suites, "testsuite", name=name, tests=str(len(verdict.versions)), failures=str(len(failed)),
            errors="0", skipped=str(len(skipped)), timestamp=str(verdict.run["started_at"]),
        )  # fmt: skip
        for check in verdict.versions:
            case = tree.SubElement(suite, "testcase", classname=f"histhooks.{check.partition('.')[0]}", name=check)
            text = "\n".join(f"{row.level}: {row.says}\n{row.why}\n{row.advice}" for row in by_check.get(check, ()))
            if check in failed:
                first = by_check[check][0]
                tree.SubElement(case, "failure", type=first.level, message=_legal(first.says)).text = _legal(text)
            elif check in by_check or check in waived:
                told = text or f"waived: {waived[check].says}; {waived[check].waived}"
                tree.SubElement(case, "system-out").text = _legal(told)
            elif check in skipped:
                why = f"cannot tell: {unknown[check].why}" if check in unknown else verdict.does_not_apply[check]
                tree.SubElement(case, "skipped", message=_legal(why))
    tree.indent(suites)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + tree.tostring(suites, encoding="unicode") + "\n"


def _legal(text: str) -> str:
    """A text without signs that XML does not have."""
    return re.sub("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "\N{REPLACEMENT CHARACTER}", text)


def labelled(label: str, text: str, room: int) -> list[str]:
    """A label and its text, wrapped beside it; nothing for an empty text."""
    first = f"  {label:<10}  "
    return textwrap.wrap(text, max(_LEAST, room), initial_indent=first, subsequent_indent=" " * len(first))
