"""A drawn clip in the layouts of other tools, each with the quirks of its kind.

A horse goes from left to right and a ball appears late and stays. Every picture has its number in its upper left
corner, as 8 white or black squares, so that a test can tell which one an image of a video shows.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as PilImage
from pycocotools import mask as coco

from pipeline.demo import cutouts
from pipeline.demo.scene import DrawnScene, render
from stages.video.frames import read_frames
from stages.video.video_writer import VideoWriter as VideoWriter

WIDTH_PX, HEIGHT_PX = 320, 240
NAMES = ("horse", "ball")
BITS, SQUARE_PX = 8, 12
LATE_S = 0.4
Masks = dict[str, NDArray[np.bool_]]


@dataclass(frozen=True)
class Clip:
    """Pictures and masks of a drawn scene at a steady rate."""

    images: list[NDArray[np.uint8]]
    masks: list[Masks]
    fps: Fraction

    @property
    def count(self) -> int:
        return len(self.images)

    @property
    def size(self) -> tuple[int, int]:
        return self.images[0].shape[0], self.images[0].shape[1]


@cache
def clip(fps: str = "24", seconds: float = 2.0, size: tuple[int, int] = (HEIGHT_PX, WIDTH_PX)) -> Clip:
    rate = Fraction(fps)
    horse = cutouts.horse("brown", 110).sprite("horse", centre=lambda t_s: (90 + 60 * t_s, 150.0))
    ball = cutouts.ball("red", 50).sprite(
        "ball", centre=lambda t_s: (250.0, 60.0), visible=lambda t_s: t_s >= LATE_S, scale=lambda t_s: 1 + 0.1 * t_s
    )
    ground = cutouts.ground("grass.png", (70, 120, 60), (size[1], size[0]))
    scene = DrawnScene(
        video_id="clip",
        width_px=size[1],
        height_px=size[0],
        duration_s=seconds,
        background_HW3=ground,
        sprites=(horse, ball),
    )
    images, masks = [], []
    for number in range(int(rate * Fraction(seconds))):
        image_HW3, of_frame = render(scene, float(number / rate))
        for bit in range(BITS):
            x = bit * SQUARE_PX
            image_HW3[:SQUARE_PX, x : x + SQUARE_PX] = 255 if number >> bit & 1 else 0
            for mask_HW in of_frame.values():
                mask_HW[:SQUARE_PX, x : x + SQUARE_PX] = False
        images.append(image_HW3)
        masks.append({name: of_frame[name] for name in NAMES})
    return Clip(images, masks, rate)


def number_of(image_HW3: NDArray[np.uint8]) -> int:
    """Read the number that a picture was drawn with."""
    middle = SQUARE_PX // 2
    return sum(int(image_HW3[middle, bit * SQUARE_PX + middle].mean() > 128) << bit for bit in range(BITS))


def shown(mp4: Path, indices: Sequence[int]) -> list[int]:
    """Return the numbers of the pictures that images of a video show."""
    images = read_frames(mp4, set(indices))
    return [number_of(images[index]) for index in indices]


def compressed(mask_HW: NDArray[np.bool_]) -> dict[str, Any]:
    rle = coco.encode(np.asfortranarray(mask_HW.astype(np.uint8)))
    return {"size": [int(side) for side in rle["size"]], "counts": rle["counts"].decode()}


def run_lengths(mask_HW: NDArray[np.bool_]) -> dict[str, Any]:
    """An uncompressed RLE."""
    flat = mask_HW.T.ravel().astype(np.int8)
    edges = np.flatnonzero(np.diff(flat, prepend=0)).tolist()
    lengths = np.diff([0, *edges, flat.size]).tolist()
    return {"size": list(mask_HW.shape), "counts": lengths}


def write_jpegs(folder: Path, images: Sequence[NDArray[np.uint8]], names: Sequence[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, image_HW3 in zip(names, images, strict=True):
        cv2.imwrite(str(folder / f"{name}.jpg"), image_HW3[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 98])


def index_image(masks: Masks, ids: Mapping[str, int], dtype: Any = np.uint8) -> NDArray[Any]:
    index_HW = np.zeros(next(iter(masks.values())).shape, dtype)
    for name, number in ids.items():
        index_HW[masks[name]] = number
    return index_HW


def write_indexed(path: Path, index_HW: NDArray[np.uint8]) -> None:
    """A PNG with a palette, as DAVIS has it: index 1 is dark red."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = PilImage.fromarray(index_HW, mode="P")
    image.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0, 128, 128, 0] + [200] * 756)
    image.save(path)


def write_png_set(
    root: Path,
    drawn: Clip,
    video: str = "bear",
    *,
    name: Callable[[int], str] = lambda n: f"{n:05d}",
    ids: Mapping[str, int] | None = None,
    ignore: bool = False,
    grey: bool = False,
    middle: str = "",
) -> None:
    """JPEGImages and Annotations; `ignore` draws a bar of 255."""
    ids = ids or {"horse": 1, "ball": 2}
    names = [name(n) for n in range(drawn.count)]
    write_jpegs(root / "JPEGImages" / middle / video, drawn.images, names)
    for one, masks in zip(names, drawn.masks, strict=True):
        wide = max(ids.values()) > 255
        index_HW = index_image(masks, ids, np.uint16 if wide else np.uint8)
        if ignore:
            index_HW[-8:] = 255
        path = root / "Annotations" / middle / video / f"{one}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        if grey or wide:
            cv2.imwrite(str(path), index_HW)
        else:
            write_indexed(path, index_HW)


