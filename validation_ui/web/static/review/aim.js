/** The blind answer, before anything is revealed: where the object is, or that several fit, or that none does. */

import { fill, h } from "./build.js";
import { Segmented, newId, setError } from "./controls.js";

/** @typedef {import("./types.js").Aim} Aim */
/** @typedef {import("./types.js").Point} Point */

const MOST_POINTS = 2;
const APART_S = 0.999; // a second, less what times are rounded by

/** Points on annotated frames, at most two, at least a second apart. */
export class AimForm {
  /**
   * @param {import("./sighted.js").Context} context
   */
  constructor(context) {
    this.context = context;
    this.video = context.view.video;
    /** @type {Aim} */
    this.aim = { answer: "", points: [], candidates: null, brief: false };
    const { keys } = context;
    this.answer = new Segmented("Where is it?", [
      { value: "pointed", label: "Point at it", badge: keys.badge("point") },
      { value: "ambiguous", label: "Several fit", badge: keys.badge("ambiguous") },
      { value: "absent", label: "Not there", badge: keys.badge("absent") },
    ], (value) => this.choose(/** @type {Aim["answer"]} */ (value)));
    this.answer.root.classList.add("aim-answer");

    this.first = h("p", { class: "hint" }, "Watch, then click the object in the picture, on two frames at least 1 second apart. ",
      h("span", { class: "by-key" }, keys.badge("point"), " points with the arrow keys."));
    this.hint = h("p", { class: "hint" });
    this.points = h("ol", { class: "points" });
    this.second = h("button", { type: "button", onclick: () => this.goOn() }, "1 second on ", keys.badge("second"));
    this.brief = h("input", { type: "checkbox", onchange: () => this.set({ brief: this.brief.checked }) });
    this.pointing = h("div", { class: "pointing" }, this.hint, this.points, this.second,
      h("label", { class: "check" }, this.brief, h("span", {}, "It is seen for less than a second: one point is enough")));

    const id = newId("candidates");
    this.candidates = h("input", { id, type: "number", min: "2", max: "99", inputMode: "numeric",
      oninput: () => this.set({ candidates: this.candidates.valueAsNumber || null }) });
    this.counting = h("div", { class: "field counting" }, h("label", { for: id }, "How many objects fit the text?"),
      this.candidates);
    this.root = h("div", { class: "aim" }, this.answer.root, this.first, this.pointing, this.counting);
    this.show();
  }

  /** @param {Aim["answer"]} answer */
  choose(answer) {
    this.set({ answer });
    if (answer === "ambiguous") this.candidates.focus();
    else if (answer === "absent") this.answer.focus();
    return true;
  }

  /** Point with the arrow keys: the picture takes the focus. */
  byKeyboard() {
    this.set({ answer: "pointed" });
    this.context.player.pause();
    this.context.player.focus();
    this.context.say("Arrow keys move a crosshair, with Shift in big steps. Enter sets the point.");
    return true;
  }

  /** Whether a click on the picture points. @param {boolean} on */
  turn(on) {
    this.context.player.pointing(on);
    this.show();
  }

  /** @param {Partial<Aim>} change */
  set(change) {
    this.aim = { ...this.aim, ...change };
    this.show();
    this.context.changed();
  }

  /**
   * A click: it moves the point that is less than a second away, else it is a new one; of three the oldest goes.
   *
   * @param {Point} point
   */
  place(point) {
    const { annotated } = this.video;
    if (!annotated.includes(point.frame)) {
      const nearest = annotated.reduce((best, frame) =>
        Math.abs(frame - point.frame) < Math.abs(best - point.frame) ? frame : best);
      this.context.player.seek(nearest);
      this.context.say(`Points belong on every fourth frame: this is frame ${nearest}. Point again.`);
      return;
    }
    const apart = this.aim.points.filter(({ frame }) => Math.abs(this.time(frame) - this.time(point.frame)) >= APART_S);
    const points = [...apart, point].slice(-MOST_POINTS).sort((a, b) => a.frame - b.frame);
    this.set({ answer: "pointed", points });
    this.context.say(points.length === 1 && !this.aim.brief ? "First point set" : "Point set");
  }

  /** When a frame is shown, in seconds. @param {number} frame */
  time(frame) {
    return this.video.times_s[frame] ?? 0;
  }

  /** A second after the only point, or before it at the end of the video. */
  goOn() {
    const [point] = this.aim.points;
    if (this.aim.answer !== "pointed" || !point) return false;
    const { annotated } = this.video;
    const next = annotated.find((frame) => this.time(frame) >= this.time(point.frame) + APART_S)
      ?? annotated.findLast((frame) => this.time(frame) <= this.time(point.frame) - APART_S);
    if (next === undefined) this.context.say("The video is too short for a second point: tick the box below.");
    else this.context.player.seek(next);
    return true;
  }

  show() {
    const { answer, points, candidates, brief } = this.aim;
    this.answer.value = answer;
    this.first.hidden = answer !== "";
    this.pointing.hidden = answer !== "pointed";
    this.counting.hidden = answer !== "ambiguous";
    this.brief.checked = brief;
    if (document.activeElement !== this.candidates) this.candidates.value = candidates === null ? "" : String(candidates);
    const missing = (brief ? 1 : MOST_POINTS) - points.length;
    this.hint.textContent = missing <= 0 ? "Done. Click again to move a point."
      : points.length ? "Click it once more, at least 1 second away."
        : "Click the object on two frames at least 1 second apart.";
    this.second.hidden = points.length !== 1 || brief;
    fill(this.points, ...points.map((point, n) => h("li", {},
      h("button", { type: "button", onclick: () => this.context.player.seek(point.frame) },
        `Point ${n + 1}: frame ${point.frame}, ${this.time(point.frame).toFixed(1)} s`),
      h("button", { type: "button", class: "quiet", "aria-label": `Remove point ${n + 1}`,
        onclick: () => this.set({ points: points.filter((other) => other !== point) }) }, "Remove"))));
    this.context.player.setPoints(points);
  }

  /** @returns {boolean} true if the answer can be sent; else a message beside the field says what is missing */
  check() {
    const { answer, points, candidates, brief } = this.aim;
    const [input] = this.answer.inputs.values();
    const wants = brief ? 1 : MOST_POINTS;
    if (input) setError(input, this.answer.root, answer ? null : "Click it in the picture, or say that several fit or none.");
    const few = answer === "pointed" && points.length < wants;
    setError(this.brief, this.pointing, few ? `${wants - points.length === 1 ? "One more point" : "Two points"}, please.` : null);
    if (!answer) this.answer.focus();
    if (few) (this.second.hidden ? this.brief : this.second).focus();
    const uncounted = answer === "ambiguous" && !(candidates !== null && Number.isInteger(candidates) && candidates >= 2);
    setError(this.candidates, this.counting, uncounted ? "Two or more." : null);
    if (uncounted) this.candidates.focus();
    return Boolean(answer) && !few && !uncounted;
  }

  /** As the server wants it. */
  submission() {
    const { answer, points, candidates, brief } = this.aim;
    const pointed = answer === "pointed";
    return { answer, points: pointed ? points : [], candidates: answer === "ambiguous" ? candidates : null,
      brief: pointed && brief };
  }
}
