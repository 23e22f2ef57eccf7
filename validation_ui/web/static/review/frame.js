/** The parts of the screen that stay from item to item: heading, player, form, notices. */

import { address } from "../lib/address.js";
import { h } from "./build.js";

/** @type {Record<string, string>} */
const KINDS = { sighted: "Sighted pass", blind: "Blind pass", adjudicate: "Adjudication" };

export class Frame {
  /**
   * @param {{keys: import("./keys.js").Keys, unsent: HTMLElement, submit: () => void, skip: () => void,
   *   undo: () => void}} calls
   */
  constructor({ keys, unsent, submit, skip, undo }) {
    this.kind = h("span", { class: "kind" });
    this.heading = h("h1", { tabIndex: -1 });
    this.entry = h("span", { class: "entry" });
    const button = (/** @type {string} */ label, /** @type {string} */ action, /** @type {() => void} */ run) =>
      h("button", { type: "button", class: "quiet", onclick: run }, `${label} `, keys.badge(action));
    this.bar = h("header", { class: "review-bar" }, h("div", { class: "review-title" }, this.kind, this.heading, this.entry),
      h("div", { class: "review-tools" }, unsent, button("Skip", "skip", skip), button("Undo", "undo", undo),
        button("Keys", "help", () => keys.help())));
    this.notice = h("div", { class: "notice bad", role: "alert", hidden: true });

    this.player = h("div", { class: "review-player" });
    this.smooth = h("video", { controls: true, muted: true, playsInline: true, preload: "none",
      "aria-label": "The source video, without mask and sound" });
    this.smoothBox = h("details", { class: "smooth" }, h("summary", {}, "Smooth video, without mask"), this.smooth);
    this.smoothBox.addEventListener("toggle", () => { if (!this.smoothBox.open) this.smooth.pause(); });
    this.stage = h("section", { class: "review-stage", "aria-label": "Video" }, this.player, this.smoothBox);

    this.content = h("div", { class: "review-content" });
    this.send = h("button", { type: "submit", class: "primary send" });
    this.sendText = h("span", {});
    this.send.append(this.sendText, " ");
    const badge = keys.badge("submit");
    if (badge) this.send.append(badge);
    this.form = h("form", { class: "review-form", noValidate: true, "aria-label": "Your answer",
      onsubmit: (/** @type {Event} */ event) => { event.preventDefault(); submit(); } },
      this.content, h("div", { class: "review-send" }, this.send));
    this.split = h("div", { class: "review-split" }, this.stage, this.form);
  }

  /**
   * @param {import("./types.js").SlotView} view
   * @param {import("./sighted.js").Pass} pass
   */
  show({ slot, item, video }, pass) {
    this.kind.textContent = (KINDS[slot.kind] ?? slot.kind) + (item.kind === "short" ? ", short expression" : "");
    this.name(pass);
    this.entry.textContent = slot.entry ? `Entry test: ${slot.entry.done + 1} of ${slot.entry.of}` : "";
    this.content.replaceChildren(pass.root);
    this.notice.hidden = true;
    this.smoothBox.open = false;
    this.smooth.removeAttribute("src");
    this.smooth.src = address(video.source);
  }

  /**
   * What is asked now, and what its button does.
   *
   * @param {import("./sighted.js").Pass} pass
   */
  name({ title, sends }) {
    this.heading.textContent = title;
    this.sendText.textContent = sends;
  }
}
