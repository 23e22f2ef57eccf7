/** The player's buttons, made from the table of actions. */

import { ACTIONS, printed } from "./actions.js";
import { build, icon } from "./build.js";

/** @typedef {import("./actions.js").Action} Action */
/** @typedef {{playing: boolean, mask: boolean, hasMasks: boolean, isOpaque: boolean, loops: boolean,
 *   texts: Record<string, string>}} State isOpaque: the mask is shown by something that has an opacity */

const TRANSPORT = ["previous", "play", "next"];
const GROUPS = [
  ["home", "previousChange", "back1", "on1", "nextChange", "end"],
  ["loopStart", "loopEnd", "clearLoop", "speed"],
  ["mask", "style", "opacity"],
  ["zoomOut", "zoomIn", "zoomReset", "zoomToObject"],
];

const PAUSE = "M7 5h3.5v14H7zM13.5 5H17v14h-3.5z";
/** @type {Record<string, string>} */
const ICONS = {
  play: "M7 4.5v15l12.5-7.5z",
  previous: "M16.5 5v14L8 12zM5.5 5H8v14H5.5z",
  next: "M7.5 5v14l8.5-7zM16 5h2.5v14H16z",
  back1: "M15 6l1.5 1.5L12 12l4.5 4.500L15 18l-6-6z",
  on1: "M9 6L7.5 7.5 12 12l-4.5 4.500L9 18l6-6z",
  home: "M19.5 5v14L12 12zM12.5 5v14L5 12zM3 5h2v14H3z",
  end: "M4.5 5v14L12 12zM11.5 5v14L19 12zM19 5h2v14h-2z",
  previousChange: "M15 6.5a5.5 5.5 0 1 1 0 11zM15 8a4 4 0 0 0 0 8V17.500a5.5 5.5 0 0 1 0-11zM7 8v8l-5-4z",
  nextChange: "M9 6.5a5.5 5.5 0 1 0 0 11zM9 8a4 4 0 0 1 0 8v1.500a5.5 5.5 0 0 0 0-11zM17 8v8l5-4z",
  loopStart: "M6 4h6v2H8v12h4v2H6zM14 8l6 4-6 4z",
  loopEnd: "M18 4h-6v2h4v12h-4v2h6zM10 8l-6 4 6 4z",
  clearLoop: "M4 4h5v2H6v12h3v2H4zM20 4h-5v2h3v12h-3v2h5zM9 10.400L10.4 9 12 10.6 13.6 9 15 10.4 13.4 12 15 13.6 13.6 15 12 13.4 10.4 15 9 13.6 10.6 12z",
  mask: "M12 5C7 5 3 9 2 12c1 3 5 7 10 7s9-4 10-7c-1-3-5-7-10-7zm0 11.500a4.5 4.5 0 1 1 0-9 4.5 4.5 0 0 1 0 9zm0-2.500a2 2 0 1 0 0-4 2 2 0 0 0 0 4z",
  zoomIn: "M11 5h2v6h6v2h-6v6h-2v-6H5v-2h6z",
  zoomOut: "M5 11h14v2H5z",
  zoomReset: "M4 4h6v2H6v4H4zM14 4h6v6h-2V6h-4zM4 14h2v4h4v2H4zM18 14h2v6h-6v-2h4z",
  zoomToObject: "M11 2h2v4h-2zM11 18h2v4h-2zM2 11h4v2H2zM18 11h4v2h-4zM12 8a4 4 0 1 1 0 8 4 4 0 0 1 0-8z",
};

export class Controls {
  /** @type {Map<string, HTMLButtonElement>} */
  #buttons = new Map();
  /** @type {Record<string, string>} */
  #keys = Object.fromEntries(ACTIONS.map(({ name, defaultKey }) => [name, printed(defaultKey)]));
  /** @type {State | null} */
  #state = null;

  /** @param {(action: Action) => void} onPress */
  constructor(onPress) {
    const group = (/** @type {string[]} */ names) =>
      build("div", "player-group", {}, ...names.map((name) => this.#button(name, onPress)));
    /** Beside the strip below the picture. */
    this.transport = group(TRANSPORT);
    this.transport.setAttribute("role", "group");
    this.transport.setAttribute("aria-label", "Play");
    this.element = build("div", "player-controls", { role: "group", "aria-label": "Player" }, ...GROUPS.map(group));
  }

  /** @param {string} name @param {(action: Action) => void} onPress */
  #button(name, onPress) {
    const action = ACTIONS.find((one) => one.name === name);
    if (!action) throw new Error(`no action is called ${name}`);
    const face = build("span", "player-face");
    if (ICONS[name]) face.append(icon(ICONS[name]));
    const label = build("span", "player-label", {}, action.short ?? action.label);
    const button = build("button", "player-button", { type: "button", "data-action": name }, face, label);
    button.addEventListener("click", () => onPress(action));
    this.#buttons.set(name, button);
    return button;
  }

  /** Names the keys in the buttons' titles. @param {Record<string, string>} keys action -> key as printed, "" for none */
  setKeys(keys) {
    this.#keys = { ...this.#keys, ...keys };
    const state = this.#state;
    this.#state = null;
    if (state) this.show(state);
  }

  /** @param {State} state */
  show(state) {
    if (JSON.stringify(state) === JSON.stringify(this.#state)) return;
    this.#state = state;
    for (const { name, label, needsMasks } of ACTIONS) {
      const button = this.#buttons.get(name);
      if (!button) continue;
      const text = state.texts[name];
      const called = name === "play" ? (state.playing ? "Pause" : "Play") : text ? `${label}: ${text}` : label;
      const key = this.#keys[name];
      button.setAttribute("aria-label", called);
      button.title = key ? `${called} (${key})` : called;
      if (text) button.firstElementChild?.replaceChildren(text);
      if (name === "play") {
        button.firstElementChild?.replaceChildren(icon(state.playing ? PAUSE : ICONS.play ?? ""));
        button.lastElementChild?.replaceChildren(called);
      }
      button.hidden = Boolean(needsMasks) && !(state.hasMasks && (name !== "opacity" || state.isOpaque));
    }
    this.#buttons.get("mask")?.setAttribute("aria-pressed", String(state.mask));
    const clear = this.#buttons.get("clearLoop");
    if (clear) clear.disabled = !state.loops;
  }
}
