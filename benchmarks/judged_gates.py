"""What the line-up catches of errors that are known, with a judge whose errors are known.

The texts of the simulated writer (`simulated_writer.py`) go as rows through the real stages check_facts and
verify_lineup, with pictures, trials, changing numbers and catch trials; `simulated_judge.py` answers their requests.
For every kind of error it is counted what caught it. Then one text of each object is drawn, so that errors have a known
rate, and the card's figures of these rows are compared with the truth.
"""

import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from functools import partial
from typing import Any, NamedTuple

from benchmarks.drawn_truth import FPS, HEIGHT_PX, WIDTH_PX, DrawnVideo, draw
from benchmarks.simulated_judge import CONFUSION, NOBODY, ONE, RIGHT, Manner, SimulatedJudge, Truth
from benchmarks.simulated_writer import INVENTED, NO_ERROR, Case, cases
from manifests.lineup import SINGLED_OUT
from manifests.schema import Reason, Row, Status
from manifests.text_tables import text_table
from pipeline.run.run_stages import run_stages
from pipeline.verification.corrected import Rate
from pipeline.verification.counts import COLUMNS
from pipeline.verification.summary import Verification, verify
from stages.catch_texts import catch_texts
from stages.check_facts import CheckFacts
from stages.lineup_trials import LineupConfig
from stages.verify_lineup import VerifyLineup

ERROR_FRAC = 0.3  # of the texts of a run; which error is left to chance
OVERLOOKS_FRAC, OVERLOOKS_INVENTED_FRAC = 0.15, 0.5  # how often the judge does not notice the one claim that is wrong
FAIR = Manner()
ALWAYS_ONE = Manner("always says 1", number_frac=1.0)
LIKES_LEFT = Manner(
    "likes what is left", CONFUSION | {"several": {RIGHT: 0.2, ONE: 0.75, NOBODY: 0.05}}, place_frac=1.0
)
MANNERS = (FAIR, ALWAYS_ONE, LIKES_LEFT)
BY_FACTS, CONFUSED, NOT_FOUND, KEPT = "facts", "line-up: fits another", "line-up: not found", "kept"


class Clip(NamedTuple):
    """What became of the texts of a clip.

    Attributes:
        ended: (error, gate) -> how many texts.
        rows: one row of every object by the name of the judge, with the columns that are counted.
        good: of these rows, whether the text singles out its object; in their order.
    """

    ended: Counter[tuple[str, str]]
    rows: dict[str, list[dict[str, Any]]]
    good: list[bool]


class Rows(NamedTuple):
    """Rows that can be counted as those of a run."""

    held: list[dict[str, Any]]

    def rows(self, columns: Sequence[str]) -> Iterable[Mapping[str, Any]]:
        """Yield all rows; they have just the columns that are counted."""
        assert tuple(columns) == COLUMNS
        return iter(self.held)


def judge_clip(seed: int, *, catch_frac: float) -> Clip:
    """Write the texts of a clip, and put them to the judges: all of them to the fair one, one an object to each.

    Args:
        seed: of the clip; every second one is of look-alikes.
        catch_frac: share of the objects that get catch trials.
    """
    video, rng = draw(seed, alike=seed % 2 == 1), random.Random(f"judged {seed}")
    every = [*cases(video, rng)]
    chosen = [*_one_each(every, rng)]
    fair = [row_of(case, video) for case in every]
    judge_rows(fair, every, FAIR, catch_frac=0.0)
    ended = Counter((case.error, gate(row)) for case, row in zip(every, fair, strict=True))
    rows = {}
    for manner in MANNERS:
        held = [row_of(case, video) for case in chosen]
        judge_rows(held, chosen, manner, catch_frac=catch_frac)
        rows[manner.name] = [{name: row.model_dump()[name] for name in COLUMNS} for row in held]
    return Clip(ended, rows, [case.good for case in chosen])


def _one_each(every: Sequence[Case], rng: random.Random) -> Iterator[Case]:
    """Yield a text of every object: one without an error, if there is one, or one with an error of any kind."""
    for object_id in dict.fromkeys(case.object_id for case in every):
        own = [case for case in every if case.object_id == object_id]
        wrong = [case for case in own if case.error != NO_ERROR]
        if len(wrong) < len(own) and (not wrong or rng.random() >= ERROR_FRAC):
            yield next(case for case in own if case.error == NO_ERROR)
        else:
            yield rng.choice(wrong)


def judge_rows(rows: Sequence[Row], written: Sequence[Case], manner: Manner, *, catch_frac: float) -> None:
    """Run rows through the check of facts and the line-up, in place; the judge knows what all texts fit."""
    truths = {(case.object_id, case.text): _truth(case) for case in written}
    for row in rows:
        assert row.facts is not None
        for made in catch_texts(row.facts, row.sibling_facts):
            truths[row.object_id, made.text] = Truth(made.truth, (row.object_id,), 0 if made.truth else OVERLOOKS_FRAC)
    judge = SimulatedJudge(manner, lambda row: truths[row.object_id, row.expression or ""])
    config = LineupConfig(frames=2)
    run_stages([CheckFacts("reject"), VerifyLineup(judge, config, catch_frac=catch_frac)], rows)


