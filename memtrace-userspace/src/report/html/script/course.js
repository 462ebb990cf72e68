// RSS over time: what was there before at the bottom, then the lines that held most, then the other
// lines. The top of the stack is RSS. Pointer or arrow keys move a cursor; the list beside it says
// what each layer holds there.

const HEIGHT = 330;
const ROOM = { left: 58, right: 14, top: 24, bottom: 26 };
const TIME_STEPS = [0.001, 0.01, 0.1, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21600, 43200,
  86400, 172800, 604800, 1209600].map((seconds) => seconds * 1e9);

let courseWatch = null;

function showCourse(process) {
  courseWatch?.disconnect();
  const { course } = process;
  const holder = byId("course");
  if (!course) {
    byId("time-about").textContent = "Nobody kept RSS over time: there is a summary only.";
    holder.replaceChildren();
    return;
  }
  const view = { process, ...layersOf(process) };
  view.plot = element("div", { class: "plot", role: "slider", tabindex: "0", "aria-label": "RSS over time",
    "aria-valuemin": 0, "aria-valuemax": view.at.length - 1, on: {
      keydown: (event) => moveByKey(view, event),
      pointermove: (event) => moveByPointer(view, event),
      pointerdown: (event) => moveByPointer(view, event),
    } });
  view.readout = element("div", { class: "readout" });
  holder.replaceChildren(view.plot, view.readout);
  const others = process.lines.length - view.layers.length;
  const parts = [];
  if (view.layers.length > 0) parts.push(`the ${count(view.layers.length, "line", "lines")} that held most`);
  if (others > 0) parts.push(`${count(others, "other line", "other lines")} together`);
  byId("time-about").textContent = `From the top: ${[...parts.reverse(), "what was there before"].join(", ")}. `
    + "The top is RSS; dotted is the highest RSS between two moments. Point, or use the arrow keys, "
    + "to read a moment.";
  draw(view);
  moveTo(view, view.at.length - 1);
  courseWatch = new ResizeObserver(() => {
    if (view.plot.clientWidth === view.width) return;
    draw(view);
    moveTo(view, view.cursor);
  });
  courseWatch.observe(view.plot);
}

/** The course with its beginning, as layers to draw from the bottom up. */
function layersOf(process) {
  const { course } = process;
  const begins = course.at_ns[0] > process.began_ns; // else the first moment is the beginning
  const after = (first, rest) => (begins ? [first, ...rest] : rest);
  const at = after(process.began_ns, course.at_ns);
  const rss = after(process.before, course.rss.map(total));
  const splits = after(process.rss_before, course.rss);
  const peaks = after(process.before, course.peak);
  const layers = course.layers.map(({ line, held }) => (
    { line: process.lines[line], kind: `c${process.lines[line].colour}`, held: after(0, held) }));
  const rest = { line: null, kind: "crest", held: after(0, course.rest) };
  const lines = at.map((_, moment) => [...layers, rest].reduce((sum, layer) => sum + layer.held[moment], 0));
  // Negative growth can't be drawn as an area: it comes out of the bottom, so that the top is RSS.
  const drawn = at.map((_, moment) => (
    [...layers, rest].reduce((sum, layer) => sum + Math.max(0, layer.held[moment]), 0)));
  const base = rss.map((size, moment) => Math.max(0, size - drawn[moment]));
  return { at, rss, splits, peaks, layers, rest, lines, base, top: Math.max(...peaks, ...rss, 1) };
}

