import numpy as np
import pytest

from pipeline.sa2va.config import DataConfig
from pipeline.sa2va.example import Batch, Encoder, collate
from pipeline.sa2va.families import Family, family_of
from pipeline.sa2va.text import IGNORED
from tests.pipeline.sa2va.tiny import FAMILIES, TINY_SAM2_SIDE_PX, tiny_config, tiny_pixels, tiny_tokenizer


def examples(name: str) -> tuple[Family, list[Batch]]:
    """Two videos: 2 objects in 2 frames, 1 object in 3 frames of another shape."""
    tokenizer = tiny_tokenizer(name, with_seg=True)
    family = family_of(tiny_config(tokenizer, name, tied=False))
    encode = Encoder(tokenizer, family, DataConfig(pixels=tiny_pixels()), TINY_SAM2_SIDE_PX)
    side = TINY_SAM2_SIDE_PX // 4

    def one(number: int, objects: int, frames: int, shape: tuple[int, int]) -> Batch:
        random = np.random.default_rng(number)
        frames_FHW3 = [random.integers(0, 255, (*shape, 3), np.uint8) for _ in range(frames)]
        masks = random.integers(0, 2, (objects, frames, side, side), np.uint8)
        texts = ["the red thing", "the blue thing"][:objects]
        return encode(
            video_id=f"v{number}",
            object_ids=list("ab")[:objects],
            texts=texts,
            frames=frames_FHW3,
            masks_OFMM=masks,
            seed=number,
        )

    return family, [one(0, 2, 2, (90, 160)), one(1, 1, 3, (160, 90))]


@pytest.mark.parametrize("name", FAMILIES)
def test_a_batch(name: str) -> None:
    family, made = examples(name)
    batch = collate(made, family)
    assert batch.video_ids_B == ("v0", "v1")
    assert batch.object_ids_B == (("a", "b"), ("a",))
    longest = max(len(example.input_ids_BL[0]) for example in made)
    assert batch.input_ids_BL.shape == batch.labels_BL.shape == batch.attention_BL.shape == (2, longest)
    for row, example in enumerate(made):
        length = len(example.input_ids_BL[0])
        assert batch.attention_BL[row].tolist() == [True] * length + [False] * (longest - length)
        assert batch.input_ids_BL[row, :length].equal(example.input_ids_BL[0])
        assert batch.labels_BL[row, :length].equal(example.labels_BL[0])
        assert batch.input_ids_BL[row, length:].eq(0).all()
        assert batch.labels_BL[row, length:].eq(IGNORED).all()
        assert batch.masks_B[row].equal(example.masks_B[0])
    assert batch.sam_frames_N3SS[:2].equal(made[0].sam_frames_N3SS)
    assert batch.sam_frames_N3SS[2:].equal(made[1].sam_frames_N3SS)
    pixels = [example.mllm["pixel_values"] for example in made]
    assert batch.mllm["pixel_values"][: len(pixels[0])].equal(pixels[0])
    assert batch.mllm["pixel_values"][len(pixels[0]) :].equal(pixels[1])
    assert (batch.input_ids_BL == family.context_token_id).sum() == sum(
        int((example.input_ids_BL[0] == family.context_token_id).sum()) for example in made
    )


def test_padding_is_not_told_from_the_token() -> None:
    """Token 0 is a letter like any other."""
    family, made = examples("qwen3_vl")
    made[0].input_ids_BL[0, -3:] = 0
    assert collate(made[:1], family).attention_BL.all()


def test_no_examples_is_an_error() -> None:
    family, _ = examples("internvl")
    with pytest.raises(ValueError, match="at least one example"):
        collate([], family)
