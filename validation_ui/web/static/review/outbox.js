/**
 * Answers on their way to the server. Each is written down in this browser before it is sent, with a key made once, so
 * that a lost connection, a reload or a repeat neither loses it nor counts it twice.
 */

import { ApiError, api } from "../lib/api.js";
import { all, put, remove } from "./db.js";
import { RESTORED } from "./words.js";

/** @typedef {{code: string, message: string, status: number, error: any}} Refusal */
/**
 * @typedef {{key: string, person: number, slot: number, path: string, body: Record<string, unknown>, version: number,
 *   title: string, at: number, restored_at?: number, refusal: Refusal | null}} Entry  refusal: the person must look at it
 */
/** @typedef {{state: "sent", answer: any} | {state: "refused", refusal: Refusal} | {state: "waiting"}} Outcome */

const FIRST_RETRY_MS = 1_000;
const LAST_RETRY_MS = 60_000;
const AGAIN = new Set(["signed_out", "csrf"]); // the answer itself is fine
const LATER = new Set([408, 425, 429]); // as above, from the server or whatever stands before it

/** A key that no other answer has; plain HTTP pages have no randomUUID. */
function newKey() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** What this page itself could not do. @param {unknown} error */
const ofPage = (error) => new ApiError(0, { code: "failure", message: `This page failed at sending it: ${error}` });

export class Outbox {
  /**
   * @param {{id: number, restored_at: number}} me  entries of somebody else who used this browser are left alone
   * @param {() => void} onChange
   * @param {(slot: number) => void} onSent
   */
  constructor({ id, restored_at }, onChange, onSent) {
    this.person = id;
    this.restored_at = restored_at;
    this.onChange = onChange;
    this.onSent = onSent;
    /** @type {Set<string>} keys of entries that are lost when the page is closed */
    this.loose = new Set();
    addEventListener("beforeunload", (event) => { if (this.atRisk) event.preventDefault(); });
    /** @type {Entry[]} */
    this.entries = [];
    /** @type {Map<string, Outcome>} key -> the outcome, as this page knows it */
    this.outcomes = new Map();
    this.trouble = { code: "", message: "" }; // why the server takes nothing now
    this.retryMs = FIRST_RETRY_MS;
    /** @type {number | undefined} */
    this.timer = undefined;
    /** @type {Promise<void>} what is being sent now; one at a time, in order */
    this.sending = Promise.resolve();
    addEventListener("online", () => this.flush());
  }

  /** Load the answers that an earlier page left unsent; those from before a backup was put in place are not sent. */
  async start() {
    /** @type {Entry[]} */
    const kept = await all("outbox");
    this.entries = kept.filter((entry) => entry.person === this.person).sort((a, b) => a.at - b.at);
    for (const entry of this.entries) {
      if ((entry.restored_at ?? 0) === this.restored_at) continue;
      entry.refusal = { code: "restored", message: RESTORED, status: 0, error: {} };
    }
    this.onChange();
    if (this.waiting.length) this.flush();
  }

  /** Whether an answer would be lost if the page were closed now. */
  get atRisk() {
    return this.entries.some(({ key }) => this.loose.has(key));
  }

  get waiting() {
    return this.entries.filter((entry) => !entry.refusal);
  }

  get refused() {
    return this.entries.filter((entry) => entry.refusal);
  }

  /**
   * Write an answer down and try to send it.
   *
   * @param {{slot: number, path: string, body: Record<string, unknown>, version: number, title: string}} answer
   * @param {number} patienceMs  how long to wait for the server before the person goes on
   * @returns {Promise<{entry: Entry, outcome: Outcome}>}
   */
  async send(answer, patienceMs) {
    const entry = { ...answer, key: newKey(), person: this.person, at: Date.now(), restored_at: this.restored_at,
      refusal: null };
    if (!(await put("outbox", entry))) this.loose.add(entry.key);
    this.entries.push(entry);
    const waited = new Promise((resolve) => setTimeout(resolve, patienceMs));
    await Promise.race([this.flush(), waited]);
    this.onChange();
    return { entry, outcome: this.outcomes.get(entry.key) ?? { state: "waiting" } };
  }

  /** Send the waiting answers, oldest first. */
  flush() {
    this.sending = this.sending.then(async () => {
      clearTimeout(this.timer);
      for (const entry of this.waiting) {
        const after_s = await this.sendOne(entry);
        if (after_s !== null) {
          this.timer = setTimeout(() => this.flush(), Math.max(this.retryMs, 1000 * after_s));
          this.retryMs = Math.min(this.retryMs * 2, LAST_RETRY_MS);
          break;
        }
        this.retryMs = FIRST_RETRY_MS;
      }
      this.onChange();
    });
    return this.sending;
  }

  /**
   * @param {Entry} entry
   * @returns {Promise<number | null>} seconds to wait at least, if the server takes no answers now
   */
  async sendOne(entry) {
    const headers = { "Idempotency-Key": entry.key, "If-Match": `"${entry.version}"` };
    try {
      const answer = await api("POST", entry.path, entry.body, { headers });
      this.outcomes.set(entry.key, { state: "sent", answer });
      await this.forget(entry);
      this.onSent(entry.slot);
    } catch (error) {
      const { status, code, message, error: more } = error instanceof ApiError ? error : ofPage(error);
      if (status >= 500 || status < 400 || AGAIN.has(code) || LATER.has(status)) {
        this.trouble = { code, message };
        return Number(more.retry_after_s) || 0;
      }
      entry.refusal = { code, message, status, error: more };
      this.outcomes.set(entry.key, { state: "refused", refusal: entry.refusal });
      await put("outbox", entry);
    }
    return null;
  }

  /**
   * Take an entry out: it was sent, or the person gave it up.
   *
   * @param {Entry} entry
   */
  async forget(entry) {
    this.entries = this.entries.filter((other) => other !== entry);
    this.loose.delete(entry.key);
    await remove("outbox", entry.key);
    this.onChange();
  }
}
