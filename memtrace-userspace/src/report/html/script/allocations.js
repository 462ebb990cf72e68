// What the allocator lens counted, by line. Without the lens the part is not there.

const ALLOCATION_COLUMNS = [["live", "Live"], ["blocks", "Blocks"], ["oldest", "Oldest"], ["allocated", "Allocated"],
  ["allocations", "Allocations"], ["temporary", "Temporary"]];

const allocationsView = { process: null, sort: null, all: false };

function showAllocations(process) {
  const counted = process.allocations ?? null;
  byId("allocations").hidden = counted === null;
  byId("allocations-link").hidden = counted === null;
  if (counted === null) return;
  Object.assign(allocationsView, { process, sort: counted.frees_seen ? "live" : "allocated", all: false });
  byId("allocations-about").textContent = counted.sentences.join("; ");
  drawAllocations();
}

/** The largest first; what isn't known comes last. */
function drawAllocations() {
  const { process, sort, all } = allocationsView;
  const rows = [...process.allocations.rows].sort((a, b) => (b[sort] ?? -Infinity) - (a[sort] ?? -Infinity) || 0);
  const shown = all ? rows : rows.slice(0, FIRST_ROWS);
  const parts = [element("table", { class: "rows", role: "table", "aria-labelledby": "allocations-title" },
    element("thead", { role: "rowgroup" }, element("tr", { role: "row" },
      ...ALLOCATION_COLUMNS.map(([key, name]) => allocationHead(key, name)),
      ...NAMES.map(([, name]) => element("th", { scope: "col", role: "columnheader", text: name })))),
    element("tbody", { role: "rowgroup" }, ...shown.map(allocationRow)))];
  const more = rows.length - shown.length;
  if (rows.length === 0) parts.push(element("p", { class: "about", text: "Nothing was allocated." }));
  if (more > 0) {
    parts.push(element("button", { type: "button", class: "more", text: `Show ${count(more, "more line", "more lines")}`,
      on: { click: () => { allocationsView.all = true; drawAllocations(); } } }));
  }
  byId("allocations-table").replaceChildren(...parts);
}

function allocationHead(key, name) {
  const sorted = allocationsView.sort === key;
  const press = () => {
    allocationsView.sort = key;
    drawAllocations();
    byId("allocations-table").querySelector(`[data-sort="${key}"]`).focus();
  };
  return element("th", { scope: "col", role: "columnheader", class: "figure", "aria-sort": sorted ? "descending" : null },
    element("button", { type: "button", "data-sort": key, on: { click: press } }, name,
      element("span", { class: "arrow", "aria-hidden": "true", text: sorted ? "▼" : "" })));
}

function allocationRow(row) {
  const shown = { live: mib, allocated: mib, oldest: time };
  const cells = ALLOCATION_COLUMNS.map(([key, name]) => {
    const value = row[key];
    const text = value === null ? "-" : (shown[key] ?? String)(value);
    const between = key === "allocations" && row.interval ? `95 %: ${row.interval.join(" to ")}` : null;
    return element("td", { class: "figure", role: "cell", "data-label": name, title: between },
      element("span", { text: between === null ? text : `${text} (${row.interval.join("–")})` }));
  });
  const { line } = row;
  const names = line === null
    ? [element("td", { class: "where", role: "cell", text: row.reason ?? "" }), element("td", { class: "function", role: "cell" })]
    : [element("td", { class: "where", role: "cell" }, swatch(line), placeLink(line)),
      element("td", { class: "function", role: "cell", title: line.place.name, text: line.place.name })];
  return element("tr", { role: "row" }, ...cells, ...names);
}
