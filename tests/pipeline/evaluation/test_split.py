"""Splits are read as written, ours and the official ones; whatever breaks a rule is named, all of it at once."""

import json
from pathlib import Path
from typing import Any

import pytest
from pycocotools import mask as coco

from pipeline.evaluation.json_files import MismatchError
from pipeline.evaluation.split import Jpegs, find_frames, read_split
from tests.pipeline.evaluation.drawn import FRAMES, HEIGHT_PX, WIDTH_PX, edit, masklet, write_split
from validation_ui.exporting.benchmark import BenchmarkClip, BenchmarkExpression, meta_expressions


def test_a_split_is_read_in_the_order_of_its_file(split_folder: Path) -> None:
    split = read_split(split_folder)
    assert [video.video_id for video in split.videos] == ["v0", "v1", "v2", "v3"]
    first = split.videos[0]
    assert first.frames == ("00000", "00004", "00008", "00012", "00016", "00020")
    assert (first.height_px, first.width_px) == (HEIGHT_PX, WIDTH_PX)
    assert [(each.exp_id, each.group, each.anno_ids) for each in first.expressions] == [
        ("0", "long", ("0",)),
        ("1", "long", ("1",)),
        ("s", "short", ("0",)),
    ]
    assert first.masks == {"0": masklet(0, hidden=(0,)), "1": masklet(3)}
    assert (split.count("long"), split.count("short")) == (8, 2)


def test_our_export_is_read(tmp_path: Path) -> None:
    clip = BenchmarkClip("sav_1", "x.mp4", "", HEIGHT_PX, WIDTH_PX, 4 * FRAMES - 3, b"")
    chosen = [
        BenchmarkExpression(7, 1, 31, "sav_1", "long", "a long text", {"size": "small"}, 1, 2),
        BenchmarkExpression(9, 2, 31, "sav_1", "short", "it", {"size": "small"}, 1, 2),
    ]
    (tmp_path / "meta_expressions_valid.json").write_text(json.dumps(meta_expressions([clip], chosen)))
    (tmp_path / "mask_dict.json").write_text(json.dumps({"31": masklet(0)}))
    (tmp_path / "split.json").write_text(json.dumps({"seed": 0, "strata": {"size": {"small": 2}}}))
    (video,) = read_split(tmp_path).videos
    assert [(each.exp_id, each.text, each.group) for each in video.expressions] == [
        ("7", "a long text", "long"),
        ("9", "it", "short"),
    ]
    assert len(video.frames) == FRAMES
    assert video.masks == {"31": masklet(0)}


def test_strata_of_expressions_are_read(tmp_path: Path) -> None:
    folder = write_split(tmp_path / "s", strata_of={"v1": {"2": {"motion": "moves", "camera": "static"}}})
    expressions = {(v.video_id, e.exp_id): e.strata for v in read_split(folder).videos for e in v.expressions}
    assert expressions["v1", "2"] == (("camera", "static"), ("motion", "moves"))
    assert expressions["v1", "3"] == ()


def test_everything_wrong_is_named_at_once(tmp_path: Path) -> None:
    folder = write_split(tmp_path / "s")

    def spoil(meta: dict[str, Any]) -> None:
        videos = meta["videos"]
        videos["v0"]["frames"][1] = "4"
        videos["v1"]["height"] = 0
        videos["v1"]["expressions"]["2"]["type_id"] = 2
        videos["v2"]["expressions"]["4"]["anno_id"] = [4, 99]
        videos["v3"]["expressions"]["6"]["exp"] = " "
        videos["../v4"] = {"frames": [], "expressions": {}}

    edit(folder / "meta_expressions_valid.json", spoil)
    edit(folder / "mask_dict.json", lambda masks: masks["7"].pop())
    with pytest.raises(MismatchError) as error:
        read_split(folder)
    expected = [
        "v0: names of frames are different, of one width and sorted, got 00000, 4, 00008",
        "v1: height is a whole number of pixels, got 0",
        "v1: expression 2: type_id is 0 (long) or 1 (short), got 2",
        "v2: expression 4: object 99 is not in mask_dict.json",
        "v3: expression 6: exp is a text, got",
        "v3: expression 7: object 7 has a mask or null for each of the 6 frames, got 5",
        "../v4: frames is a list of names, got []",
        "../v4: the id of a video is the name of a folder",
    ]
    assert len(error.value.problems) == len(expected)
    assert all(problem.startswith(start) for problem, start in zip(error.value.problems, expected, strict=True))
    assert f"{folder}: 8 wrong" in str(error.value)


