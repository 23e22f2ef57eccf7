/** The reviewer's screen: claim an item, show it, take the answer, send it, go on to the next. */

import { BASE } from "../lib/address.js";
import { ApiError, api } from "../lib/api.js";
import { ACTIONS as PLAYER_ACTIONS, Player } from "../player/player.js";
import { Adjudicate } from "./adjudicate.js";
import { Blind } from "./blind.js";
import { ask, fill, h } from "./build.js";
import { settleConflict } from "./conflict.js";
import { Drafts } from "./drafts.js";
import { emptyPage } from "./empty.js";
import { Frame } from "./frame.js";
import { Keys, keyLabel } from "./keys.js";
import { Lease } from "./lease.js";
import { Outbox } from "./outbox.js";
import { Queue, withMasks } from "./queue.js";
import { Sighted } from "./sighted.js";
import { Status } from "./status.js";
import { Unsent } from "./unsent.js";
import { DECIDED } from "./words.js";

/** @typedef {import("./types.js").SlotView} SlotView */
/** @typedef {import("./types.js").Me} Me */
/** @typedef {import("./queue.js").Loaded} Loaded */

const PATIENCE_MS = 2_500; // a server slower than this is not waited for: the outbox goes on by itself
const HERE = `slot${BASE}`; // in the tab's own storage: what it shows
const PASSES = { sighted: Sighted, blind: Blind, adjudicate: Adjudicate };
const SKIPS = ["I cannot tell", "I do not know the words", "It upsets me", "The video does not play"];

class Screen {
  /**
   * @param {HTMLElement} root
   * @param {Me} me
   */
  constructor(root, me) {
    this.root = root;
    this.allowed = me.role === "reviewer" ? ["sighted", "blind"] : ["sighted", "blind", "adjudicate"];
    const asked = (new URLSearchParams(location.search).get("kinds") ?? "").split(",").filter((kind) => this.allowed.includes(kind));
    this.queue = new Queue(asked.length ? asked : this.allowed);
    this.status = new Status(root.parentElement ?? document.body);
    this.keys = new Keys({ hotkeys: me.hotkeys, off: me.preferences.hotkeys_off === true },
      (name) => this.act(name), (name) => PLAYER_ACTIONS.find((action) => action.name === name)?.release?.(this.player));
    this.outbox = new Outbox(me.id, () => this.unsent?.show());
    this.unsent = new Unsent(this.outbox, (entry) => this.settle(entry));
    this.drafts = new Drafts(me.id, {
      onSaved: () => this.status.say("Draft saved"),
      choose: (mine, theirs) => this.chooseDraft(mine, theirs),
      onTheirs: (draft) => this.pass?.restore(draft),
    });
    this.lease = new Lease({ onRenewed: () => {}, onLost: (message) => this.leaseLost(message) });
    this.frame = new Frame({ keys: this.keys, unsent: this.unsent.badge, submit: () => this.submit(),
      skip: () => this.skip(), undo: () => this.undo() });
    this.player = new Player(this.frame.player, {
      lightMode: me.preferences.light_mode === true,
      reducedMotion: matchMedia("(prefers-reduced-motion: reduce)").matches,
      onFrame: () => this.pass?.onFrame(),
      onPoint: (point) => this.pass?.onPoint(point),
    });
    this.player.setKeys(Object.fromEntries(PLAYER_ACTIONS.map(({ name }) =>
      [name, this.keys.off ? "" : keyLabel(this.keys.bindings.get(name) ?? "")])));
    /** @type {import("./sighted.js").Pass | null} */
    this.pass = null;
    /** @type {SlotView | null} */
    this.view = null;
    this.busy = false;
    this.hasMasks = false; // keys that would show or hide them rest until they are there
    this.answered = 0; // of the entry test: what was fetched ahead does not know of the last answer
    addEventListener("pagehide", () => this.leave());
    addEventListener("pageshow", (event) => { if (/** @type {PageTransitionEvent} */ (event).persisted) location.reload(); });
  }

  async start() {
    await this.outbox.start();
    const before = sessionStorage.getItem(HERE);
    const loaded = before && (await this.queue.again(Number(before)));
    if (loaded) await this.show(loaded);
    else await this.next();
  }

  /** On to the next item, or to the page that says why there is none. */
  async next() {
    try {
      const next = await this.queue.next(this.view);
      if ("loaded" in next) await this.show(next.loaded);
      else this.showEmpty(next.why);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      this.showEmpty({ code: error.code, message: error.message });
    }
  }

