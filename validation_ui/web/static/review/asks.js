/** Questions that the screen asks in a window before it does something. */

import { ask, h } from "./build.js";
import { asText } from "./copy.js";

/** @typedef {import("./types.js").Draft} Draft */

const SKIPS = ["I cannot tell", "I do not know the words", "It upsets me", "The video does not play"];

/** Why an item is skipped; "" to keep it. @returns {Promise<string>} */
export async function askSkip() {
  let chosen = SKIPS[0] ?? "";
  const reasons = SKIPS.map((reason) => h("label", { class: "check" }, h("input", { type: "radio", name: "skip",
    checked: reason === chosen, onchange: () => { chosen = reason; } }), h("span", {}, reason)));
  return ask("Skip this item?", [h("p", {}, "It goes to somebody else and never comes back to you."),
    h("fieldset", {}, h("legend", { class: "sr" }, "Why"), ...reasons)], [
    { label: "Keep it", value: () => "" },
    { label: "Skip", value: () => chosen, primary: true },
  ], "");
}

/**
 * Which of two drafts of an item is kept.
 *
 * @param {Draft} mine
 * @param {Draft} theirs
 * @returns {Promise<"mine" | "theirs">}
 */
export async function askDraft(mine, theirs) {
  const shown = (/** @type {Draft} */ draft) => h("p", { class: "kept" }, asText(draft) || "Nothing yet.");
  return ask("This item was also worked on elsewhere", [
    h("h3", {}, "Here"), shown(mine), h("h3", {}, "Elsewhere, saved later"), shown(theirs),
  ], [
    { label: "Take the other", value: () => /** @type {const} */ ("theirs") },
    { label: "Keep this one", value: () => /** @type {const} */ ("mine"), primary: true },
  ], /** @type {const} */ ("mine"));
}
