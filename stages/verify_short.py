"""Stage verify_short: the short texts of an object are put to the judge as well, the shortest first."""

from manifests.lineup import ALONE, SINGLED_OUT
from manifests.row_results import Reject, Update
from manifests.schema import Row
from stages.judged import JudgeStage, rejected
from stages.shorten_expression import shortest


class VerifyShort(JudgeStage):
    """Choose as `short_expression` the shortest text that passes a line-up of its own; it rejects no object.

    Texts after the first that passes are not put to the judge. A judge that measures has judged them when they were
    written, so it is not asked again.
    """

    name = "verify_short"
    reads = ("short_texts", "short_expression", "lineup_frames", "facts", "sibling_facts")
    writes = ("short_texts", "short_expression", "calls", "prompt_ids")
    asks = ("lineup",)

    async def write(self, row: Row) -> Update | Reject:
        """Hold a line-up for one text after the other until one passes."""
        if not self.looks or row.short_expression is None:
            return {}
        texts = {each.text: each for each in row.short_texts}
        while (chosen := shortest([*texts.values()])) is not None:
            held = await self.hold(row, chosen, "short")
            if held.decision in (SINGLED_OUT, ALONE):
                texts[chosen] = texts[chosen].model_copy(update={"lineup": held})
                break
            fault = f"line-up: {rejected(held, {}).detail}"
            texts[chosen] = texts[chosen].model_copy(update={"lineup": held, "fault": fault})
        return {"short_texts": [*texts.values()], "short_expression": chosen}
