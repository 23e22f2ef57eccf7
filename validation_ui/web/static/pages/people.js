/** Roles, standings and invites, for admins. */

import { address } from "../lib/address.js";
import { api } from "../lib/api.js";
import { attempt, byId, field, fill, h, say, showError, table, time } from "../lib/dom.js";

/**
 * @typedef {{id: number, name: string, role: string, standing: string, entry_round: number, created_at: number,
 *   sessions: number}} Person
 */

const ROLES = ["reader", "reviewer", "adjudicator", "admin"];
const STANDINGS = { entry: "entry test", active: "active", failed: "failed the test", stopped: "stopped" };

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
  const revoke = h("button", { type: "button", disabled: person.sessions === 0, onclick: () => attempt(async () => {
    const { revoked } = await api("POST", `/api/people/${person.id}/sessions/revoke`);
    if (own) location.assign(address("/login"));
    say(`${person.name} was signed out of ${revoked} session${revoked === 1 ? "" : "s"}.`);
    await showPeople();
  }) }, "Sign out", h("span", { class: "sr" }, ` ${person.name} everywhere`));
  return [own ? `${person.name} (you)` : person.name, role, standing, time(person.created_at), person.sessions, revoke];
}

async function showPeople() {
  const [{ people }, me] = await Promise.all([api("GET", "/api/people"), api("GET", "/api/me")]);
  const columns = ["Name", "Role", "Standing", "Joined"].map((label) => ({ label }));
  fill("people", table("Everybody", [...columns, { label: "Sessions", number: true }, { label: "" }],
    people.map((/** @type {Person} */ person) => row(person, person.id === me.id))));
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
    byId("link").hidden = false;
    field("url").value = url;
    field("url").focus();
    field("url").select();
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
