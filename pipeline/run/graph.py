"""The stages of an annotation run in their order, the check that they fit together, and which prompts each one asks."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache

from manifests.io import Folder
from manifests.schema import ManifestRow, Row
from pipeline.run.run_config import RunConfig
from pipeline.writers.measured import MeasuredWriter
from stages.audit_texts import AuditTexts
from stages.base import Stage
from stages.caption_object import CaptionObject
from stages.check_consistency import CheckConsistency
from stages.check_facts import CheckFacts
from stages.compose_expression import ComposeExpression
from stages.describe_scene import DescribeScene
from stages.describe_video import DescribeVideo
from stages.lineup_trials import LineupConfig
from stages.make_negatives import MakeNegatives
from stages.render_views import RenderViews
from stages.repair_expression import RepairExpression
from stages.repair_lineup import RepairLineup
from stages.repair_object import RepairObject
from stages.shorten_expression import ShortenExpression
from stages.verify_lineup import VerifyLineup
from stages.verify_short import VerifyShort
from stages.writer import JudgeWriter, WriterStage


def build(config: RunConfig, sav: Folder, writer: JudgeWriter, catch_frac: float = 0.0) -> list[Stage]:
    """Make the stages of a run, configured but not set up: those that write texts, or those that audit given ones.

    The order is that of the Sa2VA paper (section 3.3, figure 3); facts, line-up and repair are ours. `select_objects`
    is not among them: it runs once for each video, when the manifest is built.

    Args:
        config: settings of the run.
        sav: SAV_ROOT, where the stages find the videos.
        writer: answers the prompts of the stages.
        catch_frac: share of the objects whose catch trials measure the judge of the line-up.
    """
    lineup = config.lineup
    if config.texts_sha256:
        return _audit(config, sav, writer, catch_frac)
    return [
        RenderViews(config.views, sav, lineup=lineup is not None),
        CaptionObject(writer),
        CheckConsistency(writer, repair=config.repair),
        *([RepairObject(writer)] if config.repair else []),
        DescribeScene(writer),
        DescribeVideo(writer),
        ComposeExpression(writer),
        CheckFacts("repair" if config.repair else config.on_contradiction, writer.pool),
        *([RepairExpression(writer, config.on_contradiction)] if config.repair else []),
        *([VerifyLineup(writer, lineup, repair=config.repair, catch_frac=catch_frac)] if lineup else []),
        *([RepairLineup(writer, lineup)] if lineup and config.repair else []),
        *([ShortenExpression(writer)] if config.short or not config.models else []),
        *([VerifyShort(writer, lineup)] if lineup and config.short else []),
        MakeNegatives(writer.pool),
    ]


def _audit(config: RunConfig, sav: Folder, writer: JudgeWriter, catch_frac: float) -> list[Stage]:
    """Make the stages that check given texts: none of them writes a text, but those that repair one on request."""
    lineup = config.lineup
    return [
        RenderViews(config.views, sav, lineup=lineup is not None),
        AuditTexts(writer, lineup, catch_frac=catch_frac),
        CheckFacts("repair" if config.repair else "reject", writer.pool),
        *([RepairExpression(writer, "reject")] if config.repair else []),
        *([VerifyLineup(writer, lineup, repair=config.repair)] if lineup else []),
        *([RepairLineup(writer, lineup)] if lineup and config.repair else []),
    ]


def check(stages: Sequence[Stage]) -> None:
    """Check that every column that a stage reads is written before, and that a row has every column that one writes.

    Raises:
        ValueError: a column is missing, or two stages have one name; the stage and the column are named.
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


@cache
def prompts_by_stage() -> dict[str, tuple[str, ...]]:
    """Return the names of the prompts that a stage may ask, by the name of the stage, for all stages that ask any."""
    every = RunConfig(recipe="every stage", repair=True, lineup=LineupConfig(), short=True)
    both = (every, replace(every, texts_sha256="any"))
    stages = (stage for config in both for stage in build(config, Folder("."), MeasuredWriter()))
    return {stage.name: stage.asks for stage in stages if isinstance(stage, WriterStage)}
