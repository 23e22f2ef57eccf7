"""Camera motion recovered from photographs moved by a known similarity."""

from functools import partial

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.demo.cutouts import photo
from stages.video.camera import CameraTracker
from stages.video.camera_path import camera_path

WIDTH_PX, HEIGHT_PX, SCALE = 1280, 720, 4.0


def similarity(pan_x: float, pan_y: float, zoom: float = 1.0, turn_deg: float = 0.0) -> NDArray[np.float64]:
    """Background motion on the full-resolution screen when the camera pans, zooms and rolls about mid-view."""
    motion = np.asarray(cv2.getRotationMatrix2D((WIDTH_PX / 2, HEIGHT_PX / 2), turn_deg, zoom), np.float64)
    motion[:, 2] -= pan_x, pan_y
    return motion


def views(name: str, motion: NDArray[np.float64], count: int) -> list[NDArray[np.uint8]]:
    """Small grey pictures of a photo that moves by `motion` from each to the next."""
    grey_HW = cv2.cvtColor(photo(name), cv2.COLOR_RGB2GRAY)
    big_HW = cv2.resize(grey_HW, (2000, 1500), interpolation=cv2.INTER_CUBIC)
    place = np.array([[1, 0, -360], [0, 1, -390], [0, 0, 1]], np.float64)
    pictures = []
    for _ in range(count):
        full_HW = cv2.warpAffine(big_HW, place[:2], (WIDTH_PX, HEIGHT_PX), borderMode=cv2.BORDER_REFLECT_101)
        small_HW = cv2.resize(full_HW, None, fx=1 / SCALE, fy=1 / SCALE, interpolation=cv2.INTER_AREA)
        pictures.append(np.asarray(small_HW, np.uint8))
        place = np.vstack([motion, [0, 0, 1]]) @ place
    return pictures


def tracked(pictures: list[NDArray[np.uint8]], foreground_HW: NDArray[np.bool_] | None = None) -> CameraTracker:
    tracker = CameraTracker(SCALE)
    for picture_HW in pictures:
        masked_HW = np.zeros(picture_HW.shape, bool) if foreground_HW is None else foreground_HW
        tracker.add(picture_HW, partial(masked_HW.astype, np.uint8))
    return tracker


@pytest.mark.parametrize("name", ["astronaut.png", "gravel.png", "chelsea.png"])
@pytest.mark.parametrize(
    "motion",
    [
        similarity(0, 0),
        similarity(37, -11),
        similarity(5, 3, zoom=1.04),
        similarity(0, 0, zoom=0.97, turn_deg=2),
    ],
    ids=["rest", "pan", "zoom in", "zoom out and roll"],
)
def test_known_motion_in_full_resolution_pixels(name: str, motion: NDArray[np.float64]) -> None:
    steps = tracked(views(name, motion, 3)).steps
    assert len(steps) == 2
    corners_34 = np.array([[0, WIDTH_PX, 0, WIDTH_PX], [0, 0, HEIGHT_PX, HEIGHT_PX], [1, 1, 1, 1]])
    for step in steps:
        assert step is not None
        assert step @ corners_34 == pytest.approx(motion @ corners_34, abs=1.5)


def test_a_whip_is_followed_or_unknown() -> None:
    whip = similarity(-150, 20)  # 900 px/s
    (step,) = tracked(views("astronaut.png", whip, 2)).steps
    assert step == pytest.approx(whip, abs=1.5)
    assert tracked(views("gravel.png", whip, 2)).steps == [None]  # all stones look alike from so far


def test_a_large_moving_object_does_not_count() -> None:
    pictures = views("astronaut.png", similarity(20, 0), 2)
    foreground_HW = np.zeros(pictures[0].shape, bool)
    foreground_HW[:, :200] = True  # most of the picture
    for moved_px, picture_HW in zip((0, 9), pictures, strict=True):
        thing_HW = cv2.resize(photo("brick.png")[..., 0], (200, 180))
        picture_HW[:, :200] = np.roll(thing_HW, moved_px, axis=0)
    (step,) = tracked(pictures, foreground_HW).steps
    assert step is not None
    assert step == pytest.approx(similarity(20, 0), abs=1.5)
    (misled,) = tracked(pictures).steps
    assert misled is None or misled[:, 2] != pytest.approx([-20, 0], abs=1.5)


