/** The start: what there is to do, the quotas, one's own work and last judgements. */

import { api } from "../lib/api.js";
import { attempt, byId, duration, figure, fill, h, say, showError, time } from "../lib/dom.js";
import { fact, quotaBars } from "./quotas.js";

/** @typedef {{id: number, public_id: string, kind: string, decision: string, at: number, can_undo: boolean}} Mine */

const PASSES = { sighted: "sighted", blind: "blind", adjudicate: "adjudication" };
const DECISIONS = { accept: "accepted", edit: "edited", reject: "rejected", flag: "flagged" };

async function showProgress() {
  const { project, mine } = await api("GET", "/api/progress");
  fill("quotas", ...quotaBars(project.quotas));
  for (const place of document.querySelectorAll("[data-count]")) {
    const slots = project.slots?.[place.getAttribute("data-count") ?? ""];
    if (slots) place.textContent = `${slots.open} open`;
  }
  if (!document.getElementById("mine")) return;
  const medians = Object.entries(/** @type {Record<string, number>} */ (mine.median_s))
    .map(([pass, seconds]) => fact(`median, ${PASSES[/** @type {keyof PASSES} */ (pass)] ?? pass}`, duration(seconds)));
  fill("mine", fact("judged", String(mine.judged)), fact("an hour", figure(mine.per_h, 0)), ...medians);
}

async function showLast() {
  /** @type {Mine[]} */
  const last = await api("GET", "/api/mine");
  byId("undo").hidden = !last[0]?.can_undo;
  fill("last", ...last.map((judgement) => h("li", {},
    h("a", { href: `/i/${encodeURIComponent(judgement.public_id)}` }, DECISIONS[/** @type {keyof DECISIONS} */ (judgement.decision)] ?? judgement.decision),
    h("span", {}, PASSES[/** @type {keyof PASSES} */ (judgement.kind)] ?? judgement.kind),
    h("span", { class: "when" }, time(judgement.at)))));
  if (!last.length) byId("last").append(h("li", { class: "empty" }, "Nothing yet."));
}

await showProgress().catch(showError);
if (document.getElementById("last")) {
  byId("undo").addEventListener("click", () => attempt(async () => {
    await api("POST", "/api/undo", {});
    say("Taken back. You find it again in your queue.");
    await showLast();
  }));
  await showLast().catch(showError);
}
