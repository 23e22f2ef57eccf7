/** Every action of the player, once: the keys table, the help and the buttons are made from it. */

/**
 * @typedef {import("./player.js").Player} Player
 * @typedef {{name: string, label: string, defaultKey: string, run: (player: Player) => void,
 *   release?: (player: Player) => void, needsMasks?: boolean}} Action defaultKey: KeyboardEvent.code, after "Alt+" or
 *   "Shift+"; `release` is run when the key comes up
 */

/** @type {Action[]} */
export const ACTIONS = [
  { name: "play", label: "Play or pause", defaultKey: "Space", run: (player) => player.toggle() },
  { name: "previous", label: "Previous annotated frame", defaultKey: "Comma", run: (player) => player.stepAnnotated(-1) },
  { name: "next", label: "Next annotated frame", defaultKey: "Period", run: (player) => player.stepAnnotated(1) },
  { name: "back1", label: "1 frame back", defaultKey: "Alt+Comma", run: (player) => player.step(-1) },
  { name: "on1", label: "1 frame on", defaultKey: "Alt+Period", run: (player) => player.step(1) },
  { name: "back10", label: "10 frames back", defaultKey: "Shift+Comma", run: (player) => player.step10(-1) },
  { name: "on10", label: "10 frames on", defaultKey: "Shift+Period", run: (player) => player.step10(1) },
  { name: "home", label: "First visible frame", defaultKey: "Home", run: (player) => player.home() },
  { name: "end", label: "Last visible frame", defaultKey: "End", run: (player) => player.end() },
  {
    name: "previousChange",
    label: "Previous change of visibility",
    defaultKey: "KeyJ",
    needsMasks: true,
    run: (player) => player.nextVisibilityChange(-1),
  },
  {
    name: "nextChange",
    label: "Next change of visibility",
    defaultKey: "KeyL",
    needsMasks: true,
    run: (player) => player.nextVisibilityChange(1),
  },
  { name: "loopStart", label: "Loop from here", defaultKey: "BracketLeft", run: (player) => player.setLoopStart() },
  { name: "loopEnd", label: "Loop to here", defaultKey: "BracketRight", run: (player) => player.setLoopEnd() },
  { name: "clearLoop", label: "No loop", defaultKey: "Backslash", run: (player) => player.clearLoop() },
  { name: "speed", label: "Speed", defaultKey: "KeyS", run: (player) => player.cycleSpeed() },
  { name: "mask", label: "Show mask", defaultKey: "KeyM", needsMasks: true, run: (player) => player.toggleMask() },
  {
    name: "holdMask",
    label: "Hide mask while held",
    defaultKey: "KeyH",
    needsMasks: true,
    run: (player) => player.holdMask(true),
    release: (player) => player.holdMask(false),
  },
  { name: "opacity", label: "Opacity", defaultKey: "KeyO", needsMasks: true, run: (player) => player.cycleOpacity() },
  { name: "style", label: "Mask style", defaultKey: "KeyK", needsMasks: true, run: (player) => player.cycleStyle() },
  { name: "zoomIn", label: "Zoom in", defaultKey: "Equal", run: (player) => player.zoomIn() },
  { name: "zoomOut", label: "Zoom out", defaultKey: "Minus", run: (player) => player.zoomOut() },
  { name: "zoomReset", label: "Whole picture", defaultKey: "Digit0", run: (player) => player.zoomReset() },
  {
    name: "zoomToObject",
    label: "Zoom to the object",
    defaultKey: "KeyZ",
    needsMasks: true,
    run: (player) => player.zoomToObject(),
  },
];

/** @type {Record<string, string>} */
const PRINTED = {
  Comma: ",",
  Period: ".",
  BracketLeft: "[",
  BracketRight: "]",
  Backslash: "\\",
  Equal: "+",
  Minus: "-",
};

/** A key as it is printed on the keyboard: "Alt+Comma" -> "Alt+,". @param {string} key @returns {string} */
export function printed(key) {
  const parts = key.split("+");
  const code = parts.pop() ?? "";
  return [...parts, PRINTED[code] ?? code.replace(/^(Key|Digit)/, "")].join("+");
}
