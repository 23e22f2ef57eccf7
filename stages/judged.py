"""The base of stages that put a text to the judge: it is shown the objects of a video and asked which one is meant."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import ClassVar

from manifests.lineup import ALONE, AMBIGUOUS, CatchTrial, LineupFrame, LineupHeat
from manifests.lineup import Lineup as Result
from manifests.row_results import Reject, RowError, Update
from manifests.schema import Facts, Reason, Row
from prompts.replies import Pick
from stages.catch_texts import catch_texts
from stages.claims.moments import moments_s
from stages.lineup_trials import LineupConfig, hold_trials, tally
from stages.video.lineup_drawing import LineupDrawing, pair, sheet
from stages.video.lineup_frames import choose
from stages.writer import JudgeWriter, WriterStage


class JudgeStage(WriterStage):
    """Puts texts to the judge and keeps what it picked; the stages that derive from it decide what follows."""

    writes_text: ClassVar[bool] = False

    def __init__(self, writer: JudgeWriter, config: LineupConfig) -> None:
        super().__init__(writer)
        self.judge, self.looks, self.config = writer.judge, writer.looks, config

    async def hold(self, row: Row, expression: str, purpose: str = "lineup") -> Result:
        """Put `expression` to the judge, as often as it takes to decide, and note what the requests were for."""
        assert row.facts is not None
        before = len(row.calls)
        candidates = [row.object_id, *sorted(facts.object_id for facts in row.sibling_facts)]
        candidates = [*dict.fromkeys(candidates)]
        places = {facts.object_id: facts.place_best for facts in (*row.sibling_facts, row.facts)}
        frames = _frames(row, expression, self.config.frames)
        seed = f"{self.config.seed}/{row.object_id}/{purpose}/{expression}"
        ask = _Asking(self, row, expression, frames).heat
        try:
            trials = await hold_trials(candidates, ask, self.config, seed, exact=not self.looks)
        finally:  # of a row that fails, too
            for call in row.calls[before:]:
                call.purpose = purpose
        found = tally(row.object_id, trials, self.config.min_pick_rate) if trials else None
        return Result(
            expression=expression,
            candidates=candidates,
            places=[places[name] for name in candidates],
            times_s=[frame.time_s for frame in frames],
            trials=trials,
            pick_rate=found.pick_rate if found else 1.0,
            runner_up=found.runner_up if found else None,
            runner_up_rate=found.runner_up_rate if found else 0.0,
            decision=found.decision if found else ALONE,
            judge=self.judge.name,
            revision=self.judge.revision,
        )

    async def catch(self, row: Row, facts: Facts) -> list[CatchTrial]:
        """Put the texts of known truth to the judge; one that gets no usable reply costs no more than itself."""
        trials = []
        for text in catch_texts(facts, row.sibling_facts):
            with suppress(RowError):
                held = await self.hold(row, text.text, "catch")
                trials.append(CatchTrial(kind=text.kind, truth=text.truth, lineup=held))
        return trials

    def seen(self, row: Row, held: Result) -> Update:
        """Return the columns with the line-up, its first question as a picture, and the object that was confused."""
        update: Update = {"lineup": held}
        if not held.trials or not row.lineup_frames:
            return update
        frames = [frame for frame in row.lineup_frames if frame.time_s in held.times_s]
        update["lineup_jpeg"] = sheet(frames, held.trials[0].heats[-1].shown)
        shown = {name for frame in row.lineup_frames for name in frame.masks}
        if held.runner_up in shown and row.object_id in shown:
            update["confuser_jpeg"] = pair(row.lineup_frames, row.object_id, held.runner_up)[2]
        return update


def rejected(held: Result, update: Update) -> Reject:
    """Return the rejection of a text that does not single out its object."""
    trials = len(held.trials)
    picks = f"{held.judge} picked it alone in {held.pick_rate * trials:.0f} of {trials} trials"
    if held.decision == AMBIGUOUS:
        detail = f"fits {held.runner_up} as well: {picks}, that one in {held.runner_up_rate * trials:.0f}"
        return Reject(Reason.AMBIGUOUS, detail, update)
    nobody = sum(not trial.picked for trial in held.trials)
    return Reject(Reason.NOT_FOUND, f"{picks}, and no object in {nobody}", update)


@dataclass
class _Asking:
    """One text and the frames of its line-up; what is drawn for a set of objects is drawn once."""

    stage: JudgeStage
    row: Row
    expression: str
    frames: Sequence[LineupFrame]

    def __post_init__(self) -> None:
        self._drawn: dict[frozenset[str], LineupDrawing] = {}

    async def heat(self, shown: Sequence[str], number: int) -> LineupHeat:
        """Put one question to the judge."""
        key, images = frozenset(shown), []
        if self.stage.looks:
            if not self.frames:
                raise ValueError(f"{self.row.object_id}: a line-up needs its frames, got none; render_views keeps them")
            lineup = self._drawn.setdefault(key, LineupDrawing(self.frames, sorted(shown)))
            images = await asyncio.to_thread(lineup.numbered, shown)
        asked = self.row.model_copy(
            update={
                "expression": self.expression,
                "lineup_shown": list(shown),
                "lineup_times_s": [frame.time_s for frame in self.frames],
                "trial": number,
            }
        )
        pick: Pick = await self.stage.ask("lineup", asked, images)
        self.row.prompt_ids = asked.prompt_ids
        return LineupHeat(shown=list(shown), picked=[shown[n - 1] for n in pick.numbers], evidence=pick.evidence)


def _frames(row: Row, expression: str, count: int) -> list[LineupFrame]:
    if not row.lineup_frames:
        return []
    assert row.facts is not None
    moments = moments_s(expression, row.facts.duration_s)
    return [row.lineup_frames[at] for at in choose(row.lineup_frames, row.object_id, moments, count)]
