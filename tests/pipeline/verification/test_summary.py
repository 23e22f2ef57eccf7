"""What a run's line-ups came to, counted from its rows and put into words."""

from collections.abc import Sequence

from manifests.arrow import to_table
from manifests.lineup import (
    ALONE,
    AMBIGUOUS,
    DROPPED,
    NO_TARGET,
    SINGLED_OUT,
    UNIQUE,
    CatchTrial,
    Lineup,
    LineupHeat,
    LineupTrial,
)
from manifests.schema import AnnotationRow
from pipeline.verification.counts import Picks, count_lineups
from pipeline.verification.summary import EASIER, _biased, verify
from stages.lineup_trials import numbering, tally
from tests.pipeline import rows
from tests.pipeline.rows import row

IDS = ("a", "b", "c")
PLACES = {"a": "middle left", "b": "top centre", "c": "bottom right"}


def held(picks: Sequence[str], number: bool = False, seed: str = "x", judge: str = "gemma") -> Lineup:
    """Three objects; `picks` are those of each trial, by letter, or with `number` by the number that they bore."""
    trials = []
    for at, pick in enumerate(picks):
        (shown,) = numbering(IDS, at, seed)
        picked = [shown[int(each) - 1] for each in pick] if number else [*pick]
        trials.append(LineupTrial(heats=[LineupHeat(shown=shown, picked=picked, evidence="")], picked=sorted(picked)))
    found = tally("a", trials, 0.6)
    return Lineup(
        expression="text",
        candidates=[*IDS],
        places=[PLACES[name] for name in IDS],
        times_s=[0.0],
        trials=trials,
        pick_rate=found.pick_rate,
        runner_up=found.runner_up,
        runner_up_rate=found.runner_up_rate,
        decision=found.decision,
        judge=judge,
        revision="r1",
    )


def catches(unique: str, dropped: str, nobody: str) -> list[CatchTrial]:
    return [
        CatchTrial(kind=UNIQUE, truth=["a"], lineup=held([unique] * 2)),
        CatchTrial(kind=DROPPED, truth=["a", "b"], lineup=held([dropped] * 2)),
        CatchTrial(kind=NO_TARGET, truth=[], lineup=held([nobody] * 2)),
    ]


def run(*given: AnnotationRow) -> rows.Held:
    return rows.Held(to_table(given, AnnotationRow))


def test_no_line_up_no_section() -> None:
    assert verify(run(row(0, 0))) is None


def test_counts_are_of_the_last_text_of_every_object() -> None:
    alone = held(["a"]).model_copy(update={"trials": [], "decision": ALONE})
    repaired = row(1, 0, lineup=held(["a", "a"]), lineup_before=held(["b", "b"]), repairs=["lineup"])
    found = count_lineups(
        run(row(0, 0, lineup=held(["a", "a"])), row(0, 1, lineup=held(["b", "b"])), repaired, row(2, 0, lineup=alone))
    )
    assert found is not None
    assert found.decisions == {SINGLED_OUT: 2, AMBIGUOUS: 1, ALONE: 1}
    assert (found.alone, found.repaired, found.saved, found.trials) == (1, 1, 1, 8)
    assert found.judges == ("gemma@r1",)
    assert (found.judged.texts.sum(), found.judged.passed.sum()) == (3, 2)
    assert found.judged.texts.tolist() == [2, 1, 0], "by video"


def test_catch_trials_tell_of_the_judge_by_kind() -> None:
    found = count_lineups(
        run(
            row(0, 0, lineup=held(["a", "a"]), catch_trials=catches("a", "ab", "")),
            row(1, 0, lineup=held(["a", "a"]), catch_trials=catches("b", "a", "c")),
        )
    )
    assert found is not None
    assert [(kind.kind, kind.texts, kind.right, kind.passed) for kind in found.catches] == [
        (UNIQUE, 2, 1, 1),
        (DROPPED, 2, 1, 1),
        (NO_TARGET, 2, 1, 0),
    ]
    assert (found.judged.unique_passed.sum(), found.judged.other_passed.sum()) == (1, 1)
    assert [(each.name, each.shown, each.picked) for each in found.places] == [("left", 4, 4), ("centre", 4, 2)]


def test_a_judge_that_always_says_one_is_exposed_and_a_fair_one_is_not() -> None:
    biased = verify(run(*(row(n, 0, lineup=held(["1"] * 5, number=True, seed=str(n))) for n in range(40))))
    fair = verify(run(*(row(n, 0, lineup=held(["a"] * 5, seed=str(n))) for n in range(40))))
    assert biased is not None
    assert fair is not None
    assert "The judge is biased: the number 1 is picked 3.0 times as often as it should be." in biased.remarks()
    assert not [remark for remark in fair.remarks() if "biased" in remark]
    assert [line[0] for line in biased.tables()[0][1:]] == ["1", "2", "3"]


def test_a_judge_that_likes_a_place_is_exposed() -> None:
    left = verify(run(*(row(n, 0, lineup=held(["a"]), catch_trials=catches("a", "a", "")) for n in range(40))))
    assert left is not None
    assert "The judge is biased: the place left is picked 2.0 times as often as it should be." in left.remarks()


def test_a_judge_that_avoids_a_place_is_exposed() -> None:
    """Of the two that the text fits it names one too seldom, and the other hardly more often than it should."""
    picks = [Picks("left", 100, 66, 50.0), Picks("centre", 100, 66, 60.0), Picks("right", 100, 20, 42.0)]
    (found,) = _biased(picks)
    assert found.name == "right"
    assert _biased([*picks, Picks("above", 100, 80, 50.0)])[0].name == "above", "what is liked is said first"
    assert _biased([Picks("left", 40, 30, 25.0), Picks("right", 40, 10, 25.0)]) == [], "too few to tell"


def test_figures_come_with_intervals_and_with_what_they_hide() -> None:
    of = [
        row(
            n,
            0,
            lineup=held(["b" if n % 5 == 0 else "a"] * 2),
            catch_trials=catches("a", "ab", "c" if n % 8 == 0 else ""),
        )
        for n in range(60)
    ]
    found = verify(run(*of))
    assert found is not None
    lines = dict(found.lines())
    assert lines["sensitivity"].startswith("100.0% (9")
    assert lines["texts that single out"].startswith("80.0% (")
    assert "; corrected 80.0% (" in lines["texts that single out"]
    assert lines["of those that passed"].startswith("all by the judge; corrected 100.0% (")
    assert EASIER in found.remarks()
    assert "sensitivity" in found.as_text()


def test_few_are_told_to_be_too_few() -> None:
    found = verify(run(row(0, 0, lineup=held(["a", "a"]), catch_trials=catches("a", "ab", ""))))
    assert found is not None
    lines = dict(found.lines())
    assert "100.0% (too few for an interval)" in lines["sensitivity"]
    assert "corrected too few: 1 texts" in lines["of those that passed"]


def test_the_judge_that_measures_is_not_put_to_the_test() -> None:
    found = verify(run(row(0, 0, lineup=held(["a"], judge="measured").model_copy(update={"revision": ""}))))
    assert found is not None
    assert "sensitivity" not in dict(found.lines())
    assert found.remarks()[0].startswith("The judge is a measurement")
    assert found.tables() == []
