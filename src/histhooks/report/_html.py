"""A report as one self-contained HTML page."""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import escape

from histhooks._base.text import plain
from histhooks.report._blocks import Block, Code, Columns, Curves, Facts, Page, Section, Table, Text

# Nothing is loaded and nothing runs, whatever stands on the page
# (https://developer.mozilla.org/en-US/docs/Web/HTTP/Guides/CSP).
POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --dim: #5b6570; --line: #dfe3e8; --ground: #ffffff;
  --panel: #f6f7f9; --accent: #2457a6; --good: #1a6b35; --good-ground: #e7f5ea; --bad: #a4262c; --bad-ground: #fdecea;
  --doubt: #8a5a00;
  --add: #e3f6e7; --del: #fde8e8; }
@media (prefers-color-scheme: dark) { :root { --ink: #e3e6ea; --dim: #9aa4af; --line: #333a43; --ground: #14171b;
  --panel: #1c2127; --accent: #8ab4f8; --good: #7fd69a; --good-ground: #15301f; --bad: #ff9a94; --bad-ground: #3a1b1d;
  --doubt: #e8b25a;
  --add: #12351f; --del: #43201f; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", "Liberation Sans", sans-serif; }
main { max-width: 62rem; margin: 0 auto; padding: 2.2rem 1.5rem 3rem; }
header { border-bottom: 2px solid var(--ink); padding-bottom: 1rem; }
.kicker { text-transform: uppercase; letter-spacing: .12em; font-size: .72rem; color: var(--dim); margin: 0; }
h1 { font-size: 1.75rem; line-height: 1.25; margin: .3rem 0 .2rem; overflow-wrap: anywhere; }
h2 { font-size: 1.08rem; margin: 2.2rem 0 .6rem; padding-bottom: .25rem; border-bottom: 1px solid var(--line); }
h3 { font-size: .85rem; margin: 1rem 0 .3rem; color: var(--dim); font-weight: 600; overflow-wrap: anywhere; }
.subtitle { color: var(--dim); margin: 0; font-size: .87rem; overflow-wrap: anywhere; }
.status { display: inline-block; vertical-align: .25em; margin-left: .5rem; padding: .1rem .6rem; border-radius: 1rem;
  font-size: .78rem; font-weight: 600; border: 1px solid currentColor; color: var(--dim); }
.status.finished { color: var(--good); } .status.running { color: var(--accent); }
.status.warn { color: var(--doubt); }
.status.failed, .status.killed, .status.lost, .status.fail { color: var(--bad); }
.verdict { margin: 1rem 0 0; padding: .55rem .9rem; border-left: 4px solid var(--dim); background: var(--panel); }
.verdict.good { border-color: var(--good); background: var(--good-ground); color: var(--good); }
.verdict.bad { border-color: var(--bad); background: var(--bad-ground); color: var(--bad); font-weight: 600; }
.cards { display: flex; flex-wrap: wrap; gap: .6rem; margin: 1rem 0 0; padding: 0; list-style: none; }
.cards li { flex: 1 1 8rem; background: var(--panel); border: 1px solid var(--line); border-radius: 6px;
  padding: .5rem .8rem; }
.cards b { display: block; font-size: 1.12rem; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
.cards span { color: var(--dim); font-size: .78rem; overflow-wrap: anywhere; }
dl { display: grid; grid-template-columns: minmax(8rem, 11rem) 1fr; gap: .22rem 1.2rem; margin: .4rem 0; }
dt { color: var(--dim); font-size: .87rem; }
dd { margin: 0; overflow-wrap: anywhere; white-space: pre-wrap; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; margin: .5rem 0 1rem; font-size: .84rem; }
th { text-align: left; color: var(--dim); font-weight: 600; font-size: .76rem; border-bottom: 1px solid var(--line); }
th, td { padding: .28rem .9rem .28rem 0; vertical-align: top; overflow-wrap: break-word;
  white-space: pre-wrap; }
td { max-width: 30rem; border-bottom: 1px solid var(--line); } tr:last-child td { border-bottom: 0; }
th { white-space: nowrap; } .n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
tr.faint td { color: var(--dim); } td:first-child { min-width: 6rem; } td.hash { font-family: ui-monospace, monospace;
  font-size: .72rem; word-break: break-all; min-width: 9rem; }
td.spark { white-space: nowrap; padding-right: 0; color: var(--accent); }
p { margin: .4rem 0; white-space: pre-wrap; overflow-wrap: anywhere; }
p.faint, footer { color: var(--dim); font-size: .84rem; } p.good { color: var(--good); } p.bad { color: var(--bad); }
pre { margin: .2rem 0 1rem; padding: .7rem .9rem; background: var(--panel); border: 1px solid var(--line);
  border-radius: 6px; overflow: auto; max-height: 36rem; font: .76rem/1.45 ui-monospace, "Liberation Mono", monospace; }
pre span { display: block; } pre .add { background: var(--add); } pre .del { background: var(--del); }
pre .at { color: var(--accent); } pre .file { font-weight: 700; }
.columns { columns: 15rem; column-gap: 1.5rem; font-size: .78rem; margin: .6rem 0; padding: 0; list-style: none; }
.columns li { break-inside: avoid; overflow-wrap: anywhere; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(24rem, 1fr)); gap: 1rem; margin: 1rem 0; }
.charts > div { border: 1px solid var(--line); border-radius: 6px; padding: .6rem; min-width: 0; break-inside: avoid; }
.charts svg { width: 100%; height: auto; display: block; }
footer { margin-top: 2.5rem; border-top: 1px solid var(--line); padding-top: .7rem; }
@page { size: A4; margin: 16mm 15mm; }
@media print { :root { color-scheme: light; --ink: #000; --dim: #444; --line: #ccc; --ground: #fff; --panel: #f7f7f7;
    --accent: #2457a6; --good: #1a6b35; --good-ground: #fff; --doubt: #8a5a00; --bad: #a4262c; --bad-ground: #fff;
    --add: #e3f6e7; --del: #fde8e8; }
  body { font-size: 10pt; } main { max-width: none; padding: 0; } pre { max-height: none; white-space: pre-wrap;
    overflow-wrap: anywhere; } table { font-size: 8.5pt; } .columns { columns: 11rem; font-size: 8pt; }
  .scroll { overflow: visible; } h2, h3, th { break-after: avoid; } tr { break-inside: avoid; }
  .charts { grid-template-columns: 1fr 1fr; } }
@media (max-width: 40rem) { main { padding: 1.2rem .8rem; } dl { grid-template-columns: 1fr; gap: 0; }
  dd { margin-bottom: .5rem; } .charts { grid-template-columns: 1fr; } }
"""
_HASH = re.compile(r"[0-9a-f]{40,64}")


def _escape(text: str) -> str:
    return escape(plain(text), quote=True)


def write(page: Page) -> str:
    """The report as text."""
    return frame(
        title=page.title, heading=page.title, kicker=f"Record of a {page.kind}", status=page.status,
        subtitle=page.subtitle, verdict=page.verdict.text, tone=page.verdict.tone, cards=page.highlights,
        body="".join(_section(section) for section in page.sections), foot=page.foot, alarms=page.alarms,
    )  # fmt: skip


def frame(
    *, title: str, heading: str, kicker: str, status: str, subtitle: str, verdict: str, tone: str,
    cards: Iterable[tuple[str, str]], body: str, foot: str, style: str = "", alarms: str = "",
) -> str:  # fmt: skip
    """A page with a head, a status, a verdict and figures; all is escaped but the body.

    Parameters
    ----------
    title, heading, kicker, status, subtitle, verdict, foot : str
    tone : str
        Class of the verdict.
    cards : iterable of (str, str)
        Labels and values.
    body : str
        HTML.
    style : str
        CSS beside that of all pages.
    alarms : str
        What checks found, beside the status.
    """
    grade = "fail" if "fail" in alarms else "warn"
    alarm = f' <span class="status {grade}">{_escape(alarms)}</span>' if alarms else ""
    figures = "".join(f"<li><b>{_escape(value)}</b><span>{_escape(label)}</span></li>" for label, value in cards)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{escape(POLICY)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="generator" content="histhooks">
<title>{_escape(title)}</title>
<style>{STYLE}{style}</style>
</head>
<body>
<main>
<header>
<p class="kicker">{_escape(kicker)}</p>
<h1>{_escape(heading)} <span class="status {_escape(status)}">{_escape(status)}</span>{alarm}</h1>
<p class="subtitle">{_escape(subtitle)}</p>
<p class="verdict {_escape(tone)}">{_escape(verdict)}</p>
<ul class="cards">{figures}</ul>
</header>
{body}
<footer>{_escape(foot)}</footer>
</main>
</body>
</html>
"""


def _section(section: Section) -> str:
    blocks = "\n".join(_block(block) for block in section.blocks)
    return f"<section>\n<h2>{_escape(section.title)}</h2>\n{blocks}\n</section>\n"


def _block(block: Block) -> str:
    match block:
        case Facts(rows):
            pairs = (f"<dt>{_escape(label)}</dt><dd>{_escape(value)}</dd>" for label, value in rows if value)
            return f"<dl>{''.join(pairs)}</dl>"
        case Table():
            return _table(block)
        case Code(text, language, title):
            head = f"<h3>{_escape(title)}</h3>" if title else ""
            return f"{head}<pre>{_diff(text) if language == 'diff' else _escape(text)}</pre>"
        case Columns(words):
            return f'<ul class="columns">{"".join(f"<li>{_escape(word)}</li>" for word in words)}</ul>'
        case Curves(svgs):
            return f'<div class="charts">{"".join(f"<div>{svg}</div>" for svg in svgs)}</div>'
        case Text(text, tone):
            return f'<p class="{tone}">{_escape(text)}</p>'


def _table(table: Table) -> str:
    marks = [' class="n"' if column in table.numbers else "" for column in range(len(table.head))]
    head = "".join(f"<th{mark}>{_escape(cell)}</th>" for mark, cell in zip(marks, table.head))
    rows = []
    for number, row in enumerate(table.rows):
        cells = []
        for mark, cell in zip(marks, row):
            kind = ' class="hash"' if _HASH.fullmatch(cell) else mark
            cells.append(f"<td{kind}>{_escape(cell)}</td>")
        spark = f'<td class="spark">{table.sparks[number]}</td>' if table.sparks else ""
        faint = ' class="faint"' if number in table.faint else ""
        rows.append(f"<tr{faint}>{''.join(cells)}{spark}</tr>")
    curve = "<th>curve</th>" if table.sparks else ""
    return (
        f'<div class="scroll"><table><thead><tr>{head}{curve}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'
    )


def _diff(text: str) -> str:
    """A patch with its lines coloured by what they do."""
    out = []
    for line in text.splitlines():
        if line.startswith(("diff ", "--- ", "+++ ", "index ", "new file", "deleted file")):
            kind = "file"
        else:
            kind = {"+": "add", "-": "del", "@": "at"}.get(line[:1], "")
        out.append(f'<span class="{kind}">{_escape(line) or " "}</span>')
    return "".join(out)
