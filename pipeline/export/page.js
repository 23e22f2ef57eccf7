// What all pages share: elements made of texts only, figures in words, an expression with its parts.
const LEVELS = [["Object", "object_description", "object-level"], ["Scene", "scene_description", "scene-level"], ["Video", "video_description", "video-level"]];

function byId(id) { return document.getElementById(id); }

/** An element; children that are strings become text nodes, never markup. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) element.setAttribute(name, "");
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value);
  }
  element.append(...children.flat().filter((child) => child !== null));
  return element;
}

/** Rectangles of a drawing `width` wide: [class, x, y, width, height, title]. */
function drawing(width, height, label, rectangles) {
  const svgElement = (tag) => document.createElementNS("http://www.w3.org/2000/svg", tag);
  const svg = svgElement("svg");
  for (const [name, value] of [["viewBox", `0 0 ${width} ${height}`], ["preserveAspectRatio", "none"], ["role", "img"], ["aria-label", label]]) svg.setAttribute(name, value);
  for (const [kind, x, y, w, h, title] of rectangles) {
    const rectangle = svgElement("rect");
    for (const [name, value] of [["class", kind], ["x", x], ["y", y], ["width", Math.max(0, w)], ["height", Math.max(0, h)]]) rectangle.setAttribute(name, value);
    if (title) rectangle.append(Object.assign(svgElement("title"), { textContent: title }));
    svg.append(rectangle);
  }
  return svg;
}

const whole = (value) => value.toLocaleString("en");
const number = (value, digits = 3) => value === null ? "unknown" : Number(value.toPrecision(digits)).toLocaleString("en", { maximumFractionDigits: 6 }).replace("-", "\u2212");
const pixels = (value) => value.toLocaleString("en", { maximumFractionDigits: Math.abs(value) < 10 ? 1 : 0 }).replace("-", "\u2212").replace(/^\u22120$/, "0");
const seconds = (value) => value === null ? "unknown" : value.toFixed(1);
const percent = (value) => value === null ? "unknown" : `${number(100 * value, 2)}\u00a0%`;
const words = (name) => name.replaceAll("_", " ");
const plural = (count, noun) => `${whole(count)} ${noun}${count === 1 ? "" : "s"}`;
const spans = (list) => list.map((span) => `${seconds(span.start_s)}–${seconds(span.end_s)} s`).join(", ");
const pairs = (entries) => make("dl", { class: "pairs" }, entries.filter(([, value]) => value !== null && value !== "").flatMap(([name, value, kind]) => [make("dt", { class: kind }, name), make("dd", {}, value)]));
const link = (view) => "#" + new URLSearchParams(Object.entries(view).filter(([, value]) => value));

function expressionOf(row) {
  const quote = make("blockquote", { dir: "auto" });
  let rest = row.expression;
  for (const [name, column, kind] of LEVELS) {
    const at = row[column] ? rest.indexOf(row[column]) : -1;
    if (at < 0) continue;
    quote.append(rest.slice(0, at), make("span", { class: `part ${kind}`, title: `${name} level` }, row[column]));
    rest = rest.slice(at + row[column].length);
  }
  quote.append(rest);
  return quote;
}
