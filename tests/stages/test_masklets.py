import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco

from manifests.row_results import RowError
from manifests.schema import Reason
from stages.video.masklets import check_masklets, read_masklets
from stages.video.rle import Rle, contained, decode, empty, from_mask, parse
from tests.stages.tiny_sav import ENTRIES, HEIGHT_PX, WIDTH_PX, annotation, box, entry


def runs_by_the_book(text: str, pixels: int) -> list[int] | None:
    """The format's definition, one character at a time; None where it is broken."""
    runs: list[int] = []
    position = 0
    while position < len(text):
        value, shift, more = 0, 0, True
        while more:
            if position == len(text) or shift == 30:
                return None
            code = ord(text[position]) - 48
            if not 0 <= code < 64:
                return None
            value |= (code & 0x1F) << shift
            more, shift, position = bool(code & 0x20), shift + 5, position + 1
            if not more and code & 0x10:
                value -= 1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
    good = runs and min(runs) >= 0 and 0 not in runs[1:] and sum(runs) == pixels
    return runs if good else None


def string_of(runs: list[int], height: int, width: int) -> str:
    text: str = coco.frPyObjects({"size": [height, width], "counts": runs}, height, width)["counts"].decode()
    return text


def rle(counts: str, height: int, width: int) -> Rle:
    return {"size": [height, width], "counts": counts}


@st.composite
def masks(draw: st.DrawFn) -> tuple[int, int, list[int]]:
    height, width = draw(st.integers(1, 60)), draw(st.integers(1, 60))
    cuts = draw(st.lists(st.integers(1, height * width - 1), unique=True)) if height * width > 1 else []
    edges = [*([0] if draw(st.booleans()) else []), 0, *sorted(cuts), height * width]
    return height, width, np.diff(edges).tolist()


@given(st.lists(masks(), max_size=8))
@settings(max_examples=150, deadline=None)
def test_runs_and_centres_are_those_of_the_decoded_mask(drawn: list[tuple[int, int, list[int]]]) -> None:
    strings = [string_of(runs, h, w) for h, w, runs in drawn]
    parsed = parse([rle(text, h, w) for text, (h, w, _) in zip(strings, drawn, strict=True)])
    assert parsed.errors == {}
    for s, (height, width, runs) in enumerate(drawn):
        assert parsed.lengths_R[parsed.first_S1[s] : parsed.first_S1[s + 1]].tolist() == runs
        rows, columns = np.nonzero(decode(rle(strings[s], height, width)))
        expected = [columns.mean(), rows.mean()] if len(rows) else [np.nan, np.nan]
        np.testing.assert_allclose(parsed.centres()[s], expected)


@given(st.lists(st.text(st.characters(min_codepoint=44, max_codepoint=115), max_size=12), max_size=12))
@settings(max_examples=300, deadline=None)
def test_any_text_is_judged_by_the_definition(texts: list[str]) -> None:
    parsed = parse([rle(text, 3, 4) for text in texts])
    for s, text in enumerate(texts):
        runs = runs_by_the_book(text, 12)
        assert (s in parsed.errors) == (runs is None), text
        if runs is not None:
            assert parsed.lengths_R[parsed.first_S1[s] : parsed.first_S1[s + 1]].tolist() == runs


GOOD = string_of([30, 5, 15, 5, 45], 10, 10)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("", "empty"),
        ("\u00e9" + GOOD, "not ASCII"),
        ("0" * 9 + "~", "outside 48..111"),
        (GOOD[:-1] + "\0", "outside 48..111"),
        (GOOD + "o", "breaks off"),
        ("ooooooo0", "more than 6 characters"),
        ("O" + GOOD, "negative"),
        (string_of([50, 0, 50], 10, 10), "empty after the first"),
        (string_of([30, 5, 15, 5, 44], 10, 10), "add up to 99"),
        (GOOD[:-1], "breaks off"),
    ],
)
def test_a_broken_string_is_named_and_leaves_its_neighbours_alone(text: str, rule: str) -> None:
    parsed = parse([rle(counts, 10, 10) for counts in (GOOD, text, GOOD)])
    assert list(parsed.errors) == [1]
    assert rule in parsed.errors[1]
    np.testing.assert_array_equal(np.isnan(parsed.centres()).any(axis=1), [False, True, False])
    np.testing.assert_array_equal(parsed.centres()[0], parsed.centres()[2])


