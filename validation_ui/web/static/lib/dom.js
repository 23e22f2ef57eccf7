/** Page elements made in code, and figures as people read them. Text is always text, never markup. */

import { address } from "./address.js";

/** @typedef {Node | string | number | null | false | undefined} Child  the last three are left out */

/**
 * An element. Attributes go by their names, `on…` are listeners, true sets a boolean attribute and false leaves it out.
 * Links are addresses of the app.
 *
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {Record<string, string | number | boolean | EventListener>} [attributes]
 * @param {...Child} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else if (name === "href") element.setAttribute(name, address(String(value)));
    else if (value !== false) element.setAttribute(name, value === true ? "" : String(value));
  }
  for (const child of children) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : String(child));
  }
  return element;
}

/**
 * The element of the page with this id.
 *
 * @param {string} id
 * @returns {HTMLElement}
 */
export function byId(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page must have an element #${id}`);
  return found;
}

/**
 * @param {string} id
 * @returns {HTMLInputElement}
 */
export function field(id) {
  return /** @type {HTMLInputElement} */ (byId(id));
}

/**
 * Show an error in the page's place for errors.
 *
 * @param {unknown} error
 */
export function showError(error) {
  const place = byId("error");
  place.textContent = error instanceof Error ? error.message : String(error);
  place.hidden = false;
  place.scrollIntoView({ block: "nearest" });
}

/** Hide the error message. */
export function clearError() {
  byId("error").hidden = true;
}

/**
 * Do something that may fail, and show it if it does; true if it did not.
 *
 * @param {() => Promise<unknown>} work
 */
export async function attempt(work) {
  try {
    await work();
    clearError();
    return true;
  } catch (error) {
    showError(error);
    return false;
  }
}

/**
 * Show a text on the page and have screen readers say it.
 *
 * @param {string} text
 */
export function say(text) {
  byId("said").textContent = text;
}

/**
 * Replace the children of the element with this id.
 *
 * @param {string} id
 * @param {...Node} children
 */
export function fill(id, ...children) {
  const place = byId(id);
  place.replaceChildren(...children);
  place.removeAttribute("aria-busy");
}

/**
 * A table; where it is too wide every row is a card, with the column's name before each value.
 *
 * @param {string} caption
 * @param {{label: string, number?: boolean}[]} columns
 * @param {Child[][]} rows  the first cell names the row
 */
export function table(caption, columns, rows) {
  const numeric = (/** @type {number} */ n) => (columns[n]?.number ? "number" : "");
  // the roles are written out, as browsers drop those of a table that is displayed as cards
  const head = columns.map(({ label }, n) => (
    h("th", { scope: "col", role: "columnheader", class: numeric(n) }, label || h("span", { class: "sr" }, "Action"))));
  const body = rows.map((cells) => h("tr", { role: "row" }, ...cells.map((cell, n) => (n === 0
    ? h("th", { scope: "row", role: "rowheader" }, cell)
    : h("td", { role: "cell", class: numeric(n), "data-label": columns[n]?.label ?? "" }, cell)))));
  return h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": caption },
    h("table", { role: "table" }, h("caption", {}, caption),
      h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, ...head)), h("tbody", { role: "rowgroup" }, ...body)));
}

/** @param {number | null} value  0 to 1 */
export function percent(value) {
  return value === null ? "–" : `${(100 * value).toFixed(value > 0 && value < 1 ? 1 : 0)} %`;
}

/** @param {number | null} value @param {number} [digits] */
export function figure(value, digits = 2) {
  return value === null ? "–" : value.toFixed(digits);
}

/** @param {number | null} seconds  how long, in the largest fitting unit */
export function duration(seconds) {
  if (seconds === null) return "–";
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return seconds < 172800 ? `${(seconds / 3600).toFixed(1)} h` : `${Math.round(seconds / 86400)} days`;
}

/** @param {number} at  seconds since 1970 */
export function time(at) {
  const date = new Date(at * 1000);
  return h("time", { datetime: date.toISOString() }, date.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" }));
}
