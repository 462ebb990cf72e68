// The head of a process: the verdict, the law as a sum, and warnings.

/** Of what a line grew, so much must still be there to be called held; with less it is mostly given back. */
const HELD = 0.5;
const GIVEN_BACK = 0.05;

function showSummary(process) {
  const title = `Process ${process.pid}`;
  document.title = `${title}: ${process.command} · memtrace`;
  byId("process-title").replaceChildren(
    element("span", { text: `${title} ` }), element("code", { text: process.command }));
  const forked = process.parent_pid === null ? null : `forked from ${process.parent_pid}`;
  const python = process.python === null ? "not Python" : `Python ${process.python}`;
  byId("process-facts").textContent =
    [python, process.ending, forked].filter((fact) => fact !== null).join(" · ");
  byId("warnings").replaceChildren(...warnings(process));
  byId("verdict").replaceChildren(...verdict(process), rss(process));
  showLaw(process);
  showFacts(process);
}

function warnings(process) {
  const told = [];
  const [anon, file, shmem] = process.law_gap;
  if (anon !== 0 || file !== 0 || shmem !== 0) {
    told.push(`The sum does not add up: rows and RSS differ by ${total(process.law_gap)} bytes (anon ${anon}, `
      + `file ${file}, shmem ${shmem}). The figures below are wrong by as much. This is a fault of memtrace: `
      + "please report it.");
  }
  if (process.lost_events > 0) {
    told.push(`${count(process.lost_events, "event", "events")} LOST (ring buffer full) with `
      + `${mibUnit(process.lost)} net, in no line.`);
  }
  const remainder = (process.unattributed ?? []).filter((row) => row.reason === "remainder" && row.net !== 0);
  for (const row of remainder) {
    told.push(`A remainder of ${mibUnit(row.net)}: the kernel's counter moved in a way that no event told.`);
  }
  return told.map((text) => element("p", { class: "banner", text }));
}

/** Which line, how much of it is still there, and who comes next. */
function verdict(process) {
  const [first, ...others] = process.lines ?? [];
  if (first === undefined || first.own.net <= 0) {
    const text = process.lines?.length ? "No line holds more than it gave back." : "No Python line changed its RSS.";
    return [element("div", { class: "culprit" }, element("p", { class: "headline", text }))];
  }
  const next = others.filter((line) => line.own.net > 0).slice(0, 3);
  const [state, words] = fate(first.own);
  const code = sourceLine(process, first.place);
  return [element("div", { class: "culprit" },
    element("p", { class: "eyebrow" }, "The line that grew most ",
      element("span", { class: `state ${state}`, text: `${words}: ${percent(first.own.resident, first.own.grown)}` })),
    element("p", { class: "headline" }, swatch(first), placeLink(first),
      element("span", { class: "in", text: ` in ${first.place.name}` })),
    code === "" ? null : element("pre", { class: `code c${first.colour}` }, element("code", { text: code.trim() })),
    element("p", { class: "amounts" },
      element("strong", { text: `${mibUnit(first.own.resident)} still resident` }),
      ` of ${mibUnit(first.own.grown)} grown; ${mibUnit(first.own.returned)} returned${rate(process, first)}`),
    bar(first),
    next.length === 0 ? null : element("ol", { class: "next", "aria-label": "The next lines, by net growth" },
      ...next.map((line) => element("li", {}, swatch(line), placeLink(line),
        element("span", { class: "in", text: line.place.name }),
        element("span", { class: "figure", text: signedMib(line.own.net) })))))];
}

/** What became of what a line grew: a word for its colour, and words. */
function fate({ grown, net, resident }) {
  if (resident >= HELD * grown) return ["held", "Still held"];
  // Nobody returned it: it was swapped out or reclaimed.
  if (net >= HELD * grown) return ["partly", "Not returned, but out of RSS; resident"];
  return resident >= GIVEN_BACK * grown ? ["partly", "Partly given back; resident"]
    : ["returned", "Mostly given back; resident"];
}

/** How fast the line's net growth came, where it was watched for long enough to say. */
function rate(process, line) {
  const minutes = ((process.ended_ns ?? report.duration_ns) - process.began_ns) / 60e9;
  return minutes >= 1 ? `; ${mib(line.own.net / minutes)} MiB a minute` : "";
}

/** Resident, not resident, returned, as shares of what the line grew. */
function bar(line) {
  const { grown, returned, resident } = line.own;
  const part = (name, size) => {
    const width = `${Math.min(100, Math.max(0, (size / grown) * 100))}%`;
    return element("span", { class: name, style: { width } });
  };
  return element("div", { class: `share c${line.colour || "rest"}`, "aria-hidden": "true" },
    part("resident", resident), part("away", grown - returned - resident), part("back", returned));
}

function rss(process) {
  const change = process.after - process.before;
  return element("dl", { class: "rss" },
    element("div", {}, element("dt", { text: process.law_after[0] }),
      element("dd", { class: "large" }, mib(process.after), element("small", { text: " MiB" }))),
    element("div", {}, element("dt", { text: "since attach" }), element("dd", { text: signedMib(change) })),
    element("div", {}, element("dt", { text: "before attach" }), element("dd", { text: mib(process.before) })),
    element("div", {}, element("dt", { text: "peak" }), element("dd", { text: mib(process.rss_peak) })));
}

/** `before attach + lines + unattributed = RSS now`, rounded so that it adds up. */
function showLaw(process) {
  const term = ([name, bytes, shown], link) => {
    const title = `${bytes} bytes`;
    const figure = element("span", { class: "figure", text: shown, title });
    const label = link ? element("a", { href: link, text: name }) : element("span", { text: name });
    return element("div", { class: name === "UNEXPLAINED" ? "term bad" : "term" }, figure, label);
  };
  const sign = (text) => element("span", { class: "sign", text });
  const links = { lines: "#lines", unattributed: "#unattributed" };
  const parts = process.law.flatMap((row, at) => (
    at === 0 ? [term(row)] : [sign("+"), term(row, links[row[0]])]));
  const exact = process.law.map(([, bytes]) => bytes).join(" + ");
  byId("law").replaceChildren(
    element("div", { class: "sum" }, ...parts, sign("="), term(process.law_after)),
    element("p", { class: "exact", text: `MiB; in bytes: ${exact} = ${process.law_after[1]}` }));
}
