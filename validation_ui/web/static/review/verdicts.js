/** The judging form: a verdict on each part, then accept, edit, reject or flag. Used in all three passes. */

import { fill, h } from "./build.js";
import { Segmented, setError, textField } from "./controls.js";
import { showDiff } from "./diff.js";
import { DECISIONS, PART_HINTS, PART_NAMES, REASONS, VERDICTS, VERDICT_NAMES, countWords } from "./words.js";

/** @typedef {import("./types.js").Judged} Judged */
/** @typedef {import("./types.js").Part} Part */
/** @typedef {Exclude<import("./types.js").Decision, "">} Decision */
/** @typedef {Exclude<import("./types.js").Verdict, "">} Verdict */

/** @returns {Judged} */
export const blank = () => ({ decision: "", parts: {}, reasons: [], note: "", text: {}, short: null,
  short_is_right: false, watched_frac: 0 });

export class Verdicts {
  /**
   * @param {{parts: Part[], rules: import("./types.js").Rules, wantsShort: boolean, decisions: Decision[], keys: import("./keys.js").Keys,
   *   onChange: () => void, suggestedShort?: string}} options  suggestedShort: counts only if the person says that it is right
   */
  constructor({ parts, rules, wantsShort, suggestedShort = "", decisions, keys, onChange }) {
    this.parts = parts;
    this.fewest = rules.short_words[0];
    this.most = rules.short_words[1];
    this.wantsShort = wantsShort;
    this.suggestedShort = suggestedShort.trim();
    this.keys = keys;
    this.onChange = onChange;
    this.judged = blank();
    this.shown = false; // whether the last errors have a place in the form

    this.rows = parts.map((part, n) => this.row(part, n));
    this.expression = h("div", { class: "expression", role: "group", "aria-label": "The text, part by part" },
      ...this.rows.map((row) => row.root));
    this.allRight = h("button", { type: "button", class: "all-right", onclick: () => this.judgeAllRight() },
      parts.length > 1 ? "All right: accept" : "Right: accept", keys.badge("all_right"));
    this.decision = new Segmented(h("span", { class: "sr" }, "Decision"), decisions.map((value) =>
      ({ value, label: DECISIONS[value] ?? value, badge: keys.badge(value) })), (value) => this.decide(value));
    this.decision.root.classList.add("decision");

    this.edits = parts.map((part) => this.edit(part));
    this.editing = h("div", { class: "editing", hidden: true }, ...this.edits.map(({ root }) => root));
    this.boxes = new Map(Object.entries(REASONS).map(([reason, label]) => {
      const box = h("input", { type: "checkbox", value: reason, onchange: () => this.tick() });
      return [reason, { box, root: h("label", { class: "check" }, box, h("span", {}, label)) }];
    }));
    this.reasons = h("fieldset", { class: "reasons", hidden: true }, h("legend", {}, "Why? One or more"),
      h("div", { class: "checks" }, ...[...this.boxes.values()].map(({ root }) => root)));

    const whose = suggestedShort ? "A short expression, suggested: confirm or replace it" : "A short expression of yours";
    this.short = textField(h("span", {}, `${whose}, ${this.fewest} to ${this.most} words, for this object alone `,
      keys.badge("short")), { value: suggestedShort, maxLength: 400 }, (text) => this.set({ short: text }));
    this.short.root.classList.add("short");
    this.short.root.hidden = !wantsShort;
    this.count = h("p", { class: "hint count" });
    this.isRight = h("input", { type: "checkbox", onchange: () => this.set({ short_is_right: this.isRight.checked }) });
    this.confirm = h("label", { class: "check" }, this.isRight, h("span", {}, "It is right, and fits this object alone"));
    this.short.root.append(this.count, this.confirm);

    this.note = textField("Note", { value: "", rows: 2 }, (text) => this.set({ note: text }));
    this.note.root.hidden = true;
    this.addNote = h("button", { type: "button", class: "quiet", onclick: () => this.writeNote() }, "Add a note ",
      keys.badge("note"));

    this.root = h("div", { class: "verdicts" }, this.expression, this.allRight, this.decision.root,
      this.short.root, this.editing, this.reasons, this.note.root, this.addNote);
    this.show();
  }

  /** The short expression as it stands in the form. */
  get shortText() {
    return (this.judged.short ?? this.suggestedShort).trim();
  }

