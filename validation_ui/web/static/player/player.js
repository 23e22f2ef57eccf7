/** The frame-accurate player: pictures of a video and the mask of an object, together on one canvas. */

import { Aim, percent, wayOf } from "./aim.js";
import { Clock } from "./clock.js";
import { Controls } from "./controls.js";
import { Frames } from "./frames.js";
import { listen } from "./gestures.js";
import { Look, after } from "./look.js";
import { Notices } from "./notices.js";
import { Route } from "./route.js";
import { Screen } from "./screen.js";
import { Shape } from "./shape.js";
import { Timeline } from "./timeline.js";
import { Track, nearest, placeOf } from "./track.js";

export { ACTIONS, printed } from "./actions.js";

/**
 * @typedef {import("./types.js").Video} Video
 * @typedef {import("./types.js").Masks} Masks
 * @typedef {import("./types.js").Point} Point
 * @typedef {import("./types.js").Outline} Outline
 * @typedef {import("./types.js").Style} Style
 * @typedef {import("./types.js").Presented} Presented
 * @typedef {import("./types.js").Options} Options
 */

const SPEEDS = [1, 1.5, 2, 0.25, 0.5];
const ZOOM = 1.5;
/** @type {Video} before the first is loaded */
const NOTHING = {
  ...{ times_s: [0], frame_count: 1, height_px: 9, width_px: 16, shown_height_px: 9, shown_width_px: 16 },
  ...{ annotated: [], chunks: [] },
};

