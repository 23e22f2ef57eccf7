/**
 * The reservation of an item: renewed while somebody works on it. It outlives the page, which may be opened again.
 *
 * Only the server's clock counts: a lease is good for `lease_until - server_now` seconds from the moment of the response.
 */

import { ApiError, api } from "../lib/api.js";

const HEARTBEAT_MS = 60_000;
const IDLE_MS = 600_000; // nobody touched anything: let the item go to somebody else

/** @typedef {{lease_until: number, server_now: number}} LeaseTimes */

/**
 * @param {LeaseTimes} times
 * @returns {number} on the clock of performance.now(), in ms
 */
export const endOf = (times) => performance.now() + (times.lease_until - times.server_now) * 1000;

export class Lease {
  /**
   * @param {{onTrouble: (error: ApiError) => void, onRenewed: () => void}} calls  onTrouble: the slot is lost, or the
   *   server does not know the person any more
   */
  constructor(calls) {
    this.calls = calls;
    /** @type {number | null} the slot that is held */
    this.slot = null;
    this.lost = false;
    this.activeAt = performance.now();
    for (const name of ["pointerdown", "keydown", "wheel"]) {
      addEventListener(name, () => { this.activeAt = performance.now(); }, { passive: true, capture: true });
    }
    setInterval(() => this.beat(), HEARTBEAT_MS);
    document.addEventListener("visibilitychange", () => { if (!document.hidden) this.beat(); });
  }

  /**
   * Hold a slot from now on; the one before is left as it is.
   *
   * @param {number} slot
   */
  hold(slot) {
    this.slot = slot;
    this.lost = false;
  }

  letGo() {
    this.slot = null;
    this.lost = false;
  }

  /** Renew now. A server that cannot be reached loses nothing: the lease may outlive the gap. */
  async beat() {
    const slot = this.slot;
    if (slot === null || this.lost || performance.now() - this.activeAt > IDLE_MS) return;
    try {
      await api("POST", `/api/slots/${slot}/heartbeat`, {});
      this.calls.onRenewed();
    } catch (error) {
      if (slot !== this.slot || !(error instanceof ApiError) || error.status < 400 || error.status >= 500) return;
      this.lost = error.code === "lease_lost";
      this.calls.onTrouble(error);
    }
  }

  /**
   * Give slots back as the page goes away: `keepalive` lets the request outlive it.
   *
   * @param {number[]} slots
   */
  release(slots) {
    for (const slot of slots) api("POST", `/api/slots/${slot}/release`, {}, { keepalive: true }).catch(() => {});
  }
}
