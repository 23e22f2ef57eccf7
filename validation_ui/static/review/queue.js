/** Claims items: one to work on and at most one ahead, whose pictures are fetched meanwhile. */

import { api } from "../lib/api.js";
import { endOf } from "./lease.js";

/** @typedef {import("./types.js").SlotView} SlotView */
/** @typedef {import("./types.js").Masks} Masks */
/** @typedef {{view: SlotView, masks: Masks | null}} Loaded */
/** @typedef {{loaded: Loaded} | {why: import("./types.js").Why}} Next */

/**
 * The view with the masks that the person may see now: none in the blind pass before the reveal.
 *
 * @param {SlotView} view
 * @returns {Promise<Loaded>}
 */
export async function withMasks(view) {
  return { view, masks: view.masks ? await api("GET", view.masks) : null };
}

export class Queue {
  /** @param {string[]} kinds */
  constructor(kinds) {
    this.kinds = kinds;
    /** @type {{loaded: Loaded, until: number} | null} */
    this.ahead = null;
    this.fetching = false;
  }

  /**
   * The item to work on now: the one that was fetched ahead if its short lease still holds.
   *
   * @returns {Promise<Next>}
   * @throws {ApiError} the server cannot be reached
   */
  async next() {
    const ahead = this.ahead;
    this.ahead = null;
    if (ahead && ahead.until > performance.now()) return { loaded: ahead.loaded };
    return this.claim(false);
  }

  /**
   * Reserve the next item and fetch its pictures. A failure costs nothing but the time saved.
   *
   * @param {(video: import("./types.js").Video) => unknown} fetchPictures
   * @param {number} current  slot that is being worked on
   */
  async prefetch(fetchPictures, current) {
    if (this.ahead || this.fetching) return;
    this.fetching = true;
    try {
      const next = await this.claim(true);
      if (!("loaded" in next) || next.loaded.view.slot.id === current) return;
      this.ahead = { loaded: next.loaded, until: endOf(next.loaded.view.slot) };
      await fetchPictures(next.loaded.view.video);
    } catch {
      this.ahead = null;
    } finally {
      this.fetching = false;
    }
  }

  /**
   * @param {boolean} prefetch
   * @returns {Promise<Next>}
   */
  async claim(prefetch) {
    const answer = await api("POST", "/api/claim", { kinds: this.kinds, prefetch });
    return answer.slot ? { loaded: await withMasks(answer) } : { why: answer.why };
  }
}
