"""Stage repair_expression: a text that the facts contradict is written anew after a second look at both images."""

from typing import Literal

from manifests.row_results import Reject, Update
from manifests.schema import Row
from prompts.replies import Expression
from stages.check_facts import check_expression
from stages.compose_expression import accept
from stages.writer import Writer, WriterStage


class RepairExpression(WriterStage):
    """Write `expression` anew where check_facts found contradictions; those that stay are reported or rejected."""

    name = "repair_expression"
    reads = ("crop_jpeg", "masked_jpeg", "expression", "contradictions", "object_description", "facts", "sibling_facts")
    writes = ("expression", "contradictions", "repairs", "calls", "writer", "prompt_ids")
    asks = ("repair_expression",)

    def __init__(self, writer: Writer, on_contradiction: Literal["report", "reject"]) -> None:
        super().__init__(writer)
        self.on_contradiction = on_contradiction

    async def write(self, row: Row) -> Update | Reject:
        """Ask once, as repair_object does; a row without contradictions goes on without being asked about."""
        if not row.contradictions:
            return {}
        assert row.facts is not None
        reply: Expression = await self.ask("repair_expression", row, [row.crop_jpeg, row.masked_jpeg])
        written = accept(reply)
        if isinstance(written, Reject):
            return written
        checked = check_expression(reply.expression, row.facts, self.on_contradiction)
        if isinstance(checked, Reject):
            return Reject(checked.reason, checked.detail, written | checked.update)
        repaired = [] if checked["contradictions"] else ["expression"]
        return written | checked | {"repairs": [*row.repairs, *repaired]}
