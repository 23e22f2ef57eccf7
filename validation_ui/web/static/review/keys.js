/** Every key of the screen, in one table: dispatch, help and remapping read it. */

import { ACTIONS as PLAYER_ACTIONS, PICTURE_KEYS, STRIP_KEYS } from "../player/actions.js";
import { h, kbd } from "./build.js";

/**
 * @typedef {{name: string, label: string, defaultKey: string, group: string}} Action
 *   defaultKey: KeyboardEvent.code, with `Alt+` or `Shift+` before it
 */

/** @type {Action[]} */
const REVIEW_ACTIONS = [
  { name: "all_right", label: "All parts are right: accept", defaultKey: "KeyY", group: "Decide" },
  { name: "accept", label: "Accept", defaultKey: "KeyA", group: "Decide" },
  { name: "edit", label: "Edit the text", defaultKey: "KeyE", group: "Decide" },
  { name: "reject", label: "Reject", defaultKey: "KeyR", group: "Decide" },
  { name: "flag", label: "Flag for the adjudicator", defaultKey: "KeyF", group: "Decide" },
  { name: "note", label: "Write a note", defaultKey: "KeyN", group: "Decide" },
  { name: "short", label: "Write the short expression", defaultKey: "KeyW", group: "Decide" },
  { name: "submit", label: "Send", defaultKey: "Enter", group: "Decide" },
  { name: "skip", label: "Skip this item", defaultKey: "KeyX", group: "Decide" },
  { name: "undo", label: "Undo my last answer", defaultKey: "KeyU", group: "Decide" },
  ...[1, 2, 3].map((n) => ({ name: `pick_${n}`, label: `Change the verdict of part ${n}, or choose outline ${n}`,
    defaultKey: `Digit${n}`, group: "Verdicts" })),
  ...[4, 5, 6, 7, 8, 9].map((n) => ({ name: `pick_${n}`, label: `Choose outline ${n}`,
    defaultKey: `Digit${n}`, group: "Verdicts" })),
  { name: "point", label: "Point with the arrow keys: go to the picture", defaultKey: "KeyP", group: "Point" },
  { name: "ambiguous", label: "Several objects fit", defaultKey: "KeyG", group: "Point" },
  { name: "absent", label: "No such object", defaultKey: "KeyB", group: "Point" },
  { name: "second", label: "One second on, for the second point", defaultKey: "KeyT", group: "Point" },
  { name: "help", label: "Show these keys", defaultKey: "Shift+Slash", group: "Help" },
];

/** @type {Action[]} */
export const ACTIONS = [
  ...REVIEW_ACTIONS,
  ...PLAYER_ACTIONS.map(({ name, label, defaultKey }) => ({ name, label, defaultKey, group: "Video" })),
];

/**
 * Keys that are as the browser or a control has them, and cannot be changed: where they work, and what they do there.
 * @type {{key: string, label: string}[]}
 */
export const FIXED_KEYS = [
  { key: "Ctrl+Enter", label: "While typing: send" },
  { key: "Escape", label: "Leave a text field; close a window" },
  { key: "Tab", label: "To the next control; with Shift to the one before" },
  ...[...STRIP_KEYS, ...PICTURE_KEYS].map(({ key, label }) => ({ key, label })),
];

const SHOWN = new Map(Object.entries({ Comma: ",", Period: ".", BracketLeft: "[", BracketRight: "]", Slash: "/",
  Backslash: "\\", Minus: "-", Equal: "+", Semicolon: ";", Quote: "'", ArrowLeft: "←", ArrowRight: "→",
  ArrowUp: "↑", ArrowDown: "↓", "Shift+Slash": "?" }));

/**
 * @param {string} binding
 * @returns {string} as printed on a keyboard
 */
export function keyLabel(binding) {
  const whole = SHOWN.get(binding);
  if (whole) return whole;
  const parts = binding.split("+");
  const code = parts.pop() ?? "";
  return [...parts, SHOWN.get(code) ?? code.replace(/^(Key|Digit|Numpad)/, "")].join(" ");
}

