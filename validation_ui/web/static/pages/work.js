/** Who judged what, and having the work of one person done again; for admins. */

import { api } from "../lib/api.js";
import { attempt, byId, duration, field, fill, h, say, table, time } from "../lib/dom.js";

/**
 * @typedef {{id: number, person_id: number, name: string, public_id: string, kind: string, decision: string,
 *   created_at: number, spent_s: number, state: string, gold: boolean, exported_at: number | null,
 *   undone_at: number | null, undone_by: string | null}} Judgement
 * @typedef {{id: number, name: string}} Person
 */

const COLUMNS = [{ label: "When" }, { label: "Who" }, { label: "Item" }, { label: "Pass" }, { label: "Decision" },
  { label: "Time", number: true }, { label: "Item now" }];
const UNDONE = { person: "undone by the person", gold_gate: "undone: too many gold items wrong", admin: "undone by an admin: done again by others",
  reopened: "set aside by an admin: the item is asked again" };

/** @type {Person | null} */
let shown = null;

/** @param {Judgement} judgement */
function row(judgement) {
  const by = UNDONE[/** @type {keyof UNDONE} */ (judgement.undone_by)];
  const now = judgement.gold ? "gold" : judgement.exported_at ? `${judgement.state}, exported` : judgement.state;
  return [time(judgement.created_at), judgement.name,
    h("a", { href: `/i/${encodeURIComponent(judgement.public_id)}` }, judgement.public_id), judgement.kind,
    judgement.undone_at ? h("span", {}, h("s", {}, judgement.decision), ` ${by}`) : judgement.decision,
    duration(judgement.spent_s), now];
}

/**
 * Show the judgements that a query finds, newest first, and a button for older ones.
 *
 * @param {string} query
 * @param {string} caption
 */
async function show(query, caption) {
  /** @type {Judgement[]} */
  const found = [];
  const more = async () => {
    const before = found.at(-1);
    const answer = await api("GET", `/api/judgements?limit=25&${query}${before ? `&before=${before.id}` : ""}`);
    found.push(...answer.judgements);
    const older = h("button", { type: "button", onclick: () => attempt(more) }, "Older ones");
    const empty = h("p", { class: "empty" }, "There are no judgements.");
    fill("work", found.length ? table(caption, COLUMNS, found.map(row)) : empty, ...(answer.more ? [older] : []));
  };
  await more();
}

/**
 * Show what one person judged, and what would be opened again.
 *
 * @param {Person} person
 */
export async function showWork(person) {
  shown = person;
  await show(`person_id=${person.id}`, `Judgements of ${person.name}`);
  byId("redo").hidden = false;
  byId("redo-title").textContent = `Have the work of ${person.name} done again`;
  forget();
  byId("work-title").focus();
}

/** The time that was chosen, in seconds since 1970; 0 if none was: from the beginning. */
const since = () => (field("since").value ? new Date(field("since").value).getTime() / 1000 : 0);

/** @param {string[]} exported */
const named = (exported) => (exported.length ? ` Exported: ${exported.join(", ")}.` : "");

/** @param {number} n @param {string} noun */
const counted = (n, noun) => `${n} ${noun}${n === 1 ? "" : "s"}`;

/** What was counted is out of date. */
function forget() {
  byId("redo-count").textContent = "";
  byId("redo-now").hidden = true;
}

byId("since").addEventListener("input", forget);
byId("who").addEventListener("submit", (event) => {
  event.preventDefault();
  byId("redo").hidden = true;
  attempt(() => show(`public_id=${encodeURIComponent(field("item").value.trim())}`, `Judgements of ${field("item").value}`));
});
byId("redo").addEventListener("submit", (event) => {
  event.preventDefault();
  attempt(async () => {
    const { judgements, items, exported } = await api("GET", `/api/people/${shown?.id}/redo?since=${since()}`);
    byId("redo-count").textContent = `${counted(judgements, "judgement")} of ${counted(items, "item")}.${named(exported)}`;
    byId("redo-now").hidden = judgements === 0;
  });
});
byId("redo-now").addEventListener("click", () => attempt(async () => {
  if (!shown) return;
  const { judgements, exported } = await api("POST", `/api/people/${shown.id}/redo`, { since: since() });
  await showWork(shown);
  const again = exported.length ? ` Their text in the split on disk rests on this: export again when they are accepted.` : "";
  say(`Opened again: ${counted(judgements, "judgement")}.${named(exported)}${again}`);
}));
