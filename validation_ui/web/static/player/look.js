/** How the mask is shown, until the person changes it. */

/** @typedef {import("./types.js").Style} Style */

/** @type {Style[]} the outline first: it alone leaves colours, of the object and around it, as they are */
export const STYLES = ["outline", "fill", "spotlight"];
const OPACITIES = [0.5, 0.75, 0.95, 0.3];

export class Look {
  on = true;
  /** Hidden as long as a key is held. */
  held = false;
  opacity = 0.5;
  /** @type {Style} */
  style = "outline";

  get maskShown() {
    return this.on && !this.held;
  }

  /** @param {string | undefined} style others than the known change nothing */
  choose(style) {
    this.style = STYLES.find((known) => known === style) ?? this.style;
  }

  cycleStyle() {
    this.style = after(STYLES, this.style);
  }

  cycleOpacity() {
    this.opacity = after(OPACITIES, this.opacity);
  }
}

/** The value after this one, from the last back to the first. @template T @param {T[]} list @param {T} value @returns {T} */
export function after(list, value) {
  return list[(list.indexOf(value) + 1) % list.length] ?? value;
}