def test_nothing_to_follow_is_unknown() -> None:
    blank_HW = np.full((180, 320), 90, np.uint8)
    assert tracked([blank_HW, blank_HW]).steps == [None]
    pictures = views("astronaut.png", similarity(0, 0), 2)
    assert tracked(pictures, np.ones((180, 320), bool)).steps == [None]


def test_a_cut_is_unknown() -> None:
    before, after = (views(name, similarity(0, 0), 1)[0] for name in ("astronaut.png", "gravel.png"))
    assert tracked([before, after]).steps == [None]


def test_foreground_of_another_size() -> None:
    with pytest.raises(ValueError, match=r"picture's size \(180, 320\), got \(90, 160\)"):
        CameraTracker(SCALE).add(np.zeros((180, 320), np.uint8), lambda: np.zeros((90, 160), np.uint8))


@pytest.mark.parametrize(
    ("motion", "label"),
    [
        (similarity(0, 0), "static"),
        (similarity(1, 1), "static"),  # 6 px/s: a hand that holds still
        (similarity(8, 1), "pans right"),
        (similarity(-8, 1), "pans left"),
        (similarity(1, 8), "tilts down"),
        (similarity(1, -8), "tilts up"),
        (similarity(8, 8), "moves"),
        (similarity(0, 0, zoom=1.01), "zooms in"),
        (similarity(0, 0, zoom=0.99), "zooms out"),
        (similarity(8, 0, zoom=1.01), "moves"),
    ],
)
def test_label(motion: NDArray[np.float64], label: str) -> None:
    path = camera_path([motion] * 60, height_px=HEIGHT_PX, width_px=WIDTH_PX, annotated_s=np.arange(61) / 6)
    assert path.label == label
    assert path.known


def test_a_shaking_camera_moves() -> None:
    path = camera_path(
        [similarity(15, 0), similarity(-15, 0)] * 30, height_px=720, width_px=1280, annotated_s=np.arange(61) / 6
    )
    assert path.label == "moves"
    assert path.shift_px == pytest.approx((0, 0))
    assert path.speed_px_s == pytest.approx(90)


def test_speed_is_that_of_the_steps_where_the_rate_varies() -> None:
    """Most steps are short and quick; two that bridge a long pause do not make the camera slow."""
    annotated_s = np.concatenate([np.arange(40) / 6, [20, 40]])
    path = camera_path([similarity(15, 0)] * 41, height_px=720, width_px=1280, annotated_s=annotated_s)
    assert path.speed_px_s == pytest.approx(90)


def test_path_adds_up() -> None:
    steps, annotated_s = [similarity(10, -2), similarity(0, 0, zoom=1.5)], np.arange(3) / 6
    path = camera_path(steps, height_px=720, width_px=1280, annotated_s=annotated_s)
    assert path.place_T33[2] @ (650, 358, 1) == pytest.approx((640, 360, 1))
    assert path.place_T33[2] @ (652, 358, 1) == pytest.approx((643, 360, 1))
    assert path.shift_px == pytest.approx((10, -2))
    assert path.zoom_ratio == pytest.approx(1.5)


def test_unknown_steps_take_the_nearest_motion() -> None:
    steps, annotated_s = [similarity(10, 0), None, None, similarity(4, 0)], np.arange(5) / 6
    path = camera_path(steps, height_px=720, width_px=1280, annotated_s=annotated_s)
    assert path.known
    assert path.shift_px == pytest.approx((28, 0))


@pytest.mark.parametrize("steps", [[], [None, None], [similarity(9, 0), None, None]])
def test_mostly_unknown_is_at_rest(steps: list[NDArray[np.float64] | None]) -> None:
    path = camera_path(steps, height_px=720, width_px=1280, annotated_s=np.arange(len(steps) + 1) / 6)
    assert (path.known, path.label, path.shift_px, path.zoom_ratio) == (False, "unknown", (0.0, 0.0), 1.0)
    assert np.array_equal(path.place_T33, np.tile(np.eye(3), (len(steps) + 1, 1, 1)))
