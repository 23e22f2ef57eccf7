/** What fingers, pens, mice and wheels do on the picture. */

/**
 * @typedef {{tap: (x: number, y: number) => void, swipe: (by: 1 | -1) => void, pan: (dx: number, dy: number) => void,
 *   zoom: (factor: number, x: number, y: number) => void, zoomed: () => boolean}} Gestures x and y in CSS pixels of the element
 */

const STILL_PX = 8; // a finger never rests on one pixel
const SWIPE_PX = 40;

/** @param {HTMLElement} element @param {Gestures} on */
export function listen(element, on) {
  /** @type {Map<number, {x: number, y: number}>} */
  const down = new Map();
  let start = { x: 0, y: 0 };
  let moved = false;
  let pinched = false;

  /** @param {MouseEvent} event */
  const placeOf = (event) => {
    const { left, top } = element.getBoundingClientRect();
    return { x: event.clientX - left, y: event.clientY - top };
  };

  element.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    if (!down.size) [start, moved, pinched] = [placeOf(event), false, false];
    element.setPointerCapture(event.pointerId);
    down.set(event.pointerId, placeOf(event));
  });

  element.addEventListener("pointermove", (event) => {
    const before = down.get(event.pointerId);
    if (!before) return;
    const now = placeOf(event);
    const other = [...down].find(([id]) => id !== event.pointerId)?.[1];
    down.set(event.pointerId, now);
    moved ||= Math.hypot(now.x - start.x, now.y - start.y) > STILL_PX;
    if (other) {
      pinched = true;
      const spread = Math.hypot(now.x - other.x, now.y - other.y) / Math.hypot(before.x - other.x, before.y - other.y);
      if (Number.isFinite(spread)) on.zoom(spread, (now.x + other.x) / 2, (now.y + other.y) / 2);
      on.pan((now.x - before.x) / 2, (now.y - before.y) / 2);
    } else if (moved && on.zoomed()) {
      on.pan(now.x - before.x, now.y - before.y);
    }
  });

  element.addEventListener("pointerup", (event) => {
    if (!down.delete(event.pointerId) || down.size || pinched) return;
    const { x, y } = placeOf(event);
    const [dx, dy] = [x - start.x, y - start.y];
    if (!moved) on.tap(x, y);
    else if (event.pointerType === "touch" && !on.zoomed() && Math.abs(dx) > Math.max(SWIPE_PX, Math.abs(dy))) {
      on.swipe(dx < 0 ? 1 : -1);
    }
  });

  element.addEventListener("pointercancel", (event) => down.delete(event.pointerId));

  element.addEventListener(
    "wheel",
    (event) => {
      if (event.deltaY > 0 && !on.zoomed()) return; // the page may scroll
      event.preventDefault();
      const { x, y } = placeOf(event);
      on.zoom(Math.exp(-0.002 * event.deltaY * (event.deltaMode ? 16 : 1)), x, y);
    },
    { passive: false },
  );
}
