/** Sign in, then back to where the person wanted to go. */

import { BASE } from "../lib/address.js";
import { api } from "../lib/api.js";
import { byId, field, showError } from "../lib/dom.js";
import { nextAddress } from "./next.js";

byId("login").addEventListener("submit", async (event) => {
  event.preventDefault();
  try {
    await api("POST", "/api/login", { name: field("name").value, password: field("password").value });
    location.replace(nextAddress(new URLSearchParams(location.search).get("next"), location.origin, BASE));
  } catch (error) {
    showError(error);
    field("password").focus();
  }
});
