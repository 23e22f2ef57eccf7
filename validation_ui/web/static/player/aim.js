/** Pointing at the picture without a pointer: a crosshair that arrow keys move. */

/** How far an arrow key moves the crosshair, in fractions of the image: without and with Shift. */
const FINE = 0.01;
const COARSE = 0.1;
/** @type {Record<string, [number, number]>} */
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

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

/** Returns how far an arrow key moves the crosshair, (x, y) in fractions of the frame. @param {KeyboardEvent} event @returns {[number, number] | null} */
export function wayOf(event) {
  const [dx, dy] = ARROWS[event.key] ?? [];
  const by = event.shiftKey ? COARSE : FINE;
  return dx === undefined || dy === undefined ? null : [by * dx, by * dy];
}

/** @param {number} fraction */
export function percent(fraction) {
  return `${Math.round(100 * fraction)}%`;
}

/** @param {number} fraction */
function within(fraction) {
  return Math.min(1, Math.max(0, fraction));
}
