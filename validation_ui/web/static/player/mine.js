/** The player as a person has set it: the one place where pages read and keep how they want pictures and masks shown. */

import { api } from "../lib/api.js";
import { Player } from "./player.js";

/**
 * @param {HTMLElement} root the player fills it
 * @param {{light_mode?: boolean, mask_style?: string}} preferences of the person, from /api/me
 * @param {import("./types.js").Options} [options]
 * @returns {Player}
 */
export function playerOf(root, preferences, options = {}) {
  return new Player(root, {
    lightMode: preferences.light_mode === true,
    reducedMotion: wantsStillness(),
    ...(preferences.mask_style && { style: preferences.mask_style }),
    // not kept where there is no connection: the next choice is
    onStyle: (style) => api("PATCH", "/api/me", { preferences: { mask_style: style } }).catch(() => {}),
    ...options,
  });
}

/** Whether the person asked their system for as little motion as possible. */
export const wantsStillness = () => matchMedia("(prefers-reduced-motion: reduce)").matches;
