// Charts: the server's picture first, then a canvas that reads its points anew with each zoom.
const $ = (id) => document.getElementById(id);
const POINTS = 1500, WAIT_MS = 80, MOST_PIECES = 24, NEAR_PX = 7;
const AXES = { step: "step", epoch: "epoch", time: "seconds since the start", wall: "time", n: "point" };
const SIGNS = { nan: "✕", inf: "▲", "-inf": "▼" };
const DASHES = [[], [7, 4], [2, 3], [9, 3, 2, 3]];
const holder = document.querySelector("[data-charts]");
const said = holder?.dataset || {};
const amount = (text) => (text ? Number(text) : null);
const view = {
  x: said.x || "step", smooth: Number(said.smooth || 0), log: Boolean(said.log), logx: Boolean(said.logx), band: Boolean(said.band), clip: Boolean(said.clip), align: Boolean(said.align),
  from: amount(said.from), to: amount(said.to), ranges: JSON.parse(said.ranges || "{}"), logy: JSON.parse(said.logy || "[]"), base: said.base || "",
};
const WHOLE = [...Array(45).keys()].map((i) => [1, 2, 5][i % 3] * 10 ** Math.floor(i / 3));  // between ticks of what is counted
const shifts = new Map();  // of aligned runs
const before = [];  // zooms that were left
const flag = (name) => (view[name] ? 1 : null);
const asked = () => ({ from: view.from, to: view.to, smooth: view.smooth || null, clip: flag("clip"), band: flag("band"), align: flag("align") });
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const number = (v) => v == null ? "–" : typeof v === "string" ? v : Number.isInteger(v) && Math.abs(v) < 1e15 ? v.toLocaleString("en") : Math.abs(v) >= 1e5 || (v && Math.abs(v) < 1e-4) ? v.toExponential(3) : String(Number(v.toPrecision(5)));
const isRound = (v) => Math.abs(Number(v.toPrecision(1)) - v) <= 1e-9 * Math.abs(v);  // the ends of a range on a log axis are not
const signed = (v) => `${v < 0 ? "−" : "+"}${number(Math.abs(v))}`;
const place = (v) => view.x === "wall" ? new Date(v * 1000).toLocaleString() : view.x === "time" ? `${number(v)} s` : number(v);
const readable = (search) => search.replaceAll("%2C", ",").replaceAll("%3A", ":").replaceAll("%2F", "/");
const finite = (v) => (typeof v === "number" ? v : null);
const isCounted = () => view.x !== "time" && view.x !== "wall";
const many = (n, word) => `${n.toLocaleString("en")} ${word}${n === 1 ? "" : "s"}`;
const make = (tag, name, text) => { const made = document.createElement(tag); if (name) made.className = name; if (text !== undefined) made.textContent = text; return made; };

