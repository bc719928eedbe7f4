// The table of runs: a menu on each cell, groups that open in place, and a filter box that completes names.
const $ = (id) => document.getElementById(id);
const main = $("main");
const readable = (search) => search.replaceAll("%2C", ",").replaceAll("%3A", ":").replaceAll("%2F", "/");
function moved(changes) {
  const url = new URL(location.href);
  for (const [name, value] of Object.entries({ after: null, ...changes })) if (value === null || value === "") url.searchParams.delete(name); else url.searchParams.set(name, value);
  url.search = readable(url.search);
  return url;
}
const go = (changes) => { location.href = moved(changes).href; };
const asked = (name) => new URL(location.href).searchParams.get(name);
const words = (name) => { const text = asked(name) || ""; return text ? text.match(/(?:\\.|[^,\\])+/g).map((word) => word.replace(/\\(.)/g, "$1")) : []; };
const listed = (found) => found.map((word) => word.replace(/[\\,]/g, "\\$&")).join(",");

// --- what a filter says ---
const isNumber = (text) => /^-?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text) || /^-?inf$/.test(text);
function quoted(text) {
  if (isNumber(text) || /^(true|false)$/.test(text)) return text;
  const quote = ['"', "'"].find((sign) => !text.includes(sign));
  return quote ? `${quote}${text}${quote}` : null;
}
function written(name) {
  const [head, ...rest] = name.split("."), inQuotes = (text) => text.includes('"') ? `'${text}'` : `"${text}"`;
  const prefixes = ["params", "results", "tags", "metrics"], plain = /^[^\s()<>=!~,"'&|]+$/;
  if (prefixes.includes(head) && rest.length) return plain.test(rest.join(".")) ? name : `${head}.${inQuotes(rest.join("."))}`;
  if (plain.test(name)) return name;
  const stat = /\.(best|last|first|min|max|count|nonfinite|at_\d+)$/.exec(name);
  return stat ? `metrics.${inQuotes(name.slice(0, stat.index))}${stat[0]}` : `metrics.${inQuotes(name)}`;
}
function condition(name, value, isNot) {
  if (value === "") return isNot ? `${written(name)} is not null` : `${written(name)} is null`;
  const text = name === "started_at" ? value : quoted(value);
  return text === null ? null : `${written(name)} ${isNot ? "!=" : "="} ${text}`;
}
function joined(more) {
  const old = asked("where")?.trim() || "";
  return !old ? more : /\bor\b|\|/i.test(old) ? `(${old}) and ${more}` : `${old} and ${more}`;
}

// --- the menu of a cell ---
let popup = null, opener = null;
function close(isBack) {
  popup?.remove();
  popup = null;
  if (isBack) opener?.focus();
}
function cellOf(target) {
  const word = target.closest(".words [data-name], .words [data-f]");
  if (word) {
    const key = word.firstChild.textContent;
    return { name: word.dataset.name ?? (key.startsWith("#") ? `tags.${key.slice(1)}` : `params.${key}`), value: word.dataset.v ?? word.lastChild.textContent, place: word };
  }
  const cell = target.closest("table.runs td:not(.pick):not(.differs), table.runs thead th[data-name], table.runs tbody th.name, #groups thead th[data-name]");
  if (!cell) return null;
  const row = cell.parentElement, index = [...row.children].indexOf(cell), head = cell.closest("table").tHead.rows[0].cells[index];
  const name = cell.dataset.name || head?.dataset.name || "";
  if (cell.closest("thead")) return { name, head: cell, place: cell };
  const own = cell.querySelector("b")?.textContent || [...cell.childNodes].filter((node) => node.nodeType === 3).map((node) => node.textContent).join("").trim();
  const value = cell.matches("th.name") ? cell.querySelector("a").textContent : cell.dataset.v ?? cell.querySelector("time")?.dateTime ?? (own || cell.textContent.trim());
  return { name, value, place: cell, row };
}
function items(found) {
  const { name, value, head, row } = found, out = [], cols = words("cols"), group = words("group"), pin = words("pin"), base = asked("base");
  if (row?.dataset.short && found.place.matches("th.name")) {
    const id = row.dataset.short;
    out.push(["Copy id", () => copy(row.dataset.run)]);
    out.push(pin.includes(id) ? ["Unpin", () => go({ pin: listed(pin.filter((each) => each !== id)) })] : ["Pin on top", () => go({ pin: listed([...pin, id]) })]);
    out.push(base === id ? ["No differences", () => go({ base: null })] : ["Show differences to this run", () => go({ base: id })]);
  }
  if (!head && value) out.push(["Copy value", () => copy(value)]);
  if (!name) return out;
  if (!head && value !== undefined && name !== "count") for (const [text, isNot] of [[value === "" ? "Only runs without it" : "Only this", false], [value === "" ? "Only runs with it" : "Not this", true]]) {
    const more = condition(name, value, isNot);
    if (more) out.push([text, () => go({ where: joined(more) }), more]);
  }
  out.push(["Sort by it", () => go({ sort: name, reverse: null })]);
  const also = head?.querySelector("a")?.dataset.also;
  if (also && asked("sort")) out.push(["Sort by it, too", () => location.assign(also)]);
  if (head?.querySelector(".grip")) {
    for (const [text, by] of [["Wider", 40], ["Narrower", -40]]) out.push([text, () => resize(name, head.offsetWidth + by)]);
    if (widths[name]) out.push(["As wide as it needs", () => resize(name, 0)]);
  }
  if (name !== "count") {
    if (!group.includes(name)) out.push([group.length ? "Group by it, too" : "Group by it", () => go({ group: listed([...group, name]), sort: null, open: null })]);
    const at = cols.indexOf(name);
    if (at >= 0) {
      const swap = (by) => { const next = [...cols]; [next[at], next[at + by]] = [next[at + by], next[at]]; go({ cols: listed(next) }); };
      if (at > 0) out.push(["Move left", () => swap(-1)]);
      if (at + 1 < cols.length) out.push(["Move right", () => swap(1)]);
      out.push(["Remove column", () => go({ cols: listed(cols.filter((each) => each !== name)) })]);
    } else if (!["name", "status", "started_at", "duration_s", "project"].includes(name)) out.push(["Add as column", () => go({ cols: listed([...cols, name]) })]);
  }
  return out;
}
const copy = (text) => navigator.clipboard?.writeText(text).catch(() => {});
function open(found, target) {
  close();
  const actions = items(found);
  if (!actions.length) return;
  opener = target;
  popup = document.createElement("div");
  popup.className = "popup"; popup.setAttribute("role", "menu");
  const title = document.createElement("p");
  title.textContent = [found.name, found.value].filter(Boolean).join(" = ").slice(0, 120) || "run";
  popup.append(title);
  for (const [text, action, hint] of actions) {
    const button = document.createElement("button");
    button.type = "button"; button.setAttribute("role", "menuitem"); button.textContent = text; if (hint) button.title = hint;
    button.addEventListener("click", () => { close(true); action(); });
    popup.append(button);
  }
  document.body.append(popup);
  const box = found.place.getBoundingClientRect();
  popup.style.left = `${Math.max(8, Math.min(box.left + scrollX, scrollX + innerWidth - popup.offsetWidth - 8))}px`;
  popup.style.top = `${box.bottom + popup.offsetHeight + 8 > innerHeight && box.top > popup.offsetHeight ? box.top + scrollY - popup.offsetHeight - 4 : box.bottom + scrollY + 4}px`;
  popup.querySelector("button").focus();
  popup.addEventListener("keydown", (event) => {
    const all = [...popup.querySelectorAll("button")], at = all.indexOf(document.activeElement);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: all.length - 1 }[event.key];
    if (to !== undefined) { event.preventDefault(); all[(to + all.length) % all.length].focus(); }
    if (event.key === "Escape" || event.key === "Tab") { event.preventDefault(); close(true); }
    event.stopPropagation();
  });
}
main?.addEventListener("click", (event) => {
  if (event.target.closest("a, input, button, summary, .grip") || getSelection().toString()) return;
  const found = cellOf(event.target);
  if (found) { event.stopPropagation(); open(found, found.place); }
});
main?.addEventListener("click", (event) => {  // Shift on a head sorts by it, too
  const link = event.shiftKey && event.target.closest("thead a[data-also]");
  if (link) { event.preventDefault(); location.assign(link.dataset.also); }
}, true);
main?.addEventListener("contextmenu", (event) => {  // on a head, whose click sorts
  const head = event.target.closest("thead th[data-name]");
  if (head && !event.shiftKey) { event.preventDefault(); open(cellOf(head), head.querySelector("a")); }
});
document.addEventListener("click", (event) => { if (popup && !popup.contains(event.target)) close(); });
// Arrow keys walk over the cells of the row that `j` and `k` chose; Enter opens the menu of one.
document.addEventListener("keydown", (event) => {
  const row = document.activeElement?.closest?.("table.runs tbody tr");
  if (!row || event.target.closest("input, select, textarea") || event.ctrlKey || event.metaKey || event.altKey) return;
  const cells = [...row.querySelectorAll("th.name, td:not(.pick)")], here = cells.findIndex((cell) => cell.contains(document.activeElement));
  if (event.key === "ArrowRight" || event.key === "ArrowLeft") {
    const cell = cells[here + (event.key === "ArrowRight" ? 1 : -1)];
    if (!cell) return;
    event.preventDefault();
    const target = cell.matches(".name") ? cell.querySelector("a") : cell;
    if (target === cell) cell.tabIndex = -1;
    target.focus();
  } else if ((event.key === "Enter" && document.activeElement === cells[here]) || (event.key === "o" && !document.body.matches(".keys-off"))) {
    const found = cellOf(document.activeElement.querySelector(".words [data-name], .words [data-f]") || document.activeElement);
    if (found) { event.preventDefault(); open(found, document.activeElement); }
  }
});

