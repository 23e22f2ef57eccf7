"""A damaged form of each set costs its own video, and the message says what is wrong with which file."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from tests.pipeline.importers import drawn
from tests.pipeline.importers.conftest import SETS, Run

Damage = Callable[[Path], object]


def edit(path: Path, change: Callable[[Any], object]) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def without(folder: Path, but: str = "") -> None:
    for path in folder.iterdir():
        if path.stem != but:
            path.unlink()


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def as_jpeg(path: Path) -> None:
    cv2.imwrite(str(path.with_suffix(".jpg")), np.zeros((drawn.HEIGHT_PX, drawn.WIDTH_PX), np.uint8))
    path.with_suffix(".jpg").rename(path)


def small(path: Path) -> None:
    cv2.imwrite(str(path), np.ones((120, 160), np.uint8))


def in_xml(old: str, new: str) -> Damage:
    def change(root: Path) -> None:
        path = root / "walk/annotations.xml"
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))

    return change


PNG, JPEG = "Annotations/bear", "JPEGImages/bear"
CASES: list[tuple[str, Damage, str, str]] = [
    ("davis", lambda root: (root / JPEG / "00007.jpg").unlink(), "frame_missing", "between 00006.jpg and 00008.jpg"),
    ("davis", lambda root: (root / PNG / "00007.png").unlink(), "mask_missing", "between 00006.png and 00008.png"),
    ("davis", lambda root: shutil.rmtree(root / JPEG), "frame_missing", "must be a folder of pictures"),
    ("davis", lambda root: without(root / PNG), "mask_missing", "must have PNG masks"),
    ("davis", lambda root: small(root / PNG / "00004.png"), "size_mismatch", "00004.png is 120 x 160"),
    ("davis", lambda root: small(root / JPEG / "00004.jpg"), "size_mismatch", "00004.jpg is 120 x 160"),
    ("davis", lambda root: as_jpeg(root / PNG / "00003.png"), "mask_unreadable", "a JPEG picture"),
    ("davis", lambda root: cut(root / PNG / "00003.png"), "mask_unreadable", "00003.png must be a whole PNG"),
    (
        "davis",
        lambda root: cv2.imwrite(str(root / PNG / "00003.png"), np.full((240, 320, 3), (0, 0, 128), np.uint8)),
        "mask_unreadable",
        "got colours (RGB)",
    ),
    ("davis", lambda root: (root / JPEG / "00005.jpg").write_text("no"), "frame_unreadable", "00005.jpg cannot be"),
    (
        "davis",
        lambda root: without(root / PNG, but="00000"),
        "masks_sparse",
        "1 of 48 pictures have masks",
    ),
    ("ytvis", lambda root: (root / "JPEGImages/0a1b/00035.jpg").unlink(), "frame_missing", "00035.jpg is not there"),
    (
        "ytvis",
        lambda root: edit(root / "instances.json", lambda c: c["annotations"][0]["segmentations"].pop()),
        "mask_missing",
        "annotation 40 must have a mask or null for each of 24 pictures, got 23",
    ),
    (
        "ytvis",
        lambda root: edit(
            root / "instances.json",
            lambda c: c["annotations"][1]["segmentations"].__setitem__(9, {"size": [240, 320], "counts": [1, 2, 3]}),
        ),
        "mask_unreadable",
        "annotation 41: the mask of picture 9: runs must be whole, not negative and add up",
    ),
    (
        "ytvis",
        lambda root: edit(
            root / "instances.json",
            lambda c: c["annotations"][1]["segmentations"].__setitem__(9, {"size": [120, 320], "counts": [38400]}),
        ),
        "size_mismatch",
        "the mask of object 41 at 00045.jpg is 120 x 320 (height x width), the picture 240 x 320",
    ),
    (
        "ytvis",
        lambda root: edit(root / "instances.json", lambda c: c["videos"][0].pop("file_names")),
        "entry_malformed",
        "file_names",
    ),
    (
        "ytvis",
        lambda root: edit(root / "instances.json", lambda c: c["annotations"][1].update(id=40)),
        "entry_malformed",
        "every object must have an id of its own, got 2 with '40'",
    ),
    (
        "ytvis",
        lambda root: edit(
            root / "instances.json", lambda c: c["annotations"][2]["segmentations"][4][0].__setitem__(0, 1e12)
        ),
        "mask_unreadable",
        "annotation 42: the mask of picture 4: corners must lie in the picture of 240 x 320",
    ),
    ("mevis", lambda root: (root / "JPEGImages/c0ffee/00004.jpg").unlink(), "frame_missing", "00004.jpg is not there"),
    ("mevis", lambda root: (root / "mask_dict.json").unlink(), "mask_missing", "sets for tests keep them back"),
    (
        "mevis",
        lambda root: edit(root / "mask_dict.json", lambda c: c["11"].append(None)),
        "mask_missing",
        "object 11 must have a mask or null for each of 50 pictures, got 51",
    ),
    (
        "mevis",
        lambda root: edit(root / "mask_dict.json", lambda c: c["11"].__setitem__(3, "0123")),
        "mask_unreadable",
        "object 11: the mask of picture 3",
    ),
    ("cvat", lambda root: cut(root / "walk/annotations.xml"), "entry_malformed", "annotations.xml must be whole XML"),
    ("cvat", lambda root: shutil.rmtree(root / "walk/images"), "frame_missing", "got neither: give --images"),
    (
        "cvat",
        lambda root: (root / "walk/images/frame_000009.jpg").unlink(),
        "frame_missing",
        "track 0 has a frame 9",
    ),
    ("cvat", in_xml('rle="', 'rle="9, '), "mask_unreadable", "track 0: mask at frame 0: runs must add up to"),
    ("cvat", in_xml('left="', 'left="9'), "size_mismatch", "must lie in its picture, 320 x 240"),
    ("cvat", in_xml("<task>", "<project></project><task>"), "unsupported", "export the task so"),
    ("cvat", in_xml('points="20.00,180.00;', 'points="20.00;'), "mask_unreadable", "track 1: polygon at frame 0"),
    (
        "cvat",
        in_xml('points="20.00,', 'points="nan,'),
        "mask_unreadable",
        "corners must lie in the picture of 240 x 320",
    ),
    ("cvat", in_xml('track id="1"', 'track id="0"'), "entry_malformed", "two with '0'"),
    ("video", lambda root: cut(root / "clip.mp4"), "frame_unreadable", "clip.mp4"),
    ("video", lambda root: (root / "clip/00099.png").write_bytes(b""), "frame_missing", "give --first-frame"),
    ("video", lambda root: small(root / "clip/00003.png"), "size_mismatch", "00003.png is 120 x 160"),
    ("video", lambda root: (root / "clip/00012.png").unlink(), "mask_missing", "between 00011.png and 00013.png"),
]


@pytest.mark.parametrize(("name", "damage", "reason", "words"), CASES)
def test_a_damaged_video_is_left_out_with_its_reason(
    name: str, damage: Damage, reason: str, words: str, sets: dict[str, Path], tmp_path: Path, run: Run
) -> None:
    source, options, _ = SETS[name]
    root = tmp_path / name
    shutil.copytree(sets[name], root)
    damage(root)
    code, told = run(source, root, *options)
    assert code == 1
    content = json.loads((tmp_path / "sav/sav_train/s/source.json").read_text())
    [left_out] = content["left_out"]
    assert left_out["reason"] == reason, left_out
    assert words in left_out["detail"], left_out
    assert f"video     {reason}" in told
    assert not list((tmp_path / "sav/sav_train/s").glob("*.mp4"))
    assert not list((tmp_path / "sav/sav_train/s").glob(".*.mp4"))


@pytest.mark.parametrize(
    ("name", "damage", "line"),
    [
        (
            "ytvis",
            lambda root: edit(
                root / "instances.json", lambda c: c["annotations"][2].update(category_id=99, noun_phrase="")
            ),
            "unknown_category  1       3 object 42: category_id 99 must be one of",
        ),
        ("cvat", in_xml('id="1" label="sign"', 'id="1" label="sgin"'), "walk object 1: label 'sgin' must be one of"),
        (
            "mevis",
            lambda root: edit(root / "mask_dict.json", lambda c: c.update({"12": [None] * 50})),
            "never_visible   1       c0ffee object 12: no mask at any of the 12 kept pictures",
        ),
    ],
)
def test_a_damaged_object_costs_itself(
    name: str, damage: Damage, line: str, sets: dict[str, Path], tmp_path: Path, run: Run
) -> None:
    source, options, _ = SETS[name]
    shutil.copytree(sets[name], tmp_path / name)
    damage(tmp_path / name)
    code, told = run(source, tmp_path / name, *options)
    assert code == 0
    assert line in told, told


def test_one_bad_video_does_not_cost_the_others(tmp_path: Path, run: Run) -> None:
    for video in ("bear", "cat", "dog"):
        drawn.write_png_set(tmp_path / "set", drawn.clip("6"), video)
    (tmp_path / "set/JPEGImages/cat/00003.jpg").unlink()
    code, told = run("png", tmp_path / "set", "--fps", "6")
    assert code == 1
    assert {path.stem for path in (tmp_path / "sav/sav_train/s").glob("*.mp4")} == {"bear", "dog"}
    assert "2 videos, 4 objects" in told


def test_what_belongs_to_no_video_of_a_file_is_told(sets: dict[str, Path], tmp_path: Path, run: Run) -> None:
    def change(content: Any) -> None:
        content["annotations"][0]["video_id"] = 77
        content["annotations"][1]["video_id"] = "3"  # a number as text is that number
        content["annotations"] += ["x", {"video_id": [3]}]
        content["videos"] += [{"file_names": []}, {"id": [4]}]
        content["categories"] = None
        content["annotations"][1]["noun_phrase"] = content["annotations"][2]["noun_phrase"] = ["no", "text"]

    shutil.copytree(sets["ytvis"], tmp_path / "ytvis")
    edit(tmp_path / "ytvis/instances.json", change)
    code, told = run("ytvis", tmp_path / "ytvis", "--fps", "6")
    assert code == 1
    content = json.loads((tmp_path / "sav/sav_train/s/source.json").read_text())
    assert {one["source_id"]: one["reason"] for one in content["left_out"]} == dict.fromkeys(
        ["77", "annotations[3]", "annotations[4]", "videos[1]", "videos[2]"], "entry_malformed"
    )
    assert "1 videos, 2 objects" in told
    assert [one["label"] for one in content["videos"][0]["objects"]] == [None, None]


@pytest.mark.parametrize(
    ("name", "file", "content", "words"),
    [
        ("ytvis", "instances.json", {"videos": [{"id": 3}], "annotations": None}, 'must have a list "annotations"'),
        ("mevis", "mask_dict.json", [{"11": []}], "mask_dict.json must be"),
    ],
)
def test_a_file_of_another_form_stops_the_command(
    name: str, file: str, content: object, words: str, sets: dict[str, Path], tmp_path: Path, run: Run
) -> None:
    shutil.copytree(sets[name], tmp_path / name)
    (tmp_path / name / file).write_text(json.dumps(content))
    code, told = run(name, tmp_path / name, "--fps", "6")
    assert code == 2
    assert words in told
    assert not (tmp_path / "sav").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            ["png", "ytvis", "--fps", "6"],
            "it looks like COCO video JSON of YouTube-VIS, OVIS, SA-Co/VEval: give the source `ytvis`",
        ),
        (["ytvis", "davis", "--fps", "6"], "give the source `png`"),
        (["video", "cvat"], "give the source `cvat`"),
        (["png", "empty", "--fps", "6"], "with nothing"),
        (["cvat", "empty", "--fps", "6"], "annotations.xml"),
        (["png", "davis"], "--fps must say how many pictures a second"),
        (["ytvis", "ytvis"], "--fps must say how many pictures a second"),
        (["mevis", "mevis"], "--fps must say how many pictures a second"),
        (["cvat", "cvat"], "--fps must say how many pictures a second"),
        (["video", "video", "--fps", "24"], "--fps must not be given for videos"),
        (["png", "nowhere", "--fps", "6"], "there is no"),
        (["png", "davis", "--fps", "6", "--crf", "77"], "--crf must be from 0"),
        (["png", "davis", "--fps", "6", "--workers", "0"], "--workers must be at least 1"),
        (["png", "davis", "--fps", "6", "--shard", "a/b"], "must be the name of a folder"),
        (["png", "davis", "--fps", "6", "--shard", "demo"], "demo is taken"),
    ],
)
def test_wrong_settings_are_told_in_a_sentence_and_write_nothing(
    options: list[str], words: str, sets: dict[str, Path], tmp_path: Path, run: Run
) -> None:
    (tmp_path / "empty").mkdir()
    source, folder, *rest = options
    code, told = run(source, sets.get(folder, tmp_path / folder), *rest)
    assert code == 2
    assert words in told
    assert not (tmp_path / "sav").exists()


def test_archives_and_videos_of_one_name_are_told(sets: dict[str, Path], tmp_path: Path, run: Run) -> None:
    shutil.make_archive(str(tmp_path / "task"), "zip", sets["cvat"])
    code, told = run("cvat", tmp_path / "task.zip")
    assert code == 2
    assert "is a zip archive: unpack it" in told
    shutil.copytree(sets["ytvis"], tmp_path / "twice")
    edit(tmp_path / "twice/instances.json", lambda c: c["videos"].append(dict(c["videos"][0])))
    code, told = run("ytvis", tmp_path / "twice", "--fps", "6")
    assert code == 2
    assert "must have every video once, got two called '3'" in told


def test_cut_json_that_all_videos_need_stops_the_command(sets: dict[str, Path], tmp_path: Path, run: Run) -> None:
    for name, file in (("ytvis", "instances.json"), ("mevis", "meta_expressions.json"), ("mevis", "mask_dict.json")):
        root = tmp_path / f"{name}_{file}"
        shutil.copytree(sets[name], root)
        cut(root / file)
        code, told = run(SETS[name][0], root, "--fps", "6")
        assert code == 2
        assert f"{file}: EOF" in told
        assert "the file breaks off, get it again" in told


@pytest.mark.parametrize("fps", ["x", "0", "-5", "1/0", "5000", "nan"])
def test_a_wrong_rate_is_refused(fps: str, sets: dict[str, Path], run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run("png", sets["davis"], f"--fps={fps}")
    assert ended.value.code == 2
    assert "must be" in capsys.readouterr().err