const TYPED_IN = "textarea, select, input:not([type=radio], [type=checkbox], [type=button], [type=range])";
const ACTIVATED = "button, a[href], summary, input[type=checkbox], input[type=radio], video"; // their own Space, arrows

/** Turns key presses into actions. */
export class Keys {
  /**
   * @param {{hotkeys: Record<string, string>, off: boolean}} mine
   * @param {(name: string) => boolean} run  false: nothing to do with this key now, so the browser keeps it
   * @param {(name: string) => void} release  the key came up again
   */
  constructor(mine, run, release) {
    this.off = mine.off;
    this.run = run;
    /** @type {Map<string, string>} action to binding */
    this.bindings = new Map(ACTIONS.map(({ name, defaultKey }) => [name, mine.hotkeys[name] ?? defaultKey]));
    this.byBinding = new Map([...this.bindings].map(([name, binding]) => [binding, name]));
    /** @type {Map<string, string>} code of a key that is down, to its action */
    this.held = new Map();
    document.addEventListener("keydown", (event) => this.press(event));
    document.addEventListener("keyup", ({ code }) => {
      const name = this.held.get(code);
      this.held.delete(code);
      if (name) release(name);
    });
  }

  /** @param {KeyboardEvent} event */
  press(event) {
    if (event.defaultPrevented || event.isComposing || document.querySelector("dialog[open]")) return;
    const target = event.target instanceof Element ? event.target : document.body;
    if (target.matches(TYPED_IN)) {
      if (event.key === "Escape" && target instanceof HTMLElement) target.blur(); // FIXED_KEYS says so
      else if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
      else if (this.run("submit")) event.preventDefault();
      return;
    }
    if (event.ctrlKey || event.metaKey || this.off) return;
    const own = /^(Space|Enter|Arrow.*)$/.test(event.code) && target.closest(ACTIVATED);
    if (own && !(event.code === "Enter" && own instanceof HTMLInputElement)) return;
    const prefix = `${event.altKey ? "Alt+" : ""}${event.shiftKey ? "Shift+" : ""}`;
    const name = this.byBinding.get(prefix + event.code) ?? (event.key === "?" ? "help" : undefined);
    if (!name || !this.run(name)) return;
    event.preventDefault();
    this.held.set(event.code, name);
  }

  /**
   * The badge of an action's key, for its button.
   *
   * @param {string} name
   */
  badge(name) {
    const binding = this.bindings.get(name);
    return this.off || !binding ? null : kbd(keyLabel(binding));
  }

  /** Show all keys. */
  help() {
    const groups = [...new Set(ACTIONS.map((action) => action.group))];
    const row = (/** @type {string[]} */ keys, /** @type {string} */ label) =>
      h("div", {}, h("dt", {}, ...keys.map((key) => h("kbd", {}, key))), h("dd", {}, label));
    /** @type {Map<string, string[]>} keys that do the same */
    const fixed = new Map();
    for (const { key, label } of FIXED_KEYS) fixed.set(label, [...(fixed.get(label) ?? []), keyLabel(key)]);
    const dialog = h("dialog", { class: "ask help", "aria-labelledby": "help-title" },
      h("form", { method: "dialog", class: "help-head" }, h("h2", { id: "help-title" }, "Keys"),
        h("button", { class: "primary" }, "Close")),
      h("p", {}, this.off ? "Keys are off; turn them on in your account."
        : "They rest while you type. Change them, or turn them off, in your account."),
      h("div", { class: "help-groups" }, ...groups.map((group) => h("section", {}, h("h3", {}, group),
        h("dl", {}, ...ACTIONS.filter((action) => action.group === group).map(({ name, label }) =>
          row([keyLabel(this.bindings.get(name) ?? "")], label))))),
        h("section", { class: "fixed" }, h("h3", {}, "Always the same"),
          h("dl", {}, ...[...fixed].map(([label, keys]) => row(keys, label))))));
    dialog.addEventListener("close", () => dialog.remove());
    document.body.append(dialog);
    dialog.showModal();
  }
}
