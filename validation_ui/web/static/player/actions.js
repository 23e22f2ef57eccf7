/** Every key of the player, once: dispatch, the help and the buttons are made from these tables. */

/**
 * @typedef {import("./player.js").Player} Player
 * @typedef {{name: string, label: string, short?: string, defaultKey: string, run: (player: Player) => void,
 *   release?: (player: Player) => void, needsMasks?: boolean}} Action short: words of the label that stand below the
 *   button's icon; defaultKey: KeyboardEvent.code, after "Alt+" or "Shift+"; `release` is run when the key comes up
 * @typedef {{seek: (frame: number) => void, step: (by: 1 | -1) => void, step10: (by: 1 | -1) => void, last: number}} Moves
 */

/** @type {Action[]} */
export const ACTIONS = [
  { name: "play", label: "Play or pause", defaultKey: "Space", run: ({ travel }) => travel.toggle() },
  { name: "previous", label: "Previous annotated frame", short: "Previous", defaultKey: "Comma",
    run: ({ travel }) => travel.stepAnnotated(-1) },
  { name: "next", label: "Next annotated frame", short: "Next", defaultKey: "Period",
    run: ({ travel }) => travel.stepAnnotated(1) },
  { name: "back1", label: "1 frame back", defaultKey: "Alt+Comma", run: ({ travel }) => travel.step(-1) },
  { name: "on1", label: "1 frame on", defaultKey: "Alt+Period", run: ({ travel }) => travel.step(1) },
  { name: "back10", label: "10 frames back", defaultKey: "Shift+Comma", run: ({ travel }) => travel.step10(-1) },
  { name: "on10", label: "10 frames on", defaultKey: "Shift+Period", run: ({ travel }) => travel.step10(1) },
  { name: "home", label: "First visible frame", short: "First visible", defaultKey: "Home", run: ({ travel }) => travel.home() },
  { name: "end", label: "Last visible frame", short: "Last visible", defaultKey: "End", run: ({ travel }) => travel.end() },
  { name: "previousChange", label: "Previous change of visibility", short: "Previous change", defaultKey: "KeyJ",
    needsMasks: true, run: ({ travel }) => travel.nextVisibilityChange(-1) },
  { name: "nextChange", label: "Next change of visibility", short: "Next change", defaultKey: "KeyL", needsMasks: true,
    run: ({ travel }) => travel.nextVisibilityChange(1) },
  { name: "loopStart", label: "Loop from here", short: "Loop from", defaultKey: "BracketLeft",
    run: ({ travel }) => travel.setLoopStart() },
  { name: "loopEnd", label: "Loop to here", short: "Loop to", defaultKey: "BracketRight",
    run: ({ travel }) => travel.setLoopEnd() },
  { name: "clearLoop", label: "No loop", defaultKey: "Backslash", run: ({ travel }) => travel.clearLoop() },
  { name: "speed", label: "Speed", defaultKey: "KeyS", run: ({ travel }) => travel.cycleSpeed() },
  { name: "mask", label: "Show mask", defaultKey: "KeyM", needsMasks: true, run: ({ scene }) => scene.toggleMask() },
  { name: "holdMask", label: "Hide mask while held", defaultKey: "KeyH", needsMasks: true,
    run: ({ scene }) => scene.holdMask(true), release: ({ scene }) => scene.holdMask(false) },
  { name: "style", label: "Mask as outline, fill or spotlight", short: "Mask as", defaultKey: "KeyK", needsMasks: true,
    run: ({ scene }) => scene.cycleStyle() },
  { name: "opacity", label: "Opacity", defaultKey: "KeyO", needsMasks: true, run: ({ scene }) => scene.cycleOpacity() },
  { name: "zoomIn", label: "Zoom in", defaultKey: "Equal", run: ({ scene }) => scene.zoomIn() },
  { name: "zoomOut", label: "Zoom out", defaultKey: "Minus", run: ({ scene }) => scene.zoomOut() },
  { name: "zoomReset", label: "Whole picture", defaultKey: "Digit0", run: ({ scene }) => scene.zoomReset() },
  { name: "zoomToObject", label: "Zoom to object", defaultKey: "KeyZ", needsMasks: true,
    run: ({ scene }) => scene.zoomToObject() },
];

/**
 * Keys of the strip below the picture while it has the focus, by KeyboardEvent.key.
 * @type {{key: string, label: string, run: (moves: Moves) => void}[]}
 */
export const STRIP_KEYS = [
  { key: "ArrowLeft", label: "On the strip: previous annotated frame", run: ({ step }) => step(-1) },
  { key: "ArrowDown", label: "On the strip: previous annotated frame", run: ({ step }) => step(-1) },
  { key: "ArrowRight", label: "On the strip: next annotated frame", run: ({ step }) => step(1) },
  { key: "ArrowUp", label: "On the strip: next annotated frame", run: ({ step }) => step(1) },
  { key: "PageDown", label: "On the strip: 10 frames back", run: ({ step10 }) => step10(-1) },
  { key: "PageUp", label: "On the strip: 10 frames on", run: ({ step10 }) => step10(1) },
  { key: "Home", label: "On the strip: first frame of the video", run: ({ seek }) => seek(0) },
  { key: "End", label: "On the strip: last frame of the video", run: ({ seek, last }) => seek(last) },
];

/** How far an arrow key moves the crosshair, in fractions of the image: without and with Shift. */
const FINE = 0.01;
const COARSE = 0.1;
/**
 * Keys of the picture while it has the focus, by KeyboardEvent.key: the way they move the crosshair or, zoomed, the
 * picture. Enter has none: it sets a point at the crosshair.
 * @type {{key: string, label: string, way: [number, number] | null}[]}
 */
export const PICTURE_KEYS = [
  ...[["ArrowLeft", -1, 0], ["ArrowRight", 1, 0], ["ArrowUp", 0, -1], ["ArrowDown", 0, 1]].map(([key, dx, dy]) => ({
    key: String(key), label: "On the picture: move the crosshair, or the zoomed picture; with Shift in big steps",
    way: /** @type {[number, number]} */ ([dx, dy]),
  })),
  { key: "Enter", label: "On the picture: set a point at the crosshair", way: null },
];

/** Returns how far an arrow key moves things on the picture, (x, y) in fractions of it. @param {KeyboardEvent} event @returns {[number, number] | null} */
export function wayOf(event) {
  const way = PICTURE_KEYS.find(({ key }) => key === event.key)?.way;
  const by = event.shiftKey ? COARSE : FINE;
  return way ? [by * way[0], by * way[1]] : null;
}

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
