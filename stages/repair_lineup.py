"""Stage repair_lineup: a text that was confused with another object is written anew, by someone who sees both."""

import asyncio

from manifests.lineup import AMBIGUOUS, SINGLED_OUT
from manifests.row_results import Reject, Update
from manifests.schema import Reason, Row
from prompts.replies import Expression
from stages.check_facts import check_expression
from stages.compose_expression import accept
from stages.judged import JudgeStage, rejected
from stages.video.lineup_drawing import pair


class RepairLineup(JudgeStage):
    """Write `expression` anew where verify_lineup found it ambiguous; a whole new line-up decides on it.

    There is one round. A text that contradicts what was measured is never accepted, whatever the recipe does with those
    of other stages: what it claims in order to differ is most likely to be made up.
    """

    name = "repair_lineup"
    reads = ("lineup", "lineup_frames", "expression", "object_description", "facts", "sibling_facts")
    writes = (
        *("expression", "contradictions", "repairs", "lineup", "lineup_before", "lineup_jpeg", "confuser_jpeg"),
        *("calls", "writer", "prompt_ids"),
    )
    asks = ("repair_lineup",)
    writes_text = True

    async def write(self, row: Row) -> Update | Reject:
        """Ask for the new text, check it, and put it to the judge; rows that were not confused go on as they are."""
        before = row.lineup
        if before is None or before.decision != AMBIGUOUS:
            return {}
        assert row.facts is not None
        confuser = before.runner_up
        drawn = {name for frame in row.lineup_frames for name in frame.masks}
        if confuser is None or not {confuser, row.object_id} <= drawn:
            return rejected(before, {})
        known = len(row.calls)
        images = await asyncio.to_thread(pair, row.lineup_frames, row.object_id, confuser)
        try:
            reply: Expression = await self.ask("repair_lineup", row, images[:2])
        finally:
            for call in row.calls[known:]:
                call.purpose = "repair"
        written = {"lineup_before": before}
        accepted = accept(reply)
        if isinstance(accepted, Reject):
            return Reject(accepted.reason, f"written anew: {accepted.detail}", written | accepted.update)
        checked = check_expression(reply.expression, row.facts, "reject")
        if isinstance(checked, Reject):
            return Reject(Reason.CONTRADICTED, f"written anew: {checked.detail}", written | accepted | checked.update)
        held = await self.hold(row, reply.expression)
        seen = await asyncio.to_thread(self.seen, row, held)
        seen["confuser_jpeg"] = images[2]  # whom the text was confused with before: that is what was repaired
        update = written | accepted | checked | seen
        if held.decision != SINGLED_OUT:
            return rejected(held, update)
        return update | {"repairs": [*row.repairs, "lineup"]}
