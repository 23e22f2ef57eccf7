/** The outline of a mask as closed lines along the cracks between its pixels and the others. */

// Clockwise, so that the mask lies on the right hand: east, south, west, north.
const STEP = [
  [1, 0],
  [0, 1],
  [-1, 0],
  [0, -1],
];

/**
 * Follows each crack once; lines run through the middles of the cracks, which rounds the stairs of a slope by half a pixel.
 * @param {Uint32Array} pixels row by row, not 0 inside
 * @param {number} width
 * @param {number} height
 * @returns {[number, number][][]} closed lines of (x, y), in pixels of the box
 */
export function contours(pixels, width, height) {
  const out = leaving(pixels, width, height);
  const stride = width + 1;
  /** @type {[number, number][][]} */
  const lines = [];
  for (let begin = 0; begin < out.length; begin++) {
    while (out[begin]) {
      /** @type {[number, number][]} */
      const line = [];
      let at = begin;
      let heading = first(out[begin] ?? 0);
      do {
        const choices = out[at] ?? 0;
        // where two pixels touch at a corner only, turning right keeps them apart
        heading = [1, 0, 3].map((turn) => (heading + turn) % 4).find((to) => choices & (1 << to)) ?? first(choices);
        out[at] = choices & ~(1 << heading);
        const [dx = 0, dy = 0] = STEP[heading] ?? [];
        line.push([(at % stride) + dx / 2, Math.floor(at / stride) + dy / 2]);
        at += dx + dy * stride;
      } while (at !== begin);
      lines.push(line);
    }
  }
  return lines;
}

/**
 * For each corner of the grid, the headings of the cracks that leave it, one bit each.
 * @param {Uint32Array} pixels
 * @param {number} width
 * @param {number} height
 */
function leaving(pixels, width, height) {
  const stride = width + 1;
  const out = new Uint8Array(stride * (height + 1));
  /** @type {(corner: number, heading: number) => void} */
  const leave = (corner, heading) => {
    out[corner] = (out[corner] ?? 0) | (1 << heading);
  };
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const pixel = y * width + x;
      if (!pixels[pixel]) continue;
      const corner = y * stride + x;
      if (y === 0 || !pixels[pixel - width]) leave(corner, 0);
      if (x === width - 1 || !pixels[pixel + 1]) leave(corner + 1, 1);
      if (y === height - 1 || !pixels[pixel + width]) leave(corner + stride + 1, 2);
      if (x === 0 || !pixels[pixel - 1]) leave(corner + stride, 3);
    }
  }
  return out;
}

/** @param {number} bits */
function first(bits) {
  return [0, 1, 2, 3].find((heading) => bits & (1 << heading)) ?? 0;
}
