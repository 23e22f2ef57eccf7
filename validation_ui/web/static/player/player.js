/** The frame-accurate player: pictures of a video and the mask of an object, together on one canvas. */

import { wayOf } from "./actions.js";
import { percent } from "./aim.js";
import { build } from "./build.js";
import { Controls } from "./controls.js";
import { Frames } from "./frames.js";
import { listen } from "./gestures.js";
import { Notices } from "./notices.js";
import { Route } from "./route.js";
import { Scene } from "./scene.js";
import { Timeline } from "./timeline.js";
import { Track, nearest } from "./track.js";
import { Travel } from "./travel.js";

export { ACTIONS, printed } from "./actions.js";

/**
 * @typedef {import("./types.js").Video} Video
 * @typedef {import("./types.js").Masks} Masks
 * @typedef {import("./types.js").Point} Point
 * @typedef {import("./types.js").Outline} Outline
 * @typedef {import("./types.js").Style} Style
 * @typedef {import("./types.js").Options} Options
 */

const ON_POINTS = "Picture. A click sets a point. Arrow keys move a crosshair, with Shift in big steps; Enter sets a point.";
const ON_PICTURE = "Picture. A click plays or pauses. When zoomed, arrow keys move it.";

export class Player {
  /** Where it is and goes. */
  travel = new Travel({
    draw: (frame) => this.#draw(frame),
    drawn: () => this.scene.presented?.frame ?? null,
    want: (frames) => {
      this.#frames.want(frames);
      this.#wait();
    },
    say: (text) => this.#notices.say(text),
    changed: () => this.#refresh(),
  });
  /** What lies on the picture. */
  scene = new Scene({
    repaint: () => this.#repaint(),
    changed: () => this.#refresh(),
    say: (text) => this.#notices.say(text),
    styled: (style) => this.#options.onStyle?.(style),
  });
  #root;
  #options;
  #frames;
  #controls = new Controls((action) => action.run(this));
  #timeline = new Timeline({
    seek: (frame) => this.travel.seek(frame),
    step: (by) => this.travel.stepAnnotated(by),
    step10: (by) => this.travel.step10(by),
  });
  #notices;
  #resizes;
  /** @type {() => void} */
  #firstShown = () => {};

  /** @param {HTMLElement} root the player fills it @param {Options} options */
  constructor(root, options = {}) {
    const { screen } = this.scene;
    this.#root = root;
    this.#options = options;
    this.#frames = new Frames(() => this.#arrived(), options.limitBytes);
    this.#notices = new Notices(root, screen.element, this.#frames.retry);
    this.scene.look.choose(options.style);
    root.classList.add("player");
    root.classList.toggle("player-still", Boolean(options.reducedMotion));
    root.replaceChildren(
      screen.element,
      build("div", "player-transport", {}, this.#controls.transport, this.#timeline.element),
      build("div", "player-words", {}, screen.counter, this.#notices.line),
      this.#controls.element,
    );
    screen.canvas.addEventListener("keydown", this.#key);
    screen.canvas.addEventListener("blur", () => this.scene.setCrosshair(null));
    listen(screen.canvas, {
      tap: (x, y) => this.#tap(screen.view.toFrame(x, y)),
      swipe: (by) => this.travel.stepAnnotated(by),
      pan: (dx, dy) => this.scene.move((view) => view.pan(dx, dy)),
      zoom: (factor, x, y) => this.scene.move((view) => view.zoomAt(factor, x, y)),
      zoomed: () => screen.view.zoom > 1,
    });
    this.#resizes = new ResizeObserver(() => this.#resize());
    this.#resizes.observe(screen.element);
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
    const route = this.#routeOf(video, masks);
    this.travel.begin(route);
    this.#notices.say("");
    this.scene.look.choose(view);
    this.scene.clear(video);
    this.#frames.open(video);
    this.#firstShown();
    const first = new Promise((resolve) => (this.#firstShown = () => resolve(undefined)));
    this.travel.seek(frame ?? route.visible[0]);
    this.#refresh();
    await first;
  }

  /** Shows the object, or hides it, without moving. @param {Masks | null} masks @throws {Error} a mask is damaged */
  setMasks(masks) {
    this.travel.route = this.#routeOf(this.travel.route.video, masks);
    this.#repaint();
    this.#refresh();
  }

  /** The frame the player is at or goes to. */
  get frame() {
    return this.travel.target;
  }

  /** What is on the canvas right now; null before the first picture. */
  get presented() {
    return this.scene.presented;
  }

  get playing() {
    return this.travel.playing;
  }

  /** Decoded pictures that are kept. @returns {{bytes: number, frames: number}} */
  get used() {
    return this.#frames.used;
  }

  /** The buttons that need not stand beside the picture. */
  get buttons() {
    return this.#controls.element;
  }

  /**
   * Share of the stretch from the first to the last frame where the object is seen, the whole video without masks,
   * that was on the canvas; in steps of annotated frames.
   * @returns {number} 0 to 1
   */
  watchedFrac() {
    return this.travel.watchedFrac();
  }

  /** Fetches the beginning of the next video. @param {Video} video */
  prefetch(video) {
    const chunk = video.chunks[0];
    if (chunk) this.#frames.prefetch(this.#options.lightMode ? [chunk.key] : [chunk.key, chunk.rest]);
  }

  play() {
    this.travel.play();
  }

  pause() {
    this.travel.pause();
  }

  /** @param {number} frame the nearest one that can be shown is taken */
  seek(frame) {
    this.travel.seek(frame);
  }

  /** Whether a click on the picture, or Enter at the crosshair, sets a point. @param {boolean} on */
  pointing(on) {
    this.scene.aim.on = this.travel.annotatedOnly = on;
    this.scene.setCrosshair(null);
    if (on && !this.playing && this.presented) this.travel.seek(this.frame);
    this.#refresh();
  }

  /** Puts the keyboard on the picture. */
  focus() {
    this.scene.screen.canvas.focus();
  }

  /** Numbered from 1, each shown on its frame. @param {Point[]} points */
  setPoints(points) {
    this.scene.points = points;
    this.#repaint();
    this.#refresh();
  }

  /** Numbered by choice + 1, each shown on its frame. @param {Outline[] | null} outlines @param {number | null} [chosen] */
  setOutlines(outlines, chosen = null) {
    this.scene.setOutlines(outlines, chosen);
  }

  /** Names the keys in the buttons' titles. @param {Record<string, string>} keys action -> key as printed, "" for none */
  setKeys(keys) {
    this.#controls.setKeys(keys);
  }

  destroy() {
    this.#firstShown();
    this.travel.destroy();
    this.#frames.destroy();
    this.#resizes.disconnect();
    removeEventListener("resize", this.#resize);
    this.#root.replaceChildren();
  }

  /** @param {Video} video @param {Masks | null} masks */
  #routeOf(video, masks) {
    return new Route(video, masks && new Track(masks), Boolean(this.#options.lightMode));
  }

  /** Paints frame k if its picture is there. @param {number} k */
  #draw(k) {
    const bitmap = this.#frames.get(k);
    if (!bitmap) return false;
    this.#frames.pinned = k;
    const text = this.scene.draw(k, bitmap, this.travel.route);
    this.travel.saw(k);
    this.#timeline.show(k, text);
    this.#firstShown();
    if (this.presented) this.#options.onFrame?.(this.presented);
    return true;
  }

  #repaint() {
    if (this.presented) this.#draw(this.presented.frame);
  }

  /** A picture came or a chunk failed. */
  #arrived() {
    // while playing the clock comes back for it
    if (!this.playing && this.presented?.frame !== this.frame) this.#draw(this.frame);
    this.#wait();
  }

  #wait() {
    const there = this.presented?.frame === this.frame;
    this.#notices.wait(there ? null : this.frame, there ? null : this.#frames.error(this.frame));
  }

  #resize = () => {
    this.scene.screen.resize();
    this.scene.move((view) => view.pan(0, 0));
  };

  /**
   * A click sets a point; while it plays it is stopped for that, at the annotated frame nearest to what was seen. Where
   * no points are wanted, a click plays or pauses.
   * @param {{x: number, y: number}} at fractions of the frame
   */
  #tap({ x, y }) {
    if (!this.scene.aim.on) this.travel.toggle();
    if (!this.scene.aim.on || x < 0 || x > 1 || y < 0 || y > 1) return;
    if (this.playing) {
      const to = nearest(this.travel.route.video.annotated, this.presented?.frame ?? this.frame);
      this.pause();
      this.seek(to);
      this.#notices.say(`Stopped at frame ${to}. Click again if the point is beside the object.`);
    }
    if (this.presented?.frame === this.frame) this.#options.onPoint?.({ frame: this.frame, x, y });
    else this.#notices.say(`Frame ${this.frame} is not loaded yet: point again when it is.`);
  }

  /** @param {KeyboardEvent} event */
  #key = (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const way = wayOf(event);
    const { aim, screen } = this.scene;
    if (way && aim.on) {
      aim.nudge(...way);
      this.#repaint();
      this.#notices.say(aim.words);
    } else if (way && screen.view.zoom > 1) {
      const { clientWidth, clientHeight } = screen.canvas;
      this.scene.move((view) => view.pan(-5 * way[0] * clientWidth, -5 * way[1] * clientHeight));
    } else if (event.key === "Enter" && aim.on && aim.at) {
      this.#tap(aim.at);
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  };

  #refresh() {
    const { travel, scene } = this;
    this.#timeline.mark(travel.route.video.frame_count, {
      spans: travel.route.spans,
      loop: travel.loop,
      points: scene.points.map(({ frame }) => frame),
    });
    this.#controls.show({
      playing: this.playing,
      mask: scene.look.on,
      hasMasks: travel.route.track !== null,
      isOpaque: scene.look.style !== "outline",
      loops: travel.loop !== null,
      texts: {
        speed: `${travel.speed}×`,
        opacity: percent(scene.look.opacity),
        style: scene.look.style,
      },
    });
    const { canvas } = scene.screen;
    canvas.setAttribute("aria-label", scene.aim.on ? ON_POINTS : ON_PICTURE);
    canvas.classList.toggle("player-pointing", scene.aim.on);
  }
}
