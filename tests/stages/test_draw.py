import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from stages.video import views
from stages.video.images import bounded, encode_jpeg

YELLOW = (0, 255, 255)


def noise(width_px: int, height_px: int) -> NDArray[np.uint8]:
    return np.random.default_rng(7).integers(0, 200, (height_px, width_px, 3), np.uint8)


def blob(width_px: int = 120, height_px: int = 80) -> NDArray[np.uint8]:
    """A disc with a hole, column-major as pycocotools gives it."""
    y, x = np.ogrid[:height_px, :width_px]
    radius = np.hypot(x - 60, y - 40)
    return np.asfortranarray(((radius < 25) & (radius > 8)).astype(np.uint8))


def unpacked(raw: bytes) -> NDArray[np.uint8]:
    return np.asarray(cv2.imdecode(np.frombuffer(raw, np.uint8), cv2.IMREAD_COLOR), np.uint8)


@pytest.mark.parametrize("thickness_px", [1, 2, 3, 5])
def test_the_contour_is_a_yellow_line_just_outside_the_mask(thickness_px: int) -> None:
    picture_HW3, mask_HW = noise(120, 80), blob()
    before_HW3 = picture_HW3.copy()
    drawn_HW3 = views.contour(picture_HW3, mask_HW, thickness_px)
    assert np.array_equal(picture_HW3, before_HW3), "the picture itself is left alone"
    changed_HW = (drawn_HW3 != picture_HW3).any(axis=2)
    assert not (changed_HW & (mask_HW > 0)).any(), "the object is covered"
    assert (drawn_HW3[changed_HW] == YELLOW).all()
    distance_HW = cv2.distanceTransform(1 - mask_HW, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    assert changed_HW[distance_HW == 1].all(), "the line has gaps"
    assert distance_HW[changed_HW].max() <= thickness_px + 0.5


@pytest.mark.parametrize("corner", [(0, 0), (0, 70), (110, 0), (110, 70)])
def test_a_contour_at_the_border_stays_in_the_picture(corner: tuple[int, int]) -> None:
    x, y = corner
    mask_HW = np.zeros((80, 120), np.uint8)
    mask_HW[y : y + 10, x : x + 10] = 1
    drawn_HW3 = views.contour(noise(120, 80), mask_HW, 2)
    yellow = (drawn_HW3 == YELLOW).all(axis=2)
    assert yellow.sum() == pytest.approx(2 * 2 * 10 + 4, abs=4)  # two sides of 10 x 2, and the corner between them


def test_a_single_pixel_has_a_contour() -> None:
    mask_HW = np.zeros((80, 120), np.uint8)
    mask_HW[40, 60] = 1
    assert (views.contour(noise(120, 80), mask_HW, 1) == YELLOW).all(axis=2).sum() == 4


def test_without_a_mask_there_is_no_contour_but_still_a_copy() -> None:
    picture_HW3 = noise(120, 80)
    drawn_HW3 = views.contour(picture_HW3, np.zeros((80, 120), np.uint8), 3)
    assert np.array_equal(drawn_HW3, picture_HW3)
    assert not np.shares_memory(drawn_HW3, picture_HW3)


@pytest.mark.parametrize(
    ("box", "context_frac", "min_side_px", "expected"),  # expected: left, top, right, bottom
    [
        ((40, 30, 20, 10), 0.0, 1, (40, 30, 60, 40)),
        ((40, 30, 20, 10), 0.5, 1, (30, 25, 70, 45)),
        ((40, 30, 20, 10), 0.5, 30, (30, 20, 70, 50)),
        ((40, 30, 2, 2), 0.0, 40, (21, 11, 61, 51)),
        ((0, 0, 20, 10), 0.5, 1, (0, 0, 30, 15)),
        ((100, 70, 20, 10), 1.0, 1, (80, 60, 120, 80)),
        ((0, 0, 120, 80), 0.5, 96, (0, 0, 120, 80)),
    ],
)
def test_a_crop_has_context_and_ends_at_the_border(
    box: tuple[int, int, int, int], context_frac: float, min_side_px: int, expected: tuple[int, int, int, int]
) -> None:
    picture_HW3 = noise(120, 80)
    left, top, right, bottom = expected
    assert np.array_equal(views.crop(picture_HW3, box, context_frac, min_side_px), picture_HW3[top:bottom, left:right])


def test_all_outside_the_mask_is_black_and_all_inside_as_it_was() -> None:
    picture_HW3, mask_HW = noise(120, 80) + 1, np.ascontiguousarray(blob())
    masked_HW3 = views.black_outside(picture_HW3, mask_HW)
    assert np.array_equal(masked_HW3[mask_HW > 0], picture_HW3[mask_HW > 0])
    assert not masked_HW3[mask_HW == 0].any()


@pytest.mark.parametrize(
    ("size", "expected"),
    [((1280, 720), (640, 360)), ((300, 900), (213, 640)), ((640, 2), (640, 2)), ((64, 36), (64, 36))],
)
def test_bounded_is_never_larger(size: tuple[int, int], expected: tuple[int, int]) -> None:
    assert bounded(noise(*size), 640).shape == (*expected[::-1], 3)


def test_jpeg_is_a_picture_again() -> None:
    picture_HW3 = np.full((40, 60, 3), (30, 120, 220), np.uint8)
    assert np.abs(unpacked(encode_jpeg(picture_HW3, 90)).astype(int) - picture_HW3).max() < 6
    assert len(encode_jpeg(noise(200, 200), 95)) > 1.5 * len(encode_jpeg(noise(200, 200), 50))


@pytest.mark.parametrize("size", [(160, 90), (90, 160), (800, 80), (3, 3)])
def test_a_sheet_shows_eleven_views_side_by_side(size: tuple[int, int]) -> None:
    """Each in its own cell: three above, two rows of four below; wide, high and tiny ones too."""
    sheet = views.Sheet()
    cells = [(0, column) for column in range(3)] + [(row, column) for row in (1, 2) for column in range(4)]
    colours = [(10 + 22 * n, 250 - 22 * n, 128) for n in range(len(cells))]
    for (row, column), colour in zip(cells, colours, strict=True):
        sheet.put(np.full((*size[::-1], 3), colour, np.uint8), row, column)
    sheet_HW3 = unpacked(sheet.jpeg())
    height_px, width_px = sheet_HW3.shape[:2]
    for (row, column), colour in zip(cells, colours, strict=True):
        top_px, bottom_px = ((0, 168), (168, 280), (280, 392))[row]
        columns = 3 if row == 0 else 4
        middle = (top_px + bottom_px) // 2, round((column + 0.5) * width_px / columns)
        assert np.abs(sheet_HW3[middle].astype(int) - colour).max() < 18, (row, column)
    assert (height_px, width_px) == (392, 800)
    filled_HW = np.abs(sheet_HW3.astype(int) - 24).max(axis=2) > 40
    scales = [min(800 / columns / size[0], high_px / size[1]) for columns, high_px in ((3, 168), (4, 112))]
    expected_px = sum(n * size[0] * size[1] * scale**2 for n, scale in zip((3, 8), scales, strict=True))
    assert filled_HW.sum() == pytest.approx(expected_px, rel=0.12), "views are as large as fits and keep their shape"


def test_a_sheet_with_few_views_leaves_the_rest_empty() -> None:
    sheet = views.Sheet()
    sheet.put(np.full((90, 160, 3), 255, np.uint8), 1, 0)
    sheet_HW3 = unpacked(sheet.jpeg())
    assert (sheet_HW3[168:280, :200] > 200).any()
    assert not (sheet_HW3[:160] > 60).any()
    assert not (sheet_HW3[:, 210:] > 60).any()
