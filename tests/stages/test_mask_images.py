"""Masks in PNG files: numbers by palette or as grey, and what is refused."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image as PilImage

from stages.video.mask_images import read_index_image

NUMBERS = np.array([[0, 1, 2], [3, 0, 255]], np.uint8)


def test_a_palette_gives_numbers_and_not_its_colours(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    image = PilImage.fromarray(NUMBERS, mode="P")
    image.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0, 128, 128, 0] + [200] * 756)
    image.save(path)
    assert np.array_equal(read_index_image(path), NUMBERS)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_palettes_of_a_few_bits(tmp_path: Path, bits: int) -> None:
    numbers = NUMBERS % 2**bits
    image = PilImage.fromarray(numbers, mode="P")
    image.putpalette(list(range(3 * 2**bits)))
    image.save(tmp_path / "a.png", bits=bits)
    assert np.array_equal(read_index_image(tmp_path / "a.png"), numbers)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_grey_of_8_and_16_bits(tmp_path: Path, dtype: type[np.generic]) -> None:
    numbers = NUMBERS.astype(dtype) * (200 if dtype is np.uint16 else 1)
    cv2.imwrite(str(tmp_path / "a.png"), numbers)
    assert np.array_equal(read_index_image(tmp_path / "a.png"), numbers)


def test_one_bit_is_0_and_1(tmp_path: Path) -> None:
    PilImage.fromarray(NUMBERS > 0).save(tmp_path / "a.png")
    assert np.array_equal(read_index_image(tmp_path / "a.png"), NUMBERS > 0)


def test_grey_that_is_stored_in_three_channels_or_with_alpha(tmp_path: Path) -> None:
    for name, channels in (("rgb", 3), ("rgba", 4)):
        cv2.imwrite(str(tmp_path / f"{name}.png"), np.dstack([NUMBERS] * channels))
        assert np.array_equal(read_index_image(tmp_path / f"{name}.png"), NUMBERS)
    PilImage.fromarray(np.dstack([NUMBERS, NUMBERS]), mode="LA").save(tmp_path / "la.png")
    assert np.array_equal(read_index_image(tmp_path / "la.png"), NUMBERS)


def test_what_is_no_mask_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), np.dstack([NUMBERS, NUMBERS + 1, NUMBERS]))
    with pytest.raises(ValueError, match=r"a\.png must be an indexed or grey PNG, got colours \(RGB\)"):
        read_index_image(path)
    PilImage.fromarray(NUMBERS).save(tmp_path / "b.jpg")
    (tmp_path / "b.jpg").rename(path)
    with pytest.raises(ValueError, match=r"a\.png must be a PNG, got a JPEG picture"):
        read_index_image(path)
    path.write_bytes(b"")
    with pytest.raises(ValueError, match="an empty file"):
        read_index_image(path)
    cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 9, (64, 64)).astype(np.uint8))
    whole = path.read_bytes()
    for share in (0.3, 0.9):
        path.write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(ValueError, match="must be a whole PNG"):
            read_index_image(path)
