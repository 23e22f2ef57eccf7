/** Accept an invite: its token is the end of this page's address. */

import { address } from "../lib/address.js";
import { api, ApiError } from "../lib/api.js";
import { byId, field, showError } from "../lib/dom.js";

byId("invite").addEventListener("submit", async (event) => {
  event.preventDefault();
  const token = location.pathname.split("/").at(-1);
  try {
    await api("POST", "/api/invites/accept", { token, name: field("name").value, password: field("password").value });
    location.replace(address("/"));
  } catch (error) {
    showError(error);
    const wrong = error instanceof ApiError ? Object.keys(error.error.fields ?? {}) : [];
    for (const name of ["name", "password"]) field(name).setAttribute("aria-invalid", String(wrong.includes(name)));
    field(wrong.find((name) => name === "name" || name === "password") ?? "error").focus();
  }
});
