"""Stage caption_object: asks for two captions of the object, each from one of two images (paper 3.3)."""

from manifests.row_results import Update
from manifests.schema import Row
from prompts.replies import Caption
from stages.writer import WriterStage


class CaptionObject(WriterStage):
    """Fill `caption_crop` and `caption_masked`."""

    name = "caption_object"
    reads = ("crop_jpeg", "masked_jpeg", "part_of", "source_label", "facts")
    writes = ("caption_crop", "caption_masked", "calls", "writer", "prompt_ids")
    asks = ("caption_crop", "caption_masked")

    async def write(self, row: Row) -> Update:
        """Ask once for every image: shown together, they are described worse than either alone (DAM, table 8)."""
        crop: Caption = await self.ask("caption_crop", row, [row.crop_jpeg])
        masked: Caption = await self.ask("caption_masked", row, [row.masked_jpeg])
        return {"caption_crop": crop.caption, "caption_masked": masked.caption}
