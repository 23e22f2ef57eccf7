"""Names the colours of an object: basic colour terms by lightness, chroma and hue in CIELAB.

Images are `_HW3` (blue, green, red), uint8, as decoded; masks are `_HW`, bool, of the same size.
Lightness L is in [0, 100], chroma is the distance from grey, hue is in degrees (red 40, yellow 103, blue 306).
"""

from functools import cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from manifests.schema import Colour

TERMS = ("black", "grey", "white", "red", "orange", "brown", "yellow", "green", "blue", "purple", "pink")
MIN_SHARE_FRAC = 0.12  # a smaller part would not be named when the whole is described
_PIXELS_PER_SAMPLE = 1000  # a share is then known to about 2 %
_RIM_PX = 2  # the mask's edge is blurred into the background
_RING_PX = 12  # width of the ring of surroundings: 2 % of a long side of 640 px

# Upper end of the hues of every vivid term, degrees.
_HUES = ((18, "pink"), (42, "red"), (82, "orange"), (108, "yellow"), (193, "green"), (308, "blue"), (338, "purple"))
# Below this two views of one object show two things: less than one colour of a patchy object (named from 0.12 on), so
# that a mere turn of the object is not taken for a drift of the mask.
DRIFT_COMMON_FRAC = 0.1

MAX_DRIFT_FRAC = 0.3  # of the views not in the colours of the best: a new side shows now and then, not so often
_BLOWN, _DARK = 252, 24  # darkest and brightest channel of pixels that have lost their colour
_LIGHT_FRAC = 0.6  # of the pixels may have lost it; snow and coal have not, as a rule

_NEAR = {
    "black": "grey brown",
    "grey": "white brown blue green",
    "white": "pink yellow",
    "red": "brown orange pink",
    "orange": "brown yellow",
    "brown": "",
    "yellow": "green",
    "green": "",
    "blue": "purple",
    "purple": "pink",
    "pink": "",
}

_HUES_END = "pink"


def term_indices(bgr_N3: NDArray[np.uint8]) -> NDArray[np.intp]:
    """Return the index in TERMS of the colour name of N pixels."""
    lab_N3 = cv2.cvtColor(bgr_N3[np.newaxis].astype(np.float32) / 255, cv2.COLOR_BGR2LAB)[0]
    light, chroma = lab_N3[:, 0], np.hypot(lab_N3[:, 1], lab_N3[:, 2])
    hue = np.degrees(np.arctan2(lab_N3[:, 2], lab_N3[:, 1])) % 360
    # Warm light tints greys and whites towards yellow, shade towards blue: there it takes more chroma to be a colour.
    warm, cold = (hue >= 20) & (hue < 130), (hue >= 220) & (hue < 310)
    tinted = [warm & (light >= 80), warm & (light >= 60), warm & (hue < 110), cold & (light >= 55), cold]
    colourless = chroma < np.select(tinted, [22, 14, 11, 13, 10], 9)
    rules = [  # the first that holds
        ("black", (light < 24) & (chroma < 12)),  # a dark pixel has no certain hue
        ("black", (light < 12) & (chroma < np.where(cold, 13, 18))),
        ("white", colourless & (light >= 74)),
        ("grey", colourless),
        ("pink", ((hue >= 338) | (hue < 36)) & (light >= 62)),  # light red
        ("pink", ((hue >= 338) & (light >= 45)) | ((hue < 12) & (light >= 52))),
        ("purple", (hue >= 338) & (hue < 350)),
        ("red", (hue >= 338) | (hue < 18)),
        ("brown", (hue >= 30) & (hue < 47) & (chroma < 40)),  # brown is dark or dull orange: wood, soil, skin, fur
        ("brown", (hue >= 36) & (hue < 95) & (chroma < 30)),
        ("brown", (hue >= 47) & (hue < 82) & (chroma < 50) & (light < 72)),
        ("brown", (hue >= 47) & (hue < 95) & (chroma < 62) & (light < 45)),
        ("brown", (hue >= 82) & (hue < 95) & (chroma < 50) & (light < 58)),
        ("red", (hue < 47) & (light < 45)),  # a red in shadow shifts towards orange
        ("green", (hue >= 95) & (hue < 108) & (light < 60)),  # olive
        ("purple", (hue >= 296) & (hue < 308) & (light >= 60)),  # lavender
    ]
    vivid = np.array([TERMS.index(name) for name in (*(name for _, name in _HUES), _HUES_END)])
    by_hue = vivid[np.searchsorted([end for end, _ in _HUES], hue, side="right")]
    chosen = np.select([rule for _, rule in rules], [TERMS.index(name) for name, _ in rules], by_hue)
    return np.asarray(chosen, np.intp)


