"""Rows made by hand for tests: every required column filled, a few overridden."""

from typing import Any

from manifests.schema import Row, Status


def make_row(object_id: str = "v1/manual/0", **columns: Any) -> Row:
    """A pending row of a 1 s clip of 320x180 pixels, visible throughout."""
    video_id, masklet_type, position = object_id.split("/")
    defaults: dict[str, Any] = {
        "object_id": object_id,
        "video_id": video_id,
        "shard": "tiny",
        "masklet_type": masklet_type,
        "masklet_position": int(position),
        "masklet_id": int(position),
        "video_path": f"sav_train/tiny/{video_id}.mp4",
        "anno_path": f"sav_train/tiny/{video_id}_{masklet_type}.json",
        "height_px": 180,
        "width_px": 320,
        "frame_count": 24,
        "video_fps": 24.0,
        "areas_px": [900] * 6,
        "boxes_px": [[10, 10, 30, 30]] * 6,
        "best_index": 0,
        "siblings": [object_id],
        "status": Status.PENDING,
    }
    return Row(**(defaults | columns))
