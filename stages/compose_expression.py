"""Stage compose_expression: writes the referring expression in three parts, from the three descriptions (paper 3.3)."""

from manifests.expression import why_rejected
from manifests.row_results import Reject, Update
from manifests.schema import Row
from prompts.replies import Expression
from stages.writer import WriterStage


def accept(reply: Expression) -> Update | Reject:
    """Return an update with the column `expression`, or a rejection that keeps it if the text must not be used."""
    written = {"expression": reply.expression}
    if rejected := why_rejected(reply.expression, reply.ambiguous_with):
        return Reject(*rejected, written)
    return written


class ComposeExpression(WriterStage):
    """Fill `expression`; reject a text that speaks of how the object was shown, or that fits another object as well."""

    name = "compose_expression"
    reads = ("object_description", "scene_description", "video_description", "facts", "sibling_facts")
    writes = ("expression", "calls", "writer", "prompt_ids")
    asks = ("compose_expression",)

    async def write(self, row: Row) -> Update | Reject:
        """Ask for the expression without showing images, so that nothing is said that no earlier stage said."""
        return accept(await self.ask("compose_expression", row))