  /** Whether it is still the one that was suggested. */
  get isSuggested() {
    return this.suggestedShort !== "" && this.shortText === this.suggestedShort;
  }

  /** @param {number} words */
  fitsShort(words) {
    return words >= this.fewest && words <= this.most;
  }

  /**
   * A part's text, with its verdict beside it.
   *
   * @param {Part} part
   * @param {number} n
   */
  row({ name, text }, n) {
    const legend = h("span", {}, this.keys.badge(`pick_${n + 1}`), h("b", {}, PART_NAMES[name] ?? name),
      h("small", {}, PART_HINTS[name] ?? ""));
    const row = new Segmented(legend, VERDICTS.map((value) => ({ value, label: VERDICT_NAMES[value] ?? value })),
      (value) => this.judge(name, value), h("p", { class: "part", lang: "en" }, text));
    row.root.classList.add("row");
    return row;
  }

  /** @param {Part} part */
  edit({ name, text }) {
    const field = textField(PART_NAMES[name] ?? name, { value: text, rows: 3 }, (value) => {
      this.set({ text: { ...this.judged.text, [name]: value } });
    });
    const diff = h("div", { class: "diff-box", "aria-label": "What changed", role: "group" });
    field.root.append(diff);
    return { name, before: text, diff, ...field };
  }

  /** @param {Partial<Judged>} change */
  set(change) {
    Object.assign(this.judged, change);
    this.show();
    this.onChange();
  }

  /**
   * @param {string} name
   * @param {Verdict} verdict
   */
  judge(name, verdict) {
    this.set({ parts: { ...this.judged.parts, [name]: verdict } });
  }

  /** Every part is right, and the text is accepted; it is not sent yet. */
  judgeAllRight() {
    this.set({ parts: Object.fromEntries(this.parts.map(({ name }) => [name, "right"])) });
    return this.decide("accept");
  }

  /**
   * The next verdict of part n; false if there is no such part.
   *
   * @param {number} n from 0
   */
  cycle(n) {
    const part = this.parts[n];
    const row = this.rows[n];
    if (!part || !row) return false;
    const now = VERDICTS.indexOf(/** @type {Verdict} */ (row.value));
    this.judge(part.name, VERDICTS[(now + 1) % VERDICTS.length] ?? "right");
    row.focus();
    return true;
  }

  /** @param {Decision} decision */
  decide(decision) {
    if (!this.decision.inputs.has(decision)) return false;
    this.set({ decision });
    if (document.activeElement?.closest(".decision") === null) this.decision.focus();
    return true;
  }

  writeNote() {
    this.noteWanted = true;
    this.show();
    this.note.area.focus();
    return true;
  }

  writeShort() {
    if (this.wantsShort) this.short.area.focus();
    return this.wantsShort;
  }

  tick() {
    this.set({ reasons: [...this.boxes].filter(([, { box }]) => box.checked).map(([reason]) => reason) });
  }

  /**
   * Take over what was entered before.
   *
   * @param {import("./types.js").Draft} draft
   */
  restore({ decision = "", parts = {}, reasons = [], note = "", text, short = null, short_is_right = false, watched_frac = 0 }) {
    this.judged = { decision, parts, reasons, note, text: text ?? {}, short, short_is_right, watched_frac };
    for (const { name, before, area } of this.edits) area.value = text?.[name] ?? before;
    for (const [reason, { box }] of this.boxes) box.checked = reasons.includes(reason);
    this.note.area.value = note;
    this.short.area.value = short ?? this.suggestedShort;
    this.show();
  }

  /** Update the form to show the state in `judged`. */
  show() {
    const { decision, parts, note } = this.judged;
    const isFor = decision === "accept" || decision === "edit";
    this.decision.value = decision;
    this.parts.forEach(({ name }, n) => {
      const row = this.rows[n];
      if (row) row.value = parts[name] ?? "";
      row?.root.setAttribute("data-verdict", parts[name] ?? "");
    });
    this.editing.hidden = decision !== "edit";
    for (const { before, area, diff } of this.edits) {
      const same = area.value.trim() === before;
      fill(diff, !same && showDiff(before, area.value));
    }
    this.reasons.hidden = decision !== "reject" && decision !== "flag";
    this.note.root.hidden = this.reasons.hidden && !note && !this.noteWanted;
    this.addNote.hidden = !this.note.root.hidden;
    const words = countWords(this.shortText);
    this.confirm.hidden = !this.isSuggested;
    this.isRight.checked = this.judged.short_is_right === true;
    this.count.textContent = `${words} ${words === 1 ? "word" : "words"}`;
    this.count.classList.toggle("is-off", words > 0 && !this.fitsShort(words));
    this.short.root.hidden = !this.wantsShort || (decision !== "" && !isFor);
  }

