// Small facts: the run, the process, its unattributed rows, and the picker when there are several.

function showRun(report) {
  const processes = count(report.processes.length, "process", "processes");
  const exact = report.exact ? "counters exact at every change"
    : "changes of RSS wait in the thread that made them: its last fault is told with its next";
  const started = report.started_at.replace("T", " ").replace(/(\.\d+)?Z$/, " UTC");
  byId("run").textContent =
    `${processes}, ${time(report.duration_ns)} from ${started} · Linux ${report.kernel}, ${exact}`;
}

function showFacts(process) {
  const [beforeSplit, afterSplit] = [process.rss_before, process.rss_after];
  const kinds = ["anonymous", "file", "shared"].map((kind, at) => (
    `${kind} ${mib(beforeSplit[at])} → ${mib(afterSplit[at])}`));
  const lost = process.lost_events === 0 ? "none lost" : `and ${process.lost_events} LOST`;
  const copied = (process.lines ?? []).reduce((sum, line) => sum + line.copied, 0);
  const facts = [
    ["By kind, MiB", kinds.join(", ")],
    ["Events", `${process.events}, ${lost}`],
    ["Cost", `${cost(process.probe_ns)} in probes, ${cost(process.userspace_cpu_ns)} of memtrace's own CPU time`],
  ];
  if (copied !== 0) facts.push(["Copied", `${mibUnit(copied)} on write (no growth of RSS)`]);
  for (const note of process.notes) facts.push(["Note", note]);
  byId("facts").replaceChildren(...facts.map(([name, text]) => (
    element("div", {}, element("dt", { text: name }), element("dd", { text })))));
}

function showUnattributed(process) {
  const rows = process.unattributed ?? [];
  if (rows.length === 0) {
    byId("unattributed-table").replaceChildren(
      element("p", { class: "about", text: "Nothing: lines answer for every byte that changed." }));
    return;
  }
  const heads = ["Net", "Anon", "File", "Shmem", "Events"];
  const cells = (row) => [row.net, ...row.split].map(mib).concat(row.events);
  const figures = (row) => cells(row).map((text, at) => (
    element("td", { class: "figure", role: "cell", "data-label": heads[at], text })));
  byId("unattributed-table").replaceChildren(element("table", { class: "rows", role: "table" },
    element("thead", { role: "rowgroup" }, element("tr", { role: "row" },
      ...heads.map((text) => element("th", { scope: "col", role: "columnheader", class: "figure", text })),
      ...["Reason", "When"].map((text) => element("th", { scope: "col", role: "columnheader", text })))),
    element("tbody", { role: "rowgroup" }, ...rows.map((row) => element("tr", { role: "row" },
      ...figures(row),
      element("td", { class: "where", role: "cell" },
        element("span", { class: row.reason === "remainder" || row.reason.includes("lost") ? "bad" : "", text: row.reason }),
        row.name === "" ? null : element("span", { class: "in", text: row.name })),
      element("td", { class: "meaning", role: "cell", text: row.meaning }))))));
}

/** The overview, when there are several processes. `choose` is called with an index. */
function showProcesses(report, choose) {
  if (report.processes.length < 2) return;
  byId("processes").hidden = false;
  const heads = ["PID", "Parent", "Python", "Before", "After", "Lines", "Events", "State", "Command"];
  const kind = (at) => ([2, 7].includes(at) ? "" : at === 8 ? "command" : "figure");
  const rows = report.processes.map((process) => {
    const pid = process.full === null ? String(process.pid)
      : element("button", { type: "button", text: process.pid, "data-process": process.index,
        on: { click: () => choose(process.index) } });
    const cells = [
      pid, process.parent_pid ?? "-", process.python ?? "-", mib(process.before), mib(process.after),
      mib(process.attributed), process.events, process.ending, process.command,
    ];
    return element("tr", { "data-row": process.index }, ...cells.map((cell, at) => (
      element("td", { class: kind(at) }, cell))));
  });
  byId("processes-table").replaceChildren(element("table", { class: "overview" },
    element("thead", {}, element("tr", {}, ...heads.map((text, at) => (
      element("th", { scope: "col", class: kind(at), text }))))),
    element("tbody", {}, ...rows)));
  const others = report.processes.filter((process) => process.full === null).length;
  if (others > 0) {
    byId("processes").append(element("p", { class: "about",
      text: `${count(others, "process", "processes")} in this table only: not Python and below 1 MiB, or too many.` }));
  }
}

function markProcess(index) {
  for (const button of document.querySelectorAll("[data-process]")) {
    const chosen = button.dataset.process === String(index);
    if (chosen) button.setAttribute("aria-current", "true");
    else button.removeAttribute("aria-current");
    button.closest("tr").classList.toggle("chosen", chosen);
  }
}
