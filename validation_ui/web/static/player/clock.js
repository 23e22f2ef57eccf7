/** Which frame playback has come to. It knows the time and the order of frames, and nothing of what is on the canvas. */

import { placeOf } from "./track.js";

export class Clock {
  #request = 0;
  /** When playback started, and at which index of the order of frames. */
  #since = { ms: 0, place: 0 };
  /** @type {number[]} */
  #order = [];
  /** @type {number[]} seconds: when each of the order is shown, and when the last one ends */
  #edges = [];
  #speed = 1;

  /**
   * @param {(frame: number) => boolean} show shows a frame if it is there; false makes the clock stand
   * @param {() => void} onEnd
   */
  constructor(show, onEnd) {
    this.show = show;
    this.onEnd = onEnd;
    document.addEventListener("visibilitychange", this.#turned);
  }

  get running() {
    return this.#request !== 0;
  }

  get speed() {
    return this.#speed;
  }

  set speed(value) {
    this.#speed = value;
    this.#since = { ms: performance.now(), place: this.#place };
  }

  /**
   * @param {number[]} order frames to show, ascending
   * @param {number[]} edges seconds at speed 1: when each of the order is shown, and when the last one ends
   * @param {number} place in the order to begin at
   * @param {boolean} loops whether the first comes after the last
   */
  start(order, edges, place, loops) {
    this.stop();
    this.#order = order;
    this.#edges = edges;
    this.loops = loops;
    this.#place = place;
    this.#since = { ms: performance.now(), place };
    this.#request = requestAnimationFrame(this.#tick);
  }

  stop() {
    cancelAnimationFrame(this.#request);
    this.#request = 0;
  }

  destroy() {
    this.stop();
    document.removeEventListener("visibilitychange", this.#turned);
  }

  #place = 0;
  loops = false;

  /** @param {number} now milliseconds, of the callback, which may lie before `#since` */
  #tick = (now) => {
    this.#request = requestAnimationFrame(this.#tick);
    const elapsed_s = Math.max(0, now - this.#since.ms) / 1000;
    const at_s = (this.#edges[this.#since.place] ?? 0) + elapsed_s * this.#speed;
    let place = placeOf(this.#edges, at_s);
    const over = place >= this.#order.length;
    if (over && !this.loops) {
      // the last frame is shown however late the callback came
      if (this.#place < this.#order.length - 1 && !this.#try(this.#order.length - 1, now)) return;
      this.stop();
      this.onEnd();
      return;
    }
    if (over) place = 0;
    if (over || place !== this.#place) {
      if (this.#try(place, now) && over) this.#since = { ms: now, place };
    }
  };

  /** @param {number} place @param {number} now */
  #try(place, now) {
    const shown = this.show(this.#order[place] ?? 0);
    if (shown) this.#place = place;
    else this.#since = { ms: now, place };
    return shown;
  }

  #turned = () => {
    if (!this.running) return;
    cancelAnimationFrame(this.#request);
    if (document.hidden) return;
    this.#since = { ms: performance.now(), place: this.#place };
    this.#request = requestAnimationFrame(this.#tick);
  };
}
