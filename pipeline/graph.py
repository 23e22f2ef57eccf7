"""The stages of the annotation in their order, and the check that they fit together."""

from collections.abc import Sequence

from manifests.io import Folder
from manifests.schema import ManifestRow, Row
from pipeline.config import RunConfig
from pipeline.writers import make_writer
from stages.base import Stage
from stages.caption_object import CaptionObject
from stages.check_consistency import CheckConsistency
from stages.compose_expression import ComposeExpression
from stages.describe_scene import DescribeScene
from stages.describe_video import DescribeVideo
from stages.render_views import RenderViews


def build(config: RunConfig, sav: Folder) -> list[Stage]:
    """The stages of a run, configured, not set up (paper, section 3.3, figure 3)."""
    writer = make_writer(config.engine)
    return [
        RenderViews(config.views, sav),
        CaptionObject(writer),
        CheckConsistency(writer),
        DescribeScene(writer),
        DescribeVideo(writer),
        ComposeExpression(writer),
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
