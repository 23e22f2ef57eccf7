from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from transformers import GotOcr2ImageProcessor, InternVLConfig, Qwen2_5_VLConfig, Qwen2VLImageProcessor, Qwen3VLConfig

from pipeline.sa2va.config import InferConfig, PixelsConfig, official_infer
from pipeline.sa2va.families import family_of
from pipeline.sa2va.pixels import resize, squares

CONFIGS = {"qwen3_vl": Qwen3VLConfig(), "qwen2_5_vl": Qwen2_5_VLConfig(), "internvl": InternVLConfig()}
INFERENCE = official_infer(InferConfig()).pixels
FLOAT_BYTES = 4


def drawn(height_px: int, width_px: int) -> NDArray[np.uint8]:
    """Slow waves with a hard edge through them, in three colours."""
    y, x = np.mgrid[:height_px, :width_px]
    waves = [np.sin(x / width_px * 9), np.cos(y / height_px * 7), np.sin((x + y) / height_px * 5)]
    picture = np.stack(waves, -1) * 80 + 128
    picture[(x > width_px / 3) & (y > height_px / 3) & (x < width_px / 2)] = (250, 20, 60)
    return picture.astype(np.uint8)


@pytest.mark.parametrize("official", [False, True])
@pytest.mark.parametrize(
    ("name", "pixels", "tokens"),
    [
        ("qwen3_vl", PixelsConfig(), 364),
        ("qwen2_5_vl", PixelsConfig(), 480),
        ("qwen3_vl", INFERENCE, 880),
        ("qwen2_5_vl", INFERENCE, 1196),
        ("internvl", PixelsConfig(), 256),
        ("internvl", INFERENCE, 256),
    ],
)
def test_tokens_of_a_frame_of_1280_by_720(name: str, pixels: PixelsConfig, tokens: int, official: bool) -> None:
    """Measured on the released code."""
    family = family_of(CONFIGS[name])
    config = PixelsConfig(min_px=pixels.min_px, max_px=pixels.max_px, official=official)  # resized once
    made = family.pixels([drawn(720, 1280)], config)
    assert made.tokens_F == [tokens]
    if name != "internvl":
        assert made.tensors["image_grid_thw"].prod() == 4 * tokens == len(made.tensors["pixel_values"])


@pytest.mark.parametrize(
    ("name", "size", "grid"),
    [("qwen3_vl", (720, 1280), (46, 80)), ("qwen2_5_vl", (720, 1280), (52, 92)), ("qwen3_vl", (1080, 1920), (58, 104))],
)
def test_the_released_inference_resizes_twice(name: str, size: tuple[int, int], grid: tuple[int, int]) -> None:
    """To multiples of 28, then to the family's own of 32 (or 28): 46 x 80 of 1280x720 where once gives 44 x 80."""
    frame = drawn(*size)
    config = official_infer(InferConfig()).pixels
    made = family_of(CONFIGS[name]).pixels([frame], config)
    assert made.tensors["image_grid_thw"].tolist() == [[1, *grid]]
    side = CONFIGS[name].vision_config.patch_size
    first = resize(frame, *(round(each / 28) * 28 for each in size), official=True)
    second = resize(first, grid[0] * side, grid[1] * side, official=True)
    once = replace(config, resize_twice=False)
    assert family_of(CONFIGS[name]).pixels([second], once).tensors["pixel_values"].equal(made.tensors["pixel_values"])


def test_the_grid_of_qwen3_at_training() -> None:
    made = family_of(CONFIGS["qwen3_vl"]).pixels([drawn(720, 1280)], PixelsConfig())
    assert made.tensors["image_grid_thw"].tolist() == [[1, 28, 52]]


