"""Stage repair_object: captions that contradict each other are reconciled by a second look at both images."""

from manifests.row_results import Reject, Update
from manifests.schema import Reason, Row
from prompts.replies import Consistency
from stages.writer import WriterStage


class RepairObject(WriterStage):
    """Fill `object_description` of the rows that check_consistency found inconsistent; reject those that stay so."""

    name = "repair_object"
    reads = (
        "crop_jpeg",
        "masked_jpeg",
        "caption_crop",
        "caption_masked",
        "verdict",
        "conflict",
        "part_of",
        "source_label",
    )
    writes = ("verdict", "conflict", "object_description", "repairs", "calls", "writer", "prompt_ids")
    asks = ("repair_object",)

    async def write(self, row: Row) -> Update | Reject:
        """Ask once: a model that saw both images and the conflict and cannot decide will not do so if asked again."""
        if row.verdict != "inconsistent":
            return {}
        reply: Consistency = await self.ask("repair_object", row, [row.crop_jpeg, row.masked_jpeg])
        if reply.verdict == "consistent":
            return {
                "verdict": "repaired",
                "object_description": reply.object_description,
                "repairs": [*row.repairs, "object"],
            }
        reason = Reason.UNRECOGNIZABLE if reply.verdict == "unrecognizable" else Reason.INCONSISTENT
        conflict = reply.conflict or row.conflict
        detail = f"not settled by a second look: {conflict or 'no conflict named'} (crop: {row.caption_crop!r}; "
        return Reject(reason, f"{detail}masked: {row.caption_masked!r})", {"conflict": conflict})
