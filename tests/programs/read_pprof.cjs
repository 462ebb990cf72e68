// Opens pprof profiles with a reader that is not memtrace's (npm's pprof-format) and prints what it
// finds, one JSON document for each file. References that lead nowhere are errors.
"use strict";

const { readFileSync } = require("node:fs");
const { gunzipSync } = require("node:zlib");
const { Profile } = require("pprof-format");

function read(path) {
  const profile = Profile.decode(gunzipSync(readFileSync(path)));
  const texts = profile.stringTable.strings;
  const text = (position) => {
    const found = texts[Number(position)];
    if (found === undefined) throw new Error(`${path}: no text at ${position}`);
    return found;
  };
  if (text(0) !== "") throw new Error(`${path}: the first text is not empty`);
  const byId = (kind, entries) => {
    const table = new Map(entries.map((entry) => [Number(entry.id), entry]));
    if (table.has(0) || table.size !== entries.length) throw new Error(`${path}: ids of ${kind}`);
    return (id) => {
      const found = table.get(Number(id));
      if (!found) throw new Error(`${path}: no ${kind} ${id}`);
      return found;
    };
  };
  const mapping = byId("mapping", profile.mapping);
  const fn = byId("function", profile.function);
  const location = byId("location", profile.location);

  const frame = (id) => {
    const { mappingId, line } = location(id);
    if (line.length !== 1) throw new Error(`${path}: ${line.length} lines at ${id}`);
    const { name, systemName, filename, startLine } = fn(line[0].functionId);
    const { filename: program, hasFunctions, hasFilenames, hasLineNumbers } = mapping(mappingId);
    if (!(hasFunctions && hasFilenames && hasLineNumbers)) throw new Error(`${path}: a bare mapping`);
    // pprof itself would take `<module>` for a template of C++ if the two were equal.
    if (text(systemName) !== "") throw new Error(`${path}: a system name`);
    return {
      function: text(name),
      file: text(filename),
      line: Number(line[0].line),
      start_line: Number(startLine),
      program: text(program),
    };
  };
  const types = profile.sampleType.map(({ type, unit }) => `${text(type)}/${text(unit)}`);
  return {
    sample_types: types,
    default_sample_type: text(profile.defaultSampleType),
    time_ns: String(profile.timeNanos),
    duration_ns: String(profile.durationNanos),
    drop_frames: text(profile.dropFrames),
    keep_frames: text(profile.keepFrames),
    comments: profile.comment.map(text),
    samples: profile.sample.map(({ value, locationId, label }) => {
      if (value.length !== types.length) throw new Error(`${path}: ${value.length} values`);
      return {
        values: Object.fromEntries(types.map((type, at) => [type, Number(value[at])])),
        leaf_first: locationId.map(frame),
        labels: Object.fromEntries(label.map(({ key, str }) => [text(key), text(str)])),
      };
    }),
  };
}

for (const path of process.argv.slice(2)) {
  process.stdout.write(JSON.stringify(read(path), null, 1) + "\n");
}
