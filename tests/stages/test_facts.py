"""Facts against the truth that clips are drawn from: encoded, decoded and measured, camera estimated."""

from collections.abc import Callable
from functools import partial
from math import sin
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from manifests.schema import MASK_STRIDE, Facts, Span
from pipeline.demo.cutouts import TINTS, ball, ground, slab
from pipeline.demo.scene import DrawnScene, Sprite
from pipeline.demo.write_clip import write_clip
from stages.facts import measure
from stages.video.camera import CameraTracker
from stages.video.colour import ColourSampler
from stages.video.frames import walk
from stages.video.masklets import read_masklets
from stages.video.rle import decode
from stages.video.times import FrameTimes
from stages.video.track import Track

WIDTH_PX, HEIGHT_PX, DURATION_S = 640, 360, 6.0
GREEN = TINTS["green"]


def reduced(mask_HW: NDArray[np.uint8], shape: tuple[int, ...]) -> NDArray[np.uint8]:
    return np.asarray(cv2.resize(mask_HW, shape[::-1]), np.uint8)


def measured(folder: Path, scene: DrawnScene) -> dict[str, Facts]:
    """Write the clip, read it back and measure it; name of the sprite -> facts."""
    names = [sprite.name for sprite in scene.sprites]
    write_clip(scene, folder, manual=names)
    masklets = read_masklets((folder / f"{scene.video_id}_manual.json").read_bytes(), scene.video_id)
    camera, colours = CameraTracker(scale=2.0), {name: ColourSampler() for name in names}
    best = masklets.areas.argmax(axis=0)
    for frame in walk(folder / f"{scene.video_id}.mp4", scene.video_id):
        time, off_beat = divmod(frame.index, MASK_STRIDE)
        if off_beat:
            continue
        masks = np.stack([decode(rle) for rle in masklets.rles[time]])
        grey_HW = frame.grey(320)
        camera.add(grey_HW, partial(reduced, masks.max(axis=0), grey_HW.shape))
        for number, name in enumerate(names):
            if time % 5 == 0 or time == best[number]:
                colours[name].add(frame.bgr(), masks[number] > 0, best=bool(time == best[number]))
    tracks = [
        Track(name, masklets.areas[:, n].tolist(), masklets.boxes[:, n], masklets.centres[:, n])
        for n, name in enumerate(names)
    ]
    facts = measure(
        tracks,
        height_px=scene.height_px,
        width_px=scene.width_px,
        times=FrameTimes.steady(scene.frame_count, scene.fps),
        camera_steps=camera.steps,
        trails=camera.trails,
        colours=colours,
    )
    return dict(zip(names, facts, strict=True))


def clip(
    video_id: str, sprites: tuple[Sprite, ...], camera: Callable[[float], tuple[float, float, float]]
) -> DrawnScene:
    return DrawnScene(
        video_id=video_id,
        width_px=WIDTH_PX,
        height_px=HEIGHT_PX,
        duration_s=DURATION_S,
        background_HW3=ground("gravel.png", GREEN, (1400, 700)),
        sprites=sprites,
        camera=camera,
    )


def thing(name: str, centre: Callable[[float], tuple[float, float]], colour: str = "red", **more: object) -> Sprite:
    return ball(colour, 50).sprite(name, centre=centre, shadow=False, **more)


@pytest.fixture(scope="module")
def still(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Facts]:
    """A camera at rest, its upper left corner at world (0, 0)."""
    sprites = (
        thing("hides", lambda t: (80, 60), visible=lambda t: not 2.0 <= t < 3.5),
        thing("grows", lambda t: (560, 60), scale=lambda t: (1 + 0.5 * t / DURATION_S) ** 0.5),
        thing("shrinks", lambda t: (560, 300), colour="yellow", scale=lambda t: 1.6 - 0.1 * t),
        thing("swings", lambda t: (320 + 110 * sin(3 * t), 60), colour="blue"),
        thing("behind", lambda t: (300, 300), colour="orange"),
        slab("brick.png", "purple", (40, 90)).sprite("before", centre=lambda t: (150 + 50 * t, 300), shadow=False),
        thing("passes", lambda t: (-30 + 150 * (t - 1), 180), colour="white"),
    )
    return measured(tmp_path_factory.mktemp("still"), clip("sav_1", sprites, lambda t: (319.5, 179.5, 1.0)))


