/**
 * What was entered and not yet sent: in this browser 0.3 s after a change, on the server after 5 s.
 *
 * A record says which version of the server's draft it grew from, so that after a crash the newer of the two is known
 * without comparing clocks. Records from before a backup was put in place are never shown on an item: slots got their ids
 * again.
 */

import { ApiError, api } from "../lib/api.js";
import { all, get, put, putNow, remove, tabMemory } from "./db.js";

/** @typedef {import("./types.js").Draft} Draft */
/** @typedef {import("./types.js").SlotView} SlotView */
/** @typedef {{body: Draft, version: number}} Stored */
/** @typedef {{key: string, slot: number, title: string, body: Draft, version: number, dirty: boolean, restored_at?: number}} Local */

const LOCAL_MS = 300;
const SERVER_MS = 5_000;
const AGAIN_MS = 15_000; // after the server did not take it

/** Which tab this is; survives a reload, not a crash. A tab that is a copy of another gets a name of its own. */
const tab = tabMemory.get("tab") ?? crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}`;
tabMemory.set("tab", null);
addEventListener("pagehide", () => tabMemory.set("tab", tab));
addEventListener("pageshow", () => tabMemory.set("tab", null));

export class Drafts {
  /**
   * @param {{id: number, restored_at: number}} me
   * @param {{onSaved: () => void, onTrouble: (error: ApiError, isKept: boolean) => void, choose: (mine: Draft, theirs: Draft) => Promise<"mine" | "theirs">,
   *   onTheirs: (body: Draft) => void}} calls
   */
  constructor({ id, restored_at }, calls) {
    this.person = id;
    this.restored_at = restored_at;
    this.calls = calls;
    /** @type {{slot: number, local: Local} | null} */
    this.current = null;
    /** @type {number | undefined} */
    this.localTimer = undefined;
    /** @type {number | undefined} */
    this.serverTimer = undefined;
    this.isKept = true; // by this browser, when the page is closed
    addEventListener("beforeunload", (event) => { if (this.atRisk) event.preventDefault(); });
  }

  /** Whether something would be lost if the page were closed now. */
  get atRisk() {
    return Boolean(this.current?.local.dirty) && !this.isKept;
  }

  /** @param {number} slot */
  key(slot) {
    return `${this.person}:${slot}` + (this.restored_at ? `:${this.restored_at}` : "");
  }

  /**
   * Begin with an item; what was entered before, or null.
   *
   * @param {SlotView} view
   * @returns {Promise<Draft | null>}
   */
  async open(view) {
    await this.flush();
    const slot = view.slot.id;
    const key = this.key(slot);
    /** @type {Local | undefined} */
    const local = await get("drafts", key);
    const server = view.draft;
    const version = server?.version ?? 0;
    const title = view.item.parts.map(({ text }) => text).join(" ");
    this.current = { slot, local: { key, slot, title, body: local?.body ?? {}, version, dirty: false,
      restored_at: this.restored_at } };
    if (!server) return local?.body ?? null;
    if (!local?.dirty) return server.body;
    const isMine = local.version === version || server.body.tab === local.body.tab;
    if (isMine || (await this.calls.choose(local.body, server.body)) === "mine") return local.body;
    return server.body;
  }

  /**
   * @param {Draft} body
   */
  change(body) {
    if (!this.current) return;
    const { local } = this.current;
    local.body = { ...body, tab };
    local.dirty = true;
    clearTimeout(this.localTimer);
    this.localTimer = setTimeout(() => this.saveLocal(), LOCAL_MS);
    this.serverTimer ??= setTimeout(() => this.saveServer(), SERVER_MS);
  }

  /** Save at once what is waiting to be saved. */
  async flush() {
    if (this.localTimer === undefined) return;
    await this.saveLocal();
  }

  /** Save at once, here and on the server, as the page may go away. */
  keep() {
    if (this.current && this.localTimer !== undefined) {
      clearTimeout(this.localTimer);
      this.localTimer = undefined;
      this.isKept = putNow("drafts", this.current.local);
    }
    this.saveServer(true);
  }

  async saveLocal() {
    clearTimeout(this.localTimer);
    this.localTimer = undefined;
    if (this.current) this.isKept = await put("drafts", this.current.local);
  }

  /** @param {boolean} [keepalive] the page is going away */
  async saveServer(keepalive = false) {
    clearTimeout(this.serverTimer);
    this.serverTimer = undefined;
    if (!this.current?.local.dirty) return;
    const { slot, local } = this.current;
    const sent = local.body;
    try {
      const { version } = await api("PUT", `/api/slots/${slot}/draft`, { body: sent, version: local.version }, { keepalive });
      local.version = version;
      local.dirty = local.body !== sent;
      this.calls.onSaved();
    } catch (error) {
      await this.refused(slot, local, error);
    }
    if (this.current?.slot === slot) await this.saveLocal();
  }

  /**
   * Another tab saved first: ask. Anything else (offline, slot gone): the browser's own copy stays, the person is told,
   * and it is tried again.
   *
   * @param {number} slot
   * @param {Local} local
   * @param {unknown} error
   */
  async refused(slot, local, error) {
    if (!(error instanceof ApiError)) return;
    if (error.code !== "draft_conflict") {
      if (this.current?.slot !== slot) return;
      await this.saveLocal();
      if (error.code !== "lease_lost") this.serverTimer ??= setTimeout(() => this.saveServer(), AGAIN_MS);
      this.calls.onTrouble(error, this.isKept);
      return;
    }
    const theirs = /** @type {Stored} */ (error.error.theirs);
    local.version = theirs.version;
    const keep = theirs.body.tab === tab ? "mine" : await this.calls.choose(local.body, theirs.body);
    if (this.current?.slot !== slot) return;
    if (keep === "mine") this.change(local.body);
    else {
      local.body = theirs.body;
      local.dirty = false;
      this.calls.onTheirs(theirs.body);
    }
  }

  /** The item was answered: its draft is not wanted any more. */
  async drop() {
    if (!this.current) return;
    const { key } = this.current.local;
    this.leave();
    await remove("drafts", key);
  }

  /**
   * Drafts of this person that are not the one that is open.
   *
   * @returns {Promise<Local[]>}
   */
  async others() {
    /** @type {Local[]} */
    const kept = await all("drafts");
    return kept.filter(({ key }) => key.startsWith(`${this.person}:`) && key !== this.current?.local.key);
  }

  /** Whether it is of the project as it was before a backup was put in place. @param {Local} local */
  isOfBefore({ restored_at }) {
    return (restored_at ?? 0) !== this.restored_at;
  }

  /** @param {Local} local */
  async forget(local) {
    await remove("drafts", local.key);
  }

  /** Stop saving; what is saved stays. */
  leave() {
    clearTimeout(this.localTimer);
    clearTimeout(this.serverTimer);
    this.localTimer = this.serverTimer = undefined;
    this.current = null;
  }
}
