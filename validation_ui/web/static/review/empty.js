/** The page that is shown when there is no item: it says why, and what can be done. */

import { h } from "./build.js";
import { wayOut } from "./notice.js";

/** @type {Record<string, string>} */
const KIND_NAMES = { sighted: "Sighted pass", blind: "Blind pass", adjudicate: "Adjudication" };

/** What the page is headed by, if not by "Nothing to judge here now". @type {Record<string, string>} */
const HEADINGS = { offline: "No connection", foreign: "No connection", failure: "The server has trouble",
  signed_out: "You are signed out", csrf: "You signed in anew", entry_failed: "No work for now", stopped: "No work for now" };

/** @type {[string, string][]} */
const COUNTS = [["open", "free, but not for you"], ["held", "in other hands"]];

/**
 * @param {import("./types.js").Why} why
 * @param {{kinds: string[], allowed: string[], again: () => void}} options
 */
export function emptyPage(why, { kinds, allowed, again }) {
  const others = allowed.filter((kind) => !kinds.includes(kind));
  const counts = COUNTS.filter(([name]) => why.counts?.[name]);
  const heading = h("h1", { tabIndex: -1 }, HEADINGS[why.code] ?? "Nothing to judge here now");
  const ways = wayOut(why.code).map(({ label, href, run }) =>
    href ? h("a", { class: "button primary", href }, label) : h("button", { type: "button", class: "primary", onclick: run }, label));
  const root = h("section", { class: "empty" }, heading, h("p", {}, why.message),
    counts.length > 0 && h("dl", { class: "counts" }, ...counts.map(([name, label]) =>
      h("div", {}, h("dt", {}, label), h("dd", {}, String(why.counts?.[name]))))),
    h("div", { class: "choices" },
      ...ways,
      h("button", { type: "button", class: ways.length ? "" : "primary", onclick: again }, "Look again"),
      ...others.map((kind) => h("a", { class: "button", href: `/review?kinds=${kind}` }, KIND_NAMES[kind] ?? kind)),
      h("a", { class: "button", href: "/" }, "Home")));
  return { root, heading };
}
