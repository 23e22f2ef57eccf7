"""The text decides which object is segmented: a run from its data to masks of frames that it has never seen."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.data.clips import Clips
from pipeline.evaluation.metrics import region_similarity
from pipeline.sa2va.checkpoint.read import load_sa2va
from pipeline.sa2va.config import DataConfig, InferConfig, ModelConfig, OptimConfig, TrainConfig
from pipeline.sa2va.families import States
from pipeline.sa2va.infer.segment import Segmenter
from pipeline.sa2va.model import Sa2va
from pipeline.sa2va.train.run import train
from pipeline.sa2va.train.step import DistContext
from tests.pipeline.sa2va.tiny import TINY_SAM2, make_tiny_mllm, tiny_pixels
from tests.pipeline.sa2va.train.coloured import draw, write

VIDEOS, FRESH = 64, 8


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained run: 240 steps, half a minute of a core."""
    folder = tmp_path_factory.mktemp("text")
    videos = write(folder / "store", VIDEOS)
    base = make_tiny_mllm(folder / "mllm", reads=True)
    config = TrainConfig(
        source="drawn",
        sav_root="",
        out=str(folder / "out"),
        model=ModelConfig(base=str(base), sam2=TINY_SAM2, lora_rank=32, lora_alpha=1),
        data=DataConfig(pixels=tiny_pixels(), frames=2, max_objects=2),
        optim=OptimConfig(lr=1e-2, batch=4, micro_batch=4, epochs=15),
        loader_workers=0,
        log_every=8,
    )
    train(config, videos, Clips(folder / "store"), DistContext())
    return folder / "out"


@pytest.fixture(scope="module")
def model(out: Path) -> Sa2va:
    return load_sa2va(out / "model", device="cpu", dtype=torch.float32)


def overlaps(model: Sa2va) -> tuple[float, float]:
    """Mean IoU of a text's masks with its own object, and with the other one, over freshly drawn videos."""
    segmenter = Segmenter(model, InferConfig(frames=2, pixels=tiny_pixels()))
    own, other = [], []
    for n in range(FRESH):
        texts, frames, masks_OFHW = draw([2, n])
        for o, said in enumerate(segmenter.segment(frames, texts)):
            for f, mask_HW in enumerate(said.masks_THW):
                own.append(region_similarity(mask_HW, masks_OFHW[o, f]))
                other.append(region_similarity(mask_HW, masks_OFHW[1 - o, f]))
    return float(np.mean(own)), float(np.mean(other))


def follows_the_text(model: Sa2va) -> bool:
    own, other = overlaps(model)
    return own > 0.6 and other < 0.2


def test_two_texts_of_a_video_give_two_right_masks(model: Sa2va) -> None:
    assert follows_the_text(model), overlaps(model)


def test_a_model_that_ignores_the_text_is_found_out(model: Sa2va, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same weights, but [SEG]'s state is always the same, whatever was asked: good masks, of one of the two."""
    states_Nh: list[torch.Tensor] = []
    made = Sa2va.seg_states

    def noting(self: Sa2va, states: States) -> torch.Tensor:
        states_Nh.append(made(self, states))
        return states_Nh[-1]

    with monkeypatch.context() as watched:
        watched.setattr(Sa2va, "seg_states", noting)
        overlaps(model)
    usual_h = states_Nh[-1][0, 0]

    def ignoring(self: Sa2va, states: States) -> torch.Tensor:
        return usual_h.expand_as(states.after_norm_BLh)

    monkeypatch.setattr(Sa2va, "seg_states", ignoring)
    assert not follows_the_text(model)


def test_it_learns(out: Path) -> None:
    told = [json.loads(line) for line in (out / "curve.jsonl").read_text().splitlines()]
    late = {part: np.mean([line[part] for line in told[-5:]]) for part in ("llm", "mask", "dice")}
    assert late["llm"] < 0.01 < 0.5 < told[0]["llm"], "it says what it is to say"
    assert late["mask"] < 0.85 * told[0]["mask"]
    assert late["dice"] < 0.6 * told[0]["dice"]
