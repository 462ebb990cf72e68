// The table of lines: sorts, filters, counts own or cumulative.

/** So many rows at first; more at a press of a button. */
const FIRST_ROWS = 100;

const COLUMNS = {
  own: [["net", "Net"], ["grown", "Grown"], ["returned", "Returned"], ["resident", "Resident"], ["peak", "Peak"],
    ["events", "Events"]],
  cumulative: [["net", "Net"], ["resident", "Resident"], ["peak", "Peak"], ["events", "Events"]],
};
const NAMES = [["place", "File:line"], ["name", "Function"]];

const linesView = { process: null, count: "own", sort: "net", down: true, filter: "", all: false };

function showLines(process) {
  Object.assign(linesView, { process, all: false });
  drawLines();
}

function startLines() {
  switched("count", (value) => {
    linesView.count = value;
    if (!COLUMNS[value].some(([key]) => key === linesView.sort) && !NAMES.some(([key]) => key === linesView.sort)) {
      Object.assign(linesView, { sort: "net", down: true });
    }
    drawLines();
  });
  byId("lines-filter").addEventListener("input", (event) => {
    linesView.filter = event.target.value.trim().toLowerCase();
    drawLines();
  });
}

function chosenLines() {
  const { process, count: counted, sort, down, filter } = linesView;
  const lines = ranked(process.lines ?? []).filter((line) => line.place.words.includes(filter));
  const key = (line) => (sort === "place" ? line.place.file : sort === "name" ? line.place.name : line[counted][sort]);
  const order = (a, b) => {
    const [x, y] = [key(a), key(b)];
    if (x !== y) return (x < y ? -1 : 1) * (down ? -1 : 1);
    return sort === "place" ? (a.place.line - b.place.line) * (down ? -1 : 1) : 0;
  };
  return lines.sort(order); // stable: equal ones stay in the order of `ranked`
}

/** As the table report ranks them: own net, then what grew most though it came back, then callers. */
function ranked(lines) {
  const keys = (line) => [line.own.net, line.own.grown, line.cumulative.net];
  return [...lines].sort((a, b) => {
    const [x, y] = [keys(a), keys(b)];
    const at = x.findIndex((key, index) => key !== y[index]);
    return at < 0 ? 0 : y[at] - x[at];
  });
}

function drawLines() {
  const lines = chosenLines();
  const { process, count: counted, filter, all } = linesView;
  const every = process.lines ?? [];
  const net = lines.reduce((sum, line) => sum + line.own.net, 0);
  byId("lines-status").textContent = filter === ""
    ? `${count(every.length, "line", "lines")}, ${mibUnit(net)} net`
    : `${lines.length} of ${count(every.length, "line", "lines")}, ${mibUnit(net)} net`;

  const shown = all ? lines : lines.slice(0, FIRST_ROWS);
  const largest = Math.max(1, ...every.map((line) => line[counted].net));
  const table = element("table", { class: "rows", role: "table", "aria-labelledby": "lines-title" },
    element("thead", { role: "rowgroup" }, element("tr", { role: "row" },
      ...COLUMNS[counted].map(([key, name]) => head(key, name, "figure")), ...NAMES.map(([key, name]) => head(key, name, "")))),
    element("tbody", { role: "rowgroup" }, ...shown.map((line) => lineRow(line, counted, largest))));
  const more = lines.length - shown.length;
  const parts = [table];
  if (lines.length === 0) parts.push(element("p", { class: "about", text: "No line matches." }));
  if (more > 0) {
    parts.push(element("button", { type: "button", class: "more", text: `Show ${count(more, "more line", "more lines")}`,
      on: { click: () => { linesView.all = true; drawLines(); } } }));
  }
  byId("lines-table").replaceChildren(...parts);
}

function head(key, name, kind) {
  const { sort, down } = linesView;
  const sorted = sort === key ? (down ? "descending" : "ascending") : null;
  const press = () => {
    const text = NAMES.some(([each]) => each === key);
    Object.assign(linesView, { sort: key, down: sort === key ? !down : !text });
    drawLines();
    byId("lines-table").querySelector(`[data-sort="${key}"]`).focus();
  };
  return element("th", { scope: "col", role: "columnheader", class: kind, "aria-sort": sorted },
    element("button", { type: "button", "data-sort": key, on: { click: press } }, name,
      element("span", { class: "arrow", "aria-hidden": "true", text: sorted === null ? "" : down ? "▼" : "▲" })));
}

function lineRow(line, counted, largest) {
  const figures = line[counted];
  const cells = COLUMNS[counted].map(([key, name]) => {
    const text = key === "events" ? String(figures[key]) : mib(figures[key]);
    const share = key === "net" ? Math.max(0, figures.net / largest) : 0;
    return element("td", { class: `figure ${key}`, role: "cell", "data-label": name },
      share > 0 ? element("span", { class: `share-of c${line.colour || "rest"}`, "aria-hidden": "true",
        style: { width: `${share * 100}%` } }) : null,
      element("span", { text }));
  });
  const quiet = figures.net === 0 && (figures.grown ?? 0) === 0;
  return element("tr", { role: "row", class: quiet ? "quiet-row" : null, "data-line": line.number }, ...cells,
    element("td", { class: "where", role: "cell" }, swatch(line), placeLink(line)),
    element("td", { class: "function", role: "cell", title: line.place.name, text: line.place.name }));
}
