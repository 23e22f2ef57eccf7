"""A training run as one worker sees it: model built, steps done, checkpoints written, the model exported."""

import logging
import time
from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path

import cv2
import torch
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader

from pipeline.sa2va.batch import Batch
from pipeline.sa2va.build import build
from pipeline.sa2va.checkpoint.trained_on import read_trained_on, write_trained_on
from pipeline.sa2va.checkpoint.write import save_sa2va
from pipeline.sa2va.collate import collate
from pipeline.sa2va.config import TrainConfig
from pipeline.sa2va.data.clips import Clips
from pipeline.sa2va.data.dataset import RefSavDataset
from pipeline.sa2va.data.items import Video
from pipeline.sa2va.encode import LOGITS_STRIDE, Encoder
from pipeline.sa2va.estimate import estimate
from pipeline.sa2va.model import Sa2va
from pipeline.sa2va.train import pictures, state
from pipeline.sa2va.train.loop import Place, autocast, do_step
from pipeline.sa2va.train.plan import plan
from pipeline.sa2va.train.schedule import optimiser
from pipeline.sa2va.train.watch import Watch
from pipeline.sa2va.trainable import parameters, prepare, summary

logger = logging.getLogger(__name__)

_SHOWN = 4  # videos whose masks are drawn along the way


def train(config: TrainConfig, videos: list[Video], clips: Clips, place: Place) -> Path:
    """Train to the end, or from the last checkpoint on; returns the folder of the exported model.

    Raises:
        ValueError: settings that cannot be trained with, a checkpoint of another run, a loss that is no number.
    """
    out = Path(config.out)
    out.mkdir(parents=True, exist_ok=True)
    checkpoint = state.latest(out)
    if checkpoint:
        state.check_settings(config, checkpoint)
    dtype = torch.bfloat16 if place.device.type == "cuda" else torch.float32
    model = build(config.model, device=place.device, dtype=dtype, seed=config.seed)
    torch.manual_seed(config.seed)  # of the adapters' first weights
    prepare(model, config.model)
    model.official = config.official
    encode = Encoder(model.tokenizer, model.family, config.data, model.sam_side_px)
    dataset = RefSavDataset(videos, clips, config.data, encode, config.seed, mask_px=model.sam_side_px // LOGITS_STRIDE)
    steps = plan(config, dataset.lengths(), place)
    trained = parameters(model)
    adam, schedule = optimiser(trained, len(steps), config.optim)
    begun = state.load(checkpoint, model, adam, schedule) if checkpoint else 0

    join = partial(collate, family=model.family)
    shown = join([dataset[0, index] for index in range(min(_SHOWN, len(videos)))])
    watch = None
    if place.rank == 0:
        _introduce(config, model, shown, f"{len(videos)} videos, {len(steps)} steps, {begun} done before")
        watch = Watch(out, len(steps), begun)
    wrapped = model if place.world == 1 else DistributedDataParallel(model, gradient_as_bucket_view=True)
    wrapped.train()
    batches = _loader(config, dataset, [micro for step in steps[begun:] for micro in step], join, place)
    end = min(len(steps), config.stop_after or len(steps))
    for step in range(begun + 1, end + 1):
        place.seed(config, step)
        started_s, lr = time.monotonic(), float(schedule.get_last_lr()[0])
        micro_batches = islice(batches, len(steps[step - 1]))
        told = do_step(config, wrapped, trained, adam, schedule, list(micro_batches), place)
        spent_s = time.monotonic() - started_s
        if watch and (step % config.log_every == 0 or step == end):
            pace = {"samples/s": told.samples / spent_s, "tokens/s": told.tokens / spent_s}
            watch.tell(step, told.parts, lr=lr, norm=told.norm, pace=pace)
        if watch and config.pictures_every and (step % config.pictures_every == 0 or step == len(steps)):
            _show(watch, out, step, model, shown, place)
        if step % config.checkpoint_every == 0 or step == end:
            if place.rank == 0:
                state.save(config, step, model, adam, schedule)
            place.report({"step": step, **told.parts})
    if watch:
        watch.close()
        if end == len(steps):
            _export(config, model, videos)
    return out / "model"


def _loader(
    config: TrainConfig, dataset: RefSavDataset, micro: list[list[tuple[int, int]]], join: partial[Batch], place: Place
) -> Iterator[Batch]:
    """The micro-batches in their order, read ahead by worker processes."""
    loader = DataLoader(
        dataset,
        batch_sampler=micro,
        collate_fn=join,
        num_workers=config.loader_workers,
        worker_init_fn=_one_thread,
        pin_memory=place.device.type == "cuda",
    )
    return iter(loader)


def _one_thread(_: int) -> None:
    """A loader's process has a core of its own, and OpenCV's threads do not outlive the fork that made it."""
    cv2.setNumThreads(0)


def _introduce(config: TrainConfig, model: Sa2va, first: Batch, amount: str) -> None:
    """Say what is trained on what, before the first step."""
    logger.info("%s\n%s", amount, summary(model))
    ids = first.input_ids_BL[0][first.attention_BL[0]].tolist()
    seen = [token for token in ids if token != model.family.context_token_id]
    text = str(model.tokenizer.decode(seen)).strip()
    logger.info("the first conversation, %d tokens, %d of pictures:\n%s", len(ids), len(ids) - len(seen), text)
    logger.info("%s", estimate(model, first, config))


def _show(watch: Watch, out: Path, step: int, model: Sa2va, shown: Batch, place: Place) -> None:
    """Draw the masks that the model gives for the fixed videos."""
    was_training = model.training
    model.eval()
    with torch.no_grad(), autocast(place.device):
        logits_B = [logits.cpu().numpy() for logits in model(shown.to(place.device)).logits_B]
    model.train(was_training)
    picture_HW3 = pictures.draw(shown, logits_B)
    pictures.write(picture_HW3, out / "pictures" / f"step_{step:08d}.jpg")
    watch.show(step, "masks", torch.from_numpy(picture_HW3))


def _export(config: TrainConfig, model: Sa2va, videos: list[Video]) -> None:
    folder = Path(config.out, "model")
    save_sa2va(
        model,
        folder,
        pixels=config.data.pixels,
        official_prompts=config.data.official_prompts,
        official_code=Path(config.official_code) if config.official_code else None,
    )
    before = read_trained_on(Path(config.model.base))  # empty for an MLLM
    write_trained_on(before | {video.video_id for video in videos}, folder)
    logger.info("the trained model is in %s", folder)
