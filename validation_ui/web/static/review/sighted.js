/** Pass A: the mask is shown; each part of the text is judged, then the whole. */

import { h } from "./build.js";
import { Verdicts } from "./verdicts.js";

/**
 * What a pass may use of the screen.
 *
 * @typedef {{view: import("./types.js").SlotView, player: import("../player/player.js").Player,
 *   keys: import("./keys.js").Keys, say: (text: string) => void, changed: () => void,
 *   send: (body: Record<string, unknown>) => Promise<void>, stageChanged: () => void, kinds: string[],
 *   goOn: (said: string, brought?: import("./types.js").Claimed | null) => void,
 *   trouble: (error: unknown, again: () => unknown) => void, showMasks: (masks: import("./types.js").Masks) => void}} Context
 */
/**
 * One pass of one item, as the screen drives it. `aside` stands beside the form, `foot` above the Send
 * button; `plays` says whether the video is still to be
 * watched; `refused` returns false if none of the fields that the server refused is in the form.
 *
 * @typedef {{root: HTMLElement, aside?: HTMLElement, foot?: HTMLElement, title: string, sends: string, act: (name: string) => boolean, submit: () => Promise<void>,
 *   plays: () => boolean, draft: () => import("./types.js").Draft,
 *   restore: (draft: import("./types.js").Draft) => void, refused: (fields: Record<string, string>) => boolean,
 *   onFrame: () => void, onPoint: (point: import("./types.js").Point) => void}} Pass
 */

export const FITS = "Does the text fit the marked object?";

const UNWATCHED = "Watch the whole span in which the object is visible first: play, or step through it.";

/** @type {import("./types.js").Aim} */
export const NO_AIM = { answer: "", points: [], candidates: null, brief: false };

/**
 * What the judging form does with an action; the same in every pass.
 *
 * @param {Verdicts} verdicts
 * @param {string} name
 */
export function actOn(verdicts, name) {
  const part = /^pick_([1-3])$/.exec(name)?.[1];
  if (part) return verdicts.cycle(Number(part) - 1);
  if (name === "all_right") return verdicts.judgeAllRight();
  if (name === "note") return verdicts.writeNote();
  if (name === "short") return verdicts.writeShort();
  if (name === "accept" || name === "edit" || name === "reject" || name === "flag") return verdicts.decide(name);
  return false;
}

/** How much of the object's visible span was watched; it must be seen whole once before the text can be judged. */
export class Watch {
  /**
   * @param {import("../player/player.js").Player} player
   * @param {number} wanted  share that counts as the whole
   */
  constructor(player, wanted) {
    this.player = player;
    this.wanted = wanted;
    this.before = 0; // of an answer that was begun earlier
    this.bar = h("progress", { max: 100, value: 0, "aria-label": "Watched of the time in which the object is visible" });
    this.text = h("span", {});
    this.why = h("span", { id: "why-watch" }, "Accept and Edit wait for all of it: one frame shows no motion.");
    this.root = h("div", { class: "watch" }, this.bar, h("p", {}, this.text, " ", this.why));
    this.show();
  }

  show() {
    const percent = Math.floor(this.frac * 100);
    this.bar.value = percent;
    this.text.textContent = this.isDone() ? "Watched" : `Watched ${percent}%.`;
    this.root.classList.toggle("is-done", this.isDone());
    this.why.hidden = this.isDone();
  }

  /** Whether it is asked for now. @param {boolean} on */
  need(on) {
    this.root.classList.toggle("is-needed", on && !this.isDone());
  }

  get frac() {
    return Math.max(this.before, this.player.watchedFrac());
  }

  isDone() {
    return this.frac >= this.wanted;
  }
}

export class Sighted {
  title = FITS;
  sends = "Send";

  /** @param {Context} context */
  constructor(context) {
    this.context = context;
    const { item } = context.view;
    this.watch = new Watch(context.player, context.view.rules.watched_frac);
    this.verdicts = new Verdicts({ parts: item.parts, rules: context.view.rules, wantsShort: item.wants_short,
      suggestedShort: item.suggested_short ?? "", keys: context.keys, decisions: ["accept", "edit", "reject", "flag"],
      onChange: () => this.changed() });
    this.unwatched = h("p", { class: "error", role: "alert", tabIndex: -1, hidden: true });
    this.unwatched.textContent = UNWATCHED;
    this.root = this.verdicts.root;
    this.foot = h("div", {}, this.watch.root, this.unwatched);
  }

  /** Whether the decision needs the object's whole span to be watched. */
  get wantsWatching() {
    const { decision } = this.verdicts.judged;
    return decision === "accept" || decision === "edit";
  }

  /** Say that it must be watched before it can be sent, in place of why. @param {boolean} on */
  refuse(on) {
    this.unwatched.hidden = !on;
    this.watch.root.classList.toggle("is-refused", on);
  }

  changed() {
    if (!this.wantsWatching) this.refuse(false);
    this.watch.need(this.wantsWatching);
    this.context.changed();
  }

  plays() {
    return !this.watch.isDone();
  }

  /** @param {string} name */
  act(name) {
    return actOn(this.verdicts, name);
  }

  async submit() {
    this.refuse(this.wantsWatching && !this.watch.isDone());
    if (!this.verdicts.check()) return;
    if (this.unwatched.hidden) await this.context.send(this.verdicts.submission(this.watch.frac));
    else this.unwatched.focus();
  }

  draft() {
    return { ...this.verdicts.judged, watched_frac: this.watch.frac };
  }

  /** @param {import("./types.js").Draft} draft */
  restore(draft) {
    this.verdicts.restore(draft);
    this.watch.before = draft.watched_frac ?? 0;
    this.watch.show();
    this.watch.need(this.wantsWatching);
  }

  /** @param {Record<string, string>} fields */
  refused(fields) {
    return this.verdicts.refused(fields);
  }

  onFrame() {
    this.watch.show();
    this.watch.need(this.wantsWatching);
    if (this.watch.isDone()) this.refuse(false);
  }

  onPoint() {}
}
