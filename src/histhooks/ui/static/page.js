// What every page does where there is JavaScript: live updates, keys, choosing runs, copying. All of it works without.
const $ = (id) => document.getElementById(id);
const body = document.body;

// --- choosing runs ---
const table = document.querySelector("#runs, #groups");
const boxes = () => [...document.querySelectorAll('table.runs input[name="runs"]')];
const chosen = () => boxes().filter((box) => box.checked).map((box) => box.value);

function keep(name, value) {
  const url = new URL(location.href);
  if (value) url.searchParams.set(name, value); else url.searchParams.delete(name);
  url.search = url.search.replaceAll("%2C", ",");
  history.replaceState(history.state, "", url);
}
function showChosen() {
  const ids = chosen();
  $("bar-count").textContent = ids.length ? `${ids.length} chosen` : "Choose runs to compare";
  for (const button of document.querySelectorAll("#bar button[type=submit]")) button.disabled = ids.length < (button.formAction.includes("charts") ? 1 : 2);
  $("bar-none").hidden = !ids.length;
  $("bar-diff").hidden = ids.length !== 2;
  $("bar-pin").hidden = !ids.length;
  $("bar-base").hidden = ids.length !== 1;
  const command = $("bar-command");
  command.hidden = !ids.length;
  const verb = ["show", "diff"][ids.length - 1] || "compare";
  command.textContent = ["histhooks", verb, ...ids, body.dataset.option].join(" ").trim();
  keep("sel", ids.join(","));
}
let lastBox = null;
if (table) {
  $("chosen").addEventListener("click", (event) => {
    const box = event.target.closest('input[name="runs"]');
    if (!box) return;
    if (event.shiftKey && lastBox) {
      const all = boxes(), [a, b] = [all.indexOf(lastBox), all.indexOf(box)].sort((x, y) => x - y);
      for (const each of all.slice(a, b + 1)) each.checked = box.checked;
    }
    lastBox = box;
    showChosen();
  });
  $("bar-none").addEventListener("click", () => { for (const box of boxes()) box.checked = false; showChosen(); });
  $("chosen").addEventListener("submit", (event) => {
    event.preventDefault();
    go(event.submitter || document.querySelector("#bar button"));
  });
  showChosen();
}
function go(button) {
  const ids = chosen(), theme = new URL(location.href).searchParams.get("theme");
  if (!ids.length) return;
  const path = button.id === "bar-diff" ? `diff/${ids.join("/")}` : button.getAttribute("formaction") + `?runs=${ids.join(",")}`;
  location.href = path + (theme ? (path.includes("?") ? "&" : "?") + `theme=${theme}` : "");
}

