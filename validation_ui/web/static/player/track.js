/** What is known of an object over a whole video: on which annotated frames it is, and with which shape. */

import { Shape } from "./shape.js";

/** @typedef {import("./types.js").Masks} Masks */

const READY = 12; // shapes whose picture and path are kept

export class Track {
  /** @type {Map<number, Shape>} annotated frame -> shape, of those where the object is */
  #shapes = new Map();
  /** @type {Set<Shape>} the least recently used first */
  #ready = new Set();

  /** @param {Masks} masks @throws {Error} a mask is damaged; names its frame */
  constructor({ size, annotated, rles }) {
    this.annotated = annotated;
    rles.forEach((counts, n) => {
      if (counts === null) return;
      const frame = annotated[n] ?? -1;
      try {
        const shape = new Shape(counts, size);
        if (shape.box) this.#shapes.set(frame, shape);
      } catch (error) {
        throw new Error(`frame ${frame}: ${error instanceof Error ? error.message : error}`);
      }
    });
  }

  /**
   * The last annotated frame at or before `frame` and the object's shape on it, null where it is absent.
   * @param {number} frame
   * @returns {{from: number, shape: Shape | null}}
   */
  at(frame) {
    const from = this.annotated[placeOf(this.annotated, frame)] ?? 0;
    const shape = this.#shapes.get(from) ?? null;
    if (shape) {
      this.#ready.delete(shape);
      this.#ready.add(shape);
      for (const old of this.#ready) {
        if (this.#ready.size <= READY) break;
        this.#ready.delete(old);
        old.release();
      }
    }
    return { from, shape };
  }

  /** Annotated frames from which on the object is, or is no longer, to be seen. @returns {number[]} */
  get changes() {
    return this.annotated.filter(
      (frame, n) => n > 0 && this.#shapes.has(frame) !== this.#shapes.has(this.annotated[n - 1] ?? -1),
    );
  }

  /** First and last annotated frames of each stretch where the object is seen. @returns {[number, number][]} */
  get spans() {
    /** @type {[number, number][]} */
    const spans = [];
    let inside = false;
    for (const frame of this.annotated) {
      const seen = this.#shapes.has(frame);
      const last = spans.at(-1);
      if (seen && inside && last) last[1] = frame;
      else if (seen) spans.push([frame, frame]);
      inside = seen;
    }
    return spans;
  }
}

/** Index of the last entry of an ascending list at or before `frame`, at least 0. @param {number[]} list @param {number} frame */
export function placeOf(list, frame) {
  let [low, high] = [0, list.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((list[middle] ?? Infinity) <= frame) low = middle + 1;
    else high = middle;
  }
  return Math.max(0, low - 1);
}

/** The entry nearest to `frame`. @param {number[]} list @param {number} frame */
export function nearest(list, frame) {
  const at = placeOf(list, frame);
  const [before = 0, after = before] = [list[at], list[at + 1]];
  return Math.abs(after - frame) < Math.abs(before - frame) ? after : before;
}
