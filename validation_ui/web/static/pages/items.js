/** The item browser: filters are the page's address, so a list can be sent as a link. */

import { api } from "../lib/api.js";
import { byId, fill, h, say, showError, table } from "../lib/dom.js";

/**
 * @typedef {{public_id: string, number: number, video_id: string, kind: string, state: string, withdrawn: boolean,
 *   exported: boolean, text: string, judgements: number | null, holder: string | null}} Item
 */

const FILTERS = ["id", "video", "state", "person", "pass", "reason", "disagreement", "sort"];
const STATES = { sighted: "sighted pass", blind: "blind pass", adjudicate: "adjudication", gold: "gold item" };
const form = /** @type {HTMLFormElement} */ (byId("filters"));
const asked = new URLSearchParams(location.search);

/** @param {Item} item */
function state({ state, withdrawn, exported, holder }) {
  const name = STATES[/** @type {keyof STATES} */ (state)] ?? state;
  const more = [withdrawn && (state === "gold" ? "retired" : "withdrawn"), exported && "exported", holder && `${holder} has it`];
  return [name, ...more.filter(Boolean)].join(", ");
}

/** @param {Item} item */
function row(item) {
  const cells = [h("a", { class: "open", href: `/i/${encodeURIComponent(item.public_id)}` }, `No. ${item.number}`, h("span", { class: "hint" }, item.public_id)),
    item.video_id, `${item.kind}`, state(item), h("span", { class: "clip" }, item.text)];
  return item.judgements === null ? cells : [...cells, item.judgements];
}

/** The address of this list, beginning elsewhere. @param {string} after */
function listFrom(after) {
  const query = new URLSearchParams(asked);
  query.delete("after");
  if (after) query.set("after", after);
  const text = query.toString();
  return `/items${text ? `?${text}` : ""}`;
}

/** @param {string} id @param {string | null} href */
function link(id, href) {
  byId(id).hidden = href === null;
  if (href !== null) byId(id).setAttribute("href", h("a", { href }).getAttribute("href") ?? "");
}

async function show() {
  const narrow = matchMedia("(max-width: 44rem)"); // there the filters would hide the list that they found
  const details = /** @type {HTMLDetailsElement} */ (byId("find"));
  details.open = !narrow.matches || !FILTERS.some((name) => asked.has(name));
  narrow.addEventListener("change", () => (details.open = true));
  for (const name of FILTERS) {
    const input = /** @type {HTMLInputElement | HTMLSelectElement | null} */ (form.elements.namedItem(name));
    if (input) input.value = asked.get(name) ?? "";
  }
  const person = /** @type {HTMLSelectElement | null} */ (document.getElementById("person"));
  if (person) {
    const { people } = await api("GET", "/api/people");
    person.append(...people.map((/** @type {{id: number, name: string}} */ one) => h("option", { value: one.id }, one.name)));
    person.value ||= asked.get("person") ?? ""; // what somebody typed or chose in the meantime stays
  }
  const { items, total, next } = await api("GET", `/api/items?${asked}`);
  const isAdmin = items[0]?.judgements !== null;
  const columns = [{ label: "Item" }, { label: "Video" }, { label: "Kind" }, { label: "State" }, { label: "Text" }];
  fill("items", items.length
    ? table("Items", isAdmin ? [...columns, { label: "Judgements", number: true }] : columns, items.map(row))
    : h("p", { class: "empty" }, "No item fits. Take a filter away."));
  say(`${total} item${total === 1 ? "" : "s"}${total > items.length ? `, ${items.length} on this page` : ""}.`);
  link("first", asked.has("after") ? listFrom("") : null);
  link("next", next === null ? null : listFrom(next));
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const query = new URLSearchParams();
  for (const [name, value] of new FormData(form)) if (value) query.set(name, String(value).trim());
  location.search = query.toString();
});

await show().catch((error) => {
  fill("items");
  showError(error);
});
