"""Draws the demo shard, and writes the truth that it was drawn from to `truth.json` beside it."""

import json
import math
import os
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from manifests.schema import MASK_STRIDE, Reason, Status
from pipeline.demo.planned_clips import PlannedClip, PlannedMasklet, clips
from pipeline.demo.scene import DrawnScene, Sprite
from pipeline.demo.write_clip import write_clip
from stages.video.frames import packet_places
from stages.video.masklets import read_masklets

SHARD = "demo"
# Bounds of the true motion and change of size; the clips stay well away from them.
STILL_DIAGONAL_FRAC = 0.03
TO_AND_FRO_FRAC = 0.5
SIZE_RATIO = 1.25
DIRECTIONS = ("right", "down-right", "down", "down-left", "left", "up-left", "up", "up-right")


def draw_demo(sav_root: Path) -> None:
    """Draw `sav_root/sav_train/demo/` and `sav_root/truth.json`, unless the shard is there already.

    The shard appears at once, when it is complete, and two processes may draw it at the same time.
    """
    shard = sav_root / "sav_train" / SHARD
    if shard.is_dir():
        return
    shard.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".demo-", dir=sav_root) as scratch:
        drawn = Path(scratch) / SHARD
        drawn.mkdir()
        with ThreadPoolExecutor(os.cpu_count()) as pool:  # OpenCV and FFmpeg release the GIL
            truths = list(pool.map(lambda clip: _draw(clip, drawn), clips()))
        truth = Path(scratch) / "truth.json"
        truth.write_text(json.dumps([entry for entries in truths for entry in entries], indent=1), encoding="utf-8")
        truth.replace(sav_root / truth.name)
        try:
            drawn.rename(shard)
        except OSError:
            if not shard.is_dir():  # else another process was first, with the same shard
                raise


def _draw(clip: PlannedClip, folder: Path) -> list[dict[str, Any]]:
    """Write the files of a clip; returns its entries for truth.json."""
    video_id = clip.scene.video_id
    write_clip(clip.scene, folder, manual=clip.manual, auto=clip.auto, rotation_deg=clip.rotation_deg)
    truth = _truth(clip, folder)
    if clip.video_broken:
        _destroy_middle(folder / f"{video_id}.mp4")
    if clip.manual_truncated:
        manual = folder / f"{video_id}_manual.json"
        os.truncate(manual, manual.stat().st_size // 2)
        truth = [entry for entry in truth if not entry["object_id"].startswith(f"{video_id}/manual/")]
        truth.append({"object_id": f"{video_id}/manual/file", **_outcome(Reason.JSON_MALFORMED)})
    return truth


def _destroy_middle(video: Path) -> None:
    """Overwrite a tenth of the packets, from the middle on; the index and the other packets are not changed."""
    places = packet_places(video)
    with video.open("r+b") as file:
        for position, size in places[len(places) // 2 :][: len(places) // 10]:
            file.seek(position)
            file.write(b"\xff" * size)


def _truth(clip: PlannedClip, folder: Path) -> list[dict[str, Any]]:
    scene = clip.scene
    named = {
        planned.name: (f"{scene.video_id}/{kind}/{position}", planned)
        for kind, masklets in (("manual", clip.manual), ("auto", clip.auto))
        for position, planned in enumerate(masklets)
    }
    entries = []
    files = {kind: folder / f"{scene.video_id}_{kind}.json" for kind in ("manual", "auto")}
    seen_TN = {
        kind: read_masklets(file.read_bytes(), file.name).areas > 0 for kind, file in files.items() if file.exists()
    }
    for object_id, planned in named.values():
        _, kind, position = object_id.split("/")
        seen_T = seen_TN[kind][:, int(position)]
        entries.append(
            {
                "object_id": object_id,
                "name": planned.name,
                "colours": planned.colours or _sprite(scene, planned, 0).colours,
                **_motion(scene, planned, seen_T),
                **_camera(scene),
                "visible_spans_s": _spans(seen_T, scene),
                "part_of": planned.part_of and named[planned.part_of][0],
                "duplicate_of": planned.duplicate_of and named[planned.duplicate_of][0],
                **_outcome(planned.reason),
            }
        )
    return entries


def _outcome(reason: Reason | None) -> dict[str, str | None]:
    failed = reason in (Reason.DECODE_ERROR, Reason.UNEXPECTED_ERROR)
    return {"status": Status.KEPT if reason is None else Status.FAILED if failed else Status.REJECTED, "reason": reason}


def _sprite(scene: DrawnScene, planned: PlannedMasklet, t_s: float) -> Sprite:
    name = planned.name if planned.target is None else planned.target(t_s)
    return next(sprite for sprite in scene.sprites if name == sprite.name or name in sprite.parts)


def _motion(scene: DrawnScene, planned: PlannedMasklet, seen_T: NDArray[np.bool_]) -> dict[str, Any]:
    """Return motion through the world, in screen pixels, and change of size on the screen, while the object is seen."""
    times_s = np.flatnonzero(seen_T) * MASK_STRIDE / scene.fps
    if not len(times_s):
        return {"motion": None, "speed_px_s": None, "size_change": None}
    places = np.array([_sprite(scene, planned, t_s).centre(t_s) for t_s in times_s])
    zooms = np.array([scene.view(t_s)[2] for t_s in times_s])
    sizes = zooms * [_sprite(scene, planned, t_s).scale(t_s) for t_s in times_s]
    speeds_px_s = np.hypot(*np.diff(places, axis=0).T) * zooms[1:] / np.diff(times_s)
    ratio = (sizes[-1] / sizes[0]) ** 2
    return {
        "motion": _direction(places * zooms.mean(), math.hypot(scene.width_px, scene.height_px)),
        "speed_px_s": round(float(np.median(speeds_px_s)), 1),
        "size_change": "grows" if ratio > SIZE_RATIO else "shrinks" if ratio < 1 / SIZE_RATIO else "stable",
    }


def _direction(places: NDArray[np.float64], diagonal_px: float) -> str:
    extent_px = float(np.hypot(*np.ptp(places, axis=0)))
    net_x, net_y = places[-1] - places[0]
    if extent_px < STILL_DIAGONAL_FRAC * diagonal_px:
        return "none"
    if math.hypot(net_x, net_y) < TO_AND_FRO_FRAC * extent_px:
        return "complex"
    return DIRECTIONS[round(math.atan2(net_y, net_x) / (math.pi / 4)) % 8]


def _camera(scene: DrawnScene) -> dict[str, Any]:
    """Return the true motion of the camera; the cameras of these clips pan or zoom evenly, and never do both."""
    end_s = scene.frame_count / scene.fps
    (x0, y0, zoom0), (x1, y1, zoom1) = scene.view(0), scene.view(end_s)
    if zoom0 != zoom1:
        label = "zooms in" if zoom1 > zoom0 else "zooms out"
    elif x0 != x1:
        label = "pans right" if x1 > x0 else "pans left"
    else:
        label = "static"
    return {"camera": label, "camera_speed_px_s": round(math.hypot(x1 - x0, y1 - y0) / end_s, 1)}


def _spans(seen_T: NDArray[np.bool_], scene: DrawnScene) -> list[tuple[float, float]]:
    """Return the stretches of sight as [start, end) in seconds; a mask holds until the next annotated frame."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], seen_T, [False]]).astype(int)))
    end_s = scene.frame_count / scene.fps
    times_s = [round(min(edge * MASK_STRIDE / scene.fps, end_s), 3) for edge in edges.tolist()]
    return list(zip(times_s[::2], times_s[1::2], strict=True))