// --- keys ---
let here = -1;
function move(by) {
  const rows = [...document.querySelectorAll("table.runs tbody tr")];
  if (!rows.length) return;
  rows[here]?.classList.remove("here");
  here = Math.max(0, Math.min(rows.length - 1, here + by));
  rows[here].classList.add("here");
  rows[here].querySelector(".name a").focus({ preventScroll: true });
  rows[here].scrollIntoView({ block: "nearest" });
}
const rowHere = () => document.querySelector("table.runs tbody tr.here");
function only(row, button) {  // the row of the cursor, or those that are chosen
  if (!chosen().length) row?.querySelector("input").click();
  press(`#${button}:not([hidden])`);
}
let isGoing = 0;
const press = (selector) => document.querySelector(selector)?.click();
const keys = {
  "/": () => document.querySelector('input[name="where"], input[type="search"]:not([hidden])')?.focus(),
  j: () => move(1), k: () => move(-1),
  x: () => rowHere()?.querySelector("input").click(),
  c: () => press('#bar button[formaction="charts"]:not([disabled])'),
  m: () => press('#bar button[formaction="compare"]:not([disabled])'),
  d: () => press("#bar-diff:not([hidden])"),
  l: () => press('#controls input[name="log"]'),
  s: () => document.querySelector('#controls input[name="smooth"]')?.focus(),
  0: () => press("#reset:not([disabled])"), "-": () => press("#back:not([disabled])"),
  b: () => only(rowHere(), "bar-base"), p: () => only(rowHere(), "bar-pin"),
  "[": () => press('a[rel="prev"]'), "]": () => press('a[rel="next"]'),
  ".": () => live?.toggle(),
  "?": () => press('.top a[href*="help"]'),
};
// Off for whoever dictates; the browser keeps that.
const OFF = "histhooks-keys-off";
const kept = (action) => { try { return action(localStorage); } catch { return null; } };  // a frame may have no storage
function showKeys() { body.classList.toggle("keys-off", Boolean(kept((store) => store.getItem(OFF)))); if ($("keys")) $("keys").checked = !body.matches(".keys-off"); }
addEventListener("storage", showKeys);
$("keys")?.addEventListener("change", () => { kept((store) => ($("keys").checked ? store.removeItem(OFF) : store.setItem(OFF, "1"))); showKeys(); });
if ($("keys")) $("keys").closest("label").hidden = false;
showKeys();
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (body.matches(".keys-off")) return;
  if (event.key === "Escape") { document.activeElement?.blur(); return; }
  if (event.target.closest("input:not([type=checkbox]), select, textarea")) return;
  if (event.defaultPrevented) return;
  const target = Date.now() - isGoing < 1200 && { r: "runs", c: "runs/last/charts", m: "models", s: "search", a: "audit" }[event.key];
  isGoing = event.key === "g" ? Date.now() : 0;
  const runs = target && document.querySelector('.top nav a[href*="runs"]');
  if (runs) { event.preventDefault(); location.href = runs.getAttribute("href").replace(/runs(?=\?|$)/, target); return; }
  const action = keys[event.key];
  if (action) { event.preventDefault(); action(); }
});

// --- small things ---
document.addEventListener("click", (event) => {
  const text = event.target.closest(".copy");
  if (!text || !navigator.clipboard || getSelection().toString()) return;
  navigator.clipboard.writeText(text.textContent.trim()).then(() => { text.title = "Copied"; }, () => {});
});
const find = $("find");
if (find && document.querySelector("form.columns")) {
  find.hidden = false;
  document.querySelector("form.columns").addEventListener("submit", (event) => { event.target.elements.step.disabled = event.submitter?.id !== "at-step"; });
  find.addEventListener("input", () => {
    const word = find.value.toLowerCase();
    for (const item of document.querySelectorAll(".columns li")) item.hidden = !item.textContent.toLowerCase().includes(word);
  });
}
for (const select of document.querySelectorAll(".filter select")) select.addEventListener("change", () => select.form.requestSubmit());
document.querySelector("form.filter")?.addEventListener("submit", (event) => {
  for (const field of event.target.elements) if (!field.value) field.disabled = true;  // addresses stay short
});
addEventListener("pageshow", () => { for (const field of document.querySelectorAll("form.filter [disabled], form.columns [disabled]")) field.disabled = false; });

// --- the last columns and order of the table, for whoever comes back ---
const last = $("last-view");
if (last) {
  const url = new URL(location.href), key = `histhooks-view ${location.pathname}`, before = kept((store) => store.getItem(key));
  const now = new URLSearchParams([...url.searchParams].filter(([name]) => last.dataset.words.split(" ").includes(name))).toString();
  if (now) kept((store) => store.setItem(key, now));
  else if (before) {
    new URLSearchParams(before).forEach((value, name) => url.searchParams.set(name, value));
    last.href = url.search; last.hidden = false;
  }
}

// --- what is not done yet: the page is read again until it is ---
async function again() {
  if (!document.querySelector("[data-again]")) return;
  await new Promise((go) => setTimeout(go, 1000));
  try {
    const page = new DOMParser().parseFromString(await (await fetch(location.href)).text(), "text/html");
    document.querySelector("main").replaceChildren(...page.querySelector("main").childNodes);
  } catch { return; }
  again();
}
again();