// --- columns: their order by drag, in the address; their width, kept by this browser ---
const WIDTHS = "histhooks-widths", sheet = new CSSStyleSheet(), LEAST = 48;
let widths = {}, dragged = null, isSizing = false;
try { widths = JSON.parse(localStorage.getItem(WIDTHS)) || {}; } catch { /* a frame may have no storage */ }
const keyOf = (head) => head.dataset.name || head.textContent.trim();
const own = 'table.runs thead th[data-kind="any"]';
function fit() {
  const heads = [...(document.querySelector("table.runs thead tr")?.children || [])];
  const rules = heads.map((head, i) => { const w = Number(widths[keyOf(head)]); return w ? `table.runs tr > :nth-child(${i + 1}) { width: ${w}px; min-width: ${w}px; max-width: ${w}px; overflow: hidden; text-overflow: ellipsis; overflow-wrap: anywhere; }` : ""; });
  sheet.replaceSync(`@media (min-width: 601px) { ${rules.join(" ")} }`);
}
function resize(key, width) {
  if (width) widths[key] = Math.max(LEAST, Math.round(width)); else delete widths[key];
  fit();
  try { localStorage.setItem(WIDTHS, JSON.stringify(widths)); } catch { /* it holds until the page is left */ }
}
function grips() {
  for (const head of document.querySelectorAll("table.runs thead th:not(.pick):not(:has(.grip))")) {
    const grip = document.createElement("span");
    grip.className = "grip"; grip.setAttribute("aria-hidden", "true");
    head.append(grip);
    if (!head.matches(own)) continue;
    head.draggable = true;
    head.querySelector("a").draggable = false;
  }
  fit();
}
document.adoptedStyleSheets.push(sheet);
grips();
main?.addEventListener("pointerdown", (event) => {
  const grip = event.target.closest(".grip"), head = grip?.parentElement;
  if (!grip || event.button) return;
  const start = event.clientX - head.offsetWidth;
  isSizing = true;
  grip.setPointerCapture(event.pointerId);
  grip.onpointermove = (moved) => resize(keyOf(head), moved.clientX - start);
  grip.onpointerup = grip.onpointercancel = () => { grip.onpointermove = null; isSizing = false; };
});
main?.addEventListener("dblclick", (event) => { const head = event.target.closest(".grip")?.parentElement; if (head) resize(keyOf(head), 0); });
const target = (event) => { const head = event.target.closest?.(own); return dragged && head && head !== dragged ? head : null; };
const isRight = (event, head) => { const box = head.getBoundingClientRect(); return event.clientX > box.left + box.width / 2; };
function mark(head, event) {
  for (const one of document.querySelectorAll("[data-drop]")) delete one.dataset.drop;
  if (head) head.dataset.drop = isRight(event, head) ? "right" : "left";
}
main?.addEventListener("dragstart", (event) => {
  dragged = event.target.closest?.(own);
  if (isSizing) { dragged = null; event.preventDefault(); } else if (dragged) { event.dataTransfer.setData("text/plain", dragged.dataset.name); event.dataTransfer.effectAllowed = "move"; }
});
main?.addEventListener("dragover", (event) => {
  const head = target(event);
  mark(head, event);
  if (head) event.preventDefault();
});
main?.addEventListener("drop", (event) => {
  const head = target(event);
  if (!head) return;
  event.preventDefault();
  const cols = words("cols").filter((name) => name !== dragged.dataset.name);
  cols.splice(cols.indexOf(head.dataset.name) + Number(isRight(event, head)), 0, dragged.dataset.name);
  go({ cols: listed(cols), after: asked("after") });
});
main?.addEventListener("dragend", () => { dragged = null; mark(); });