@cache
def _table() -> NDArray[np.intp]:
    """`term_indices` of all colours in steps of 8, (32, 32, 32) by blue, green, red: a look-up is 50 times as fast."""
    levels = np.arange(4, 256, 8, dtype=np.uint8)
    bgr_N3 = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), axis=-1).reshape(-1, 3)
    return term_indices(bgr_N3).reshape(32, 32, 32)


def term_map(bgr_HW3: NDArray[np.uint8]) -> NDArray[np.intp]:
    """Return the index in TERMS of the colour name of every pixel of an image, (H, W)."""
    blue, green, red = np.moveaxis(bgr_HW3 >> 3, -1, 0)
    return np.asarray(_table()[blue, green, red], np.intp)


def common_frac(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Return the share of the surface, at most 1, that two sets of shares of TERMS have in the same or near colours."""
    return min(1.0, float((np.minimum(a[:, None], b) * _near()).sum()))


@cache
def _near() -> NDArray[np.bool_]:
    """Return, (11, 11), which of TERMS one thing can have in turn as light and white balance change."""
    return np.array([[a == b or b in _NEAR[a].split() or a in _NEAR[b].split() for b in TERMS] for a in TERMS])


class ColourSampler:
    """Collects the colours of one object over the frames it is shown in; it keeps shares of names, no pixels."""

    def __init__(self) -> None:
        self._frames: list[NDArray[np.float64]] = []
        self._best, self._ring = np.zeros(len(TERMS)), np.zeros(len(TERMS))
        self._blown, self._dark = list[float](), list[float]()  # of the object; of object and ring, whichever has less

    def add(self, bgr_HW3: NDArray[np.uint8], mask_HW: NDArray[np.bool_], *, best: bool) -> None:
        """Count the pixels of one frame, long side about 640 px; `best` is the frame of the largest area."""
        mask = mask_HW.astype(np.uint8)
        x, y, width, height = cv2.boundingRect(mask)
        if not width:
            return
        rows = slice(max(0, y - _RING_PX), y + height + _RING_PX)
        columns = slice(max(0, x - _RING_PX), x + width + _RING_PX)
        mask, bgr = mask[rows, columns], bgr_HW3[rows, columns]
        core = cv2.erode(mask, np.ones((2 * _RIM_PX + 1,) * 2, np.uint8))
        core = core if core.any() else mask
        shares = _shares(bgr, core)
        self._frames.append(shares)
        inside_N3, around_N3 = bgr[core > 0], bgr[mask == 0]
        self._blown.append(float((inside_N3.min(axis=1) >= _BLOWN).mean()))
        self._dark.append(
            min(float((part_N3.max(axis=1) <= _DARK).mean()) for part_N3 in (inside_N3, around_N3) if len(part_N3))
        )
        if best:
            self._best = shares
            near, far = (cv2.dilate(mask, np.ones((2 * px + 1,) * 2, np.uint8)) for px in (_RIM_PX, _RING_PX))
            self._ring = _shares(bgr, far - near)

    def facts(self) -> dict[str, Any]:
        """Return the fields of `Facts` that are about colour; all frames weigh the same."""
        drifted = [common_frac(shares, self._best) < DRIFT_COMMON_FRAC for shares in self._frames]
        return {
            "colours": _named(np.sum(self._frames, axis=0) if self._frames else self._best),
            "colours_best": _named(self._best),
            "surroundings": _named(self._ring),
            "colour_drift_frac": sum(drifted) / max(1, len(drifted)),
            "colours_known": self._lit() and sum(drifted) <= MAX_DRIFT_FRAC * len(drifted),
            "camouflage_frac": float(np.minimum(self._best, self._ring).sum()),
        }

    def _lit(self) -> bool:
        """Tell whether most frames show it in light that leaves it a colour."""
        return bool(self._frames) and bool(max(np.median(self._blown), np.median(self._dark)) < _LIGHT_FRAC)


def _shares(bgr_HW3: NDArray[np.uint8], mask_HW: NDArray[Any]) -> NDArray[np.float64]:
    """Return the shares of TERMS in the mask's pixels, (11,); zeros for an empty mask."""
    inside = np.flatnonzero(mask_HW)
    if not len(inside):
        return np.zeros(len(TERMS))
    inside = inside[:: -(-len(inside) // _PIXELS_PER_SAMPLE)]
    blue, green, red = (bgr_HW3.reshape(-1, 3)[inside] >> 3).T
    return np.bincount(_table()[blue, green, red], minlength=len(TERMS)) / len(inside)


def _named(shares: NDArray[np.float64]) -> list[Colour]:
    shares = shares / max(shares.sum(), 1e-9)
    ranked = sorted(zip(TERMS, shares.tolist(), strict=True), key=lambda pair: -pair[1])
    return [Colour(name=name, share_frac=round(share, 4)) for name, share in ranked if share >= MIN_SHARE_FRAC]
