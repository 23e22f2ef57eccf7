/** What an admin may do with the item of the page: every step is tried first, and what it would do is told. */

import { api } from "../lib/api.js";
import { attempt, byId, fill, h, say } from "../lib/dom.js";
import { confirmed, sentence } from "./confirm.js";

/**
 * @typedef {{id: number, name: string, role: string, why_not: string | null}} Candidate
 * @typedef {{mark: string, number: number, object_id: string, video_id: string, state: string, kind: string, retired: boolean,
 *   exported: boolean, answer: "accept" | "reject" | null, judged: boolean, mates: {public_id: string, kind: string, state: string}[],
 *   candidates: Candidate[], stuck: {reason: string, way_out: string} | null}} Desk
 */

/** The link of an item. @param {string} publicId */
export const itemPath = (publicId) => `/api/items/${encodeURIComponent(publicId)}`;

/**
 * Show the facts of an item and the steps.
 *
 * @param {string} publicId
 * @param {Desk} desk
 * @param {() => Promise<void>} changed  called after a step
 */
export function showDesk(publicId, desk, changed) {
  /** @type {(title: string, yes: string, path: string, body: object) => Promise<unknown>} */
  const step = (title, yes, path, body) => attempt(async () => {
    const url = `${itemPath(publicId)}/${path}`;
    const sent = { ...body, mark: desk.mark };
    const { notes } = await api("POST", url, { ...sent, preview: true });
    const note = await confirmed(title, notes, { yes, note: true });
    if (note === null) return;
    const done = await api("POST", url, { ...sent, note });
    say(done.notes.map(sentence).join(" "));
    await changed();
  });
  /** @type {(label: string, title: string, path: string, body: object) => HTMLElement} */
  const button = (label, title, path, body) => (
    h("button", { type: "button", onclick: () => step(title, label, path, body) }, label));
  const state = desk.answer ? `gold item, right answer: ${desk.answer}` : desk.retired ? `${desk.state}, withdrawn` : desk.state;
  const facts = h("dl", { class: "facts" },
    ...Object.entries({ number: desk.number, object: desk.object_id, state, "in a final export": desk.exported ? "yes" : "no" })
      .map(([term, value]) => h("div", {}, h("dt", {}, term), h("dd", {}, value))));
  const buttons = desk.answer
    ? [button(`The right answer is ${desk.answer === "accept" ? "reject" : "accept"}`, "Correct the known answer?", "answer",
      { answer: desk.answer === "accept" ? "reject" : "accept" })]
    : [
      desk.judged && !desk.retired && button("Ask again from the last judgement", "Set the last judgement aside?", "reopen", { since: "last" }),
      desk.judged && !desk.retired && button("Ask all again", "Set all judgements aside?", "reopen", { since: "start" }),
      desk.retired
        ? button("Put it back", "Put the item back?", "withdraw", { withdrawn: false })
        : button("Withdraw it", "Withdraw the item?", "withdraw", { withdrawn: true }),
    ];
  fill("desk",
    ...(desk.stuck ? [h("p", { class: "notice warn" }, h("b", {}, "Stuck. "), sentence(desk.stuck.reason), " ", sentence(desk.stuck.way_out))] : []),
    facts, h("div", { class: "inline" }, ...buttons.filter((one) => one instanceof Node)),
    ...(desk.candidates.length ? [people(desk, step)] : []),
    h("p", {}, h("a", { href: `/items?video=${encodeURIComponent(desk.video_id)}` }, "All items of its video"),
      ...desk.mates.flatMap((mate) => [" · ", h("a", { href: `/i/${encodeURIComponent(mate.public_id)}` }, `the ${mate.kind} expression of this object (${mate.state})`)])));
}

/**
 * Who may give the next judgement, and who may not and why.
 *
 * @param {Desk} desk
 * @param {(title: string, yes: string, path: string, body: object) => Promise<unknown>} step
 */
function people(desk, step) {
  const may = desk.candidates.filter((one) => one.why_not === null);
  const select = h("select", { id: "assign-to" }, ...may.map((one) => h("option", { value: one.id }, `${one.name}, ${one.role}`)));
  const form = h("form", { class: "inline", onsubmit: (event) => {
    event.preventDefault();
    const person = may.find((one) => one.id === Number(select.value));
    if (person) step(`Keep it for ${person.name}?`, "Keep it for them", "assign", { person_id: person.id });
  } }, h("label", { for: "assign-to" }, "Next judgement by"), select, h("button", { type: "submit" }, "Assign"));
  const not = desk.candidates.filter((one) => one.why_not !== null);
  return h("div", {}, may.length ? form : h("p", {}, "Nobody may give its next judgement now."),
    not.length ? h("details", {}, h("summary", {}, `Who may not, and why (${not.length})`),
      h("ul", {}, ...not.map((one) => h("li", {}, `${one.name} ${one.why_not}.`)))) : null);
}

/**
 * Ask a person who judges before they look: true once they may be shown the object and what others said.
 *
 * @param {string} publicId
 * @param {{blind: boolean, item: boolean}} usesUp
 * @param {boolean} isAdmin
 */
export async function mayLook(publicId, usesUp, isAdmin) {
  const look = async () => {
    if (isAdmin) await api("POST", `${itemPath(publicId)}/look`, {});
  };
  const lost = [usesUp.item && "not be asked about this item any more", usesUp.blind && "get no blind items of its video any more"];
  const will = lost.filter(Boolean).join(", and ");
  if (!will) {
    await look();
    return;
  }
  const gate = byId("gate");
  const show = h("button", { type: "button", class: "primary" }, "Show it all the same");
  gate.replaceChildren(h("p", {}, `You judge in this project. If you look at the object, or at what others said of it, you will ${will}.`), show);
  gate.hidden = false;
  await new Promise((resolve) => show.addEventListener("click", resolve, { once: true }));
  await look();
  gate.hidden = true;
}
