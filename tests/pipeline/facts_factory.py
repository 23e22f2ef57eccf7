"""Hand-made and random Facts for the tests of texts."""

import random
from typing import Any

from manifests.schema import Colour, Facts, ManifestRow, Neighbour, Row, Span, Status

COLOURS = ["black", "grey", "white", "red", "orange", "brown", "yellow", "green", "blue", "purple", "pink"]
MOTIONS = [
    "none",
    "left",
    "right",
    "up",
    "down",
    "up-left",
    "up-right",
    "down-left",
    "down-right",
    "complex",
    "unknown",
]
CAMERAS = ["static", "pans left", "pans right", "tilts up", "tilts down", "zooms in", "zooms out", "travels", "moves"]
RELATIONS = ["left of", "right of", "above", "below", "overlapping"]


def place(x_frac: float, y_frac: float) -> str:
    row, column = min(int(y_frac * 3), 2), min(int(x_frac * 3), 2)
    return f"{('top', 'middle', 'bottom')[row]} {('left', 'centre', 'right')[column]}"


def colours(**shares: float) -> list[Colour]:
    return [Colour(name=name, share_frac=share) for name, share in shares.items()]


def make_facts(number: int = 0, *, start: tuple[float, float] = (0.5, 0.5), **given: Any) -> Facts:
    """A red thing that stays put; `end` defaults to `start`."""
    end = given.pop("end", start)
    values: dict[str, Any] = {
        "object_id": f"sav_000001/manual/{number}",
        "duration_s": 10.0,
        "place_start": place(*start),
        "place_end": place(*end),
        "place_best": place(*start),
        "centre_start_frac": list(start),
        "centre_end_frac": list(end),
        "area_median_frac": 0.04,
        "area_best_frac": 0.05,
        "size": "small",
        "size_ratio": 1.0,
        "size_change": "stable",
        "shift_frac": [end[0] - start[0], end[1] - start[1]],
        "own_shift_px": [0.0, 0.0],
        "own_speed_px_s": 0.0,
        "own_path_px": 0.0,
        "motion": "none",
        "motion_known": given.get("motion", "none") != "unknown",
        "speed_known": given.get("motion", "none") != "unknown",
        "camera_known": True,
        "camera_shift_px": [0.0, 0.0],
        "camera_speed_px_s": 0.0,
        "camera_zoom_ratio": 1.0,
        "camera": "static",
        "visible_spans": [Span(start_s=0.0, end_s=10.0)],
        "hidden_spans": [],
        "occluded_spans": [],
        "occluded_known": True,
        "enters_s": None,
        "leaves_s": None,
        "colours": colours(red=0.9),
        "colours_best": given.get("colours", colours(red=0.9)),
        "colours_known": True,
        "surroundings": colours(green=0.6, brown=0.3),
        "colour_drift_frac": 0.0,
        "camouflage_frac": 0.0,
        "neighbours": [],
    }
    return Facts(**(values | given))


def make_row(facts: Facts | None, group: list[Facts] | None = None, **given: Any) -> Row:
    object_id = facts.object_id if facts else "sav_000001/manual/0"
    video_id, masklet_type, position = object_id.split("/")
    manifest = ManifestRow(
        object_id=object_id,
        video_id=video_id,
        shard="sav_000",
        masklet_type=masklet_type,
        masklet_position=int(position),
        masklet_id=int(position),
        video_path=f"sav_train/sav_000/{video_id}.mp4",
        anno_path=f"sav_train/sav_000/{video_id}_manual.json",
        height_px=720,
        width_px=1280,
        frame_count=240,
        video_fps=24.0,
        areas_px=[100],
        boxes_px=[[0, 0, 10, 10]],
        best_index=0,
        status=Status.PENDING,
    )
    pictures = {"crop_jpeg": b"crop", "masked_jpeg": b"masked", "scene_jpeg": b"scene", "video_jpegs": [b"1", b"2"]}
    siblings = group if group is not None else [facts] if facts else []
    values = manifest.model_dump() | {"facts": facts, "sibling_facts": siblings, "video_times_s": [0.0, 9.5]} | pictures
    return Row(**(values | given))


