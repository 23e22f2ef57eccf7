/** The question before a change: what it would do, in sentences of the server, and a place for the reason. */

import { byId, h } from "../lib/dom.js";

/**
 * Ask in the page's dialog; Escape and Cancel mean no.
 *
 * @param {string} title
 * @param {string[]} notes  what would happen
 * @param {{yes: string, note?: boolean}} options  the label of the button; whether a note for the log is asked for
 * @returns {Promise<string | null>}  the note, null if the person does not want it
 */
export function confirmed(title, notes, { yes, note = false }) {
  const dialog = /** @type {HTMLDialogElement} */ (byId("confirm"));
  const text = h("textarea", { id: "confirm-note", rows: 2, maxlength: 400 });
  const go = h("button", { type: "submit", class: "primary", value: "yes" }, yes);
  dialog.replaceChildren(h("form", { method: "dialog" },
    h("h2", { id: "confirm-title" }, title),
    h("ul", {}, ...notes.map((one) => h("li", {}, sentence(one)))),
    note && h("label", { for: "confirm-note" }, "Why, for the log"), note && text,
    h("div", { class: "inline" }, go, h("button", { type: "submit", value: "no" }, "Cancel"))));
  dialog.returnValue = "no";
  dialog.showModal();
  (note ? text : go).focus();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes" ? text.value : null), { once: true });
  });
}

/** A text as a sentence; the name of a setting at its beginning stays as it is. @param {string} text */
export function sentence(text) {
  const first = /^\w+=/.test(text) ? text : `${text.charAt(0).toUpperCase()}${text.slice(1)}`;
  return /[.!?:]$/.test(first) ? first : `${first}.`;
}
