/** The reviewer's screen: claim an item, show it, take the answer, send it, go on to the next. */

import { BASE } from "../lib/address.js";
import { ApiError, api } from "../lib/api.js";
import { ACTIONS as PLAYER_ACTIONS } from "../player/actions.js";
import { playerOf, wantsStillness } from "../player/mine.js";
import { Adjudicate } from "./adjudicate.js";
import { askDraft, askSkip } from "./asks.js";
import { Blind } from "./blind.js";
import { fill, h } from "./build.js";
import { settleConflict } from "./conflict.js";
import { asText, copyButton } from "./copy.js";
import { tabMemory } from "./db.js";
import { Drafts } from "./drafts.js";
import { emptyPage } from "./empty.js";
import { Frame } from "./frame.js";
import { Keys, keyLabel } from "./keys.js";
import { Lease } from "./lease.js";
import { wayOut } from "./notice.js";
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
const AGAIN_MS = 5_000; // how often it is tried whether the server is back
const WAITS = new Set(["offline", "foreign", "failure", "signed_out", "csrf"]); // the item is there when this is over

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
    this.outbox = new Outbox(me, () => this.counted(), (slot) => this.tabs.postMessage(slot));
    this.drafts = new Drafts(me, {
      onSaved: () => this.saved(),
      onTrouble: (error, isKept) => this.unsaved(error, isKept),
      choose: askDraft,
      onTheirs: (draft) => this.pass?.restore(draft),
    });
    this.unsent = new Unsent(this.outbox, this.drafts, (entry) => this.settle(entry));
    this.lease = new Lease({ onRenewed: () => this.frame.notice.hide("session"), onTrouble: (error) => this.trouble(error) });
    this.frame = new Frame({ keys: this.keys, unsent: this.unsent.badge, submit: () => this.submit(),
      skip: () => this.skip(), undo: () => this.undo() });
    this.notice = this.frame.notice;
    this.player = playerOf(this.frame.player, me.preferences, {
      onFrame: () => this.pass?.onFrame(),
      onPoint: (point) => this.pass?.onPoint(point),
    });
    this.frame.place(this.player.buttons);
    this.player.setKeys(Object.fromEntries(PLAYER_ACTIONS.map(({ name }) =>
      [name, this.keys.off ? "" : keyLabel(this.keys.bindings.get(name) ?? "")])));
    this.tabs = new BroadcastChannel(`refsav${BASE}`); // slots that were answered in this browser
    this.tabs.onmessage = ({ data }) => { if (this.view && data === this.view.slot.id) this.gone(this.view, ""); };
    /** @type {import("./sighted.js").Pass | null} */
    this.pass = null;
    /** @type {SlotView | null} */
    this.view = null;
    this.busy = false;
    this.hasMasks = false; // keys that would show or hide them rest until they are there
    this.emptyOf = ""; // why there was no item the last time
    /** @type {number | undefined} */
    this.timer = undefined; // until it is tried again whether the server is back
    this.answered = 0; // of the entry test: what was fetched ahead does not know of the last answer
    addEventListener("pagehide", () => this.leave());
    document.addEventListener("visibilitychange", () => { if (document.hidden) this.drafts.keep(); });
    addEventListener("pageshow", (event) => { if (/** @type {PageTransitionEvent} */ (event).persisted) location.reload(); });
  }

  async start() {
    await this.outbox.start();
    await this.resume();
  }

  /** What this tab had before, if it is still there; else the next item. */
  async resume() {
    const before = Number(tabMemory.get(HERE));
    if (!before) await this.next();
    else {
      try {
        const loaded = await this.queue.again(before);
        if (this.queue.kinds.includes(loaded.view.slot.kind)) await this.show(loaded);
        else await this.next();
      } catch (error) {
        if (!(error instanceof ApiError)) throw error;
        if (WAITS.has(error.code)) this.showEmpty(error);
        else await this.next();
      }
    }
    await this.unsent.look();
    const stray = this.unsent.strays.find(({ draft }) => draft.slot === before);
    if (stray) {
      const written = asText(stray.draft.body);
      this.notice.show(`What you had begun before: ${stray.message}`, [], { about: "stray" });
      this.notice.root.append(h("p", { class: "kept" }, written), copyButton(written));
    }
  }

  /**
   * On to the next item, or to the page that says why there is none.
   *
   * @param {import("./types.js").Claimed | null} [brought]  it came with the last answer
   */
  async next(brought) {
    clearTimeout(this.timer);
    try {
      const next = await this.queue.next(this.view, brought);
      if ("loaded" in next) await this.show(next.loaded);
      else this.showEmpty(next.why);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      this.showEmpty(error);
    }
  }

  /** @param {import("./types.js").Why} why */
  showEmpty({ code, message, counts }) {
    const isShown = this.view === null && this.emptyOf === code && this.root.querySelector(".empty") !== null;
    this.view = this.pass = null;
    this.emptyOf = code;
    if (WAITS.has(code)) this.timer = setTimeout(() => this.look(), AGAIN_MS);
    else tabMemory.set(HERE, null);
    if (isShown) return; // it has the focus, or what the person went on to
    this.lease.letGo();
    this.drafts.leave();
    this.notice.hide();
    const { root, heading } = emptyPage({ code, message, ...(counts && { counts }) },
      { kinds: this.queue.kinds, allowed: this.allowed, again: () => this.look(true) });
    fill(this.root, this.unsent.badge, this.notice.root, root);
    heading.focus();
  }

  /** Look whether there is something now: what this tab had before comes first. */
  async look(asked = false) {
    clearTimeout(this.timer);
    this.outbox.flush();
    if (this.view === null) await this.resume();
    if (this.view === null && asked) this.status.say("Nothing has changed");
  }

  /**
   * @param {Loaded} loaded
   */
  async show({ view, masks }) {
    this.view = view;
    this.pass = null;
    const draft = await this.drafts.open(view); // before anything can be entered
    if (this.view !== view) return;
    tabMemory.set(HERE, String(view.slot.id));
    this.lease.hold(view.slot.id);
    if (!this.frame.split.isConnected) {
      this.frame.bar.querySelector(".review-tools")?.prepend(this.unsent.badge);
      this.frame.send.before(this.notice.root);
      fill(this.root, this.frame.bar, this.frame.split);
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
      kinds: this.queue.kinds,
      goOn: (said, brought) => { this.status.say(said); this.next(brought); },
      showMasks: (revealed) => {
        this.hasMasks = true;
        this.player.setMasks(revealed);
      },
      trouble: (error, again) => this.trouble(error, again),
      stageChanged: () => { if (this.pass && this.view === view) this.frame.name(this.pass); },
    });
    this.pass = pass;
    if (view.slot.entry) view.slot.entry.done = Math.max(view.slot.entry.done, this.answered);
    if (draft) pass.restore(draft);
    this.frame.show(view, pass);
    this.frame.heading.focus({ preventScroll: true });
    scrollTo({ top: 0 });
    this.lease.beat();
    await shown;
    if (this.pass === pass && pass.plays() && !wantsStillness() && !document.hidden) this.player.play();
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
    this.notice.hide();
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
    await this.next();
    if (outcome.state === "waiting") this.waits(said);
  }

  /** The outbox has more or fewer answers. */
  counted() {
    this.unsent?.show();
    if (!this.outbox?.waiting.length) this.notice?.hide("unsent");
  }

  /** Say of the last answer that it is not sent yet, and why. @param {string} said */
  waits(said) {
    const { code, message } = this.outbox.trouble;
    const kept = this.outbox.atRisk ? "It is kept by this page only: do not close it." : "It is kept in this browser and sent by itself.";
    const why = message || "The server is slow.";
    this.notice.show(`${said}, but not sent yet. ${why} ${kept}`, this.ways(code, () => this.outbox.flush()), { about: "unsent" });
  }

  /** What can be done about an error, unless the page below the notice has the same. @param {string} code @param {() => unknown} [again] */
  ways(code, again) {
    return this.view === null && this.emptyOf === code ? [] : wayOut(code, again);
  }

  /**
   * The server did not take an answer: what can be mended here is, the rest stays under "needs you".
   *
   * @param {import("./outbox.js").Entry} entry
   * @param {import("./outbox.js").Refusal} refusal
   */
  async refused(entry, refusal) {
    if (refusal.code === "text_changed") await this.settle(entry);
    else {
      await this.outbox.forget(entry); // it is still in the form and in the draft
      if (refusal.code === "lease_lost" && this.view) await this.gone(this.view, refusal.message);
      else if (!this.pass?.refused(refusal.error?.fields ?? {})) {
        const fields = Object.values(refusal.error?.fields ?? {});
        this.notice.show([refusal.message, ...fields].join(" "), wayOut(refusal.code));
      }
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

  /** The draft is on the server. */
  saved() {
    this.notice.hide("session");
    this.frame.tell(`Draft saved at ${new Date().toLocaleTimeString(undefined, { timeStyle: "short" })}`);
  }

  /**
   * The server did not take the draft. The person is typing, so nothing takes the focus.
   *
   * @param {ApiError} error
   * @param {boolean} isKept
   */
  unsaved(error, isKept) {
    if (error.code === "lease_lost" && this.view) this.gone(this.view, error.message);
    else {
      this.frame.tell(`Draft not saved on the server: ${error.message} ${isKept ? "It is kept in this browser."
        : "It is kept by this page only: do not close it."}`, true);
      if (wayOut(error.code).length) this.notice.show(error.message, wayOut(error.code), { focus: false, about: "session" });
    }
  }

  /**
   * Something other than sending an answer failed.
   *
   * @param {unknown} error
   * @param {() => unknown} [again]  what the person asked for; without it, nothing
   */
  trouble(error, again) {
    if (!(error instanceof ApiError)) throw error;
    if (error.code === "lease_lost" && this.view) this.gone(this.view, error.message, again !== undefined);
    else this.notice.show(error.message, this.ways(error.code, again), { focus: again !== undefined, about: "session" });
  }

  /**
   * The item is not the person's any more: say what happened to it, and keep what they wrote.
   *
   * @param {SlotView} view
   * @param {string} message  if the server cannot say
   * @param {boolean} [focus]
   */
  async gone(view, message, focus = true) {
    this.lease.lost = true;
    await this.drafts.saveLocal();
    const fate = await api("GET", `/api/slots/${view.slot.id}/fate`).catch(() => ({ code: "", message }));
    if (this.view !== view) return;
    const written = this.pass && asText(this.pass.draft());
    const over = fate.code === "answered" || fate.code === "skipped";
    this.notice.show(fate.message, [{ label: "Next item", run: () => this.leaveItem(over), primary: true }], { focus });
    if (written && !over) this.notice.root.querySelector(".choices")?.prepend(copyButton(written));
  }

  /** To another item; the draft of this one stays unless there is nothing left to keep. @param {boolean} over */
  async leaveItem(over) {
    if (over) await this.drafts.drop();
    else await this.drafts.saveLocal();
    this.drafts.leave();
    this.queue.putAside();
    await this.next();
    await this.unsent.look();
  }

  async skip() {
    const { view } = this;
    if (!view) return;
    const reason = await askSkip();
    if (!reason) return;
    try {
      await this.queue.skip(view.slot.id, reason);
      this.tabs.postMessage(view.slot.id);
      await this.drafts.drop();
      this.status.say("Skipped");
      await this.next();
    } catch (error) {
      this.trouble(error, () => this.skip());
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
      if (!(error instanceof ApiError)) throw error;
      this.notice.show(error.message, wayOut(error.code));
    }
  }

  /**
   * The page goes, maybe to come back: the item stays this person's until its lease ends, so that the guide, a reload or
   * a closed laptop loses neither it nor its draft. Others may have what was fetched ahead.
   */
  leave() {
    this.drafts.keep();
    const ahead = this.queue.ahead?.loaded.view.slot.id;
    if (ahead !== undefined) this.lease.release([ahead]);
  }
}

const root = document.getElementById("review");
if (root) {
  await open(root);
}

/** @param {HTMLElement} root */
async function open(root) {
  try {
    await new Screen(root, await api("GET", "/api/me")).start();
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    const { root: page, heading } = emptyPage(error, { kinds: [], allowed: [], again: () => open(root) });
    fill(root, page);
    heading.focus();
  }
}
