/** Everything that is put on the canvas, in order: the picture, the mask, outlines, points, the crosshair. */

/**
 * @typedef {import("./types.js").Style} Style
 * @typedef {import("./view.js").Rect} Rect
 * @typedef {import("./shape.js").Shape} Shape
 * @typedef {CanvasRenderingContext2D} Context
 */

const THIN = 2; // CSS pixels
const RIM = 1.5; // of black on either side
const DASH = [6, 5];

/**
 * @param {Context} context with a transform to CSS pixels
 * @param {CanvasImageSource} bitmap
 * @param {Rect} rect where the frame lies
 */
export function paintPicture(context, bitmap, rect) {
  context.drawImage(bitmap, rect.x, rect.y, rect.width, rect.height);
}

/**
 * @param {Context} context
 * @param {Shape} shape
 * @param {Rect} rect
 * @param {Style} style
 * @param {number} opacity of the fill, or of what the spotlight darkens
 */
export function paintMask(context, shape, rect, style, opacity) {
  if (style === "fill") paintFill(context, shape, rect, opacity);
  if (style === "spotlight") {
    inMask(context, shape, rect, () => {
      const around = new Path2D();
      around.rect(0, 0, shape.size[1], shape.size[0]);
      around.addPath(shape.path);
      context.fillStyle = `rgb(0 0 0 / ${opacity})`;
      context.fill(around, "evenodd");
    });
  }
  paintOutline(context, shape, rect);
}

/** A mask of another frame: dashes only. @param {Context} context @param {Shape} shape @param {Rect} rect */
export function paintHeld(context, shape, rect) {
  paintOutline(context, shape, rect, { dashed: true });
}

/**
 * One of several outlines, with its number.
 * @param {Context} context
 * @param {Shape} shape
 * @param {Rect} rect
 * @param {string} label
 * @param {boolean} chosen
 */
export function paintChoice(context, shape, rect, label, chosen) {
  if (chosen) paintFill(context, shape, rect, 0.4);
  paintOutline(context, shape, rect, { width: chosen ? 2 * THIN : THIN });
  const { part } = shape;
  const x = rect.x + (part.x + part.width / 2) * rect.width;
  paintNumber(context, x, rect.y + part.y * rect.height, label, chosen);
}

/** @param {Context} context @param {number} x @param {number} y @param {string} label */
export function paintPoint(context, x, y, label) {
  cross(context, x, y, 9, 0);
  paintNumber(context, x + 18, y - 18, label, true);
}

/** @param {Context} context @param {number} x @param {number} y */
export function paintCrosshair(context, x, y) {
  cross(context, x, y, 22, 5);
}

/** @param {Context} context @param {Shape} shape @param {Rect} rect @param {number} opacity */
function paintFill(context, shape, rect, opacity) {
  inMask(context, shape, rect, () => {
    context.globalAlpha = opacity;
    if (shape.picture && shape.box) context.drawImage(shape.picture, shape.box.x, shape.box.y);
  });
}

/**
 * White on a wider black: one of them shows on any colour.
 * @param {Context} context
 * @param {Shape} shape
 * @param {Rect} rect
 * @param {{dashed?: boolean, width?: number}} look
 */
function paintOutline(context, shape, rect, { dashed = false, width = THIN } = {}) {
  inMask(context, shape, rect, (scale) => {
    context.lineJoin = "round";
    if (dashed) context.setLineDash(DASH.map((length) => length / scale));
    for (const [colour, wide] of /** @type {const} */ ([["#000", width + 2 * RIM], ["#fff", width]])) {
      context.strokeStyle = colour;
      context.lineWidth = wide / scale;
      context.stroke(shape.path);
    }
  });
}

/** Paints in pixels of the mask. @param {Context} context @param {Shape} shape @param {Rect} rect @param {(scale: number) => void} paint */
function inMask(context, shape, rect, paint) {
  const [height, width] = shape.size;
  context.save();
  context.translate(rect.x, rect.y);
  context.scale(rect.width / width, rect.height / height);
  paint(rect.width / width);
  context.restore();
}

/** @param {Context} context @param {number} x @param {number} y @param {number} arm @param {number} gap */
function cross(context, x, y, arm, gap) {
  context.save();
  context.beginPath();
  for (const [dx, dy] of /** @type {const} */ ([[1, 0], [-1, 0], [0, 1], [0, -1]])) {
    context.moveTo(x + dx * gap, y + dy * gap);
    context.lineTo(x + dx * arm, y + dy * arm);
  }
  for (const [colour, wide] of /** @type {const} */ ([["#000", 5], ["#fff", 2]])) {
    context.strokeStyle = colour;
    context.lineWidth = wide;
    context.stroke();
  }
  context.restore();
}

/** @param {Context} context @param {number} x @param {number} y @param {string} label @param {boolean} strong */
function paintNumber(context, x, y, label, strong) {
  const radius = 12;
  context.save();
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.fillStyle = strong ? "#fff" : "#000";
  context.strokeStyle = strong ? "#000" : "#fff";
  context.lineWidth = 2;
  context.fill();
  context.stroke();
  context.fillStyle = context.strokeStyle;
  context.font = "bold 14px system-ui, sans-serif";
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.fillText(label, x, y + 1);
  context.restore();
}
