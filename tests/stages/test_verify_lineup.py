"""The line-up as a stage: a judge that sees the numbers, what becomes of the rows, and the repair by the confuser."""

from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np
import pytest

from manifests.lineup import ALONE, AMBIGUOUS, SINGLED_OUT
from manifests.row_results import RowError
from manifests.schema import Facts, Reason, Row, ShortText, Status
from pipeline.run.run_stages import run_stages
from pipeline.writers.measured import MeasuredWriter
from prompts import Prompt
from stages.lineup_trials import LineupConfig
from stages.repair_lineup import RepairLineup
from stages.verify_lineup import VerifyLineup
from stages.verify_short import VerifyShort
from stages.writer import Model
from tests.misbehaving import EXPRESSION
from tests.pipeline.facts_factory import colours, make_facts, make_row
from tests.stages.lineup_scene import frame

Judge = Callable[[Row], Sequence[str]]  # the row as it was asked -> object_ids that the text fits


class Judging:
    """A judge that knows which object is under which number, and notes what it was shown."""

    name, pool, looks = "scripted", "cpu", True
    judge = Model("gemma", "r1")

    def __init__(self, judge: Judge, rewritten: str = EXPRESSION, ambiguous_with: Sequence[str] = ()) -> None:
        self.picks, self.rewritten, self.ambiguous_with = judge, rewritten, list(ambiguous_with)
        self.shown: list[list[str]] = []
        self.trials: list[int] = []
        self.images: list[list[bytes]] = []
        self.asked: list[tuple[str, str]] = []

    async def write(self, prompt: Prompt[Any], row: Row, images: Sequence[bytes]) -> Any:
        self.asked.append((prompt.name, row.expression or ""))
        self.images.append(list(images))
        if prompt.name == "repair_lineup":
            return prompt.reply.model_validate({"expression": self.rewritten, "ambiguous_with": self.ambiguous_with})
        self.shown.append(row.lineup_shown)
        self.trials.append(row.trial)
        numbers = [row.lineup_shown.index(name) + 1 for name in self.picks(row) if name in row.lineup_shown]
        return prompt.reply.model_validate({"evidence": "seen", "numbers": numbers})


