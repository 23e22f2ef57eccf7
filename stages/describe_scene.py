"""Stage describe_scene: asks where the object is and how it stands to what surrounds it (paper 3.3)."""

from manifests.row_results import Update
from manifests.schema import Row
from prompts.replies import Scene
from stages.writer import WriterStage


class DescribeScene(WriterStage):
    """Fill the column `scene_description`."""

    name = "describe_scene"
    reads = ("scene_jpeg", "object_description", "part_of", "source_label", "facts", "sibling_facts")
    writes = ("scene_description", "calls", "writer", "prompt_ids")
    asks = ("describe_scene",)

    async def write(self, row: Row) -> Update:
        """Show one image: the full frame in which the object is largest, with a thin contour around it."""
        reply: Scene = await self.ask("describe_scene", row, [row.scene_jpeg])
        return {"scene_description": reply.description}
