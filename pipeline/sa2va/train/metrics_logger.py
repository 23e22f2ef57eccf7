"""What a run tells while it goes: a line a step, `curve.jsonl`, TensorBoard.

`curve.jsonl` has one line per told step. A run that is resumed at step s drops the lines after s, and one that a kill
or a full disk cut off, and goes on: so a killed run leaves the same curve as one that was not (the times aside).
"""

import json
import logging
import resource
import time
from pathlib import Path
from typing import Any

import torch
from torch.utils.tensorboard import SummaryWriter

logger = logging.getLogger(__name__)

PARTS = ("llm", "mask", "dice")


class Watch:
    """Of the first worker only.

    Args:
        out: the run's folder.
        steps: of the whole run.
        begun: steps done before this process.
    """

    def __init__(self, out: Path, steps: int, begun: int) -> None:
        self.steps, self._begun, self._start_s = steps, begun, time.monotonic()
        self._curve = out / "curve.jsonl"
        known = self._curve.read_bytes().splitlines() if begun and self._curve.exists() else []
        self._curve.write_text("".join(f"{json.dumps(line)}\n" for line in map(_told, known) if _is_of(line, begun)))
        self._board = SummaryWriter(str(out / "tensorboard"), purge_step=begun + 1)

    def tell(self, step: int, parts: dict[str, float], *, lr: float, norm: float, pace: dict[str, float]) -> None:
        """Tell of optimiser step `step` (from 1): the loss's parts, and what was done a second, worldwide."""
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
            file.write(json.dumps({"step": step, "loss": loss, **parts, "lr": lr, "gradient": norm, **pace}) + "\n")
        for name, value in {"loss": loss, **parts, "lr": lr, "gradient": norm, "memory GiB": memory, **pace}.items():
            self._board.add_scalar(f"train/{name}", value, step)

    def show(self, step: int, name: str, picture_HW3: torch.Tensor) -> None:
        """Put a picture (uint8, red green blue) beside the curves."""
        self._board.add_image(name, picture_HW3, step, dataformats="HWC")

    def close(self) -> None:
        """Write out what TensorBoard still holds."""
        self._board.close()


def _told(line: bytes) -> dict[str, Any]:
    """A line of the curve; nothing, where it was cut off."""
    try:
        told = json.loads(line)
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


def _is_of(told: dict[str, Any], begun: int) -> bool:
    return isinstance(told.get("step"), int) and told["step"] <= begun


def _memory_bytes() -> int:
    """The most that was in use: of the GPU, or of this process."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _clock(seconds_s: float) -> str:
    minutes, seconds = divmod(round(seconds_s), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d}"
