"""Stage check_consistency: asks whether both captions are about the same thing, and merges them if so (paper 3.3)."""

from manifests.row_results import Reject, Update
from manifests.schema import Reason, Row
from prompts.replies import Consistency
from stages.writer import Writer, WriterStage


class CheckConsistency(WriterStage):
    """Fill `verdict` and `object_description`; reject a row whose captions disagree, unless repair_object follows."""

    name = "check_consistency"
    reads = ("caption_crop", "caption_masked", "facts")
    writes = ("verdict", "conflict", "object_description", "calls", "writer", "prompt_ids")
    asks = ("check_consistency",)

    def __init__(self, writer: Writer, *, repair: bool = False) -> None:
        super().__init__(writer)
        self.repair = repair  # True if repair_object is the next stage: inconsistent rows go on to it

    async def write(self, row: Row) -> Update | Reject:
        """Ask for the verdict; the detail of a rejection quotes both captions."""
        reply: Consistency = await self.ask("check_consistency", row)
        quoted = f"crop: {row.caption_crop!r}; masked: {row.caption_masked!r}"
        update = {"verdict": reply.verdict, "conflict": reply.conflict or None}
        if reply.verdict == "inconsistent" and self.repair:
            return update
        if reply.verdict == "inconsistent":
            return Reject(Reason.INCONSISTENT, f"{reply.conflict or 'no conflict named'} ({quoted})", update)
        if reply.verdict == "unrecognizable":
            detail = f"{reply.conflict or 'neither caption says what it is'} ({quoted})"
            return Reject(Reason.UNRECOGNIZABLE, detail, update)
        return {**update, "object_description": reply.object_description}
