/** The canvas and the words about it. `draw` is the one place that paints, and all it paints comes from one frame. */

import { build } from "./build.js";
import { paintChoice, paintCrosshair, paintHeld, paintMask, paintPicture, paintPoint } from "./paint.js";
import { Shape } from "./shape.js";
import { placeOf } from "./track.js";
import { View } from "./view.js";

/**
 * @typedef {import("./types.js").Presented} Presented
 * @typedef {import("./types.js").Video} Video
 * @typedef {{video: Video, track: import("./track.js").Track | null, look: import("./look.js").Look,
 *   points: import("./types.js").Point[], outlines: {choice: number, frame: number, shape: Shape}[],
 *   chosen: number | null, crosshair: {x: number, y: number} | null}} Scene
 */

export class Screen {
  canvas = build("canvas", "player-canvas", { tabindex: "0", role: "application" });
  counter = build("p", "player-counter");
  view = new View();
  #tag = build("p", "player-tag");
  #context;
  /** Pixels of the canvas to one of CSS. */
  #scale = 1;

  constructor() {
    const context = this.canvas.getContext("2d", { alpha: false });
    if (!context) throw new Error("this browser draws no canvas: use a newer one");
    this.#context = context;
    this.element = build("div", "player-stage", {}, this.canvas, this.#tag);
  }

  /** Takes on the size of its place in the page; what was painted is gone. */
  resize() {
    const { width, height } = this.element.getBoundingClientRect();
    this.canvas.width = Math.max(1, Math.round(width * devicePixelRatio));
    this.canvas.height = Math.max(1, Math.round(height * devicePixelRatio));
    this.#scale = this.canvas.width / Math.max(1, width);
    this.view.resize(width, height);
  }

  /** Shows nothing, as between two videos. */
  clear() {
    this.resize();
    this.counter.textContent = "";
    this.#tag.textContent = "";
  }

  /**
   * Paints frame k: its picture, its mask, its number.
   * @param {number} k
   * @param {ImageBitmap} bitmap of frame k
   * @param {Scene} scene
   * @returns {{shown: Presented, text: string}}
   */
  draw(k, bitmap, scene) {
    const { video, track, look } = scene;
    const context = this.#context;
    const rect = this.view.rect;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    context.setTransform(this.#scale, 0, 0, this.#scale, 0, 0);
    paintPicture(context, bitmap, rect);

    const { from, shape } = track?.at(k) ?? { from: video.annotated[placeOf(video.annotated, k)] ?? -1, shape: null };
    const exact = from === k;
    const painted = look.maskShown ? shape : null;
    if (painted && exact) paintMask(context, painted, rect, look.style, look.opacity);
    else if (painted) paintHeld(context, painted, rect);

    for (const { choice, frame, shape: outline } of scene.outlines) {
      if (frame === k) paintChoice(context, outline, rect, String(choice + 1), choice === scene.chosen);
    }
    scene.points.forEach((point, n) => {
      const { x, y } = this.view.toCanvas(point.x, point.y);
      if (point.frame === k) paintPoint(context, x, y, String(n + 1));
    });
    if (scene.crosshair) {
      const { x, y } = this.view.toCanvas(scene.crosshair.x, scene.crosshair.y);
      paintCrosshair(context, x, y);
    }

    const said = track ? words(from, exact, shape !== null, look.maskShown) : "";
    const text = [`frame ${k} of ${video.frame_count}`, `${(video.times_s[k] ?? 0).toFixed(2)} s`, said].filter(Boolean).join(", ");
    this.counter.textContent = text;
    this.#tag.textContent = said === "mask exact" ? "" : said;
    return { shown: { frame: k, mask: painted ? from : null, exact }, text };
  }
}

/** What the canvas shows of the mask. @param {number} from @param {boolean} exact @param {boolean} seen @param {boolean} shown */
function words(from, exact, seen, shown) {
  if (!seen) return exact ? "not visible here" : `not visible at frame ${from}`;
  if (!shown) return "mask hidden";
  return exact ? "mask exact" : `mask from frame ${from}`;
}