def test_unsorted_names_and_doubled_keys_are_refused(tmp_path: Path) -> None:
    folder = write_split(tmp_path / "s")
    edit(folder / "meta_expressions_valid.json", lambda meta: meta["videos"]["v0"]["frames"].reverse())
    with pytest.raises(MismatchError, match="of one width and sorted, got 00020"):
        read_split(folder)
    (folder / "mask_dict.json").write_text('{"1": [], "2": [], "1": []}')
    with pytest.raises(ValueError, match="mask_dict.json cannot be read: a key is there once, got twice: 1"):
        read_split(folder)
    (folder / "mask_dict.json").unlink()
    with pytest.raises(ValueError, match="there is no .*mask_dict.json"):
        read_split(folder)


@pytest.mark.parametrize("content", ["[]", '{"strata_of": []}', '{"strata_of": {"v0": {"0": "small"}}}', "[" * 9**6])
def test_a_split_json_of_another_shape_is_refused(tmp_path: Path, content: str) -> None:
    folder = write_split(tmp_path / "s", videos=1)
    (folder / "split.json").write_text(content)
    with pytest.raises(ValueError, match=r"split\.json (must be an object; its strata_of|cannot be read)"):
        read_split(folder)


@pytest.mark.parametrize("type_id", [1.0, "0", None, [0]])
def test_a_type_that_is_no_number_is_refused(tmp_path: Path, type_id: object) -> None:
    folder = write_split(tmp_path / "s", videos=1)
    edit(
        folder / "meta_expressions_valid.json",
        lambda meta: meta["videos"]["v0"]["expressions"]["0"].update(type_id=type_id),
    )
    with pytest.raises(MismatchError, match=r"expression 0: type_id is 0 \(long\) or 1 \(short\), got"):
        read_split(folder)


def test_frames_are_read_when_looked_at(split_folder: Path) -> None:
    split = read_split(split_folder)
    frames = Jpegs(find_frames(split), split.videos[0])
    assert len(frames) == FRAMES
    truth = split.videos[0].masks["1"][2]
    assert truth is not None
    inside = coco.decode({**truth, "counts": truth["counts"].encode()}).astype(bool)
    assert frames[2].shape == (HEIGHT_PX, WIDTH_PX, 3)
    assert frames[2][inside].mean(axis=0) == pytest.approx([245, 10, 10], abs=20)  # red, green, blue
    assert frames[2][~inside].mean() < 10
    assert len(frames[1:]) == FRAMES - 1


def test_each_missing_frame_is_named(tmp_path: Path) -> None:
    folder = write_split(tmp_path / "s", videos=2, jpegs=True)
    (folder / "videos/v0/00004.jpg").unlink()
    (folder / "videos/v1").rename(folder / "gone")
    with pytest.raises(MismatchError) as error:
        find_frames(read_split(folder))
    assert error.value.problems[0] == "v0: 1 of 6 frames missing: 00004.jpg"
    assert error.value.problems[1].startswith("v1: 6 of 6 frames missing: 00000.jpg, 00004.jpg")
    with pytest.raises(ValueError, match=r"videos or JPEGImages/<video>/<frame>.jpg, got neither"):
        find_frames(read_split(write_split(tmp_path / "no_frames")))


def test_a_frame_of_another_size_or_none_at_all_is_refused(tmp_path: Path) -> None:
    folder = write_split(tmp_path / "s", videos=1, jpegs=True)
    edit(folder / "meta_expressions_valid.json", lambda meta: meta["videos"]["v0"].update(height=50))
    split = read_split(folder)
    with pytest.raises(ValueError, match=r"00000.jpg is of the video's size \(50, 64\).*got \(48, 64\)"):
        Jpegs(find_frames(split), split.videos[0])[0]
    (folder / "videos/v0/00004.jpg").write_bytes(b"no picture")
    with pytest.raises(ValueError, match="00004.jpg is not a picture"):
        Jpegs(find_frames(split), split.videos[0])[1]
