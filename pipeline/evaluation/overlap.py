"""Refuses to score a model on videos that it has learned from: the figures would say nothing of others."""

import logging
from pathlib import Path

from pipeline.evaluation.problems import some
from pipeline.evaluation.split import Split
from pipeline.sa2va.checkpoint.sidecar import read_trained_on

logger = logging.getLogger(__name__)


def check_unseen(model: Path, split: Split, *, allow: bool) -> None:
    """Compare the videos of `split` with those that the checkpoint in the folder `model` says it was trained on.

    Args:
        model: a folder; one that does not say (an official checkpoint) passes.
        split: to be scored on.
        allow: only log what would be refused.

    Raises:
        ValueError: they have videos in common; the first are named.
    """
    learned = read_trained_on(model)
    both = [video.video_id for video in split.videos if video.video_id in learned]
    if not both:
        return
    told = (
        f"a model is scored on videos that it has not learned from, but {model} was trained on {len(both)} of the "
        f"{len(split.videos)} videos in {split.folder}: {some(both)}"
    )
    if not allow:
        raise ValueError(
            f"{told}. Train with --split {split.folder}, which leaves them out; or give --allow-overlap, and do not "
            "compare the figures with others'"
        )
    logger.warning("%s", told)