function draw(view) {
  const width = Math.max(200, view.plot.clientWidth);
  const [first, last] = [view.at[0], view.at[view.at.length - 1]];
  const x = (time) => ROOM.left + ((time - first) / Math.max(1, last - first)) * (width - ROOM.left - ROOM.right);
  const y = (bytes) => HEIGHT - ROOM.bottom - (bytes / view.top) * (HEIGHT - ROOM.top - ROOM.bottom);
  Object.assign(view, { x, y, width });

  let below = view.base;
  const areas = [area(view, view.base.map(() => 0), view.base, "base", null)];
  const labels = [];
  for (const layer of [...view.layers, view.rest]) {
    const above = below.map((bytes, at) => bytes + Math.max(0, layer.held[at]));
    areas.push(area(view, below, above, layer.kind, layer.line));
    if (layer.line) labels.push(areaLabel(view, below, above, layer));
    below = above;
  }
  view.cursorLine = drawing("line", { class: "cursor", y1: ROOM.top - 8, y2: HEIGHT - ROOM.bottom });
  view.cursorDot = drawing("circle", { class: "dot", r: 4 });
  const peaks = view.at.map((time, at) => `${x(time)},${y(Math.max(view.peaks[at], view.rss[at]))}`);
  const svg = drawing("svg", { viewBox: `0 0 ${width} ${HEIGHT}`, "aria-hidden": "true" },
    ...axes(view), ...areas,
    drawing("polyline", { class: "highest", points: peaks.join(" ") }),
    drawing("polyline", { class: "total", points: view.rss.map((bytes, at) => `${x(view.at[at])},${y(bytes)}`).join(" ") }),
    ...labels.filter((label) => label !== null), ...peakMark(view), view.cursorLine, view.cursorDot);
  view.plot.replaceChildren(svg);
}

function area(view, below, above, kind, line) {
  const { x, y, at } = view;
  const up = above.map((bytes, moment) => `${x(at[moment]).toFixed(1)},${y(bytes).toFixed(1)}`);
  const down = below.map((bytes, moment) => `${x(at[moment]).toFixed(1)},${y(bytes).toFixed(1)}`).reverse();
  return drawing("polygon", { class: `area ${kind}`, points: [...up, ...down].join(" "), "data-line": line?.number });
}

/** The rank, where the area is thick enough to hold it: nobody needs to tell ten colours apart. */
function areaLabel({ x, y, at, width }, below, above, layer) {
  // The most room between the highest bottom and the lowest top over the width of a digit or two.
  const room = (moment) => {
    let [bottom, top] = [Infinity, -Infinity];
    for (let near = moment; near < at.length && x(at[near]) - x(at[moment]) <= 14; near += 1) {
      bottom = Math.min(bottom, y(below[near]));
      top = Math.max(top, y(above[near]));
    }
    return { size: bottom - top, y: (bottom + top) / 2 };
  };
  let best = { size: 0 };
  for (let moment = 0; moment < at.length; moment += 1) {
    if (x(at[moment]) > width - ROOM.right - 24) break;
    const here = room(moment);
    if (here.size > best.size * 1.01) best = { ...here, x: x(at[moment]) + 7 };
  }
  if (best.size < 13) return null;
  return drawing("text", { class: `rank ${layer.kind}`, x: best.x, y: best.y + 4, text: layer.line.colour });
}

function axes({ x, y, at, top, width }) {
  const parts = [];
  const raw = top / MIB / 5;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= raw);
  for (let size = 0; size * MIB <= top; size += step) {
    parts.push(drawing("line", { class: "grid", x1: ROOM.left, x2: width - ROOM.right, y1: y(size * MIB), y2: y(size * MIB) }),
      drawing("text", { class: "tick", x: ROOM.left - 8, y: y(size * MIB) + 4, "text-anchor": "end",
        text: String(Number(size.toPrecision(6))) }));
  }
  parts.push(drawing("text", { class: "tick", x: ROOM.left - 8, y: 12, "text-anchor": "end", text: "MiB" }));
  const [first, last] = [at[0], at[at.length - 1]];
  const most = Math.max(2, Math.floor((width - ROOM.left) / 90));
  const apart = TIME_STEPS.find((size) => (last - first) / size <= most) ?? (last - first) / most;
  for (let tick = Math.ceil(first / apart) * apart; tick <= last; tick += apart) {
    const end = x(tick) > width - 40;
    parts.push(drawing("text", { class: "tick", x: end ? width - ROOM.right : x(tick), y: HEIGHT - 8,
      "text-anchor": end ? "end" : "middle", text: time(tick) }));
  }
  return parts;
}

