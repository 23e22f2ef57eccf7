/** Pointing at the picture without a pointer: a crosshair that arrow keys move. */

export class Aim {
  /** Whether a click on the picture, or Enter at the crosshair, sets a point. */
  on = false;
  /** @type {{x: number, y: number} | null} fractions of the frame; null while no key has moved it */
  at = null;

  /** Moves the crosshair, which first appears in the middle. @param {number} dx @param {number} dy */
  nudge(dx, dy) {
    this.at = this.at ? { x: within(this.at.x + dx), y: within(this.at.y + dy) } : { x: 0.5, y: 0.5 };
  }

  /** Where the crosshair is, in words. */
  get words() {
    return this.at ? `Crosshair ${percent(this.at.x)} across, ${percent(this.at.y)} down.` : "";
  }
}

/** @param {number} fraction */
export function percent(fraction) {
  return `${Math.round(100 * fraction)}%`;
}

/** @param {number} fraction */
function within(fraction) {
  return Math.min(1, Math.max(0, fraction));
}
