/** The strip below the picture: where the object is seen, the loop, the points, the position. It is a slider for mouse, touch and keyboard. */

import { STRIP_KEYS } from "./actions.js";
import { build } from "./build.js";

/** @typedef {{spans: [number, number][], loop: [number, number] | null, points: number[]}} Marks */
/** @typedef {{seek: (frame: number) => void, step: (by: 1 | -1) => void, step10: (by: 1 | -1) => void}} Moves */

export class Timeline {
  #count = 1;
  #marks = build("div", "player-marks");
  #thumb = build("div", "player-thumb");

  /** @param {Moves} moves */
  constructor(moves) {
    this.moves = moves;
    this.element = build(
      "div",
      "player-timeline",
      { role: "slider", tabindex: "0", "aria-label": "Frame", "aria-valuemin": "0" },
      build("div", "player-rail"),
      this.#marks,
      build("div", "player-place", {}, this.#thumb),
    );
    this.element.addEventListener("keydown", this.#key);
    this.element.addEventListener("pointerdown", (event) => {
      this.element.setPointerCapture(event.pointerId);
      this.#seek(event);
    });
    this.element.addEventListener("pointermove", (event) => {
      if (this.element.hasPointerCapture(event.pointerId)) this.#seek(event);
    });
  }

  /** @param {number} count of the video's frames @param {Marks} marks */
  mark(count, { spans, loop, points }) {
    this.#count = Math.max(1, count);
    this.element.setAttribute("aria-valuemax", String(this.#count - 1));
    this.#marks.replaceChildren(
      ...spans.map(([from, to]) => this.#stretch("player-span", from, to)),
      ...(loop ? [this.#stretch("player-loop", ...loop)] : []),
      ...points.map((frame) => this.#stretch("player-mark", frame, frame)),
    );
  }

  /** @param {number} frame @param {string} text what screen readers say for it */
  show(frame, text) {
    this.element.setAttribute("aria-valuenow", String(frame));
    this.element.setAttribute("aria-valuetext", text);
    this.#thumb.style.left = `${(100 * (frame + 0.5)) / this.#count}%`;
  }

  /** @param {string} className @param {number} from @param {number} to included */
  #stretch(className, from, to) {
    const element = build("div", className);
    element.style.left = `${(100 * from) / this.#count}%`;
    element.style.width = `${(100 * (to + 1 - from)) / this.#count}%`;
    return element;
  }

  /** @param {PointerEvent} event */
  #seek(event) {
    const { left, width } = this.#marks.getBoundingClientRect();
    const frame = Math.floor(((event.clientX - left) / width) * this.#count);
    this.moves.seek(Math.min(this.#count - 1, Math.max(0, frame)));
  }

  /** @param {KeyboardEvent} event */
  #key = (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const move = STRIP_KEYS.find(({ key }) => key === event.key);
    if (!move) return;
    event.preventDefault();
    event.stopPropagation(); // Home and End mean something else to the page
    move.run({ ...this.moves, last: this.#count - 1 });
  };
}
