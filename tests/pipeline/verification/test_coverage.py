"""Simulated judges at the real line-up, and whole simulated runs: only corrected intervals hold the truth."""

import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from benchmarks.coverage import SETTINGS, Coverage, cover, smallest
from benchmarks.drawn_truth import draw
from benchmarks.judged_gates import BY_FACTS, CONFUSED, KEPT, gate, judge_rows, row_of
from benchmarks.simulated_judge import CONFUSION, NOBODY, ONE, OTHER, RIGHT, Manner
from benchmarks.simulated_writer import TWO, cases

SHOWN = [f"object {number}" for number in range(4)]
COLUMNS = {name: 2 - number // 2 for number, name in enumerate(SHOWN)}


def test_only_the_corrected_interval_holds_the_truth() -> None:
    """The judge likes number 1 and what is on the left."""
    with ThreadPoolExecutor(1) as pool:
        found = cover(SETTINGS[1], 40, 30, pool)
    assert found.given == 1.0
    assert found.good[0] >= 0.85
    assert found.raw < 0.3


def test_a_judge_without_errors_keeps_just_what_is_good_by_the_drawing() -> None:
    """Look-alikes, through the check of facts and the line-up with its pictures; facts alone may err."""
    video = draw(5, alike=True)
    written = [case for case in cases(video, random.Random(5)) if not case.error.startswith("invented")]
    rows = [row_of(case, video) for case in written]
    judge_rows(rows, written, Manner("right", {kind: {RIGHT: 1.0} for kind in CONFUSION}), catch_frac=0.5)
    ended = [(case, gate(row)) for case, row in zip(written, rows, strict=True)]
    overlooked = [case for case, end in ended if end != BY_FACTS and (end == KEPT) != case.good]
    assert {case.error for case in overlooked} <= {"colour", "side", "direction", "size", "visibility"}
    assert len(overlooked) <= 2, "claims that the judge is told to overlook now and then"
    assert {end for case, end in ended if case.error == TWO} == {CONFUSED}
    assert [end for case, end in ended if case.good].count(KEPT) >= 2
    assert all(catch.right for row in rows for catch in row.catch_trials if catch.kind != "no_target")


def test_the_smallest_run_is_the_first_from_which_on_all_cover() -> None:
    def of(videos: int, covers: float) -> Coverage:
        return Coverage(videos, 1, 1, (0.8, 0.9), 0.0, (covers, 0.1), (0.95, 0.1), 1.0)

    assert smallest([of(25, 0.95), of(50, 0.92), of(100, 0.93), of(200, 0.96)]) == 100
    assert smallest([of(25, 0.95), of(50, 0.98)]) is None


@pytest.mark.parametrize(
    ("fits", "kind", "told"),
    [
        ([], "none", {(): RIGHT}),
        (SHOWN[:1], "one", {tuple(SHOWN[:1]): RIGHT, (): NOBODY}),
        (SHOWN[:2], "several", {tuple(sorted(SHOWN[:2])): RIGHT, (): NOBODY}),
    ],
)
def test_the_simulated_judge_errs_as_often_as_it_is_told(
    fits: list[str], kind: str, told: dict[tuple[str, ...], str]
) -> None:
    manner, answers = Manner(stubborn_frac=0.0), Counter[str]()
    for trial in range(4000):
        picked = tuple(sorted(manner.answer(SHOWN, fits, manner.mind("x", trial), 1.0, COLUMNS)))
        ruled = ONE if len(picked) == 1 < len(fits) and picked[0] in fits else OTHER
        answers[told.get(picked, ruled if len(picked) == 1 else "more")] += 1
    for answer, rate in CONFUSION[kind].items():
        if answer in answers:
            assert answers[answer] / 4000 == pytest.approx(rate, abs=0.025), answer
    assert answers[RIGHT] > 0


def test_likings_and_stubbornness_are_as_told() -> None:
    def said(manner: Manner, shown: list[str], fits: list[str], trial: int) -> list[str]:
        return manner.answer(shown, fits, manner.mind("x", trial), 1.0, COLUMNS)

    one, left, stubborn = Manner(number_frac=1.0), Manner(place_frac=1.0), Manner(stubborn_frac=1.0)
    assert all(said(one, SHOWN, SHOWN[1:2], trial) == SHOWN[:1] for trial in range(50))
    alone = [picked for trial in range(400) if len(picked := said(left, SHOWN, SHOWN, trial)) == 1]
    assert len(alone) > 50
    assert {COLUMNS[picked[0]] for picked in alone} == {1}, "of those that fit, the one furthest to the left"
    orders = (SHOWN, SHOWN[::-1], SHOWN[2:] + SHOWN[:2])
    assert len({tuple(said(stubborn, order, SHOWN[:2], trial)) for trial, order in enumerate(orders)}) == 1
