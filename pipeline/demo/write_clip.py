"""Writes a scene of the demo as a video of SA-V: its mp4 and its annotation files."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from manifests.schema import MASK_STRIDE
from pipeline.demo.scene import DrawnScene, render
from stages.video import rle
from stages.video.rle import Rle
from stages.video.video_writer import VideoWriter, write_masklets

# Drawing is mostly encoding: the quickest preset, with what makes files smaller at little cost. With B-frames, frames
# are stored in another order than shown, as in most real videos.
ENCODING = {"crf": "26", "preset": "ultrafast", "x264-params": "cabac=1:8x8dct=1:bframes=2:b-adapt=0"}


@dataclass(frozen=True, kw_only=True)
class Masklet:
    """What an annotator or a tracker outlines through a clip."""

    name: str
    target: Callable[[float], str] | None = None  # sprite or part outlined at a time; None: the one called `name`
    grow_px: int = 0  # outline drawn this much too wide

    def mask(self, masks: dict[str, NDArray[np.bool_]], t_s: float) -> NDArray[np.bool_]:
        """Return the mask_HW at a time, given those of all sprites and parts."""
        mask_HW = masks[self.name if self.target is None else self.target(t_s)]
        if not self.grow_px:
            return mask_HW
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * self.grow_px + 1,) * 2)
        return cv2.dilate(mask_HW.astype(np.uint8), kernel).astype(bool)


def write_clip(
    scene: DrawnScene,
    folder: Path,
    *,
    manual: Sequence[Masklet | str],
    auto: Sequence[Masklet | str] = (),
    rotation_deg: int = 0,
    encoding: Mapping[str, str] = ENCODING,
) -> None:
    """Write `<video_id>.mp4`, `<video_id>_manual.json` and, if `auto` is not empty, `<video_id>_auto.json`.

    Args:
        scene: what is drawn; width and height must be even.
        folder: where to; must exist.
        manual: masklets in file order; a str is the sprite or part of that name.
        auto: the same for the automatic file.
        rotation_deg: 0, 90, 180 or 270: store the frames turned clockwise by this, with a display matrix that
            turns them back, as phones do. Masklets are always those of the upright frame.
        encoding: options of libx264.
    """
    files = {"manual": _masklets(manual), "auto": _masklets(auto)}
    rles: dict[str, list[list[Rle]]] = {kind: [] for kind in files}
    path = folder / f"{scene.video_id}.mp4"
    with VideoWriter(
        path, time_base=Fraction(1, scene.fps), encoding=encoding, fps=scene.fps, rotation_deg=rotation_deg
    ) as video:
        for index in range(scene.frame_count):
            t_s = index / scene.fps
            image_HW3, masks = render(scene, t_s)
            video.write(image_HW3, index)
            if index % MASK_STRIDE == 0:
                for kind, masklets in files.items():
                    rles[kind].append([rle.from_mask(masklet.mask(masks, t_s)) for masklet in masklets])
    for kind, masklets in files.items():
        if masklets or kind == "manual":
            write_masklets(
                folder / f"{scene.video_id}_{kind}.json",
                rles[kind],
                video_id=scene.video_id,
                masklet_type=kind,
                size=(scene.height_px, scene.width_px),
                frame_count=scene.frame_count,
                fps=scene.fps,
            )


def _masklets(named: Sequence[Masklet | str]) -> list[Masklet]:
    return [Masklet(name=item) if isinstance(item, str) else item for item in named]