@pytest.fixture(scope="module")
def panning(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Facts]:
    sprites = (
        thing("left", lambda t: (800 - 40 * t, 300)),
        thing("rests", lambda t: (560, 200), colour="white"),
        thing("kept in view", lambda t: (600 + 30 * t, 380), colour="blue"),
    )
    return measured(tmp_path_factory.mktemp("panning"), clip("sav_2", sprites, lambda t: (500 + 30 * t, 300, 1.0)))


def test_moves_left_while_the_camera_pans_right(panning: dict[str, Facts]) -> None:
    facts = panning["left"]
    seconds = DURATION_S - 1 / 6  # from the first annotated frame to the last
    assert facts.motion == "left"
    assert facts.own_speed_px_s == pytest.approx(40, rel=0.1)
    assert facts.own_shift_px == pytest.approx([-40 * seconds, 0], abs=12)
    assert facts.own_path_px == pytest.approx(40 * seconds, rel=0.1)
    assert facts.shift_frac == pytest.approx([-70 * seconds / WIDTH_PX, 0], abs=0.01)
    assert facts.camera == "pans right"
    assert facts.camera_known
    assert facts.camera_shift_px == pytest.approx([30 * seconds, 0], abs=9)
    assert facts.camera_speed_px_s == pytest.approx(30, rel=0.05)
    assert facts.camera_zoom_ratio == pytest.approx(1, abs=0.01)


def test_at_rest_under_a_panning_camera_is_no_motion(panning: dict[str, Facts]) -> None:
    assert panning["rests"].motion == "none"
    assert panning["rests"].shift_frac[0] < -0.2


def test_followed_by_the_camera_is_motion(panning: dict[str, Facts]) -> None:
    assert panning["kept in view"].motion == "right"
    assert panning["kept in view"].own_speed_px_s == pytest.approx(30, rel=0.1)
    assert abs(panning["kept in view"].shift_frac[0]) < 0.01


def test_at_rest_under_a_zooming_swaying_camera(tmp_path: Path) -> None:
    sprites = (thing("rests", lambda t: (640, 300)),)
    scene = clip("sav_3", sprites, lambda t: (600 + 40 * sin(2 * t), 300, 1 + 0.05 * t))
    facts = measured(tmp_path, scene)["rests"]
    assert facts.motion == "none"
    assert facts.camera == "zooms in"
    assert facts.camera_zoom_ratio == pytest.approx(1 + 0.05 * (DURATION_S - 1 / 6), rel=0.02)
    assert facts.size_change == "grows"  # on the screen


def test_hidden_from_2_to_3_5_s(still: dict[str, Facts]) -> None:
    facts = still["hides"]
    assert facts.duration_s == DURATION_S
    assert facts.hidden_spans == [Span(start_s=2.0, end_s=3.5)]
    assert facts.visible_spans == [Span(start_s=0.0, end_s=2.0), Span(start_s=3.5, end_s=6.0)]
    assert facts.occluded_spans == []
    assert facts.enters_s is None
    assert facts.leaves_s is None
    assert facts.motion == "none"


def test_grows_by_half(still: dict[str, Facts]) -> None:
    facts = still["grows"]
    # medians of the first and last 7 of 36 annotated frames: at 0.5 s and 5.33 s
    assert facts.size_ratio == pytest.approx((1 + 0.5 * 5.33 / 6) / (1 + 0.5 * 0.5 / 6), rel=0.03)
    assert facts.size_change == "grows"
    assert facts.size == "small"
    assert facts.area_best_frac == pytest.approx(1.5 * np.pi * 25**2 / (WIDTH_PX * HEIGHT_PX), rel=0.05)
    assert (facts.place_start, facts.place_best, facts.place_end) == ("top right",) * 3
    assert facts.centre_start_frac == pytest.approx([560 / WIDTH_PX, 60 / HEIGHT_PX], abs=0.005)


def test_shrinks(still: dict[str, Facts]) -> None:
    assert still["shrinks"].size_change == "shrinks"
    assert still["shrinks"].motion == "none"
    assert still["shrinks"].occluded_spans == []
    assert still["hides"].size_change == "stable"


def test_to_and_fro_is_complex(still: dict[str, Facts]) -> None:
    assert still["swings"].motion == "complex"
    assert still["swings"].own_path_px > 800


def test_crossing_occludes_the_one_behind(still: dict[str, Facts]) -> None:
    (span,) = still["behind"].occluded_spans
    assert span.start_s <= 3.0 < span.end_s  # the slab is in the middle of it at 3 s
    assert 0.5 <= span.end_s - span.start_s <= 1.2
    assert still["behind"].hidden_spans == []
    assert still["behind"].motion == "none"
    assert still["before"].occluded_spans == []
    assert still["before"].motion == "right"
    assert still["before"].own_speed_px_s == pytest.approx(50, rel=0.1)


