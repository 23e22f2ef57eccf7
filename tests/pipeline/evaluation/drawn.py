"""A split and predictions for it, drawn: ellipses that move, predictions that are a little off."""

import json
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco

from stages.video.rle import Rle

HEIGHT_PX, WIDTH_PX, FRAMES = 48, 64, 6


def ellipse(
    x: float, y: float, width: int = 9, height: int = 6, size: tuple[int, int] = (HEIGHT_PX, WIDTH_PX)
) -> NDArray[np.bool_]:
    mask = np.zeros(size, np.uint8)
    cv2.ellipse(mask, (int(x), int(y)), (width, height), 20, 0, 360, 1, -1)
    return mask.astype(bool)


def rle(mask_HW: NDArray[np.bool_]) -> Rle:
    found = coco.encode(np.asfortranarray(mask_HW.astype(np.uint8)))
    return {"size": list(found["size"]), "counts": found["counts"].decode()}


def masklet(k: int, *, off_px: float = 0.0, hidden: Collection[int] = ()) -> list[Rle | None]:
    """RLEs of object k; None where it is hidden."""
    return [
        None if t in hidden else rle(ellipse(12 + 6 * k + 5 * t + off_px, 14 + 4 * (k % 5) + 2 * t))
        for t in range(FRAMES)
    ]


def write_split(folder: Path, *, videos: int = 4, short: bool = True, jpegs: bool = False, **extra: Any) -> Path:
    """Video v<k> has two objects: a long expression on each, and a short one on the first in every other video."""
    meta: dict[str, Any] = {}
    masks: dict[str, list[Rle | None]] = {}
    for v in range(videos):
        ids = [2 * v, 2 * v + 1]
        masks |= {str(ids[0]): masklet(v, hidden=(0,)), str(ids[1]): masklet(v + 3)}
        expressions = {
            str(n): {"exp": f"the thing {n} of v{v}", "obj_id": [n], "anno_id": [n], "type_id": 0} for n in ids
        }
        if short and v % 2 == 0:
            expressions["s"] = {"exp": "short?", "obj_id": [ids[0]], "anno_id": [ids[0]], "type_id": 1}
        frames = [f"{4 * t:05d}" for t in range(FRAMES)]
        meta[f"v{v}"] = {"expressions": expressions, "frames": frames, "height": HEIGHT_PX, "width": WIDTH_PX}
        if jpegs:
            for t, name in enumerate(frames):
                path = folder / f"videos/v{v}/{name}.jpg"
                path.parent.mkdir(parents=True, exist_ok=True)
                truth = masks[str(ids[1])][t]
                assert truth is not None
                inside = coco.decode({**truth, "counts": truth["counts"].encode()})
                cv2.imwrite(
                    str(path), np.dstack([inside * 0, inside * 0, inside * 255]), [cv2.IMWRITE_JPEG_QUALITY, 98]
                )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "meta_expressions_valid.json").write_text(json.dumps({"videos": meta}))
    (folder / "mask_dict.json").write_text(json.dumps(masks))
    if extra:
        (folder / "split.json").write_text(json.dumps(extra))
    return folder


def write_predictions(path: Path, split: Path, *, off_px: float = 2.0) -> Path:
    """Each object as it is, but `off_px` further right, and seen all the time."""
    meta = json.loads((split / "meta_expressions_valid.json").read_text())["videos"]
    content = {}
    for v, (video_id, entry) in enumerate(meta.items()):
        content[video_id] = {
            exp_id: {
                "index": 0,
                "video_id": video_id,
                "exp_id": exp_id,
                "text_prediction": "Sure, [SEG].",
                "frames": entry["frames"],
                "exp": f"<image>\nPlease segment {each['exp']}.",
                "prediction_masks": masklet(v + (3 if each["anno_id"][0] % 2 else 0), off_px=off_px),
            }
            for exp_id, each in entry["expressions"].items()
        }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def edit(path: Path, change: Callable[[Any], object]) -> None:
    """Apply `change` to the content of a JSON file."""
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
