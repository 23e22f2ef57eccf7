/** Adjudication: what the others said, without their names, beside the form for one's own decision. */

import { h } from "./build.js";
import { showDiff } from "./diff.js";
import { actOn } from "./sighted.js";
import { Verdicts } from "./verdicts.js";
import { DECIDED, PART_NAMES, REASONS, VERDICT_NAMES } from "./words.js";

/** @typedef {import("./types.js").Opinion} Opinion */
/** @typedef {import("./types.js").Part} Part */

const KINDS = /** @type {Record<string, string>} */ ({ sighted: "saw the mask", blind: "looked without the mask",
  adjudicate: "adjudicated" });

/** @param {NonNullable<Opinion["pointing"]>} pointing */
function resultText(pointing) {
  if (pointing.answer === "ambiguous") return "Found several objects that fit.";
  if (pointing.answer === "absent") return "Found no such object.";
  const where = pointing.points.map(({ frame }) => frame).join(" and ");
  return `${pointing.hit ? "Found the object" : "Pointed beside the object"}, at frame ${where}.`;
}

export class Adjudicate {
  title = "Settle what the others said";
  sends = "Send";

  /** @param {import("./sighted.js").Context} context */
  constructor(context) {
    this.context = context;
    const { item, opinions } = context.view;
    this.verdicts = new Verdicts({ parts: item.parts, rules: context.view.rules, wantsShort: false, keys: context.keys,
      decisions: ["accept", "edit", "reject"], onChange: context.changed });
    this.root = this.verdicts.root;
    this.aside = h("section", { class: "opinions", "aria-label": "What the others said" },
      ...opinions.map((opinion) => this.opinion(opinion, item.parts)));
  }

  /**
   * @param {Opinion} opinion
   * @param {Part[]} parts
   */
  opinion(opinion, parts) {
    const { label, kind, decision, reasons, note, text, pointing } = opinion;
    const verdicts = parts.filter(({ name }) => opinion.parts[name]).map(({ name }) =>
      h("li", { class: `verdict is-${opinion.parts[name]}` },
        `${PART_NAMES[name] ?? name}: ${(VERDICT_NAMES[opinion.parts[name] ?? ""] ?? "").toLowerCase()}`));
    const changed = parts.filter(({ name, text: before }) => text && text[name] !== undefined && text[name] !== before);
    return h("article", { class: "opinion" },
      h("h2", {}, `${label}: ${DECIDED[decision] ?? decision} `, h("small", {}, KINDS[kind] ?? kind)),
      verdicts.length > 0 && h("ul", { class: "verdict-list" }, ...verdicts),
      pointing && h("p", { class: "pointed" }, resultText(pointing), " ", pointing.points.length > 0 &&
        h("button", { type: "button", class: "quiet", onclick: () => this.showPoints(pointing.points) }, "Show the points")),
      reasons.length > 0 && h("ul", { class: "reason-list" },
        ...reasons.map((reason) => h("li", {}, REASONS[reason] ?? reason))),
      note ? h("p", { class: "said" }, `“${note}”`) : null,
      ...changed.map(({ name, text: before }) => h("div", { class: "field" },
        h("h3", {}, PART_NAMES[name] ?? name), showDiff(before, text?.[name] ?? ""))),
      text && h("button", { type: "button", class: "quiet", onclick: () => this.take(text) }, `Edit from ${label}’s text`));
  }

  /** @param {import("./types.js").Point[]} points */
  showPoints(points) {
    this.context.player.setPoints(points);
    const [first] = points;
    if (first) this.context.player.seek(first.frame);
  }

  /** @param {Record<string, string>} text */
  take(text) {
    this.verdicts.restore({ ...this.verdicts.judged, decision: "edit", text: { ...text } });
    this.context.changed();
  }

  /** @param {string} name */
  act(name) {
    return actOn(this.verdicts, name);
  }

  plays() {
    return true;
  }

  async submit() {
    if (this.verdicts.check()) await this.context.send(this.verdicts.submission(this.context.player.watchedFrac()));
  }

  draft() {
    return this.verdicts.judged;
  }

  /** @param {import("./types.js").Draft} draft */
  restore(draft) {
    this.verdicts.restore(draft);
  }

  /** @param {Record<string, string>} fields */
  refused(fields) {
    return this.verdicts.refused(fields);
  }

  onFrame() {}

  onPoint() {}
}
