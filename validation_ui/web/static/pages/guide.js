/** The end of the guide for newcomers: that they went through it is stored, and the entry test begins. */

import { api } from "../lib/api.js";
import { attempt, byId } from "../lib/dom.js";

document.getElementById("begin")?.addEventListener("click", () => attempt(async () => {
  await api("POST", "/api/guide/read", {});
  location.assign(byId("begin").dataset.next ?? "review"); // relative: the app may be below a path
}));
