"""Sa2VA on this GPU in under 8 minutes: training step, memory, inference. `python -m benchmarks.gpu`.

The shape of Qwen3-VL-4B with random weights, SAM 2 Hiera-L, bf16, as in `benchmarks.train_step`. Training: ours and the
released way, micro-batches of 1 and 2 videos, with and without gradient checkpointing (the release always has it), peak
memory beside what `pipeline.sa2va.estimate` says before the first step. Inference: frames a second of a drawn video of
10 s at 6 fps with two texts, the consistent path and the released one. A random model does not answer: the output
matrix is made to say [SEG], for as many tokens as a real answer has.

`--tiny` runs all of it at tiny size on whatever device there is; without a GPU that is the only size. Each line is a
process of its own; what does not fit into the memory, or into `--minutes`, is said in its line.
"""

import argparse
import copy
import json
import platform
import time
from dataclasses import replace
from importlib.metadata import version

import numpy as np
import torch

from benchmarks.train_step import (
    OFFICIAL,
    OURS,
    build_model,
    in_own_process,
    measure,
    now_s,
    resident_bytes,
)
from pipeline.sa2va.config import InferConfig, TrainConfig, official_infer
from pipeline.sa2va.infer.segment import Segmenter
from tests.pipeline.sa2va.tiny import tiny_pixels

ANSWER_TOKENS = 6  # "Sure, [SEG]." and its end
TEXTS = ["the red ball", "a blue cup that stands behind it"]
WAYS = {"ours": OURS, "released": OFFICIAL}
INFERENCE = {"consistent (ours)": InferConfig(), "official": official_infer(InferConfig())}
GIB = 2**30


def training() -> dict[str, TrainConfig]:
    """The lines about training, most wanted first."""
    lines = {}
    for micro_batch in (1, 2):
        for checkpointing in (True, False):
            for way, config in WAYS.items():
                model = replace(config.model, gradient_checkpointing=checkpointing)
                optim = replace(config.optim, micro_batch=micro_batch)
                name = f"{way}, micro-batch {micro_batch}{', checkpointing' if checkpointing else ''}"
                lines[name] = replace(config, model=model, optim=optim)
    return lines


def main() -> None:
    """Print card and versions, then both tables; or one line of them as JSON."""
    lines = training()
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    asked.add_argument("--tiny", action="store_true", help="tiny size, on whatever device there is")
    asked.add_argument("--minutes", type=float, default=7.5, help="begin or go on with nothing after these")
    asked.add_argument("--line", choices=[*lines, *INFERENCE], help="one line, as JSON")
    args = asked.parse_args()
    on_gpu = torch.cuda.is_available()
    tiny = args.tiny or not on_gpu
    if not on_gpu:
        torch.set_num_threads(1)
    if args.line:
        print(json.dumps(measure(lines[args.line], tiny) if args.line in lines else infer(INFERENCE[args.line], tiny)))
        return
    end_s = time.monotonic() + 60 * args.minutes
    print(_where(tiny))
    head = f"{'':40} {'tokens':>6} {'masks':>5} {'step':>8} {'a video':>8}"
    print(f"{head} {'memory':>9} {'estimate':>9} {'off':>6} {'MFU':>6}")
    for name, config in lines.items():
        told = _line(name, tiny, end_s)
        if isinstance(told, str):
            print(f"{name:40} {told}")
            continue
        off = told["estimated_bytes"] / told["memory_bytes"] - 1
        print(
            f"{name:40} {told['tokens']:6} {told['masks']:5} {told['step_s']:7.3f}s "
            f"{told['step_s'] / config.optim.micro_batch:7.3f}s {told['memory_bytes'] / GIB:6.2f}GiB "
            f"{told['estimated_bytes'] / GIB:6.2f}GiB {off:+6.0%} {told['utilisation']:6.1%}"
        )
    print(f"\n{'':40} {'frames':>6} {'answers':>8} {'masks':>8} {'frames/s':>9} {'memory':>9}")
    for name in INFERENCE:
        told = _line(name, tiny, end_s)
        if isinstance(told, str):
            print(f"{name:40} {told}")
            continue
        print(
            f"{name:40} {told['frames']:6} {told['answers_s']:7.3f}s {told['masks_s']:7.3f}s "
            f"{told['frames'] / (told['answers_s'] + told['masks_s']):9.1f} {told['memory_bytes'] / GIB:6.2f}GiB"
        )
    print("memory: " + ("at most allocated on the GPU" if on_gpu else "at most resident, over what importing took"))


def infer(config: InferConfig, tiny: bool) -> dict[str, float]:
    """Two texts of one drawn video, in this process; the first time is not counted."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    before_bytes = resident_bytes()
    torch.manual_seed(0)
    model = build_model(OURS, device, tiny, to_train=False)
    model.original_decoder = copy.deepcopy(model.sam2.sam_mask_decoder)
    model.family.lm_head(model.mllm).register_forward_hook(lambda _module, _given, made: _says_seg(made, model.seg_id))
    pixels = tiny_pixels() if tiny else config.pixels
    segmenter = Segmenter(model, replace(config, pixels=pixels, max_new_tokens=ANSWER_TOKENS))
    random = np.random.default_rng(0)
    count, height_px, width_px = (10, 360, 640) if tiny else (60, 720, 1280)
    frames = [random.integers(0, 256, (height_px, width_px, 3), np.uint8) for _ in range(count)]
    for _ in range(2):
        started_s = now_s(device)
        answers, stream = segmenter.stream(frames, TEXTS)
        answered_s = now_s(device)
        masks = sum(len(step.masks_NHW) for step in stream)
        done_s = now_s(device)
        if masks != count * len(TEXTS) or any(answer.seg_h is None for answer in answers):
            raise ValueError(f"every text must have a mask on every frame, got {masks} and {answers}")
    memory_bytes = torch.cuda.max_memory_allocated() if device.type == "cuda" else resident_bytes() - before_bytes
    return {
        "frames": count,
        "answers_s": answered_s - started_s,
        "masks_s": done_s - answered_s,
        "memory_bytes": memory_bytes,
    }


def _says_seg(logits: torch.Tensor, seg_id: int) -> torch.Tensor:
    said = torch.zeros_like(logits)
    said[..., seg_id] = 1
    return said


def _line(name: str, tiny: bool, end_s: float) -> dict[str, float] | str:
    arguments = ["--line", name, *(["--tiny"] if tiny else [])]
    return in_own_process("benchmarks.gpu", arguments, max(0.0, end_s - time.monotonic()))


def _where(tiny: bool) -> str:
    """Card, versions and what is measured."""
    size = "TINY size, which says nothing of real sizes" if tiny else "Qwen3-VL-4B and SAM 2 Hiera-L, random weights"
    card = "no GPU: one thread, float32"
    if torch.cuda.is_available():
        of = torch.cuda.get_device_properties(0)
        cuda = f"CUDA {torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}"
        card = f"{of.name}, {of.total_memory / GIB:.0f} GiB, {cuda}, bf16"
    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers", "peft", "sam2"))
    return f"{card}; Python {platform.python_version()}, {packages}\n{size}; a video has two objects and five frames"


if __name__ == "__main__":
    main()
