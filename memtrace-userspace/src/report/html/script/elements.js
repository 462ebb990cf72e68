// Making elements. Every text goes in as text; nothing here reads markup.

/**
 * An element. `properties`: `class`, `text`, `on` (listeners by event), `style` (custom properties
 * and others by name), anything else an attribute; `null`, `undefined` and `false` are left out.
 */
function element(tag, properties = {}, ...children) {
  return filled(document.createElement(tag), properties, children);
}

/** The same for SVG. */
function drawing(tag, properties = {}, ...children) {
  return filled(document.createElementNS("http://www.w3.org/2000/svg", tag), properties, children);
}

function filled(made, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "text") made.textContent = value;
    else if (name === "class") made.setAttribute("class", value);
    else if (name === "on") {
      for (const [event, listener] of Object.entries(value)) made.addEventListener(event, listener);
    } else if (name === "style") {
      for (const [key, text] of Object.entries(value)) made.style.setProperty(key, text);
    } else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

const byId = (id) => document.getElementById(id);

/** The values of radio buttons of this name, and a listener for their change. */
function switched(name, listener) {
  for (const radio of document.querySelectorAll(`input[name="${name}"]`)) {
    radio.addEventListener("change", () => listener(radio.value));
  }
}

/** A file's name and line, with a link to its source. */
function placeLink(line, more = {}) {
  const { place } = line;
  return element("a", { class: "place", href: `#${line.id}`, title: place.file, ...more },
    element("span", { class: "file", text: place.base }),
    element("span", { class: "number", text: `:${place.line}` }));
}

/** The mark of a line in the chart's colours. */
function swatch(line) {
  return line.colour === 0
    ? element("span", { class: "swatch none", "aria-hidden": "true", text: "\u00a0" })
    : element("span", { class: `swatch c${line.colour}`, text: line.colour, "aria-hidden": "true" });
}
