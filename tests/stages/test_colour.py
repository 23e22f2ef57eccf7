"""Colour names of known things: photographs, and patches under two lights."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.demo.cutouts import photo
from stages.video.colour import MIN_SHARE_FRAC, TERMS, ColourSampler, term_indices

PATCHES = {  # sRGB: what people call them
    (220, 20, 40): "red", (150, 20, 25): "red", (128, 0, 10): "red",
    (255, 140, 0): "orange", (240, 120, 30): "orange",
    (255, 225, 0): "yellow", (245, 210, 60): "yellow",
    (0, 140, 30): "green", (60, 170, 70): "green", (90, 110, 50): "green", (20, 70, 30): "green",
    (30, 60, 200): "blue", (20, 30, 90): "blue", (65, 105, 225): "blue", (120, 190, 240): "blue", (70, 85, 125): "blue",
    (128, 20, 140): "purple", (100, 50, 170): "purple",
    (255, 105, 180): "pink", (240, 100, 150): "pink",
    (110, 70, 45): "brown", (140, 90, 55): "brown", (80, 50, 30): "brown", (198, 140, 105): "brown",
    (255, 255, 255): "white", (235, 232, 230): "white",
    (128, 128, 128): "grey", (110, 112, 115): "grey",
    (12, 12, 12): "black", (35, 32, 33): "black",
}  # fmt: skip


def names_of(rgb_N3: NDArray[np.uint8]) -> list[str]:
    return [TERMS[index] for index in term_indices(np.ascontiguousarray(rgb_N3[:, ::-1]))]


def sampled(rgb_HW3: NDArray[np.uint8], mask_HW: NDArray[np.bool_]) -> ColourSampler:
    sampler = ColourSampler()
    sampler.add(np.ascontiguousarray(rgb_HW3[..., ::-1]), mask_HW, best=True)
    return sampler


def test_basic_terms() -> None:
    assert dict(zip(PATCHES, names_of(np.array(list(PATCHES), np.uint8)), strict=True)) == PATCHES


@pytest.mark.parametrize(
    "light", [(1.0, 0.96, 0.88), (0.92, 0.98, 1.0), (0.85, 0.85, 0.85)], ids=["warm", "cold", "dim"]
)
def test_basic_terms_under_another_light(light: tuple[float, float, float]) -> None:
    seen = names_of((np.array(list(PATCHES)) * light).astype(np.uint8))
    wrong = {rgb: name for (rgb, truth), name in zip(PATCHES.items(), seen, strict=True) if name != truth}
    assert len(wrong) <= 2, wrong  # colours next to a boundary


@pytest.mark.parametrize(
    ("name", "centre", "radius_px", "expected"),
    [
        ("coffee.png", (120, 300), 20, {"red"}),  # saucer
        ("coffee.png", (190, 80), 6, {"white"}),  # rim of the cup
        ("coffee.png", (290, 145), 20, {"orange"}),  # the coffee's foam
        ("coffee.png", (520, 345), 25, {"brown"}),  # table
        ("chelsea.png", (150, 60), 30, {"brown"}),  # fur
        ("rocket.jpg", (230, 300), 30, {"blue"}),  # evening sky
        ("astronaut.png", (130, 270), 20, {"orange"}),  # suit
        ("astronaut.png", (400, 440), 25, {"black"}),  # visor
        ("astronaut.png", (240, 60), 20, {"brown"}),  # hair
        ("retina.jpg", (500, 900), 60, {"red", "brown", "orange"}),
    ],
)
def test_photographs(name: str, centre: tuple[int, int], radius_px: int, expected: set[str]) -> None:
    picture = photo(name)
    mask = cv2.circle(np.zeros(picture.shape[:2], np.uint8), centre, radius_px, 1, cv2.FILLED) > 0
    found = sampled(picture, mask).facts()["colours"]
    assert found[0].name in expected, found
    assert sum(colour.share_frac for colour in found) <= 1


def test_object_ring_and_shares() -> None:
    picture = np.full((360, 640, 3), (60, 170, 70), np.uint8)
    mask = np.zeros((360, 640), bool)
    mask[100:200, 100:300] = True
    picture[100:200, 100:250], picture[100:200, 250:300] = (220, 20, 40), (20, 30, 200)
    sampler = sampled(picture, mask)
    assert [colour.name for colour in sampler.facts()["colours"]] == ["red", "blue"]
    assert sampler.facts()["colours"][0].share_frac == pytest.approx(0.75, abs=0.02)
    assert sampler.facts()["colours_best"] == sampler.facts()["colours"]
    assert [(colour.name, colour.share_frac) for colour in sampler.facts()["surroundings"]] == [("green", 1.0)]


def test_all_frames_weigh_the_same_and_best_stands_alone() -> None:
    red, blue = (np.full((90, 160, 3), bgr, np.uint8) for bgr in ((40, 20, 220), (200, 30, 20)))
    large, small = np.zeros((90, 160), bool), np.zeros((90, 160), bool)
    large[10:80, 10:150], small[40:50, 70:80] = True, True
    sampler = ColourSampler()
    sampler.add(red, large, best=True)
    for _ in range(3):
        sampler.add(blue, small, best=False)
    assert [(colour.name, colour.share_frac) for colour in sampler.facts()["colours"]] == [
        ("blue", 0.75),
        ("red", 0.25),
    ]
    assert [colour.name for colour in sampler.facts()["colours_best"]] == ["red"]


@pytest.mark.parametrize(
    ("later_bgr", "drift_frac"),
    [((200, 30, 20), 0.75), ((20, 60, 110), 0.0)],  # blue is another thing; brown may be red in the shade
)
def test_drift_counts_frames_of_other_colours(later_bgr: tuple[int, int, int], drift_frac: float) -> None:
    whole = np.ones((90, 160), bool)
    sampler = ColourSampler()
    sampler.add(np.full((90, 160, 3), (40, 20, 220), np.uint8), whole, best=True)
    for _ in range(3):
        sampler.add(np.full((90, 160, 3), later_bgr, np.uint8), whole, best=False)
    assert sampler.facts()["colour_drift_frac"] == drift_frac


def lit(inside: int, around: int) -> bool:
    """Whether the colours are known of a square of one lightness before another, 5 % of it in a warm red."""
    picture = np.full((90, 160, 3), around, np.uint8)
    picture[30:60, 50:80] = inside
    picture[30:32, 50:70] = (40, 60, 220)
    mask = np.zeros((90, 160), bool)
    mask[30:60, 50:80] = True
    return bool(sampled(picture, mask).facts()["colours_known"])


def test_colours_are_not_known_in_glare_nor_in_the_dark() -> None:
    assert not lit(255, 255)
    assert not lit(255, 90)  # a lamp shines on it alone
    assert not lit(12, 12)
    assert lit(12, 90)  # a black thing by day
    assert lit(240, 240)  # snow
    assert lit(128, 12)  # a stage


def test_colours_that_drift_are_not_known() -> None:
    whole, sampler = np.ones((90, 160), bool), ColourSampler()
    sampler.add(np.full((90, 160, 3), (40, 20, 220), np.uint8), whole, best=True)
    assert sampler.facts()["colours_known"]
    sampler.add(np.full((90, 160, 3), (200, 30, 20), np.uint8), whole, best=False)
    assert not sampler.facts()["colours_known"]
    assert not ColourSampler().facts()["colours_known"]


def test_camouflage_is_the_share_in_the_colours_around() -> None:
    picture = np.full((90, 160, 3), (30, 160, 30), np.uint8)
    picture[30:60, 50:80] = (40, 20, 220)
    mask = np.zeros((90, 160), bool)
    mask[30:60, 50:110] = True
    assert sampled(picture, mask).facts()["camouflage_frac"] == pytest.approx(0.5, abs=0.05)


def test_small_shares_are_not_named() -> None:
    picture = np.full((100, 100, 3), (220, 20, 40), np.uint8)
    picture[:8] = (20, 30, 200)
    (red,) = sampled(picture, np.ones((100, 100), bool)).facts()["colours"]
    assert red.name == "red"
    assert red.share_frac == pytest.approx(0.94, abs=0.02)
    assert 1 - red.share_frac < MIN_SHARE_FRAC


def test_mask_thinner_than_its_rim_is_still_measured() -> None:
    picture = np.full((50, 50, 3), (220, 20, 40), np.uint8)
    mask = np.zeros((50, 50), bool)
    mask[20, 5:45] = True
    assert [colour.name for colour in sampled(picture, mask).facts()["colours"]] == ["red"]


def test_never_seen_has_no_colour() -> None:
    sampler = sampled(np.zeros((50, 50, 3), np.uint8), np.zeros((50, 50), bool))
    assert sampler.facts()["colours"] == sampler.facts()["colours_best"] == sampler.facts()["surroundings"] == []
