/**
 * Fetches chunks and makes their pictures into bitmaps, off the page's thread.
 *
 * In:  {wanted: {frame, url}[], prefetch: url[], load}: all that is wanted from now on, the most urgent first.
 *      {forget: url}: it failed; fetch it anew when it is wanted again.
 * Out: {frame, load, bitmap} | {url, failed: message}
 * A chunk: uint32 count, then count x (uint32 frame, uint32 length), then the pictures; little-endian.
 */

import { address } from "../lib/address.js";

const FETCHES = 3; // at once: a browser opens six to a server, and the page's own requests need some
const DECODES = 2;
const CHUNK_BYTES = 96 * 2 ** 20; // packed pictures kept, so that a bitmap that was closed needs no request

/**
 * @typedef {{frame: number, url: string}} Wanted
 * @typedef {Map<number, Blob>} Pictures
 */
const page = /** @type {{postMessage: (message: unknown, transfer?: Transferable[]) => void}} */ (
  /** @type {unknown} */ (self)
);
/** @type {Map<string, {pictures: Pictures, bytes: number}>} the least recently used first */
const chunks = new Map();
/** @type {Map<string, AbortController>} */
const fetching = new Map();
/** @type {Set<string>} */
const failed = new Set();
/** @type {Set<string>} */
const afresh = new Set();
/** @type {Wanted[]} */
let wanted = [];
/** @type {string[]} */
let prefetch = [];
let load = 0;
/** @type {Set<string>} frames being decoded, as "load:frame" */
const decoding = new Set();

self.addEventListener("message", ({ data }) => {
  if ("forget" in data) {
    failed.delete(data.forget);
    afresh.add(data.forget);
    return;
  }
  ({ prefetch, load } = data);
  wanted = data.wanted.filter((/** @type {Wanted} */ { frame }) => !decoding.has(`${load}:${frame}`));
  const urls = new Set([...wanted.map(({ url }) => url), ...prefetch]);
  for (const [url, controller] of fetching) if (!urls.has(url)) controller.abort();
  pump();
});

/** Starts what may start: decoding in order of urgency, then fetching likewise. */
function pump() {
  while (decoding.size < DECODES) {
    const at = wanted.findIndex(({ url }) => chunks.has(url));
    if (at < 0) break;
    const [next] = wanted.splice(at, 1);
    if (next) void decode(next, load);
  }
  for (const url of new Set([...wanted.map((one) => one.url), ...prefetch])) {
    if (fetching.size >= FETCHES) break;
    if (!chunks.has(url) && !fetching.has(url) && !failed.has(url)) void fetchChunk(url);
  }
}

/** @param {string} url */
async function fetchChunk(url) {
  const controller = new AbortController();
  fetching.set(url, controller);
  try {
    const cache = afresh.has(url) ? "reload" : "default";
    const response = await fetch(address(url), { cache, signal: controller.signal });
    if (!response.ok) throw new Error(`the server answered ${response.status}`);
    const bytes = await response.arrayBuffer();
    chunks.set(url, { pictures: unpack(bytes), bytes: bytes.byteLength });
    afresh.delete(url);
    drop();
  } catch (error) {
    if (!controller.signal.aborted) fail(url, error);
  } finally {
    fetching.delete(url);
    pump();
  }
}

/** @param {ArrayBuffer} bytes @returns {Pictures} */
function unpack(bytes) {
  const view = new DataView(bytes);
  const pictures = new Map();
  try {
    const count = view.getUint32(0, true);
    let start = 4 + 8 * count;
    for (let n = 0; n < count; n++) {
      const length = view.getUint32(8 + 8 * n, true);
      pictures.set(view.getUint32(4 + 8 * n, true), new Blob([new Uint8Array(bytes, start, length)]));
      start += length;
    }
    if (start !== bytes.byteLength) throw new RangeError();
  } catch {
    throw new Error("its bytes are damaged");
  }
  return pictures;
}

/** @param {Wanted} one @param {number} ofLoad */
async function decode({ frame, url }, ofLoad) {
  const chunk = chunks.get(url);
  if (!chunk) return;
  chunks.delete(url);
  chunks.set(url, chunk);
  decoding.add(`${ofLoad}:${frame}`);
  try {
    const picture = chunk.pictures.get(frame);
    if (!picture) throw new Error(`it has no frame ${frame}`);
    const bitmap = await createImageBitmap(picture);
    page.postMessage({ frame, load: ofLoad, bitmap }, [bitmap]);
  } catch (error) {
    chunks.delete(url);
    fail(url, error);
  } finally {
    decoding.delete(`${ofLoad}:${frame}`);
    pump();
  }
}

/** @param {string} url @param {unknown} error */
function fail(url, error) {
  failed.add(url);
  page.postMessage({ url, failed: error instanceof Error ? error.message : String(error) });
}

/** Forgets the chunks used longest ago, never the newest. */
function drop() {
  let bytes = [...chunks.values()].reduce((sum, chunk) => sum + chunk.bytes, 0);
  for (const [url, chunk] of chunks) {
    if (bytes <= CHUNK_BYTES || chunks.size === 1) return;
    bytes -= chunk.bytes;
    chunks.delete(url);
  }
}