export class Player {
  #root;
  #options;
  #frames;
  #screen = new Screen();
  #clock = new Clock(
    (frame) => this.#show(frame),
    () => this.#refresh(),
  );
  #controls = new Controls((action) => action.run(this));
  #timeline = new Timeline({
    seek: (frame) => this.seek(frame),
    step: (by) => this.stepAnnotated(by),
    step10: (by) => this.step10(by),
  });
  #notices;
  #resizes;

  #route = new Route(NOTHING, null, false);
  #look = new Look();
  /** The frame asked for; the canvas may still show another. */
  #target = 0;
  /** @type {Presented | null} */
  #presented = null;
  /** @type {Set<number>} places in `annotated` whose frames, up to the next annotated one, were on the canvas */
  #watched = new Set();
  /** @type {[number, number] | null} */
  #loop = null;
  #aim = new Aim();
  /** @type {Point[]} */
  #points = [];
  /** @type {{choice: number, frame: number, shape: Shape}[]} */
  #outlines = [];
  /** @type {number | null} */
  #chosen = null;
  /** @type {() => void} */
  #firstShown = () => {};

  /** @param {HTMLElement} root the player fills it @param {Options} options */
  constructor(root, options = {}) {
    this.#root = root;
    this.#options = options;
    this.#frames = new Frames(() => this.#arrived(), options.limitBytes);
    this.#notices = new Notices(root, this.#screen.element, this.#frames.retry);
    root.classList.add("player");
    root.classList.toggle("player-still", Boolean(options.reducedMotion));
    root.replaceChildren(
      this.#screen.element,
      this.#screen.counter,
      this.#notices.line,
      this.#timeline.element,
      this.#controls.element,
    );
    this.#screen.canvas.addEventListener("keydown", this.#key);
    this.#screen.canvas.addEventListener("blur", () => this.#setCrosshair(null));
    listen(this.#screen.canvas, {
      tap: (x, y) => this.#tap(this.#screen.view.toFrame(x, y)),
      swipe: (by) => this.stepAnnotated(by),
      pan: (dx, dy) => this.#move((view) => view.pan(dx, dy)),
      zoom: (factor, x, y) => this.#move((view) => view.zoomAt(factor, x, y)),
      zoomed: () => this.#screen.view.zoom > 1,
    });
    this.#resizes = new ResizeObserver(() => this.#resize());
    this.#resizes.observe(this.#screen.element);
    addEventListener("resize", this.#resize); // a window that moves to a screen with other pixels
    this.#resize();
  }

  /**
   * Shows a video at `frame`, else at the first frame where the object is seen. Settles once a frame is on the canvas;
   * until then errors are shown on the player, with a button that tries again.
   * @param {Video} video
   * @param {Masks | null} masks
   * @param {{frame?: number, view?: Style}} [at]
   * @throws {Error} a mask is damaged
   */
  async load(video, masks, { frame, view } = {}) {
    this.pause();
    this.#setRoute(video, masks);
    this.#presented = null;
    this.#watched.clear();
    this.#loop = null;
    this.#points = [];
    this.#outlines = [];
    this.#aim.at = null;
    this.#notices.say("");
    this.#look.choose(view);
    const aspect = video.width_px / video.height_px;
    this.#screen.element.style.aspectRatio = String(aspect);
    this.#screen.element.style.setProperty("--player-aspect", String(aspect));
    this.#screen.view.reset(aspect);
    this.#screen.clear();
    this.#frames.open(video);
    this.#firstShown();
    const first = new Promise((resolve) => (this.#firstShown = () => resolve(undefined)));
    this.seek(frame ?? this.#route.visible[0]);
    this.#refresh();
    await first;
  }

  /** Shows the object, or hides it, without moving. @param {Masks | null} masks @throws {Error} a mask is damaged */
  setMasks(masks) {
    this.#setRoute(this.#route.video, masks);
    this.#repaint();
    this.#refresh();
  }

  /** The frame the player is at or goes to. */
  get frame() {
    return this.#target;
  }

  /** What is on the canvas right now; null before the first picture. */
  get presented() {
    return this.#presented;
  }

  get playing() {
    return this.#clock.running;
  }

  /** Decoded pictures that are kept. @returns {{bytes: number, frames: number}} */
  get used() {
    return this.#frames.used;
  }

  /**
   * Share of the stretch from the first to the last frame where the object is seen, the whole video without masks,
   * that was on the canvas; in steps of annotated frames.
   * @returns {number} 0 to 1
   */
  watchedFrac() {
    return this.#route.watchedFrac(this.#watched);
  }

  /** Fetches the beginning of the next video. @param {Video} video */
  prefetch(video) {
    const chunk = video.chunks[0];
    if (chunk) this.#frames.prefetch(this.#options.lightMode ? [chunk.key] : [chunk.key, chunk.rest]);
  }

  play() {
    if (this.playing || !this.#route.video.annotated.length) return;
    const order = this.#route.playable(this.#loop);
    const first = order[0] ?? 0;
    const ended = this.#target < first || this.#target >= (order.at(-1) ?? 0);
    this.#notices.say("");
    this.#playFrom(ended ? first : this.#target);
    this.#refresh();
  }

  pause() {
    if (!this.playing) return;
    this.#clock.stop();
    this.seek(this.#presented?.frame ?? this.#target);
    this.#refresh();
  }

  toggle() {
    if (this.playing) this.pause();
    else this.play();
  }

  /** @param {number} frame the nearest one that can be shown is taken */
  seek(frame) {
    const to = nearest(this.#stops, frame);
    if (this.#aim.on && !this.playing && to !== frame) {
      this.#notices.say(`Moved to frame ${to}: points are set on annotated frames.`);
    }
    if (this.playing) this.#playFrom(to);
    else this.#show(to);
  }

  /** @param {1 | -1} by */
  stepAnnotated(by) {
    this.#stepOver(this.#route.video.annotated, by);
  }

  /** One frame of the source; in light mode and while pointing one annotated frame. @param {1 | -1} by */
  step(by) {
    this.#stepOver(this.#stops, by);
  }

  /** @param {1 | -1} by */
  step10(by) {
    this.#stepOver(this.#stops, by, 10);
  }

  /** To the first frame where the object is seen. */
  home() {
    this.pause();
    this.seek(this.#route.visible[0]);
  }

  /** To the last annotated frame where the object is seen. */
  end() {
    this.pause();
    this.seek(this.#route.visible[1]);
  }

  /** @param {1 | -1} by */
  nextVisibilityChange(by) {
    const changes = this.#route.track?.changes ?? [];
    const at = this.#target;
    const to = by > 0 ? changes.find((frame) => frame > at) : changes.findLast((frame) => frame < at);
    this.pause();
    if (to === undefined) this.#notices.say(`The object's visibility does not change ${by > 0 ? "after" : "before"} this frame.`);
    else this.seek(to);
  }

  setLoopStart() {
    const { frame_count } = this.#route.video;
    const end = this.#loop?.[1] ?? frame_count - 1;
    this.#setLoop([this.#target, end > this.#target ? end : frame_count - 1]);
  }

  setLoopEnd() {
    const start = this.#loop?.[0] ?? 0;
    this.#setLoop([start < this.#target ? start : 0, this.#target]);
  }

  clearLoop() {
    this.#setLoop(null);
  }

  /** @param {number} speed 0.25 to 2 */
  setSpeed(speed) {
    this.#clock.speed = Math.min(2, Math.max(0.25, speed));
    this.#refresh();
  }

  cycleSpeed() {
    this.setSpeed(after(SPEEDS, this.#clock.speed));
  }

  toggleMask() {
    this.#look.on = !this.#look.on;
    this.#restyle();
  }

  /** @param {boolean} hidden as long as a key is held */
  holdMask(hidden) {
    this.#look.held = hidden;
    this.#restyle();
  }

  cycleOpacity() {
    this.#look.cycleOpacity();
    this.#restyle();
  }

  cycleStyle() {
    this.#look.cycleStyle();
    this.#restyle();
  }

  zoomIn() {
    this.#move((view) => view.zoomAt(ZOOM));
  }

  zoomOut() {
    this.#move((view) => view.zoomAt(1 / ZOOM));
  }

  zoomReset() {
    this.#move((view) => view.reset());
  }

  zoomToObject() {
    const shape = this.#presented && this.#route.track?.at(this.#presented.frame).shape;
    if (shape) this.#move((view) => view.fit(shape.part));
    else this.#notices.say("The object is not visible here.");
  }

  /** Whether a click on the picture, or Enter at the crosshair, sets a point. @param {boolean} on */
  pointing(on) {
    this.#aim.on = on;
    this.#setCrosshair(null);
    if (on && !this.playing) this.seek(this.#target);
    this.#refresh();
  }

  /** Numbered from 1, each shown on its frame. @param {Point[]} points */
  setPoints(points) {
    this.#points = points;
    this.#repaint();
    this.#refresh();
  }

  /** Numbered by choice + 1, each shown on its frame. @param {Outline[] | null} outlines @param {number | null} [chosen] */
  setOutlines(outlines, chosen = null) {
    this.#outlines = (outlines ?? []).map(({ choice, frame, size, counts }) => ({
      choice,
      frame,
      shape: new Shape(counts, size),
    }));
    this.#chosen = chosen;
    this.#repaint();
  }

  /** Names the keys in the buttons' titles. @param {Record<string, string>} keys action -> key as printed, "" for none */
  setKeys(keys) {
    this.#controls.setKeys(keys);
  }

  destroy() {
    this.#firstShown();
    this.#clock.destroy();
    this.#frames.destroy();
    this.#resizes.disconnect();
    removeEventListener("resize", this.#resize);
    this.#root.replaceChildren();
  }

  /** Paints frame k if its picture is there. @param {number} k */
  #draw(k) {
    const bitmap = this.#frames.get(k);
    if (!bitmap) return false;
    this.#frames.pinned = k;
    const { shown, text } = this.#screen.draw(k, bitmap, {
      video: this.#route.video,
      track: this.#route.track,
      look: this.#look,
      points: this.#points,
      outlines: this.#outlines,
      chosen: this.#chosen,
      crosshair: this.#aim.at,
    });
    this.#presented = shown;
    this.#watched.add(placeOf(this.#route.video.annotated, k));
    this.#timeline.show(k, text);
    this.#firstShown();
    this.#options.onFrame?.(shown);
    return true;
  }

  #repaint() {
    if (this.#presented) this.#draw(this.#presented.frame);
  }

  /** Goes to a frame: paints it, or waits for it with the one before left as it is. @param {number} frame */
  #show(frame) {
    this.#target = frame;
    const shown = this.#draw(frame);
    this.#frames.want(this.playing ? this.#route.coming(frame, this.#loop) : this.#route.near(frame));
    this.#wait();
    return shown;
  }

  /** @param {number} frame */
  #playFrom(frame) {
    const order = this.#route.playable(this.#loop);
    this.#clock.start(order, this.#route.edges(order), placeOf(order, frame), this.#loop !== null);
    this.#show(order[placeOf(order, frame)] ?? 0);
  }

  /** A picture came or a chunk failed. */
  #arrived() {
    // while playing the clock comes back for it
    if (!this.playing && this.#presented?.frame !== this.#target) this.#draw(this.#target);
    this.#wait();
  }

  #wait() {
    const there = this.#presented?.frame === this.#target;
    this.#notices.wait(there ? null : this.#target, there ? null : this.#frames.error(this.#target));
  }

  /** Frames one can stop at, ascending. */
  get #stops() {
    return this.#route.stops(this.#aim.on && !this.playing);
  }

  /** @param {Video} video @param {Masks | null} masks */
  #setRoute(video, masks) {
    this.#route = new Route(video, masks && new Track(masks), Boolean(this.#options.lightMode));
  }

  /** @param {number[]} list @param {1 | -1} by @param {number} [frames] at least so many */
  #stepOver(list, by, frames = 1) {
    this.pause();
    const goal = this.#target + by * frames;
    const to = by > 0 ? list.find((frame) => frame >= goal) : list.findLast((frame) => frame <= goal);
    this.#notices.say("");
    this.seek(to ?? (by > 0 ? list.at(-1) : list[0]) ?? 0);
  }

  /** @param {[number, number] | null} loop */
  #setLoop(loop) {
    this.#loop = loop;
    this.#notices.say(loop ? `Loop from frame ${loop[0]} to ${loop[1]}.` : "No loop.");
    if (this.playing) this.seek(this.#target);
    this.#refresh();
  }

  #restyle() {
    this.#repaint();
    this.#refresh();
  }

  /** @param {(view: import("./view.js").View) => void} change */
  #move(change) {
    change(this.#screen.view);
    this.#screen.canvas.classList.toggle("player-zoomed", this.#screen.view.zoom > 1);
    this.#repaint();
  }

  #resize = () => {
    this.#screen.resize();
    this.#move((view) => view.pan(0, 0));
  };

  /** @param {{x: number, y: number}} at fractions of the frame */
  #tap({ x, y }) {
    if (!this.#aim.on || x < 0 || x > 1 || y < 0 || y > 1) return;
    if (this.playing) {
      this.pause();
      this.#notices.say(`Stopped at frame ${this.#target}: now point again.`);
    } else if (this.#presented?.frame === this.#target) {
      this.#options.onPoint?.({ frame: this.#target, x, y });
    }
  }

  /** @param {{x: number, y: number} | null} at */
  #setCrosshair(at) {
    this.#aim.at = at;
    this.#repaint();
  }

  /** @param {KeyboardEvent} event */
  #key = (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const way = wayOf(event);
    const { canvas, view } = this.#screen;
    if (way && this.#aim.on) {
      this.#aim.nudge(...way);
      this.#repaint();
      this.#notices.say(this.#aim.words);
    } else if (way && view.zoom > 1) {
      this.#move(() => view.pan(-5 * way[0] * canvas.clientWidth, -5 * way[1] * canvas.clientHeight));
    } else if (event.key === "Enter" && this.#aim.on && this.#aim.at) {
      this.#tap(this.#aim.at);
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  };

  #refresh() {
    this.#timeline.mark(this.#route.video.frame_count, {
      spans: this.#route.spans,
      loop: this.#loop,
      points: this.#points.map(({ frame }) => frame),
    });
    this.#controls.show({
      playing: this.playing,
      mask: this.#look.on,
      hasMasks: this.#route.track !== null,
      loops: this.#loop !== null,
      texts: {
        speed: `${this.#clock.speed}×`,
        opacity: percent(this.#look.opacity),
        style: this.#look.style,
      },
    });
    const { canvas } = this.#screen;
    const pointing = "Picture. Arrow keys move a crosshair, with Shift in big steps; Enter sets a point.";
    canvas.setAttribute("aria-label", this.#aim.on ? pointing : "Picture. When zoomed, arrow keys move it.");
    canvas.classList.toggle("player-pointing", this.#aim.on);
  }
}
