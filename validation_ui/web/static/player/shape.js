/** A mask ready to be painted: its pixels as a picture, its outline as a path; both made once. */

import { contours } from "./contour.js";
import { boxOf, fillBox, parseRuns } from "./rle.js";

/** @typedef {import("./rle.js").Box} Box */

const COLOUR = [255, 45, 149]; // rare in images, and easy to tell from white and black outlines
const ABGR = (0xff << 24) | ((COLOUR[2] ?? 0) << 16) | ((COLOUR[1] ?? 0) << 8) | (COLOUR[0] ?? 0);

export class Shape {
  /** @type {HTMLCanvasElement | null} */
  #picture = null;
  /** @type {Path2D | null} */
  #path = null;

  /**
   * @param {string} counts COCO compressed RLE
   * @param {[number, number]} size [height, width]
   * @throws {Error} counts are damaged
   */
  constructor(counts, size) {
    this.size = size;
    this.runs = parseRuns(counts, size);
    /** @type {Box | null} null of a mask without a pixel */
    this.box = boxOf(this.runs, size[0]);
  }

  /** The box's pixels, opaque inside the mask. @returns {HTMLCanvasElement | null} */
  get picture() {
    if (!this.#picture && this.box) {
      const { width, height } = this.box;
      this.#picture = document.createElement("canvas");
      this.#picture.width = width;
      this.#picture.height = height;
      const image = new ImageData(width, height);
      new Uint32Array(image.data.buffer).set(fillBox(this.runs, this.size[0], this.box, ABGR));
      this.#picture.getContext("2d")?.putImageData(image, 0, 0);
    }
    return this.#picture;
  }

  /** The outline in pixels of the mask. @returns {Path2D} */
  get path() {
    if (!this.#path) {
      this.#path = new Path2D();
      for (const line of this.lines) {
        line.forEach(([x, y], n) => (n ? this.#path?.lineTo(x, y) : this.#path?.moveTo(x, y)));
        this.#path.closePath();
      }
    }
    return this.#path;
  }

  /** The outline's closed lines in pixels of the mask. @returns {[number, number][][]} */
  get lines() {
    const box = this.box;
    if (!box) return [];
    const pixels = fillBox(this.runs, this.size[0], box, 1);
    return contours(pixels, box.width, box.height).map((line) => line.map(([x, y]) => [x + box.x, y + box.y]));
  }

  /** Lets the picture and the path go; they are made again when asked for. */
  release() {
    this.#picture = null;
    this.#path = null;
  }

  /** The box as fractions of the frame. */
  get part() {
    const [height, width] = this.size;
    const box = this.box ?? { x: 0, y: 0, width, height };
    return { x: box.x / width, y: box.y / height, width: box.width / width, height: box.height / height };
  }
}