def test_areas_boxes_and_centres_of_a_file() -> None:
    raw = json.dumps(annotation([box(10, 20, 30, 40, speed=2), box(0, 0, 5, 5, during=[3])])).encode()
    masklets = read_masklets(raw, "a.json")
    assert masklets.frame_count == 33
    assert masklets.ids == [0, 1]
    assert masklets.areas.tolist() == [[1200, 25 if t == 3 else 0] for t in range(ENTRIES)]
    assert masklets.boxes[:, 0].tolist() == [[10 + 2 * t, 20, 30, 40] for t in range(ENTRIES)]
    assert masklets.boxes[0, 1].tolist() == [0, 0, 0, 0]
    np.testing.assert_allclose(masklets.centres[:, 0], [(24.5 + 2 * t, 39.5) for t in range(ENTRIES)])
    assert np.isnan(masklets.centres[0, 1]).all()
    assert decode(masklets.rles[3][1]).sum() == 25


def test_what_real_files_do() -> None:
    """Sizes as floats, no optional key, no masklet at all: all are fine."""
    bare = {"masklet": [[{"size": [120.0, 160.0], "counts": entry(box(1, 1, 9, 9)(0))["counts"]}]]}
    masklets = check_masklets(bare, "a.json")
    assert (masklets.frame_count, masklets.ids, masklets.errors) == (None, [None], {})
    assert masklets.areas.tolist() == [[81]]
    nothing = check_masklets({"masklet": [[], []], "masklet_id": []}, "a.json")
    assert nothing.areas.shape == (2, 0)
    assert nothing.boxes.shape == (2, 0, 4)
    assert nothing.centres.shape == (2, 0, 2)


def without(key: str) -> dict[str, Any]:
    return {name: value for name, value in annotation([box(1, 1, 9, 9)]).items() if name != key}


@pytest.mark.parametrize(
    ("content", "where"),
    [
        (b"", r"must be JSON, got an empty file \(0 bytes\)"),
        (json.dumps(annotation([box(1, 1, 9, 9)])).encode()[:400], "line 1 column 400"),
        (b"\xfd{}", "got binary data"),
        (b"[" * 5000, "recursion"),
        (b"[]", "top level"),
        (without("masklet"), "masklet must be"),
        (without("masklet") | {"masklet": []}, "masklet must be"),
        (without("masklet") | {"masklet": [[{}], 7]}, r"masklet\[1\]"),
        (without("masklet") | {"masklet": [[{}], [{}, {}]]}, r"masklet\[1\]"),
        (without("masklet_id") | {"masklet_id": [0, 1]}, "masklet_id"),
        (without("masklet_id") | {"masklet_id": ["0"]}, r"masklet_id\[0\]"),
        (without("") | {"video_frame_count": "33"}, "video_frame_count"),
        (without("") | {"video_frame_count": 33.5}, "video_frame_count"),
        (without("") | {"video_frame_count": float("nan")}, "video_frame_count"),
        (without("") | {"video_frame_count": 10**30}, "video_frame_count"),
    ],
)
def test_a_malformed_file_says_where(content: bytes | dict[str, Any], where: str) -> None:
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    with pytest.raises(RowError, match=f"a.json: .*{where}") as caught:
        read_masklets(raw, "a.json")
    assert caught.value.reason is Reason.JSON_MALFORMED


@pytest.mark.parametrize(
    "bad",
    [
        None,
        {},
        "text",
        {"size": [120, 160]},
        {"size": [120, 160], "counts": [0, 19200]},
        {"size": [120, 160], "counts": 5},
        {"size": 120, "counts": GOOD},
        {"size": [0, 160], "counts": GOOD},
        {"size": [-120, -160], "counts": GOOD},
        {"size": [120.5, 160], "counts": GOOD},
        {"size": [float("nan"), 160], "counts": GOOD},
        {"size": [1e30, 1e30], "counts": GOOD},
        {"size": [10**30, 1], "counts": GOOD},
        {"size": [120, 160], "counts": GOOD},
    ],
)
def test_a_malformed_entry_costs_its_masklet_only(bad: Any) -> None:
    content = annotation([box(1, 1, 9, 9), box(20, 20, 30, 30)])
    content["masklet"][4][0] = bad
    masklets = read_masklets(json.dumps(content).encode(), "a.json")
    assert list(masklets.errors) == [0]
    assert masklets.errors[0].startswith("a.json: masklet[4][0]: ")
    assert masklets.areas[:, 0].tolist() == [81] * 4 + [0] + [81] * 4
    assert masklets.areas[:, 1].tolist() == [900] * ENTRIES


def test_shares_of_masks_in_one_another() -> None:
    whole, half_out, away = box(0, 0, 40, 40)(0), box(30, 0, 20, 40)(0), box(100, 100, 10, 10)(0)
    rles = [from_mask(mask) for mask in (whole, half_out, away)] + [empty(HEIGHT_PX, WIDTH_PX)]
    expected = [[1, 0.25, 0, 0], [0.5, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]]
    np.testing.assert_allclose(contained(rles, rles), np.array(expected))