def test_enters_and_leaves_across_the_border(still: dict[str, Facts]) -> None:
    facts = still["passes"]
    assert facts.enters_s == pytest.approx(7 / 6)  # its edge comes in at 1.03 s
    assert facts.leaves_s == pytest.approx(34 / 6)  # and goes out at 5.63 s
    assert facts.motion == "right"
    # half-cut masks would make the path shorter by the object's width
    assert facts.own_shift_px[0] == pytest.approx(150 * (33 - 7) / 6, rel=0.02)
    assert facts.size_change == "stable"
    assert facts.occluded_spans == []
    assert facts.place_start == "middle left"
    assert facts.place_end == "middle right"


def test_red_on_green(still: dict[str, Facts]) -> None:
    for facts, name in ((still["grows"], "red"), (still["swings"], "blue"), (still["shrinks"], "yellow")):
        assert facts.colours[0].name == name
        assert facts.colours_best[0].name == name
        assert facts.surroundings[0].name == "green"
        assert facts.surroundings[0].share_frac > 0.7


def test_camera_at_rest(still: dict[str, Facts]) -> None:
    assert still["hides"].camera == "static"
    assert still["hides"].camera_shift_px == pytest.approx([0, 0], abs=2)


def box_track(name: str, boxes: list[tuple[int, int, int, int]]) -> Track:
    """A track of full boxes; (0, 0, 0, 0) = not visible."""
    boxes_T4 = np.array(boxes, np.int64)
    areas = boxes_T4[:, 2] * boxes_T4[:, 3]
    centres_T2 = boxes_T4[:, :2] + boxes_T4[:, 2:] / 2
    centres_T2[areas == 0] = np.nan
    return Track(name, areas.tolist(), boxes_T4, centres_T2)


def measured_boxes(*tracks: Track, camera_known: bool = True) -> dict[str, Facts]:
    times = len(tracks[0].areas_px)
    facts = measure(
        tracks,
        height_px=300,
        width_px=400,
        times=FrameTimes.steady(times * MASK_STRIDE - 1, 24.0),
        camera_steps=[np.eye(3)[:2] if camera_known else None] * (times - 1),
        trails=[],
        colours={track.object_id: ColourSampler() for track in tracks},
    )
    return {entry.object_id: entry for entry in facts}


def relations(facts: Facts) -> list[tuple[str, str]]:
    return [(neighbour.object_id, neighbour.relation) for neighbour in facts.neighbours]


def test_neighbours_nearest_first_with_their_relation() -> None:
    facts = measured_boxes(
        box_track("a", [(100, 100, 40, 40)] * 5),
        box_track("right", [(180, 110, 40, 40)] * 5),
        box_track("below", [(105, 160, 40, 40)] * 5),
        box_track("in a", [(110, 110, 10, 10)] * 5),
        box_track("far", [(350, 10, 20, 20)] * 5),
        box_track("far too", [(5, 5, 9, 9)] * 5),
    )
    assert relations(facts["a"]) == [("in a", "overlapping"), ("below", "above"), ("right", "left of")]
    assert relations(facts["below"]) == [("a", "below"), ("right", "left of"), ("in a", "below")]
    assert [n.gap_frac for n in facts["a"].neighbours] == pytest.approx([0, 20 / 500, 40 / 500])


def test_neighbours_count_only_frames_together() -> None:
    nowhere = (0, 0, 0, 0)
    facts = measured_boxes(
        box_track("a", [(100, 100, 40, 40)] * 3 + [nowhere] * 2),
        box_track("b", [nowhere] * 2 + [(200, 100, 40, 40)] * 3),
        box_track("c", [nowhere] * 3 + [(300, 100, 40, 40)] * 2),
    )
    assert [n.object_id for n in facts["a"].neighbours] == ["b"]
    assert facts["a"].neighbours[0].together_frac == pytest.approx(1 / 3)


def test_a_relation_that_changes_is_near() -> None:
    facts = measured_boxes(
        box_track("a", [(100, 100, 40, 40)] * 6),
        box_track("b", [(200, 100, 40, 40)] * 3 + [(20, 100, 40, 40)] * 3),
    )
    assert relations(facts["a"]) == [("b", "near")]


