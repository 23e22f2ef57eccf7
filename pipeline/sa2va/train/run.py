"""A training run as one worker sees it: data read, model built, steps done, checkpoints written, the model exported.

`check_run` and `try_micro_batch` tell what can be known of a run before its workers start.
"""

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import torch
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader

from manifests.outputs import check_space
from pipeline.data.clips import Clips
from pipeline.data.videos import Video
from pipeline.sa2va.build import build
from pipeline.sa2va.checkpoint.sidecar import read_trained_on, write_trained_on
from pipeline.sa2va.checkpoint.write import check_export, save_sa2va, scratch_folders
from pipeline.sa2va.config import TrainConfig
from pipeline.sa2va.dataset import RefSavDataset
from pipeline.sa2va.estimate import estimate
from pipeline.sa2va.example import LOGITS_STRIDE, Batch, Encoder, collate
from pipeline.sa2va.lora import parameters, prepare, summary
from pipeline.sa2va.model import Sa2va
from pipeline.sa2va.train import state
from pipeline.sa2va.train.held_out import check_eval_split, evaluate, evaluated, hold_out, warn_of_seen
from pipeline.sa2va.train.metrics_logger import (
    LOGGED,
    SCORE,
    MetricsLogger,
    best_step,
    draw_masks,
    last_evaluation,
    write_jpeg,
)
from pipeline.sa2va.train.state import DataIdentity
from pipeline.sa2va.train.step import DistContext, any_of, autocast, do_step, optimiser, plan, plan_steps
from pipeline.sa2va.train.training_data import check_shares, repeats_of, told_mixture

logger = logging.getLogger(__name__)
MODEL, _PICTURES = "model", "pictures"  # folders in OUT
_DRAWN = 4  # videos whose masks are drawn along the way
_STATES = 3  # a trained number and Adam's two of it, float32
_EXPORTED_BYTES = 2  # bfloat16


def check_run(config: TrainConfig, videos: list[Video]) -> None:
    """Check the checkpoint in OUT, the base model, the export and the disk; only names and shapes of weights are read.

    Raises:
        ValueError: the checkpoint is of another run, the base is broken or no MLLM, the model cannot be exported to
            OUT/model, or the disk has too little room.
    """
    trained_videos, held = hold_out(videos, config)
    check_shares(config, trained_videos)
    check_eval_split(config)
    before = read_trained_on(Path(config.model.base))
    warn_of_seen(config, held, before)
    state.resume_from(config, DataIdentity.of(trained_videos, before))
    model = build(config.model, device="meta", dtype=torch.bfloat16)
    check_model_folder(config, model.family.name)
    prepare(model, config.model)
    logger.info("the model can be built:\n%s", summary(model))
    checkpoint_bytes = _STATES * sum(4 * parameter.numel() for parameter in parameters(model))
    model_bytes = _EXPORTED_BYTES * sum(parameter.numel() for parameter in model.parameters())
    kept = config.keep_checkpoints + bool(config.eval_frac or config.eval_split)  # the best one stays too
    new = kept + 1 - len(list(Path(config.out).glob("checkpoints/step_*")))
    check_space(Path(config.out), max(1, new) * checkpoint_bytes + model_bytes, "checkpoints and the trained model")


def check_model_folder(config: TrainConfig, family: str) -> None:
    """Check that the run may write OUT/model at its end: what is there already must be this run's.

    Raises:
        ValueError: another model or something else is there, or a file of the official code is not.
    """
    out = Path(config.out)
    folder = out / MODEL
    if folder.is_dir() and any(folder.iterdir()) and state.latest(out) is None:
        raise ValueError(
            f"a run replaces only a model of its own, and {folder} is of another one, for {out} has no checkpoint: "
            "move it away, or name another --out"
        )
    check_export(folder, family, Path(config.official_code) if config.official_code else None)


def written_by(out: Path) -> list[Path]:
    """Return the files and folders that a run in `out` writes or replaces, those of `pipeline.ray_train` aside."""
    model = out / MODEL
    return [model, *scratch_folders(model), *(out / name for name in ("checkpoints", _PICTURES, *LOGGED))]


def try_micro_batch(config: TrainConfig, videos: list[Video], clips: Clips, device: torch.device) -> None:
    """Compute one forward and backward pass over the first videos in this process; nothing is written.

    Raises:
        ValueError: training would fail with the same message.
    """
    model = prepared(config, device)
    dataset = dataset_of(config, videos, clips, model)
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


