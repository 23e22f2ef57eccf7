/** What went wrong, in words, right above the Send button or on the page without an item, and what can be done. */

import { fill, h } from "./build.js";

/** @typedef {{label: string, run?: () => unknown, href?: string, primary?: boolean}} Choice */

export class Notice {
  constructor() {
    this.root = h("div", { class: "notice bad", role: "alert", tabIndex: -1, hidden: true });
    this.about = ""; // what it tells of, so that it can be taken back when that is over
  }

  /**
   * Show a message; it takes the focus, but not from somebody who types and did nothing that it answers.
   *
   * @param {string} message
   * @param {Choice[]} choices
   * @param {{focus?: boolean, about?: string}} [options]  focus: also from somebody who types
   */
  show(message, choices = [], { focus = true, about = "" } = {}) {
    this.about = about;
    const close = { label: "Close", run: () => this.hide() };
    fill(this.root, h("p", {}, message), h("div", { class: "choices" }, ...[...choices, close].map(button)));
    this.root.hidden = false;
    if (!focus && document.activeElement?.matches("textarea, input[type=number]")) return;
    this.root.focus();
    this.root.scrollIntoView({ block: "nearest" });
  }

  /** @param {string} [about] only if it tells of this */
  hide(about) {
    if (about === undefined || about === this.about) this.root.hidden = true;
  }
}

/** @param {Choice} choice */
const button = ({ label, run, href, primary }) => {
  const look = primary ? "primary" : "";
  return href ? h("a", { class: `button ${look}`, href }, label) : h("button", { type: "button", class: look, onclick: run }, label);
};

/**
 * What a person can do about an error of the server.
 *
 * @param {string} code
 * @param {() => unknown} [again]
 * @returns {Choice[]}
 */
export function wayOut(code, again) {
  const here = encodeURIComponent(location.pathname + location.search);
  if (code === "signed_out") return [{ label: "Sign in", href: `/login?next=${here}`, primary: true }];
  if (code === "csrf") return [{ label: "Reload this page", run: () => location.reload(), primary: true }];
  return again ? [{ label: "Try again", run: again, primary: true }] : [];
}
