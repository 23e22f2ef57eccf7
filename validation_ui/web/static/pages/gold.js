/** Gold items: what people make of them, and taking bad ones out of use. */

import { api } from "../lib/api.js";
import { attempt, fill, h, percent, say, showError, table } from "../lib/dom.js";

/**
 * @typedef {{public_id: string, gold: string, retired: boolean, video_id: string, parts: Record<string, string>,
 *   judged: number, right: number}} Item
 */

const ANSWERS = { good: "accept", swapped: "reject" };

/** @param {Item} item */
function row(item) {
  const texts = h("div", {}, ...Object.values(item.parts).map((text) => h("p", {}, text)));
  const toggle = h("button", { type: "button", onclick: () => attempt(async () => {
    await api("PATCH", `/api/gold/${encodeURIComponent(item.public_id)}`, { retired: !item.retired });
    say(item.retired ? "Back in use." : "Retired: it is handed out no more, and counts for nobody.");
    await show();
  }) }, item.retired ? "Use again" : "Retire", h("span", { class: "sr" }, ` the item ${item.public_id}`));
  return [h("a", { href: `/i/${encodeURIComponent(item.public_id)}` }, item.public_id), texts,
    ANSWERS[/** @type {keyof ANSWERS} */ (item.gold)] ?? item.gold, item.retired ? "retired" : "in use", item.judged,
    percent(item.judged ? item.right / item.judged : null), toggle];
}

async function show() {
  const { gold } = await api("GET", "/api/gold");
  if (!gold.length) {
    fill("gold", h("p", { class: "empty" }, "There are none: the import found no text that it could swap."));
    return;
  }
  fill("gold", table("Gold items", [{ label: "Item" }, { label: "Text" }, { label: "Right answer" }, { label: "State" },
    { label: "Judged", number: true }, { label: "Right", number: true }, { label: "" }], gold.map(row)));
}

await show().catch(showError);
