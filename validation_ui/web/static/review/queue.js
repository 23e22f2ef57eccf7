/** Claims items: one to work on and at most one ahead, whose pictures are fetched meanwhile. */

import { api } from "../lib/api.js";
import { endOf } from "./lease.js";

/** @typedef {import("./types.js").SlotView} SlotView */
/** @typedef {import("./types.js").Claimed} Claimed */
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

/**
 * @param {Claimed} claimed
 * @returns {Promise<Next>}
 */
async function opened(claimed) {
  return claimed.slot ? { loaded: await withMasks(claimed) } : { why: claimed.why };
}

export class Queue {
  /** @param {string[]} kinds */
  constructor(kinds) {
    this.kinds = kinds;
    /** @type {{loaded: Loaded, until: number} | null} */
    this.ahead = null;
    this.fetching = false;
    /** Whether an item was put aside: a claim gives what is held already before anything new. */
    this.aside = false;
  }

  /** Put another item before the present one, which comes after it. */
  putAside() {
    this.ahead = null;
    this.aside = true;
  }

  /**
   * The item to work on now: the one that was fetched ahead if its short lease still holds. A blind item of the video
   * whose object was just revealed is not for this person any more; a claim puts it back.
   *
   * @param {SlotView | null} last  the item before
   * @param {Claimed | null} [brought]  what came with the answer to it, in place of a claim
   * @returns {Promise<Next>}
   * @throws {ApiError} the server cannot be reached
   */
  async next(last, brought) {
    const ahead = this.ahead;
    this.ahead = null;
    this.aside = false;
    if (brought) return opened(brought);
    const view = ahead?.loaded.view;
    const isSpoilt = view?.slot.kind === "blind" && view.video.media_id === last?.video.media_id;
    if (ahead && ahead.until > performance.now() && !isSpoilt) return { loaded: ahead.loaded };
    return this.claim(false);
  }

  /**
   * An item that this person had before, if nobody took it meanwhile.
   *
   * @param {number} slot
   * @returns {Promise<Loaded>}
   * @throws {ApiError} it is not theirs any more (409, 404), or the server cannot be reached
   */
  async again(slot) {
    await api("POST", `/api/slots/${slot}/heartbeat`, {});
    return withMasks(await api("GET", `/api/slots/${slot}`));
  }

  /**
   * Reserve the next item and fetch its pictures. A failure costs nothing but the time saved.
   *
   * @param {(video: import("./types.js").Video) => unknown} fetchPictures
   * @param {number} current  slot that is being worked on
   */
  async prefetch(fetchPictures, current) {
    if (this.ahead || this.fetching || this.aside) return;
    this.fetching = true;
    try {
      const next = await this.claim(true);
      if (this.aside || !("loaded" in next) || next.loaded.view.slot.id === current) return;
      this.ahead = { loaded: next.loaded, until: endOf(next.loaded.view.slot) };
      await fetchPictures(next.loaded.view.video);
    } catch {
      this.ahead = null;
    } finally {
      this.fetching = false;
    }
  }

  /**
   * Leave an item to others for good.
   *
   * @param {number} slot
   * @param {string} reason
   */
  async skip(slot, reason) {
    await api("POST", `/api/slots/${slot}/skip`, { reason });
  }

  /**
   * @param {boolean} prefetch
   * @returns {Promise<Next>}
   */
  async claim(prefetch) {
    return opened(await api("POST", "/api/claim", { kinds: this.kinds, prefetch }));
  }
}
