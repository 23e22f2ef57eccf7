/** The quotas: their bars, on the start page and the dashboard, and what raised ones still wait for. */

import { h } from "../lib/dom.js";

/** @typedef {{accepted: number, quota: number, surplus: number, reachable: number}} Quota */

/** @typedef {{running: boolean, fault: string}} Draw  of candidates that raised quotas need; fault: of the last try */

/** @type {[string, string][]} */
const NAMES = [["videos", "Videos"], ["long", "Long expressions"], ["short", "Short expressions"]];

/**
 * @param {Record<string, Quota>} quotas
 * @returns {HTMLElement[]}
 */
export function quotaBars(quotas) {
  return NAMES.flatMap(([key, name]) => {
    const quota = quotas[key];
    if (!quota) return [];
    const id = `quota-${key}`;
    const more = quota.surplus ? ` (${quota.surplus} more beyond it)` : "";
    const most = quota.reachable < quota.quota ? `; this run can reach ${quota.reachable}` : "";
    return [h("div", {},
      h("div", { class: "bar-label" }, h("span", { id }, name), h("span", {}, `${quota.accepted} of ${quota.quota}${more}${most}`)),
      h("progress", { max: Math.max(quota.quota, 1), value: Math.min(quota.accepted, quota.quota), "aria-labelledby": id }))];
  });
}

/** @param {Draw} draw */
export function drawSentence({ running, fault }) {
  if (running) return "More candidates are being drawn for the raised quotas. Those that are ready are given out already.";
  const why = fault ? ` The last try failed: ${fault.replace(/\.$/, "")}.` : "";
  return `More candidates are still to be drawn for the raised quotas.${why} An admin starts that under Settings; it also goes on when the app is started again.`;
}

/**
 * A term and its figure.
 *
 * @param {string} term
 * @param {string} value
 */
export function fact(term, value) {
  return h("div", {}, h("dt", {}, term), h("dd", {}, value));
}
