/** The page that is shown when there is no item: it says why, and what can be done. */

import { h } from "./build.js";

/** @type {Record<string, string>} */
const KIND_NAMES = { sighted: "Sighted pass", blind: "Blind pass", adjudicate: "Adjudication" };

/** @type {[string, string][]} */
const COUNTS = [["open", "free, but not for you"], ["held", "in other hands"]];

/**
 * @param {import("./types.js").Why} why
 * @param {{kinds: string[], allowed: string[], again: () => void}} options
 */
export function emptyPage(why, { kinds, allowed, again }) {
  const others = allowed.filter((kind) => !kinds.includes(kind));
  const counts = COUNTS.filter(([name]) => why.counts?.[name]);
  const heading = h("h1", { tabIndex: -1 }, why.code === "offline" ? "No connection" : "Nothing to judge here now");
  const root = h("section", { class: "empty" }, heading, h("p", {}, why.message),
    counts.length > 0 && h("dl", { class: "counts" }, ...counts.map(([name, label]) =>
      h("div", {}, h("dt", {}, label), h("dd", {}, String(why.counts?.[name]))))),
    h("div", { class: "choices" },
      h("button", { type: "button", class: "primary", onclick: again }, "Look again"),
      ...others.map((kind) => h("a", { class: "button", href: `/review?kinds=${kind}` }, KIND_NAMES[kind] ?? kind)),
      h("a", { class: "button", href: "/" }, "Home")));
  return { root, heading };
}
