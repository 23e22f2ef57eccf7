/** The badge "n unsent" and the list behind it: what waits for the connection, and what needs its author. */

import { ask, h } from "./build.js";
import { DECIDED, PART_NAMES } from "./words.js";

/** @typedef {import("./outbox.js").Entry} Entry */

export class Unsent {
  /**
   * @param {import("./outbox.js").Outbox} outbox
   * @param {(entry: Entry) => Promise<void>} settle  asks about an answer whose text changed
   */
  constructor(outbox, settle) {
    this.outbox = outbox;
    this.settle = settle;
    this.badge = h("button", { type: "button", class: "unsent", hidden: true, onclick: () => this.open() });
  }

  show() {
    const { waiting, refused } = this.outbox;
    this.badge.hidden = !waiting.length && !refused.length;
    this.badge.classList.toggle("is-refused", refused.length > 0);
    this.badge.textContent = [waiting.length && `${waiting.length} unsent`,
      refused.length && `${refused.length} ${refused.length === 1 ? "needs" : "need"} you`].filter(Boolean).join(", ");
  }

  async open() {
    const { waiting, refused } = this.outbox;
    /** @type {import("./build.js").Child[]} */
    const content = [...refused, ...waiting].map((entry) => this.card(entry));
    const done = await ask("Unsent answers", content, [
      { label: "Close", value: () => "close" },
      { label: "Send again", value: () => "flush", primary: true },
    ], "close");
    if (done === "flush") await this.outbox.flush();
  }

  /** @param {Entry} entry */
  card(entry) {
    const { body, refusal } = entry;
    const texts = Object.entries(/** @type {Record<string, string> | null} */ (body.text) ?? {});
    const shut = () => card.closest("dialog")?.dispatchEvent(new Event("cancel"));
    const card = h("article", { class: "unsent-card" },
      h("h3", {}, `${DECIDED[String(body.decision)] ?? ""}: ${entry.title}`),
      h("p", { class: refusal ? "error" : "hint" }, refusal?.message ?? this.outbox.trouble),
      ...texts.map(([name, text]) => h("p", { class: "kept" }, h("b", {}, `${PART_NAMES[name] ?? name}: `), text)),
      body.short ? h("p", { class: "kept" }, h("b", {}, "Short: "), String(body.short)) : null,
      body.note ? h("p", { class: "kept" }, h("b", {}, "Note: "), String(body.note)) : null,
      refusal && h("div", { class: "choices" },
        refusal.code === "text_changed" && h("button", { type: "button",
          onclick: () => { shut(); this.settle(entry); } }, "Compare the texts"),
        h("button", { type: "button", onclick: () => { shut(); this.outbox.forget(entry); } }, "Drop this answer")));
    return card;
  }
}