// --- live ---
class Live {
  constructor(path) {
    this.path = path; this.isPaused = false; this.cursor = ""; this.timer = 0; this.sign = $("live");
    document.addEventListener("visibilitychange", () => (document.hidden ? this.close() : this.open()));
    addEventListener("pagehide", () => this.close());
    this.open();
  }
  open() {
    if (this.source || this.isPaused || document.hidden) return;
    const query = this.cursor ? `?cursor=${encodeURIComponent(this.cursor)}` : "";
    this.source = new EventSource(this.path + query);
    this.source.onopen = () => this.say("live");
    this.source.onerror = () => { this.say("lost", "lost the server"); if (this.source?.readyState === 2) { this.close(); setTimeout(() => this.open(), 3000); } };
    this.source.onmessage = (event) => {
      const isFirst = !this.cursor;
      this.cursor = event.lastEventId;
      this.say("live");
      // What ended between the answer of the page and this first look changes no more: who shows it as running looks again.
      if (!isFirst) this.take(JSON.parse(event.data));
      else if (document.querySelector(".status.going")) this.take({ runs: [], whole: false });
    };
  }
  close() { this.source?.close(); this.source = null; }
  toggle() {
    this.isPaused = !this.isPaused;
    if (this.isPaused) { this.close(); this.say("paused"); } else this.open();
  }
  say(state, words) {
    this.sign.hidden = false;
    this.sign.className = `live ${state}`;
    body.dataset.liveState = state;
    this.sign.textContent = words || (state === "live" ? `live, as of ${new Date().toTimeString().slice(0, 8)}` : state);
  }
  take(changes) {
    // Not more often than a page can be read again.
    this.waiting = this.waiting ? { runs: [...this.waiting.runs, ...changes.runs], whole: this.waiting.whole || changes.whole } : changes;
    if (!this.timer) this.timer = setTimeout(() => { const all = this.waiting; this.waiting = null; this.timer = 0; refresh(all); }, 300);
  }
}
async function refresh(changes) {
  const run = document.querySelector("[data-charts]")?.dataset.series;
  if (!table && !document.querySelector("[data-fresh]") && !run) return;
  document.dispatchEvent(new CustomEvent("histhooks:changes", { detail: changes }));
  let page;
  try {
    const answer = await fetch(location.href, { headers: { accept: "text/html" } });
    if (!answer.ok) return;
    page = new DOMParser().parseFromString(await answer.text(), "text/html");
  } catch { return; }
  for (const part of document.querySelectorAll("[data-fresh]")) {
    const fresh = page.querySelector(`[data-fresh="${part.dataset.fresh}"]`);
    if (fresh && fresh.innerHTML !== part.innerHTML) part.replaceChildren(...fresh.childNodes);
  }
  if ($("runs")) freshRows(page);
  body.dataset.refreshed = String(Number(body.dataset.refreshed || 0) + 1);
}
function freshRows(page) {
  // Rows change in place and never move; new ones are told of.
  const rows = new Map([...page.querySelectorAll("#runs tbody tr")].map((row) => [row.dataset.run, row]));
  const known = new Set();
  for (const row of table.querySelectorAll("tbody tr")) {
    known.add(row.dataset.run);
    const fresh = rows.get(row.dataset.run);
    if (!fresh) continue;
    let isChanged = false;
    [...fresh.children].forEach((cell, place) => {
      const mine = row.children[place];
      if (mine && !mine.matches(".pick") && mine.innerHTML !== cell.innerHTML && !mine.contains(document.activeElement)) { if (cell.dataset.v !== undefined) mine.dataset.v = cell.dataset.v; mine.replaceChildren(...cell.childNodes); isChanged = true; }
    });
    if (isChanged) { row.classList.remove("fresh"); void row.offsetWidth; row.classList.add("fresh"); }
  }
  const total = page.querySelector("[data-total]"), mine = document.querySelector("[data-total]");
  const count = total && mine ? Number(total.dataset.total) - Number(mine.dataset.total) : 0;
  const button = $("new-runs");
  button.hidden = count <= 0;
  button.textContent = `${count} new run${count === 1 ? "" : "s"}`;
  const url = new URL(location.href);
  url.searchParams.delete("after");
  button.href = url.search || "?";
}
const live = body.dataset.live ? new Live(body.dataset.live) : null;
