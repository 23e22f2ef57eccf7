"""A training run as one worker sees it: model built, steps done, checkpoints written, the model exported."""

import logging
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path

import cv2
import torch
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader

from pipeline.data.clips import Clips
from pipeline.data.videos import Video
from pipeline.sa2va.batch import Batch
from pipeline.sa2va.build import build
from pipeline.sa2va.checkpoint.trained_on import read_trained_on, write_trained_on
from pipeline.sa2va.checkpoint.write import save_sa2va
from pipeline.sa2va.collate import collate
from pipeline.sa2va.config import TrainConfig
from pipeline.sa2va.dataset import RefSavDataset
from pipeline.sa2va.encode import LOGITS_STRIDE, Encoder
from pipeline.sa2va.estimate import estimate
from pipeline.sa2va.model import Sa2va
from pipeline.sa2va.train import pictures, state
from pipeline.sa2va.train.every import Every
from pipeline.sa2va.train.identity import DataIdentity
from pipeline.sa2va.train.loop import Place, any_of, autocast, do_step
from pipeline.sa2va.train.plan import plan, plan_steps
from pipeline.sa2va.train.schedule import optimiser
from pipeline.sa2va.train.watch import Watch
from pipeline.sa2va.trainable import parameters, prepare, summary

logger = logging.getLogger(__name__)

_SHOWN = 4  # videos whose masks are drawn along the way


def train(config: TrainConfig, videos: list[Video], clips: Clips, place: Place) -> Path | None:
    """Train from the last checkpoint on, to the end or until `place.stop`.

    Returns:
        The folder of the exported model; None if it was stopped before.

    Raises:
        ValueError: settings that cannot be trained with, a checkpoint of another run, a loss that is no number.
        FatalError: a checkpoint cannot be written.
    """
    out = Path(config.out)
    out.mkdir(parents=True, exist_ok=True)
    data = DataIdentity.of(videos, read_trained_on(Path(config.model.base)))  # empty for an MLLM
    checkpoint = state.resume_from(config, data)
    if checkpoint:
        data = replace(data, trained_on=data.trained_on | state.data_of(checkpoint).trained_on)
    model, dataset = prepared(config, videos, clips, place)
    lengths = dataset.lengths()
    whole, steps = plan_steps(config, lengths), plan(config, lengths, place)
    trained = parameters(model)
    adam, schedule = optimiser(trained, len(steps), config.optim, len(steps[0]) if config.official else 0)
    begun = state.load(checkpoint, model, adam, schedule) if checkpoint else 0

    join = partial(collate, family=model.family)
    shown = join([dataset[0, index] for index in range(min(_SHOWN, len(videos)))])
    watch = None
    if place.rank == 0:
        _introduce(config, model, shown, f"{len(videos)} videos, {len(steps)} steps, {begun} done before")
        watch = Watch(out, len(steps), begun)
        if not begun:
            _show(watch, out, 0, model, shown, place)
    wrapped = model if place.world == 1 else DistributedDataParallel(model, gradient_as_bucket_view=True)
    wrapped.train()
    # a worker without a video computes one that counts nothing, so that all of them keep step
    read = [micro or whole[n][:1] for n, step in enumerate(steps[begun:], start=begun) for micro in step]
    batches = _loader(config, dataset, read, join, place)
    saves = Every(config.checkpoint_every, config.checkpoint_every_s)
    shows = Every(config.pictures_every, config.pictures_every_s)
    end = min(len(steps), config.stop_after or len(steps))
    for step in range(begun + 1, end + 1):
        place.seed(config, step)
        started_s, lr = time.monotonic(), float(schedule.get_last_lr()[0])
        micro_batches = list(islice(batches, len(steps[step - 1])))
        weights = [len(micro) * place.world / len(whole[step - 1]) for micro in steps[step - 1]]
        told = do_step(config, wrapped, trained, adam, schedule, micro_batches, weights, place)
        spent_s = time.monotonic() - started_s
        if watch and (step % config.log_every == 0 or step == end):
            pace = {"samples/s": told.samples / spent_s, "tokens/s": told.tokens / spent_s}
            watch.tell(step, told.parts, lr=lr, norm=told.norm, pace=pace)
        if watch and (shows.due(step) or step == len(steps)):
            _show(watch, out, step, model, shown, place)
        due, stop = any_of([watch is not None and saves.due(step), place.stop()], place)
        if due or stop or step == end:
            if place.rank == 0:
                state.save(config, step, model, adam, schedule, data)
            place.report({"step": step, **told.parts})
        if stop:
            end = step
            break
    if watch:
        watch.close()
    if end < len(steps):
        logger.info("stopped as asked after step %d of %d; its checkpoint is written", end, len(steps))
        return None
    if watch:
        _export(config, model, data.trained_on)
    return out / "model"


def prepared(config: TrainConfig, videos: list[Video], clips: Clips, place: Place) -> tuple[Sa2va, RefSavDataset]:
    """The model as it is before the first step, and what it is trained on.

    Raises:
        ValueError: the base model or SAM 2 cannot be read.
    """
    dtype = torch.bfloat16 if place.device.type == "cuda" else torch.float32
    model = build(config.model, device=place.device, dtype=dtype, seed=config.seed)
    torch.manual_seed(config.seed)  # of the adapters' first weights
    prepare(model, config.model)
    model.official = config.official
    encode = Encoder(model.tokenizer, model.family, config.data, model.sam_side_px)
    mask_px = model.sam_side_px // LOGITS_STRIDE
    return model, RefSavDataset(videos, clips, config.data, encode, config.seed, mask_px=mask_px)


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


def _export(config: TrainConfig, model: Sa2va, trained_on: frozenset[str]) -> None:
    folder = Path(config.out, "model")
    save_sa2va(
        model,
        folder,
        pixels=config.data.pixels,
        official_prompts=config.data.official_prompts,
        official_code=Path(config.official_code) if config.official_code else None,
    )
    write_trained_on(trained_on, folder)
    logger.info("the trained model is in %s", folder)