def train(config: TrainConfig, videos: list[Video], clips: Clips, dist: DistContext) -> Path | None:
    """Train from the last checkpoint on, to the end of the run or until `dist.stop`.

    Returns:
        The folder of the exported model; None if the run was stopped before its end.

    Raises:
        ValueError: the settings cannot be trained with, the checkpoint is of another run, or a loss is no number.
        FatalError: a checkpoint cannot be written.
    """
    out = Path(config.out)
    out.mkdir(parents=True, exist_ok=True)
    videos, held = hold_out(videos, config)
    data = DataIdentity.of(videos, read_trained_on(Path(config.model.base)))  # empty for an MLLM
    checkpoint = state.resume_from(config, data)
    if checkpoint:
        data = replace(data, trained_on=data.trained_on | state.data_of(checkpoint).trained_on)
    model = prepared(config, dist.device)
    dataset = dataset_of(config, videos, clips, model)
    evaluated_on = evaluated(config, held, clips, lambda some: dataset_of(config, some, clips, model))
    lengths = dataset.lengths()
    of_all, steps = plan_steps(config, lengths, dataset.of_epoch), plan(config, lengths, dist, dataset.of_epoch)
    mixed = sorted(one.label for one in config.mixture)
    trained = parameters(model)
    adam, schedule = optimiser(trained, len(steps), config.optim, len(steps[0]) if config.official else 0)
    begun = state.load(checkpoint, model, adam, schedule) if checkpoint else 0
    if begun > len(steps) and dist.rank == 0:
        logger.warning(
            "%d steps are done, more than the %d of the data as it is now: nothing more is learned, and the model is "
            "exported as it is",
            *(begun, len(steps)),
        )

    join = partial(collate, family=model.family)
    # a worker without a video computes one with weight 0, so that all workers do the same number of passes
    read = [micro or of_all[n][:1] for n, step in enumerate(steps[begun:], start=begun) for micro in step]
    # its processes are forked before this one decodes a video: PyAV hangs in a copy of a process that has
    batches = _loader(config, dataset, read, join, dist)
    drawn = join([dataset[0, index] for index in range(min(_DRAWN, len(videos)))])
    metrics = None
    if dist.rank == 0:
        amount = f"{len(videos)} videos, {len(steps)} steps, {begun} done before"
        if evaluated_on:
            amount += f"; evaluated on {len(evaluated_on)} videos of {config.eval_split or f'{len(held)} held out'}"
        for line in told_mixture(config, videos):
            logger.info("%s", line)
        _introduce(config, model, drawn, amount)
        metrics = MetricsLogger(out, len(steps), begun)
        if not begun:
            _draw(metrics, out, 0, model, drawn, dist)
    # the first evaluation, or one that the end of the process before has left out
    is_due = begun in (0, len(steps)) or (config.eval_every > 0 and begun % config.eval_every == 0)
    missed = evaluated_on is not None and is_due and last_evaluation(out, evaluated_on.name) < begun
    if evaluated_on and any_of([metrics is not None and missed], dist)[0]:
        figures = evaluate(model, evaluated_on, dist)
        if metrics:
            metrics.log_evaluation(begun, figures, evaluated_on.name)
    wrapped = model if dist.world_size == 1 else DistributedDataParallel(model, gradient_as_bucket_view=True)
    wrapped.train()
    saves = Periodic(config.checkpoint_every, config.checkpoint_every_s)
    draws = Periodic(config.pictures_every, config.pictures_every_s)
    evaluations = Periodic(config.eval_every, config.eval_every_s)
    end = min(len(steps), config.stop_after or len(steps))
    for step in range(begun + 1, end + 1):
        dist.seed(config, step)
        started_s, lr = time.monotonic(), float(schedule.get_last_lr()[0])
        micro_batches = list(islice(batches, len(steps[step - 1])))
        weights = [len(micro) * dist.world_size / len(of_all[step - 1]) for micro in steps[step - 1]]
        result = do_step(config, wrapped, trained, adam, schedule, micro_batches, weights, dist, mixed)
        spent_s = time.monotonic() - started_s
        if metrics and (step % config.log_every == 0 or step == end):
            pace = {"samples/s": result.samples / spent_s, "tokens/s": result.tokens / spent_s}
            metrics.log(step, result.parts, lr=lr, norm=result.norm, pace=pace, by_source=result.by_source)
        if metrics and (draws.due(step) or step == len(steps)):
            _draw(metrics, out, step, model, drawn, dist)
        due_at_first = [metrics is not None and one.due(step) for one in (saves, evaluations)]
        due, to_evaluate, stop = any_of([*due_at_first, dist.stop()], dist)
        if evaluated_on and not stop and (to_evaluate or step == len(steps)):
            figures = evaluate(model, evaluated_on, dist)
            due = True  # so that the best can be exported
            if metrics:
                metrics.log_evaluation(step, figures, evaluated_on.name)
        if due or stop or step == end:
            if dist.rank == 0:
                best = best_step(out)
                state.save(config, step, model, adam, schedule, data, best[0] if best else None)
            dist.report({"step": step, **result.parts})
        if stop:
            end = step
            break
    if metrics:
        metrics.close()
    if end < len(steps):
        logger.info("stopped as asked after step %d of %d; its checkpoint is written", end, len(steps))
        return None
    if metrics:
        _tell_best(out, len(steps))
        export(config, model, data.trained_on, out / MODEL)
    return out / MODEL


