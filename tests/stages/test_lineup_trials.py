"""How a line-up is decided: numbers change sides, enough is enough, and a tie is no pick."""

from itertools import pairwise

import pytest

from manifests.lineup import AMBIGUOUS, MAX_SHOWN, NOT_FOUND, SINGLED_OUT, LineupTrial
from stages.lineup_trials import LineupConfig, drawn, enough, numbering, tally

CONFIG = LineupConfig()


def trials(*picks: str) -> list[LineupTrial]:
    """Trials by what was picked: 'a' is right, '' is nobody, 'ab' are two."""
    return [LineupTrial(heats=[], picked=[*pick]) for pick in picks]


@pytest.mark.parametrize(
    ("picks", "decision", "pick_rate", "runner_up", "runner_up_rate"),
    [
        (("a", "a"), SINGLED_OUT, 1.0, None, 0.0),
        (("a", "b", "a", "a", "b"), SINGLED_OUT, 0.6, "b", 0.4),
        (("a", "b", "a", "b", ""), AMBIGUOUS, 0.4, "b", 0.4),
        (("b", "b"), AMBIGUOUS, 0.0, "b", 1.0),
        (("ab", "ab"), AMBIGUOUS, 0.0, "b", 1.0),
        (("a", "ab", "a", "ab", "a"), SINGLED_OUT, 0.6, "b", 0.4),
        (("abc", "bc"), AMBIGUOUS, 0.0, "b", 1.0),
        (("", ""), NOT_FOUND, 0.0, None, 0.0),
        (("a", "", "", "a", ""), NOT_FOUND, 0.4, None, 0.0),
        (("", "", "", "b", "b"), NOT_FOUND, 0.0, "b", 0.4),
        (("", "b"), AMBIGUOUS, 0.0, "b", 0.5),
    ],
)
def test_what_trials_amount_to(
    picks: tuple[str, ...], decision: str, pick_rate: float, runner_up: str | None, runner_up_rate: float
) -> None:
    found = tally("a", trials(*picks), CONFIG.min_pick_rate)
    assert (found.decision, found.runner_up) == (decision, runner_up)
    assert (found.pick_rate, found.runner_up_rate) == pytest.approx((pick_rate, runner_up_rate))


def test_an_equal_runner_up_is_no_pick_whatever_the_rate() -> None:
    assert tally("a", trials("a", "b"), 0.5).decision == AMBIGUOUS


@pytest.mark.parametrize(
    ("picks", "over"),
    [
        ((), False),
        (("a",), False),
        (("a", "a"), True),
        (("", ""), True),
        (("ab", "ba"), True),
        (("a", "b"), False),
        (("a", "b", "a"), False),
        (("a", "b", "a", "a"), True),
        (("a", "b", "c", "b", "c"), True),
        (("b", "", "b"), False),
    ],
)
def test_trials_go_on_while_they_disagree_and_it_matters(picks: tuple[str, ...], over: bool) -> None:
    assert enough("a", trials(*picks), CONFIG) == over


def test_stopping_early_never_changes_what_five_trials_would_decide_of_the_right_object() -> None:
    for number in range(4**5):
        picks = ["ab"[: 1 + number // 4**k % 2][-1] if number // 4**k % 4 < 3 else "" for k in range(5)]
        whole = trials(*picks)
        for held in range(2, 5):
            agree = len(set(picks[:held])) == 1
            if enough("a", whole[:held], CONFIG) and not agree:
                assert tally("a", whole[:held], 0.6).decision == tally("a", whole, 0.6).decision, picks


def test_every_trial_has_numbers_of_its_own_and_the_right_object_changes_place() -> None:
    candidates = [f"o{number}" for number in range(4)]
    orders = [numbering(candidates, trial, "seed")[0] for trial in range(5)]
    assert all(sorted(order) == candidates for order in orders)
    numbers = [order.index("o0") + 1 for order in orders]
    assert sorted(numbers[:4]) == [1, 2, 3, 4]
    assert orders == [numbering(candidates, trial, "seed")[0] for trial in range(5)], "a seed decides"
    assert len({tuple(order) for order in orders[:4]}) == 4
    assert [numbering(candidates, 0, f"{seed}")[0].index("o0") for seed in range(40)].count(0) in range(3, 20)


def test_two_objects_swap_numbers() -> None:
    first, second = (numbering(["a", "b"], trial, "any")[0] for trial in range(2))
    assert first == second[::-1]


@pytest.mark.parametrize(("count", "sizes"), [(9, [9]), (10, [5, 5]), (19, [7, 6, 6]), (81, [9] * 9)])
def test_more_than_nine_are_split_evenly_into_heats(count: int, sizes: list[int]) -> None:
    candidates = [f"o{number:02d}" for number in range(count)]
    heats = numbering(candidates, 0, "x")
    assert [len(heat) for heat in heats] == sizes
    assert sorted(name for heat in heats for name in heat) == candidates
    assert max(sizes) <= MAX_SHOWN
    again = numbering(candidates, 1, "x")
    assert heats != again
    assert [sorted(heat) for heat in heats] == [sorted(heat) for heat in again], "who meets whom stays"


def test_a_larger_share_holds_every_smaller_one() -> None:
    ids = [f"sav_{number:06d}/manual/0" for number in range(4000)]
    shares = [{name for name in ids if drawn(name, share, 0)} for share in (0.0, 0.1, 0.3, 1.0)]
    assert [len(each) for each in shares] == pytest.approx([0, 400, 1200, 4000], rel=0.12)
    assert all(small <= large for small, large in pairwise(shares))
    assert shares[1] != {name for name in ids if drawn(name, 0.1, 1)}


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"frames": 0}, "frames of a line-up must be at least 1"),
        ({"trials": 3, "max_trials": 2}, "max_trials of a line-up must be at least trials 3, got 2"),
        ({"min_pick_rate": 0.0}, "min_pick_rate must be in"),
        ({"catch_frac": 1.5}, "catch_frac in"),
    ],
)
def test_settings_that_make_no_sense_are_told(setting: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LineupConfig(**setting)  # type: ignore[arg-type]