def _truth(case: Case) -> Truth:
    share = OVERLOOKS_INVENTED_FRAC if case.error.startswith(INVENTED) else OVERLOOKS_FRAC
    return Truth(case.fits, case.overlooked, share)


def row_of(case: Case, video: DrawnVideo) -> Row:
    """Return a row with a text, as the stages before the check of facts leave it."""
    video_id, masklet_type, number = case.object_id.split("/")
    facts, drawn = video.facts[case.object_id], video.objects[case.object_id]
    return Row(
        object_id=case.object_id,
        video_id=video_id,
        shard="drawn",
        masklet_type=masklet_type,
        masklet_position=int(number),
        masklet_id=int(number),
        video_path=f"{video_id}.mp4",
        anno_path=f"{video_id}_manual.json",
        height_px=HEIGHT_PX,
        width_px=WIDTH_PX,
        frame_count=round(facts.duration_s * FPS),
        video_fps=FPS,
        areas_px=drawn.areas_T.tolist(),
        boxes_px=[],
        best_index=int(drawn.areas_T.argmax()),
        siblings=[*video.facts],
        status=Status.PENDING,
        facts=facts,
        sibling_facts=[*video.facts.values()],
        lineup_frames=[*video.frames],
        expression=case.text,
    )


def gate(row: Row) -> str:
    """Return what rejected a row that was judged; KEPT if nothing did."""
    if row.status is Status.PENDING:
        return KEPT
    assert row.status is Status.REJECTED, (row.object_id, row.detail)
    assert row.reason is not None
    gates = {Reason.CONTRADICTED: BY_FACTS, Reason.AMBIGUOUS: CONFUSED, Reason.NOT_FOUND: NOT_FOUND}
    return gates[row.reason]


def judge_clips(clips: int, pool: Executor) -> Clip:
    """Judge clips, and join what became of them; catch trials are as many as a run of this size takes."""
    share = LineupConfig().catch_share(3 * clips)
    found = [*pool.map(partial(judge_clip, catch_frac=share), range(clips), chunksize=4)]
    ended: Counter[tuple[str, str]] = Counter()
    for clip in found:
        ended.update(clip.ended)
    return Clip(
        ended=ended,
        rows={manner.name: [row for clip in found for row in clip.rows[manner.name]] for manner in MANNERS},
        good=[good for clip in found for good in clip.good],
    )


def report(judged: Clip) -> str:
    """Return what was caught of every kind of error, and for each judge the card's figures beside the truth."""
    gates = (BY_FACTS, CONFUSED, NOT_FOUND, KEPT)
    table: list[tuple[str, ...]] = [("error of the text", "made", *gates, "caught")]
    errors = sorted({error for error, _ in judged.ended}, key=lambda name: (name == NO_ERROR, name))
    for error in errors:
        counts = [judged.ended[error, gate] for gate in gates]
        made = sum(counts)
        table.append((error, *map(str, (made, *counts)), f"{1 - counts[-1] / made:.1%}"))
    parts = ["\n".join(text_table(table, left=1))]
    for name, rows in judged.rows.items():
        found = verified(rows)
        lines = [f"judge: {name}", found.as_text(), *found.remarks(), *truth_lines(rows, judged.good, found)]
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def goals(judged: Clip) -> dict[str, bool]:
    """Return what must hold, and whether it does."""
    biased = {
        name: [line for line in verified(rows).remarks() if "biased" in line] for name, rows in judged.rows.items()
    }
    return {
        "the card exposes a judge that always says 1": any("the number 1 " in line for line in biased[ALWAYS_ONE.name]),
        "the card exposes a judge that likes what is left": any(
            "the place " in line for line in biased[LIKES_LEFT.name]
        ),
        "the card says nothing of the kind of a fair judge": not biased[FAIR.name],
    }


def verified(rows: list[dict[str, Any]]) -> Verification:
    """Return what the card says of rows."""
    found = verify(Rows(rows))
    assert found is not None
    return found


def truth_lines(rows: Sequence[Mapping[str, Any]], good: Sequence[bool], found: Verification) -> Iterator[str]:
    """Yield how many texts of the rows that reached the line-up are good in truth, and what is estimated."""
    pairs = [(row["lineup"]["decision"], true) for row, true in zip(rows, good, strict=True) if row["lineup"]]
    kept = [true for decision, true in pairs if decision == SINGLED_OUT]
    estimated = found.quality
    for what, truths, rate in (
        ("single out their object", [true for _, true in pairs], estimated.good),
        ("the same of those kept", kept, estimated.good_of_passed),
    ):
        share = f"{sum(truths) / len(truths):.1%} of {len(truths)}" if truths else "none"
        yield f"{what:25}in truth {share}; estimated {_told(rate, estimated.why_not)}"


def _told(rate: Rate, why_not: str | None) -> str:
    if rate.value is None or rate.low is None or rate.high is None:
        return why_not or "nothing"
    return f"{rate.value:.1%} ({rate.low:.1%} to {rate.high:.1%})"