def write_ytvis(root: Path, drawn: Clip, *, folder: str = "0a1b", phrases: bool = False) -> Path:
    """Horse as strings, ball as run lengths with nulls, and a rectangle of polygons that is fixed."""
    names = [f"{n * 5:05d}" for n in range(drawn.count)]
    write_jpegs(root / "JPEGImages" / folder, drawn.images, names)
    height, width = drawn.size
    x, y = 20.0, 180.0
    square = [[x, y, x + 40, y, x + 40, y + 40, x, y + 40], [x + 60, y, x + 90, y, x + 90, y + 30]]
    annotations: list[dict[str, Any]] = [
        {"segmentations": [compressed(masks["horse"]) for masks in drawn.masks], "category_id": 7},
        {
            "segmentations": [run_lengths(m["ball"]) if m["ball"].any() else None for m in drawn.masks],
            "category_id": 9,
        },
        {"segmentations": [square if n % 2 else square[:1] for n in range(drawn.count)], "category_id": 7},
    ]
    for number, annotation in enumerate(annotations):
        annotation |= {"id": 40 + number, "video_id": 3, "iscrowd": 0, "height": height, "width": width}
        if phrases:
            annotation["noun_phrase"] = ("brown horse", "red ball", "white sign")[number]
    content = {
        "info": {"description": "drawn"},
        "videos": [
            {
                "id": 3,
                "file_names": [f"{folder}/{name}.jpg" for name in names],
                "height": height,
                "width": width,
                "length": drawn.count,
            }
        ],
        "annotations": annotations,
        "categories": [{"id": 7, "name": "horse"}, {"id": 9, "name": "ball"}, {"id": 12, "name": "cat"}],
    }
    path = root / "instances.json"
    path.write_text(json.dumps(content))
    return path


EXPRESSIONS: dict[str, dict[str, Any]] = {
    "0": {"exp": "The horse that walks to the right", "obj_id": [0], "anno_id": [11]},
    "1": {"exp": "the red ball that appears  later", "obj_id": [1], "anno_id": [12]},
    "2": {"exp": "everything that is not grass", "obj_id": [0, 1], "anno_id": [11, 12]},
    "3": {"exp": "a brown animal", "obj_id": [0], "anno_id": [11]},
    "4": {"exp": "the flying elephant", "obj_id": [], "anno_id": []},
    "5": {"exp": "  ", "obj_id": [0], "anno_id": [11]},
    "6": {"exp": "the cat", "obj_id": [2], "anno_id": [13]},
}


def write_mevis(root: Path, drawn: Clip, video: str = "c0ffee", *, png: bool = False) -> None:
    """`mask_dict.json`, or PNG files and `meta.json` as Ref-YouTube-VOS has them."""
    names = [f"{n:05d}" for n in range(drawn.count)]
    split = root / "train" if png else root
    write_jpegs(split / "JPEGImages" / video, drawn.images, names)
    if png:
        expressions: dict[str, Any] = {
            "0": {"exp": "a horse walking", "obj_id": "1"},
            "1": {"exp": "a ball", "obj_id": "2"},
        }
        for one, masks in zip(names, drawn.masks, strict=True):
            write_indexed(split / "Annotations" / video / f"{one}.png", index_image(masks, {"horse": 1, "ball": 2}))
        objects = {"1": {"category": "horse", "frames": names}, "2": {"category": "sports ball", "frames": names}}
        (split / "meta.json").write_text(json.dumps({"videos": {video: {"objects": objects}}}))
        meta = root / "meta_expressions" / "train" / "meta_expressions.json"
        meta.parent.mkdir(parents=True)
    else:
        expressions = EXPRESSIONS
        masks_of = {"11": "horse", "12": "ball"}
        content = {
            anno_id: [compressed(m[name]) if m[name].any() else None for m in drawn.masks]
            for anno_id, name in masks_of.items()
        }
        (root / "mask_dict.json").write_text(json.dumps(content))
        meta = root / "meta_expressions.json"
    meta.write_text(json.dumps({"videos": {video: {"expressions": expressions, "vid_id": 0, "frames": names}}}))


def write_mp4(path: Path, images: Sequence[NDArray[np.uint8]], times: Sequence[int], base: Fraction) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with VideoWriter(path, time_base=base, encoding={"crf": "10", "preset": "ultrafast"}, fps=30) as video:
        for image_HW3, time in zip(images, times, strict=True):
            video.write(image_HW3, time)


def write_own_video(root: Path, drawn: Clip, name: str = "clip", *, as_json: bool = False, every: int = 1) -> None:
    """An mp4 with PNG masks of every n-th frame, or with JSON."""
    base = 1 / (drawn.fps * 1000)
    write_mp4(root / f"{name}.mp4", drawn.images, [1000 * n for n in range(drawn.count)], base)
    numbers = range(0, drawn.count, every)
    if as_json:
        objects = {
            one: {"label": one, "masks": {str(n): compressed(drawn.masks[n][one]) for n in numbers}} for one in NAMES
        }
        (root / f"{name}.json").write_text(json.dumps({"objects": objects}))
        return
    for n in numbers:
        write_indexed(root / name / f"{n:05d}.png", index_image(drawn.masks[n], {"horse": 1, "ball": 2}))
