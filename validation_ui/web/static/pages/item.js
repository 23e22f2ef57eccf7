/** One item by its link: /i/{public_id}?f=<source frame>&v=outline|fill|spotlight. */

import { api } from "../lib/api.js";
import { byId, fill, h, showError, time } from "../lib/dom.js";
import { playerOf } from "../player/mine.js";
import { itemPath, mayLook, showDesk } from "./item_desk.js";

/** @typedef {import("../player/types.js").Style} Style */
/**
 * @typedef {{label: string, mine: boolean, kind: string, decision: string, parts: Record<string, string>,
 *   reasons: string[], note: string, text: Record<string, string> | null, answer: string | null, hit: boolean | null,
 *   at: number}} Judgement
 */


/** @param {Judgement} judgement */
function row(judgement) {
  const pointed = judgement.answer === "pointed" ? (judgement.hit ? "found it" : "missed it") : judgement.answer;
  const parts = Object.entries(judgement.parts).map(([part, verdict]) => `${part} ${verdict}`).join(", ");
  const reasons = judgement.reasons.map((reason) => reason.replaceAll("_", " ")).join(", ");
  return h("li", {},
    h("b", {}, `${judgement.mine ? "You" : judgement.label}: ${judgement.decision}`),
    h("span", {}, [judgement.kind, pointed].filter(Boolean).join(", ")),
    h("span", { class: "when" }, time(judgement.at)),
    h("span", { class: "detail" }, [parts, reasons].filter(Boolean).join(" · ")),
    judgement.note && h("span", { class: "detail" }, `“${judgement.note}”`),
    judgement.text && h("span", { class: "detail" }, `New text: ${Object.values(judgement.text).join(" ")}`));
}

async function show() {
  const publicId = decodeURIComponent(location.pathname.split("/").at(-1) ?? "");
  const path = itemPath(publicId);
  const { item, video, masks } = await api("GET", path);
  byId("item").hidden = false;
  fill("text", ...item.parts.map((/** @type {{name: string, text: string}} */ part) => (
    h("div", {}, h("dt", {}, part.name), h("dd", {}, part.text)))));
  await prepare(publicId);
  const query = new URLSearchParams(location.search);
  const frame = Number.parseInt(query.get("f") ?? "", 10);
  const view = /** @type {Style | undefined} */ (query.get("v") ?? undefined); // the player knows which there are
  const { judgements } = await api("GET", `${path}/history`);
  fillHistory(judgements);
  const { preferences } = await api("GET", "/api/me");
  const player = playerOf(byId("player"), preferences);
  const at = Number.isInteger(frame) && frame >= 0 && frame < video.frame_count ? { frame } : {};
  await player.load(video, await api("GET", masks), { ...at, ...(view && { view }) });
}

/**
 * Show the text, and for admins the steps; ask those who judge before anything is shown that uses them up.
 *
 * @param {string} publicId
 */
async function prepare(publicId) {
  const role = byId("item").dataset.role;
  if (role === "reviewer") return;
  const desk = await api("GET", `${itemPath(publicId)}/desk`);
  const showSteps = async () => {
    const { admin } = await api("GET", `${itemPath(publicId)}/desk`);
    showDesk(publicId, admin, async () => {
      await showSteps();
      fillHistory((await api("GET", `${itemPath(publicId)}/history`)).judgements);
    });
  };
  if (desk.admin) await showSteps();
  await mayLook(publicId, desk.uses_up, role === "admin");
  if (desk.admin) await showSteps(); // from now on the admin is not among those who may judge it
}

/** @param {Judgement[]} judgements */
function fillHistory(judgements) {
  fill("history", ...judgements.map(row));
  if (!judgements.length) fill("history", h("li", { class: "empty" }, "None that is open to you."));
}

await show().catch((error) => {
  document.getElementById("desk")?.removeAttribute("aria-busy");
  showError(error);
});
