"""Intervals: they cover what they should, whole videos are drawn, and 2,000 draws are quick."""

import math
import time

import numpy as np
import pytest

from validation_ui.statistics.coefficients import FIGURES, Sums, bootstrap, raw_of, wilson


def items(videos: int, each: int, *, alike: bool, seed: int = 1) -> tuple[Sums, np.ndarray]:
    """Two judgements of `each` items of a video that agree in 80%; alike: all items of a video do, or none does."""
    rng = np.random.default_rng(seed)
    agree = np.repeat(rng.random(videos) < 0.8, each) if alike else rng.random(videos * each) < 0.8
    first = rng.integers(2, size=videos * each)
    return Sums.of(np.stack([first, np.where(agree, first, 1 - first)], axis=1), 2), np.repeat(np.arange(videos), each)


def test_two_thousand_draws_of_two_thousand_items_take_less_than_a_second_of_a_core() -> None:
    sums, videos = items(1000, 2, alike=False)
    began_s = time.process_time()
    found = bootstrap(sums, videos, FIGURES)
    assert time.process_time() - began_s < 1
    assert set(found) == set(FIGURES)


def test_same_seed_same_interval() -> None:
    sums, videos = items(50, 2, alike=False)
    assert bootstrap(sums, videos, FIGURES, seed=3) == bootstrap(sums, videos, FIGURES, seed=3)
    assert bootstrap(sums, videos, FIGURES, seed=3) != bootstrap(sums, videos, FIGURES, seed=4)


def test_is_the_plain_bootstrap() -> None:
    """The same resamples, item by item, without any matrix."""
    sums, videos = items(20, 3, alike=False)
    agree = sums.agreeing.reshape(20, 3)
    picks = np.random.default_rng(0).integers(20, size=(2000, 20))
    low, high = np.quantile([agree[pick].mean() for pick in picks], [0.025, 0.975])
    assert bootstrap(sums, videos, {"raw": raw_of})["raw"] == pytest.approx((low, high))


def test_items_of_one_video_that_go_together_make_it_wider() -> None:
    """Five items that always agree with one another say no more than one does: sqrt(5) times as wide."""
    widths = []
    for alike in (True, False):
        low, high = bootstrap(*items(200, 5, alike=alike), {"raw": raw_of})["raw"]
        widths.append(high - low)
    assert widths[0] / widths[1] == pytest.approx(math.sqrt(5), rel=0.2)


def test_covers_the_truth_in_about_95_of_100() -> None:
    covered = 0
    for seed in range(200):
        low, high = bootstrap(*items(80, 2, alike=True, seed=seed), {"raw": raw_of}, draws=400)["raw"]
        covered += low <= 0.8 <= high
    assert 178 <= covered <= 200


@pytest.mark.parametrize("videos", [0, 1])
def test_one_video_has_no_interval(videos: int) -> None:
    low, high = bootstrap(*items(videos, 4, alike=False), {"raw": raw_of})["raw"]
    assert math.isnan(low)
    assert math.isnan(high)


def test_wilson_as_published() -> None:
    # 95% at n = 300 is 91.9 to 96.9
    assert wilson(285, 300) == pytest.approx((0.919, 0.969), abs=5e-4)
    # Newcombe 1998, table I: 81/263 and 0/20
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(0, 20)[0] == 0
    assert wilson(0, 20)[1] == pytest.approx(0.1611, abs=5e-5)
    assert all(math.isnan(end) for end in wilson(0, 0))
