"""Views and facts of a clip whose background says which source frame it is, and whose objects are red, green, blue."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from manifests.io import Folder
from manifests.lineup import LineupFrame
from manifests.row_results import Reject, RowError
from manifests.schema import Facts, Reason, Row
from stages.base import Result
from stages.render_views import RenderViews
from stages.select_objects import SelectConfig, select_objects
from stages.video.views import ViewConfig, uniform_indices
from stages.video_files import VideoFiles
from tests.stages.tiny_sav import (
    ENTRIES,
    FILES,
    FRAMES,
    HEIGHT_PX,
    WIDTH_PX,
    Masklet,
    annotation,
    box,
    opener,
    write_json,
    write_mp4,
)

SHARP = ViewConfig(jpeg_quality=100, crop_min_px=16, contour_frac=0.02)  # 3 px of 160
SELECT = SelectConfig(min_visible_frames=1, min_best_area_px=1)
COLOURS = ((0, 0, 220), (0, 190, 0), (220, 60, 0))  # blue, green, red of the three objects
UNIFORM = [0, 1, 2, 3, 5, 6, 7, 8]  # of nine annotated frames, spread evenly


def swelling(t: int) -> NDArray[np.uint8]:
    """Largest in annotated frame 4, which is none of the uniform ones."""
    return box(20, 60, 24 + 4 * (4 - abs(t - 4)), 40)(t)


OBJECTS: tuple[Masklet, ...] = (swelling, box(90, 12, 36, 30), box(100, 70, 40, 30, during=[0, 1, 2, 7, 8]))


def background(index: int) -> tuple[int, int, int]:
    """The colour that says which source frame it is."""
    return 30 + 6 * index, 110, 230 - 6 * index


def write_coded_mp4(root: Path, frames: int = FRAMES, rotation_deg: int = 0) -> Path:
    path = root / FILES.video_path
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(path, "w", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream("libx264", rate=24, options={"crf": "1"})
        stream.width, stream.height = (WIDTH_PX, HEIGHT_PX)[:: -1 if rotation_deg % 180 else 1]
        stream.pix_fmt, stream.time_base = "yuv420p", Fraction(1, 24)
        if rotation_deg:
            stream.set_display_rotation(rotation_deg)
        for index in range(frames):
            picture_HW3 = np.full((HEIGHT_PX, WIDTH_PX, 3), background(index), np.uint8)
            for masklet, colour in zip(OBJECTS, COLOURS, strict=True):
                picture_HW3[masklet(index // 4) > 0] = colour
            stored_HW3 = np.ascontiguousarray(np.rot90(picture_HW3, k=-(rotation_deg // 90)))
            frame = av.VideoFrame.from_ndarray(stored_HW3, format="bgr24")
            frame.pts = index
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


class CountingFolder(Folder):
    """Knows how often a video was opened."""

    def media(self, name: str) -> Path | BinaryIO:
        self.__dict__.setdefault("opened", []).append(name)
        return super().media(name)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sav")
    write_coded_mp4(folder)
    write_json(folder, "manual", annotation(OBJECTS[:2]))
    write_json(folder, "auto", annotation(OBJECTS[2:]))
    return folder


def pending(root: Path) -> list[Row]:
    found = [Row.model_validate(row.model_dump()) for row in select_objects(FILES, opener(root), SELECT)]
    assert {row.status.value for row in found} == {"pending"}
    return found


def render(root: Path, rows: Sequence[Row], config: ViewConfig = SHARP) -> tuple[list[Result], int]:
    """Results, and how often the video was opened."""
    sav = CountingFolder(str(root))
    results = RenderViews(config, sav, lineup=True).process(rows)
    return results, len(sav.__dict__.get("opened", []))


def updates(root: Path, rows: Sequence[Row], config: ViewConfig = SHARP) -> list[dict[str, Any]]:
    results, opened = render(root, rows, config)
    assert opened == 1
    assert len(results) == len(rows)
    return [result for result in results if isinstance(result, dict)]


@pytest.fixture(scope="module")
def whole(root: Path) -> list[dict[str, Any]]:
    return updates(root, pending(root))


def picture(raw: bytes) -> NDArray[np.uint8]:
    return np.asarray(cv2.imdecode(np.frombuffer(raw, np.uint8), cv2.IMREAD_COLOR), np.uint8)


def shown_frame(picture_HW3: NDArray[np.uint8]) -> int:
    """The source frame whose colour the upper left corner has."""
    corner = picture_HW3[2:8, 2:8].reshape(-1, 3).mean(axis=0)
    return int(np.argmin([np.abs(corner - background(index)).sum() for index in range(FRAMES)]))


def near(picture_HW3: NDArray[np.uint8], colour: Sequence[int], within: int) -> NDArray[np.bool_]:
    return np.asarray((np.abs(picture_HW3.astype(int) - colour) <= within).all(axis=2))


def yellow(picture_HW3: NDArray[np.uint8]) -> NDArray[np.bool_]:
    return (picture_HW3[..., 0] < 110) & (picture_HW3[..., 1] > 170) & (picture_HW3[..., 2] > 170)


def test_every_column_that_is_promised_is_written(root: Path, whole: list[dict[str, Any]]) -> None:
    rows = pending(root)
    assert [row.object_id.removeprefix(FILES.video_id) for row in rows] == ["/manual/0", "/manual/1", "/auto/0"]
    assert all(set(update) == set(RenderViews.writes) for update in whole)
    for row, update in zip(rows, whole, strict=True):
        assert update["facts"].object_id == row.object_id
        filled = Row.model_validate(row.model_dump() | update)
        assert all(getattr(filled, name) for name in RenderViews.writes)
        assert [facts.object_id for facts in update["sibling_facts"]] == row.siblings


def test_frames_for_a_line_up_bear_no_mark_and_have_all_masks(root: Path, whole: list[dict[str, Any]]) -> None:
    ids = [row.object_id for row in pending(root)]
    for update in whole:
        frames: list[LineupFrame] = update["lineup_frames"]
        assert len(frames) >= len(UNIFORM)
        assert [frame.time_s for frame in frames] == sorted(frame.time_s for frame in frames)
        assert {name for frame in frames for name in frame.masks} == {*ids}, "all objects of the video are shown"
        for frame in frames:
            image_HW3 = picture(frame.jpeg)
            assert frame.size == list(image_HW3.shape[:2])
            assert not yellow(image_HW3).any()
            index = round(frame.time_s * 6)
            for masklet, name in zip(OBJECTS, ids, strict=True):
                assert (name in frame.masks) == bool(masklet(index).any())
    without = RenderViews(SHARP, Folder(str(root))).process(pending(root))
    assert all(isinstance(update, dict) and update["lineup_frames"] == [] for update in without)


def test_uniform_views_are_the_annotated_frames_at_the_stated_times(whole: list[dict[str, Any]]) -> None:
    for update in whole:
        assert [shown_frame(picture(raw)) for raw in update["video_jpegs"]] == [4 * index for index in UNIFORM]
        assert update["video_times_s"] == pytest.approx([4 * index / 24 for index in UNIFORM], abs=0.001)


def test_a_contour_is_there_only_while_the_object_is_visible(whole: list[dict[str, Any]]) -> None:
    for masklet, update in zip(OBJECTS, whole, strict=True):
        for index, raw in zip(UNIFORM, update["video_jpegs"], strict=True):
            mask_HW, yellow_HW = masklet(index), yellow(picture(raw))
            if not mask_HW.any():
                assert not yellow_HW.any()
                continue
            ring_HW = cv2.dilate(mask_HW, np.ones((9, 9), np.uint8)) - mask_HW
            assert yellow_HW.sum() > 2 * cv2.countNonZero(mask_HW) ** 0.5 * 2
            assert ring_HW[yellow_HW].mean() > 0.95, "the line is elsewhere"


def test_the_best_views_are_of_the_frame_of_largest_area(root: Path, whole: list[dict[str, Any]]) -> None:
    rows = pending(root)
    best = [row.best_index for row in rows]
    assert best == [4, 0, 0]
    for update, index in zip(whole, best, strict=True):
        assert index is not None
        assert shown_frame(picture(update["scene_jpeg"])) == 4 * index


def test_the_masked_view_is_black_outside_and_true_inside(whole: list[dict[str, Any]]) -> None:
    for masklet, colour, index, update in zip(OBJECTS, COLOURS, (4, 0, 0), whole, strict=True):
        masked_HW3, mask_HW = picture(update["masked_jpeg"]), masklet(index)
        assert masked_HW3.shape == (HEIGHT_PX, WIDTH_PX, 3)
        around, core = (np.ones((2 * px + 1,) * 2, np.uint8) for px in (8, 3))
        assert masked_HW3[cv2.dilate(mask_HW, around) == 0].max() < 6
        assert near(masked_HW3, colour, 25)[cv2.erode(mask_HW, core) > 0].all()


def test_the_scene_view_has_the_contour_and_the_crop_has_context_and_no_mark(whole: list[dict[str, Any]]) -> None:
    for colour, update, box_px in zip(COLOURS, whole, ((40, 40), (36, 30), (40, 30)), strict=True):
        assert yellow(picture(update["scene_jpeg"])).sum() > 2 * 2 * sum(box_px)
        crop_HW3 = picture(update["crop_jpeg"])
        assert not yellow(crop_HW3).any()
        assert near(crop_HW3, colour, 60).sum() == pytest.approx(box_px[0] * box_px[1], rel=0.15)
        assert crop_HW3.shape[0] > 1.4 * box_px[1]
        assert crop_HW3.shape[1] > 1.4 * box_px[0]


def test_long_sides_are_bounded(root: Path) -> None:
    config = ViewConfig(scene_long_px=80, video_long_px=40, crop_long_px=24, crop_min_px=16)
    for update in updates(root, pending(root), config):
        for name, long_px in (("scene_jpeg", 80), ("masked_jpeg", 80), ("crop_jpeg", 24)):
            assert max(picture(update[name]).shape) == long_px, name
        assert {picture(raw).shape for raw in update["video_jpegs"]} == {(30, 40, 3)}


def test_the_sheet_shows_all_views(whole: list[dict[str, Any]]) -> None:
    sheet_HW3 = picture(whole[0]["preview_jpeg"])
    empty_HW = near(sheet_HW3, (24, 24, 24), 12)
    cells = [empty_HW[:168, start : start + 266] for start in (0, 267, 533)]
    cells += [empty_HW[top : top + 112, left : left + 200] for top in (168, 280) for left in range(0, 800, 200)]
    assert all(cell.mean() < 0.75 for cell in cells)


def test_facts_are_measured_from_the_right_object(whole: list[dict[str, Any]]) -> None:
    facts: list[Facts] = [update["facts"] for update in whole]
    assert [each.colours[0].name for each in facts] == ["red", "green", "blue"]
    assert [each.place_best for each in facts] == ["middle left", "top right", "bottom right"]
    assert facts[0].area_best_frac == pytest.approx(40 * 40 / (160 * 120))
    [span] = facts[2].hidden_spans
    assert (span.start_s, span.end_s) == pytest.approx((3 * 4 / 24, 7 * 4 / 24))


@pytest.mark.parametrize("left", [[0], [1], [2], [2, 0]])
def test_a_part_of_a_batch_gives_the_same_as_the_whole(
    root: Path, whole: list[dict[str, Any]], left: list[int]
) -> None:
    """A resumed run has only the undone rows of a video; their neighbours still count."""
    rows = pending(root)
    assert updates(root, [rows[n] for n in left]) == [whole[n] for n in left]


def test_a_row_that_is_no_sibling_of_itself_is_measured_too(root: Path, whole: list[dict[str, Any]]) -> None:
    """A part of another object is told apart from nobody."""
    rows = pending(root)
    rows[1].siblings = [rows[0].object_id, rows[2].object_id]
    (update,) = updates(root, rows[1:2])
    assert update["facts"].colours == whole[1]["facts"].colours
    assert [facts.object_id for facts in update["sibling_facts"]] == rows[1].siblings


def test_a_broken_video_fails_each_row_after_one_try(root: Path, tmp_path: Path) -> None:
    rows = pending(root)
    clip = (root / FILES.video_path).read_bytes()
    for masklet_type in ("manual", "auto"):
        write_json(tmp_path, masklet_type, (root / FILES.anno_path(masklet_type)).read_bytes())
    for broken in (b"no video", clip[: clip.index(b"mdat") + 300] + b"\xff" * 3000):
        (tmp_path / FILES.video_path).write_bytes(broken)
        results, opened = render(tmp_path, rows)
        assert opened == 1
        assert len(results) == len(rows)
        for result in results:
            assert isinstance(result, RowError)
            assert result.reason is Reason.DECODE_ERROR
            assert FILES.video_path in result.detail


@pytest.mark.parametrize("frames", [FRAMES - 1, FRAMES + 4])
def test_another_number_of_frames_than_stated_rejects_each_row(root: Path, tmp_path: Path, frames: int) -> None:
    rows = pending(root)
    for masklet_type in ("manual", "auto"):
        write_json(tmp_path, masklet_type, (root / FILES.anno_path(masklet_type)).read_bytes())
    write_coded_mp4(tmp_path, frames)
    results, opened = render(tmp_path, rows)
    assert opened == 1
    assert len(results) == len(rows)
    for result in results:
        assert isinstance(result, Reject)
        assert result.reason is Reason.FRAME_COUNT_MISMATCH
        assert f"{FILES.video_path}: {frames} frames decode, its index says {FRAMES}" in result.detail


@pytest.mark.parametrize("rotation_deg", [90, 180, 270])
def test_a_turned_video_gives_the_same_views(tmp_path: Path, whole: list[dict[str, Any]], rotation_deg: int) -> None:
    write_coded_mp4(tmp_path, rotation_deg=rotation_deg)
    write_json(tmp_path, "manual", annotation(OBJECTS[:2]))
    write_json(tmp_path, "auto", annotation(OBJECTS[2:]))
    for update, expected in zip(updates(tmp_path, pending(tmp_path)), whole, strict=True):
        for name in ("scene_jpeg", "masked_jpeg", "crop_jpeg"):
            turned_HW3, upright_HW3 = picture(update[name]), picture(expected[name])
            assert turned_HW3.shape == upright_HW3.shape
            assert np.abs(turned_HW3.astype(int) - upright_HW3).mean() < 4
        assert [shown_frame(picture(raw)) for raw in update["video_jpegs"]] == [4 * index for index in UNIFORM]


@pytest.mark.parametrize("frames", [1, 9, 12])
def test_a_short_video_shows_every_annotated_frame_once(tmp_path: Path, frames: int) -> None:
    write_coded_mp4(tmp_path, frames)
    entries = -(-frames // 4)
    for masklet_type, masklets in (("manual", OBJECTS[:2]), ("auto", OBJECTS[2:])):
        content = annotation(masklets, entries) | {"video_frame_count": float(frames), "video_duration": frames / 24}
        write_json(tmp_path, masklet_type, content)
    for update in updates(tmp_path, pending(tmp_path)):
        assert [shown_frame(picture(raw)) for raw in update["video_jpegs"]] == list(range(0, frames, 4))
        assert update["video_times_s"] == pytest.approx([4 * index / 24 for index in range(entries)], abs=0.001)


def test_times_are_the_videos_own(root: Path, tmp_path: Path) -> None:
    """On average it has 3 frames a second, but the first second has 24: the third object is hidden from 0.5 s on."""
    times_s = [*(index / 24 for index in range(24)), *(1.0 + index for index in range(FRAMES - 24))]
    for masklet_type, masklets in (("manual", OBJECTS[:2]), ("auto", OBJECTS[2:])):
        content = annotation(masklets) | {"video_duration": times_s[-1] + 1}
        write_json(tmp_path, masklet_type, content)
    write_mp4(tmp_path, times_s=times_s)
    rows = pending(tmp_path)
    assert rows[0].video_fps == pytest.approx(FRAMES / (times_s[-1] + 1), rel=0.1)
    for update in updates(tmp_path, rows):
        assert update["video_times_s"] == pytest.approx([times_s[4 * index] for index in UNIFORM], abs=0.001)
    hidden = updates(tmp_path, rows)[2]["facts"]
    assert [(span.start_s, span.end_s) for span in hidden.hidden_spans] == [
        (pytest.approx(0.5), pytest.approx(times_s[28]))
    ]
    assert hidden.duration_s == pytest.approx(times_s[-1] + 1, abs=1)


def test_speed_is_by_the_videos_own_times(tmp_path: Path) -> None:
    """The same pictures, played in a tenth of the time."""
    speeds = []
    for seconds_a_frame in (1 / 24, 1 / 240):
        times_s = [index * seconds_a_frame for index in range(FRAMES)]
        content = annotation([box(10, 60, 20, 20, speed=12)]) | {"video_duration": times_s[-1]}
        write_json(tmp_path, "manual", content)
        write_mp4(tmp_path, times_s=times_s)
        files = VideoFiles(FILES.video_id, FILES.shard)
        rows = [Row.model_validate(row.model_dump()) for row in select_objects(files, opener(tmp_path), SELECT)]
        (update,) = updates(tmp_path, rows)
        speeds.append(update["facts"].own_speed_px_s)
    assert speeds[1] == pytest.approx(10 * speeds[0], rel=0.01)


def test_uniform_indices_reach_from_the_first_to_the_last() -> None:
    assert uniform_indices(ENTRIES, 8) == UNIFORM
    assert uniform_indices(121, 8) == [0, 17, 34, 51, 69, 86, 103, 120]
    assert uniform_indices(3, 8) == [0, 1, 2]
    assert uniform_indices(1, 8) == [0]


@pytest.mark.parametrize(
    "wrong",
    [
        {"frames": 0},
        {"scene_long_px": 15},
        {"crop_min_px": 0},
        {"contour_frac": 0.0},
        {"crop_context_frac": -0.1},
        {"jpeg_quality": 101},
    ],
)
def test_settings_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        ViewConfig(**wrong)
