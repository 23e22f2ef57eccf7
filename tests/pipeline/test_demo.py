"""The demo shard is what it says: SA-V layout with its quirks, masks as drawn, broken where it should be."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from pycocotools import mask as rle

from manifests.schema import MASK_STRIDE, Reason, Status
from pipeline.demo.cutouts import ball
from pipeline.demo.draw_demo import draw_demo
from pipeline.demo.planned_clips import PlannedClip, clips
from pipeline.demo.scene import DrawnScene, render
from pipeline.demo.write_clip import Masklet, write_clip

SOUND = [f"demo_00000{number}" for number in range(1, 7)]


@pytest.fixture(scope="module")
def undrawn() -> tuple[PlannedClip, ...]:
    return clips()


def tiny(**changes: Any) -> DrawnScene:
    """A red ball that a blue one passes in front of, on grey with a white corner."""
    ground_HW3 = np.full((120, 200, 3), 128, np.uint8)
    ground_HW3[:30, :40] = 255
    scene: dict[str, Any] = {
        "video_id": "tiny",
        "width_px": 200,
        "height_px": 120,
        "duration_s": 1.25,
        "background_HW3": ground_HW3,
        "sprites": (
            ball("red", 40).sprite("red", centre=lambda t_s: (100, 60), shadow=False),
            ball("blue", 40).sprite("blue", centre=lambda t_s: (20 + 80 * t_s, 60), shadow=False),
        ),
    }
    return DrawnScene(**{**scene, **changes})


def frames_by_opencv(path: Path) -> list[Any]:
    video, frames = cv2.VideoCapture(str(path)), list[Any]()
    while True:
        read, frame = video.read()
        if not read:
            return frames
        frames.append(frame[..., ::-1])


def annotation(root: Path, video_id: str, kind: str) -> dict[str, Any]:
    path = root / "sav_train" / "demo" / f"{video_id}_{kind}.json"
    loaded: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return loaded


def truth(root: Path) -> dict[str, dict[str, Any]]:
    entries = json.loads((root / "truth.json").read_text(encoding="utf-8"))
    return {entry["object_id"]: entry for entry in entries}


def test_what_is_behind_a_later_sprite_is_not_in_the_mask() -> None:
    apart, passing, covered = (render(tiny(), t_s)[1] for t_s in (0.0, 0.75, 1.0))
    full_px = math.pi * 20**2
    assert apart["red"].sum() == pytest.approx(full_px, rel=0.06)
    assert 0.5 * full_px < passing["red"].sum() < 0.75 * full_px  # half a diameter is covered
    assert not covered["red"].any()
    assert covered["blue"].sum() == pytest.approx(full_px, rel=0.06)


def test_the_camera_moves_and_zooms_what_is_seen() -> None:
    still_HW3, still = render(tiny(), 0.0)
    moved_HW3, moved = render(tiny(camera=lambda t_s: (99.5 + 10, 59.5, 1.0)), 0.0)
    _, near = render(tiny(camera=lambda t_s: (99.5, 59.5, 1.5)), 0.0)
    np.testing.assert_array_equal(moved_HW3[:, :150], still_HW3[:, 10:160])
    np.testing.assert_array_equal(moved["red"][:, :150], still["red"][:, 10:160])
    assert near["red"].sum() == pytest.approx(1.5**2 * still["red"].sum(), rel=0.05)


@pytest.mark.parametrize("rotation_deg", [0, 90, 180, 270])
def test_opencv_and_pyav_turn_a_stored_rotation_back(tmp_path: Path, rotation_deg: int) -> None:
    scene = tiny()
    write_clip(scene, tmp_path, manual=["red"], rotation_deg=rotation_deg)
    drawn_HW3 = render(scene, 0.0)[0].astype(int)
    with av.open(tmp_path / "tiny.mp4") as container:
        frame = next(container.decode(video=0))
        assert frame.rotation % 360 == rotation_deg
        upright_HW3 = np.rot90(frame.to_ndarray(format="rgb24"), k=frame.rotation // 90)
    for seen_HW3 in (upright_HW3, frames_by_opencv(tmp_path / "tiny.mp4")[0]):
        assert seen_HW3.shape == drawn_HW3.shape
        assert np.abs(seen_HW3 - drawn_HW3).mean() < 6


def test_a_masklet_may_slip_to_another_sprite_and_be_too_wide(tmp_path: Path) -> None:
    scene = tiny()
    slip = Masklet(name="slip", target=lambda t_s: "blue" if t_s < 0.5 else "red")
    write_clip(scene, tmp_path, manual=[slip], auto=[Masklet(name="blue", grow_px=3)])
    manual, auto = (json.loads((tmp_path / f"tiny_{kind}.json").read_text())["masklet"] for kind in ("manual", "auto"))
    for k, name in ((0, "blue"), (4, "red")):
        masks = render(scene, k * MASK_STRIDE / scene.fps)[1]
        np.testing.assert_array_equal(rle.decode(manual[k][0]).astype(bool), masks[name])
        wide_HW = rle.decode(auto[k][0]).astype(bool)
        assert wide_HW[masks["blue"]].all()
        assert masks["blue"].sum() < wide_HW.sum() < 1.5 * masks["blue"].sum()


def test_without_automatic_masklets_there_is_no_automatic_file(tmp_path: Path) -> None:
    write_clip(tiny(), tmp_path, manual=["red", "blue"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tiny.mp4", "tiny_manual.json"]


def test_quirks_of_the_real_files_are_kept(tmp_path: Path) -> None:
    write_clip(tiny(), tmp_path, manual=["red", "blue"], auto=["red"])
    manual, auto = (json.loads((tmp_path / f"tiny_{kind}.json").read_text()) for kind in ("manual", "auto"))
    for content in (manual, auto):
        assert [content[f"video_{key}"] for key in ("frame_count", "height", "width", "resolution")] == [
            30.0, 120.0, 200.0, 24000.0,
        ]  # fmt: skip
        assert isinstance(content["video_frame_count"], float)
        assert len(content["masklet"]) == 8  # ceil(30 / 4)
        assert all(isinstance(entry["counts"], str) for entries in content["masklet"] for entry in entries)
        assert all(entry["size"] == [120, 200] for entries in content["masklet"] for entry in entries)
    areas_px = np.array([rle.area(entries[0]) for entries in manual["masklet"]])
    assert (areas_px == 0).tolist() == [False] * 6 + [True, False]
    assert manual["masklet_visibility_changes"] == [2, 0]
    assert manual["masklet_size_abs"][0] == pytest.approx(areas_px[areas_px > 0].mean())
    assert manual["masklet_stability_score"] == [None, None]
    assert [len(scores) for scores in auto["masklet_stability_score"]] == [1] * 8
    assert isinstance(manual["masklet_first_appeared_frame"][0], float)
    assert isinstance(auto["masklet_first_appeared_frame"][0], int)


def test_the_shard_holds_eight_videos_two_of_them_unsound(demo_root: Path, undrawn: tuple[PlannedClip, ...]) -> None:
    names = {path.name for path in (demo_root / "sav_train" / "demo").iterdir()}
    ids = [clip.scene.video_id for clip in undrawn]
    assert ids == [*SOUND, "demo_000007", "demo_000008"]
    assert names == {f"{video_id}.mp4" for video_id in ids} | {f"{video_id}_manual.json" for video_id in ids} | {
        f"{clip.scene.video_id}_auto.json" for clip in undrawn if clip.auto
    }
    assert not list(demo_root.glob(".demo-*"))


@pytest.mark.parametrize("video_id", SOUND)
def test_opencv_reads_as_many_frames_as_are_annotated(demo_root: Path, video_id: str) -> None:
    content = annotation(demo_root, video_id, "manual")
    frames = frames_by_opencv(demo_root / "sav_train" / "demo" / f"{video_id}.mp4")
    assert len(frames) == content["video_frame_count"]
    assert len(content["masklet"]) == math.ceil(len(frames) / MASK_STRIDE)
    assert frames[0].shape[:2] == (content["video_height"], content["video_width"])
    assert 6 <= content["video_duration"] <= 14


@pytest.mark.parametrize("video_id", [*SOUND, "demo_000007"])
def test_masks_are_those_of_the_scene(demo_root: Path, undrawn: tuple[PlannedClip, ...], video_id: str) -> None:
    (clip,) = (clip for clip in undrawn if clip.scene.video_id == video_id)
    masklet = annotation(demo_root, video_id, "manual")["masklet"]
    for k in (0, len(masklet) // 2, len(masklet) - 1):
        t_s = k * MASK_STRIDE / clip.scene.fps
        masks = render(clip.scene, t_s)[1]
        for entry, planned in zip(masklet[k], clip.manual, strict=True):
            np.testing.assert_array_equal(rle.decode(entry).astype(bool), planned.mask(masks, t_s))


def test_the_broken_video_opens_and_then_cannot_be_decoded(demo_root: Path) -> None:
    path = demo_root / "sav_train" / "demo" / "demo_000007.mp4"
    count = annotation(demo_root, "demo_000007", "manual")["video_frame_count"]
    with av.open(path) as container:
        assert sum(packet.size > 0 for packet in container.demux(video=0)) == count
    decoded: list[av.VideoFrame] = []
    with av.open(path) as container, pytest.raises(av.error.InvalidDataError):
        decoded.extend(container.decode(video=0))
    assert 0.3 * count < len(decoded) < 0.7 * count


def test_the_truncated_file_is_no_json_and_its_sister_is(demo_root: Path) -> None:
    with pytest.raises(json.JSONDecodeError):
        annotation(demo_root, "demo_000008", "manual")
    assert annotation(demo_root, "demo_000008", "auto")["masklet_num"] == 1


def test_truth_has_every_masklet_of_every_readable_file(demo_root: Path, undrawn: tuple[PlannedClip, ...]) -> None:
    counts = {
        (clip.scene.video_id, kind): len(masklets)
        for clip in undrawn
        for kind, masklets in (("manual", clip.manual), ("auto", clip.auto))
    }
    del counts["demo_000008", "manual"]
    expected = {f"{video}/{kind}/{n}" for (video, kind), count in counts.items() for n in range(count)}
    assert set(truth(demo_root)) == expected | {"demo_000008/manual/file"}


def test_the_shard_shows_every_state_and_every_reason_that_sound_masklets_meet(demo_root: Path) -> None:
    entries = truth(demo_root).values()
    assert {entry["status"] for entry in entries} == {Status.KEPT, Status.REJECTED, Status.FAILED}
    assert {entry["reason"] for entry in entries} == {
        None, Reason.JSON_MALFORMED, Reason.NEVER_VISIBLE, Reason.TOO_FEW_VISIBLE_FRAMES, Reason.TOO_SMALL,
        Reason.AT_BORDER, Reason.DUPLICATE, Reason.PART, Reason.OVER_VIDEO_LIMIT, Reason.UNRECOGNIZABLE,
        Reason.INCONSISTENT, Reason.AMBIGUOUS, Reason.DECODE_ERROR,
    }  # fmt: skip
    assert all((entry["status"] == Status.KEPT) == (entry["reason"] is None) for entry in entries)


PROPERTIES: dict[Reason, Callable[[list[int]], bool]] = {
    Reason.NEVER_VISIBLE: lambda areas_px: max(areas_px) == 0,
    Reason.TOO_FEW_VISIBLE_FRAMES: lambda areas_px: 0 < sum(area > 0 for area in areas_px) < 6,
    Reason.TOO_SMALL: lambda areas_px: 0 < max(areas_px) < 400,
    Reason.AT_BORDER: lambda areas_px: max(areas_px) > 400,
}


@pytest.mark.parametrize("reason", PROPERTIES)
def test_masklets_have_what_they_are_rejected_for(demo_root: Path, reason: Reason) -> None:
    rejected = [object_id for object_id, entry in truth(demo_root).items() if entry["reason"] == reason]
    assert rejected
    for object_id in rejected:
        video_id, kind, position = object_id.split("/")
        masklet = annotation(demo_root, video_id, kind)["masklet"]
        assert PROPERTIES[reason]([int(rle.area(entries[int(position)])) for entries in masklet])


def test_truth_of_what_hides_and_what_leaves(demo_root: Path) -> None:
    entries = {(object_id[:11], entry.get("name")): entry for object_id, entry in truth(demo_root).items()}
    cup, green_ball = entries["demo_000001", "cup"], entries["demo_000002", "green ball"]
    (_, hidden_s), (shown_s, end_s) = cup["visible_spans_s"]
    assert shown_s - hidden_s == pytest.approx((290 - 170) / 105, abs=2 / 6)  # pillar less cup, at the cup's speed
    assert end_s == 10.0
    assert len(green_ball["visible_spans_s"]) == 2
    assert (cup["motion"], cup["speed_px_s"], cup["camera"]) == ("right", 105.0, "static")
    assert (green_ball["camera"], green_ball["camera_speed_px_s"]) == ("pans right", 60.0)
    assert entries["demo_000003", "rocket"]["size_change"] == "shrinks"
    assert entries["demo_000001", "coffee"]["part_of"] == "demo_000001/manual/0"
    assert entries["demo_000001", "cat again"]["duplicate_of"] == "demo_000001/manual/2"


def test_the_twins_cannot_be_told_apart_and_the_horses_can(demo_root: Path) -> None:
    first, upper, second, lower = (truth(demo_root)[f"demo_000004/manual/{n}"] for n in (1, 0, 3, 2))
    same = ("colours", "motion", "size_change", "visible_spans_s")
    assert [first[key] for key in same] == [second[key] for key in same]
    assert upper["colours"] == lower["colours"]
    assert (upper["motion"], lower["motion"]) == ("right", "left")


def test_a_shard_that_is_there_is_left_alone(demo_root: Path) -> None:
    files = [path for path in demo_root.rglob("*") if path.is_file()]
    before = {path: path.stat().st_mtime_ns for path in files}
    draw_demo(demo_root)
    assert {path: path.stat().st_mtime_ns for path in demo_root.rglob("*") if path.is_file()} == before


def test_drawn_again_the_annotations_are_the_same_bytes(
    demo_root: Path, undrawn: tuple[PlannedClip, ...], tmp_path: Path
) -> None:
    clip = undrawn[6]
    write_clip(clip.scene, tmp_path, manual=clip.manual, auto=clip.auto)
    for path in tmp_path.glob("*.json"):
        assert path.read_bytes() == (demo_root / "sav_train" / "demo" / path.name).read_bytes()
