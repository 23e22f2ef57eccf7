"""Stage check_consistency: are the two captions about one thing? Then they become the object level (paper 3.3)."""

from manifests.schema import Reason, Row
from prompts.replies import Consistency
from stages.base import Reject, Update
from stages.writer import Writer, WriterStage


class CheckConsistency(WriterStage):
    """Fill `verdict` and `object_description`; reject the rest, but what repair_object is to mend."""

    name = "check_consistency"
    reads = ("caption_crop", "caption_masked", "facts")
    writes = ("verdict", "conflict", "object_description", "calls", "writer", "prompt_ids")
    asks = ("check_consistency",)

    def __init__(self, writer: Writer, *, repair: bool = False) -> None:
        super().__init__(writer)
        self.repair = repair  # repair_object comes next

    async def write(self, row: Row) -> Update | Reject:
        """Both captions are quoted in the detail of a rejection."""
        reply: Consistency = await self.ask("check_consistency", row)
        quoted = f"crop: {row.caption_crop!r}; masked: {row.caption_masked!r}"
        found = {"verdict": reply.verdict, "conflict": reply.conflict or None}
        if reply.verdict == "inconsistent" and self.repair:
            return {**found, "conflict": reply.conflict or "(not named)"}
        if reply.verdict == "inconsistent":
            return Reject(Reason.INCONSISTENT, f"{reply.conflict or 'no conflict named'} ({quoted})", found)
        if reply.verdict == "unrecognizable":
            detail = f"{reply.conflict or 'neither caption says what it is'} ({quoted})"
            return Reject(Reason.UNRECOGNIZABLE, detail, found)
        return {**found, "object_description": reply.object_description}
