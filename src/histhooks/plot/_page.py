"""A chart as one page that loads nothing else and shows values under the pointer."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

from histhooks._views.spark import escaped
from histhooks.plot._scales import short
from histhooks.plot._svg import Frame, inside

if TYPE_CHECKING:
    from histhooks.plot._drawing import Drawing

_STYLE = """
:root { color-scheme: light dark; }
body { margin: 2rem auto; max-width: 64rem; padding: 0 1rem; font: 15px/1.5 system-ui, sans-serif;
       color: #222; background: #fff; }
h1 { font-size: 1.2rem; }
svg { width: 100%; height: auto; }
table { border-collapse: collapse; margin-top: 1rem; font-size: 13px; }
th, td { padding: .2rem .9rem .2rem 0; text-align: right; font-variant-numeric: tabular-nums; }
th:first-child, td:first-child { text-align: left; }
.notes { font-size: 13px; opacity: .75; }
#tip { position: absolute; display: none; pointer-events: none; padding: .3rem .6rem; border-radius: 4px;
       font-size: 12px; white-space: pre; background: #222; color: #fff; }
@media (prefers-color-scheme: dark) {
  body { color: #ddd; background: #16181c; }
  #tip { background: #eee; color: #111; }
}
@media print { #tip { display: none !important; } }
"""
_SCRIPT = """
const curves = JSON.parse(document.getElementById("points").textContent);
const svg = document.querySelector("svg"), tip = document.getElementById("tip"), rule = document.getElementById("rule");
function nearest(places, x) {
  let low = 0, high = places.length - 1;
  while (high - low > 1) { const middle = (low + high) >> 1; if (places[middle] < x) low = middle; else high = middle; }
  return Math.abs(places[low] - x) < Math.abs(places[high] - x) ? low : high;
}
svg.addEventListener("pointermove", (event) => {
  const frame = svg.getBoundingClientRect(), x = (event.clientX - frame.left) * svg.viewBox.baseVal.width / frame.width;
  const found = curves.filter((c) => c.px.length).map((c) => [c, nearest(c.px, x)]);
  if (!found.length) return;
  const place = found.reduce((a, [c, n]) => Math.abs(c.px[n] - x) < Math.abs(a - x) ? c.px[n] : a, Infinity);
  rule.setAttribute("d", `M${place} ${rule.dataset.top}V${rule.dataset.bottom}`);
  tip.textContent = found.map(([c, n]) => `${c.label}: ${c.y[n]} ${c.x[n]}`).join("\\n");
  tip.style.display = "block";
  tip.style.left = Math.min(event.pageX + 14, document.documentElement.clientWidth - tip.offsetWidth - 8) + "px";
  tip.style.top = event.pageY + 14 + "px";
});
svg.addEventListener("pointerleave", () => { tip.style.display = "none"; rule.setAttribute("d", ""); });
"""


def page(chart: Drawing, width: int, height: int) -> str:
    """A chart as one HTML page."""
    frame = Frame(chart, width, height, has_notes=False)
    rule = (
        f'<path id="rule" d="" data-top="{frame.top}" data-bottom="{frame.bottom}" stroke="currentColor" '
        'opacity="0.4" stroke-dasharray="3 3"/>'
    )
    drawn = "\n".join([*inside(chart, frame), rule])
    notes = "".join(f"<li>{escaped(note)}</li>" for note in chart.notes)
    title = escaped(chart.title)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>{title}</h1>
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="system-ui, sans-serif" \
font-size="12" role="img" aria-label="{title}">
{drawn}
</svg>
{_table(chart, frame)}
{f'<ul class="notes">{notes}</ul>' if notes else ""}
<div id="tip" role="status"></div>
<script type="application/json" id="points">{_points(chart, frame)}</script>
<script>{_SCRIPT}</script>
</body>
</html>
"""


def _table(chart: Drawing, frame: Frame) -> str:
    rows = []
    for number, curve in enumerate(chart.curves):
        best = "–" if curve.best is None else f"{short(curve.best[1])} {chart.x_text(curve.best[0])}"
        dot = f'<span style="color:{frame.looks[number][0]}">●</span>'
        cells = [f"{curve.count:,}", short(curve.last[1]), best, f"{curve.nonfinite:,}"]
        listed = "".join(f"<td>{escaped(cell)}</td>" for cell in cells)
        rows.append(f"<tr><td>{dot} {escaped(curve.label)}</td>{listed}</tr>")
    head = "".join(f"<th>{word}</th>" for word in ("curve", "points", "last", "best", "not finite"))
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _points(chart: Drawing, frame: Frame) -> str:
    curves = []
    for curve in chart.curves:
        known = [(x, y) for x, y in zip(curve.main.x, curve.main.y) if frame.has(x, y) or not math.isfinite(y)]
        known = sorted((pair for pair in known if pair[0] > 0 or not frame.x_scale.is_log), key=lambda pair: pair[0])
        curves.append(
            {
                "label": curve.label,
                "px": [round(frame.x(x), 1) for x, _ in known],
                "x": [chart.x_text(x) for x, _ in known],
                "y": [f"{y:.6g}" for _, y in known],
            }
        )
    # A name must not end the element that it stands in.
    return json.dumps(curves, ensure_ascii=False, separators=(",", ":")).replace("</", "<\\/").replace("<!", "<\\u0021")
