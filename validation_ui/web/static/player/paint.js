/** Everything that is put on the canvas, in order: the picture, the mask, outlines, points, the crosshair. */

/**
 * @typedef {import("./types.js").Style} Style
 * @typedef {import("./view.js").Rect} Rect
 * @typedef {import("./shape.js").Shape} Shape
 * @typedef {CanvasRenderingContext2D} Context
 */

const GAP = 1; // CSS pixels between an object and its contour, so that the contour's soft edge does not reach the object
const BAND = 2; // of white, and around it of black: one of them shows on any colour
const DASH = [7, 6];
/** @type {HTMLCanvasElement | null} what is painted around masks, before the masks are cut out of it */
let sheet = null;

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
    paintAround(context, shape, rect, { x: rect.x, y: rect.y, width: rect.width, height: rect.height }, (over) => {
      over.fillStyle = `rgb(0 0 0 / ${opacity})`;
      over.fillRect(0, 0, shape.size[1], shape.size[0]);
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
  paintOutline(context, shape, rect, { band: chosen ? 2 * BAND : BAND });
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
 * A contour around the object: white, and black around that. No pixel of the object changes; where the object touches
 * the edge of the frame there is no room for it.
 * @param {Context} context
 * @param {Shape} shape
 * @param {Rect} rect
 * @param {{dashed?: boolean, band?: number}} look
 */
function paintOutline(context, shape, rect, { dashed = false, band = BAND } = {}) {
  const { part } = shape;
  const out = GAP + 2 * band;
  const place = {
    ...{ x: rect.x + part.x * rect.width - out, y: rect.y + part.y * rect.height - out },
    ...{ width: part.width * rect.width + 2 * out, height: part.height * rect.height + 2 * out },
  };
  paintAround(context, shape, rect, place, (over, scale) => {
    over.lineJoin = "round";
    if (dashed) over.setLineDash(DASH.map((length) => length / scale));
    for (const [colour, wide] of /** @type {const} */ ([["#000", out], ["#fff", GAP + band]])) {
      over.strokeStyle = colour;
      over.lineWidth = (2 * wide) / scale;
      over.stroke(shape.path);
    }
  });
}

/**
 * Paints on a sheet of its own, cuts the object out of it, and lays it on the picture.
 * @param {Context} context
 * @param {Shape} shape
 * @param {Rect} rect where the frame lies
 * @param {Rect} place where `paint` paints, in CSS pixels
 * @param {(over: Context, scale: number) => void} paint in pixels of the mask
 */
function paintAround(context, shape, rect, place, paint) {
  const { width, height } = context.canvas;
  sheet ??= document.createElement("canvas");
  if (sheet.width !== width || sheet.height !== height) [sheet.width, sheet.height] = [width, height];
  const over = sheet.getContext("2d");
  if (!over) return;
  const { a: zoom } = context.getTransform();
  const [left, top] = [Math.max(0, Math.floor(zoom * place.x)), Math.max(0, Math.floor(zoom * place.y))];
  const wide = Math.min(width, Math.ceil(zoom * (place.x + place.width))) - left;
  const tall = Math.min(height, Math.ceil(zoom * (place.y + place.height))) - top;
  if (wide <= 0 || tall <= 0) return;
  over.setTransform(1, 0, 0, 1, 0, 0);
  over.clearRect(left, top, wide, tall);
  over.setTransform(context.getTransform());
  inMask(over, shape, rect, (scale) => paint(over, scale));
  inMask(over, shape, rect, (scale) => {
    over.globalCompositeOperation = "destination-out";
    over.lineJoin = "round";
    over.lineWidth = (2 * GAP) / scale;
    over.stroke(shape.path);
    over.fill(shape.path, "evenodd");
    over.imageSmoothingEnabled = false;
    const { picture, box } = shape; // the path rounds corners of pixels, which count when zoomed
    for (const [dx, dy] of /** @type {const} */ ([[0, 0], [1, 1], [1, -1], [-1, 1], [-1, -1]])) {
      if (picture && box) over.drawImage(picture, box.x + (dx * GAP) / 2 / scale, box.y + (dy * GAP) / 2 / scale);
    }
  });
  context.save();
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.drawImage(sheet, left, top, wide, tall, left, top, wide, tall);
  context.restore();
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
