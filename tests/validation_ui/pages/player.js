/** A page with nothing but the player, its keys, and eyes that read the canvas without asking the player's parts. */

import { contours } from "/static/player/contour.js";
import { ACTIONS, Player } from "/static/player/player.js";
import { boxOf, fillBox, parseRuns } from "/static/player/rle.js";
import { Track } from "/static/player/track.js";

const asked = new URLSearchParams(location.search);
const { video, masks } = await (await fetch(asked.get("clip") ?? "/clip.json")).json();
const points = [];
const styles = [];
const player = new Player(document.querySelector("#player"), {
  lightMode: asked.has("light"),
  limitBytes: asked.has("limit") ? Number(asked.get("limit")) : undefined,
  onPoint: (point) => points.push(point),
  onStyle: (style) => styles.push(style),
});

/** Numbers that the pixels of the canvas spell: the picture's bars, the column of the mask (null: no mask). */
function read() {
  const canvas = document.querySelector("canvas");
  const { width, height } = canvas;
  const scale = Math.min(width / video.width_px, height / video.height_px);
  const [left, top] = [(width - scale * video.width_px) / 2, (height - scale * video.height_px) / 2];
  const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
  const at = (x, y) => 4 * (Math.round(top + y * scale) * width + Math.round(left + x * scale));
  let picture = 0;
  for (let bit = 0; bit < 8; bit++) picture |= (data[at(30 + 34 * bit, 48)] > 127) << bit;
  let [sum, count] = [0, 0];
  for (let y = 112; y < 178; y++) {
    for (let x = 1; x < 299; x++) {
      const pixel = at(x, y);
      const far = Math.max(...[0, 1, 2].map((channel) => Math.abs(data[pixel + channel] - 128)));
      if (far > 60) [sum, count] = [sum + x, count + 1];
    }
  }
  return { picture, mask: count ? Math.round((sum / count - 8) / 11) * 4 : null };
}

/** What is wrong with the canvas now, "" if nothing. */
function wrong() {
  const { picture, mask } = read();
  const shown = player.presented;
  const counter = document.querySelector(".player-counter").textContent;
  const good = picture === shown.frame && mask === shown.mask && counter.startsWith(`frame ${picture} of`);
  return good ? "" : JSON.stringify({ picture, mask, shown, counter });
}

const frame = () => new Promise(requestAnimationFrame);

/** Waits for frame k to be on the canvas. */
async function presented(k) {
  const end = performance.now() + 60_000;
  while (player.presented?.frame !== k) {
    if (performance.now() > end) throw new Error(`frame ${k} never came, there is ${player.presented?.frame}`);
    await frame();
  }
}

/** Looks at the canvas at every display frame for a while. */
async function watch(ms) {
  const seen = [];
  const faults = [];
  for (const end = performance.now() + ms; performance.now() < end; ) {
    await frame();
    const fault = wrong();
    if (fault) faults.push(fault);
    if (seen.at(-1) !== player.presented.frame) seen.push(player.presented.frame);
  }
  return { seen, faults };
}

/** Pixels of a mask, row by row, as a string of 0 and 1. */
function decode({ size, counts }) {
  const [height, width] = size;
  const runs = parseRuns(counts, size);
  const box = boxOf(runs, height);
  const pixels = new Uint8Array(height * width);
  if (box) {
    fillBox(runs, height, box, 1).forEach((value, n) => {
      pixels[(box.y + Math.floor(n / box.width)) * width + box.x + (n % box.width)] = value;
    });
  }
  return pixels.join("");
}

/** Pixels whose centres lie within the outline of the pixels given, likewise. */
function outlined(text, [height, width]) {
  const pixels = Array.from(text, Number);
  const context = document.createElement("canvas").getContext("2d");
  const path = new Path2D();
  for (const line of contours(Uint32Array.from(pixels), width, height)) {
    line.forEach(([x, y], n) => (n ? path.lineTo(x, y) : path.moveTo(x, y)));
    path.closePath();
  }
  const inside = (_, n) => context.isPointInPath(path, (n % width) + 0.5, Math.floor(n / width) + 0.5, "evenodd");
  return pixels.map(inside).map(Number).join("");
}

addEventListener("keydown", (event) => {
  if (event.target.closest("button")) return;
  const key = (event.altKey ? "Alt+" : "") + (event.shiftKey ? "Shift+" : "") + event.code;
  ACTIONS.find((action) => action.defaultKey === key)?.run(player);
});
addEventListener("keyup", (event) => ACTIONS.find(({ defaultKey }) => defaultKey === event.code)?.release?.(player));

Object.assign(window, { ACTIONS, Track, styles, player, video, masks, points, read, wrong, frame, presented, watch, decode, outlined });
player.load(video, asked.has("blind") ? null : masks, { view: asked.get("view") ?? undefined }).then(() => {
  document.body.dataset.ready = "yes";
});
