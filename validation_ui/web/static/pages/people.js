/** Roles, standings, accounts and invites, for admins. What people judged: work.js. */

import { address } from "../lib/address.js";
import { api } from "../lib/api.js";
import { attempt, byId, field, fill, h, say, showError, table, time } from "../lib/dom.js";
import { showWork } from "./work.js";

/**
 * @typedef {{id: number, name: string, role: string, standing: string, account: string, entry_round: number,
 *   created_at: number, sessions: number, resets: boolean}} Person
 */

const ROLES = ["reader", "reviewer", "adjudicator", "admin"];
const STANDINGS = { entry: "entry test", active: "active", failed: "failed the test", stopped: "stopped" };

const ACCOUNTS = { open: "open", paused: "paused", closed: "closed" };
const SAID = {
  open: "takes part again.",
  paused: "is paused: no items until you open the account again. What they held is free for others.",
  closed: "is signed out and cannot sign in. What they judged still counts.",
};

/**
 * @param {string} label
 * @param {Record<string, string>} options
 * @param {string} value
 * @param {boolean} disabled
 * @param {(value: string) => Promise<unknown>} change
 */
function select(label, options, value, disabled, change) {
  const element = h("select", { "aria-label": label, disabled, onchange: async () => {
    if (!(await attempt(() => change(element.value)))) element.value = value;
  } }, ...Object.entries(options).map(([key, text]) => h("option", { value: key, selected: key === value }, text)));
  return element;
}

/**
 * @param {Person} person
 * @param {boolean} own
 */
function row(person, own) {
  const change = (/** @type {object} */ body, /** @type {string} */ said) => async () => {
    await api("PATCH", `/api/people/${person.id}`, body);
    say(said);
    await showPeople();
  };
  const role = select(`Role of ${person.name}`, Object.fromEntries(ROLES.map((each) => [each, each])), person.role, own,
    (value) => change({ role: value }, `${person.name} is now ${value} and was signed out.`)());
  const offered = Object.fromEntries(Object.entries(STANDINGS).filter(([key]) => key !== "failed" || person.standing === key));
  const standing = select(`Standing of ${person.name}`, offered, person.standing, own,
    (value) => change({ standing: value }, `${person.name}: ${STANDINGS[/** @type {keyof STANDINGS} */ (value)]}.`)());
  const account = select(`Account of ${person.name}`, ACCOUNTS, person.account, own,
    (value) => change({ account: value }, `${person.name} ${SAID[/** @type {keyof SAID} */ (value)]}`)());
  const revoke = h("button", { type: "button", disabled: person.sessions === 0, onclick: () => attempt(async () => {
    const { revoked } = await api("POST", `/api/people/${person.id}/sessions/revoke`);
    if (own) location.assign(address("/login"));
    say(`${person.name} was signed out of ${revoked} session${revoked === 1 ? "" : "s"}.`);
    await showPeople();
  }) }, "Sign out", h("span", { class: "sr" }, ` ${person.name} everywhere`));
  const reset = h("button", { type: "button", disabled: own || person.account === "closed", onclick: () => attempt(async () => {
    if (!confirm(`${person.name}'s password stops working at once, and you get a link for a new one. Go on?`)) return;
    const { url } = await api("POST", `/api/people/${person.id}/reset`);
    showLink(url, `Send this link to ${person.name}. It works once and for 24 hours, and is not shown again.`);
    await showPeople();
  }) }, "New password", h("span", { class: "sr" }, ` for ${person.name}`));
  const work = h("button", { type: "button", onclick: () => attempt(() => showWork(person)) }, "Work", h("span", { class: "sr" }, ` of ${person.name}`));
  const joined = person.resets ? h("span", {}, time(person.created_at), h("br"), "awaits a new password") : time(person.created_at);
  return [own ? `${person.name} (you)` : person.name, role, standing, account, joined, person.sessions,
    h("div", { class: "inline" }, work, reset, revoke)];
}

async function showPeople() {
  const [{ people }, me] = await Promise.all([api("GET", "/api/people"), api("GET", "/api/me")]);
  const columns = ["Name", "Role", "Standing", "Account", "Joined"].map((label) => ({ label }));
  fill("people", table("Everybody", [...columns, { label: "Sessions", number: true }, { label: "" }],
    people.map((/** @type {Person} */ person) => row(person, person.id === me.id))));
}

/**
 * @param {string} url
 * @param {string} text
 */
function showLink(url, text) {
  byId("link").hidden = false;
  byId("link-label").textContent = text;
  field("url").value = url;
  field("url").focus();
  field("url").select();
}

async function showInvites() {
  const { invites } = await api("GET", "/api/invites");
  if (!invites.length) {
    fill("invites", h("p", { class: "empty" }, "No invite is open."));
    return;
  }
  fill("invites", table("Open invites", [{ label: "For a" }, { label: "Made" }, { label: "Ends" }, { label: "" }],
    invites.map((/** @type {any} */ each) => [each.role, time(each.created_at), time(each.expires_at),
      h("button", { type: "button", onclick: () => attempt(async () => {
        await api("DELETE", `/api/invites/${each.id}`);
        byId("link").hidden = true;
        say("Revoked: the link no longer works.");
        await showInvites();
      }) }, "Revoke", h("span", { class: "sr" }, ` the invite for a ${each.role}`))])));
}

byId("invite").addEventListener("submit", (event) => {
  event.preventDefault();
  attempt(async () => {
    const { url } = await api("POST", "/api/invites", { role: field("role").value });
    showLink(url, "Send this link to one person. It works once and for 7 days, and is not shown again.");
    await showInvites();
  });
});

byId("copy").addEventListener("click", async () => {
  field("url").select();
  try {
    await navigator.clipboard.writeText(field("url").value); // only over HTTPS or on this machine
    say("Copied.");
  } catch {
    say("Press Ctrl+C to copy the selected link.");
  }
});

await Promise.all([showPeople(), showInvites()]).catch(showError);
