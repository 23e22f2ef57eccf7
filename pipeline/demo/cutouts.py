"""Makes things for a scene: cut out of the photographs that come with scikit-image, and tinted.

Shapes: `_HW3` is height x width x RGB, uint8; `_HW` is height x width. Outlines are in (x, y) pixels of the photograph.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.demo.scene import Sprite

TINTS = {
    "black": (28, 28, 30),
    "grey": (128, 128, 128),
    "white": (222, 222, 222),
    "red": (198, 34, 34),
    "orange": (240, 130, 28),
    "brown": (122, 76, 40),
    "yellow": (240, 205, 45),
    "green": (52, 150, 58),
    "blue": (38, 84, 200),
    "purple": (128, 52, 172),
    "pink": (244, 150, 186),
}
COINS = (  # x and y of the middle, and radius, in pixels of coins.png
    (335, 44, 29), (347, 187, 31), (46, 260, 27), (102, 196, 21), (213, 193, 23), (172, 261, 27),
    (301, 263, 24), (270, 119, 24), (155, 51, 22), (216, 51, 22), (45, 54, 20), (244, 263, 23),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, eq=False)
class Cutout:
    """A thing at rest: its image, its silhouette and named parts (bool), and its colours."""

    texture_HW3: NDArray[np.uint8]
    alpha_HW: NDArray[np.bool_]
    colours: tuple[str, ...]
    parts: dict[str, NDArray[np.bool_]] = field(default_factory=dict)

    def sprite(self, name: str, **motion: Any) -> Sprite:
        """Return the thing as a sprite of a scene; `motion` has the other fields of `Sprite`."""
        look = {"texture_HW3": self.texture_HW3, "alpha_HW": self.alpha_HW, "colours": self.colours}
        return Sprite(name=name, parts=self.parts, **{"shadow": True, **look, **motion})


@cache
def photo(name: str) -> NDArray[np.uint8]:
    """Read a photograph of scikit-image by file name, height x width x RGB; it is cached, so do not write to it.

    Raises:
        FileNotFoundError: the photograph is not there.
    """
    path = Path(str(files("skimage") / "data" / name))
    bgr = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if bgr is None:
        raise FileNotFoundError(f"the demo is drawn from {path}, which cannot be read: reinstall scikit-image")
    return np.ascontiguousarray(bgr[..., ::-1], dtype=np.uint8)


def tinted(name: str, rgb: tuple[int, int, int], contrast: float = 0.6) -> NDArray[np.uint8]:
    """Return a photograph in shades of one colour, height x width x RGB."""
    grey_HW = cv2.cvtColor(photo(name), cv2.COLOR_RGB2GRAY).astype(np.float32)
    light_HW = 1 + contrast * np.clip((grey_HW - grey_HW.mean()) / (3 * grey_HW.std()), -0.8, 0.8)
    return _tint(light_HW, rgb)


def ground(name: str, rgb: tuple[int, int, int], size_px: tuple[int, int], zoom: float = 1.6) -> NDArray[np.uint8]:
    """Make a background of `size_px` (width, height) from a texture, lit from the upper left."""
    tile_HW3 = cv2.resize(tinted(name, rgb), None, fx=zoom, fy=zoom, interpolation=cv2.INTER_CUBIC)
    width, height = size_px
    right, below = max(0, width - tile_HW3.shape[1]), max(0, height - tile_HW3.shape[0])
    tiled = cv2.copyMakeBorder(tile_HW3, 0, below, 0, right, cv2.BORDER_REFLECT_101)[:height, :width]
    y_HW, x_HW = np.mgrid[:height, :width]
    light_HW = 1.1 - 0.12 * x_HW / width - 0.18 * y_HW / height
    return _bytes(tiled * light_HW[..., None])


def sky(size_px: tuple[int, int]) -> NDArray[np.uint8]:
    """Make a background of `size_px` (width, height) from the Hubble deep field: galaxies on black."""
    width, height = size_px
    full = cv2.resize(photo("hubble_deep_field.jpg"), None, fx=1.5, fy=1.5, interpolation=cv2.INTER_CUBIC)
    return _bytes(full[:height, -width:])


def ball(colour: str, width_px: int, texture: str = "moon.png") -> Cutout:
    """Make a lit ball with the texture of a photograph."""
    image_HW3 = cv2.resize(
        tinted(texture, TINTS[colour], contrast=0.5), (width_px, width_px), interpolation=cv2.INTER_AREA
    )
    return Cutout(texture_HW3=_lit(image_HW3), alpha_HW=disc(width_px), colours=(colour,))


def planet(width_px: int) -> Cutout:
    """Make a red ball with veins, from the photograph of a retina."""
    image_HW3 = cv2.resize(photo("retina.jpg")[80:1330, 80:1330], (width_px, width_px), interpolation=cv2.INTER_AREA)
    return Cutout(texture_HW3=_lit(image_HW3), alpha_HW=disc(width_px), colours=("red",))


def coin(number: int, colour: str, width_px: int) -> Cutout:
    """Make the coin COINS[number] in shades of a colour."""
    x, y, radius = COINS[number]
    struck = photo("coins.png")[y - radius : y + radius, x - radius : x + radius, 0].astype(np.float32)
    grey_HW = cv2.resize(struck, (width_px, width_px), interpolation=cv2.INTER_CUBIC)
    light_HW = 1 + np.clip((grey_HW - grey_HW.mean()) / 160, -0.3, 0.25)
    return Cutout(texture_HW3=_tint(light_HW, TINTS[colour]), alpha_HW=disc(width_px), colours=(colour,))


def horse(colour: str, width_px: int) -> Cutout:
    """Make the silhouette of a horse that looks right, with the texture of tinted moon rock."""
    shape = cv2.resize((photo("horse.png")[..., 0] < 128).astype(np.float32), (width_px, round(width_px * 0.82)))
    image_HW3 = cv2.resize(
        tinted("moon.png", TINTS[colour], contrast=0.7), shape.shape[::-1], interpolation=cv2.INTER_AREA
    )
    return Cutout(texture_HW3=np.asarray(image_HW3, np.uint8), alpha_HW=shape >= 0.5, colours=(colour,))


def slab(texture: str, colour: str, size_px: tuple[int, int]) -> Cutout:
    """Make an upright rectangle of `size_px` (width, height)."""
    width, height = size_px
    return Cutout(
        texture_HW3=ground(texture, TINTS[colour], size_px, zoom=1.0),
        alpha_HW=np.ones((height, width), dtype=bool),
        colours=(colour,),
    )


def hill(width_px: int, height_px: int) -> Cutout:
    """Make grey moon ground with a round top."""
    alpha_HW = np.zeros((height_px, width_px), np.uint8)
    cv2.ellipse(alpha_HW, (width_px // 2, height_px), (width_px, height_px), 0, 0, 360, 1, cv2.FILLED)
    image_HW3 = ground("moon.png", TINTS["grey"], (width_px, height_px), zoom=1.5)
    return Cutout(texture_HW3=image_HW3, alpha_HW=alpha_HW.astype(bool), colours=("grey",))


def cup(width_px: int) -> Cutout:
    """Make a red cup and saucer, seen from above, with the part `coffee`."""
    shape_HW = _drawn("coffee.png", ellipses=(((278, 231), (199, 155)), ((290, 112), (116, 92))))
    coffee_HW = _drawn("coffee.png", ellipses=(((287, 143), (78, 47)),))
    return _cut("coffee.png", shape_HW, width_px, ("red", "white"), {"coffee": coffee_HW})


def cat(width_px: int) -> Cutout:
    """Make the face of a cat, with the part `eye`."""
    outline = (
        (45, 20), (70, 2), (340, 2), (362, 24), (352, 70), (360, 112), (354, 158), (330, 196),
        (313, 232), (305, 262), (256, 284), (196, 276), (120, 252), (62, 190), (42, 130), (34, 70),
    )  # fmt: skip
    shape_HW = _drawn("chelsea.png", polygons=(outline,))
    eye_HW = _drawn("chelsea.png", ellipses=(((170, 115), (35, 31)),))
    return _cut("chelsea.png", shape_HW, width_px, ("brown",), {"eye": eye_HW})


def motorcycle(width_px: int) -> Cutout:
    """Make a red motorcycle whose front is to the right."""
    body = (
        (93, 203), (138, 194), (139, 150), (162, 146), (168, 159), (222, 165), (285, 193), (352, 189), (356, 168),
        (385, 148), (412, 124), (436, 132), (405, 152), (396, 166), (446, 154), (468, 152), (467, 130), (500, 102),
        (526, 102), (540, 122), (561, 146), (558, 185), (548, 210), (575, 255), (615, 270), (646, 302), (630, 316),
        (560, 312), (582, 380), (570, 386), (525, 292), (503, 236), (480, 246), (479, 292), (468, 336), (446, 368),
        (413, 382), (357, 371), (312, 357), (246, 335), (223, 301), (212, 226), (162, 236), (112, 249), (103, 240),
    )  # fmt: skip
    front_wheel = (
        (510, 330), (512, 310), (525, 298), (560, 290), (605, 296), (634, 312), (658, 338), (676, 376), (683, 416),
        (670, 442), (642, 450), (603, 442), (558, 412), (530, 374), (514, 344),
    )  # fmt: skip
    rear_wheel = ((201, 318), (80, 81))
    shape_HW = _drawn("motorcycle_left.png", polygons=(body, front_wheel), ellipses=(rear_wheel,))
    return _cut("motorcycle_left.png", shape_HW, width_px, ("grey", "red", "black"), {})


def astronaut(width_px: int) -> Cutout:
    """Make an astronaut in an orange suit, with the part `helmet`."""
    outline = (
        (240, 16), (280, 28), (297, 55), (301, 95), (288, 126), (272, 138), (262, 165), (287, 192), (303, 234),
        (340, 250), (356, 290), (363, 348), (363, 511), (22, 511), (20, 390), (32, 310), (62, 248), (112, 212),
        (120, 182), (148, 153), (183, 148), (180, 131), (165, 115), (154, 85), (163, 52), (190, 34), (212, 20),
    )  # fmt: skip
    helmet = (((388, 441), (110, 98)),)
    shape_HW = _drawn("astronaut.png", polygons=(outline,), ellipses=helmet)
    helmet_HW = _drawn("astronaut.png", ellipses=helmet)
    return _cut("astronaut.png", shape_HW, width_px, ("orange", "red", "black"), {"helmet": helmet_HW})


def rocket(width_px: int) -> Cutout:
    """Make a white, upright rocket."""
    outline = (
        (322, 126), (329, 136), (333, 150), (334, 178), (334, 405), (312, 405), (311, 178), (312, 150), (316, 136),
    )  # fmt: skip
    shape_HW = _drawn("rocket.jpg", polygons=(outline,))
    grey_HW = cv2.cvtColor(photo("rocket.jpg"), cv2.COLOR_RGB2GRAY).astype(np.float32)
    light_HW = 1 + np.clip(
        (grey_HW - grey_HW[shape_HW].mean()) / 400, -0.2, 0.15
    )  # as in daylight: in the photograph floodlights tint it
    return _cut("rocket.jpg", shape_HW, width_px, ("white",), {}, _tint(light_HW, TINTS["white"]))


def mirrored(thing: Cutout) -> Cutout:
    """Return the thing mirrored, left for right."""
    return Cutout(
        texture_HW3=np.ascontiguousarray(thing.texture_HW3[:, ::-1]),
        alpha_HW=np.ascontiguousarray(thing.alpha_HW[:, ::-1]),
        colours=thing.colours,
        parts={name: np.ascontiguousarray(part_HW[:, ::-1]) for name, part_HW in thing.parts.items()},
    )


def _drawn(
    name: str,
    polygons: Sequence[Sequence[tuple[int, int]]] = (),
    ellipses: Sequence[tuple[tuple[int, int], tuple[int, int]]] = (),
) -> NDArray[np.bool_]:
    """Draw the union of polygons and ellipses (middle, half axes) as a mask of a photograph, height x width."""
    shape_HW = np.zeros(photo(name).shape[:2], np.uint8)
    for corners in polygons:
        cv2.fillPoly(shape_HW, [np.array(corners, np.int32)], 1)
    for middle, half_axes in ellipses:
        cv2.ellipse(shape_HW, middle, half_axes, 0, 0, 360, 1, cv2.FILLED)
    return shape_HW.astype(bool)


def _cut(
    name: str,
    shape_HW: NDArray[np.bool_],
    width_px: int,
    colours: tuple[str, ...],
    parts: dict[str, NDArray[np.bool_]],
    image_HW3: Any = None,
) -> Cutout:
    """Cut out the box of a silhouette and resize it to a width; the image is the photograph unless given."""
    x, y, width, height = cv2.boundingRect(shape_HW.astype(np.uint8))
    size = (width_px, round(height * width_px / width))

    def boxed(full: Any) -> Any:
        return cv2.resize(full[y : y + height, x : x + width], size, interpolation=cv2.INTER_AREA)

    return Cutout(
        texture_HW3=boxed(photo(name) if image_HW3 is None else image_HW3),
        alpha_HW=boxed(shape_HW.astype(np.float32)) >= 0.5,
        colours=colours,
        parts={part: boxed(part_HW.astype(np.float32)) >= 0.5 for part, part_HW in parts.items()},
    )


def _tint(light_HW: NDArray[np.floating[Any]], rgb: tuple[int, int, int]) -> NDArray[np.uint8]:
    return _bytes(light_HW[..., None] * np.array(rgb))


def disc(width_px: int) -> NDArray[np.bool_]:
    """Make the mask of a disc, width x width."""
    offset = np.arange(width_px) - (width_px - 1) / 2
    return np.asarray(np.hypot(*np.meshgrid(offset, offset)) <= width_px / 2 - 0.5)


def _lit(image_HW3: Any) -> NDArray[np.uint8]:
    """Shade a round image as a ball: lighter at the upper left, darker at the lower right rim."""
    side = np.linspace(-1, 1, image_HW3.shape[0])
    x_HW, y_HW = np.meshgrid(side, side)
    light_HW = 0.78 + 0.3 * np.sqrt(np.clip(1 - x_HW**2 - y_HW**2, 0, 1)) - 0.12 * (x_HW + y_HW)
    return _bytes(image_HW3 * light_HW[..., None])


def _bytes(image_HW3: Any) -> NDArray[np.uint8]:
    return np.asarray(np.clip(image_HW3, 0, 255), np.uint8)