  /** @param {import("./types.js").Why} why */
  showEmpty(why) {
    this.view = this.pass = null;
    sessionStorage.removeItem(HERE);
    this.lease.letGo();
    this.drafts.leave();
    const { root, heading } = emptyPage(why, { kinds: this.queue.kinds, allowed: this.allowed, again: () => this.next() });
    fill(this.root, this.unsent.badge, root);
    heading.focus();
  }

  /**
   * @param {Loaded} loaded
   */
  async show({ view, masks }) {
    this.view = view;
    this.pass = null;
    sessionStorage.setItem(HERE, String(view.slot.id));
    this.lease.hold(view.slot.id);
    if (!this.frame.split.isConnected) {
      this.frame.bar.querySelector(".review-tools")?.prepend(this.unsent.badge);
      fill(this.root, this.frame.bar, this.frame.notice, this.frame.split);
    }
    this.hasMasks = masks !== null;
    this.player.pointing(false);
    const shown = this.player.load(view.video, masks);
    /** @type {import("./sighted.js").Pass} */
    const pass = new PASSES[view.slot.kind]({
      view, player: this.player, keys: this.keys,
      say: (text) => this.status.say(text),
      changed: () => this.drafts.change(pass.draft()),
      send: (body) => this.send(body),
      goOn: (said) => { this.status.say(said); this.next(); },
      showMasks: (revealed) => {
        this.hasMasks = true;
        this.player.setMasks(revealed);
      },
      stageChanged: () => { if (this.pass && this.view === view) this.frame.name(this.pass); },
    });
    this.pass = pass;
    if (view.slot.entry) view.slot.entry.done = Math.max(view.slot.entry.done, this.answered);
    this.frame.show(view, pass);
    this.frame.heading.focus({ preventScroll: true });
    scrollTo({ top: 0 });
    const draft = await this.drafts.open(view);
    if (draft && this.pass === pass) pass.restore(draft);
    this.lease.beat();
    await shown;
    if (this.pass === pass) this.queue.prefetch((video) => this.player.prefetch(video), view.slot.id);
  }

  /**
   * @param {string} name  of an action of keys.js
   * @returns {boolean} false: it means nothing now
   */
  act(name) {
    if (name === "help") this.keys.help();
    else if (name === "undo") this.undo();
    else if (!this.pass) return false;
    else if (name === "submit") this.submit();
    else if (name === "skip") this.skip();
    else if (!this.pass.act(name)) {
      const action = PLAYER_ACTIONS.find((one) => one.name === name);
      if (!action || (action.needsMasks && !this.hasMasks)) return false;
      action.run(this.player);
    }
    return true;
  }

  async submit() {
    if (this.busy || !this.pass) return;
    this.busy = true;
    this.frame.send.disabled = true;
    try {
      await this.pass.submit();
    } finally {
      this.busy = false;
      this.frame.send.disabled = false;
    }
  }

  /** @param {Record<string, unknown>} body */
  async send(body) {
    const { view, pass } = this;
    if (!view || !pass) return;
    const { slot, item } = view;
    const { entry, outcome } = await this.outbox.send({ slot: slot.id, path: `/api/slots/${slot.id}/submit`, body,
      version: item.version, title: item.parts.map(({ text }) => text).join(" ") }, PATIENCE_MS);
    if (outcome.state === "refused") {
      await this.refused(entry, outcome.refusal);
      return;
    }
    await this.drafts.drop();
    const said = DECIDED[String(body.decision)] ?? "";
    if (slot.entry) this.answered = slot.entry.done + 1;
    if (outcome.state === "sent") this.status.offer(`${said} and sent`, "Undo", () => this.undo());
    else this.status.say(`${said} and kept here. ${this.outbox.trouble || "The server is slow; it is sent as soon as it goes."}`);
    await this.next();
  }

  /**
   * The server did not take an answer: what can be mended here is, the rest stays under "needs you".
   *
   * @param {import("./outbox.js").Entry} entry
   * @param {import("./outbox.js").Refusal} refusal
   */
  async refused(entry, refusal) {
    if (refusal.code === "text_changed") await this.settle(entry);
    else if (refusal.code === "lease_lost") {
      await this.outbox.forget(entry); // it is still in the form and in the draft
      this.leaseLost(refusal.message);
    } else {
      await this.outbox.forget(entry);
      this.pass?.refused(refusal.error?.fields ?? {});
      this.warn(refusal.message);
    }
  }

