"""Shares that an imperfect judge counted are corrected, and their intervals hold."""

import numpy as np
import pytest

from pipeline.verification.corrected import corrected, quality
from pipeline.verification.counts import JudgedCounts


def simulated(seed: int, videos: int, good: float, sensitivity: float, specificity: float) -> JudgedCounts:
    """One to five texts and three catch texts a video."""
    rng = np.random.default_rng(seed)
    texts_V = rng.integers(1, 6, videos)
    good_V = rng.binomial(texts_V, good)
    unique_V, other_V = np.ones(videos, np.int64), np.full(videos, 2)
    return JudgedCounts(
        texts=texts_V,
        passed=rng.binomial(good_V, sensitivity) + rng.binomial(texts_V - good_V, 1 - specificity),
        unique=unique_V,
        unique_passed=rng.binomial(unique_V, sensitivity),
        other=other_V,
        other_passed=rng.binomial(other_V, 1 - specificity),
    )


def constant(videos: int, passed: int, unique_passed: int, other_passed: int) -> JudgedCounts:
    """Of ten texts, ten unique and ten other catch texts in every video, as many passed."""
    ten_V = np.full(videos, 10)
    return JudgedCounts(ten_V, 0 * ten_V + passed, ten_V, 0 * ten_V + unique_passed, ten_V, 0 * ten_V + other_passed)


def test_rogan_and_gladen_by_hand() -> None:
    good, of_passed = corrected(np.array([0.7]), np.array([0.9]), np.array([0.2]))
    assert good[0] == pytest.approx((0.7 - 0.2) / (0.9 - 0.2))
    assert of_passed[0] == pytest.approx(0.9 * good[0] / 0.7)


def test_a_perfect_judge_corrects_nothing_but_may_err() -> None:
    found = quality(constant(20, 8, 10, 0))
    assert found.good.value == pytest.approx(0.8)
    assert found.good_of_passed.value == 1.0
    assert found.sensitivity.low is not None
    assert 0.95 < found.sensitivity.low < 1.0, "200 catch texts without an error do not prove that there is none"
    assert found.good_of_passed.low is not None
    assert found.good_of_passed.low < 1.0


@pytest.mark.parametrize("passed", [0, 10])
def test_an_interval_holds_its_own_share_where_all_or_none_passed(passed: int) -> None:
    found = quality(constant(20, passed, 10, 0))
    for rate in (found.sensitivity, found.specificity, found.passed, found.good):
        assert rate.value is not None
        assert rate.low is not None
        assert rate.high is not None
        assert rate.low <= rate.value <= rate.high


@pytest.mark.parametrize(("unique_passed", "other_passed"), [(5, 5), (0, 0), (10, 10), (2, 6)])
def test_a_judge_that_tells_nothing_corrects_nothing(unique_passed: int, other_passed: int) -> None:
    found = quality(constant(20, 5, unique_passed, other_passed))
    assert found.good.value is None
    assert found.why_not is not None
    assert "tells nothing" in found.why_not


def test_too_few_are_named_and_carry_no_interval() -> None:
    found = quality(constant(2, 8, 9, 1))
    assert found.why_not == (
        "too few: 20 texts, 20 catch texts that single out their object, 20 catch texts that do not, 2 videos"
    )
    assert (found.sensitivity.value, found.sensitivity.low) == (0.9, None)
    assert found.passed.value == 0.8


def test_nothing_judged_is_nothing_known() -> None:
    nothing = np.zeros(1, np.int64)
    found = quality(JudgedCounts(*[nothing] * 6))
    assert (found.sensitivity.value, found.passed.value, found.good.value) == (None, None, None)


def test_shares_stay_within_bounds() -> None:
    good, of_passed = corrected(np.array([0.05, 0.99]), np.array([0.9, 0.9]), np.array([0.2, 0.2]))
    assert good.tolist() == [0.0, 1.0]
    assert 0 <= of_passed[0] <= of_passed[1] <= 1


@pytest.mark.parametrize(("good", "sensitivity", "specificity"), [(0.8, 0.9, 0.9), (0.95, 0.95, 0.85)])
def test_the_interval_covers_the_truth_about_as_often_as_it_says(
    good: float, sensitivity: float, specificity: float
) -> None:
    truth = good * sensitivity / (good * sensitivity + (1 - good) * (1 - specificity))
    runs, covered = 120, [0, 0]
    for seed in range(runs):
        found = quality(simulated(seed, 100, good, sensitivity, specificity), seed=seed, draws=400)
        for at, (rate, true) in enumerate(((found.good, good), (found.good_of_passed, truth))):
            assert rate.low is not None
            assert rate.high is not None
            covered[at] += rate.low <= true <= rate.high
    assert all(0.88 <= times / runs <= 0.995 for times in covered), covered


def test_texts_of_one_video_share_its_difficulty() -> None:
    """The same counts in few videos say less."""
    rng = np.random.default_rng(0)
    passed_V = rng.choice([0, 10], 40, p=[0.2, 0.8])
    ten_V = np.full(40, 10)
    alike = JudgedCounts(ten_V, passed_V, ten_V, ten_V - 1, ten_V, 0 * ten_V + 1)
    spread = constant(40, round(passed_V.mean()), 9, 1)
    widths = [found.passed.high - found.passed.low for found in map(quality, (alike, spread)) if found.passed.high]  # type: ignore[operator]
    assert widths[0] > 2 * widths[1]
