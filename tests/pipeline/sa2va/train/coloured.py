"""Videos of two shapes in different colours, drawn: which is meant, a text says by the colour alone."""

import json
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco

from pipeline.data.frame_store import Info, SourceFile, write_stored
from pipeline.data.videos import Expression, Video

COLOURS = {
    **{"red": (220, 40, 40), "green": (40, 190, 60), "blue": (50, 80, 230)},
    **{"yellow": (230, 220, 50), "white": (240, 240, 240), "purple": (150, 40, 170)},
}
HEIGHT_PX, WIDTH_PX = 96, 128
FRAMES = 2


def draw(seed: list[int]) -> tuple[list[str], list[NDArray[np.uint8]], NDArray[np.bool_]]:
    """(texts, frames, masks_OFHW): a rectangle or an ellipse in each half, on noise, that moves a little."""
    rng = np.random.default_rng(seed)
    colours = rng.choice(list(COLOURS), 2, replace=False).tolist()
    halves = rng.permutation(2)
    masks_OFHW = np.zeros((2, FRAMES, HEIGHT_PX, WIDTH_PX), np.uint8)
    frames = []
    shapes = []
    for half in halves:
        width, height = rng.integers(28, 44, 2).tolist()
        left = half * WIDTH_PX // 2 + int(rng.integers(2, WIDTH_PX // 2 - width - 1))
        shapes.append((left, int(rng.integers(2, HEIGHT_PX - height - 2)), width, height, bool(rng.integers(2))))
    grey = rng.integers(60, 130)
    for f in range(FRAMES):
        noise = grey + rng.integers(-12, 13, (HEIGHT_PX, WIDTH_PX, 1))
        frame_HW3 = np.repeat(noise, 3, axis=2).astype(np.uint8)
        for o, (left, top, width, height, is_box) in enumerate(shapes):
            mask_HW, x = masks_OFHW[o, f], left + 2 * f
            if is_box:
                cv2.rectangle(mask_HW, (x, top), (x + width, top + height), 1, -1)
            else:
                centre = (x + width // 2, top + height // 2)
                cv2.ellipse(mask_HW, centre, (width // 2, height // 2), 0, 0, 360, 1, -1)
            frame_HW3[mask_HW > 0] = np.clip(np.array(COLOURS[colours[o]]) + rng.integers(-15, 16, 3), 0, 255)
        frames.append(frame_HW3)
    return [f"the {colour} object" for colour in colours], frames, masks_OFHW.astype(bool)


def write(store: Path, count: int) -> list[Video]:
    """So many videos as a frame store, which is all that training reads."""
    store.mkdir()
    videos = []
    for n in range(count):
        texts, frames, masks_OFHW = draw([1, n])
        video_id = f"coloured_{n:03d}"
        source = SourceFile(name="drawn", size=0, mtime_ns=0, sha256="")
        info = Info(
            **{"video_id": video_id, "frame_count": 4 * FRAMES, "height_px": HEIGHT_PX, "width_px": WIDTH_PX},
            **{"short_px": HEIGHT_PX, "quality": 95, "bad_columns": {}},
            sources={"video": source, "manual": source},
        )
        jpegs = [cv2.imencode(".jpg", frame[..., ::-1])[1].tobytes() for frame in frames]
        counts = [
            [coco.encode(np.asfortranarray(masks_OFHW[o, f], np.uint8))["counts"] for o in range(2)]
            for f in range(FRAMES)
        ]
        write_stored(store / f"{video_id}.arrow", info, jpegs, {"manual": counts})
        nowhere = Path("/nowhere")
        expressions = (
            Expression(f"{video_id}/manual/{o}", "manual", nowhere / "x.json", o, text) for o, text in enumerate(texts)
        )
        videos.append(Video(video_id, nowhere / "x.mp4", 4 * FRAMES, tuple(expressions)))
    return videos


def write_try(folder: Path, count: int = 64) -> list[str]:
    """What the try of docs/training.md trains on, and a fresh video for it as pictures; the texts of the fresh one."""
    source = folder / "videos"
    source.mkdir()
    entries = {
        f"{video.video_id}_manual": {
            "video_path": f"sav_train/{video.video_id}.mp4",
            "anno_path": f"sav_train/{video.video_id}_manual.json",
            "objects": {str(each.column): {"formated": each.text} for each in video.expressions},
        }
        for video in write(source / "frames", count)
    }
    (source / "Ref-SAV.json").write_text(json.dumps(entries))
    (source / "run.json").write_text(json.dumps({"config": {"sav_root": str(source.resolve())}}))
    texts, frames, _ = draw([2, 0])
    (folder / "fresh").mkdir()
    for f, frame_HW3 in enumerate(frames):
        cv2.imwrite(str(folder / "fresh" / f"{f:05d}.png"), frame_HW3[..., ::-1])
    return texts
