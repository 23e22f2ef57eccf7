/** What the player says: a line below the picture, a corner while a frame is loading, a box when it cannot be loaded. */

import { build } from "./build.js";

export class Notices {
  line = build("p", "player-notice", { role: "status" });
  error = build("div", "player-error", { role: "alert" });
  #text = build("p", "player-error-text");

  /** @param {HTMLElement} root of the player @param {HTMLElement} stage @param {() => void} retry */
  constructor(root, stage, retry) {
    this.root = root;
    this.stage = stage;
    const button = build("button", "player-retry", { type: "button" }, "Try again");
    button.addEventListener("click", retry);
    this.error.append(this.#text, button);
    this.error.hidden = true;
    stage.append(this.error);
  }

  /** @param {string} text shown below the picture and read out */
  say(text) {
    this.line.textContent = text;
  }

  /** @param {number | null} frame that is waited for, null for none @param {string | null} error why it does not come */
  wait(frame, error) {
    const loading = frame !== null && error === null;
    this.root.classList.toggle("player-waits", loading);
    this.stage.dataset.waits = loading ? `loading frame ${frame}` : "";
    const said = error === null ? "" : `Frame ${frame} cannot be loaded: ${error}.`;
    if (this.#text.textContent !== said) this.#text.textContent = said; // else it would be read out again
    this.error.hidden = error === null;
  }
}
