/** Word by word: what was taken out of a text and what was put in. */

import { h } from "./build.js";

/** @typedef {{kind: "same" | "gone" | "new", text: string}} Piece */

/**
 * Longest common run of words; spaces travel with the word before them.
 *
 * @param {string} before
 * @param {string} after
 * @returns {Piece[]}
 */
export function diffWords(before, after) {
  const a = before.match(/\S+\s*/g) ?? [];
  const b = after.match(/\S+\s*/g) ?? [];
  const same = (/** @type {number} */ i, /** @type {number} */ j) => a[i]?.trimEnd() === b[j]?.trimEnd();
  const width = b.length + 1;
  const length = new Uint16Array((a.length + 1) * width);
  const at = (/** @type {number} */ i, /** @type {number} */ j) => length[i * width + j] ?? 0;
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      length[i * width + j] = same(i, j) ? at(i + 1, j + 1) + 1 : Math.max(at(i + 1, j), at(i, j + 1));
    }
  }
  /** @type {Piece[]} */
  const pieces = [];
  const push = (/** @type {Piece["kind"]} */ kind, /** @type {string} */ text) => {
    const last = pieces.at(-1);
    if (last?.kind === kind) last.text += text;
    else pieces.push({ kind, text });
  };
  let [i, j] = [0, 0];
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && same(i, j)) {
      push("same", b[j] ?? "");
      i++;
      j++;
    } else if (i < a.length && (j === b.length || at(i + 1, j) >= at(i, j + 1))) push("gone", a[i++] ?? "");
    else push("new", b[j++] ?? "");
  }
  return pieces;
}

/**
 * The diff as a paragraph; screen readers hear where an insertion or a deletion begins and ends.
 *
 * @param {string} before
 * @param {string} after
 */
export function showDiff(before, after) {
  const paragraph = h("p", { class: "diff" });
  for (const { kind, text } of diffWords(before, after)) {
    if (kind === "same") paragraph.append(text);
    else {
      const isGone = kind === "gone";
      paragraph.append(h(isGone ? "del" : "ins", {},
        h("span", { class: "sr" }, isGone ? "taken out: " : "put in: "), text.trimEnd()), " ");
    }
  }
  return paragraph;
}
