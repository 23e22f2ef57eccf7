"""What can be known of a run before its workers start: whether its model can be built, and whether there is room."""

import logging
import time
from pathlib import Path
from typing import Any

import torch

from manifests.outputs import check_space
from pipeline.data.clips import Clips
from pipeline.data.videos import Video
from pipeline.sa2va.build import build
from pipeline.sa2va.checkpoint.trained_on import read_trained_on
from pipeline.sa2va.collate import collate
from pipeline.sa2va.config import TrainConfig
from pipeline.sa2va.estimate import estimate
from pipeline.sa2va.train import state
from pipeline.sa2va.train.identity import DataIdentity
from pipeline.sa2va.train.loop import Place, autocast
from pipeline.sa2va.train.run import prepared
from pipeline.sa2va.trainable import parameters, prepare, summary

logger = logging.getLogger(__name__)

_STATES = 3  # a trained number and Adam's two of it, float32
_EXPORTED_BYTES = 2  # bfloat16


def check_run(config: TrainConfig, videos: list[Video]) -> None:
    """Look at checkpoint, base model and disk; of weights nothing but names and shapes is read.

    Raises:
        ValueError: the checkpoint in OUT is of another run, the base is broken or no MLLM, or there is too little room.
    """
    state.resume_from(config, DataIdentity.of(videos, read_trained_on(Path(config.model.base))))
    model = build(config.model, device="meta", dtype=torch.bfloat16)
    prepare(model, config.model)
    logger.info("the model can be built:\n%s", summary(model))
    checkpoint_bytes = _STATES * sum(4 * each.numel() for each in parameters(model))
    model_bytes = _EXPORTED_BYTES * sum(each.numel() for each in model.parameters())
    new = config.keep_checkpoints + 1 - len(list(Path(config.out).glob("checkpoints/step_*")))
    check_space(Path(config.out), max(1, new) * checkpoint_bytes + model_bytes, "checkpoints and the trained model")


def try_micro_batch(config: TrainConfig, videos: list[Video], clips: Clips, device: torch.device) -> None:
    """One forward and backward pass over the first videos, here; nothing is changed or written.

    Raises:
        ValueError: what training would fail with.
    """
    model, dataset = prepared(config, videos, clips, Place(device=device))
    count = min(config.optim.micro_batch, len(videos))
    batch = collate([dataset[0, index] for index in range(count)], family=model.family)
    logger.info("%s", estimate(model, batch, config))
    model.train()
    started_s = time.monotonic()
    with autocast(device):
        losses: Any = model(batch.to(device))
    losses.total.backward()
    if device.type == "cuda":
        torch.cuda.synchronize()
    spent_s = time.monotonic() - started_s
    if not torch.isfinite(losses.total):
        raise ValueError(f"the loss must be a number, got {losses.total.item()} for {', '.join(batch.video_ids_B)}")
    logger.info("a micro-batch of %d videos: loss %.4f, %.2f s", count, losses.total.item(), spent_s)
