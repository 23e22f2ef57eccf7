/** Which frames of a video one can play, stop at and jump to, and which are worth having before they are asked for. */

import { placeOf } from "./track.js";

/** @typedef {import("./types.js").Video} Video */
/** @typedef {[number, number]} Span first and last frame */

const AHEAD = 64;

export class Route {
  #all;
  #playable;

  /**
   * @param {Video} video
   * @param {import("./track.js").Track | null} track
   * @param {boolean} light only annotated frames are fetched
   */
  constructor(video, track, light) {
    this.video = video;
    this.track = track;
    this.#all = light ? video.annotated : Array.from({ length: video.frame_count }, (_, frame) => frame);
    this.#playable = { loop: /** @type {Span | null} */ (null), frames: this.#all };
  }

  /**
   * When each frame of an order is shown, and when the last one ends: with the source frame that would be the next of
   * the order, after the video's last one as long as the frame before it.
   * @param {number[]} order of `playable`
   * @returns {number[]} seconds, one more than frames
   */
  edges(order) {
    const { times_s } = this.video;
    const last = order.at(-1) ?? 0;
    const after = this.#all.find((frame) => frame > last);
    const end_s = times_s.at(-1) ?? 0;
    const until_s = after === undefined ? end_s + (end_s - (times_s.at(-2) ?? end_s)) : times_s[after];
    return [...order, null].map((frame) => (frame === null ? until_s : times_s[frame]) ?? end_s);
  }

  /** Frames that playback shows, ascending. @param {Span | null} loop @returns {number[]} */
  playable(loop) {
    if (loop !== this.#playable.loop) {
      const inside = loop ? this.#all.filter((frame) => frame >= loop[0] && frame <= loop[1]) : [];
      this.#playable = { loop, frames: inside.length ? inside : this.#all };
    }
    return this.#playable.frames;
  }

  /** Frames one can stop at, ascending. @param {boolean} annotatedOnly @returns {number[]} */
  stops(annotatedOnly) {
    return annotatedOnly ? this.video.annotated : this.#all;
  }

  /** First and last annotated frame where the object is seen; of the whole video without masks. @returns {Span} */
  get visible() {
    const { annotated } = this.video;
    const spans = this.track?.spans ?? [];
    return [spans[0]?.[0] ?? annotated[0] ?? 0, spans.at(-1)?.[1] ?? annotated.at(-1) ?? 0];
  }

  /** Stretches where the object is seen, each up to the next annotated frame. @returns {Span[]} */
  get spans() {
    const { annotated, frame_count } = this.video;
    const until = (/** @type {number} */ frame) => (annotated[placeOf(annotated, frame) + 1] ?? frame_count) - 1;
    return (this.track?.spans ?? []).map(([from, to]) => [from, until(to)]);
  }

  /** Frames worth having while it plays, the most urgent first. @param {number} frame @param {Span | null} loop */
  coming(frame, loop) {
    const order = this.playable(loop);
    const at = placeOf(order, frame);
    const next = order.slice(at, at + AHEAD);
    return loop ? [...next, ...order.slice(0, Math.min(at, AHEAD - next.length))] : next;
  }

  /** Frames worth having while it stands: where a step would lead, then what would be played. @param {number} frame */
  near(frame) {
    const { annotated } = this.video;
    const here = placeOf(annotated, frame);
    const steps = [1, -1, 2, 3, -2, 4].flatMap((by) => annotated[here + by] ?? []);
    return [...new Set([frame, ...steps, ...this.coming(frame, null)])];
  }

  /**
   * Share of the annotated frames from the first to the last where the object is seen that are among `watched`.
   * @param {Set<number>} watched places in `annotated`
   * @returns {number} 0 to 1
   */
  watchedFrac(watched) {
    const { annotated } = this.video;
    const [from, to] = this.visible;
    const wanted = [...annotated.keys()].slice(placeOf(annotated, from), placeOf(annotated, to) + 1);
    return wanted.length ? wanted.filter((place) => watched.has(place)).length / wanted.length : 0;
  }
}
