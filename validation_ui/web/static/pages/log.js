/** The audit log, newest page first. */

import { api } from "../lib/api.js";
import { attempt, byId, field, fill, h, say, showError, table, time } from "../lib/dom.js";

const ROWS = 100;
let after = 0;
let last = 0;

/** @type {Map<string, string>} "person:3" -> their name */
const names = new Map();

/** @param {string} who */
const named = (who) => names.get(who) ?? who;

async function show() {
  const answer = await api("GET", `/api/audit?after=${after}&limit=${ROWS}`);
  last = answer.last;
  field("older").disabled = after === 0;
  field("newer").disabled = after + ROWS >= last;
  fill("log", table(`Rows ${Math.min(after + 1, last)} to ${Math.min(after + ROWS, last)} of ${last}`,
    [{ label: "Row" }, { label: "When" }, { label: "Who" }, { label: "What" }, { label: "Of" }, { label: "More" }],
    answer.rows.toReversed().map((/** @type {any} */ row) => [row.id, time(row.at), named(row.actor), row.action.replaceAll("_", " "), named(row.subject),
      h("code", {}, row.body === "{}" ? "" : row.body)])));
}

/** @param {number} by */
function move(by) {
  after = Math.max(0, Math.min(after + by, last - 1));
  attempt(show);
}

byId("older").addEventListener("click", () => move(-ROWS));
byId("newer").addEventListener("click", () => move(ROWS));
byId("verify").addEventListener("click", () => attempt(async () => {
  say("Verifying…");
  const { whole, rows, message } = await api("GET", "/api/audit/verify");
  say(whole ? `The log is whole: ${rows} rows, each as it was written.` : message);
}));

try {
  for (const { id, name } of (await api("GET", "/api/people")).people) names.set(`person:${id}`, name);
  last = (await api("GET", "/api/audit?limit=1")).last;
  after = Math.max(0, last - ROWS);
  await show();
} catch (error) {
  showError(error);
}
