"""Renders scenes whose masks are known exactly: cut-outs of photographs that move over a photograph.

Shapes: `_HW3` is height x width x RGB, uint8; `_HW` is height x width, bool. Points are (x, y). World coordinates are
pixels of the background image, which is mirrored beyond its edges; times are in seconds.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

SHADOW_SHARE = 0.45  # share of the light that a shadow takes away at its middle


@dataclass(frozen=True, kw_only=True, eq=False)
class Sprite:
    """A flat cut-out that moves through the world."""

    name: str
    texture_HW3: NDArray[np.uint8]
    alpha_HW: NDArray[np.bool_]  # silhouette
    centre: Callable[[float], tuple[float, float]]  # world (x, y) of the texture's middle at a time t_s
    scale: Callable[[float], float] = lambda t_s: 1.0  # world px per texture px
    visible: Callable[[float], bool] = lambda t_s: True
    colours: tuple[str, ...] = ()  # basic colour terms, dominant first, for the truth; not drawn
    parts: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict)  # name -> region of the texture
    shadow: bool = False

    @cached_property
    def soft_shadow(self) -> NDArray[np.float32]:
        """The share of the light that the shadow takes away, height x width, with a margin of a quarter of the size."""
        height, width = self.alpha_HW.shape
        margin = max(height, width) // 4
        padded = np.pad(self.alpha_HW.astype(np.float32), margin)
        blurred = cv2.GaussianBlur(SHADOW_SHARE * padded, (0, 0), margin / 3 + 0.5)
        return np.asarray(blurred, dtype=np.float32)


@dataclass(frozen=True, kw_only=True, eq=False)
class DrawnScene:
    """A clip before it is drawn: background, sprites and camera."""

    video_id: str
    width_px: int
    height_px: int
    duration_s: float
    background_HW3: NDArray[np.uint8]
    sprites: tuple[Sprite, ...]  # from back to front
    fps: int = 24
    # at a time t_s: world x and y of the middle of the view, and screen px per world px
    camera: Callable[[float], tuple[float, float, float]] | None = None

    @property
    def frame_count(self) -> int:
        """The number of source frames."""
        return round(self.duration_s * self.fps)

    def view(self, t_s: float) -> tuple[float, float, float]:
        """Return world x and y of the view's middle, and the zoom; without a camera, the background's middle."""
        if self.camera is not None:
            return self.camera(t_s)
        height, width = self.background_HW3.shape[:2]
        return (width - 1) / 2, (height - 1) / 2, 1.0


def render(scene: DrawnScene, t_s: float) -> tuple[NDArray[np.uint8], dict[str, NDArray[np.bool_]]]:
    """Draw one frame of a clip, with exact masks.

    Returns:
        The frame (height x width x RGB) and, for each sprite and part by name, the height x width mask of
        what can be seen of it: inside the frame and not behind a later sprite.
    """
    camera_x, camera_y, zoom = scene.view(t_s)
    mid_x, mid_y = (scene.width_px - 1) / 2, (scene.height_px - 1) / 2
    frame_HW3 = _backdrop(scene, (camera_x, camera_y, zoom)).copy()
    masks: dict[str, NDArray[np.bool_]] = {}
    for sprite in scene.sprites:
        names = (sprite.name, *sprite.parts)
        masks |= {name: np.zeros((scene.height_px, scene.width_px), dtype=bool) for name in names}
        if not sprite.visible(t_s):
            continue
        x, y = sprite.centre(t_s)
        centre = zoom * (x - camera_x) + mid_x, zoom * (y - camera_y) + mid_y
        scale = zoom * sprite.scale(t_s)
        if sprite.shadow:
            fall = 0.06 * scale * max(sprite.alpha_HW.shape)
            _cast(frame_HW3, sprite.soft_shadow, (centre[0] + fall, centre[1] + fall), scale)
        _paint(frame_HW3, masks, sprite, centre, scale)
    return frame_HW3, masks


@lru_cache(maxsize=8)  # most cameras do not move; several scenes may be drawn at a time
def _backdrop(scene: DrawnScene, view: tuple[float, float, float]) -> NDArray[np.uint8]:
    x, y, zoom = view
    shift_x, shift_y = (scene.width_px - 1) / 2 - zoom * x, (scene.height_px - 1) / 2 - zoom * y
    to_screen = np.array([[zoom, 0, shift_x], [0, zoom, shift_y]], dtype=np.float64)
    size = (scene.width_px, scene.height_px)
    warped = cv2.warpAffine(scene.background_HW3, to_screen, size, borderMode=cv2.BORDER_REFLECT_101)
    return np.asarray(warped, dtype=np.uint8)


def _cast(
    frame_HW3: NDArray[np.uint8], shade_HW: NDArray[np.float32], centre: tuple[float, float], scale: float
) -> None:
    window = _window(frame_HW3, shade_HW, centre, scale)
    if window is not None:
        rows, columns, to_window = window
        light_HW = 1 - _warp(shade_HW, to_window, rows, columns)
        behind_HW3 = frame_HW3[rows, columns]
        behind_HW3[:] = cv2.multiply(behind_HW3, cv2.merge([light_HW] * 3), dtype=cv2.CV_8U)


def _paint(
    frame_HW3: NDArray[np.uint8],
    masks: dict[str, NDArray[np.bool_]],
    sprite: Sprite,
    centre: tuple[float, float],
    scale: float,
) -> None:
    window = _window(frame_HW3, sprite.alpha_HW, centre, scale)
    if window is None:
        return
    rows, columns, to_window = window
    cover_HW = _warp(sprite.alpha_HW.astype(np.float32), to_window, rows, columns)
    texture_HW3 = _warp(sprite.texture_HW3, to_window, rows, columns, border=cv2.BORDER_REPLICATE)
    behind_HW3 = frame_HW3[rows, columns]
    behind_HW3[:] = cv2.blendLinear(behind_HW3, texture_HW3, 1 - cover_HW, cover_HW)
    shape_HW = cover_HW >= 0.5
    for mask_HW in masks.values():
        mask_HW[rows, columns] &= ~shape_HW
    masks[sprite.name][rows, columns] = shape_HW
    for name, part_HW in sprite.parts.items():
        part_cover_HW = _warp(part_HW.astype(np.float32), to_window, rows, columns)
        masks[name][rows, columns] = shape_HW & (part_cover_HW >= 0.5)


def _window(
    frame_HW3: NDArray[np.uint8], texture: NDArray[np.generic], centre: tuple[float, float], scale: float
) -> tuple[slice, slice, NDArray[np.float64]] | None:
    """Return rows and columns of the frame that a texture covers, and the affine transform of (x, y) to that window."""
    shift = [c - scale * (n - 1) / 2 for c, n in zip(centre, texture.shape[1::-1], strict=True)]
    low = [max(0, int(np.floor(s)) - 1) for s in shift]
    high = [
        min(limit, int(np.ceil(s + scale * n)) + 1)
        for s, n, limit in zip(shift, texture.shape[1::-1], frame_HW3.shape[1::-1], strict=True)
    ]
    if low[0] >= high[0] or low[1] >= high[1]:
        return None
    to_window = np.array([[scale, 0, shift[0] - low[0]], [0, scale, shift[1] - low[1]]], dtype=np.float64)
    return slice(low[1], high[1]), slice(low[0], high[0]), to_window


def _warp(
    image: NDArray[Any],
    to_window: NDArray[np.float64],
    rows: slice,
    columns: slice,
    border: int = cv2.BORDER_CONSTANT,
) -> NDArray[Any]:
    return cv2.warpAffine(image, to_window, (columns.stop - columns.start, rows.stop - rows.start), borderMode=border)
