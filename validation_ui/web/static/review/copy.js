/** What a person wrote, as plain text that can be taken elsewhere. */

import { h } from "./build.js";
import { DECISIONS, PART_NAMES, REASONS, VERDICT_NAMES } from "./words.js";

/** @typedef {import("./types.js").Draft} Draft */

/**
 * Everything that was entered, a line each; empty if nothing was.
 *
 * @param {Draft} draft
 * @returns {string}
 */
export function asText({ decision, parts, text, short, note, reasons, aim }) {
  const named = (/** @type {string} */ name) => PART_NAMES[name] ?? name;
  return [
    ...Object.entries(parts ?? {}).filter(([, verdict]) => verdict)
      .map(([name, verdict]) => `${named(name)}: ${(VERDICT_NAMES[verdict] ?? "").toLowerCase()}`),
    decision && `Decision: ${(DECISIONS[decision] ?? decision).toLowerCase()}`,
    reasons?.length && `Reasons: ${reasons.map((reason) => REASONS[reason] ?? reason).join("; ")}`,
    ...Object.entries(text ?? {}).map(([name, words]) => `${named(name)}, new text: ${words}`),
    short && `Short expression: ${short}`,
    note && `Note: ${note}`,
    aim?.points.length && `Points: ${aim.points.map(({ frame, x, y }) =>
      `frame ${frame} at ${Math.round(100 * x)}% across, ${Math.round(100 * y)}% down`).join("; ")}`,
  ].filter(Boolean).join("\n");
}

/**
 * Put a text on the clipboard.
 *
 * @param {string} text
 * @returns {Promise<boolean>}
 */
export async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch { // plain HTTP, or not allowed
    const area = h("textarea", { value: text, class: "sr", readOnly: true, "aria-hidden": "true" });
    (document.querySelector("dialog[open]") ?? document.body).append(area); // others take no focus while one is open
    const before = document.activeElement;
    area.select();
    const copied = document.execCommand("copy");
    area.remove();
    if (before instanceof HTMLElement) before.focus({ preventScroll: true });
    return copied;
  }
}

/**
 * A button that copies a text and says whether it did.
 *
 * @param {string} text
 */
export function copyButton(text) {
  const button = h("button", { type: "button", onclick: async () => {
    button.textContent = (await copyText(text)) ? "Copied" : "Not copied: select the text above and copy it";
  } }, "Copy what I wrote");
  return button;
}
