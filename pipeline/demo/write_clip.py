"""Writes a scene as SA-V does: an mp4 and masklet files, with the oddities of the real ones.

Oddities kept (seen in sav_000001): counts and sizes of the video are floats; a manual file has no stability
scores (None), an automatic one has a list per annotated frame; `masklet_first_appeared_frame` counts annotated
frames and is a float in manual files only; averages leave out the frames in which an object is not seen.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as rle

from manifests.schema import MASK_STRIDE
from pipeline.demo.scene import Scene, render

# Drawing is mostly encoding: the quickest preset, with what makes files smaller at little cost. With B-frames, frames
# are stored in another order than shown, as in most real videos.
ENCODING = {"crf": "26", "preset": "ultrafast", "x264-params": "cabac=1:8x8dct=1:bframes=2:b-adapt=0"}
SMALL_PX, LARGE_PX = 32**2, 96**2  # bounds of masklet_size_bucket, as in COCO


@dataclass(frozen=True, kw_only=True)
class Masklet:
    """What an annotator, or a tracker, outlines through a clip."""

    name: str
    target: Callable[[float], str] | None = None  # sprite or part outlined at a time; None: the one called `name`
    grow_px: int = 0  # outline drawn this much too wide

    def mask(self, masks: dict[str, NDArray[np.bool_]], t_s: float) -> NDArray[np.bool_]:
        """The height x width mask at a time, given those of all sprites and parts."""
        mask_HW = masks[self.name if self.target is None else self.target(t_s)]
        if not self.grow_px:
            return mask_HW
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * self.grow_px + 1,) * 2)
        return cv2.dilate(mask_HW.astype(np.uint8), kernel).astype(bool)


def write_clip(
    scene: Scene,
    folder: Path,
    *,
    manual: Sequence[Masklet | str],
    auto: Sequence[Masklet | str] = (),
    rotation_deg: int = 0,
    encoding: Mapping[str, str] = ENCODING,
) -> None:
    """Write `<video_id>.mp4`, `<video_id>_manual.json` and, if `auto` is not empty, `<video_id>_auto.json`.

    Args:
        scene: What is drawn; width and height must be even.
        folder: Where to; must exist.
        manual: Masklets in file order; a str is the sprite or part of that name.
        auto: The same for the automatic file.
        rotation_deg: 0, 90, 180 or 270: store the frames turned clockwise by this, with a display matrix that
            turns them back, as phones do. Masklets are always those of the upright picture.
        encoding: Options of libx264.
    """
    files = {"manual": _masklets(manual), "auto": _masklets(auto)}
    entries: dict[str, list[list[dict[str, Any]]]] = {kind: [] for kind in files}
    with av.open(folder / f"{scene.video_id}.mp4", "w", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream("libx264", rate=scene.fps, options=dict(encoding))
        stream.pix_fmt = "yuv420p"
        stream.time_base = Fraction(1, scene.fps)
        turned = rotation_deg % 180 == 90
        stream.width, stream.height = (scene.width_px, scene.height_px)[:: -1 if turned else 1]
        if rotation_deg:
            stream.set_display_rotation(rotation_deg)
        for index in range(scene.frame_count):
            t_s = index / scene.fps
            frame_HW3, masks = render(scene, t_s)
            stored_HW3 = np.ascontiguousarray(np.rot90(frame_HW3, k=-(rotation_deg // 90)))
            yuv = np.asarray(cv2.cvtColor(stored_HW3, cv2.COLOR_RGB2YUV_I420), dtype=np.uint8)
            frame = av.VideoFrame.from_ndarray(yuv, format="yuv420p")
            frame.pts = index
            container.mux(stream.encode(frame))
            if index % MASK_STRIDE == 0:
                for kind, masklets in files.items():
                    entries[kind].append([_encode(masklet.mask(masks, t_s)) for masklet in masklets])
        container.mux(stream.encode())
    for kind, masklets in files.items():
        if masklets or kind == "manual":
            text = json.dumps(_annotation(scene, kind, entries[kind]))
            (folder / f"{scene.video_id}_{kind}.json").write_text(text, encoding="utf-8")


def _masklets(named: Sequence[Masklet | str]) -> list[Masklet]:
    return [Masklet(name=item) if isinstance(item, str) else item for item in named]


def _encode(mask_HW: NDArray[np.bool_]) -> dict[str, Any]:
    encoded = rle.encode(cv2.transpose(mask_HW.view(np.uint8)).T)  # column-major, as RLE runs down the columns
    return {"size": [int(side) for side in encoded["size"]], "counts": encoded["counts"].decode("ascii")}


def _annotation(scene: Scene, kind: str, masklet: list[list[dict[str, Any]]]) -> dict[str, Any]:
    areas_TN = np.array([[int(rle.area(entry)) for entry in entries] for entries in masklet]).reshape(len(masklet), -1)
    seen_TN = areas_TN > 0
    times, number = areas_TN.shape
    first_N = seen_TN.argmax(axis=0)
    sizes_px = areas_TN.sum(axis=0) / np.maximum(seen_TN.sum(axis=0), 1)
    pixels = scene.height_px * scene.width_px
    manual = kind == "manual"
    return {
        "video_id": scene.video_id,
        "video_duration": scene.frame_count / scene.fps,
        "video_frame_count": float(scene.frame_count),
        "video_height": float(scene.height_px),
        "video_width": float(scene.width_px),
        "video_resolution": float(pixels),
        "video_environment": "Indoor",
        "video_split": "train",
        "masklet": masklet,
        "masklet_id": list(range(number)),
        "masklet_size_rel": [round(float(size) / pixels, 10) for size in sizes_px],
        "masklet_size_abs": [round(float(size), 10) for size in sizes_px],
        "masklet_size_bucket": [
            "small" if size < SMALL_PX else "medium" if size < LARGE_PX else "large" for size in sizes_px
        ],
        "masklet_visibility_changes": [
            int(np.count_nonzero(np.diff(seen_TN[first:, n]))) for n, first in enumerate(first_N)
        ],
        "masklet_first_appeared_frame": [float(first) if manual else int(first) for first in first_N],
        "masklet_frame_count": [times] * number,
        "masklet_edited_frame_count": [times // 4 if manual else 0] * number,
        "masklet_type": [kind] * number,
        "masklet_stability_score": [None] * number if manual else np.where(seen_TN, 0.99, 1.0).tolist(),
        "masklet_num": number,
    }
