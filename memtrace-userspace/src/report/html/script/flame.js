// The flame graph: stacks merged from their callers on. A box is as wide as what it stands for;
// zooming makes one box the whole width. Boxes too narrow to see are not made.

/** Narrower boxes are left out. */
const LEAST_PIXELS = 1.5;
/** Narrower boxes have no text: it would be half a letter. */
const LEAST_FOR_TEXT = 28;
const EVENTS = "events";

const flame = { process: null, measure: "net", root: null, zoom: null, search: "", shown: new Map(), focus: null, told: null,
  left: { stacks: 0, value: 0 } };

function startFlame(measure) {
  flame.measure = measure;
  document.querySelector(`input[name="measure"][value="${measure}"]`).checked = true;
  switched("measure", (value) => {
    flame.measure = value;
    growTree();
  });
  byId("flame-search").addEventListener("input", (event) => {
    flame.search = event.target.value.trim().toLowerCase();
    markFound();
  });
  byId("flame-reset").addEventListener("click", () => zoomTo(flame.root, true));
  byId("flame-graph").addEventListener("keydown", steer);
  byId("flame-graph").addEventListener("click", (event) => {
    const node = flame.shown.get(event.target.closest?.("[role=treeitem]"));
    if (node) zoomTo(node, true);
  });
  byId("flame-graph").addEventListener("pointerover", (event) => {
    const node = flame.shown.get(event.target.closest?.("[role=treeitem]"));
    if (node) tell(node);
  });
  byId("flame-graph").addEventListener("focusin", (event) => {
    const node = flame.shown.get(event.target);
    if (node) tell(node);
  });
}

function showFlame(process) {
  flame.process = process;
  growTree();
}

/** Merges the stacks by the measure. */
function growTree() {
  const { process, measure } = flame;
  const branch = (place, parent) => ({ place, parent, value: 0, self: 0, children: new Map() });
  const root = branch(null, null);
  let left = { stacks: 0, value: 0 };
  for (const stack of process.stacks ?? []) {
    const value = stack[measure];
    if (value < 0) left = { stacks: left.stacks + 1, value: left.value + value };
    if (value <= 0) continue;
    let node = root;
    node.value += value;
    for (let at = stack.frames.length - 1; at >= 0; at -= 1) {
      const place = stack.frames[at];
      if (!node.children.has(place.index)) node.children.set(place.index, branch(place, node));
      node = node.children.get(place.index);
      node.value += value;
    }
    node.self += value;
  }
  const order = (node) => {
    node.children = [...node.children.values()].sort((a, b) => b.value - a.value);
    node.children.forEach(order);
  };
  order(root);
  Object.assign(flame, { root, left });
  zoomTo(root, false);
}

const flameAmount = (value) => (flame.measure === EVENTS ? count(value, "event", "events") : mibUnit(value));

function ancestors(node) {
  return node === null ? [] : [...ancestors(node.parent), node];
}

/** Draws with `node` as wide as the graph, its callers above it. */
function zoomTo(node, focus) {
  flame.zoom = node;
  flame.shown = new Map();
  const holder = byId("flame-graph");
  const pixels = Math.max(300, holder.clientWidth);
  const boxes = [];
  const put = (each, from, width, level, kind) => {
    boxes.push(box(each, from, width, level, width * pixels < LEAST_FOR_TEXT ? `${kind} blank` : kind));
    return level;
  };
  const callers = ancestors(node);
  callers.slice(0, -1).forEach((each, level) => put(each, 0, 1, level, "caller"));
  let deepest = callers.length;
  const spread = (each, from, width, level) => {
    if (width * pixels < LEAST_PIXELS) return;
    deepest = Math.max(deepest, put(each, from, width, level, "") + 1);
    let start = from;
    for (const child of each.children) {
      const share = each.value === 0 ? 0 : (child.value / each.value) * width;
      spread(child, start, share, level + 1);
      start += share;
    }
  };
  spread(node, 0, 1, callers.length - 1);
  const tree = element("div", { role: "tree", class: "tree", "aria-label": `Flame graph by ${flame.measure}`,
    style: { "--levels": deepest } }, ...boxes);
  flame.told = element("p", { class: "told" });
  holder.replaceChildren(tree, flame.told);
  byId("flame-reset").hidden = node === flame.root;
  flame.focus = boxOf(node);
  flame.focus.tabIndex = 0;
  if (focus) flame.focus.focus({ preventScroll: true });
  tell(node);
  markFound();
}