  /**
   * Show beside every field that is missing what is missing; the first of them gets the focus.
   *
   * @returns {boolean} true if it can be sent
   */
  check() {
    const { decision, parts, reasons, note } = this.judged;
    const isFlag = decision === "flag";
    const edited = this.edits.some(({ before, area }) => area.value.trim() !== before);
    const words = countWords(this.shortText);
    /** @type {Record<string, string>} */
    const fields = {};
    for (const { name } of this.parts) {
      if (!parts[name] && !isFlag) fields[`parts.${name}`] = "Say right, wrong or unsure.";
      if (parts[name] === "wrong" && decision === "accept") fields.decision = "A part is wrong: edit or reject the text.";
    }
    if (!decision) fields.decision = "Choose what should become of it.";
    if (decision === "edit" && !edited) fields["text.0"] = "Nothing is changed yet.";
    for (const { name, area } of this.edits) {
      if (decision === "edit" && !area.value.trim()) fields[`text.${name}`] = "A part cannot be empty.";
    }
    if (!this.reasons.hidden && !reasons.length && !(isFlag && note.trim())) fields.reasons = "Tick at least one reason.";
    if (!this.reasons.hidden && reasons.includes("other") && !note.trim()) fields.note = "Say what the other reason is.";
    if (!this.short.root.hidden && decision && !this.fitsShort(words)) fields.short = `It must have ${this.fewest} to ${this.most} words; it has ${words}.`;
    else if (!this.short.root.hidden && decision && this.isSuggested && !this.judged.short_is_right) {
      fields.short = "Say that it is right, or write another.";
    }
    return this.setErrors(fields);
  }

  /**
   * @param {Record<string, string>} fields  from `check` or from the server
   * @returns {boolean} true if there are none
   */
  setErrors(fields) {
    const whole = (/** @type {string} */ stem) =>
      Object.entries(fields).find(([name]) => name === stem || name.startsWith(`${stem}.`))?.[1] ?? null;
    /** @type {[HTMLElement, HTMLElement, string | null][]} */
    const places = [
      ...this.rows.map((row, n) => /** @type {[HTMLElement, HTMLElement, string | null]} */
        ([[...row.inputs.values()][0] ?? row.root, row.root, whole(`parts.${this.parts[n]?.name}`)])),
      [[...this.decision.inputs.values()][0] ?? this.root, this.decision.root, whole("decision")],
      [this.confirm.hidden ? this.short.area : this.isRight, this.short.root, whole("short")],
      ...this.edits.map(({ area, root, name }, n) => /** @type {[HTMLElement, HTMLElement, string | null]} */
        ([area, root, whole(`text.${name}`) ?? (n ? null : fields["text.0"] ?? fields.text ?? null)])),
      [[...this.boxes.values()][0]?.box ?? this.root, this.reasons, whole("reasons")],
      [this.note.area, this.note.root, whole("note")],
    ];
    for (const [field, root, message] of places) setError(field, root, message);
    const first = places.find(([, root, message]) => message !== null && !root.hidden)?.[0];
    first?.focus();
    this.shown = first !== undefined;
    return Object.keys(fields).length === 0;
  }

  /**
   * Show what the server refused.
   *
   * @param {Record<string, string>} fields
   * @returns {boolean} false if none of it is a field of this form
   */
  refused(fields) {
    this.setErrors(fields);
    return this.shown;
  }

  /**
   * As the server wants it.
   *
   * @param {number} watchedFrac
   */
  submission(watchedFrac) {
    const { decision, parts, reasons, note } = this.judged;
    const isEdit = decision === "edit";
    return {
      decision,
      parts,
      reasons: decision === "reject" || decision === "flag" ? reasons : [],
      note: note.trim(),
      text: isEdit ? Object.fromEntries(this.edits.map(({ name, area }) => [name, area.value.trim()])) : null,
      short: !this.short.root.hidden && this.shortText ? this.shortText : null,
      short_is_right: !this.short.root.hidden && this.isSuggested && this.judged.short_is_right === true,
      watched_frac: watchedFrac,
    };
  }
}
