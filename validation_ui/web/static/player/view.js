/** Where the frame lies on the canvas: fitted into it in its own aspect, then zoomed and moved. All in CSS pixels. */

/** @typedef {{x: number, y: number, width: number, height: number}} Rect */

const MOST = 16;

export class View {
  #canvas = { width: 1, height: 1 };
  #aspect = 1;
  #zoom = 1;
  /** Centre of what is shown, as fractions of the frame. */
  #centre = { x: 0.5, y: 0.5 };

  /** @param {number} width @param {number} height of the canvas */
  resize(width, height) {
    this.#canvas = { width: Math.max(1, width), height: Math.max(1, height) };
  }

  /** @param {number} aspect width / height of the source */
  reset(aspect = this.#aspect) {
    this.#aspect = aspect;
    this.#zoom = 1;
    this.#centre = { x: 0.5, y: 0.5 };
  }

  get zoom() {
    return this.#zoom;
  }

  /** Where the whole frame lies, which may be beyond the canvas. @returns {Rect} */
  get rect() {
    const { width, height } = this.#canvas;
    const shown = this.#zoom * Math.min(width, height * this.#aspect);
    const tall = shown / this.#aspect;
    return { x: place(width, shown, this.#centre.x), y: place(height, tall, this.#centre.y), width: shown, height: tall };
  }

  /** The fraction of the frame under a point of the canvas; beyond 0..1 beside the frame. @param {number} x @param {number} y */
  toFrame(x, y) {
    const rect = this.rect;
    return { x: (x - rect.x) / rect.width, y: (y - rect.y) / rect.height };
  }

  /** The point of the canvas at a fraction of the frame. @param {number} x @param {number} y */
  toCanvas(x, y) {
    const rect = this.rect;
    return { x: rect.x + x * rect.width, y: rect.y + y * rect.height };
  }

  /**
   * Zooms by a factor; what is under the point stays there.
   * @param {number} factor
   * @param {number} x of the canvas
   * @param {number} y of the canvas
   */
  zoomAt(factor, x = this.#canvas.width / 2, y = this.#canvas.height / 2) {
    const kept = this.toFrame(x, y);
    this.#zoom = Math.min(MOST, Math.max(1, this.#zoom * factor));
    const now = this.toCanvas(kept.x, kept.y);
    this.pan(x - now.x, y - now.y);
  }

  /** Moves the frame with the pointer. @param {number} dx @param {number} dy */
  pan(dx, dy) {
    const { width, height } = this.rect;
    this.#centre = {
      x: clamp(this.#centre.x - dx / width, this.#canvas.width / width / 2),
      y: clamp(this.#centre.y - dy / height, this.#canvas.height / height / 2),
    };
  }

  /** Shows a part of the frame with a margin around it. @param {Rect} part fractions of the frame */
  fit(part) {
    this.reset();
    const { width, height } = this.rect;
    const room = 0.7 * Math.min(this.#canvas.width / (part.width * width), this.#canvas.height / (part.height * height));
    this.#zoom = Math.min(MOST, Math.max(1, room));
    this.#centre = { x: part.x + part.width / 2, y: part.y + part.height / 2 };
    this.pan(0, 0);
  }
}

/** Start of a length laid on the room, centred where it fits. @param {number} room @param {number} length @param {number} centre */
function place(room, length, centre) {
  return length <= room ? (room - length) / 2 : room / 2 - centre * length;
}

/** Keeps a centre so far from the edges that nothing beyond the frame is shown. @param {number} centre @param {number} half */
function clamp(centre, half) {
  return half >= 0.5 ? 0.5 : Math.min(1 - half, Math.max(half, centre));
}