def prepared(config: TrainConfig, device: torch.device) -> Sa2va:
    """Build the model as it is before the first step.

    Raises:
        ValueError: the base model or SAM 2 cannot be read.
    """
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    model = build(config.model, device=device, dtype=dtype, seed=config.seed)
    torch.manual_seed(config.seed)  # the adapters' first weights are drawn from it
    prepare(model, config.model)
    model.official = config.official
    return model


def dataset_of(config: TrainConfig, videos: Sequence[Video], clips: Clips, model: Sa2va) -> RefSavDataset:
    """Return the examples of `videos` as `model` takes them."""
    encode = Encoder(model.tokenizer, model.family, config.data, model.sam_side_px)
    mask_px = model.sam_side_px // LOGITS_STRIDE
    repeats = repeats_of(config, videos)
    return RefSavDataset(videos, clips, config.data, encode, config.seed, mask_px=mask_px, repeats=repeats)


def _loader(
    config: TrainConfig,
    dataset: RefSavDataset,
    micro: list[list[tuple[int, int]]],
    join: partial[Batch],
    dist: DistContext,
) -> Iterator[Batch]:
    """Return the micro-batches in their order, read ahead by the loader's processes."""
    loader = DataLoader(
        dataset,
        batch_sampler=micro,
        collate_fn=join,
        num_workers=config.loader_workers,
        worker_init_fn=_one_thread,
        pin_memory=dist.device.type == "cuda",
    )
    return iter(loader)


def _one_thread(_: int) -> None:
    """Keep OpenCV to one thread: a loader's process has one core, and OpenCV's threads do not survive a fork."""
    cv2.setNumThreads(0)


def _introduce(config: TrainConfig, model: Sa2va, first: Batch, amount: str) -> None:
    """Log what is trained on what, before the first step."""
    logger.info("%s\n%s", amount, summary(model))
    ids = first.input_ids_BL[0][first.attention_BL[0]].tolist()
    seen = [token for token in ids if token != model.family.context_token_id]
    text = str(model.tokenizer.decode(seen)).strip()
    logger.info("the first conversation, %d tokens, %d of pictures:\n%s", len(ids), len(ids) - len(seen), text)
    logger.info("%s", estimate(model, first, config))


def _draw(metrics: MetricsLogger, out: Path, step: int, model: Sa2va, drawn: Batch, dist: DistContext) -> None:
    """Draw the masks that the model gives for the fixed videos."""
    was_training = model.training
    model.eval()
    with torch.no_grad(), autocast(dist.device):
        logits_B = [logits.cpu().numpy() for logits in model(drawn.to(dist.device)).logits_B]
    model.train(was_training)
    image_HW3 = draw_masks(drawn, logits_B)
    write_jpeg(image_HW3, out / _PICTURES / f"step_{step:08d}.jpg")
    metrics.add_image(step, "masks", torch.from_numpy(image_HW3))


def _tell_best(out: Path, steps: int) -> None:
    best = best_step(out)
    if best and best[0] < steps:
        logger.info(
            "the best evaluation was after step %d, %s %.2f: python -m pipeline.train_on_refsav export %s best",
            *(best[0], SCORE, best[1], out),
        )


def export(config: TrainConfig, model: Sa2va, trained_on: frozenset[str], folder: Path) -> None:
    """Write a model in the official layout, with the ids of the videos that it has learned from.

    Raises:
        ValueError: `folder` holds something else, or a file of the official code is missing.
    """
    save_sa2va(
        model,
        folder,
        pixels=config.data.pixels,
        official_prompts=config.data.official_prompts,
        official_code=Path(config.official_code) if config.official_code else None,
    )
    write_trained_on(trained_on, folder)
    logger.info("the trained model is in %s", folder)


@dataclass
class Periodic:
    """Tells when something is due that a run does now and then.

    It is due when `steps` steps or `seconds_s` seconds have passed since it last was; 0 takes that measure away.
    """

    steps: int
    seconds_s: float
    _last_s: float = field(default_factory=time.monotonic)

    def due(self, step: int) -> bool:
        """Return whether it is due after optimiser step `step` (from 1); if so, the seconds count from now."""
        by_time = self.seconds_s > 0 and time.monotonic() - self._last_s >= self.seconds_s
        if by_time or (self.steps > 0 and step % self.steps == 0):
            self._last_s = time.monotonic()
            return True
        return False