function peakMark(view) {
  const { x, y, at, width } = view;
  const peak = peakMoment(view);
  const bytes = Math.max(view.peaks[peak], view.rss[peak]);
  const [left, end] = [x(at[peak]), x(at[peak]) > width * 0.6];
  return [drawing("path", { class: "peak", d: `M${left} ${y(bytes) + 1}l-5 -8h10z` }),
    drawing("text", { class: "peak", x: left + (end ? -9 : 9), y: y(bytes) - 2, "text-anchor": end ? "end" : "start",
      text: `peak ${mibUnit(view.process.rss_peak)}` })];
}

function peakMoment(view) {
  const highest = view.at.map((_, at) => Math.max(view.peaks[at], view.rss[at]));
  return highest.indexOf(Math.max(...highest));
}

function moveByPointer(view, event) {
  const box = view.plot.getBoundingClientRect();
  const left = ((event.clientX - box.left) / box.width) * view.width;
  let nearest = 0;
  view.at.forEach((time, at) => {
    if (Math.abs(view.x(time) - left) < Math.abs(view.x(view.at[nearest]) - left)) nearest = at;
  });
  moveTo(view, nearest);
}

function moveByKey(view, event) {
  const last = view.at.length - 1;
  const steps = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -10, PageUp: 10, Home: -last, End: last };
  const step = steps[event.key];
  if (step === undefined || event.ctrlKey || event.altKey || event.metaKey) return;
  event.preventDefault();
  moveTo(view, Math.min(last, Math.max(0, view.cursor + step)));
}

/** Shows a moment. */
function moveTo(view, moment) {
  view.cursor = moment;
  const { x, y, at, rss } = view;
  for (const [name, value] of [["x1", x(at[moment])], ["x2", x(at[moment])]]) view.cursorLine.setAttribute(name, value);
  view.cursorDot.setAttribute("cx", x(at[moment]));
  view.cursorDot.setAttribute("cy", y(rss[moment]));
  const when = moment === at.length - 1 ? "at the end" : `at ${time(at[moment])}`;
  const largest = [...view.layers].sort((a, b) => b.held[moment] - a.held[moment])[0];
  const most = largest && largest.held[moment] > 0
    ? `; most by ${largest.line.place.base}:${largest.line.place.line}, ${mibUnit(largest.held[moment])}` : "";
  view.plot.setAttribute("aria-valuenow", moment);
  view.plot.setAttribute("aria-valuetext", `${when}: ${mibUnit(rss[moment])}${most}`);
  showReadout(view, moment, when);
}

function showReadout(view, moment, when) {
  const { process, rss, splits, layers, rest, lines } = view;
  const figure = (bytes) => element("td", { class: "figure", text: mib(bytes) });
  const row = (mark, name, bytes) => element("tr", {}, element("td", {}, mark), element("td", { class: "where" }, ...name), figure(bytes));
  const block = (kind) => element("span", { class: `swatch ${kind}`, "aria-hidden": "true", text: "\u00a0" });
  const named = (line) => [placeLink(line), element("span", { class: "in", text: line.place.name })];
  const unattributed = rss[moment] - process.before - lines[moment];
  const others = process.lines.length - layers.length;
  const [anon, file, shmem] = splits[moment].map(mib);
  view.readout.replaceChildren(
    element("p", { class: "moment" }, element("strong", { text: `${mibUnit(rss[moment])} ` }), when,
      element("span", { class: "kinds", text: `anon ${anon} · file ${file} · shmem ${shmem}` })),
    element("table", { class: "layers", "aria-label": `What RSS was made of ${when}, MiB` },
      element("tbody", {},
        others > 0 ? row(block("crest"), [count(others, "other line", "other lines")], rest.held[moment]) : null,
        ...[...layers].reverse().map((layer) => row(swatch(layer.line), named(layer.line), layer.held[moment])),
        row(block("base"), ["unattributed"], unattributed),
        row(block("base"), ["before attach"], process.before))),
    element("button", { type: "button", class: "quiet", text: `Peak: ${mibUnit(process.rss_peak)} by ${time(view.at[peakMoment(view)])}`,
      on: { click: () => { moveTo(view, peakMoment(view)); view.plot.focus(); } } }));
}
