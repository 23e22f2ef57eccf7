import pickle
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from transformers import PreTrainedTokenizerFast

from pipeline.sa2va.config import DataConfig
from pipeline.sa2va.example import Batch, Encoder
from pipeline.sa2va.families import family_of
from pipeline.sa2va.pixels import squares
from pipeline.sa2va.text import IGNORED
from tests.pipeline.sa2va.tiny import TINY_SAM2_SIDE_PX, tiny_config, tiny_pixels, tiny_tokenizer

SIDE = TINY_SAM2_SIDE_PX // 4
TEXTS = ("The object is a red thing. It moves to the left.", "the blue thing", "a small green thing")


@pytest.fixture
def tokenizer() -> PreTrainedTokenizerFast:
    return tiny_tokenizer(with_seg=True)


def encoder(tokenizer: PreTrainedTokenizerFast, config: DataConfig | None = None) -> Encoder:
    family = family_of(tiny_config(tokenizer, "qwen3_vl", tied=True))
    return Encoder(tokenizer, family, config or DataConfig(pixels=tiny_pixels()), TINY_SAM2_SIDE_PX)


def chosen(objects: int = 3, frames: int = 2) -> dict[str, Any]:
    random = np.random.default_rng(0)
    return {
        "video_id": "demo_000001",
        "object_ids": [f"demo_000001/manual/{number}" for number in range(objects)],
        "texts": TEXTS[:objects],
        "frames": [random.integers(0, 255, (90, 160, 3), np.uint8) for _ in range(frames)],
        "masks_OFMM": random.integers(0, 2, (objects, frames, SIDE, SIDE), np.uint8),
        "seed": 3,
    }


def equal(one: Batch, other: Batch) -> bool:
    tensors = ("input_ids_BL", "labels_BL", "sam_frames_N3SS")
    same = all(getattr(one, name).equal(getattr(other, name)) for name in tensors)
    return same and one.masks_B[0].equal(other.masks_B[0])


def test_an_example(tokenizer: PreTrainedTokenizerFast) -> None:
    given = chosen()
    made = encoder(tokenizer)(**given)
    assert (made.video_ids_B, made.object_ids_B) == (("demo_000001",), (tuple(given["object_ids"]),))
    assert made.sam_frames_N3SS.equal(squares(given["frames"], TINY_SAM2_SIDE_PX, False))
    assert np.array_equal(made.masks_B[0].numpy(), given["masks_OFMM"])
    text = tokenizer.decode(made.input_ids_BL[0])
    assert isinstance(text, str)
    rows, columns = made.mllm["image_grid_thw"][0, 1:].tolist()
    frame = "<|vision_start|>" + "<|image_pad|>" * (rows * columns // 4) + "<|vision_end|>"
    assert text.startswith(f"<|im_start|>user\n{frame}\n{frame}\n")
    assert [text.index(words) for words in (TEXTS[0], *TEXTS[1:])] == sorted(text.index(words) for words in TEXTS)
    assert text.count("It is [SEG].<|im_end|>\n") == 3
    assert tokenizer.decode(made.input_ids_BL[0][made.labels_BL[0] != IGNORED]) == "It is [SEG].<|im_end|>" * 3


def test_another_process_makes_the_same(tokenizer: PreTrainedTokenizerFast) -> None:
    first = encoder(tokenizer)
    copied = pickle.loads(pickle.dumps(first))
    assert equal(first(**chosen()), copied(**chosen()))
    drawn = {tuple(first(**chosen() | {"seed": seed}).input_ids_BL[0].tolist()) for seed in range(12)}
    assert len(drawn) > 3


def test_turns_that_do_not_fit_go_with_their_masks(tokenizer: PreTrainedTokenizerFast) -> None:
    whole = encoder(tokenizer)(**chosen())
    config = DataConfig(pixels=tiny_pixels(), max_tokens=len(whole.input_ids_BL[0]) - 1)
    made = encoder(tokenizer, config)(**chosen())
    assert made.object_ids_B[0] == whole.object_ids_B[0][:2]
    assert made.masks_B[0].equal(whole.masks_B[0][:2])
    assert (made.input_ids_BL[0] == tokenizer.get_vocab()["[SEG]"]).sum() == 2
    assert made.input_ids_BL[0].equal(whole.input_ids_BL[0][: len(made.input_ids_BL[0])])


def test_official_cuts_the_text_and_keeps_the_masks(tokenizer: PreTrainedTokenizerFast) -> None:
    asked: dict[str, Any] = {"official_prompts": True, "official_questions": ("Show me the {text} in this image",)}
    config = DataConfig(**asked, pixels=replace(tiny_pixels(), official=True))
    whole = encoder(tokenizer, config)(**chosen())
    made = encoder(tokenizer, replace(config, max_tokens=len(whole.input_ids_BL[0]) - 7))(**chosen())
    assert made.input_ids_BL[0].equal(whole.input_ids_BL[0][:-7])
    assert len(made.masks_B[0]) == len(made.object_ids_B[0]) == 3
    assert " in this image" in tokenizer.decode(made.input_ids_BL[0])
    assert made.sam_frames_N3SS.equal(squares(chosen()["frames"], TINY_SAM2_SIDE_PX, True))


def test_errors_name_the_video(tokenizer: PreTrainedTokenizerFast) -> None:
    given = chosen()
    wrong = {
        "must not have the tokenizer's token": given | {"texts": ("the red thing", "[SEG]", "a")},
        "must have words": given | {"texts": ("the red thing", " ", "a")},
        "each object must have a text, got 3 objects, 2 texts": given | {"texts": ("a", "b")},
        r"= \(3, 2, 32, 32\), got uint8 \(3, 2, 31, 32\)": given | {"masks_OFMM": given["masks_OFMM"][:, :, 1:]},
        r"got bool \(3, 2, 32, 32\)": given | {"masks_OFMM": given["masks_OFMM"] > 0},
    }
    for message, bad in wrong.items():
        with pytest.raises(ValueError, match=f"video demo_000001: .*{message}"):
            encoder(tokenizer)(**bad)
    short = encoder(tokenizer, DataConfig(pixels=tiny_pixels(), max_tokens=10))
    with pytest.raises(ValueError, match="video demo_000001: .*max_tokens 10"):
        short(**given)


def test_masks_do_not_have_to_lie_in_one_piece(tokenizer: PreTrainedTokenizerFast) -> None:
    given = chosen()
    turned = given | {"masks_OFMM": given["masks_OFMM"][..., ::-1]}
    assert torch.from_numpy(given["masks_OFMM"]).flip(-1).equal(encoder(tokenizer)(**turned).masks_B[0])
