/** On every page: the theme button and signing out. */

import { address } from "./address.js";
import { api } from "./api.js";

const THEMES = /** @type {const} */ (["auto", "light", "dark"]);
const NAMES = { auto: "as the system", light: "light", dark: "dark" };
const root = document.documentElement;
const toggle = document.getElementById("theme-toggle");
const signOut = document.getElementById("sign-out");
const signedIn = document.querySelector('meta[name="csrf-token"]') !== null;

function name() {
  const theme = THEMES.find((name) => name === root.dataset.theme) ?? "auto";
  toggle?.setAttribute("aria-label", `Theme: ${NAMES[theme]}`);
  toggle?.setAttribute("title", `Theme: ${NAMES[theme]}`);
  return theme;
}

toggle?.addEventListener("click", async () => {
  root.dataset.theme = THEMES[(THEMES.indexOf(name()) + 1) % THEMES.length] ?? "auto";
  const theme = name();
  document.dispatchEvent(new CustomEvent("theme", { detail: theme }));
  if (!signedIn) return;
  await api("PATCH", "/api/me", { preferences: { theme } });
});

signOut?.addEventListener("click", async () => {
  await api("POST", "/api/logout");
  location.assign(address("/login"));
});

name();