@pytest.mark.parametrize("name", ["qwen3_vl", "qwen2_5_vl"])
def test_official_qwen_pixels_are_those_of_transformers(name: str) -> None:
    """Its processor in PIL resizes; it and ours must agree bit by bit up to normalising, which rounds once or twice."""
    pil = pytest.importorskip("transformers.models.qwen2_vl.image_processing_pil_qwen2_vl").Qwen2VLImageProcessorPil
    family, config = family_of(CONFIGS[name]), PixelsConfig(official=True)
    side = CONFIGS[name].vision_config.patch_size
    theirs = pil(
        patch_size=side,
        image_mean=list(family.mean_3),
        image_std=list(family.std_3),
        size={"shortest_edge": config.min_px, "longest_edge": config.max_px},
    )
    frames = [drawn(180, 320), drawn(333, 222)]
    wanted = theirs(frames, return_tensors="pt")
    ours = family.pixels(frames, config)
    assert ours.tensors["image_grid_thw"].equal(wanted["image_grid_thw"])
    torch.testing.assert_close(family.floats(ours.tensors["pixel_values"]), wanted["pixel_values"], rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", ["qwen3_vl", "qwen2_5_vl"])
def test_qwen_patches_are_bit_by_bit_those_of_transformers(name: str) -> None:
    family, config = family_of(CONFIGS[name]), PixelsConfig()
    side = CONFIGS[name].vision_config.patch_size
    theirs = Qwen2VLImageProcessor(patch_size=side, image_mean=list(family.mean_3), image_std=list(family.std_3))
    frame = drawn(12 * side, 18 * side)  # has a size that no rule changes
    wanted = theirs([frame], do_resize=False, return_tensors="pt")
    config = PixelsConfig(min_px=1, max_px=frame[..., 0].size)
    made = family.pixels([frame], config)
    assert made.tensors["pixel_values"].dtype == torch.uint8
    assert made.tensors["pixel_values"].nbytes * 2 * FLOAT_BYTES == wanted["pixel_values"].nbytes
    assert family.floats(made.tensors["pixel_values"]).equal(wanted["pixel_values"])


def test_internvl_pixels_are_bit_by_bit_those_of_transformers() -> None:
    family = family_of(CONFIGS["internvl"])
    theirs = GotOcr2ImageProcessor(image_mean=list(family.mean_3), image_std=list(family.std_3))
    frame = drawn(448, 448)
    wanted = theirs([frame], do_resize=False, return_tensors="pt")["pixel_values"]
    assert family.floats(family.pixels([frame], PixelsConfig()).tensors["pixel_values"]).equal(wanted)


def test_official_resizing_is_pil_s() -> None:
    frame = drawn(360, 640)
    wanted = np.asarray(Image.fromarray(frame).resize((100, 130), Image.Resampling.BICUBIC))
    assert np.array_equal(resize(frame, 130, 100, official=True), wanted)


@pytest.mark.parametrize("size", [(1024, 1024), (448, 832), (360, 640), (90, 160), (100, 700), (700, 100)])
def test_our_resizing_is_close_to_pil_s(size: tuple[int, int]) -> None:
    frame = drawn(360, 640)
    ours = resize(frame, *size, official=False)
    theirs = resize(frame, *size, official=True)
    assert ours.shape == theirs.shape == (*size, 3)
    assert np.abs(ours.astype(int) - theirs).mean() < 1.5
    assert np.array_equal(resize(frame, 360, 640, official=False), frame)


def test_shrinking_averages() -> None:
    """Every other column white: what does not average gives stripes or one of the two colours."""
    frame = np.zeros((200, 400, 3), np.uint8)
    frame[:, ::2] = 255
    small = resize(frame, 50, 50, official=False)
    assert small.min() >= 127
    assert small.max() <= 128


@pytest.mark.parametrize("official", [False, True])
def test_frames_for_sam(official: bool) -> None:
    frames = [drawn(90, 160), drawn(90, 160)[::-1].copy()]
    made = squares(frames, 128, official)
    assert (made.dtype, made.shape) == (torch.uint8, (2, 3, 128, 128))
    for one, frame in zip(made, frames, strict=True):
        assert np.array_equal(one.permute(1, 2, 0).numpy(), resize(frame, 128, 128, official=official))


def test_a_frame_must_be_bytes_in_three_colours() -> None:
    wrongs: list[NDArray[Any]] = [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 3), np.float32),
        np.zeros((3, 4, 4), np.uint8),
    ]
    for wrong in wrongs:
        with pytest.raises(ValueError, match=r"must be uint8 \(H, W, 3\)"):
            resize(wrong, 8, 8, official=False)
