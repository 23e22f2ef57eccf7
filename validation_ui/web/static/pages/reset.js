/** Choose a new password: the token of the link is the end of this page's address. */

import { address } from "../lib/address.js";
import { api } from "../lib/api.js";
import { byId, field, showError } from "../lib/dom.js";

byId("reset").addEventListener("submit", async (event) => {
  event.preventDefault();
  const token = location.pathname.split("/").at(-1);
  try {
    await api("POST", "/api/reset", { token, password: field("password").value });
    location.replace(address("/"));
  } catch (error) {
    showError(error);
    field("password").setAttribute("aria-invalid", "true");
    field("password").focus();
  }
});