function box(node, from, width, level, kind) {
  const { place } = node;
  const line = place === null ? null : flame.process.lineOf.get(place.index);
  const colour = line?.colour && node.self * 2 >= node.value ? `coloured c${line.colour}` : "";
  const kinds = ["box", kind, colour, place?.library ? "library" : "", place?.native ? "native" : "", node === flame.root ? "root" : ""];
  const made = element("div", { role: "treeitem", tabindex: "-1", class: kinds.filter((each) => each !== "").join(" "),
    "aria-level": level + 1, "aria-label": `${words(node)}, ${flameAmount(node.value)}`,
    style: { left: `${from * 100}%`, width: `${width * 100}%`, "--level": level } });
  if (place === null) made.append(words(node));
  else if (!kind.includes("blank")) {
    made.append(element("b", { text: place.name }), ` ${place.where}`);
  }
  flame.shown.set(made, node);
  return made;
}

const words = (node) => (node.place === null ? `all lines, ${flame.measure}`
  : `${node.place.name}, ${node.place.where}`);

function boxOf(node) {
  for (const [made, each] of flame.shown) if (each === node) return made;
  return null;
}

/** Says under the graph what a box is, with a link to its source. */
function tell(node) {
  const shares = node === flame.root ? [] : [`${percent(node.value, flame.root.value)} of all`];
  if (node.self > 0 && node.self < node.value) shares.push(`${flameAmount(node.self)} by itself`);
  const line = node.place === null ? null : flame.process.lineOf.get(node.place.index);
  const parts = [element("strong", { text: flameAmount(node.value) }), ` ${shares.join(", ")} `];
  if (node.place === null) parts.push(element("span", { text: `all lines, ${flame.measure}` }));
  else parts.push(line ? placeLink(line) : `${node.place.where} `, element("span", { class: "in", text: node.place.name }));
  flame.told.replaceChildren(...parts);
}

function steer(event) {
  const node = flame.shown.get(event.target);
  if (node === undefined || event.ctrlKey || event.altKey || event.metaKey) return;
  const siblings = node.parent && boxOf(node.parent) ? node.parent.children.filter((each) => boxOf(each)) : [node];
  const beside = (step) => siblings[siblings.indexOf(node) + step];
  const targets = {
    ArrowUp: () => node.parent,
    ArrowDown: () => node.children.find((each) => boxOf(each)),
    ArrowLeft: () => beside(-1),
    ArrowRight: () => beside(1),
    Home: () => flame.root,
  };
  if (event.key === "Enter" || event.key === " ") zoomTo(node, true);
  else if (event.key === "Escape") zoomTo(flame.root, true);
  else if (targets[event.key]) moveFocus(targets[event.key]());
  else return;
  event.preventDefault();
}

function moveFocus(node) {
  const made = node ? boxOf(node) : null;
  if (made === null) return;
  if (flame.focus) flame.focus.tabIndex = -1;
  flame.focus = made;
  made.tabIndex = 0;
  made.focus();
}

/** Marks what the search finds, and says how much that is: a box inside a found one counts once. */
function markFound() {
  const { search, root, zoom, left, measure } = flame;
  const found = (node) => search !== "" && node.place !== null && node.place.words.includes(search);
  for (const [made, node] of flame.shown) {
    made.classList.toggle("found", found(node));
    made.classList.toggle("dim", search !== "" && !found(node));
  }
  const sum = (node) => (found(node) ? node.value : node.children.reduce((whole, child) => whole + sum(child), 0));
  const parts = [];
  if (search !== "") parts.push(`${flameAmount(sum(root))} found (${percent(sum(root), root.value)})`);
  else parts.push(`${flameAmount(root.value)} ${measure === EVENTS ? "" : measure}`.trim());
  if (zoom !== root) parts.push(`zoomed to ${flameAmount(zoom.value)}`);
  if (left.stacks > 0) {
    parts.push(`${count(left.stacks, "stack", "stacks")} with ${flameAmount(left.value)} can't be drawn`);
  }
  byId("flame-status").textContent = parts.join("; ");
}
