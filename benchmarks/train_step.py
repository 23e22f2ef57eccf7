"""A training step with and without our improvements: time, memory, arithmetic. `python -m benchmarks.train_step`.

On a GPU at real size: the shape of Qwen3-VL-4B with random weights, SAM 2 Hiera-L, bf16, a video with two objects (the
mean of Ref-SAV is 1.95) whose expressions have 84 words (the paper's mean). Without a GPU the same code at tiny size,
in float32, which shows that it runs and no more; `--tiny` asks for that on a GPU too.

Each line takes one more of our choices, in a process of its own. Utilisation (MFU) is what `pipeline.sa2va.estimate`
says that forward and backward pass need, with nothing done twice, by the time of the whole step and by what the device
is sold for (or, for one that is not in PEAK_TFLOPS, what it does with a large matrix product here). Counted are the
operations that torch says it ran, recomputation included; it does not count attention on a CPU.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.model_shapes import config_of, tokenizer_of
from pipeline.sa2va.config import ModelConfig, OptimConfig, Sam2Config, TrainConfig, official_train
from pipeline.sa2va.estimate import estimate
from pipeline.sa2va.example import Batch, Encoder, collate
from pipeline.sa2va.families import family_of, random_mllm
from pipeline.sa2va.grounding import build_sam2
from pipeline.sa2va.lora import parameters, prepare
from pipeline.sa2va.model import Sa2va
from pipeline.sa2va.train.step import autocast, optimiser
from tests.pipeline.sa2va.tiny import TINY_SAM2, tiny_config, tiny_pixels

WARM_UP, STEPS = 2, 5
OBJECTS, FRAMES = 2, 5
PEAK_TFLOPS = {"H100": 989, "H200": 989, "A100": 312, "L40S": 362, "RTX 4090": 165}  # bf16, dense
OURS = TrainConfig(source="", sav_root="", out="", model=ModelConfig(base=""), optim=OptimConfig(micro_batch=1))
OFFICIAL = official_train(OURS)
FEWER = replace(OFFICIAL, official=False, data=OURS.data)
WAYS = {  # each has what those above it have
    "official": OFFICIAL,
    "distinct objects, learned rows": FEWER,
    "new token rows only": replace(FEWER, model=replace(FEWER.model, train_embeddings="new_rows")),
    "no checkpointing (ours)": OURS,
}


def main() -> None:
    """Print the table, or one line of it as JSON."""
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    asked.add_argument("--tiny", action="store_true", help="tiny size, on whatever device there is")
    asked.add_argument("--way", choices=WAYS, help="one line, as JSON")
    args = asked.parse_args()
    tiny = args.tiny or not torch.cuda.is_available()
    if not torch.cuda.is_available():
        torch.set_num_threads(1)  # at tiny size two are slower
    if args.way:
        print(json.dumps(measure(WAYS[args.way], tiny)))
        return
    on_gpu = torch.cuda.is_available()
    device = torch.cuda.get_device_name() if on_gpu else "CPU, one thread, float32"
    size = "TINY size, which says nothing of real sizes" if tiny else "Qwen3-VL-4B and SAM 2 Hiera-L, random weights"
    print(f"{device}; {size}; one video of {OBJECTS} objects and {FRAMES} frames; medians of {STEPS} steps")
    head = f"{'':30} {'tokens':>6} {'masks':>5} {'forward':>8} {'backward':>8} {'optimiser':>9} {'step':>8}"
    print(f"{head} {'memory':>9} {'estimate':>9} {'counted':>8} {'estimate':>9} {'MFU':>6}")
    first_s = 0.0
    for way in WAYS:
        told = in_own_process("benchmarks.train_step", ["--way", way, *(["--tiny"] if tiny else [])])
        if isinstance(told, str):
            print(f"{way:30} {told}")
            continue
        first_s = first_s or told["step_s"]
        print(
            f"{way:30} {told['tokens']:6} {told['masks']:5} {told['forward_s']:7.3f}s {told['backward_s']:7.3f}s "
            f"{told['optimiser_s']:8.3f}s {told['step_s']:7.3f}s {told['memory_bytes'] / 2**30:5.2f}GiB "
            f"{told['estimated_bytes'] / 2**30:6.2f}GiB {told['counted_tflop']:7.4g}T {told['estimated_tflop']:8.4g}T "
            f"{told['utilisation']:6.1%}  {first_s / told['step_s']:.2f}x"
        )
    print("memory: " + ("at most allocated on the GPU" if on_gpu else "at most resident, over what importing took"))


def in_own_process(module: str, arguments: list[str], limit_s: float | None = None) -> dict[str, float] | str:
    """The JSON that `python -m module` prints last, or in words why there is none; so that no line holds memory."""
    command = [sys.executable, "-m", module, *arguments]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, cwd=Path(__file__).parent.parent, timeout=limit_s
        )
    except subprocess.TimeoutExpired:
        return "not measured: the time is over"
    if done.returncode:
        return (done.stderr.strip().splitlines() or [f"ended with code {done.returncode}"])[-1]
    told: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return told


def measure(config: TrainConfig, tiny: bool) -> dict[str, float]:
    """Steps of one micro-batch with `config`, in this process."""
    torch.manual_seed(0)
    before_bytes = resident_bytes()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return measure_steps(build_model(config, device, tiny), config, tiny, before_bytes=before_bytes)


def measure_steps(
    model: Sa2va, config: TrainConfig, tiny: bool, *, steps: int = STEPS, before_bytes: int = 0, count: bool = True
) -> dict[str, float]:
    """Steps of one micro-batch of a model that `build_model` made; on a GPU memory is counted from here on.

    `before_bytes` were resident before the model was built; they count on a CPU.
    """
    device = model.mllm.device
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    batch = drawn_batch(model, config, tiny).to(device)
    adam, _ = optimiser(parameters(model), 1, config.optim)
    rounds = [_step(model, batch, adam, config) for _ in range(WARM_UP + steps)][WARM_UP:]
    memory_bytes = torch.cuda.max_memory_allocated() if device.type == "cuda" else resident_bytes() - before_bytes
    forward_s, backward_s, optimiser_s = (statistics.median(times) for times in zip(*rounds, strict=True))
    step_s = statistics.median(map(sum, rounds))
    counter = FlopCounterMode(display=False)
    if count:
        with counter, autocast(device):
            model(batch).total.backward()
        model.zero_grad(set_to_none=True)
    told = estimate(model, batch, config)
    once = estimate(model, batch, replace(config, model=replace(config.model, gradient_checkpointing=False)))
    return {
        "tokens": batch.input_ids_BL.numel(),
        "masks": _masks(batch, official=config.official),
        "forward_s": forward_s,
        "backward_s": backward_s,
        "optimiser_s": optimiser_s,
        "step_s": step_s,
        "memory_bytes": memory_bytes,
        "estimated_bytes": told.total_bytes,
        "counted_tflop": counter.get_total_flops() / 1e12,
        "estimated_tflop": sum(told.flops.values()) / 1e12,
        "utilisation": sum(once.flops.values()) / step_s / _peak_flops(device),
    }


def build_model(
    config: TrainConfig, device: torch.device, tiny: bool, *, name: str = "Qwen3-VL-4B", to_train: bool = True
) -> Sa2va:
    """Random weights, of the real size of a model of `model_shapes` or tiny; with LoRA and rows if it is trained."""
    tokenizer = tokenizer_of(name)
    mllm_config = tiny_config(tokenizer, "qwen3_vl", tied=True) if tiny else config_of(name, tokenizer)
    dtype = torch.float32 if device.type == "cpu" else torch.bfloat16
    model = Sa2va(
        mllm=random_mllm(mllm_config, dtype, device),
        tokenizer=tokenizer,
        family=family_of(mllm_config),
        sam2=build_sam2(TINY_SAM2 if tiny else Sam2Config(), device=device, dtype=dtype),
        seg_id=tokenizer.get_vocab()["[SEG]"],
        config=config.model,
        official=config.official,
    )
    if to_train:
        prepare(model, config.model)
    return model.train(to_train)


def drawn_batch(model: Sa2va, config: TrainConfig, tiny: bool) -> Batch:
    """A micro-batch of drawn videos, each text a tenth shorter; an official one has five turns, of the same objects."""
    random = np.random.default_rng(0)
    width_px, height_px, words = (640, 360, 12) if tiny else (1280, 720, 110)  # 84 words are about 110 tokens
    turns = config.data.max_objects if config.data.with_replacement else OBJECTS
    data = replace(config.data, pixels=tiny_pixels()) if tiny else config.data
    side = model.sam_side_px // 4
    masks_OFMM = np.zeros((turns, FRAMES, side, side), np.uint8)
    for turn in range(turns):
        begin = side // 4 * (turn % OBJECTS)
        masks_OFMM[turn, :, begin : begin + side // 2, begin : begin + side // 2] = 1
    encode = Encoder(model.tokenizer, model.family, data, model.sam_side_px)
    frames = [random.integers(0, 256, (height_px, width_px, 3), np.uint8) for _ in range(FRAMES)]
    examples = [
        encode(
            video_id="drawn",
            object_ids=[f"drawn/manual/{turn % OBJECTS}" for turn in range(turns)],
            texts=["The" + " red" * round(words * 0.9**number)] * turns,  # padded, as real micro-batches are
            frames=frames,
            masks_OFMM=masks_OFMM,
            seed=0,
        )
        for number in range(config.optim.micro_batch)
    ]
    return collate(examples, model.family)


def _step(model: Sa2va, batch: Batch, adam: torch.optim.Optimizer, config: TrainConfig) -> tuple[float, float, float]:
    """Seconds of forward pass, backward pass, and clipping and AdamW."""
    device = batch.input_ids_BL.device
    at = [now_s(device)]
    with autocast(device):
        total = model(batch).total
    at.append(now_s(device))
    total.backward()
    at.append(now_s(device))
    torch.nn.utils.clip_grad_norm_(parameters(model), config.optim.clip_norm)
    adam.step()
    adam.zero_grad(set_to_none=False)  # a step of several micro-batches has gradients before the last one
    at.append(now_s(device))
    return at[1] - at[0], at[2] - at[1], at[3] - at[2]


def _masks(batch: Batch, *, official: bool) -> int:
    return FRAMES * sum(OFFICIAL.data.max_objects if official else len(each) for each in batch.object_ids_B)


def now_s(device: torch.device) -> float:
    """Seconds of a clock, when the device has done all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def resident_bytes() -> int:
    """The most that this process ever had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _peak_flops(device: torch.device) -> float:
    if device.type == "cuda":
        name = torch.cuda.get_device_name()
        if known := [tflops for part, tflops in PEAK_TFLOPS.items() if part in name]:
            return known[0] * 1e12
    side = 4096 if device.type == "cuda" else 1024
    left = torch.randn(side, side, device=device, dtype=torch.bfloat16 if device.type == "cuda" else torch.float32)
    times = []
    for _ in range(10):
        started_s = now_s(device)
        left @ left
        times.append(now_s(device) - started_s)
    return 2 * side**3 / min(times)


if __name__ == "__main__":
    main()
