/** The decoded pictures of one video: asked of the worker, kept by how recently they were used, closed when dropped. */

/** @typedef {import("./types.js").Video} Video */

const LIMIT_BYTES = 256 * 2 ** 20;
const AHEAD = 48;
const FIRST_RETRY_MS = 1000;
const LAST_RETRY_MS = 30_000;

export class Frames {
  /** @type {Map<number, ImageBitmap>} the least recently used first */
  #bitmaps = new Map();
  /** @type {Map<number, string>} */
  #urls = new Map();
  /** @type {Map<string, string>} chunk, "" for the worker -> what went wrong */
  #failed = new Map();
  /** @type {string[]} */
  #prefetch = [];
  /** @type {number[]} */
  #wanted = [];
  #bytes = 0;
  #frameBytes = 1;
  #load = 0;
  #retryMs = FIRST_RETRY_MS;
  #timer = 0;
  /** @type {Worker} */
  #worker;
  /** The frame on the canvas: never dropped. */
  pinned = -1;

  /**
   * @param {() => void} onChange a frame came, or a chunk failed, or is being tried again
   * @param {number} [limitBytes]
   */
  constructor(onChange, limitBytes = LIMIT_BYTES) {
    this.limitBytes = limitBytes;
    this.onChange = onChange;
    this.#worker = this.#start();
    addEventListener("online", this.retry);
  }

  /** Starts a video; the pictures of the one before are closed. @param {Video} video */
  open(video) {
    this.#load++;
    for (const frame of [...this.#bitmaps.keys()]) this.#close(frame);
    this.pinned = -1;
    this.#forget();
    this.#prefetch = [];
    this.#frameBytes = video.shown_height_px * video.shown_width_px * 4;
    this.#urls = chunkOfFrame(video);
  }

  /** Packed chunks to fetch when nothing else is wanted. @param {string[]} urls */
  prefetch(urls) {
    this.#prefetch = urls;
    this.#ask();
  }

  /** @param {number} frame @returns {boolean} */
  has(frame) {
    return this.#bitmaps.has(frame);
  }

  /** @param {number} frame @returns {ImageBitmap | undefined} */
  get(frame) {
    const bitmap = this.#bitmaps.get(frame);
    if (bitmap) {
      this.#bitmaps.delete(frame);
      this.#bitmaps.set(frame, bitmap);
    }
    return bitmap;
  }

  /** All that is wanted from now on. @param {number[]} frames the most urgent first */
  want(frames) {
    this.#wanted = frames.slice(0, this.#room());
    for (const frame of this.#wanted.toReversed()) this.get(frame); // so that it is dropped late
    this.#ask();
  }

  /** Returns why a frame cannot be loaded; null if it may still be. @param {number} frame @returns {string | null} */
  error(frame) {
    return this.#failed.get(this.#urls.get(frame) ?? "") ?? this.#failed.get("") ?? null;
  }

  /** Tries again what failed, now. */
  retry = () => {
    this.#retryMs = FIRST_RETRY_MS;
    this.#again();
  };

  get used() {
    return { bytes: this.#bytes, frames: this.#bitmaps.size };
  }

  destroy() {
    removeEventListener("online", this.retry);
    clearTimeout(this.#timer);
    this.#worker.terminate();
    for (const frame of [...this.#bitmaps.keys()]) this.#close(frame);
  }

  #start() {
    const worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
    worker.addEventListener("message", ({ data }) => this.#receive(data));
    worker.addEventListener("error", () => this.#receive({ url: "", failed: "a part of the player did not start" }));
    return worker;
  }

  /** Frames that may be wanted at once: half the limit, so that what comes never drops what comes next. */
  #room() {
    return Math.max(2, Math.min(AHEAD, Math.floor(this.limitBytes / 2 / this.#frameBytes)));
  }

  #ask() {
    const wanted = this.#wanted
      .filter((frame) => !this.#bitmaps.has(frame))
      .map((frame) => ({ frame, url: this.#urls.get(frame) ?? "" }))
      .filter(({ url }) => url && !this.#failed.has(url));
    this.#worker.postMessage({ wanted, prefetch: this.#prefetch, load: this.#load });
  }

  /** @param {{frame: number, load: number, bitmap: ImageBitmap} | {url: string, failed: string}} message */
  #receive(message) {
    if ("failed" in message) {
      this.#failed.set(message.url, message.failed);
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.#again(), this.#retryMs);
      this.#retryMs = Math.min(2 * this.#retryMs, LAST_RETRY_MS);
    } else if (message.load !== this.#load || this.#bitmaps.has(message.frame)) {
      message.bitmap.close();
      return;
    } else {
      this.#retryMs = FIRST_RETRY_MS;
      this.#keep(message.frame, message.bitmap);
    }
    this.onChange();
  }

  /** @param {number} frame @param {ImageBitmap} bitmap */
  #keep(frame, bitmap) {
    this.#bitmaps.set(frame, bitmap);
    this.#bytes += bytesOf(bitmap);
    for (const old of [...this.#bitmaps.keys()]) {
      if (this.#bytes <= this.limitBytes) return;
      if (old !== this.pinned && old !== frame) this.#close(old);
    }
  }

  /** @param {number} frame */
  #close(frame) {
    const bitmap = this.#bitmaps.get(frame);
    if (!bitmap) return;
    this.#bytes -= bytesOf(bitmap);
    this.#bitmaps.delete(frame);
    bitmap.close();
  }

  #again() {
    clearTimeout(this.#timer);
    if (!this.#failed.size) return;
    if (this.#failed.has("")) {
      this.#worker.terminate();
      this.#worker = this.#start();
    }
    this.#forget();
    this.#ask();
    this.onChange();
  }

  #forget() {
    for (const url of this.#failed.keys()) this.#worker.postMessage({ forget: url });
    this.#failed.clear();
  }
}

/** @param {ImageBitmap} bitmap */
function bytesOf(bitmap) {
  return bitmap.width * bitmap.height * 4;
}

/** @param {Video} video @returns {Map<number, string>} */
function chunkOfFrame(video) {
  const annotated = new Set(video.annotated);
  const urls = new Map();
  video.chunks.forEach(({ first, key, rest }, n) => {
    const end = video.chunks[n + 1]?.first ?? video.frame_count;
    for (let frame = first; frame < end; frame++) urls.set(frame, annotated.has(frame) ? key : rest);
  });
  return urls;
}
