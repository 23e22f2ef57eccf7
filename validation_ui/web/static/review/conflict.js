/** The text of an item changed while somebody judged it: the three texts side by side, and a choice. */

import { ask, h } from "./build.js";
import { textField } from "./controls.js";
import { showDiff } from "./diff.js";
import { DECIDED, PART_NAMES } from "./words.js";

/** @typedef {import("./outbox.js").Entry} Entry */
/** @typedef {Record<string, string>} Texts */

/**
 * What a person wants done with an answer that met a newer text.
 *
 * @param {Entry} entry
 * @param {{base: Texts, theirs: Texts, version: number}} error
 * @returns {Promise<{again: Record<string, unknown>, version: number} | "drop" | "later">}
 */
export async function settleConflict(entry, { base, theirs, version }) {
  const mine = /** @type {Texts | null} */ (entry.body.text);
  /** @type {Map<string, HTMLTextAreaElement>} */
  const areas = new Map();
  const decision = String(entry.body.decision);
  const parts = Object.keys(base).map((name) => {
    const row = h("section", { class: "conflict" }, h("h3", {}, PART_NAMES[name] ?? name),
      h("div", { class: "three" },
        h("div", {}, h("h4", {}, "Before"), h("p", {}, base[name] ?? "")),
        h("div", {}, h("h4", {}, "Yours"), mine ? showDiff(base[name] ?? "", mine[name] ?? "") : h("p", {}, DECIDED[decision] ?? "")),
        h("div", {}, h("h4", {}, "Now"), showDiff(base[name] ?? "", theirs[name] ?? ""))));
    if (mine) {
      const { root, area } = textField(`${PART_NAMES[name] ?? name}, to send`, { value: mine[name] ?? "", rows: 2 }, () => {});
      areas.set(name, area);
      row.append(root);
    }
    return row;
  });
  /** @typedef {{again: Record<string, unknown>, version: number} | "drop" | "later"} Choice */
  /** @returns {Choice} */
  const again = () => ({ version, again: { ...entry.body,
    text: mine && Object.fromEntries([...areas].map(([name, area]) => [name, area.value.trim()])) } });
  return ask("The text was changed meanwhile", [
    h("p", {}, `Your answer (${(DECIDED[decision] ?? decision).toLowerCase()}) was for the text before. Nothing of it is lost.`),
    ...parts,
  ], [
    { label: "Drop my answer", value: () => /** @type {Choice} */ ("drop") },
    { label: "Decide later", value: () => /** @type {Choice} */ ("later") },
    { label: mine ? "Send mine for the new text" : "It holds for the new text too", value: again, primary: true },
  ], /** @type {Choice} */ ("later"));
}
