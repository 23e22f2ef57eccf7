/** The entry test that is over: every item with one's own answer and the right one. */

import { api } from "../lib/api.js";
import { byId, fill, h, percent, showError } from "../lib/dom.js";
import { sentence } from "./confirm.js";

/**
 * @typedef {{public_id: string, parts: {name: string, text: string}[], answer: string | null, verdicts: Record<string, string>,
 *   reasons: string[], known: string, right: boolean, counts: boolean, why: string}} Answer
 * @typedef {{passed: boolean, right: number, of: number, needed_frac: number, items: Answer[] | null}} Test
 */

const ANSWERS = { accept: "accept", edit: "edit", reject: "reject", flag: "flag" };

/** @param {Answer} answer @param {number} n */
function item(answer, n) {
  const mine = answer.answer === null ? "skipped" : ANSWERS[/** @type {keyof ANSWERS} */ (answer.answer)] ?? answer.answer;
  const reasons = answer.reasons.map((reason) => reason.replaceAll("_", " ")).join(", ");
  // relative to the page, which may be below a path
  const picture = h("img", { src: `api/entry/${encodeURIComponent(answer.public_id)}/picture.jpg`, loading: "lazy",
    alt: "A frame of the video with the outline of the object", onerror: () => picture.remove() });
  return h("li", { class: `answer ${answer.right ? "right" : "wrong"}` },
    h("h2", {}, `${n + 1}. ${answer.right ? "Right" : "Wrong"}`, answer.counts ? "" : " (taken out of the test since: it does not count)"),
    h("div", { class: "picture" }, picture),
    h("div", {}, h("dl", { class: "text" }, ...answer.parts.map(({ name, text }) => (
      h("div", {}, h("dt", {}, sentence(name).slice(0, -1), answer.verdicts[name] ? h("span", { class: "hint" }, ` you: ${answer.verdicts[name]}`) : null), h("dd", {}, text))))),
    h("p", {}, "Your answer: ", h("b", {}, mine), reasons && ` (${reasons})`, ". Right answer: ", h("b", {}, answer.known === "accept" ? "accept, or edit" : "reject"), "."),
    h("p", {}, answer.why)));
}

async function show() {
  /** @type {{test: Test | null}} */
  const { test } = await api("GET", "/api/entry");
  if (!test) {
    fill("result", h("p", { class: "empty" }, "You have not finished an entry test yet. When you have, your answers and the right ones are here."));
    return;
  }
  const enough = test.right >= test.needed_frac * test.of;
  const result = !test.passed ? "Not passed" : enough ? "Passed" : "You may work, though by today’s rule it would not be passed";
  fill("result",
    h("p", { class: `notice ${test.passed ? "good" : "bad"}` }, `${result}: ${test.right} of ${test.of} right; ${percent(test.needed_frac)} are needed.`),
    test.items ? h("p", {}, test.right < test.of ? "Look at those that went wrong, and read what the guide says about them. " : "All of it was right. ",
      h("a", { href: "/guide" }, "To the guide"))
      : h("p", {}, "The items are not shown, as you may meet them again if an admin lets you try once more. ", h("a", { href: "/guide" }, "Read the guide again")));
  byId("answers").replaceChildren(...(test.items ?? []).map(item));
}

await show().catch((error) => {
  fill("result");
  showError(error);
});
