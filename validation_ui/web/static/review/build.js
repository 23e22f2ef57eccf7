/** Page elements made in code: text is always text, never markup. */

import { address } from "../lib/address.js";

/** @typedef {Node | string | null | false | undefined} Child */

/**
 * An element. `on…` props are listeners, `class` and names with a dash are attributes, others are properties.
 * Links are addresses of the app.
 *
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {Record<string, unknown>} [props]
 * @param {...Child} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), /** @type {EventListener} */ (value));
    else if (name === "class" || name === "for" || name === "role" || name.includes("-")) {
      element.setAttribute(name, String(value));
    } else Reflect.set(element, name, name === "href" ? address(String(value)) : value);
  }
  add(element, ...children);
  return element;
}

/**
 * @param {Node} parent
 * @param {...Child} children  what is null or false is left out
 */
export function add(parent, ...children) {
  for (const child of children) {
    if (child || child === "") parent.appendChild(typeof child === "string" ? document.createTextNode(child) : child);
  }
}

/**
 * Put `children` in the place of all that `parent` holds.
 *
 * @param {Element} parent
 * @param {...Child} children
 */
export function fill(parent, ...children) {
  parent.replaceChildren();
  add(parent, ...children);
}

/**
 * A key, as it is shown on buttons and in the help; not read out, the help lists them.
 *
 * @param {string} label
 */
export function kbd(label) {
  return h("kbd", { "aria-hidden": "true" }, label);
}

/**
 * Ask in a modal dialog.
 *
 * @template T
 * @param {string} title
 * @param {Child[]} content
 * @param {{label: string, value: () => T, primary?: boolean}[]} choices
 * @param {T} otherwise  if it is closed by Escape
 * @returns {Promise<T>}
 */
export function ask(title, content, choices, otherwise) {
  return new Promise((resolve) => {
    const before = document.activeElement;
    const heading = h("h2", { id: "ask-title" }, title);
    /** @param {T} value */
    const close = (value) => {
      dialog.close();
      dialog.remove();
      if (before instanceof HTMLElement && before.isConnected) before.focus({ preventScroll: true });
      resolve(value);
    };
    const buttons = choices.map(({ label, value, primary }) =>
      h("button", { type: primary ? "submit" : "button", class: primary ? "primary" : "",
        onclick: primary ? () => {} : () => close(value()) }, label));
    const chosen = choices.find((choice) => choice.primary);
    const form = h("form", { onsubmit: (/** @type {Event} */ event) => {
      event.preventDefault();
      if (chosen) close(chosen.value());
    } }, heading, ...content, h("div", { class: "choices" }, ...buttons));
    const dialog = h("dialog", { class: "ask", "aria-labelledby": "ask-title",
      oncancel: (/** @type {Event} */ event) => { event.preventDefault(); close(otherwise); } }, form);
    document.body.append(dialog);
    dialog.showModal();
  });
}
