// Puts the parts together, and follows links to lines.

const report = readProfile();
let shownProcess = null;

function choose(index) {
  if (shownProcess === index) return;
  shownProcess = index;
  const process = report.processes[index];
  markProcess(index);
  showSummary(process);
  showCourse(process);
  showLines(process);
  showAllocations(process);
  showFlame(process);
  showSource(process);
  showUnattributed(process);
}

/** `#line-PROCESS-NUMBER` is a line; everything else is the browser's business. */
function follow(hash) {
  const [, process, number] = /^#line-(\d+)-(\d+)$/.exec(hash) ?? [];
  const line = report.processes[process]?.lines?.[number];
  if (line === undefined) return false;
  choose(line.process);
  goToLine(line);
  return true;
}

function start() {
  showRun(report);
  if (report.processes.length === 0) {
    byId("process-title").textContent = "No process was traced.";
    document.body.classList.add("nothing");
    return;
  }
  startLines();
  startFlame(report.measure);
  showProcesses(report, choose);
  const full = report.processes.filter((process) => process.full !== null);
  const [first] = full.length > 0 ? full : report.processes;
  choose(full.reduce((a, b) => (b.attributed > a.attributed ? b : a), first).index);

  document.addEventListener("click", (event) => {
    const link = event.target.closest?.("a[href^='#line-']");
    if (link && follow(link.getAttribute("href"))) {
      event.preventDefault();
      history.pushState(null, "", link.getAttribute("href"));
    }
  });
  addEventListener("hashchange", () => follow(location.hash));
  follow(location.hash);
}

start();
