// The document in the page, with names instead of positions.

const COLOURS = 10;
/** Characters of a file's name in a row. */
const LONGEST = 80;

function readProfile() {
  const raw = JSON.parse(byId("profile").textContent);
  const functions = raw.functions.map(([file, name, firstLine]) => {
    const path = raw.texts[file];
    const cut = path.lastIndexOf("/") + 1;
    return {
      file: path,
      base: shortened(path.slice(cut) || path),
      name: raw.texts[name],
      firstLine,
      library: /\/(site-packages|dist-packages|lib\/python3[^/]*)\/|^<frozen /.test(path),
    };
  });
  const places = raw.places.map(([of, line], index) => {
    const { file, base, name, library } = functions[of];
    return { index, of, line, file, base, name, library, where: `${base}:${line}`, words: `${file}:${line} ${name}`.toLowerCase() };
  });
  const natives = raw.natives.map((row, index) => readNative(raw, row, index));
  const processes = raw.processes.map((process, index) => readProcess(raw, { places, natives }, process, index));
  return { ...raw, functions, places, processes, kernel: raw.texts[raw.kernel] };
}

/** A native function; it stands where a place does in a flame graph, and is no line. */
function readNative(raw, [name, library, file, line], index) {
  const [text, home, source] = [raw.texts[name], raw.texts[library], raw.texts[file]];
  const where = source === "" ? home : `${source}:${line} in ${home}`;
  return { index: `native ${index}`, name: text, where, native: true, words: `${where} ${text}`.toLowerCase() };
}

function readProcess(raw, { places, natives }, process, index) {
  const text = (number) => (number === null ? null : raw.texts[number]);
  const read = {
    ...process,
    index,
    command: text(process.command),
    python: text(process.python),
    notes: process.notes.map(text),
    before: total(process.rss_before),
    after: total(process.rss_after),
  };
  if (process.full === null) return read;

  read.lines = process.full.lines.map((row, number) => {
    const [place, grown, returned, split, resident, cumulativeNet, cumulativeResident, ...more] = row;
    const [copied, released, peak, events, ownEvents] = more;
    return {
      id: `line-${index}-${number}`,
      process: index,
      number,
      place: places[place],
      own: { grown, returned, net: total(split), resident, events: ownEvents, peak },
      cumulative: { net: cumulativeNet, resident: cumulativeResident, events, peak },
      split,
      copied,
      released,
      colour: 0,
    };
  });
  read.lineOf = new Map(read.lines.map((line) => [line.place.index, line]));
  read.course = process.full.course;
  // The chart's lines have its colours everywhere; without a chart, those that hold most.
  const coloured = read.course
    ? read.course.layers.map((layer) => read.lines[layer.line])
    : read.lines.filter((line) => line.own.net > 0).slice(0, COLOURS);
  coloured.forEach((line, at) => {
    line.colour = at + 1;
  });
  read.stacks = process.full.stacks.map(([grown, net, resident, events, frames, above]) => (
    { grown, net, resident, events,
      frames: [...above.map((frame) => natives[frame]), ...frames.map((place) => places[place])] }));
  read.allocations = readAllocations(process.full.allocations, read, text);
  read.unattributed = process.full.unattributed.map(([reason, meaning, name, split, events]) => (
    { reason: text(reason), meaning: text(meaning), name: text(name), net: total(split), split, events }));
  read.sources = new Map(process.full.sources.map(({ function: of, note, parts }) => (
    [of, { note: text(note), parts: parts.map(([first, lines]) => [first, lines.map(text)]) }])));
  return read;
}

function readAllocations(raw, process, text) {
  if (raw === null) return null;
  const rows = raw.rows.map(([place, reason, live, blocks, oldest, allocated, allocations, interval, temporary]) => (
    { line: process.lineOf.get(place) ?? null, reason: text(reason), live, blocks, oldest, allocated, allocations, interval, temporary }));
  return { ...raw, sentences: raw.sentences.map(text), rows };
}

/** A name that fits into a row; its whole is in the title. */
function shortened(name) {
  const characters = [...name];
  if (characters.length <= LONGEST) return name;
  const half = LONGEST / 2;
  return `${characters.slice(0, half).join("")}…${characters.slice(-half).join("")}`;
}

/** anon + file + shmem */
function total(split) {
  return split[0] + split[1] + split[2];
}
