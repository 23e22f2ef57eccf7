/**
 * Answers on their way to the server. Each is written down in this browser before it is sent, with a key made once, so
 * that a lost connection, a reload or a repeat neither loses it nor counts it twice.
 */

import { ApiError, api } from "../lib/api.js";
import { all, put, remove } from "./db.js";

/** @typedef {{code: string, message: string, status: number, error: any}} Refusal */
/**
 * @typedef {{key: string, person: number, slot: number, path: string, body: Record<string, unknown>, version: number,
 *   title: string, at: number, refusal: Refusal | null}} Entry  refusal: the person must look at it
 */
/** @typedef {{state: "sent", answer: any} | {state: "refused", refusal: Refusal} | {state: "waiting"}} Outcome */

const FIRST_RETRY_MS = 1_000;
const LAST_RETRY_MS = 60_000;
const AGAIN = new Set(["signed_out", "csrf", "wait", "failure", "timeout"]); // the answer itself is fine

/** A key that no other answer has; plain HTTP pages have no randomUUID. */
function newKey() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

export class Outbox {
  /**
   * @param {number} person  entries of somebody else who used this browser are left alone
   * @param {() => void} onChange
   */
  constructor(person, onChange) {
    this.person = person;
    this.onChange = onChange;
    /** @type {Entry[]} */
    this.entries = [];
    /** @type {Map<string, Outcome>} key -> the outcome, as this page knows it */
    this.outcomes = new Map();
    this.trouble = ""; // why the server takes nothing now
    this.retryMs = FIRST_RETRY_MS;
    /** @type {number | undefined} */
    this.timer = undefined;
    /** @type {Promise<void>} what is being sent now; one at a time, in order */
    this.sending = Promise.resolve();
    addEventListener("online", () => this.flush());
  }

  /** Load the answers that an earlier page left unsent. */
  async start() {
    /** @type {Entry[]} */
    const kept = await all("outbox").catch(() => []);
    this.entries = kept.filter((entry) => entry.person === this.person).sort((a, b) => a.at - b.at);
    this.onChange();
    if (this.waiting.length) this.flush();
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
    const entry = { ...answer, key: newKey(), person: this.person, at: Date.now(), refusal: null };
    await put("outbox", entry).catch(() => {});
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
        if (!(await this.sendOne(entry))) {
          this.timer = setTimeout(() => this.flush(), this.retryMs);
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
   * @returns {Promise<boolean>} false: the server cannot take answers now
   */
  async sendOne(entry) {
    const headers = { "Idempotency-Key": entry.key, "If-Match": `"${entry.version}"` };
    try {
      const answer = await api("POST", entry.path, entry.body, { headers });
      this.outcomes.set(entry.key, { state: "sent", answer });
      await this.forget(entry);
    } catch (error) {
      if (!(error instanceof ApiError) || error.status >= 500 || error.status < 400 || AGAIN.has(error.code)) {
        this.trouble = error instanceof Error ? error.message : String(error);
        return false;
      }
      entry.refusal = { code: error.code, message: error.message, status: error.status, error: error.error };
      this.outcomes.set(entry.key, { state: "refused", refusal: entry.refusal });
      await put("outbox", entry).catch(() => {});
    }
    return true;
  }

  /**
   * Take an entry out: it was sent, or the person gave it up.
   *
   * @param {Entry} entry
   */
  async forget(entry) {
    this.entries = this.entries.filter((other) => other !== entry);
    await remove("outbox", entry.key).catch(() => {});
    this.onChange();
  }
}
