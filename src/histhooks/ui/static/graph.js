// The graph of a lineage: arrow keys go along its links, and what belongs to a node stands out. Links work without.
const graph = document.querySelector(".graph");
if (graph) {
  const nodes = new Map([...graph.querySelectorAll("[data-node]")].map((node) => [node.dataset.node, node]));
  const edges = [...graph.querySelectorAll("[data-from]")];
  const top = (node) => Number(node.querySelector("rect").getAttribute("y"));
  const beside = (id, from, to) => edges.filter((edge) => edge.dataset[from] === id).map((edge) => nodes.get(edge.dataset[to])).filter(Boolean);
  const nearest = (node, others) => others.sort((a, b) => Math.abs(top(a) - top(node)) - Math.abs(top(b) - top(node)))[0];
  const column = (node, by) => [...nodes.values()].filter((other) => other.dataset.column === node.dataset.column && Math.sign(top(other) - top(node)) === by);
  const steps = {
    ArrowLeft: (node) => nearest(node, beside(node.dataset.node, "to", "from")),
    ArrowRight: (node) => nearest(node, beside(node.dataset.node, "from", "to")),
    ArrowUp: (node) => nearest(node, column(node, -1)),
    ArrowDown: (node) => nearest(node, column(node, 1)),
  };
  const root = graph.querySelector(".node.root");
  function reach(id, from, to, seen) {
    const waiting = [id];
    while (waiting.length) {
      const here = waiting.pop();
      for (const edge of edges) {
        if (edge.dataset[from] !== here) continue;
        edge.classList.add("near");
        const next = edge.dataset[to];
        if (!seen.has(next)) { seen.add(next); waiting.push(next); }
      }
    }
  }
  function light(node) {
    for (const each of [...edges, ...nodes.values()]) each.classList.remove("near");
    graph.classList.toggle("walking", Boolean(node));
    if (!node) return;
    const up = new Set([node.dataset.node]), down = new Set([node.dataset.node]);
    reach(node.dataset.node, "to", "from", up);
    reach(node.dataset.node, "from", "to", down);
    for (const id of [...up, ...down]) nodes.get(id)?.classList.add("near");
  }
  graph.addEventListener("keydown", (event) => {
    const step = steps[event.key];
    if (!step || event.ctrlKey || event.altKey || event.metaKey) return;
    const node = event.target.closest("[data-node]");
    const next = node ? step(node) : root;
    event.preventDefault();
    if (next) { next.focus({ preventScroll: true }); show(next); }
  });
  function show(node) {
    const box = node.querySelector("rect").getBoundingClientRect(), frame = graph.getBoundingClientRect();
    if (box.left < frame.left + 20 || box.right > frame.right - 20) graph.scrollLeft += box.left + box.width / 2 - frame.left - frame.width / 2;
    if (box.top < frame.top + 20 || box.bottom > frame.bottom - 20) graph.scrollTop += box.top + box.height / 2 - frame.top - frame.height / 2;
  }
  for (const node of nodes.values()) {
    node.addEventListener("pointerenter", () => light(node));
    node.addEventListener("pointerleave", () => light(null));
    node.addEventListener("focus", () => { if (node.matches(":focus-visible")) light(node); });
    node.addEventListener("blur", () => light(null));
  }
  if (root) show(root);
}
