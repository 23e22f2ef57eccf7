"""Sa2VA on this GPU in under 9 minutes: training step and memory by model size, inference. `python -m benchmarks.gpu`.

Models have the released shapes (`benchmarks.model_shapes`) and random weights, with SAM 2 Hiera-L, in bf16; a video is
that of `benchmarks.train_step`. Training: micro-batches of 1, 2 and 4 videos, with and without gradient checkpointing,
and for Qwen3-VL-4B also the released way (the release always has checkpointing): seconds a step, peak memory beside
what `pipeline.sa2va.estimate` says before the first step, and whether the loss of one batch falls. Inference: frames a
second of a drawn video of 10 s at 6 fps with two texts, the consistent path and the released one. A random model does
not answer: the output matrix is made to say [SEG], for as many tokens as a real answer has.

`--tiny` runs all of it at tiny size on whatever device there is; without a GPU that is the only size. Each model is a
process of its own; what does not fit into the memory, or into `--minutes`, is said in its line.
"""

import argparse
import copy
import gc
import json
import platform
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import version
from typing import Any

import numpy as np
import torch

from benchmarks.model_shapes import MODELS, with_lora_of
from benchmarks.train_step import OFFICIAL, OURS, build_model, drawn_batch, measure_steps, now_s, resident_bytes
from pipeline.sa2va.config import InferConfig, TrainConfig, official_infer
from pipeline.sa2va.infer.segment import Segmenter
from pipeline.sa2va.lora import parameters, switch_checkpointing
from pipeline.sa2va.model import Sa2va
from pipeline.sa2va.train.step import autocast
from tests.pipeline.sa2va.tiny import tiny_pixels
from tests.running import ROOT

ANSWER_TOKENS = 6  # "Sure, [SEG]." and its end
TEXTS = ["the red ball", "a blue cup that stands behind it"]
FIRST = "Qwen3-VL-4B"  # the released Sa2VA that is best known
WAYS = {"ours": OURS, "released": OFFICIAL}
INFERENCE = {"consistent (ours)": InferConfig(), "official": official_infer(InferConfig())}
PARTS = [f"ours/{FIRST}", "consistent (ours)", "official", f"released/{FIRST}"]  # most wanted first
PARTS += [f"ours/{name}" for name in ("Qwen3-VL-8B", "InternVL3-14B", "Qwen3-VL-2B", "InternVL3-8B")]
PARTS += [f"ours/{name}" for name in MODELS if f"ours/{name}" not in PARTS]
MICRO_BATCHES = (1, 2, 4)
STEPS = 3
LEARN_STEPS, LEARN_LR = 30, 1e-4
GIB = 2**30


