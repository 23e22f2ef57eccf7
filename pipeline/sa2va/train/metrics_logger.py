"""Log the metrics of a run while it goes: a line a step, `curve.jsonl`, TensorBoard, and masks drawn along the way.

`curve.jsonl` has one line per logged step, `evaluation.jsonl` one per evaluation. A run that is resumed at step s drops
the lines after s, and a line that a kill or a full disk cut off, and goes on: so a killed run leaves the same curve as
one that was not (the times aside).
"""

import json
import logging
import math
import resource
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.tensorboard import SummaryWriter

from pipeline.sa2va.example import Batch
from stages.video.images import Image

logger = logging.getLogger(__name__)
_CURVE, _EVALUATION, _BOARD = LOGGED = ("curve.jsonl", "evaluation.jsonl", "tensorboard")
PARTS = ("llm", "mask", "dice")
SCORE = "J&F"
_ON = "evaluated_on"  # in a line of evaluation.jsonl: fingerprint of the videos, for only the same can be compared

_SIDE_PX = 192  # of a cell of the drawn image
_TINT, _EDGE = (0, 220, 255), (255, 255, 0)  # red green blue, of the predicted mask and of the true one


class MetricsLogger:
    """Writes the curves of a run; only the first worker has one.

    Args:
        out: the run's folder.
        steps: number of steps of the run.
        begun: steps that were done before this process.
    """

    def __init__(self, out: Path, steps: int, begun: int) -> None:
        self.steps, self._begun, self._start_s = steps, begun, time.monotonic()
        self._curve, self._evaluation = out / _CURVE, out / _EVALUATION
        for file in (self._curve, self._evaluation):
            if not (lines := _lines(file, begun)) and not file.exists():
                continue
            unfinished = file.with_name(f".{file.name}.tmp")  # a kill while it is written costs no line
            unfinished.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
            unfinished.replace(file)
        self._board = SummaryWriter(str(out / _BOARD), purge_step=begun + 1)

    def log(
        self,
        step: int,
        parts: dict[str, float],
        *,
        lr: float,
        norm: float,
        pace: dict[str, float],
        by_source: dict[str, float],
    ) -> None:
        """Log optimiser step `step` (from 1): the parts of the loss, and what all workers together did a second.

        `by_source` has the loss of every data set of a mixture that had videos in the step.
        """
        loss = sum(parts[name] for name in PARTS)
        spent_s = time.monotonic() - self._start_s
        left_s = spent_s / (step - self._begun) * (self.steps - step)
        memory = _memory_bytes() / 2**30
        logger.info(
            "step %d/%d  loss %.4f (%s)  gradient %.2f  lr %.2e  %s  %.1f GiB  ETA %s",
            *(step, self.steps, loss, "  ".join(f"{name} {parts[name]:.4f}" for name in PARTS), norm, lr),
            "  ".join(f"{value:,.1f} {name}" for name, value in pace.items()),
            *(memory, _clock(left_s)),
        )
        with self._curve.open("a") as file:
            losses = {"loss": loss, **parts, **{f"loss/{name}": value for name, value in by_source.items()}}
            file.write(json.dumps({"step": step, **losses, "lr": lr, "gradient": norm, **pace}) + "\n")
        for name, value in {**losses, "lr": lr, "gradient": norm, "memory GiB": memory, **pace}.items():
            self._board.add_scalar(f"train/{name}", value, step)

    def log_evaluation(self, step: int, figures: dict[str, float], on: str) -> None:
        """Log what the model after optimiser step `step` comes to on the videos that `on` names."""
        logger.info(
            "step %d/%d  evaluated: %s", step, self.steps, "  ".join(f"{k} {v:.4f}" for k, v in figures.items())
        )
        with self._evaluation.open("a") as file:
            file.write(json.dumps({"step": step, **figures, _ON: on}) + "\n")
        for name, value in figures.items():
            self._board.add_scalar(f"evaluation/{name}", value, step)

    def add_image(self, step: int, name: str, image_HW3: torch.Tensor) -> None:
        """Put an image (uint8, red green blue) beside TensorBoard's curves."""
        self._board.add_image(name, image_HW3, step, dataformats="HWC")

    def close(self) -> None:
        """Write out what TensorBoard has buffered."""
        self._board.close()