def balls(count: int, views: int = 2, **given: Any) -> Row:
    """Equal red balls side by side; the row is the first one."""
    group = [make_facts(k, start=((k + 1) / (count + 1), 0.5)) for k in range(count)]
    ids = [facts.object_id for facts in group]
    shapes = [(int(640 * (k + 1) / (count + 1)), 180, 14) for k in range(count)]
    frames = [frame(shapes, time_s=float(t), ids=ids) for t in range(0, 10, 10 // views)]
    texts = {"expression": EXPRESSION, "object_description": "The object is a ball."}
    return make_row(group[0], group, lineup_frames=frames, siblings=ids, **(texts | given))


def held(row: Row, judge: Judging, *, repair: bool = False, config: LineupConfig | None = None) -> Row:
    config = config or LineupConfig()
    stages: list[Any] = [VerifyLineup(judge, config, repair=repair)]
    run_stages([*stages, *([RepairLineup(judge, config)] if repair else [])], [row])
    return row


TARGET, SECOND, THIRD = (f"sav_000001/manual/{number}" for number in range(3))


def test_a_text_that_singles_out_its_object_is_kept_after_two_trials() -> None:
    judge = Judging(lambda _: [TARGET])
    row = held(balls(3), judge)
    assert row.status is Status.PENDING
    assert row.lineup is not None
    assert (row.lineup.decision, row.lineup.pick_rate, row.lineup.runner_up) == (SINGLED_OUT, 1.0, None)
    assert (row.lineup.judge, row.lineup.revision, row.lineup.expression) == ("gemma", "r1", EXPRESSION)
    assert row.lineup.candidates == [TARGET, SECOND, THIRD]
    assert row.lineup.times_s == [0.0, 5.0]
    assert judge.trials == [0, 1]
    assert judge.shown[0].index(TARGET) != judge.shown[1].index(TARGET), "its number changed"
    assert [sorted(shown) for shown in judge.shown] == [[TARGET, SECOND, THIRD]] * 2
    assert all(len(images) == 2 for images in judge.images)
    assert judge.images[0] != judge.images[1], "other numbers"
    assert row.lineup_jpeg
    assert row.confuser_jpeg is None


def test_three_equal_balls_are_ambiguous_with_each_other() -> None:
    row = held(balls(3), Judging(lambda _: [TARGET, SECOND, THIRD]))
    assert (row.status, row.reason, row.stage) == (Status.REJECTED, Reason.AMBIGUOUS, "verify_lineup")
    assert row.detail == f"fits {SECOND} as well: gemma picked it alone in 0 of 2 trials, that one in 2"
    assert row.lineup is not None
    assert row.lineup.runner_up == SECOND
    assert row.confuser_jpeg is not None
    assert cv2.imdecode(np.frombuffer(row.confuser_jpeg, np.uint8), 1) is not None


def test_a_judge_that_likes_a_number_disagrees_with_itself() -> None:
    judge = Judging(lambda asked: [asked.lineup_shown[0]])
    row = held(balls(4), judge)
    assert row.reason is Reason.AMBIGUOUS
    assert row.lineup is not None
    assert row.lineup.pick_rate <= 0.5
    assert len(row.lineup.trials) > 2


def test_a_wrong_pick_in_one_of_five_is_forgiven() -> None:
    row = held(balls(3), Judging(lambda asked: [SECOND if asked.trial == 1 else TARGET]))
    assert row.status is Status.PENDING
    assert row.lineup is not None
    assert (len(row.lineup.trials), row.lineup.pick_rate, row.lineup.runner_up) == (4, 0.75, SECOND)


def test_nobody_found_is_told_apart_from_ambiguous() -> None:
    row = held(balls(3), Judging(lambda _: []))
    assert (row.reason, row.detail) == (
        Reason.NOT_FOUND,
        "gemma picked it alone in 0 of 2 trials, and no object in 2",
    )
    assert row.confuser_jpeg is None


def test_one_object_alone_is_not_asked_about() -> None:
    judge = Judging(lambda _: [])
    row = held(balls(1), judge)
    assert row.status is Status.PENDING
    assert row.lineup is not None
    assert (row.lineup.decision, row.lineup.trials, row.lineup_jpeg) == (ALONE, [], None)
    assert judge.asked == []


def test_many_objects_go_through_heats_whose_winners_meet() -> None:
    judge = Judging(lambda _: [TARGET, SECOND])
    row = held(balls(20), judge)
    assert row.reason is Reason.AMBIGUOUS
    assert row.lineup is not None
    for trial in row.lineup.trials:
        *heats, last = trial.heats
        assert [len(heat.shown) for heat in heats] == [7, 7, 6]
        assert trial.picked == [TARGET, SECOND]
        together = any({TARGET, SECOND} <= {*heat.shown} for heat in heats)
        assert together or sorted(last.shown) == [TARGET, SECOND]
    assert all(len(shown) <= 9 for shown in judge.shown)


def test_a_single_winner_needs_no_final_and_none_is_none() -> None:
    row = held(balls(12), Judging(lambda _: [TARGET]))
    assert row.lineup is not None
    assert [len(trial.heats) for trial in row.lineup.trials] == [2, 2]
    assert row.lineup.decision == SINGLED_OUT
    assert held(balls(12), Judging(lambda _: [])).reason is Reason.NOT_FOUND


def test_a_text_that_fits_everybody_ends_too() -> None:
    everybody = Judging(lambda asked: asked.lineup_shown)
    row = held(balls(30), everybody)
    assert row.reason is Reason.AMBIGUOUS
    assert len(everybody.asked) < 30


def test_frames_and_numbers_are_the_same_when_the_row_is_run_again() -> None:
    first, again = Judging(lambda _: [TARGET]), Judging(lambda _: [TARGET])
    held(balls(5), first)
    held(balls(5), again)
    assert (first.images, first.shown) == (again.images, again.shown), "replies are found again by what was asked"


def test_an_object_that_is_in_no_frame_can_still_be_in_the_line_up() -> None:
    row = balls(3)
    row.lineup_frames = [
        each.model_copy(update={"seen": [mask for mask in each.seen if mask.object_id == SECOND]})
        for each in row.lineup_frames
    ]
    held(row, Judging(lambda _: [SECOND]))
    assert (row.reason, row.confuser_jpeg) == (Reason.AMBIGUOUS, None)


def test_a_judge_that_fails_costs_the_row_and_its_requests_are_told_apart() -> None:
    class Broken(Judging):
        async def write(self, prompt: Prompt[Any], row: Row, images: Sequence[bytes]) -> Any:
            raise RowError(Reason.BAD_REPLY, "nonsense")

    row = held(balls(3), Broken(lambda _: []))
    assert (row.status, row.reason, row.stage, row.lineup) == (
        Status.FAILED,
        Reason.BAD_REPLY,
        "verify_lineup",
        None,
    )


# ---- repair ----

CONFUSED = "The object is a red ball."


def confused_until(new: str) -> Judge:
    return lambda asked: [TARGET] if asked.expression == new else [SECOND]


def test_a_confused_text_is_written_anew_and_put_to_a_whole_new_line_up() -> None:
    judge = Judging(confused_until(EXPRESSION))
    row = held(balls(3, expression=CONFUSED), judge, repair=True)
    assert (row.status, row.expression, row.repairs) == (Status.PENDING, EXPRESSION, ["lineup"])
    assert row.lineup is not None
    assert row.lineup_before is not None
    assert (row.lineup_before.expression, row.lineup_before.decision) == (CONFUSED, AMBIGUOUS)
    assert (row.lineup.expression, row.lineup.decision) == (EXPRESSION, SINGLED_OUT)
    assert [name for name, _ in judge.asked] == ["lineup"] * 2 + ["repair_lineup"] + ["lineup"] * 2
    assert len(judge.images[2]) == 2, "the object, and the one that it was confused with"
    assert row.confuser_jpeg, "whom it was confused with stays"


def test_a_repair_that_is_confused_again_ends_there() -> None:
    judge = Judging(lambda _: [THIRD])
    row = held(balls(3, expression=CONFUSED), judge, repair=True)
    assert (row.status, row.reason, row.stage) == (Status.REJECTED, Reason.AMBIGUOUS, "repair_lineup")
    assert [name for name, _ in judge.asked].count("repair_lineup") == 1, "one round"
    assert row.lineup_before is not None
    assert row.repairs == []


def test_a_repair_that_contradicts_what_was_measured_is_never_accepted() -> None:
    false = f"{EXPRESSION.partition('Throughout')[0]}Throughout the video, it moves to the right."
    row = balls(3, expression=CONFUSED)
    row.facts = make_facts(
        0,
        start=(0.7, 0.5),
        end=(0.2, 0.5),
        motion="left",
        shift_frac=[-0.5, 0.0],
        own_shift_px=[-640.0, 0.0],
        own_speed_px_s=64.0,
        own_path_px=640.0,
    )
    judge = Judging(lambda asked: [TARGET] if asked.expression == false else [SECOND], rewritten=false)
    held(row, judge, repair=True)
    assert (row.status, row.reason, row.stage) == (Status.REJECTED, Reason.CONTRADICTED, "repair_lineup")
    assert [name for name, _ in judge.asked].count("lineup") == 2, "it is not even put to the judge"
    assert row.lineup_before is not None


def test_a_repair_that_says_itself_that_it_fits_others_is_rejected() -> None:
    row = held(balls(3, expression=CONFUSED), Judging(lambda _: [SECOND], ambiguous_with=[SECOND]), repair=True)
    assert (row.reason, row.stage) == (Reason.AMBIGUOUS, "repair_lineup")


@pytest.mark.parametrize("picks", [[TARGET], []])
def test_what_was_not_confused_is_not_repaired(picks: list[str]) -> None:
    judge = Judging(lambda _: picks)
    held(balls(3), judge, repair=True)
    assert {name for name, _ in judge.asked} == {"lineup"}


# ---- the judge that measures ----


def moving(motion: str, number: int, x: float) -> Facts:
    step = {"left": -0.3, "right": 0.3}[motion]
    return make_facts(
        number, start=(x, 0.5), end=(x + step, 0.5), motion=motion, colours=colours(red=0.9), own_speed_px_s=80.0
    )


def test_two_of_three_that_move_alike_are_told_from_the_third_only() -> None:
    group = [moving("right", 0, 0.2), moving("right", 1, 0.3), moving("left", 2, 0.7)]
    text = "The object is mostly red. It is in the scene. Throughout the video, it moves to the {}."
    for target, way, reason in ((0, "right", Reason.AMBIGUOUS), (2, "left", None)):
        row = make_row(group[target], group, expression=text.format(way))
        run_stages([VerifyLineup(MeasuredWriter(), LineupConfig())], [row])
        assert row.reason is reason, row.detail
        assert row.lineup is not None
        assert len(row.lineup.trials) == 1, "it is exact: a second trial could only say the same"
        assert row.lineup.judge == "measured"


# ---- short texts ----


def shortened(judge: Judging, *texts: str) -> Row:
    short = [ShortText(text=text, fault=None, contradictions=[], fits=[TARGET]) for text in texts]
    row = balls(3, short_texts=short, short_expression=texts[0])
    run_stages([VerifyShort(judge, LineupConfig())], [row])
    return row


def test_the_shortest_text_that_passes_its_own_line_up_is_taken() -> None:
    judge = Judging(lambda asked: [TARGET] if asked.expression == "the red ball on the left" else [SECOND])
    row = shortened(judge, "the red ball", "the red ball on the left", "the red ball on the far left of all")
    assert row.status is Status.PENDING
    assert row.short_expression == "the red ball on the left"
    first, second, third = row.short_texts
    assert first.fault == f"line-up: fits {SECOND} as well: gemma picked it alone in 0 of 2 trials, that one in 2"
    assert second.lineup is not None
    assert (second.lineup.decision, second.fault) == (SINGLED_OUT, None)
    assert third.lineup is None, "a longer one need not be tried"
    assert row.expression == EXPRESSION
    assert row.lineup is None, "that is the long text's"


def test_without_a_short_text_that_passes_the_object_stays() -> None:
    row = shortened(Judging(lambda _: []), "the red ball", "the ball on the left")
    assert (row.status, row.short_expression) == (Status.PENDING, None)
    assert all(text.fault for text in row.short_texts)
