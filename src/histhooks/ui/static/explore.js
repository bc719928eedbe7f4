// Many runs at once: a brush along an axis writes the filter, and a run stands out in both pictures and in the table.
const form = document.getElementById("explore");
const pictures = [...document.querySelectorAll(".graph")];
for (const hint of document.querySelectorAll(".brushes")) hint.hidden = false;

// --- one run ---
function light(id) {
  for (const each of document.querySelectorAll(".near")) each.classList.remove("near");
  for (const picture of pictures) picture.classList.toggle("lit", Boolean(id));
  if (!id) return;
  for (const each of document.querySelectorAll(`[data-run="${CSS.escape(id)}"] > *, [data-row="${CSS.escape(id)}"]`)) each.classList.add("near");
}
for (const each of document.querySelectorAll(".graph [data-run], [data-row]")) {
  const id = each.dataset.run || each.dataset.row;
  each.addEventListener("pointerenter", () => light(id));
  each.addEventListener("pointerleave", () => light(null));
  each.addEventListener("focusin", () => light(id));
  each.addEventListener("focusout", () => light(null));
}

// --- the brush ---
const outward = (value, up) => {
  if (!value || !Number.isFinite(value)) return String(value);
  const unit = 10 ** (Math.floor(Math.log10(Math.abs(value))) - 3);
  return String(Number(((up ? Math.ceil : Math.floor)(value / unit) * unit).toPrecision(6)));
};
const plain = (text) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
function condition(axis, a, b) {
  const { name, low, high, log, from, to } = axis.dataset;
  const [start, stop] = [Number(from), Number(to)];
  const shares = [a, b].map((at) => Math.min(1, Math.max(0, (at - start) / (stop - start)))).sort((p, q) => p - q);
  if (low === "") {
    const [least, greatest] = [Math.min(a, b), Math.max(a, b)];
    const kept = [...axis.querySelectorAll("[data-literal]")].filter((tick) => tick.dataset.literal && tick.dataset.at >= least && tick.dataset.at <= greatest);
    return kept.length ? `${name} in (${kept.map((tick) => tick.dataset.literal).join(", ")})` : "";
  }
  const [from_, to_] = log ? [Math.log10(low), Math.log10(high)] : [Number(low), Number(high)];
  const value = (share) => (log ? 10 ** (from_ + share * (to_ - from_)) : from_ + share * (to_ - from_));
  return `${name} >= ${outward(value(shares[0]), false)} and ${name} <= ${outward(value(shares[1]), true)}`;
}
function without(where, name) {
  // What an earlier brush on this axis wrote.
  const word = plain(name), own = new RegExp(`(?:${word} >= \\S+ and ${word} <= [^\\s)]+|${word} in \\([^)]*\\))`, "g");
  return where.replace(own, "\u0000").replace(/\s+and\s+\u0000|\u0000\s+and\s+|\u0000/g, "").trim();
}
function write(conditions) {
  const field = form.elements.where;
  let where = field.value.trim();
  for (const [axis, text] of conditions) {
    where = without(where, axis.dataset.name);
    if (!text) continue;
    if (/\bor\b|\|/i.test(where) && !/^\([^()]*\)(?: and .*)?$/i.test(where)) where = `(${where})`;
    where = where ? `${where} and ${text}` : text;
  }
  field.value = where;
  form.requestSubmit();
}
for (const picture of pictures) {
  const svg = picture.querySelector("svg");
  if (!picture.querySelector(".hold")) continue;
  picture.classList.add("brushing");
  const at = (event) => {
    const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
    return { x: point.x, y: point.y };
  };
  for (const hold of svg.querySelectorAll(".hold")) {
    const one = hold.closest(".axis");
    const axes = one ? [one] : [...svg.querySelectorAll(".axis")];
    let begin = null, brush = null;
    hold.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      event.preventDefault();
      begin = at(event);
      hold.setPointerCapture(event.pointerId);
      brush = document.createElementNS("http://www.w3.org/2000/svg", "rect");
      brush.setAttribute("class", "brush");
      svg.append(brush);
    });
    hold.addEventListener("pointermove", (event) => {
      if (!begin) return;
      const now = at(event), box = hold.getBBox();
      const span = (way) => [Math.max(Math.min(begin[way], now[way]), box[way]), Math.min(Math.max(begin[way], now[way]), box[way] + (way === "x" ? box.width : box.height))];
      const [left, right] = one ? [box.x + 10, box.x + box.width - 10] : span("x");
      const [top, bottom] = span("y");
      brush.setAttribute("x", left); brush.setAttribute("y", top);
      brush.setAttribute("width", Math.max(0, right - left)); brush.setAttribute("height", Math.max(0, bottom - top));
    });
    const end = (event) => {
      if (!begin) return;
      const start = begin, now = at(event);
      begin = null;
      brush.remove();
      if (event.type === "pointercancel") return;
      const isDrag = Math.abs(now.x - start.x) > 4 || Math.abs(now.y - start.y) > 4;
      write(axes.map((axis) => [axis, isDrag ? condition(axis, start[axis.dataset.way], now[axis.dataset.way]) : ""]));
    };
    hold.addEventListener("pointerup", end);
    hold.addEventListener("pointercancel", end);
  }
}
