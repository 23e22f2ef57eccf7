/** The parts of the screen that stay from item to item: heading, player, form, notice. */

import { address } from "../lib/address.js";
import { h } from "./build.js";
import { Notice } from "./notice.js";

/** @type {Record<string, string>} */
const KINDS = { sighted: "Sighted pass", blind: "Blind pass", adjudicate: "Adjudication" };

/** Where the picture and the form stand one above the other: then the text comes before the player's buttons. */
const NARROW = matchMedia("(max-width: 60rem)");

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
        h("span", { class: "by-key" }, button("Keys", "help", () => keys.help()))));
    this.notice = new Notice();
    this.saved = h("p", { class: "saved", role: "status", "aria-live": "polite" });

    this.player = h("div", { class: "review-player" });
    this.smooth = h("video", { controls: true, muted: true, playsInline: true, preload: "none",
      "aria-label": "The source video, without mask and sound" });
    this.smoothBox = h("details", { class: "smooth" }, h("summary", {}, "Smooth video, without mask"), this.smooth);
    this.smoothBox.addEventListener("toggle", () => { if (!this.smoothBox.open) this.smooth.pause(); });
    this.stage = h("section", { class: "review-stage", "aria-label": "Video" }, this.player);
    this.extras = h("section", { class: "review-extras", "aria-label": "More of the video" }, this.smoothBox);
    this.aside = h("div", { class: "review-aside", hidden: true });

    this.content = h("div", { class: "review-content" });
    this.foot = h("div", {}); // what is to be known before sending
    this.send = h("button", { type: "submit", class: "primary send" });
    this.sendText = h("span", {});
    this.send.append(this.sendText, " ");
    const badge = keys.badge("submit");
    if (badge) this.send.append(badge);
    this.form = h("form", { class: "review-form", noValidate: true, "aria-label": "Your answer",
      onsubmit: (/** @type {Event} */ event) => { event.preventDefault(); submit(); } },
      this.content, h("div", { class: "review-send" }, this.foot, this.notice.root, this.send, this.saved));
    this.split = h("div", { class: "review-split" }, this.stage, this.aside, this.form);
    NARROW.addEventListener("change", () => this.place());
  }

  /** @param {HTMLElement} [buttons] of the player, which need not stand beside the picture */
  place(buttons) {
    if (buttons) this.extras.prepend(buttons);
    (NARROW.matches || !this.aside.hidden ? this.split : this.stage).append(this.extras);
  }

  /**
   * Say how safe is what was entered.
   *
   * @param {string} text
   * @param {boolean} [isBad]
   */
  tell(text, isBad = false) {
    this.saved.textContent = text;
    this.saved.classList.toggle("is-bad", isBad);
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
    this.aside.replaceChildren(...(pass.aside ? [pass.aside] : []));
    this.aside.hidden = !pass.aside;
    this.split.classList.toggle("has-aside", Boolean(pass.aside));
    this.place();
    this.foot.replaceChildren(...(pass.foot ? [pass.foot] : []));
    this.notice.hide();
    this.tell("");
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
