/**
 * Pass B: raw video and text only. Answer where the object is, say which outline was meant if several lie under the
 * points, and only then see the object and judge the text. Nothing of the target is on this page before the reveal,
 * because the server has not sent it.
 */

import { ApiError, api } from "../lib/api.js";
import { AimForm } from "./aim.js";
import { fill, h } from "./build.js";
import { ExtentForm } from "./extent.js";
import { FITS, NO_AIM, actOn } from "./sighted.js";
import { Verdicts, blank } from "./verdicts.js";

/** @typedef {import("./types.js").Pointing} Pointing */

/** @param {Pointing} pointing */
function resultText({ answer, hit }) {
  if (hit) return "Hit: you found the object.";
  if (answer === "pointed") return "Miss: the text means the object that is marked now.";
  return "This is the object that the text means.";
}

export class Blind {
  /** @param {import("./sighted.js").Context} context */
  constructor(context) {
    this.context = context;
    this.view = context.view;
    this.aim = new AimForm(context);
    /** @type {ExtentForm | null} */
    this.extent = null;
    /** @type {Verdicts | null} */
    this.verdicts = null;
    this.judged = blank();
    this.title = "Find the object that the text means";
    this.sends = "Answer";
    this.head = h("div", {});
    this.body = h("div", {});
    this.root = h("div", {}, this.head, this.body);
    this.busy = false;
    this.enter(this.view.pointing);
  }

  /**
   * Show the stage that an answer leads to.
   *
   * @param {import("./types.js").Answered | null} pointing
   */
  enter(pointing) {
    const expression = h("p", { class: "expression", lang: "en" },
      this.view.item.parts.map(({ text }) => text).join(" "));
    if (pointing?.waits) {
      this.context.goOn("Answered. The object is shown when the other texts of this video are answered too",
        pointing.next);
      return;
    }
    if (!pointing) {
      fill(this.body, expression, this.aim.root);
      this.aim.turn(true);
    } else if (pointing.revealed) this.reveal(pointing);
    else {
      this.aim.turn(false);
      this.extent = new ExtentForm(this.context, pointing.outlines);
      fill(this.body, expression, this.extent.root);
      this.extent.options.focus();
    }
    this.context.stageChanged();
  }

  /** @param {Pointing} pointing */
  async reveal(pointing) {
    const { player, keys, changed, showMasks } = this.context;
    const { id } = this.view.slot;
    [this.title, this.sends] = [FITS, "Send"];
    this.aim.turn(false);
    player.setOutlines([], null);
    this.extent = null;
    const { item } = this.view;
    const verdicts = new Verdicts({ parts: item.parts, rules: this.view.rules, wantsShort: false, keys,
      decisions: ["accept", "edit", "reject", "flag"], onChange: changed });
    verdicts.restore(this.judged);
    this.verdicts = verdicts;
    const head = h("p", { class: `reveal ${pointing.hit ? "is-hit" : "is-miss"}`, tabIndex: -1 }, resultText(pointing));
    fill(this.head, head);
    fill(this.body, verdicts.root);
    head.focus();
    try {
      showMasks(await api("GET", `/api/slots/${id}/masks`));
      player.setPoints(pointing.hit ? [] : this.aim.aim.points); // a mark on the object hides what is judged now
    } catch (error) {
      this.context.trouble(error, () => this.reveal(pointing));
    }
  }

  plays() {
    return !this.verdicts && !this.extent && this.aim.aim.answer === "";
  }

  /** @param {string} name */
  act(name) {
    if (this.verdicts) return actOn(this.verdicts, name);
    const number = /^pick_([1-9])$/.exec(name)?.[1];
    if (this.extent) return number !== undefined && this.extent.choose(Number(number) - 1);
    if (name === "point") return this.aim.byKeyboard();
    if (name === "ambiguous" || name === "absent") return this.aim.choose(name);
    return name === "second" && this.aim.goOn();
  }

  async submit() {
    const { player, send } = this.context;
    if (this.verdicts) {
      if (this.verdicts.check()) await send(this.verdicts.submission(player.watchedFrac()));
    } else if (this.extent) {
      const choice = this.extent.check();
      if (choice !== null) await this.tell("extent", { choice });
    } else if (this.aim.check()) await this.tell("pointing", this.aim.submission());
  }

  /**
   * Send an answer that the next stage depends on.
   *
   * @param {"pointing" | "extent"} what
   * @param {Record<string, unknown>} body
   */
  async tell(what, body) {
    if (this.busy) return;
    this.busy = true;
    const { id } = this.view.slot;
    try {
      this.enter(await api("POST", `/api/slots/${id}/${what}`, { ...body, next_kinds: this.context.kinds }));
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      // the answer may have arrived although its confirmation did not: ask what the server has
      const now = error.status === 409 ? await api("GET", `/api/slots/${id}`).catch(() => null) : null;
      if (now?.pointing) this.enter(now.pointing);
      else this.context.trouble(error, () => this.submit());
    } finally {
      this.busy = false;
    }
  }

  draft() {
    return { ...(this.verdicts?.judged ?? this.judged), aim: this.aim.aim };
  }

  /** @param {import("./types.js").Draft} draft */
  restore(draft) {
    this.judged = { ...blank(), ...draft };
    this.verdicts?.restore(draft);
    this.aim.aim = { ...NO_AIM, ...draft.aim };
    if (!this.verdicts && !this.extent) this.aim.show();
  }

  /** @param {Record<string, string>} fields */
  refused(fields) {
    return this.verdicts?.refused(fields) ?? false;
  }

  onFrame() {}

  /** @param {import("./types.js").Point} point */
  onPoint(point) {
    if (this.verdicts) return;
    if (this.extent) this.extent.place(point);
    else this.aim.place(point);
  }
}
