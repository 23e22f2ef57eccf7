/** Progress, reviewers, agreement; asked for again each half minute while the page is looked at. */

import { api } from "../lib/api.js";
import { clearError, duration, figure, fill, h, percent, showError, table } from "../lib/dom.js";
import { fact, quotaBars } from "./quotas.js";

/**
 * @typedef {{hits: number, n: number, frac: number | null, low: number | null, high: number | null}} Share
 * @typedef {{value: number | null, low: number | null, high: number | null}} Figure
 * @typedef {{n: number, videos: number, figures: Record<string, Figure>}} Comparison
 */

const EVERY_MS = 30_000;
const FIGURES = { raw: "Raw", kappa: "Cohen’s kappa", alpha: "Krippendorff’s alpha", ac1: "Gwet’s AC1" };
const STATES = ["sighted", "blind", "adjudicate", "accepted", "surplus", "dropped"];
const number = (/** @type {string} */ label) => ({ label, number: true });

/** @param {Share} share */
function shareCell(share) {
  if (share.frac === null) return h("span", {}, "–");
  const interval = `${share.hits} of ${share.n}, ${percent(share.low)} to ${percent(share.high)}`;
  return h("span", {}, percent(share.frac), " ", h("span", { class: "hint" }, interval));
}

/** @param {Figure | undefined} each */
function figureCell(each) {
  if (!each || each.value === null) return h("span", {}, "–");
  return h("span", {}, figure(each.value), " ", h("span", { class: "hint" }, `${figure(each.low)} to ${figure(each.high)}`));
}

/**
 * @param {string} caption
 * @param {string} first
 * @param {Record<string, Comparison>} comparisons
 */
function comparisonTable(caption, first, comparisons) {
  return table(caption, [{ label: first }, number("Items"), number("Videos"), ...Object.values(FIGURES).map(number)],
    Object.entries(comparisons).map(([name, { n, videos, figures }]) => [
      name, n, videos, ...Object.keys(FIGURES).map((key) => figureCell(figures[key]))]));
}

async function showProgress() {
  const { project } = await api("GET", "/api/progress");
  fill("quotas", ...quotaBars(project.quotas));
  fill("pace", fact("accepted an hour", figure(project.per_h, 1)), fact("time left at this pace", duration(project.eta_s)),
    ...Object.entries(project.slots ?? {}).map(([pass, { open, leased }]) => fact(`${pass} slots`, `${open} open, ${leased} taken`)));
  fill("states", table("Items by state", [{ label: "Kind" }, ...STATES.map(number)],
    Object.entries(project.states ?? {}).map(([kind, states]) => [kind, ...STATES.map((state) => states[state] ?? 0)])));
}

async function showReviewers() {
  const { reviewers } = await api("GET", "/api/stats");
  const columns = [{ label: "Name" }, { label: "Standing" }, number("Judged"), number("Items an hour"), number("Median, sighted"),
    number("Median, blind"), number("Accepts"), number("Edits"), number("Gold right"), number("Blind hits"), number("Share of final accepts")];
  fill("reviewers", table("Everybody who judged something", columns, reviewers.map((/** @type {any} */ each) => [
    each.name, `${each.role}, ${each.standing}`, each.judged, figure(each.work.per_h, 0),
    duration(each.work.median_s.sighted ?? null), duration(each.work.median_s.blind ?? null),
    percent(each.accept_frac), percent(each.edit_frac), shareCell(each.gold), shareCell(each.blind_hit), percent(each.final_frac)])));
}

async function showAgreement() {
  const { sighted, sighted_blind, blind, strata } = await api("GET", "/api/agreement");
  const found = h("p", {}, "Found in the blind pass: ", shareCell(blind.hit),
    `. By chance: ${percent(blind.chance_area_frac)} for a random point, ${percent(blind.chance_object_frac)} for a random object.`);
  const groups = Object.entries(/** @type {Record<string, Record<string, any>>} */ (strata)).map(([name, values]) => table(`By ${name.replace("_", " ")}`,
    [{ label: name.replace("_", " ") }, number("Items"), number("Accepted"), number("Pairs"), ...Object.values(FIGURES).map(number), number("Blind hits")],
    Object.entries(values).map(([value, each]) => [value, each.items, shareCell(each.accepted), each.sighted.n,
      ...Object.keys(FIGURES).map((key) => figureCell(each.sighted.figures[key])), shareCell(each.blind_hit)])));
  fill("agreement", found, comparisonTable("Two sighted reviewers", "Question", sighted),
    comparisonTable("Sighted and blind reviewer", "Question", sighted_blind), ...groups);
}

async function show() {
  try {
    await Promise.all([showProgress(), showReviewers(), showAgreement()]);
    clearError();
  } catch (error) {
    showError(error);
  }
}

setInterval(() => {
  if (!document.hidden && !document.activeElement?.closest(".scroll")) show();
}, EVERY_MS);
await show();
