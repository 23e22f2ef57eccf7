"""Stage verify_lineup: a judge that sees all objects of the video under numbers says which of them a text means.

A text that fits its object may fit another one as well; only a listener who sees the others can tell. An object without
another separate one in its video needs no line-up: there is nobody to confuse it with, and nothing is asked.
"""

import asyncio

from manifests.lineup import ALONE, AMBIGUOUS, SINGLED_OUT
from manifests.row_results import Reject, Update
from manifests.schema import Row
from stages.judged import JudgeStage, rejected
from stages.lineup_trials import LineupConfig, drawn
from stages.writer import JudgeWriter


class VerifyLineup(JudgeStage):
    """Fill `lineup`; reject a text that does not single out its object, unless repair_lineup follows."""

    name = "verify_lineup"
    reads = ("lineup_frames", "expression", "facts", "sibling_facts")
    writes = (*("lineup", "lineup_jpeg", "confuser_jpeg", "catch_trials"), *("calls", "prompt_ids"))
    asks = ("lineup",)

    def __init__(
        self, writer: JudgeWriter, config: LineupConfig, *, repair: bool = False, catch_frac: float = 0.0
    ) -> None:
        super().__init__(writer, config)
        self.repair = repair  # True if repair_lineup is the next stage: texts that were confused go on to it
        self.catch_frac = catch_frac  # share of the objects whose catch trials measure the judge

    async def write(self, row: Row) -> Update | Reject:
        """Hold the line-up, if this text had none yet, and the catch trials of the objects that were drawn for them."""
        if row.expression is None or row.facts is None:
            raise ValueError(
                f"{row.object_id}: verify_lineup needs an expression and facts; it comes after their stages"
            )
        update: Update = {}
        if (held := row.lineup) is None or held.expression != row.expression:
            held = await self.hold(row, row.expression)
            update = await asyncio.to_thread(self.seen, row, held)
        if self.looks and held.trials and drawn(row.object_id, self.catch_frac, self.config.seed):
            update["catch_trials"] = await self.catch(row, row.facts)
        if held.decision in (SINGLED_OUT, ALONE) or (self.repair and held.decision == AMBIGUOUS):
            return update
        return rejected(held, update)
