/** One's own settings: theme, data, keys, password. */

import { api, ApiError } from "../lib/api.js";
import { attempt, byId, field, fill, h, say, showError, table } from "../lib/dom.js";
import { ACTIONS, keyLabel } from "../review/keys.js";

const me = await api("GET", "/api/me");
/** @type {Record<string, string>} */
let changed = me.hotkeys;
const form = /** @type {HTMLFormElement} */ (byId("preferences"));
const theme = /** @type {RadioNodeList} */ (form.elements.namedItem("theme"));
const boxes = ["light_mode", "hotkeys_off"].map((name) => /** @type {HTMLInputElement} */ (form.elements.namedItem(name)));

theme.value = me.preferences.theme;
for (const box of boxes) box.checked = me.preferences[box.name];
document.addEventListener("theme", (event) => {
  theme.value = /** @type {CustomEvent} */ (event).detail;
});
form.addEventListener("change", () => attempt(async () => {
  document.documentElement.dataset.theme = theme.value;
  const preferences = { theme: theme.value, ...Object.fromEntries(boxes.map((box) => [box.name, box.checked])) };
  await api("PATCH", "/api/me", { preferences });
  say("Saved.");
}));

/** @param {string} name @param {string} defaultKey */
const keyOf = (name, defaultKey) => changed[name] ?? defaultKey;

/** @param {string} [focus]  name of the action whose button takes the focus */
function showKeys(focus) {
  const used = ACTIONS.map(({ name, defaultKey }) => keyOf(name, defaultKey));
  fill("keys", table("Keys of the review screen", [{ label: "Action" }, { label: "Group" }, { label: "Key" }],
    ACTIONS.map(({ name, label, group, defaultKey }) => {
      const key = keyOf(name, defaultKey);
      const clash = used.filter((other) => other === key).length > 1;
      const button = h("button", { type: "button", id: `key-${name}`, class: clash ? "clash" : "",
        onclick: () => listen(name, button), "aria-label": `Key for ${label}: ${keyLabel(key)}${clash ? ", used twice" : ""}` },
        clash ? `${keyLabel(key)} (twice)` : keyLabel(key));
      return [label, group, button];
    })));
  if (focus) byId(`key-${focus}`).focus();
}

/**
 * Take the next key for an action.
 *
 * @param {string} name
 * @param {HTMLButtonElement} button
 */
function listen(name, button) {
  const before = button.textContent;
  button.textContent = "Press a key…";
  say("Press the new key, or Escape.");
  const stop = () => {
    button.removeEventListener("keydown", press);
    button.removeEventListener("blur", stop);
    button.textContent = before;
  };
  /** @param {KeyboardEvent} event */
  const press = async (event) => {
    if (event.key === "Tab" || /^(Shift|Alt|Control|Meta)/.test(event.key)) return;
    event.preventDefault();
    event.stopPropagation();
    stop();
    if (event.key === "Escape" || event.ctrlKey || event.metaKey) {
      say("Kept as it was.");
      return;
    }
    await save({ ...changed, [name]: `${event.altKey ? "Alt+" : ""}${event.shiftKey ? "Shift+" : ""}${event.code}` }, name);
  };
  button.addEventListener("keydown", press);
  button.addEventListener("blur", stop);
}

/**
 * @param {Record<string, string>} hotkeys
 * @param {string} [focus]
 */
async function save(hotkeys, focus) {
  await attempt(async () => {
    changed = (await api("PATCH", "/api/me", { hotkeys })).hotkeys;
    say("Saved.");
  });
  showKeys(focus);
}

byId("reset").addEventListener("click", () => save({}));
byId("password").addEventListener("submit", async (event) => {
  event.preventDefault();
  try {
    await api("POST", "/api/me/password", { old: field("old").value, new: field("new").value });
    location.reload(); // the session is a new one, and so is this page's token
  } catch (error) {
    showError(error);
    const wrong = error instanceof ApiError ? Object.keys(error.error.fields ?? {})[0] : undefined;
    field(wrong === "old" ? "old" : "new").focus();
  }
});
showKeys();