def test_before_an_unknown_camera_motion_is_unknown() -> None:
    track = box_track("a", [(100 + 10 * t, 100, 40, 40) for t in range(10)])
    facts = measured_boxes(track, camera_known=False)["a"]
    assert (facts.camera, facts.camera_known) == ("unknown", False)
    assert (facts.motion, facts.motion_known, facts.speed_known) == ("unknown", False, False)
    assert facts.shift_frac == pytest.approx([90 / 400, 0])  # on the screen
    before_a_still_one = measured_boxes(track)["a"]
    assert (before_a_still_one.motion, before_a_still_one.motion_known) == ("right", True)
    assert before_a_still_one.own_speed_px_s == pytest.approx(60)


def test_last_span_ends_with_the_video() -> None:
    facts = measured_boxes(box_track("a", [(100, 100, 40, 40)] * 10))["a"]
    assert facts.visible_spans == [Span(start_s=0, end_s=39 / 24)]


def test_seen_in_one_frame_only() -> None:
    facts = measured_boxes(box_track("a", [(0, 0, 0, 0), (10, 200, 40, 40), (0, 0, 0, 0)]))["a"]
    assert (facts.motion, facts.own_speed_px_s, facts.size_ratio) == ("unknown", 0.0, 1.0), "one frame shows no motion"
    assert facts.place_best == "bottom left"


@pytest.mark.parametrize(
    ("dx", "dy", "motion"), [(9, 9, "down-right"), (0, -9, "up"), (-9, -8, "up-left"), (-9, 2, "left")]
)
def test_directions(dx: int, dy: int, motion: str) -> None:
    facts = measured_boxes(box_track("a", [(180 + dx * t, 130 + dy * t, 30, 30) for t in range(12)]))
    assert facts["a"].motion == motion


def test_bending_is_no_travel() -> None:
    centre_y = [100 + 30 * (t % 4 > 1) for t in range(40)]
    facts = measured_boxes(box_track("a", [(150, y, 50, 150) for y in centre_y]))
    assert facts["a"].motion == "none"


def test_a_dip_is_known_to_be_a_cover_if_something_is_next_to_it() -> None:
    """The same dip, alone, and with another object before it."""
    dips = [(150, 50, 80, 80 if not 20 <= t < 26 else 30) for t in range(46)]
    (alone,) = measured_boxes(box_track("a", dips)).values()
    (span,) = alone.occluded_spans
    assert (span.start_s, span.end_s) == pytest.approx((20 / 6, 26 / 6))
    assert not alone.occluded_known
    passing = box_track("b", [(20 + 8 * t, 80, 40, 60) for t in range(46)])
    beside = measured_boxes(box_track("a", dips), passing)["a"]
    assert beside.occluded_spans == alone.occluded_spans
    assert beside.occluded_known
    far_off = box_track("b", [(300, 200, 40, 60)] * 46)
    assert not measured_boxes(box_track("a", dips), far_off)["a"].occluded_known
    assert measured_boxes(passing)["b"].occluded_known  # nothing to explain


def test_moving_away_fast_is_no_occlusion() -> None:
    sides = [200 - 10 * t if t < 15 else 50 for t in range(30)]
    facts = measured_boxes(box_track("a", [(150, 50, side, side) for side in sides]))["a"]
    assert facts.occluded_spans == []
    assert facts.size_change == "shrinks"


def test_a_body_that_turns_at_the_end_is_stable() -> None:
    facts = measured_boxes(box_track("a", [(150, 50, 40 if t < 24 else 56, 80) for t in range(30)]))["a"]
    assert facts.size_ratio == pytest.approx(1.4)
    assert facts.size_change == "stable"


def test_coming_in_slowly_is_no_growth() -> None:
    facts = measured_boxes(box_track("a", [(max(0, 5 * t - 60), 100, min(60, 5 * t + 5), 60) for t in range(36)]))["a"]
    assert facts.size_ratio == pytest.approx(1)
    assert facts.motion == "right"


def test_track_without_a_mask_or_of_another_length() -> None:
    with pytest.raises(ValueError, match=r"ghost: .* got 3 entries, 0 visible"):
        measured_boxes(box_track("ghost", [(0, 0, 0, 0)] * 3))
    with pytest.raises(ValueError, match=r"short: .* got 2 entries, 2 visible"):
        measured_boxes(box_track("a", [(9, 9, 9, 9)] * 3), box_track("short", [(9, 9, 9, 9)] * 2))
