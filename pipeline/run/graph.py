"""The stages of the annotation in their order, and the check that they fit together."""

from collections.abc import Sequence

from manifests.io import Folder
from manifests.schema import ManifestRow, Row
from pipeline.run.config import RunConfig
from stages.base import Stage
from stages.caption_object import CaptionObject
from stages.check_consistency import CheckConsistency
from stages.check_facts import CheckFacts
from stages.compose_expression import ComposeExpression
from stages.describe_scene import DescribeScene
from stages.describe_video import DescribeVideo
from stages.render_views import RenderViews
from stages.repair_expression import RepairExpression
from stages.repair_object import RepairObject
from stages.writer import Writer


def build(config: RunConfig, sav: Folder, writer: Writer) -> list[Stage]:
    """The stages of a run, configured, not set up (paper, section 3.3, figure 3; facts and repair are ours)."""
    return [
        RenderViews(config.views, sav),
        CaptionObject(writer),
        CheckConsistency(writer, repair=config.repair),
        *([RepairObject(writer)] if config.repair else []),
        DescribeScene(writer),
        DescribeVideo(writer),
        ComposeExpression(writer),
        CheckFacts("repair" if config.repair else config.on_contradiction, writer.pool),
        *([RepairExpression(writer, config.on_contradiction)] if config.repair else []),
    ]


def check(stages: Sequence[Stage]) -> None:
    """Fail before anything starts if a stage reads what nobody wrote or writes what no row has.

    Raises:
        ValueError: naming the stage and the column.
    """
    known = set(ManifestRow.model_fields)
    seen: set[str] = set()
    for stage in stages:
        if stage.name in seen:
            raise ValueError(f"two stages are called {stage.name!r}: results could not be told apart")
        seen.add(stage.name)
        for column in stage.reads:
            if column not in known:
                raise ValueError(f"stage {stage.name} reads {column!r}, which no earlier stage writes")
        for column in stage.writes:
            if column not in Row.model_fields:
                raise ValueError(f"stage {stage.name} writes {column!r}, which is not a column of manifests.schema.Row")
        known |= set(stage.writes)