// --- groups open in place ---
document.addEventListener("click", async (event) => {
  const link = event.target.closest("a[data-soft]");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
  event.preventDefault();
  const url = new URL(link.href);
  try {
    const answer = await fetch(url);
    if (!answer.ok) throw new Error("not there");
    const page = new DOMParser().parseFromString(await answer.text(), "text/html"), fresh = page.getElementById("groups"), id = link.closest("tr").id;
    $("groups").tBodies[0].replaceWith(fresh.tBodies[0]);
    grips();
    url.hash = "";
    history.pushState(null, "", url);
    document.querySelector(`#${id} a[data-soft]`)?.focus({ preventScroll: true });
  } catch { location.href = url; }
});
addEventListener("popstate", () => { if ($("groups")) location.reload(); });

// --- names in the filter box ---
class Complete {
  constructor(box, { isList }) {
    this.box = box; this.isList = isList; this.names = null; this.shown = []; this.at = -1;
    this.list = document.createElement("ul");
    this.list.className = "options"; this.list.id = `${box.id}-options`; this.list.setAttribute("role", "listbox"); this.list.setAttribute("aria-label", "Names"); this.list.hidden = true;
    box.parentElement.classList.add("complete");
    box.after(this.list);
    for (const [name, value] of Object.entries({ role: "combobox", "aria-autocomplete": "list", "aria-controls": this.list.id, "aria-expanded": "false" })) box.setAttribute(name, value);
    box.addEventListener("focus", () => this.load());
    box.addEventListener("input", () => this.suggest());
    box.addEventListener("blur", () => setTimeout(() => { if (document.activeElement !== box) this.hide(); }, 120));
    box.addEventListener("keydown", (event) => this.key(event));
    this.list.addEventListener("mousedown", (event) => { event.preventDefault(); const item = event.target.closest("li"); if (item) this.take([...this.list.children].indexOf(item)); });
  }
  async load() {
    if (this.names) return;
    this.names = [];
    try { const found = await (await fetch("names.json")).json(); this.names = found.names; this.values = found.values; } catch { this.names = null; }
  }
  word() {  // the name, or the value behind a sign, that the caret stands in
    const before = this.box.value.slice(0, this.box.selectionStart);
    if (this.isList) return { start: before.lastIndexOf(",") + 1, names: this.names, text: before.slice(before.lastIndexOf(",") + 1).trimStart() };
    const text = /[^\s()<>=!~,&|]*$/.exec(before)[0], ahead = before.slice(0, before.length - text.length);
    if ((ahead.match(/"/g) || []).length % 2) return null;
    const sign = /([\w.]+)\s*(?:==?|!=|in\s*\(|,)\s*$/.exec(ahead), values = sign && this.values?.[sign[1]];
    return { start: ahead.length, text, names: values || (sign ? [] : [...(this.names || []), ...(/(^|[\s(])(and|or|not)\s+$|^\s*$/i.test(ahead) ? ["has"] : ["and", "or", "is null", "in ("])]) };
  }
  suggest() {
    const word = this.names && this.word();
    if (!word || !word.text) return this.hide();
    const text = word.text.toLowerCase(), rank = (name) => { const low = name.toLowerCase(); return low.startsWith(text) ? 0 : low.split(".").some((part) => part.startsWith(text)) ? 1 : low.includes(text) ? 2 : 3; };
    this.shown = word.names.filter((name) => rank(name) < 3 && name !== word.text).sort((a, b) => rank(a) - rank(b)).slice(0, 12);
    this.start = word.start; this.at = -1;
    this.list.replaceChildren(...this.shown.map((name, i) => { const item = document.createElement("li"); item.id = `${this.list.id}-${i}`; item.setAttribute("role", "option"); item.setAttribute("aria-selected", "false"); item.textContent = name; return item; }));
    this.list.hidden = !this.shown.length;
    this.box.setAttribute("aria-expanded", String(!this.list.hidden));
    this.box.removeAttribute("aria-activedescendant");
  }
  hide() { this.list.hidden = true; this.at = -1; this.box.setAttribute("aria-expanded", "false"); this.box.removeAttribute("aria-activedescendant"); }
  mark(at) {
    this.at = (at + this.shown.length) % this.shown.length;
    [...this.list.children].forEach((item, i) => item.setAttribute("aria-selected", String(i === this.at)));
    this.list.children[this.at].scrollIntoView({ block: "nearest" });
    this.box.setAttribute("aria-activedescendant", this.list.children[this.at].id);
  }
  take(at) {
    const name = this.shown[at], end = this.box.selectionStart, rest = this.box.value.slice(end), gap = this.isList || rest.startsWith(" ") ? "" : " ";
    this.box.value = this.box.value.slice(0, this.start) + name + gap + rest;
    const caret = this.start + name.length + gap.length;
    this.box.setSelectionRange(caret, caret);
    this.hide();
    this.box.focus();
  }
  key(event) {
    if (event.key === "ArrowDown" && this.list.hidden) { this.suggest(); }
    if (this.list.hidden) return;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") { event.preventDefault(); this.mark(this.at < 0 ? (event.key === "ArrowDown" ? 0 : -1) : this.at + (event.key === "ArrowDown" ? 1 : -1)); }
    else if (event.key === "Tab" && !event.shiftKey) { event.preventDefault(); this.take(Math.max(0, this.at)); }
    else if (event.key === "Enter" && this.at >= 0) { event.preventDefault(); this.take(this.at); }
    else if (event.key === "Escape") { event.preventDefault(); event.stopPropagation(); this.hide(); }
  }
}
if ($("where")) new Complete($("where"), { isList: false });
if ($("group")) new Complete($("group"), { isList: true });
if ($("where")?.getAttribute("aria-invalid") === "true") {
  // The caret of the error is where the caret of the box goes.
  const lines = ($("error")?.textContent || "").split("\n"), at = lines.findIndex((line) => /^\s*\^+\s*$/.test(line));
  if (at > 0) { const from = lines[at].indexOf("^") - 2; if (!lines[at - 1].trimStart().startsWith("…")) { $("where").focus(); $("where").setSelectionRange(from, from + lines[at].trim().length); } }
}

// --- the bar: pin, base ---
$("bar-pin")?.addEventListener("click", () => {
  const chosen = [...document.querySelectorAll('table.runs input[name="runs"]:checked')].map((box) => box.value), pin = words("pin");
  const isAll = chosen.every((id) => pin.includes(id));
  go({ pin: listed(isAll ? pin.filter((id) => !chosen.includes(id)) : [...new Set([...pin, ...chosen])]), after: asked("after") });
});
$("bar-base")?.addEventListener("click", () => {
  const [id] = [...document.querySelectorAll('table.runs input[name="runs"]:checked')].map((box) => box.value);
  go({ base: asked("base") === id ? null : id, after: asked("after") });
});
