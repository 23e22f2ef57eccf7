/** Quotas and other settings: what a change would do is told before it is saved. */

import { api, ApiError } from "../lib/api.js";
import { attempt, byId, fill, h, say, showError } from "../lib/dom.js";
import { confirmed } from "./confirm.js";
import { drawSentence } from "./quotas.js";

/**
 * @typedef {{name: string, value: number, default: number, whole: boolean, group: string, label: string, meaning: string,
 *   least: number, most: number, fixed: string | null, fact: string | null}} Setting
 */

const form = /** @type {HTMLFormElement} */ (byId("settings"));
/** @type {Setting[]} */
let settings = [];
let tag = "";

/** @param {Setting} setting */
function input(setting) {
  const { name, value, whole, least, most, fixed } = setting;
  return h("input", { id: name, name, type: "text", inputmode: whole ? "numeric" : "decimal", value: String(value), autocomplete: "off",
    "aria-describedby": `${name}-hint ${name}-fault`, disabled: fixed !== null, "data-least": least, "data-most": most });
}

/** @param {Setting} setting */
function row(setting) {
  const { name, label, meaning, fixed, least, most, fact } = setting;
  const limits = fixed === null ? `From ${least} to ${most.toLocaleString()}; at first ${setting.default}.` : `Cannot change. ${fixed}`;
  return h("div", { class: "setting" },
    h("label", { for: name }, label, h("code", { class: "hint" }, ` ${name}`)), input(setting),
    h("p", { class: "hint", id: `${name}-hint` }, [meaning, limits, fact].filter(Boolean).join(" ")), h("p", { class: "fault", id: `${name}-fault` }));
}

/** @param {import("./quotas.js").Draw | null} draw  what raised quotas still wait for */
function showDraw(draw) {
  fill("draw", ...(draw ? [h("div", { class: "notice warn" }, h("p", {}, drawSentence(draw)),
    draw.running ? null : h("button", { type: "button", onclick: () => attempt(async () => {
      await api("POST", "/api/settings/draw", {});
      await show();
      say("They are being drawn.");
    }) }, "Draw them now"))] : []));
}

async function show() {
  const shown = await api("GET", "/api/settings");
  ({ tag, settings } = shown);
  showDraw(shown.draw);
  const groups = [...new Set(settings.map(({ group }) => group))];
  fill("groups", ...groups.map((group) => h("fieldset", { class: "settings" }, h("legend", {}, group),
    ...settings.filter((setting) => setting.group === group).map(row))));
}

/** @returns {Record<string, number>} what differs from what is saved; NaN for what is no number */
function changes() {
  /** @type {Record<string, number>} */
  const found = {};
  for (const { name, value, fixed } of settings) {
    const text = /** @type {HTMLInputElement} */ (byId(name)).value.trim().replace(",", ".");
    const number = text === "" ? Number.NaN : Number(text);
    if (fixed === null && number !== value) found[name] = number;
  }
  return found;
}

/** @param {Record<string, string>} faults */
function showFaults(faults) {
  for (const { name } of settings) {
    byId(`${name}-fault`).textContent = faults[name] ?? "";
    byId(name).setAttribute("aria-invalid", String(name in faults));
  }
  const first = settings.find(({ name }) => name in faults);
  if (first) byId(first.name).focus();
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  say("");
  const values = changes();
  const faults = Object.fromEntries(settings.filter(({ name }) => Number.isNaN(values[name]))
    .map(({ name, whole, least, most }) => [name, `${name} must be ${whole ? "a whole number" : "a number"} from ${least} to ${most}.`]));
  showFaults(faults);
  if (Object.keys(faults).length) return;
  if (!Object.keys(values).length) {
    say("Nothing is changed yet.");
    return;
  }
  const headers = { "if-match": `"${tag}"` };
  try {
    const { values: pairs, notes } = await api("PUT", "/api/settings", { values, preview: true }, { headers });
    const told = Object.entries(/** @type {Record<string, [number, number]>} */ (pairs)).map(([name, [old, now]]) => {
      const setting = settings.find((one) => one.name === name);
      return `${setting?.label ?? name}: ${old} becomes ${now}. ${setting?.meaning ?? ""}`;
    });
    if (await confirmed("Change the settings?", [...told, ...notes], { yes: "Save" }) === null) return;
    await api("PUT", "/api/settings", { values }, { headers });
    byId("error").hidden = true;
    await show();
    say("Saved.");
  } catch (error) {
    showError(error);
    if (error instanceof ApiError && error.error.fields) showFaults(error.error.fields);
    else byId("error").focus();
  }
});
byId("back").addEventListener("click", () => attempt(async () => {
  await show();
  say("As it is saved.");
}));

await show().catch((error) => {
  fill("groups");
  showError(error);
});
