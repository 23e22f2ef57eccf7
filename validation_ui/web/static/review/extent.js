/** The question that follows a pointing under which several masks lie: hand or person? */

import { parseRuns } from "../player/rle.js";
import { h } from "./build.js";
import { Segmented, setError } from "./controls.js";

/** @typedef {import("./types.js").Outline} Outline */
/** @typedef {import("./types.js").Point} Point */

/**
 * @param {Outline} outline
 * @param {Point} point
 * @returns {number} area in pixels of the outline if the point is inside, else Infinity
 */
function areaAround({ counts, size }, { x, y }) {
  const [height, width] = size;
  const row = Math.min(height - 1, Math.floor(y * height));
  const at = Math.min(width - 1, Math.floor(x * width)) * height + row; // column by column
  let [start, area, inside] = [0, 0, false];
  parseRuns(counts, size).forEach((length, n) => {
    if (n % 2) {
      area += length;
      inside ||= start <= at && at < start + length;
    }
    start += length;
  });
  return inside ? area : Infinity;
}

export class ExtentForm {
  /**
   * @param {import("./sighted.js").Context} context
   * @param {Outline[]} outlines
   */
  constructor(context, outlines) {
    this.player = context.player;
    this.outlines = outlines;
    this.choices = [...new Set(outlines.map(({ choice }) => choice))];
    this.options = new Segmented("Several outlines lie under your points. Which one does the text mean?",
      this.choices.map((choice) => ({ value: String(choice), label: `Outline ${choice + 1}`,
        badge: context.keys.badge(`pick_${choice + 1}`) })),
      (value) => this.choose(Number(value)));
    this.hint = h("p", { class: "hint" }, "Click one in the picture, press its number, or tick it here.");
    this.root = h("div", { class: "extent" }, this.options.root, this.hint);
    this.player.setPoints([]);
    this.player.setOutlines(outlines, null);
    if (outlines[0]) this.player.seek(outlines[0].frame);
    this.player.pointing(true);
  }

  /**
   * @param {number} choice
   * @returns {boolean} false if there is no such outline
   */
  choose(choice) {
    if (!this.choices.includes(choice)) return false;
    this.options.value = String(choice);
    this.options.focus();
    this.player.setOutlines(this.outlines, choice);
    return true;
  }

  /**
   * A click means the smallest outline around it.
   *
   * @param {Point} point
   */
  place(point) {
    const here = this.outlines.filter(({ frame }) => frame === point.frame)
      .map((outline) => ({ choice: outline.choice, area: areaAround(outline, point) }))
      .filter(({ area }) => area < Infinity).sort((a, b) => a.area - b.area);
    if (here[0]) this.choose(here[0].choice);
  }

  /** @returns {number | null} null: nothing is chosen yet, and a message says so */
  check() {
    const [first] = this.options.inputs.values();
    const { value } = this.options;
    if (first) setError(first, this.options.root, value ? null : "Choose one of the outlines.");
    return value ? Number(value) : null;
  }
}