  /**
   * @param {import("./outbox.js").Entry} entry  whose text changed
   */
  async settle(entry) {
    const choice = await settleConflict(entry, entry.refusal?.error);
    if (choice === "later") return;
    await this.outbox.forget(entry);
    if (choice !== "drop") {
      const { slot, path, title } = entry;
      const { entry: again, outcome } = await this.outbox.send({ slot, path, title, body: choice.again,
        version: choice.version }, PATIENCE_MS);
      if (outcome.state === "refused") {
        await this.refused(again, outcome.refusal);
        return;
      }
      this.status.say("Sent for the new text");
    }
    if (this.view?.slot.id !== entry.slot) return;
    await this.drafts.drop();
    await this.next();
  }

  /** @param {string} message */
  warn(message) {
    fill(this.frame.notice, h("p", {}, message));
    this.frame.notice.hidden = false;
  }

  /** @param {string} message */
  leaseLost(message) {
    this.lease.lost = true;
    this.drafts.saveLocal();
    fill(this.frame.notice,
      h("p", {}, message),
      h("button", { type: "button", onclick: () => this.claimAgain() }, "Claim again"));
    this.frame.notice.hidden = false;
  }

  /** The same item if nobody has it, else another. */
  async claimAgain() {
    await this.drafts.flush();
    this.queue.putAside();
    await this.next();
  }

  async skip() {
    const { view } = this;
    if (!view) return;
    let chosen = SKIPS[0] ?? "";
    const reasons = SKIPS.map((reason) => h("label", { class: "check" }, h("input", { type: "radio", name: "skip",
      checked: reason === chosen, onchange: () => { chosen = reason; } }), h("span", {}, reason)));
    const reason = await ask("Skip this item?", [h("p", {}, "It goes to somebody else and never comes back to you."),
      h("fieldset", {}, h("legend", { class: "sr" }, "Why"), ...reasons)], [
      { label: "Keep it", value: () => "" },
      { label: "Skip", value: () => chosen, primary: true },
    ], "");
    if (!reason) return;
    try {
      await this.queue.skip(view.slot.id, reason);
      await this.drafts.drop();
      this.status.say("Skipped");
      await this.next();
    } catch (error) {
      this.warn(error instanceof ApiError ? error.message : String(error));
    }
  }

  /** Take the last answer back and show its item again, as it was answered. */
  async undo() {
    await this.outbox.flush();
    if (this.outbox.waiting.length) {
      this.status.say("Your last answer is not sent yet: undo it when the connection is back");
      return;
    }
    try {
      await this.drafts.flush();
      const { slot } = await api("POST", "/api/undo", {});
      this.status.say("Taken back");
      this.queue.putAside();
      if (slot) await this.show(await withMasks(slot));
    } catch (error) {
      this.status.say(error instanceof ApiError ? error.message : String(error));
    }
  }

  /**
   * @param {import("./types.js").Draft} mine
   * @param {import("./types.js").Draft} theirs
   * @returns {Promise<"mine" | "theirs">}
   */
  async chooseDraft(mine, theirs) {
    /** @param {import("./types.js").Draft} draft */
    const shown = ({ decision = "", text, short, note }) => h("p", { class: "kept" },
      [DECIDED[decision] ?? "Not decided", ...Object.values(text ?? {}), short, note].filter(Boolean).join(" · "));
    return ask("This item was also worked on elsewhere", [
      h("h3", {}, "Here"), shown(mine), h("h3", {}, "Elsewhere, saved later"), shown(theirs),
    ], [
      { label: "Take the other", value: () => /** @type {const} */ ("theirs") },
      { label: "Keep this one", value: () => /** @type {const} */ ("mine"), primary: true },
    ], /** @type {const} */ ("mine"));
  }

  /**
   * The page goes: others may have what is not answered; drafts and unsent answers stay. Who has seen the answer of a
   * blind item keeps it, as nobody is given one whose object they saw.
   */
  leave() {
    this.drafts.flush();
    const current = this.pass?.isRevealed ? null : this.view;
    const unsent = new Set(this.outbox.waiting.map(({ slot }) => slot));
    const held = [this.queue.ahead?.loaded.view, current].flatMap((view) => view?.slot.id ?? []);
    this.lease.release(held.filter((slot) => !unsent.has(slot)));
  }
}

const root = document.getElementById("review");
if (root) {
  const screen = new Screen(root, await api("GET", "/api/me"));
  await screen.start();
}
