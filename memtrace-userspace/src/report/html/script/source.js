// Source by function, with figures and bars in the margin. Text is put in when a function is opened.

const OPEN_AT_FIRST = 2;
/** So many functions at first; more at a press of a button or when a line of one is asked for. */
const FIRST_FUNCTIONS = 30;

let functionsShown = [];

/** The text of one line, or nothing. */
function sourceLine(process, place) {
  for (const [first, lines] of process.sources.get(place.of)?.parts ?? []) {
    if (place.line >= first && place.line < first + lines.length) return lines[place.line - first];
  }
  return "";
}

function showSource(process) {
  const byFunction = new Map([...(process.sources?.keys() ?? [])].map((of) => [of, []]));
  for (const line of process.lines ?? []) {
    if (!byFunction.has(line.place.of)) byFunction.set(line.place.of, []);
    byFunction.get(line.place.of).push(line);
  }
  const largest = Math.max(1, ...(process.lines ?? []).map((line) => line.cumulative.net));
  functionsShown = [...byFunction].map(([of, lines]) => panel(process, of, lines, largest));
  const first = functionsShown.slice(0, FIRST_FUNCTIONS);
  const more = functionsShown.length - first.length;
  const button = more <= 0 ? null : element("button", { type: "button", class: "more",
    text: `Show ${count(more, "more function", "more functions")}`, on: { click: (event) => event.target.replaceWith(
      ...functionsShown.slice(FIRST_FUNCTIONS).filter((shown) => !shown.details.isConnected).map((shown) => shown.details)) } });
  byId("source-functions").replaceChildren(...first.map((shown) => shown.details), ...(button ? [button] : []));
  if (functionsShown.length === 0) {
    byId("source-functions").replaceChildren(element("p", { class: "about", text: "No function has figures." }));
  }
  first.slice(0, OPEN_AT_FIRST).forEach((shown) => {
    shown.details.open = true;
    shown.fill();
  });
}

/** A function that opens and closes. */
function panel(process, of, lines, largest) {
  const { file, name, firstLine } = report.functions[of];
  const own = lines.reduce((sum, line) => sum + line.own.net, 0);
  const body = element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": `Source of ${name}` });
  const details = element("details", { class: "function-source" },
    element("summary", {},
      element("span", { class: "name", text: name }),
      element("span", { class: "path", text: `${file}:${firstLine}` }),
      element("span", { class: "figure", text: `own net ${mib(own)}` })),
    body);
  let filled = false;
  const fill = () => {
    if (filled) return;
    filled = true;
    const source = process.sources.get(of);
    const note = source ? source.note
      : "the source of this function is not in this report, which holds that of the lines that grew most";
    if (note) body.before(element("p", { class: "note", text: `${note[0].toUpperCase()}${note.slice(1)}.` }));
    body.append(sourceTable(lines, source?.parts ?? [], largest));
  };
  details.addEventListener("toggle", () => details.open && fill());
  return { of, details, fill };
}

function sourceTable(lines, parts, largest) {
  const figures = new Map();
  for (const line of lines) figures.set(line.place.line, [...(figures.get(line.place.line) ?? []), line]);
  const texts = new Map();
  for (const [first, part] of parts) part.forEach((text, at) => texts.set(first + at, text));
  const numbers = [...new Set([...texts.keys(), ...figures.keys()])].sort((a, b) => a - b);
  const rows = [];
  let previous = null;
  for (const number of numbers) {
    if (previous !== null && number > previous + 1 && texts.size > 0) {
      rows.push(element("tr", { class: "gap" }, element("td", { colspan: 6, text: "…" })));
    }
    previous = number;
    for (const line of figures.get(number) ?? [null]) rows.push(sourceRow(number, line, texts.get(number) ?? "", largest));
  }
  const heads = ["Line", "", "Net", "Cumul.", "Resident", "Source"];
  return element("table", { class: "listing" },
    element("thead", {}, element("tr", {}, ...heads.map((text, at) => (
      at === 1 ? element("td", {}) : element("th", { scope: "col", class: at < 5 ? "figure" : "", text }))))),
    element("tbody", {}, ...rows));
}

function sourceRow(number, line, text, largest) {
  const cell = (bytes, kind) => element("td", { class: `figure ${kind}`, text: line === null ? "" : mib(bytes()) });
  const wide = (bytes) => ({ width: `${Math.min(100, Math.max(0, (bytes / largest) * 100))}%` });
  const bars = line === null ? [] : [
    element("span", { class: "whole", style: wide(line.cumulative.net) }),
    element("span", { class: `self c${line.colour || "rest"}`, style: wide(line.own.net) })];
  const silent = line !== null && line.own.net === 0 ? "own quiet" : "own";
  return element("tr", { id: line?.id, class: line === null ? "" : "hot", tabindex: line === null ? null : "-1" },
    element("th", { scope: "row", class: "figure", text: number }),
    element("td", { class: "margin", "aria-hidden": "true" }, element("span", { class: "bars" }, ...bars)),
    cell(() => line.own.net, silent), cell(() => line.cumulative.net, "cumulative"), cell(() => line.own.resident, "resident"),
    element("td", { class: "text" }, element("code", { text })));
}

/** Opens the function of a line and goes there. */
function goToLine(line) {
  const shown = functionsShown.find((each) => each.of === line.place.of);
  if (shown === undefined) return;
  const { details, fill } = shown;
  if (!details.isConnected) byId("source-functions").append(details);
  details.open = true;
  fill();
  for (const row of document.querySelectorAll(".listing tr.target")) row.classList.remove("target");
  const row = byId(line.id);
  row.classList.add("target");
  row.focus({ preventScroll: true });
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  row.scrollIntoView({ block: "center", behavior: still ? "auto" : "smooth" });
}
