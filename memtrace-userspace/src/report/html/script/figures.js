// Numbers as the table report prints them: MiB with three decimals, halves to the even neighbour.

const MIB = 1048576;

/** `bytes` in thousandths of a MiB. In two steps, so that every step is exact. */
function thousandths(bytes) {
  const whole = Math.floor(bytes / MIB);
  const scaled = (bytes - whole * MIB) * 1000;
  const below = whole * 1000 + Math.floor(scaled / MIB);
  const rest = scaled % MIB;
  const half = MIB / 2;
  return rest > half || (rest === half && below % 2 !== 0) ? below + 1 : below;
}

/** `12.345` */
function mib(bytes) {
  const size = thousandths(bytes);
  const digits = String(Math.abs(size)).padStart(4, "0");
  return `${size < 0 ? "-" : ""}${digits.slice(0, -3)}.${digits.slice(-3)}`;
}

/** `12.345 MiB` */
const mibUnit = (bytes) => `${mib(bytes)} MiB`;

/** `+12.345`, `-1.000`, `0.000` */
const signedMib = (bytes) => (thousandths(bytes) > 0 ? `+${mib(bytes)}` : mib(bytes));

/** `99.8 %`; never `100.0 %` of what is not whole, nor `0.0 %` of what is not nothing. */
function percent(part, whole) {
  if (whole === 0) return "0 %";
  const share = (part / whole) * 100;
  if (share > 99.9 && share < 100) return "99.9 %";
  if (share > 0 && share < 0.1) return "<0.1 %";
  return `${share.toFixed(1)} %`;
}

/** `12.345 s`, below a second `12.345 ms`: as the table prints costs. */
function cost(nanos) {
  return nanos >= 1e9 ? `${(nanos / 1e9).toFixed(3)} s` : `${(nanos / 1e6).toFixed(3)} ms`;
}

/** A time since the start, as people say it: `8.5 s`, `12 min 30 s`, `3 h 5 min`. */
function time(nanos) {
  const seconds = nanos / 1e9;
  if (seconds < 60) return `${Number(seconds.toFixed(seconds < 10 ? 2 : 1))} s`;
  const units = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];
  let left = Math.round(seconds);
  const parts = [];
  for (const [unit, size] of units) {
    const number = Math.floor(left / size);
    left -= number * size;
    if (number > 0 && parts.length < 2) parts.push(`${number} ${unit}`);
    else if (parts.length > 0) break;
  }
  return parts.join(" ");
}

/** `1 line`, `2 lines` */
const count = (number, one, many) => `${number} ${number === 1 ? one : many}`;
