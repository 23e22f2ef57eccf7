"""Clips for measurements: photo cut-outs that move over a panned photo, in SA-V layout."""

import math
from pathlib import Path

import cv2
import numpy as np
from skimage import data

from pipeline.demo.scene import DrawnScene, Sprite
from pipeline.demo.write_clip import write_clip


def draw_clip(folder: Path, video_id: str, objects: int, *, duration_s: float = 10.0, size: tuple[int, int]) -> None:
    """Write a clip of `size` (width, height) with that many objects, each a few percent of the frame."""
    folder.mkdir(parents=True, exist_ok=True)
    width_px, height_px = size
    ground_HW3 = cv2.resize(data.coffee(), (width_px * 2, height_px * 2), interpolation=cv2.INTER_CUBIC)
    side = height_px // 5
    texture_HW3 = cv2.resize(data.chelsea()[:300, 70:370], (side, side), interpolation=cv2.INTER_AREA)
    y, x = np.ogrid[:side, :side]
    angle = np.arctan2(y - side / 2, x - side / 2)
    alpha_HW = np.hypot(y - side / 2, x - side / 2) < side * (0.4 + 0.08 * np.sin(7 * angle))

    def sprite(n: int) -> Sprite:
        row, column = divmod(n, 4)

        def centre(t_s: float) -> tuple[float, float]:
            turn = 0.6 * t_s + n
            return (
                width_px * (0.62 + 0.25 * column) + 0.1 * width_px * math.cos(turn),
                height_px * (0.68 + 0.32 * row) + 0.1 * height_px * math.sin(turn),
            )

        tint = np.array([[1.0, 0.4, 0.3], [0.3, 0.5, 1.0], [0.4, 1.0, 0.4], [1.0, 1.0, 0.4]][n % 4])
        return Sprite(
            name=f"cat {n}",
            texture_HW3=(texture_HW3 * tint).astype(np.uint8),
            alpha_HW=alpha_HW,
            centre=centre,
        )

    scene = DrawnScene(
        video_id=video_id,
        width_px=width_px,
        height_px=height_px,
        duration_s=duration_s,
        background_HW3=np.asarray(ground_HW3, np.uint8),
        sprites=tuple(sprite(n) for n in range(objects)),
        camera=lambda t_s: (width_px + 6 * t_s, height_px + 3 * t_s, 1.0),
    )
    write_clip(scene, folder, manual=[each.name for each in scene.sprites], encoding={"preset": "medium"})


def draw_shard(sav_root: Path, shard: str, videos: int, objects: int) -> Path:
    """Write short clips and return `sav_root`; each has another width, so no two have an image or a reply in common."""
    for number in range(videos):
        size = (320 + 8 * number, 180)
        draw_clip(sav_root / "sav_train" / shard, f"clip_{number}", objects, duration_s=1.5, size=size)
    return sav_root
