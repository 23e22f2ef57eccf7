/** COCO compressed run-length masks: column-major, background first (pycocotools' maskApi.c, rleFrString). */

/** @typedef {{x: number, y: number, width: number, height: number}} Box in mask pixels, x and y included */

/**
 * Lengths of the runs of a counts string.
 * @param {string} counts
 * @param {[number, number]} size [height, width]
 * @returns {Uint32Array}
 * @throws {Error} the string breaks off, or its runs do not fill the size
 */
export function parseRuns(counts, [height, width]) {
  const runs = [];
  let total = 0;
  for (let at = 0; at < counts.length; ) {
    let value = 0;
    let shift = 0;
    let code = 0x20;
    while (code & 0x20) {
      code = counts.charCodeAt(at++) - 48;
      if (!(code >= 0 && code < 64) || shift > 25) throw new Error(`a mask is damaged at character ${at} of its counts`);
      value |= (code & 0x1f) << shift;
      shift += 5;
    }
    if (code & 0x10 && shift < 32) value |= -1 << shift;
    if (runs.length > 2) value += runs[runs.length - 2] ?? 0;
    if (value < 0) throw new Error(`a mask is damaged: run ${runs.length} is negative`);
    runs.push(value);
    total += value;
  }
  if (total !== height * width) {
    throw new Error(`a mask is damaged: its runs make ${total} pixels, its size ${height} x ${width}`);
  }
  return Uint32Array.from(runs);
}

/**
 * The smallest box around the mask, null where it has no pixel.
 * @param {Uint32Array} runs
 * @param {number} height of the mask
 * @returns {Box | null}
 */
export function boxOf(runs, height) {
  let [left, right, top, bottom] = [Infinity, -1, Infinity, -1];
  let start = 0;
  runs.forEach((length, index) => {
    const end = start + length;
    if (index % 2 && length) {
      const last = end - 1;
      const [firstColumn, lastColumn] = [Math.floor(start / height), Math.floor(last / height)];
      left = Math.min(left, firstColumn);
      right = Math.max(right, lastColumn);
      const wraps = firstColumn !== lastColumn;
      top = Math.min(top, wraps ? 0 : start % height);
      bottom = Math.max(bottom, wraps ? height - 1 : last % height);
    }
    start = end;
  });
  return right < 0 ? null : { x: left, y: top, width: right - left + 1, height: bottom - top + 1 };
}

/**
 * Pixels of the box, row by row: `value` inside the mask, 0 outside.
 * @param {Uint32Array} runs
 * @param {number} height of the mask
 * @param {Box} box
 * @param {number} value
 * @returns {Uint32Array}
 */
export function fillBox(runs, height, box, value) {
  const pixels = new Uint32Array(box.width * box.height);
  let start = 0;
  runs.forEach((length, index) => {
    const end = start + length;
    if (index % 2) {
      let column = Math.floor(start / height);
      let row = start - column * height;
      for (let left = length; left > 0; column++, row = 0) {
        const rows = Math.min(left, height - row);
        let at = (row - box.y) * box.width + column - box.x;
        for (let n = 0; n < rows; n++, at += box.width) pixels[at] = value;
        left -= rows;
      }
    }
    start = end;
  });
  return pixels;
}
