/** Controls that the passes share. */

import { add, h } from "./build.js";

let made = 0;

/**
 * An id that no other element has.
 *
 * @param {string} stem
 */
export const newId = (stem) => `${stem}-${++made}`;

/**
 * Radio buttons that look like one bar.
 *
 * @template {string} V
 */
export class Segmented {
  /**
   * @param {Node | string} legend
   * @param {{value: V, label: string, badge?: Node | null, key?: string}[]} options
   * @param {(value: V) => void} onChange  by the person, not by `value = …`
   * @param {Node[]} between  what stands between the legend and the bar
   */
  constructor(legend, options, onChange, ...between) {
    const name = newId("choice");
    /** @type {Map<V, HTMLInputElement>} */
    this.inputs = new Map();
    this.bar = h("div", { class: "segments" });
    for (const { value, label, badge } of options) {
      const input = h("input", { type: "radio", name, value, onchange: () => onChange(value) });
      this.inputs.set(value, input);
      this.bar.append(h("label", { class: `segment is-${value}` }, input, h("span", {}, label, badge)));
    }
    this.root = h("fieldset", { class: "segmented" }, h("legend", {}, legend), ...between, this.bar);
  }

  get value() {
    for (const [value, input] of this.inputs) if (input.checked) return value;
    return "";
  }

  /** @param {V | ""} value */
  set value(value) {
    for (const [own, input] of this.inputs) input.checked = own === value;
  }

  focus() {
    const [first] = this.inputs.values();
    (this.inputs.get(/** @type {V} */ (this.value)) ?? first)?.focus();
  }
}

/**
 * A labelled text field that grows with its text.
 *
 * @param {Node | string} label
 * @param {{value: string, rows?: number, maxLength?: number, placeholder?: string}} options
 * @param {(text: string) => void} onInput
 */
export function textField(label, options, onInput) {
  const id = newId("text");
  const area = h("textarea", { id, rows: options.rows ?? 2, maxLength: options.maxLength ?? 2000, value: options.value,
    spellcheck: true, oninput: () => onInput(area.value) });
  const root = h("div", { class: "field" }, h("label", { for: id }, label), area);
  return { root, area };
}

/**
 * What is wrong with a field, under it and tied to it.
 *
 * @param {HTMLElement} field  element that takes the focus
 * @param {HTMLElement} root  element to write the message into
 * @param {string | null} message
 */
export function setError(field, root, message) {
  root.querySelector(":scope > .error")?.remove();
  field.removeAttribute("aria-invalid");
  if (message === null) return;
  const id = newId("error");
  add(root, h("p", { class: "error", id }, message));
  field.setAttribute("aria-invalid", "true");
  field.setAttribute("aria-describedby", id);
}
