/** What lies on the picture and how it is looked at: mask, outlines, points, crosshair, zoom. */

import { Aim } from "./aim.js";
import { Look } from "./look.js";
import { Screen } from "./screen.js";
import { Shape } from "./shape.js";

/**
 * @typedef {import("./types.js").Video} Video
 * @typedef {import("./types.js").Point} Point
 * @typedef {import("./types.js").Outline} Outline
 * @typedef {import("./types.js").Presented} Presented
 * @typedef {{repaint: () => void, changed: () => void, say: (text: string) => void,
 *   styled: (style: import("./types.js").Style) => void}} On styled: the person chose how masks are shown
 */

const ZOOM = 1.5;

export class Scene {
  screen = new Screen();
  look = new Look();
  aim = new Aim();
  /** @type {Point[]} */
  points = [];
  /** @type {{choice: number, frame: number, shape: Shape}[]} */
  outlines = [];
  /** @type {number | null} */
  chosen = null;
  /** @type {Presented | null} what is on the canvas right now */
  presented = null;
  #on;
  /** @type {import("./track.js").Track | null} */
  #track = null;

  /** @param {On} on */
  constructor(on) {
    this.#on = on;
  }

  /** Shows nothing, as before the first picture of a video. @param {Video} video */
  clear({ width_px, height_px }) {
    const aspect = width_px / height_px;
    this.presented = null;
    this.points = [];
    this.outlines = [];
    this.aim.at = null;
    this.screen.element.style.aspectRatio = String(aspect);
    this.screen.element.style.setProperty("--player-aspect", String(aspect));
    this.screen.view.reset(aspect);
    this.screen.clear();
  }

  /** Paints frame k; returns it in words. @param {number} k @param {ImageBitmap} bitmap @param {import("./route.js").Route} route */
  draw(k, bitmap, { video, track }) {
    this.#track = track;
    const { look, points, outlines, chosen } = this;
    const { shown, text } = this.screen.draw(k, bitmap, { video, track, look, points, outlines, chosen, crosshair: this.aim.at });
    this.presented = shown;
    return text;
  }

  toggleMask() {
    this.look.on = !this.look.on;
    this.#restyle();
  }

  /** @param {boolean} hidden as long as a key is held */
  holdMask(hidden) {
    this.look.held = hidden;
    this.#restyle();
  }

  cycleOpacity() {
    this.look.cycleOpacity();
    this.#restyle();
  }

  cycleStyle() {
    this.look.cycleStyle();
    this.#restyle();
    this.#on.say(`Mask as ${this.look.style}.`);
    this.#on.styled(this.look.style);
  }

  zoomIn() {
    this.move((view) => view.zoomAt(ZOOM));
  }

  zoomOut() {
    this.move((view) => view.zoomAt(1 / ZOOM));
  }

  zoomReset() {
    this.move((view) => view.reset());
  }

  zoomToObject() {
    const shape = this.presented && this.#track?.at(this.presented.frame).shape;
    if (shape) this.move((view) => view.fit(shape.part));
    else this.#on.say("The object is not visible here.");
  }

  /** @param {(view: import("./view.js").View) => void} change */
  move(change) {
    change(this.screen.view);
    this.screen.canvas.classList.toggle("player-zoomed", this.screen.view.zoom > 1);
    this.#on.repaint();
  }

  /** @param {{x: number, y: number} | null} at fractions of the frame */
  setCrosshair(at) {
    this.aim.at = at;
    this.#on.repaint();
  }

  /** Numbered by choice + 1, each shown on its frame. @param {Outline[] | null} outlines @param {number | null} chosen */
  setOutlines(outlines, chosen) {
    this.outlines = (outlines ?? []).map(({ choice, frame, size, counts }) => ({
      choice,
      frame,
      shape: new Shape(counts, size),
    }));
    this.chosen = chosen;
    this.#on.repaint();
  }

  #restyle() {
    this.#on.repaint();
    this.#on.changed();
  }
}
