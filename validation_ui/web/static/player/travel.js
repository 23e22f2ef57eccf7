/** Where the player is and goes: the frame asked for, playing, steps, the loop, and what was watched. */

import { Clock } from "./clock.js";
import { after } from "./look.js";
import { Route } from "./route.js";
import { nearest, placeOf } from "./track.js";

/** @typedef {import("./types.js").Video} Video */

const SPEEDS = [1, 1.5, 2, 0.25, 0.5];
/** @type {Video} before the first is loaded */
const NOTHING = {
  ...{ times_s: [0], frame_count: 1, height_px: 9, width_px: 16, shown_height_px: 9, shown_width_px: 16 },
  ...{ annotated: [], chunks: [] },
};

/**
 * What a Travel asks of the player: to paint a frame (false if its picture is not there yet), which frame is painted,
 * to fetch frames (the most urgent first), to say something, and to look again at what has changed.
 * @typedef {{draw: (frame: number) => boolean, drawn: () => number | null, want: (frames: number[]) => void,
 *   say: (text: string) => void, changed: () => void}} On
 */

export class Travel {
  route = new Route(NOTHING, null, false);
  /** The frame asked for; the canvas may still show another. */
  target = 0;
  /** @type {[number, number] | null} */
  loop = null;
  /** Whether one stops on annotated frames only, as points belong on these. */
  annotatedOnly = false;
  /** @type {Set<number>} places in `annotated` whose frames, up to the next annotated one, were on the canvas */
  #watched = new Set();
  #on;
  #clock = new Clock(
    (frame) => this.show(frame),
    () => this.#on.changed(),
  );

  /** @param {On} on */
  constructor(on) {
    this.#on = on;
  }

  /** Starts over with another video. @param {Route} route */
  begin(route) {
    this.pause();
    this.route = route;
    this.#watched.clear();
    this.loop = null;
  }

  get playing() {
    return this.#clock.running;
  }

  get speed() {
    return this.#clock.speed;
  }

  /** Share of the stretch in which the object is seen that was on the canvas; of the whole video without masks. */
  watchedFrac() {
    return this.route.watchedFrac(this.#watched);
  }

  /** @param {number} frame that is on the canvas now */
  saw(frame) {
    this.#watched.add(placeOf(this.route.video.annotated, frame));
  }

  play() {
    if (this.playing || !this.route.video.annotated.length) return;
    const order = this.route.playable(this.loop);
    const first = order[0] ?? 0;
    const ended = this.target < first || this.target >= (order.at(-1) ?? 0);
    this.#on.say("");
    this.#playFrom(ended ? first : this.target);
    this.#on.changed();
  }

  pause() {
    if (!this.playing) return;
    this.#clock.stop();
    this.seek(this.#on.drawn() ?? this.target);
    this.#on.changed();
  }

  toggle() {
    if (this.playing) this.pause();
    else this.play();
  }

  /** @param {number} frame the nearest one that can be shown is taken */
  seek(frame) {
    const to = nearest(this.#stops, frame);
    if (this.annotatedOnly && !this.playing && to !== frame) {
      this.#on.say(`Moved to frame ${to}: points are set on annotated frames.`);
    }
    if (this.playing) this.#playFrom(to);
    else this.show(to);
  }

  /** @param {1 | -1} by */
  stepAnnotated(by) {
    this.#stepOver(this.route.video.annotated, by);
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
    this.seek(this.route.visible[0]);
  }

  /** To the last annotated frame where the object is seen. */
  end() {
    this.pause();
    this.seek(this.route.visible[1]);
  }

  /** @param {1 | -1} by */
  nextVisibilityChange(by) {
    const changes = this.route.track?.changes ?? [];
    const at = this.target;
    const to = by > 0 ? changes.find((frame) => frame > at) : changes.findLast((frame) => frame < at);
    this.pause();
    if (to === undefined) this.#on.say(`The object's visibility does not change ${by > 0 ? "after" : "before"} this frame.`);
    else this.seek(to);
  }

  setLoopStart() {
    const { frame_count } = this.route.video;
    const end = this.loop?.[1] ?? frame_count - 1;
    this.#setLoop([this.target, end > this.target ? end : frame_count - 1]);
  }

  setLoopEnd() {
    const start = this.loop?.[0] ?? 0;
    this.#setLoop([start < this.target ? start : 0, this.target]);
  }

  clearLoop() {
    this.#setLoop(null);
  }

  /** @param {number} speed 0.25 to 2 */
  setSpeed(speed) {
    this.#clock.speed = Math.min(2, Math.max(0.25, speed));
    this.#on.changed();
  }

  cycleSpeed() {
    this.setSpeed(after(SPEEDS, this.#clock.speed));
  }

  /** Goes to a frame: paints it, or waits for it with the one before left as it is. @param {number} frame */
  show(frame) {
    this.target = frame;
    const shown = this.#on.draw(frame);
    this.#on.want(this.playing ? this.route.coming(frame, this.loop) : this.route.near(frame));
    return shown;
  }

  destroy() {
    this.#clock.destroy();
  }

  /** Frames one can stop at, ascending. */
  get #stops() {
    return this.route.stops(this.annotatedOnly && !this.playing);
  }

  /** @param {number} frame */
  #playFrom(frame) {
    const order = this.route.playable(this.loop);
    this.#clock.start(order, this.route.edges(order), placeOf(order, frame), this.loop !== null);
    this.show(order[placeOf(order, frame)] ?? 0);
  }

  /** @param {number[]} list @param {1 | -1} by @param {number} [frames] at least so many */
  #stepOver(list, by, frames = 1) {
    this.pause();
    const goal = this.target + by * frames;
    const to = by > 0 ? list.find((frame) => frame >= goal) : list.findLast((frame) => frame <= goal);
    this.#on.say("");
    this.seek(to ?? (by > 0 ? list.at(-1) : list[0]) ?? 0);
  }

  /** @param {[number, number] | null} loop */
  #setLoop(loop) {
    this.loop = loop;
    this.#on.say(loop ? `Loop from frame ${loop[0]} to ${loop[1]}.` : "No loop.");
    if (this.playing) this.seek(this.target);
    this.#on.changed();
  }
}
