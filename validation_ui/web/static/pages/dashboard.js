/** Progress, reviewers and agreement, fetched again every half minute while the page is visible. */

import { api } from "../lib/api.js";
import { clearError, duration, figure, fill, h, percent, showError, table } from "../lib/dom.js";
import { drawSentence, fact, quotaBars } from "./quotas.js";

/**
 * @typedef {{hits: number, n: number, frac: number | null, low: number | null, high: number | null}} Share
 * @typedef {{value: number | null, low: number | null, high: number | null}} Figure
 * @typedef {{n: number, videos: number, figures: Record<string, Figure>}} Comparison
 */

const TOO_FEW = 20; // as in validation_ui/statistics/progress.py
const EVERY_MS = 30_000;
const FIGURES = { raw: "Raw", kappa: "Cohen’s kappa", alpha: "Krippendorff’s alpha", ac1: "Gwet’s AC1" };
const STATES = ["sighted", "blind", "adjudicate", "accepted", "surplus", "dropped", "no_person_left"];
const number = (/** @type {string} */ label) => ({ label, number: true });

/** @param {string} text */
const sentence = (text) => `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;

/** @param {number} n */
const tooFew = (n) => h("span", { class: "hint" }, n ? `too few (${n} of ${TOO_FEW})` : "–");

/** @param {Share} share */
function shareCell(share) {
  if (share.frac === null) return h("span", {}, "–");
  if (share.n < TOO_FEW) return tooFew(share.n);
  const interval = `${share.hits} of ${share.n}, ${percent(share.low)} to ${percent(share.high)}`;
  return h("span", {}, percent(share.frac), " ", h("span", { class: "hint" }, interval));
}

/** @param {Figure | undefined} coefficient */
function figureCell(coefficient) {
  if (!coefficient || coefficient.value === null) return h("span", {}, "–");
  return h("span", {}, figure(coefficient.value), " ", h("span", { class: "hint" }, `${figure(coefficient.low)} to ${figure(coefficient.high)}`));
}

/**
 * @param {string} caption
 * @param {string} first
 * @param {Record<string, Comparison>} comparisons
 */
function comparisonTable(caption, first, comparisons) {
  return table(caption, [{ label: first }, number("Items"), number("Videos"), ...Object.values(FIGURES).map(number)],
    Object.entries(comparisons).map(([name, { n, videos, figures }]) => [
      name, n, videos, ...Object.keys(FIGURES).map((key) => (n < TOO_FEW ? tooFew(n) : figureCell(figures[key])))]));
}

async function showProgress() {
  const { project, draw } = await api("GET", "/api/progress");
  fill("team", ...(project.team.advice ? [h("p", { class: "notice warn" }, sentence(project.team.advice))] : []));
  fill("draw", ...(draw ? [h("p", { class: "notice warn" }, drawSentence(draw))] : []));
  fill("quotas", ...quotaBars(project.quotas));
  fill("pace", fact("accepted an hour", figure(project.per_h, 1)), fact("time left at this pace", duration(project.eta_s)),
    ...Object.entries(project.slots ?? {}).map(([pass, { open, leased }]) => fact(`${pass} slots`, `${open} open, ${leased} taken`)));
  fill("states", table("Items by state", [{ label: "Kind" }, ...STATES.map((state) => number(state.replaceAll("_", " ")))],
    Object.entries(project.states ?? {}).map(([kind, states]) => [kind, ...STATES.map((state) => states[state] ?? 0)])));
}

/** The items that wait for somebody who is not there, for admins. */
async function showUnstaffed() {
  if (!document.getElementById("unstaffed")) return;
  /** @type {{items: {public_id: string, video_id: string, kind: string, state: string, reason: string, way_out: string}[]}} */
  const { items } = await api("GET", "/api/unstaffed");
  fill("unstaffed", ...(items.length ? [h("p", {}, h("a", { href: "/items?state=stuck" }, "Look for them among the items"), ", where each can be given to somebody or withdrawn."), table("Items that nobody of the team may judge any more",
    [{ label: "Item" }, { label: "Video" }, { label: "Waits in" }, { label: "Why" }, { label: "Way out" }],
    items.map((item) => [h("a", { href: `/i/${encodeURIComponent(item.public_id)}` }, item.public_id), item.video_id,
      `${item.state} pass, ${item.kind}`, sentence(item.reason), sentence(item.way_out)]))] : []));
}

async function showReviewers() {
  const { reviewers } = await api("GET", "/api/stats");
  const columns = [{ label: "Name" }, { label: "Standing" }, number("Judged"), number("Items an hour"), number("Median, sighted"),
    number("Median, blind"), number("Accepts"), number("Edits"), number("Gold right"), number("Blind hits"), number("Share of final accepts")];
  fill("reviewers", table("Everybody who judged something", columns, reviewers.map((/** @type {any} */ reviewer) => [
    reviewer.name, `${reviewer.role}, ${reviewer.standing}`, reviewer.judged, figure(reviewer.work.per_h, 0),
    duration(reviewer.work.median_s.sighted ?? null), duration(reviewer.work.median_s.blind ?? null),
    percent(reviewer.accept_frac), percent(reviewer.edit_frac), shareCell(reviewer.gold), shareCell(reviewer.blind_hit), percent(reviewer.final_frac)])));
}

async function showAgreement() {
  const { sighted, sighted_blind, blind, strata } = await api("GET", "/api/agreement");
  const found = h("p", {}, "Found in the blind pass: ", shareCell(blind.hit),
    `. By chance: ${percent(blind.chance_area_frac)} for a random point, ${percent(blind.chance_object_frac)} for a random object.`);
  const groups = Object.entries(/** @type {Record<string, Record<string, any>>} */ (strata)).map(([name, values]) => table(`By ${name.replace("_", " ")}`,
    [{ label: name.replace("_", " ") }, number("Items"), number("Accepted"), number("Pairs"), ...Object.values(FIGURES).map(number), number("Blind hits")],
    Object.entries(values).map(([value, stratum]) => [value, stratum.items, shareCell(stratum.accepted), stratum.sighted.n,
      ...Object.keys(FIGURES).map((key) => (stratum.sighted.n < TOO_FEW ? tooFew(stratum.sighted.n) : figureCell(stratum.sighted.figures[key]))), shareCell(stratum.blind_hit)])));
  fill("agreement", found, comparisonTable("Two sighted reviewers", "Question", sighted),
    comparisonTable("Sighted and blind reviewer", "Question", sighted_blind), ...groups);
}

async function show() {
  try {
    await Promise.all([showProgress(), showUnstaffed(), showReviewers(), showAgreement()]);
    clearError();
  } catch (error) {
    showError(error);
  }
}

setInterval(() => {
  if (!document.hidden && !document.activeElement?.closest(".scroll")) show();
}, EVERY_MS);
await show();
