"""Stage repair_expression: a text that the facts contradict is mended by a second look at both pictures."""

from typing import Literal

from manifests.schema import Row
from prompts.replies import Expression
from stages.base import Reject, Update
from stages.check_facts import check_expression
from stages.compose_expression import accept
from stages.writer import Writer, WriterStage


class RepairExpression(WriterStage):
    """Write `expression` anew where check_facts found contradictions; what is left of them is reported or rejected."""

    name = "repair_expression"
    reads = ("crop_jpeg", "masked_jpeg", "expression", "contradictions", "object_description", "facts", "sibling_facts")
    writes = ("expression", "contradictions", "repairs", "calls", "writer", "prompt_ids")
    asks = ("repair_expression",)

    def __init__(self, writer: Writer, on_contradiction: Literal["report", "reject"]) -> None:
        super().__init__(writer)
        self.on_contradiction = on_contradiction

    async def write(self, row: Row) -> Update | Reject:
        """One round, as in repair_object."""
        if not row.contradictions:
            return {}
        assert row.facts is not None
        reply: Expression = await self.ask("repair_expression", row, [row.crop_jpeg, row.masked_jpeg])
        written = accept(reply)
        if isinstance(written, Reject):
            return written
        settled = check_expression(reply.expression, row.facts, self.on_contradiction)
        if isinstance(settled, Reject):
            return Reject(settled.reason, settled.detail, written | settled.update)
        mended = [] if settled["contradictions"] else ["expression"]
        return written | settled | {"repairs": [*row.repairs, *mended]}