class Card {
  constructor(element) {
    this.element = element; this.plotted = element.querySelector(".plot"); this.count = element.querySelector(".count");
    this.title = element.dataset.card; this.turn = 0; this.isSeen = false; this.curves = [];
    this.lines = JSON.parse(element.dataset.lines).map((line) => ({ ...line, label: line.label.length > 80 ? `${line.label.slice(0, 80)}…` : line.label }));
    this.tip = make("div", "tip"); this.tip.hidden = true;
    new ResizeObserver(() => this.fit()).observe(this.plotted);
  }
  fit() {
    const width = Math.floor(this.plotted.clientWidth);
    if (this.chart && width && width !== this.chart.width) this.chart.setSize({ width, height: this.height });
  }
  get isLog() { return view.log !== view.logy.includes(this.title); }
  get height() { return this.element.closest(".one") ? 350 : this.element.closest(".main-chart") ? 280 : 240; }
  url(run, names) {
    const url = new URL(holder.dataset.series.replace("RUN", run), location.href);
    const words = { m: names.map((n) => n.replace(/[\\,]/g, "\\$&")).join(","), x: view.x, n: POINTS, ...asked(), log: this.isLog ? 1 : null };
    for (const [name, value] of Object.entries(words)) if (value !== null) url.searchParams.set(name, value);
    return url;
  }
  async load() {
    begin();
    try { await this.read(); } finally { end(); }
  }
  async read() {
    const turn = ++this.turn, byRun = new Map();
    for (const line of this.lines) byRun.set(line.run, [...(byRun.get(line.run) || []), line.name]);
    let answers;
    try {
      answers = await Promise.all([...byRun].map(async ([run, names]) => {
        const answer = await fetch(this.url(run, names));
        return answer.ok ? answer.json() : { run, curves: [] };
      }));
    } catch { return; }
    if (turn !== this.turn) return;  // a later zoom has overtaken this one
    for (const answer of answers) shifts.set(answer.run, answer.curves[0]?.shift || 0);
    const curves = new Map(answers.flatMap((answer) => answer.curves.map((curve) => [`${answer.run} ${curve.name}`, curve])));
    this.draw(this.lines.map((line) => curves.get(`${line.run} ${line.name}`) || { x: [], value: [], smoothed: null, count: 0, nonfinite: 0 }));
  }
  draw(curves) {
    const tables = [], series = [{ label: AXES[view.x] }], bands = [];
    this.owners = [null];
    this.curves = curves.map((curve, i) => this.prepared(curve, this.lines[i]));
    for (const curve of this.curves) {
      const { line, stroke, dash } = curve, few = curve.x.length <= 40;
      const add = (table, options) => { tables.push(table); this.owners.push(line); series.push({ stroke, points: { show: false }, ...options }); };
      if (curve.band) {
        for (const [word, values] of [["greatest", curve.band.max], ["least", curve.band.min]]) add([curve.band.x, values], { label: `${line.label} ${word}`, class: "raw", stroke: stroke + "50", width: 0.5 });
        bands.push({ series: [series.length - 2, series.length - 1], fill: stroke + "2e" });
      }
      const weight = line.faint ? "80" : "", main = { width: line.faint ? 1.2 : curve.smoothed ? 2 : 1.7, dash, stroke: stroke + weight };
      if (curve.band && !curve.smoothed) add([curve.band.x, curve.band.mean.map(finite)], { label: line.label, ...main });
      else curve.pieces.forEach(([low, high], i) => {
        const xs = curve.xs.slice(low, high), of = (values) => values.slice(low, high).map(finite);
        if (curve.smoothed && !curve.band) add([xs, of(curve.values)], { label: `${line.label} raw`, class: "raw", stroke: stroke + "55", width: 1 });
        const points = curve.smoothed || !few ? high - low === 1 : true;
        add([xs, of(curve.smoothed ? curve.smooth : curve.values)], { label: line.label, class: i ? "raw" : "line", ...main, points: { show: points, size: curve.x.length === 1 ? 9 : 5, fill: stroke + weight } });
      });
      if (!curve.x.length) add([[], []], { label: line.label, ...main });
    }
    this.say();
    const data = tables.length === 1 ? distinct(tables[0]) : uPlot.join(tables.map(distinct));
    const key = JSON.stringify([view.x, this.isLog, view.logx, view.smooth > 0, view.band, series.map((s) => [s.label, s.points?.show]), document.documentElement.dataset.theme]);
    if (this.chart && this.key === key) { this.chart.setData(data, false); this.scale(); return; }
    this.chart?.destroy();
    this.key = key;
    this.chart = new uPlot(this.options(series, bands), data, this.plotted);
    this.chart.over.append(this.tip);
    this.gestures(this.chart.over);
    this.element.classList.add("drawn");
    this.scale();
  }
  prepared(curve, line) {
    // In order of arrival; where the axis goes back, a piece of its own begins. With too many of them the order is that of the axis.
    let order = curve.x.map((_, i) => i);
    const cuts = order.filter((i) => i && curve.x[i] < curve.x[i - 1]);
    const isSorted = cuts.length >= MOST_PIECES;
    if (isSorted) order.sort((a, b) => curve.x[a] - curve.x[b] || a - b);
    const pieces = [0, ...(isSorted ? [] : cuts), order.length].flatMap((start, i, all) => (i + 1 < all.length && all[i + 1] > start ? [[start, all[i + 1]]] : []));
    const band = curve.band?.part > 1 && isAscending(curve.band.x) ? curve.band : null;  // of single points there is none
    return { ...curve, band, line, stroke: colour(`--c${line.colour}`), dash: DASHES[line.dash], pieces, order, xs: order.map((i) => curve.x[i]), values: order.map((i) => curve.value[i]), smooth: curve.smoothed ? order.map((i) => curve.smoothed[i]) : null };
  }
  say() {
    let shown = 0, all = 0, parts = 0;
    const odd = [], clips = [];
    for (const curve of this.curves) {
      shown += curve.x.length; all += curve.count; parts += curve.band && !curve.smoothed ? curve.band.x.length : 0;
      const bad = { nan: 0, inf: 0, "-inf": 0 };
      for (const v of curve.value) if (typeof v !== "number") bad[v] += 1;
      const found = Object.entries(bad).filter(([, n]) => n).map(([word, n]) => `${SIGNS[word]} ${n} ${word}`);
      if (found.length) odd.push(`${curve.line.label}: ${found.join(", ")}${curve.x.length < curve.count ? ` shown, ${curve.nonfinite.toLocaleString("en")} in all` : ""}`);
      if (curve.clip) clips.push(curve.clip);
    }
    this.clip = clips.length ? { low: Math.min(...clips.map((c) => c.low)), high: Math.max(...clips.map((c) => c.high)) } : null;
    const told = [parts ? `mean, least and greatest of ${many(parts, "part")} of ${many(all, "point")}` : shown < all ? `${shown.toLocaleString("en")} of ${many(all, "point")}, no extreme left out` : all ? `all ${many(all, "point")}`.replace("all 1 point", "1 point") : "no points here"];
    if (this.clip && view.clip) told.push(`clipped to ${number(this.clip.low)} … ${number(this.clip.high)}, 1st to 99th percentile`);
    if (view.ranges[this.title]) told.push(`y from ${number(view.ranges[this.title][0])} to ${number(view.ranges[this.title][1])}`);
    this.count.textContent = told.join(" · ");
    this.element.dataset.points = shown;
    this.element.dataset.odd = odd.join("; ");
    this.element.querySelector(".odd")?.remove();
    if (odd.length) this.element.append(make("p", "odd", odd.join("; ")));
  }
  options(series, bands) {
    const grid = { stroke: colour("--line"), width: 1 }, ink = colour("--dim"), font = "12px system-ui, sans-serif";
    return {
      width: Math.floor(this.plotted.clientWidth) || 400, height: this.height, series, bands,
      scales: { x: { time: view.x === "wall", distr: view.logx ? 3 : 1 }, y: { distr: this.isLog ? 3 : 1, range: (u, low, high) => this.range(low, high) } },
      axes: [{ stroke: ink, grid, ticks: grid, font, size: 34, ...(!view.logx && isCounted() && { incrs: WHOLE }) }, { stroke: ink, grid, ticks: grid, font, size: (_, all) => Math.max(62, 18 + 7 * Math.max(...(all || [""]).map((one) => one.length))), values: (_, values) => values.map((v) => (v === null || (this.isLog && !isRound(v)) ? "" : number(v))) }],
      cursor: {
        sync: { key: "histhooks", setSeries: false, scales: ["x", null], filters: { pub: (type) => type === "mousemove" || type === "mouseleave" } }, drag: { x: true, y: false, setScale: false },
        bind: {
          dblclick: () => () => { zoom(null, null, {}); return null; },
          mousedown: (u, target, handle) => (event) => { u.cursor.drag.y = event.shiftKey; if (event.button === 0 && !event.ctrlKey && !event.metaKey) handle(event); },
        },
        points: { show: false },
      },
      legend: { live: false },
      hooks: { setSeries: [(u, i, changed) => this.hide(u, i, changed)], setSelect: [(u) => this.selected(u)], setCursor: [(u) => this.point(u)], draw: [(u) => this.adorn(u)] },
    };
  }
  hide(u, i, changed) {  // a curve with all its pieces and its band
    if (this.isHiding || i === null || changed.show === undefined) return;
    this.isHiding = true;
    this.owners.forEach((owner, j) => { if (j !== i && owner === this.owners[i]) u.setSeries(j, { show: changed.show }); });
    this.isHiding = false;
  }
  fade(run) {  // all but one
    if (!this.chart) return;
    this.owners.forEach((owner, i) => { if (owner) this.chart.series[i].alpha = run && owner.run !== run ? 0.12 : 1; });
    this.chart.redraw(false);
  }
  range(low, high) {
    const own = view.ranges[this.title];
    if (own) return own;
    if (view.clip && this.clip && (!this.isLog || this.clip.low > 0)) [low, high] = [this.clip.low, this.clip.high];
    if (!Number.isFinite(low) || !Number.isFinite(high)) return this.isLog ? [0.1, 1] : [0, 1];
    if (this.isLog) {
      if (low <= 0) low = Math.min(high > 0 ? high : 1, ...this.curves.flatMap((c) => c.values.filter((v) => v > 0)));
      const room = high > low ? Math.max(0.02, Math.log10(high / low) * 0.06) : 0.3;
      return [low / 10 ** room, high * 10 ** room];
    }
    const room = high > low ? (high / 2 - low / 2) * 0.12 : Math.abs(low) * 0.1 || 1;
    return [low - room, high + room];
  }
  selected(u) {
    const { left, width, top, height } = u.select;
    if (width < 4) return;
    let [a, b] = [u.posToVal(left, "x"), u.posToVal(left + width, "x")];
    const ranges = { ...view.ranges };
    if (u.cursor.drag.y && height > 4) ranges[this.title] = [u.posToVal(top + height, "y"), u.posToVal(top, "y")].map((v) => Number(v.toPrecision(6)));
    u.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
    zoom(...rounded(a, b), ranges);
  }
  scale() {
    const xs = this.curves.flatMap((c) => (c.xs.length ? [Math.min(c.xs[0], ...c.pieces.map(([i]) => c.xs[i])), Math.max(c.xs[c.xs.length - 1], ...c.pieces.map(([, i]) => c.xs[i - 1]))] : []));
    const low = view.from ?? (xs.length ? Math.min(...xs) : 0), high = view.to ?? (xs.length ? Math.max(...xs) : 1);
    this.whole = [low, high];
    this.place(low, high);
    this.element.dataset.low = low; this.element.dataset.high = high;
  }
  place(low, high) {
    if (view.logx) { high = high > 0 ? high : 10; low = low > 0 ? low : Math.min(high / 10, ...this.curves.flatMap((c) => c.xs.filter((x) => x > 0))); }
    const isOne = !(high > low), room = view.x === "wall" || view.x === "time" ? 1 : 0.5;
    this.chart.batch(() => this.chart.setScale("x", isOne ? (view.logx ? { min: low / 2, max: low * 2 } : { min: low - room, max: low + room }) : { min: low, max: high }));
    this.chart.redraw(true);
  }
  // --- what is drawn over the curves ---
  adorn(u) {
    const ctx = u.ctx, ratio = devicePixelRatio || 1, { left, top, width, height } = u.bbox;
    const at = (x) => u.valToPos(x, "x", true), isIn = (x) => x >= left - 1 && x <= left + width + 1;
    this.element.dataset.y = [u.scales.y.min, u.scales.y.max].join(",");
    ctx.save();
    ctx.textAlign = "center"; ctx.textBaseline = "middle";
    for (const mark of marks()) {
      const x = at(placed(mark));
      if (!isIn(x) || !this.lines.some((line) => line.run === mark.run)) continue;
      ctx.strokeStyle = ctx.fillStyle = colour(KINDS[mark.kind].colour);
      ctx.globalAlpha = 0.55; ctx.lineWidth = ratio; ctx.setLineDash([3 * ratio, 4 * ratio]);
      ctx.beginPath(); ctx.moveTo(x, top); ctx.lineTo(x, top + height); ctx.stroke();
      ctx.globalAlpha = 1; ctx.setLineDash([]); ctx.font = `${11 * ratio}px system-ui, sans-serif`;
      ctx.fillText(KINDS[mark.kind].sign, Math.min(Math.max(x, left + 6 * ratio), left + width - 6 * ratio), top + 7 * ratio);
    }
    ctx.font = `${12 * ratio}px system-ui, sans-serif`;
    for (const curve of this.curves) {
      ctx.fillStyle = curve.stroke;
      curve.values.forEach((v, i) => {
        if (typeof v === "number" || !isIn(at(curve.xs[i]))) return;
        ctx.fillText(SIGNS[v], at(curve.xs[i]), v === "inf" ? top + 8 * ratio : top + height - 8 * ratio);
      });
    }
    ctx.restore();
  }
  // --- the pointer ---
  point(u) {
    const { left, top } = u.cursor, isHere = u.over.matches(":hover");
    if (left < 0 || left === null || left > u.over.clientWidth) { this.tip.hidden = true; return; }
    const x = u.posToVal(left, "x"), rows = [];
    for (const curve of this.curves) {
      const i = nearest(curve, x);
      if (i < 0) continue;
      const value = curve.values[i], smooth = curve.smooth ? curve.smooth[i] : null, main = finite(smooth) ?? finite(value);
      rows.push({ curve, i, x: curve.xs[i], value, smooth, main, top: main === null ? Infinity : u.valToPos(main, "y") });
    }
    if (!rows.length) { this.tip.hidden = true; return; }
    if (isHere) rows.sort((a, b) => Math.abs(a.top - top) - Math.abs(b.top - top));
    else rows.sort((a, b) => (b.main ?? -Infinity) - (a.main ?? -Infinity));
    const base = rows.find((row) => row.curve.line.run === view.base);
    const table = make("table");
    for (const row of rows.slice(0, 12)) {
      const line = table.insertRow();
      const name = line.insertCell(), key = make("span", `swatch c${row.curve.line.colour} d${row.curve.line.dash}`);
      name.append(key, row.curve.line.label.length > 28 ? `${row.curve.line.label.slice(0, 27)}…` : row.curve.line.label);
      line.insertCell().textContent = number(row.main ?? row.value);
      line.insertCell().textContent = row.smooth === null ? "" : `raw ${number(row.value)}`;
      line.insertCell().textContent = base && row !== base && row.main !== null && base.main !== null ? signed(row.main - base.main) : "";
      if (row.x !== rows[0].x) line.cells[0].append(` @ ${place(row.x)}`);
    }
    const first = rows[0], i = first.curve.order[first.i], where = [`${view.x === "time" ? "" : `${AXES[view.x]} `}${place(first.x)}`];
    if (isHere) {
      if (view.x !== "step") where.push(`step ${number(first.curve.step[i])}`);
      if (view.x !== "epoch" && first.curve.epoch[i] !== null) where.push(`epoch ${first.curve.epoch[i]}`);
      if (view.x !== "wall") where.push(new Date(first.curve.time[i] / 1000).toTimeString().slice(0, 8));
    }
    const parts = [make("p", "", where.join(" · ")), table];
    if (rows.length > 12) parts.push(make("p", "", `and ${rows.length - 12} more`));
    for (const mark of marks()) if (Math.abs(u.valToPos(placed(mark), "x") - left) < NEAR_PX && this.lines.some((line) => line.run === mark.run)) parts.push(make("p", "near", `${KINDS[mark.kind].sign} ${mark.whose ? `${mark.whose}: ` : ""}${mark.says}`));
    this.tip.replaceChildren(...parts);
    this.tip.hidden = false;
    const box = u.over.getBoundingClientRect(), width = this.tip.offsetWidth + 18;
    const isRight = left + width > u.over.clientWidth && (left > u.over.clientWidth / 2 || box.left + left + width > innerWidth) && box.left + left - width > 0;
    this.tip.style.left = isRight ? "auto" : `${left + 14}px`;
    this.tip.style.right = isRight ? `${u.over.clientWidth - left + 14}px` : "auto";
  }
  gestures(over) {
    over.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && !event.metaKey) return;  // the page scrolls
      event.preventDefault();
      this.around(event.clientX - over.getBoundingClientRect().left, event.deltaY > 0 ? 1.25 : 0.8);
    }, { passive: false });
    over.addEventListener("mousedown", (event) => {
      if ((!event.ctrlKey && !event.metaKey) || event.button) return;
      event.preventDefault();
      const start = event.clientX, [low, high] = [this.chart.scales.x.min, this.chart.scales.x.max], from = this.share(low), to = this.share(high), ranges = view.ranges;
      let last = [low, high], has = false;
      const move = (moved) => {
        const by = ((start - moved.clientX) / over.clientWidth) * (to - from);
        last = [this.unshare(from + by), this.unshare(to + by)]; has = true;
        for (const card of cards) card.chart?.setScale("x", { min: last[0], max: last[1] });
      };
      const stop = () => { removeEventListener("mousemove", move); removeEventListener("mouseup", stop); if (has) zoom(...rounded(...last), ranges); };
      addEventListener("mousemove", move); addEventListener("mouseup", stop);
    });
    over.addEventListener("touchstart", (event) => { if (event.touches.length === 2) { event.preventDefault(); this.pinch(event, over); } else this.touch(event, over); }, { passive: false });
    over.addEventListener("touchmove", (event) => { if (event.touches.length === 1) this.touch(event, over); }, { passive: true });
  }
  touch(event, over) {  // one finger reads
    const box = over.getBoundingClientRect();
    this.chart.setCursor({ left: event.touches[0].clientX - box.left, top: event.touches[0].clientY - box.top });
  }
  pinch(event, over) {  // two zoom
    const box = over.getBoundingClientRect(), at = (touch) => this.share(this.chart.posToVal(touch.clientX - box.left, "x"));
    const [a, b] = [at(event.touches[0]), at(event.touches[1])], width = over.clientWidth;
    let last = null;
    const move = (moved) => {
      if (moved.touches.length !== 2) return;
      moved.preventDefault();
      const [p, q] = [...moved.touches].map((touch) => (touch.clientX - box.left) / width);
      if (Math.abs(p - q) < 0.02) return;
      const slope = (b - a) / (q - p), from = a - slope * p;
      if (slope <= 0) return;
      last = [this.unshare(from), this.unshare(from + slope)];
      for (const card of cards) card.chart?.setScale("x", { min: last[0], max: last[1] });
    };
    const stop = () => { over.removeEventListener("touchmove", move); over.removeEventListener("touchend", stop); if (last) zoom(...rounded(...last), view.ranges); };
    over.addEventListener("touchmove", move, { passive: false }); over.addEventListener("touchend", stop);
  }
  share(x) { return view.logx ? Math.log10(x) : x; }
  unshare(v) { return view.logx ? 10 ** v : v; }
  around(left, factor) {
    const { min, max } = this.chart.scales.x, [from, to] = [this.share(min), this.share(max)], middle = this.share(this.chart.posToVal(left, "x"));
    zoom(...rounded(this.unshare(middle - (middle - from) * factor), this.unshare(middle + (to - middle) * factor)), view.ranges, true);
  }
}
// --- marks ---
const KINDS = { checkpoint: { sign: "◆", colour: "--good" }, lr: { sign: "lr", colour: "--dim" }, warning: { sign: "!", colour: "--doubt" }, resumed: { sign: "↻", colour: "--accent" }, end: { sign: "■", colour: "--dim" } };
let known = { text: "", x: "", marks: [] };
function marks() {
  const text = $("marks")?.dataset.marks || "[]";
  if (known.text !== text || known.x !== view.x) {
    const key = { step: "step", epoch: "epoch", time: "relative", wall: "wall" }[view.x];
    known = { text, x: view.x, marks: JSON.parse(text).map((mark) => ({ ...mark, x: key ? mark[key] : null })).filter((mark) => mark.x !== null) };
  }
  return known.marks;
}
const placed = (mark) => mark.x + (shifts.get(mark.run) || 0);
// uPlot joins by x: points that share one stay, moved by less than a pixel ever shows.
function distinct([xs, ys]) {
  const out = [[], []];
  xs.forEach((x, i) => {
    const last = out[0].length - 1;
    out[0].push(last >= 0 && x <= out[0][last] ? out[0][last] + Math.max(1e-9, Math.abs(out[0][last]) * 1e-12) : x);
    out[1].push(ys[i]);
  });
  return out;
}
const isAscending = (xs) => xs.every((x, i) => !i || x >= xs[i - 1]);
function nearest(curve, x) {
  let best = -1;
  for (const [start, stop] of curve.pieces) {
    let low = start, high = stop - 1;
    while (high - low > 1) { const middle = (low + high) >> 1; if (curve.xs[middle] < x) low = middle; else high = middle; }
    for (const i of [low, high]) if (best < 0 || Math.abs(curve.xs[i] - x) < Math.abs(curve.xs[best] - x)) best = i;
  }
  return best;
}
// --- one zoom for all cards, and its way back ---
let cards = [], timer = 0, isWaiting = false, going = 0, lastWheel = 0;
// `data-settled` stands while what is drawn is what the address asks for.
function begin() { going += 1; delete holder.dataset.settled; }
function end() { going -= 1; if (!going && !isWaiting) holder.dataset.settled = "1"; }
function loadAll() { isWaiting = false; begin(); for (const card of cards) if (card.isSeen) card.load(); end(); }
function loadSoon() { isWaiting = true; delete holder.dataset.settled; clearTimeout(timer); timer = setTimeout(loadAll, WAIT_MS); }
function rounded(a, b) {
  // Whole steps, and no more digits than a screen has pixels.
  const digits = (v, up) => { const unit = 10 ** Math.floor(Math.log10(Math.max(1e-9, (b - a) / 1e4))); return Number(((up ? Math.ceil : Math.floor)(v / unit) * unit).toFixed(9)); };
  return isCounted() ? [Math.floor(a), Math.ceil(b)] : [digits(a, false), digits(b, true)];
}
function zoom(from, to, ranges, isWheel) {
  const isOn = isWheel && Date.now() - lastWheel < 600;  // of a turn of the wheel only its start is a way back
  if (isWheel) lastWheel = Date.now();
  if (!isOn && JSON.stringify([from, to, ranges]) !== JSON.stringify([view.from, view.to, view.ranges])) before.push([view.from, view.to, view.ranges]);
  show(from, to, ranges);
}
function show(from, to, ranges) {
  view.from = from; view.to = to; view.ranges = ranges;
  loadSoon();
  remember();
  for (const card of cards) if (card.chart && from !== null && to !== null) card.place(from, to);  // the old picture meanwhile
}
function back() { const last = before.pop(); if (last) show(...last); }
function step(by, factor) {  // what the wheel and the pointer do, for keys and fingers
  const card = cards.find((one) => one.chart && one.lines.length && !one.element.hidden);
  if (!card) return;
  const { min, max } = card.chart.scales.x, [from, to] = [card.share(min), card.share(max)], width = to - from;
  const middle = (from + to) / 2 + by * width, half = (width / 2) * factor;
  zoom(...rounded(card.unshare(middle - half), card.unshare(middle + half)), view.ranges);
}
function remember() {
  if (!$("controls")) return;
  const url = new URL(location.href), escaped = (text) => text.replace(/[\\,]/g, "\\$&"), others = (titles) => titles.map(escaped).join(",") || null;
  const ranges = Object.entries(view.ranges).map(([card, [low, high]]) => escaped(`${card}:${low}:${high}`)).join(",");
  const words = {
    x: view.x === "step" ? null : view.x, ...asked(), log: flag("log"), logx: flag("logx"), logy: others(view.logy), y: ranges || null, base: view.base.slice(-8) || null,
  };
  for (const [name, value] of Object.entries(words)) if (value === null) url.searchParams.delete(name); else url.searchParams.set(name, value);
  url.search = readable(url.search);
  history.replaceState(history.state, "", url);
  // Links that keep the state of this page take what changed.
  for (const link of document.querySelectorAll(".foot a[href^='?'], .chips a[href^='?'], a[data-tool]")) {
    const own = new URL(link.getAttribute("href"), location.href);
    for (const name of Object.keys(words)) { const value = url.searchParams.get(name); if (value === null) own.searchParams.delete(name); else own.searchParams.set(name, value); }
    const tool = link.dataset.tool, card = cards.find((one) => one.element.contains(link));
    const set = (name, value) => { if (value) own.searchParams.set(name, value); else own.searchParams.delete(name); };
    if (tool === "save") { set("log", card.isLog && 1); set("logy"); }
    if (tool === "log") {
      set("logy", others(turned(card.title)));
      link.setAttribute("aria-label", `${card.isLog ? "Linear" : "Logarithmic"} y-axis of ${card.title}`);
      if (card.isLog) link.setAttribute("aria-current", "true"); else link.removeAttribute("aria-current");
    }
    const search = readable(own.search);
    link.setAttribute("href", /save|table/.test(tool) ? own.href.replace(own.search, search) : search || "?");
  }
  $("reset").disabled = view.from === null && view.to === null && !Object.keys(view.ranges).length;
  $("back").disabled = !before.length;
}
const turned = (title) => (view.logy.includes(title) ? view.logy.filter((one) => one !== title) : [...view.logy, title]);
function controls() {
  const form = $("controls");
  if (!form) return;
  $("apply").hidden = true;
  form.querySelector(".zooms").hidden = false;
  form.addEventListener("submit", (event) => event.preventDefault());
  const on = (name, act, event = "change") => form.elements[name]?.addEventListener?.(event, ({ target }) => { act(target); remember(); });
  const whole = () => { view.from = view.to = null; before.length = 0; loadAll(); };
  on("x", (field) => { view.x = field.value; whole(); });
  on("align", (field) => { view.align = field.checked; whole(); });
  on("smooth", (field) => { view.smooth = Number(field.value); $("smooth-says").textContent = view.smooth ? view.smooth.toFixed(2) : "off"; loadSoon(); }, "input");
  for (const name of ["log", "logx", "band", "clip"]) on(name, (field) => { view[name] = field.checked; loadAll(); });
  on("base", ({ value }) => { view.base = value ? cards.flatMap((card) => card.lines).find((line) => line.run.endsWith(value))?.run || "" : ""; });
  for (const [id, action] of Object.entries({ reset: () => zoom(null, null, {}), back, "zoom-in": () => step(0, 0.5), "zoom-out": () => step(0, 2), "pan-left": () => step(-0.25, 1), "pan-right": () => step(0.25, 1) })) $(id).addEventListener("click", action);
  remember();
  for (const card of cards) card.element.querySelector("[data-tool='log']")?.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    view.logy = turned(card.title);
    card.load(); remember();
  });
  const find = $("find");
  if (find) {
    find.closest("label").hidden = false;
    find.addEventListener("input", () => { for (const card of cards) card.element.hidden = !card.title.toLowerCase().includes(find.value.toLowerCase()); });
  }
  for (const menu of document.querySelectorAll("details.menu")) menu.addEventListener("toggle", () => { if (menu.open) for (const other of document.querySelectorAll("details.menu[open]")) if (other !== menu) other.open = false; });
  addEventListener("click", (event) => { for (const menu of document.querySelectorAll("details.menu[open]")) if (!menu.contains(event.target)) menu.open = false; });
}
if (holder) {
  cards = [...holder.querySelectorAll("[data-card]")].map((element) => new Card(element));
  controls();
  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries) if (entry.isIntersecting) {
      const card = cards.find((one) => one.element === entry.target);
      seen.unobserve(entry.target);
      card.isSeen = true;
      card.load();
    }
  }, { rootMargin: "300px" });
  for (const card of cards) seen.observe(card.element);
  for (const item of document.querySelectorAll(".legend [data-run]")) for (const [kind, run] of [["pointerenter", item.dataset.run], ["pointerleave", ""], ["focusin", item.dataset.run], ["focusout", ""]]) item.addEventListener(kind, () => { for (const card of cards) card.fade(run); });
  document.addEventListener("histhooks:changes", (event) => {
    const runs = new Set(event.detail.runs);
    for (const card of cards) if (card.isSeen && (event.detail.whole || card.lines.some((line) => runs.has(line.run)))) card.load();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { for (const card of cards) card.key = ""; loadAll(); });
  addEventListener("beforeprint", () => { for (const card of cards) card.element.classList.remove("drawn"); });
  addEventListener("afterprint", () => { for (const card of cards) if (card.chart) card.element.classList.add("drawn"); });
}