def best_step(out: Path) -> tuple[int, float] | None:
    """Return the step of the best evaluation after the first step, the earliest of equals, and its J&F in percent.

    Evaluations on other videos than the last one's do not count.
    """
    lines = _lines(out / _EVALUATION)
    lines = [line for line in lines if line["step"] > 0 and line.get(_ON) == lines[-1].get(_ON) and _is_scored(line)]
    best = max(lines, key=lambda line: (line[SCORE], -line["step"]), default=None)
    return (best["step"], best[SCORE]) if best else None


def last_evaluation(out: Path, on: str) -> int:
    """Return the step of the last evaluation on the videos `on`, -1 if there is none."""
    return max((line["step"] for line in _lines(out / _EVALUATION) if line.get(_ON) == on), default=-1)


def _is_scored(line: dict[str, Any]) -> bool:
    return isinstance(line.get(SCORE), float) and math.isfinite(line[SCORE])


def _lines(file: Path, last: int | None = None) -> list[dict[str, Any]]:
    """Return the lines of a file of metrics that have a step, up to step `last`; 0 is none, None all."""
    known = file.read_bytes().splitlines() if last != 0 and file.exists() else []
    lines = [line for line in map(_parsed, known) if isinstance(line.get("step"), int)]
    return [line for line in lines if last is None or line["step"] <= last]


def _parsed(line: bytes) -> dict[str, Any]:
    """Return a line of the curve, {} where it was cut off."""
    try:
        entry = json.loads(line)
    except ValueError:
        return {}
    return entry if isinstance(entry, dict) else {}


def _memory_bytes() -> int:
    """Return the most memory that was in use on the GPU, or by this process where there is none."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _clock(seconds_s: float) -> str:
    minutes, seconds = divmod(round(seconds_s), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d}"


def draw_masks(batch: Batch, logits_B: Sequence[NDArray[np.float32]]) -> Image:
    """Draw the frames of a batch with the predicted mask as a tint and the true one as a contour.

    Args:
        batch: on the CPU.
        logits_B: for every video (O, F, M, M); above 0 is inside.

    Returns:
        One image, red green blue: a row for every object of every video, a column for every frame.
    """
    rows, first = [], 0
    for masks_OFMM, logits_OFMM in zip(batch.masks_B, logits_B, strict=True):
        frames = masks_OFMM.shape[1]
        images_FHW3 = batch.sam_frames_N3SS[first : first + frames].permute(0, 2, 3, 1).numpy()
        first += frames
        for true_FMM, logits_FMM in zip(masks_OFMM.numpy(), logits_OFMM, strict=True):
            cells = zip(images_FHW3, true_FMM, logits_FMM > 0, strict=True)
            rows.append(np.concatenate([_cell(*cell) for cell in cells], axis=1))
    width_px = max(row.shape[1] for row in rows)
    return np.concatenate([np.pad(row, ((0, 0), (0, width_px - row.shape[1]), (0, 0))) for row in rows])


def write_jpeg(image_HW3: Image, path: Path) -> None:
    """Write an image as JPEG, and make its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), cv2.cvtColor(image_HW3, cv2.COLOR_RGB2BGR))


def _cell(image_HW3: Image, true_MM: NDArray[np.uint8], predicted_MM: NDArray[np.bool_]) -> Image:
    size = (_SIDE_PX, _SIDE_PX)
    cell = np.asarray(cv2.resize(np.ascontiguousarray(image_HW3), size, interpolation=cv2.INTER_AREA), np.uint8)
    predicted = cv2.resize(predicted_MM.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST).astype(bool)
    cell[predicted] = (cell[predicted] * 0.5 + np.array(_TINT) * 0.5).astype(np.uint8)
    true = cv2.resize(np.ascontiguousarray(true_MM), size, interpolation=cv2.INTER_NEAREST)
    outlines, _ = cv2.findContours(true, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(cell, outlines, -1, _EDGE, 1)
    return cell