def main() -> None:
    """Print card and versions, then a line for each setting; or the lines of one part as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tiny", action="store_true", help="tiny size, on whatever device there is")
    parser.add_argument("--minutes", type=float, default=8.5, help="begin or go on with nothing after these")
    parser.add_argument("--only", nargs="+", choices=PARTS, help="these parts")
    parser.add_argument("--part", choices=PARTS, help="one part, as JSON lines")
    args = parser.parse_args()
    on_gpu = torch.cuda.is_available()
    tiny = args.tiny or not on_gpu
    if not on_gpu:
        torch.set_num_threads(1)
    if args.part:
        for measured in lines_of(args.part, tiny):
            print(json.dumps(measured), flush=True)
        return
    end_s = time.monotonic() + 60 * args.minutes
    print(_where(tiny))
    for part in args.only or PARTS[: 4 if tiny else None]:  # at tiny size all models are the same
        print(f"\n{part}")
        for line in _in_own_process(part, tiny, end_s):
            print(f"  {line}", flush=True)
    print("memory: " + ("at most allocated on the GPU" if on_gpu else "at most resident, over what importing took"))


def lines_of(part: str, tiny: bool) -> Iterator[dict[str, Any]]:
    """Measure one of PARTS in this process, and give its lines one after the other."""
    if part in INFERENCE:
        yield infer(INFERENCE[part], tiny)
        return
    way, _, name = part.partition("/")
    config = WAYS[way]
    config = replace(config, model=replace(with_lora_of(name, config.model), gradient_checkpointing=False))
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    before_bytes = resident_bytes()
    torch.manual_seed(0)
    model = build_model(config, device, tiny, name=name)
    if part == PARTS[0]:
        yield learn(model, config, tiny)
    for checkpointing in (True, False):
        switch_checkpointing(model.mllm, checkpointing)
        for micro_batch in MICRO_BATCHES:
            of_line = replace(
                config,
                model=replace(config.model, gradient_checkpointing=checkpointing),
                optim=replace(config.optim, micro_batch=micro_batch),
            )
            setting = {"micro_batch": micro_batch, "checkpointing": checkpointing}
            try:
                yield setting | measure_steps(model, of_line, tiny, steps=STEPS, before_bytes=before_bytes, count=False)
            except torch.cuda.OutOfMemoryError:
                model.zero_grad(set_to_none=True)
                yield setting | {"error": "does not fit"}
                break
            finally:
                gc.collect()


def learn(model: Sa2va, config: TrainConfig, tiny: bool) -> dict[str, Any]:
    """Train on one batch over and over: in this precision the loss must fall. The model is changed."""
    batch = drawn_batch(model, config, tiny).to(model.mllm.device)
    adam = torch.optim.AdamW(parameters(model), lr=LEARN_LR)
    losses = []
    for _ in range(LEARN_STEPS):
        with autocast(model.mllm.device):
            loss = model(batch).total
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters(model), config.optim.clip_norm)
        adam.step()
        adam.zero_grad(set_to_none=True)
        losses.append(float(loss.detach()))
    return {"losses": [losses[0], losses[LEARN_STEPS // 2], losses[-1]]}


def infer(config: InferConfig, tiny: bool) -> dict[str, Any]:
    """Segment two texts in one drawn video, in this process; the first time is not counted."""
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


def _in_own_process(part: str, tiny: bool, end_s: float) -> Iterator[str]:
    """Run one part so that no other holds memory, and give its lines in words as they come."""
    command = [sys.executable, "-m", "benchmarks.gpu", "--part", part, *(["--tiny"] if tiny else [])]
    left_s = end_s - time.monotonic()
    if left_s <= 0:
        yield "not measured: the time is over"
        return
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, cwd=ROOT)
        timer = threading.Timer(left_s, process.kill)
        timer.start()
        yield from map(_in_words, process.stdout or ())
        code = process.wait()
        timer.cancel()
        errors.seek(0)
        if code == -signal.SIGKILL:
            yield "not measured further: the time is over"
        elif code:
            yield (errors.read().strip().splitlines() or [f"ended with code {code}"])[-1]


def _in_words(line: str) -> str:
    told = json.loads(line)
    if "losses" in told:
        first, half, last = told["losses"]
        return f"loss of one batch, {LEARN_STEPS} steps: {first:.2f}, {half:.2f} half way, {last:.2f}"
    memory = f"{told.get('memory_bytes', 0) / GIB:.2f} GiB"
    if "frames" in told:
        rate = told["frames"] / (told["answers_s"] + told["masks_s"])
        return (
            f"{told['frames']} frames, {len(TEXTS)} texts: answers {told['answers_s']:.3f} s, "
            f"masks {told['masks_s']:.3f} s, {rate:.1f} frames/s, {memory}"
        )
    setting = f"micro-batch {told['micro_batch']}{', checkpointing' if told['checkpointing'] else ''}"
    if "error" in told:
        return f"{setting:<30} {told['error']}"
    estimate = f"{told['estimated_bytes'] / GIB:.2f} GiB ({told['estimated_bytes'] / told['memory_bytes'] - 1:+.0%})"
    return (
        f"{setting:<30} {told['tokens']:6} tokens {told['masks']:3} masks, step {told['step_s']:7.3f} s, a video "
        f"{told['step_s'] / told['micro_batch']:6.3f} s, {memory:>10}, estimate {estimate}, "
        f"MFU {told['utilisation']:.1%}"
    )


def _where(tiny: bool) -> str:
    """Return card, versions and what is measured."""
    size = (
        "TINY size, which says nothing of real sizes" if tiny else "released shapes and SAM 2 Hiera-L, random weights"
    )
    card = "no GPU: one thread, float32"
    if torch.cuda.is_available():
        of = torch.cuda.get_device_properties(0)
        cuda = f"CUDA {torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}"
        card = f"{of.name}, {of.total_memory / GIB:.0f} GiB, {cuda}, bf16"
    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers", "peft", "sam2"))
    return f"{card}; Python {platform.python_version()}, {packages}\n{size}; a video has two objects and five frames"


if __name__ == "__main__":
    main()
