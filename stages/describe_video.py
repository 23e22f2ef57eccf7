"""Stage describe_video: asks what the object does from the beginning of the video to its end (paper 3.3)."""

from manifests.row_results import Update
from manifests.schema import Row
from prompts.replies import Video
from stages.writer import WriterStage


class DescribeVideo(WriterStage):
    """Fill the column `video_description`."""

    name = "describe_video"
    reads = ("video_jpegs", "video_times_s", "scene_description", "facts")
    writes = ("video_description", "calls", "writer", "prompt_ids")
    asks = ("describe_video",)

    async def write(self, row: Row) -> Update:
        """Show all frames that were drawn of the video in one request; the prompt gives their times."""
        reply: Video = await self.ask("describe_video", row, row.video_jpegs)
        return {"video_description": reply.description}
