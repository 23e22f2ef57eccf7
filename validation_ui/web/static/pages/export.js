/** How far the split is, and its export as one file. */

import { api } from "../lib/api.js";
import { attempt, byId, duration, fill, h, say, showError, time } from "../lib/dom.js";
import { confirmed } from "./confirm.js";
import { quotaBars } from "./quotas.js";

/**
 * @typedef {{started_at: number, ended_at: number, final: boolean, error: string | null, report: string, bytes: number}} Last
 * @typedef {{ready: Record<string, {accepted: number, quota: number}>, complete: boolean, missing: string[],
 *   running_since: number | null, last: Last | null, has_file: boolean}} Exports
 */

const EVERY_MS = 2_000;
const form = /** @type {HTMLFormElement} */ (byId("export"));
/** @type {Exports | null} */
let now = null;

/** @param {number} bytes */
const size = (bytes) => (bytes < 1e6 ? `${Math.ceil(bytes / 1e3)} kB` : bytes < 1e9 ? `${(bytes / 1e6).toFixed(1)} MB` : `${(bytes / 1e9).toFixed(1)} GB`);

/** @param {Last} last @param {boolean} hasFile */
function ended(last, hasFile) {
  const what = last.final ? "The final export" : "The export of what is ready";
  if (last.error !== null) return [h("div", { class: "notice bad", role: "alert" }, h("p", {}, `${what} was not made. ${last.error}`))];
  const [first = "", ...more] = last.report.split("\n");
  return [h("div", { class: "notice good" },
    h("p", {}, h("b", {}, `${what} is ready.`), ` ${first}. Made in ${duration(last.ended_at - last.started_at)}, `, time(last.ended_at), "."),
    hasFile ? h("p", {}, h("a", { class: "button", href: "/api/exports/split.zip", download: true }, `Download split.zip (${size(last.bytes)})`)) : null),
  more.length ? h("details", {}, h("summary", {}, "Gates and notes"), h("ul", {}, ...more.map((line) => h("li", {}, line)))) : h("span", {})];
}

async function show() {
  now = /** @type {Exports} */ (await api("GET", "/api/exports"));
  const quotas = Object.fromEntries(Object.entries(now.ready).map(([name, quota]) => [name, { ...quota, surplus: 0, reachable: quota.quota }]));
  fill("ready", ...quotaBars(quotas));
  fill("missing", now.complete
    ? h("p", { class: "notice good" }, "All quotas are filled.")
    : h("div", { class: "notice warn" }, h("p", {}, "Not complete yet:"), h("ul", {}, ...now.missing.map((line) => h("li", {}, line)))));
  const busy = now.running_since !== null;
  byId("make").toggleAttribute("disabled", busy);
  if (busy) {
    fill("last", h("p", { class: "notice" }, `An export is being made, since ${new Date(1000 * (now.running_since ?? 0)).toLocaleTimeString()}. You may leave this page.`));
    setTimeout(() => show().catch(showError), EVERY_MS);
  } else {
    say("");
    fill("last", ...(now.last ? ended(now.last, now.has_file) : []));
  }
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  attempt(async () => {
    await show();
    const data = new FormData(form);
    const final = data.get("final") === "yes";
    const missing = now?.missing ?? [];
    const notes = final
      ? ["The judgements of the exported expressions cannot be undone or asked again any more; to take an expression out, withdraw it.",
        ...(missing.length ? ["The split is not complete:", ...missing] : ["All quotas are filled."])]
      : ["Nothing is fixed: it has what is accepted now.", ...missing];
    if (now?.has_file) notes.push("The file of the export before is replaced.");
    if (await confirmed(final ? "Make the final export?" : "Export what is ready?", notes, { yes: "Make the export" }) === null) return;
    await api("POST", "/api/exports", { final, rewrite_train: data.get("rewrite_train") !== null });
    await show();
    say("Begun.");
  });
});

await show().catch((error) => {
  fill("ready");
  showError(error);
});
