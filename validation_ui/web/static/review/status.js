/** What the screen says by itself: a quiet line that screen readers hear, and a toast with one button. */

import { fill, h } from "./build.js";

const TOAST_MS = 10_000;
const SHOWN_MS = 4_000;

export class Status {
  /** @param {HTMLElement} root */
  constructor(root) {
    this.line = h("p", { class: "status-line", role: "status", "aria-live": "polite" });
    this.toast = h("div", { class: "toast", hidden: true });
    root.append(this.line, this.toast);
    /** @type {number | undefined} */
    this.timer = undefined;
    /** @type {number | undefined} */
    this.fade = undefined;
  }

  /**
   * Say something that needs no answer: read out, and seen for a while.
   *
   * @param {string} text
   */
  say(text) {
    this.line.classList.remove("sr");
    this.read(text);
    clearTimeout(this.fade);
    this.fade = setTimeout(() => this.line.classList.add("sr"), SHOWN_MS);
  }

  /** @param {string} text */
  read(text) {
    if (this.line.textContent === text) this.line.textContent = ""; // or it is not read out again
    this.line.textContent = text;
  }

  /**
   * Offer something for ten seconds; it stays while it has the focus or the pointer. All that it offers has a key too.
   *
   * @param {string} text
   * @param {string} label
   * @param {() => void} run
   */
  offer(text, label, run) {
    clearTimeout(this.timer);
    const hide = () => {
      this.toast.hidden = true;
    };
    fill(this.toast, h("span", {}, text), h("button", { type: "button", onclick: () => { hide(); run(); } }, label));
    this.toast.hidden = false;
    const wait = () => {
      this.timer = setTimeout(() => (this.toast.matches(":hover, :focus-within") ? wait() : hide()), TOAST_MS);
    };
    wait();
    this.line.classList.add("sr");
    this.read(text);
  }
}
