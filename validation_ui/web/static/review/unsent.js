/**
 * The badge "n unsent" and the list behind it: what waits for the connection, what the server refused, and drafts of
 * items that are not their author's any more.
 */

import { api } from "../lib/api.js";
import { ask, h } from "./build.js";
import { asText, copyButton } from "./copy.js";
import { DECIDED, RESTORED } from "./words.js";

/** @typedef {import("./outbox.js").Entry} Entry */
/** @typedef {import("./drafts.js").Local} Local */
/** @typedef {{draft: Local, message: string}} Stray */

/** What became of a slot after which nothing of a draft is left to keep. */
const OVER = new Set(["answered", "skipped"]);

export class Unsent {
  /**
   * @param {import("./outbox.js").Outbox} outbox
   * @param {import("./drafts.js").Drafts} drafts
   * @param {(entry: Entry) => Promise<void>} settle  asks about an answer whose text changed
   */
  constructor(outbox, drafts, settle) {
    this.outbox = outbox;
    this.drafts = drafts;
    this.settle = settle;
    /** @type {Stray[]} */
    this.strays = [];
    this.badge = h("button", { type: "button", class: "unsent", hidden: true, onclick: () => this.open() });
  }

  /** Look for drafts of items that the person has not any more. */
  async look() {
    /** @type {Stray[]} */
    const found = [];
    const waiting = new Set(this.outbox.entries.map(({ slot }) => slot));
    for (const draft of await this.drafts.others()) {
      if (this.drafts.isOfBefore(draft)) {
        if (asText(draft.body)) found.push({ draft, message: RESTORED });
        else await this.drafts.forget(draft);
        continue;
      }
      if (waiting.has(draft.slot)) continue;
      const fate = await api("GET", `/api/slots/${draft.slot}/fate`)
        .catch(({ status, message }) => (status === 404 ? { code: "unknown", message } : null));
      if (!fate || fate.code === "yours") continue; // or nobody can say now
      if (OVER.has(fate.code) || !asText(draft.body)) await this.drafts.forget(draft);
      else found.push({ draft, message: fate.message });
    }
    this.strays = found;
    this.show();
  }

  show() {
    const { waiting, refused } = this.outbox;
    const strays = this.strays.length;
    this.badge.hidden = !waiting.length && !refused.length && !strays;
    this.badge.classList.toggle("is-refused", refused.length > 0);
    this.badge.textContent = [waiting.length && `${waiting.length} unsent`,
      refused.length && `${refused.length} ${refused.length === 1 ? "needs" : "need"} you`,
      strays && `${strays} ${strays === 1 ? "draft" : "drafts"} kept`].filter(Boolean).join(", ");
  }

  async open() {
    const { waiting, refused } = this.outbox;
    /** @type {import("./build.js").Child[]} */
    const content = [...refused, ...waiting].map((entry) => this.card(entry));
    content.push(...this.strays.map((stray) => this.strayCard(stray)));
    const done = await ask("Not sent", content, [
      { label: "Close", value: () => "close" },
      ...(waiting.length ? [{ label: "Send again", value: () => "flush", primary: true }] : []),
    ], "close");
    if (done === "flush") await this.outbox.flush();
  }

  /** @param {Entry} entry */
  card(entry) {
    const { body, refusal } = entry;
    const written = asText(/** @type {import("./types.js").Draft} */ (body));
    const card = h("article", { class: "unsent-card" },
      h("h3", {}, `${DECIDED[String(body.decision)] ?? ""}: ${entry.title}`),
      h("p", { class: refusal ? "error" : "hint" }, refusal?.message ?? this.outbox.trouble.message),
      h("p", { class: "kept" }, written),
      h("div", { class: "choices" }, copyButton(written),
        refusal?.code === "text_changed" && h("button", { type: "button",
          onclick: () => { shut(card); this.settle(entry); } }, "Compare the texts"),
        refusal && h("button", { type: "button", onclick: () => { shut(card); this.outbox.forget(entry); } }, "Drop this answer")));
    return card;
  }

  /** @param {Stray} stray */
  strayCard({ draft, message }) {
    const written = asText(draft.body);
    const card = h("article", { class: "unsent-card" }, h("h3", {}, `Draft: ${draft.title}`), h("p", { class: "error" }, message),
      h("p", { class: "kept" }, written),
      h("div", { class: "choices" }, copyButton(written), h("button", { type: "button", onclick: async () => {
        shut(card);
        await this.drafts.forget(draft);
        await this.look();
      } }, "Drop this draft")));
    return card;
  }
}

/** Close the window that a card is in. @param {HTMLElement} card */
const shut = (card) => card.closest("dialog")?.dispatchEvent(new Event("cancel"));