def random_group(seed: int) -> list[Facts]:
    """The separate objects of one made-up video; few colours, so that look-alikes are common."""
    rng = random.Random(seed)
    palette = rng.sample(COLOURS, rng.randint(2, 6))
    camera = rng.choice(["static", *CAMERAS])
    known = rng.random() < 0.9
    duration_s = rng.uniform(4, 30)
    camera = camera if known else "static"
    ids = [f"sav_{seed:06d}/manual/{number}" for number in range(rng.randint(1, 6))]
    return _with_neighbours(
        rng, [_random_facts(rng, object_id, palette, camera, known, duration_s) for object_id in ids]
    )


def _random_facts(
    rng: random.Random, object_id: str, palette: list[str], camera: str, known: bool, duration_s: float
) -> Facts:
    start, end = (rng.random(), rng.random()), (rng.random(), rng.random())
    motion = rng.choice(["none", "none", *MOTIONS]) if known else "unknown"
    if motion == "none" and camera == "static":
        end = start
    area_frac = 10 ** rng.uniform(-3.5, -0.5)
    size_ratio = 2 ** rng.choice([0.0, 0.0, rng.uniform(-2.5, 2.5)])
    enters_s = rng.choice([None, None, rng.uniform(0.2, duration_s / 3)])
    leaves_s = rng.choice([None, None, rng.uniform(duration_s * 0.8, duration_s)])
    return make_facts(
        start=start,
        end=end,
        object_id=object_id,
        duration_s=duration_s,
        place_best=place(*rng.choice([start, end])),
        area_median_frac=area_frac,
        size=("tiny", "small", "medium", "large")[sum(area_frac > limit for limit in (0.002, 0.02, 0.1))],
        size_ratio=size_ratio,
        size_change="grows" if size_ratio > 1.3 else "shrinks" if size_ratio < 0.77 else "stable",
        motion=motion,
        occluded_known=rng.random() < 0.8,
        own_speed_px_s=0.0 if motion == "none" else rng.uniform(20, 300),
        camera=camera,
        camera_known=known,
        hidden_spans=_random_spans(rng, duration_s, 0.4),
        occluded_spans=_random_spans(rng, duration_s, 0.3),
        enters_s=enters_s,
        leaves_s=leaves_s,
        colours=_random_colours(rng, palette),
        surroundings=_random_colours(rng, COLOURS),
    )


def _random_colours(rng: random.Random, palette: list[str]) -> list[Colour]:
    names = rng.sample(palette, rng.randint(1, min(4, len(palette))))
    cuts = sorted((rng.uniform(0.15, 1) for _ in names), reverse=True)
    total = sum(cuts) * rng.uniform(1.0, 1.3)
    return [Colour(name=name, share_frac=cut / total) for name, cut in zip(names, cuts, strict=True)]


def _random_spans(rng: random.Random, duration_s: float, chance: float) -> list[Span]:
    if rng.random() > chance:
        return []
    times = sorted(rng.uniform(duration_s * 0.35, duration_s * 0.78) for _ in range(2 * rng.randint(1, 4)))
    return [Span(start_s=a, end_s=b) for a, b in zip(times[::2], times[1::2], strict=True)]


def _with_neighbours(rng: random.Random, group: list[Facts]) -> list[Facts]:
    for facts in group:
        others = [other for other in group if other is not facts]
        facts.neighbours = [
            Neighbour(
                object_id=other.object_id,
                relation=rng.choice(RELATIONS),
                gap_frac=rng.choice([0.01, 0.2]),
                together_frac=rng.choice([1.0, 0.9, 0.3]),
            )
            for other in rng.sample(others, min(3, len(others)))
        ]
    return group
