"use strict";
(() => {
  const get = (id) => document.getElementById(id);
  const mib = (bytes) => (bytes / 1048576).toFixed(3);
  const time = (ms) => new Date(ms).toLocaleTimeString();
  // What acts on a reader and not on the page: control characters and changes of direction.
  const plain = (text) => String(text).replace(/[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g,
    (c) => "\\u{" + c.codePointAt(0).toString(16) + "}");
  const state = { group: null, format: "html", overview: null, shown: "" };

  function cell(row, content, number) {
    const cell = row.insertCell();
    if (content instanceof Node) cell.append(content); else cell.textContent = plain(content);
    if (number) cell.className = "number";
    return cell;
  }

  function where(of) {
    if (of.pod) return of.namespace + "/" + of.pod + "/" + of.container;
    if (of.container || of.container_id) return of.container || of.container_id.slice(0, 12);
    return of.cgroup || "";
  }

  async function ask(path) {
    const answer = await fetch(path, { cache: "no-store" });
    if (!answer.ok) throw new Error(await answer.text());
    return answer.json();
  }

  function showGroups(groups) {
    const body = get("groups").tBodies[0];
    const focused = document.activeElement && document.activeElement.dataset.group;
    body.replaceChildren();
    for (const group of groups) {
      const row = body.insertRow();
      row.setAttribute("aria-selected", String(group.id === state.group));
      const choose = document.createElement("button");
      choose.type = "button";
      choose.textContent = plain(group.name);
      choose.title = plain(group.command.join(" "));
      choose.dataset.group = group.id;
      choose.addEventListener("click", () => chooseGroup(group.id));
      cell(row, choose);
      cell(row, where(group));
      cell(row, group.python);
      cell(row, group.live, true);
      cell(row, mib(group.rss_bytes), true);
      if (focused === String(group.id)) choose.focus();
    }
    get("nobody").hidden = groups.length > 0;
  }

  function showLines(lines) {
    const body = get("lines").tBodies[0];
    body.replaceChildren();
    for (const line of lines.slice(0, 20)) {
      const row = body.insertRow();
      const place = cell(row, line.file.split("/").pop() + ":" + line.line);
      place.title = plain(line.file);
      cell(row, line.function);
      cell(row, line.group);
      cell(row, mib(line.held_bytes), true);
      cell(row, mib(line.grown_bytes), true);
      cell(row, mib(line.last_window_bytes), true);
    }
  }

  function showOthers(overview) {
    const left = overview.left_out;
    const sum = left.by_rules + left.by_limit + left.by_kernel;
    get("others").hidden = sum === 0 && overview.refused.length === 0;
    get("left-out").textContent = "Left out so far: " + left.by_rules + " by the rules, " +
      left.by_limit + " by the limit of processes, " + left.by_kernel + " by the kernel side.";
    get("refused").replaceChildren(...overview.refused.map((refused) => {
      const item = document.createElement("li");
      item.textContent = plain(refused.pid + " " + refused.command.join(" ") + ": " + refused.why);
      return item;
    }));
  }

  function chosen() {
    return state.overview && state.overview.groups.find((group) => group.id === state.group);
  }

  function chooseGroup(id) {
    state.group = id;
    get("process").value = "";
    show(state.overview);
    renew(true);
    get("chosen").scrollIntoView({ block: "nearest" });
  }

  function showChosen() {
    const group = chosen();
    get("chosen").hidden = !group;
    if (!group) return;
    get("chosen-title").textContent = plain(group.command.join(" "));
    get("chosen-facts").textContent = plain([
      "root " + group.root_pid, "user " + group.user, "CPython " + group.python,
      group.container_runtime && group.container_runtime + " " + group.container_id.slice(0, 12),
      where(group),
    ].filter(Boolean).join(" · "));
    const select = get("process");
    const before = select.value;
    const option = (value, text) => {
      const option = document.createElement("option");
      option.value = value;
      option.textContent = plain(text);
      return option;
    };
    const all = group.processes.length === 1 ? "the one process" : "all " + group.processes.length + " as one";
    select.replaceChildren(option("", all), option("separate", "each by itself"),
      ...group.processes.map((process) => option(process.space,
        process.pid + " (" + mib(process.rss_bytes) + " MiB, " + process.ending + ")")));
    select.value = before;
    if (select.selectedIndex < 0) select.value = "";
  }

  function query() {
    const query = new URLSearchParams();
    const process = get("process").value;
    if (process && process !== "separate") query.set("space", process);
    else query.set("group", state.group);
    if (process === "separate") query.set("separate", "true");
    const last = get("last").value;
    if (last === "own") {
      for (const end of ["from", "to"]) {
        const moment = Date.parse(get(end).value);
        if (!Number.isNaN(moment)) query.set(end, moment);
      }
    } else if (last) {
      query.set("last", last);
    }
    return query;
  }

  function link(format) {
    const of = query();
    of.set("format", format);
    return "api/report?" + of;
  }

  /* The report is made anew when something else is chosen, not with each window: it is being read. */
  async function renew(report) {
    if (state.group === null) return;
    get("pprof").href = link("pprof");
    get("recording").href = link("recording");
    get("json").href = link("json");
    for (const button of document.querySelectorAll("#views button")) {
      button.setAttribute("aria-pressed", String(button.dataset.format === state.format));
    }
    if (report) get("report").src = link(state.format);
    try {
      const of = query();
      of.delete("separate");
      draw(await ask("api/timeline?" + of));
    } catch (error) {
      get("timeline-caption").textContent = plain(error.message);
    }
  }

  const svg = (name, attributes) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    return element;
  };

  let axis = { from: 0, to: 1 };
  function draw(timeline) {
    const { from_ms: from, to_ms: to, points } = timeline;
    axis = { from, to: Math.max(to, from + 1) };
    const most = Math.max(1, ...points.map((point) => point[1]));
    const x = (ms) => 1000 * (ms - axis.from) / (axis.to - axis.from);
    const y = (bytes) => 155 - 150 * bytes / most;
    let path = "";
    points.forEach(([ms, bytes], index) => {
      path += index === 0 ? "M" + x(ms) + " 160V" + y(bytes) : "H" + x(ms) + "V" + y(bytes);
    });
    get("timeline").replaceChildren();
    if (path) get("timeline").append(svg("path", { class: "area", d: path + "H1000V160Z" }));
    get("timeline-caption").textContent = time(from) + " to " + time(to) + ", at most " + mib(most) +
      " MiB. Drag over it to choose a range.";
  }

  const local = (ms) => {
    const moment = new Date(ms - new Date(ms).getTimezoneOffset() * 60000);
    return moment.toISOString().slice(0, 19);
  };
  let drag = null;
  const at = (event) => {
    const box = get("timeline").getBoundingClientRect();
    return Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
  };
  get("timeline").addEventListener("pointerdown", (event) => {
    drag = { start: at(event), mark: svg("rect", { class: "range", y: 0, height: 160, width: 0 }) };
    get("timeline").append(drag.mark);
    get("timeline").setPointerCapture(event.pointerId);
  });
  get("timeline").addEventListener("pointermove", (event) => {
    if (!drag) return;
    const [a, b] = [drag.start, at(event)].sort((a, b) => a - b);
    drag.mark.setAttribute("x", 1000 * a);
    drag.mark.setAttribute("width", 1000 * (b - a));
  });
  get("timeline").addEventListener("pointerup", (event) => {
    if (!drag) return;
    const [a, b] = [drag.start, at(event)].sort((a, b) => a - b);
    drag.mark.remove();
    drag = null;
    if (b - a < 0.005) return;
    const ms = (part) => axis.from + part * (axis.to - axis.from);
    get("from").value = local(Math.floor(ms(a) / 1000) * 1000);
    get("to").value = local(Math.ceil(ms(b) / 1000) * 1000);
    get("last").value = "own";
    renew(true);
  });

  for (const id of ["process", "last"]) get(id).addEventListener("change", () => renew(true));
  for (const id of ["from", "to"]) {
    get(id).addEventListener("change", () => { get("last").value = "own"; renew(true); });
  }
  get("choice").addEventListener("submit", (event) => event.preventDefault());
  for (const button of document.querySelectorAll("#views button")) {
    button.addEventListener("click", () => { state.format = button.dataset.format; renew(true); });
  }

  function show(overview) {
    showGroups(overview.groups);
    showLines(overview.lines);
    showOthers(overview);
    showChosen();
    const own = overview.own;
    get("status").textContent = own.traced + " processes traced since " + time(overview.started_ms) +
      ", windows kept from " + time(overview.kept_from_ms) + "; memtrace itself: " +
      (own.cpu_ns / 1e9).toFixed(1) + " s of CPU, " + mib(own.rss_bytes) + " MiB" +
      (own.stacks_full ? "; as many stacks as may be are named, further ones have no lines" : "");
  }

  async function refresh() {
    try {
      state.overview = await ask("api/overview");
      show(state.overview);
      await renew(false);
    } catch (error) {
      get("status").textContent = "The daemon does not answer: " + plain(error.message);
    }
    setTimeout(refresh, document.hidden ? 10000 : 2000);
  }
  refresh();
})();
