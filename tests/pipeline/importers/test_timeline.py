"""Which picture an image of 24 fps shows, and which masks are kept: from any rate."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.importers.source_protocol import ImportFailedError, ImportReason
from pipeline.importers.timeline import MAX_GAP_S, plan
from stages.video.times import FrameTimes

RATES = ("5", "6", "10", "12", "15", "23.976", "24", "25", "29.97", "30", "50", "60")


def names(count: int) -> list[str]:
    return [f"{n:05d}.jpg" for n in range(count)]


@pytest.mark.parametrize("fps", RATES)
@pytest.mark.parametrize("seconds", [1.0, 2.1, 13.7])
def test_a_kept_mask_belongs_to_the_picture_nearest_to_its_time(fps: str, seconds: float) -> None:
    rate = float(Fraction(fps))
    count = int(rate * seconds)
    timeline = plan(FrameTimes.steady(count, rate), range(count), names(count))
    assert timeline.masks_T == timeline.pictures_N[::4]
    for k, picture in enumerate(timeline.masks_T):
        assert abs(picture / rate - k / 6) <= 0.5 / rate + 1e-5, (k, picture)
    assert (np.diff(timeline.pictures_N) >= 0).all()
    assert 0 <= min(timeline.pictures_N) <= max(timeline.pictures_N) < count
    assert abs(len(timeline.pictures_N) / 24 - count / rate) <= 4 / 24 + 1e-6, "no more is cut than up to the next mask"


def test_a_set_of_24_fps_is_taken_as_it_is() -> None:
    for count in range(5, 60):
        assert plan(FrameTimes.steady(count, 24), range(count), names(count)).pictures_N == list(range(count))


def test_a_set_of_6_fps_shows_every_picture_four_times() -> None:
    timeline = plan(FrameTimes.steady(7, 6), range(7), names(7))
    assert timeline.pictures_N == [n for n in range(7) for _ in range(4)]


def test_30_fps_keeps_every_fifth_mask_and_60_fps_every_tenth() -> None:
    assert plan(FrameTimes.steady(61, 30), range(61), names(61)).masks_T == list(range(0, 61, 5))
    assert plan(FrameTimes.steady(121, 60), range(121), names(121)).masks_T == list(range(0, 121, 10))


def test_masks_of_some_pictures_only_are_shown_at_their_instants_and_the_rest_moves_on() -> None:
    """Every sixth of 30 fps has a mask, 5 a second: the image of a mask is moved to it, by a tenth of a second."""
    annotated = list(range(0, 61, 6))
    timeline = plan(FrameTimes.steady(61, 30), annotated, names(61))
    assert set(timeline.masks_T) <= set(annotated)
    assert all(abs(picture / 30 - k / 6) <= 0.1 + 1e-6 for k, picture in enumerate(timeline.masks_T))
    assert set(timeline.pictures_N) > set(annotated)


def test_only_the_stretch_with_masks_is_taken() -> None:
    timeline = plan(FrameTimes.steady(100, 24), range(20, 61), names(100))
    assert timeline.pictures_N[0] == 20
    assert timeline.masks_T[-1] == 60
    assert len(timeline.pictures_N) == 44, "up to the next instant after the last mask"


@pytest.mark.parametrize("annotated", [[], [3], [0, 40], [0, 4, 8, 30]])
def test_too_few_masks_are_told_with_the_pictures(annotated: list[int]) -> None:
    with pytest.raises(ImportFailedError) as caught:
        plan(FrameTimes.steady(50, 24), annotated, names(50))
    assert caught.value.reason is ImportReason.MASKS_SPARSE
    assert len(annotated) < 2 or f"at most {MAX_GAP_S} s apart" in caught.value.detail
    if annotated == [0, 4, 8, 30]:
        assert "00008.jpg to 00030.jpg" in caught.value.detail


@given(st.lists(st.floats(0.004, 0.3), min_size=2, max_size=120), st.data())
def test_any_variable_rate_keeps_order_and_pairs(steps_s: list[float], data: st.DataObject) -> None:
    start_s = np.concatenate([[0.0], np.cumsum(steps_s)])
    times = FrameTimes(start_s, float(start_s[-1]) + 0.04)
    count = len(start_s)
    annotated = sorted(data.draw(st.sets(st.integers(0, count - 1), min_size=1)))
    try:
        timeline = plan(times, annotated, names(count))
    except ImportFailedError:
        gaps_s = np.diff(start_s[annotated])
        assert len(annotated) < 2 or gaps_s.max() > MAX_GAP_S
        return
    assert set(timeline.masks_T) <= set(annotated)
    assert (np.diff(timeline.pictures_N) >= 0).all()
    assert len(timeline.masks_T) == -(-len(timeline.pictures_N) // 4)
    masked_s = start_s[annotated]
    for k, picture in enumerate(timeline.masks_T):
        nearest_s = np.abs(masked_s - masked_s[0] - k / 6).min()
        assert abs(start_s[picture] - masked_s[0] - k / 6) <= nearest_s + 1e-5
