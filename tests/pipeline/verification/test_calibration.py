"""Gates against people's verdicts: by hand, reweighted, with intervals that hold; thresholds that keep their word."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pipeline.verification.calibration import Judged, gate_qualities, lineup_threshold
from pipeline.verification.run_texts import COMPOSER, CONSISTENCY, FACTS, KEPT, LINEUP, RunText

DRAWS = 800
_ORDER = (CONSISTENCY, COMPOSER, FACTS, LINEUP)


def text(number: int, end: str = KEPT, video: int | None = None, **columns: Any) -> RunText:
    """A long text that came as far as `end`."""
    reached = _ORDER[: _ORDER.index(end) + 1] if end != KEPT else _ORDER
    video_id = f"v{number % 50 if video is None else video}"
    passed = {gate: gate != end for gate in reached}
    rate = {KEPT: 1.0, LINEUP: 0.4}.get(end)
    made = RunText(f"{video_id}/manual/{number}", video_id, "long", f"text {number}", end, passed, pick_rate=rate)
    return replace(made, **columns)


def many(end: str, texts: int, right: int, wrong: int, **columns: Any) -> Judged:
    """So many texts of a run, of which people found some right and some wrong."""
    verdicts = [True] * right + [False] * wrong + [None] * (texts - right - wrong)
    return [(text(number, end, **columns), verdict) for number, verdict in enumerate(verdicts)]


def test_precision_and_recall_by_hand_with_the_numbers_of_the_run() -> None:
    judged = [
        *many(KEPT, 1000, 90, 10),  # 900 right
        *many(LINEUP, 200, 30, 70),  # 60 right
        *many(FACTS, 100, 40, 60),  # 40 right
    ]
    found = {quality.gate: quality for quality in gate_qualities(judged, draws=DRAWS)}
    assert (found[LINEUP].passed, found[LINEUP].rejected, found[LINEUP].judged_rejected) == (1000, 200, 100)
    assert found[LINEUP].precision.rate.value == pytest.approx(0.9)
    assert found[LINEUP].recall.rate.value == pytest.approx(900 / 960)
    assert found[FACTS].precision.rate.value == pytest.approx(960 / 1200)  # what the line-up rejected later passed it
    assert found[FACTS].recall.rate.value == pytest.approx(960 / 1000)
    assert found[CONSISTENCY].precision.rate.value == pytest.approx(1000 / 1300)
    assert found[CONSISTENCY].recall.rate.value == 1.0  # it rejected nothing
    for quality in found.values():
        rate = quality.precision.rate
        assert rate.low is not None
        assert rate.high is not None
        assert rate.value is not None
        assert rate.low < rate.value < rate.high


def test_unweighted_figures_would_be_others() -> None:
    """Of rejected texts a tenth was judged, of kept ones half: the plain share of the sample is no estimate."""
    judged = [*many(KEPT, 200, 80, 20), *many(FACTS, 1000, 60, 40)]
    [facts] = [quality for quality in gate_qualities(judged, draws=DRAWS) if quality.gate == FACTS]
    assert facts.recall.rate.value == pytest.approx(160 / 760)
    assert abs(80 / 140 - 160 / 760) > 0.3


@pytest.mark.parametrize(
    ("judged", "gate", "why"),
    [
        (many(KEPT, 100, 12, 3), LINEUP, "too few: 15 judged that passed"),
        (many(KEPT, 100, 40, 0, video=1), LINEUP, "too few: 1 video with a judged text that passed"),
        (many(FACTS, 100, 40, 0), FACTS, "nothing passed"),
        (many(FACTS, 100, 0, 0), FACTS, "nothing passed"),
    ],
)
def test_too_few_is_said_in_place_of_a_number(judged: Judged, gate: str, why: str) -> None:
    [found] = [quality for quality in gate_qualities(judged, draws=DRAWS) if quality.gate == gate]
    assert found.precision.rate.value is None
    assert found.precision.why_not == why


def test_what_nobody_judged_of_the_rejected_leaves_a_bound() -> None:
    """Rows without a text, as those whose two captions disagree, can never be judged."""
    judged = [*many(KEPT, 900, 90, 10), *many(CONSISTENCY, 90, 0, 0)]
    found = gate_qualities(judged, draws=DRAWS)[0]
    assert found.gate == CONSISTENCY
    assert found.recall.rate.value is None
    assert found.recall.why_not == "too few: 0 judged that it rejected"
    assert found.recall.at_least == pytest.approx(810 / 900, abs=0.02)  # if all 90 were right
    assert found.recall.at_least is not None
    assert found.recall.at_least < 810 / 900


def test_rejected_texts_of_one_video_carry_no_recall() -> None:
    judged = [*many(KEPT, 900, 90, 10), *many(LINEUP, 90, 40, 40, video=1)]
    lineup = gate_qualities(judged, draws=DRAWS)[-1]
    assert lineup.precision.rate.value == pytest.approx(0.9)
    assert lineup.recall.why_not == "too few: 1 video with a judged text that it rejected"


def test_a_group_that_nobody_judged_widens_the_interval_by_its_share() -> None:
    few, many_more = ([*many(KEPT, 1000, 95, 5), *many(LINEUP, unjudged, 0, 0)] for unjudged in (10, 1000))
    widths = []
    for judged in (few, many_more):
        rate = gate_qualities(judged, draws=DRAWS)[2].precision.rate  # the facts gate
        assert rate.low is not None
        assert rate.high is not None
        widths.append(rate.high - rate.low)
    assert widths[0] < 0.12
    assert widths[1] > 0.4


def test_of_what_nobody_judged_nothing_is_estimated_and_the_bounds_hold_both_ends() -> None:
    judged = [*many(KEPT, 100, 100, 0), *many(LINEUP, 100, 0, 0)]
    facts = gate_qualities(judged, draws=DRAWS)[2].precision
    assert facts.rate.value is None
    assert facts.why_not == "0 judged of what ended as lineup"
    assert facts.rate.low is not None
    assert facts.rate.high is not None
    assert facts.rate.low < 0.5
    assert facts.rate.high > 0.999, "all may be right"


@pytest.mark.parametrize("right", [0, 40])
def test_an_interval_holds_its_own_figure_where_all_or_none_are_right(right: int) -> None:
    judged = [*many(KEPT, 40, right, 40 - right), *many(LINEUP, 40, right, 40 - right)]
    lineup = gate_qualities(judged, draws=DRAWS)[-1]
    rate = lineup.precision.rate
    assert rate.low is not None
    assert rate.high is not None
    assert rate.value == right / 40
    assert rate.low <= rate.value <= rate.high
    if right:
        assert lineup.recall.rate.value == 0.5
    else:
        assert lineup.recall.why_not == "no judged text is right", "nothing could pass"


def picks(rates: Sequence[tuple[float, int, int]]) -> Judged:
    """Texts by pick rate, right and wrong ones, ten times as many in the run."""
    judged: list[tuple[RunText, bool | None]] = []
    for rate, right, wrong in rates:
        end = KEPT if rate >= 0.6 else LINEUP
        judged += [
            (replace(one, pick_rate=rate, runner_up_rate=min(1 - rate, 0.4)), verdict)
            for one, verdict in many(end, 10 * (right + wrong), right, wrong)
        ]
    return judged


def test_the_lowest_threshold_that_surely_reaches_the_precision() -> None:
    judged = picks([(0.4, 10, 30), (0.6, 30, 20), (0.8, 95, 5), (1.0, 400, 4)])
    found = lineup_threshold(judged, 0.95, draws=DRAWS)
    assert found.value == 0.8
    assert found.quality is not None
    assert found.quality.precision.rate.value == pytest.approx(495 / 504)
    assert [rate for rate, _ in found.tried] == [0.6, 0.8, 1.0], "at 0.4 the other object was picked as often"
    passed = [quality.passed for _, quality in found.tried]
    assert passed == sorted(passed, reverse=True)
    assert lineup_threshold(judged, 0.8, draws=DRAWS).value == 0.6


@pytest.mark.parametrize(
    ("rates", "wanted", "why"),
    [
        ([(0.6, 30, 20), (1.0, 60, 20)], 0.95, "it cannot be reached: the best is 75.0%, at a pick rate of 1"),
        ([(1.0, 39, 1)], 0.95, "too few: at a pick rate of 1 it is 97.5%, but it may be as low as"),
        ([(1.0, 9, 1)], 0.5, "too few: 10 judged that passed"),
    ],
)
def test_a_threshold_that_is_not_reached_or_not_carried_is_no_number(
    rates: list[tuple[float, int, int]], wanted: float, why: str
) -> None:
    found = lineup_threshold(picks(rates), wanted, draws=DRAWS)
    assert found.value is None
    assert found.quality is None
    assert found.why_not is not None
    assert found.why_not.startswith(why)


def test_without_a_lineup_there_is_no_threshold() -> None:
    judged = [(replace(one, passed={FACTS: True}, pick_rate=None), verdict) for one, verdict in many(KEPT, 50, 40, 0)]
    assert lineup_threshold(judged, 0.9, draws=DRAWS).why_not == (
        "no text of this run was put to a judge that picked its object"
    )
    assert [quality.gate for quality in gate_qualities(judged, draws=DRAWS)] == [FACTS]


def simulated(seed: int, videos: int = 120) -> tuple[Judged, float, float]:
    """A run whose videos differ in how good its texts are, a sample of verdicts, and the true figures of the line-up.

    Right texts are picked more often than wrong ones; the truth is that of all texts of this run.
    """
    rng = np.random.default_rng(seed)
    judged: list[tuple[RunText, bool | None]] = []
    right_passed = passed = right = 0
    for video in range(videos):
        ease = rng.beta(16, 4)
        for _ in range(8):
            is_right = bool(rng.random() < ease)
            keeps = bool(rng.random() < (0.9 if is_right else 0.35))
            seen = rng.random() < (0.35 if keeps else 0.6)
            made = text(len(judged), KEPT if keeps else LINEUP, video)
            judged.append((made, is_right if seen else None))
            right_passed, passed, right = right_passed + (is_right and keeps), passed + keeps, right + is_right
    return judged, right_passed / passed, right_passed / right


def test_the_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    covered, runs = np.zeros(2), 60
    for seed in range(runs):
        judged, precision, recall = simulated(seed)
        [found] = [quality for quality in gate_qualities(judged, seed, 300) if quality.gate == LINEUP]
        for at, (figure, truth) in enumerate(((found.precision, precision), (found.recall, recall))):
            assert figure.rate.low is not None
            assert figure.rate.high is not None
            covered[at] += figure.rate.low <= truth <= figure.rate.high
    assert (covered >= 0.9 * runs).all(), covered


def test_a_threshold_is_hardly_ever_given_that_does_not_hold() -> None:
    """Texts of a true precision just below the wanted one, at every threshold: by chance some seem to reach it."""
    given, seeming = 0, 0
    for seed in range(80):
        rng = np.random.default_rng(seed)
        right = [int(rng.binomial(50, 0.93)) for _ in range(3)]
        judged = picks([(rate, n, 50 - n) for rate, n in zip((0.6, 0.8, 1.0), right, strict=True)])
        found = lineup_threshold(judged, 0.94, seed, 300)
        given += found.value is not None
        seeming += any((quality.precision.rate.value or 0) >= 0.94 for _, quality in found.tried)
    assert seeming > 25, "by the estimate alone it would be given often"
    assert given <= 6
