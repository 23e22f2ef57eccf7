"""Each source gives the masks that were drawn, with the quirks of its kind."""

import json
import shutil
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from pycocotools import mask as coco

from pipeline.importers import cvat_tracks
from pipeline.importers.source_protocol import SOURCES, ImportOptions, SourceVideo, source
from stages.video.rle import decode
from tests.pipeline.importers import drawn, drawn_cvat
from tests.pipeline.importers.drawn import Clip, clip


def opened(name: str, path: Path, **options: object) -> SourceVideo:
    given = ImportOptions(**options)  # type: ignore[arg-type]
    [task] = source(name).find(path, given)
    return source(name).open(task, given)


def equal(video: SourceVideo, clip: Clip, ids: dict[str, str]) -> None:
    """Masks are those of the clip, bit by bit: at every annotated picture, and only of what is to be seen."""
    for at, masks in video.masks.items():
        for object_id, name in ids.items():
            given = masks.get(object_id)
            mask_HW = decode(given) if given else np.zeros(clip.size, np.uint8)
            assert np.array_equal(mask_HW, clip.masks[at][name]), (at, name)


def test_every_module_of_the_registry_is_a_source_that_fits_its_own_set_and_no_other(sets: dict[str, Path]) -> None:
    by_source = dict(zip(SOURCES, sets.values(), strict=True))
    for name, path in by_source.items():
        assert [other for other in SOURCES if source(other).fits(path)] == [name]


@pytest.mark.parametrize("grey", [False, True])
def test_png_indexed_and_grey(tmp_path: Path, grey: bool) -> None:
    drawn.write_png_set(tmp_path, clip("6"), grey=grey)
    video = opened("png", tmp_path, fps=Fraction(6))
    assert [one.source_id for one in video.objects] == ["1", "2"]
    assert "2" not in video.masks[0], "it appears late"
    equal(video, clip("6"), {"1": "horse", "2": "ball"})


def test_png_255_is_ignore_beside_other_numbers_and_the_object_if_it_is_alone(tmp_path: Path) -> None:
    drawn.write_png_set(tmp_path / "multi", clip("6"), ignore=True)
    assert [one.source_id for one in opened("png", tmp_path / "multi", fps=Fraction(6)).objects] == ["1", "2"]
    drawn.write_png_set(tmp_path / "davis16", clip("6"), ids={"horse": 255}, grey=True)
    video = opened("png", tmp_path / "davis16", fps=Fraction(6))
    assert [one.source_id for one in video.objects] == ["255"]
    equal(video, clip("6"), {"255": "horse"})


def test_png_numbers_of_16_bits_and_names_without_zeros(tmp_path: Path) -> None:
    drawn.write_png_set(
        tmp_path, clip("6"), ids={"horse": 300, "ball": 41000}, name=lambda n: f"f{n + 8}", middle="480p"
    )
    video = opened("png", tmp_path, fps=Fraction(6))
    assert [one.source_id for one in video.objects] == ["300", "41000"]
    assert video.pictures.names[:3] == ["f8.jpg", "f9.jpg", "f10.jpg"]
    equal(video, clip("6"), {"300": "horse", "41000": "ball"})


def test_png_one_folder_for_every_object_as_in_sav_val(tmp_path: Path) -> None:
    drawing = clip("24")
    drawn.write_jpegs(tmp_path / "JPEGImages_24fps/v", drawing.images, [f"{n:05d}" for n in range(drawing.count)])
    for n in range(0, drawing.count, 4):
        for number, name in enumerate(drawn.NAMES):
            if drawing.masks[n][name].any():
                path = tmp_path / f"Annotations_6fps/v/{number:03d}/{n:05d}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(path), drawing.masks[n][name].astype(np.uint8) * 255)
    video = opened("png", tmp_path, fps=Fraction(24))
    assert sorted(video.masks) == list(range(0, drawing.count, 4))
    equal(video, drawing, {"000": "horse", "001": "ball"})


def test_png_takes_categories_of_youtube_vos(tmp_path: Path) -> None:
    drawn.write_png_set(tmp_path, clip("6"))
    objects = {"1": {"category": "horse", "frames": []}}
    (tmp_path / "meta.json").write_text(json.dumps({"videos": {"bear": {"objects": objects}}}))
    assert [one.label for one in opened("png", tmp_path, fps=Fraction(6)).objects] == ["horse", None]


def test_ytvis_strings_run_lengths_polygons_nulls_and_categories(tmp_path: Path) -> None:
    drawing = clip("6", 4.0)
    drawn.write_ytvis(tmp_path, drawing)
    video = opened("ytvis", tmp_path, fps=Fraction(6))
    assert [(one.source_id, one.label) for one in video.objects] == [("40", "horse"), ("41", "ball"), ("42", "horse")]
    equal(video, drawing, {"40": "horse", "41": "ball"})
    assert "41" not in video.masks[0]
    square = coco.decode(coco.merge(coco.frPyObjects([[20.0, 180, 60, 180, 60, 220, 20, 220]], *drawing.size)))
    assert np.array_equal(decode(video.masks[0]["42"]), square)
    assert decode(video.masks[1]["42"]).sum() > square.sum(), "both polygons"


def test_ytvis_noun_phrases_come_before_categories_and_groups_are_left_out(tmp_path: Path) -> None:
    path = drawn.write_ytvis(tmp_path, clip("6", 4.0), phrases=True)
    content = json.loads(path.read_text())
    content["annotations"][2]["iscrowd"] = 1
    path.write_text(json.dumps(content))
    video = opened("ytvis", path, fps=Fraction(6))
    assert [one.label for one in video.objects] == ["brown horse", "red ball"]
    assert [(one.object_id, str(one.reason)) for one in video.left_out] == [("42", "unsupported")]


def test_mevis_texts_and_masks(tmp_path: Path) -> None:
    drawing = clip("25")
    drawn.write_mevis(tmp_path, drawing)
    video = opened("mevis", tmp_path, fps=Fraction(25))
    equal(video, drawing, {"11": "horse", "12": "ball"})
    assert [(one.text_id, one.objects) for one in video.texts] == [
        *(("0", ("11",)), ("1", ("12",)), ("2", ("11", "12")), ("3", ("11",))),
    ]
    assert video.texts[1].text == "the red ball that appears later", "spaces are joined"
    assert [(one.text_id, str(one.reason)) for one in video.left_out] == [
        *(("4", "no_target"), ("5", "empty_text"), ("6", "unknown_object")),
    ]


def test_ref_youtube_vos_with_png_and_categories(tmp_path: Path) -> None:
    drawing = clip("6", 4.0)
    drawn.write_mevis(tmp_path, drawing, png=True)
    video = opened("mevis", tmp_path, fps=Fraction(6))
    equal(video, drawing, {"1": "horse", "2": "ball"})
    assert [one.label for one in video.objects] == ["horse", "sports ball"]
    assert [one.objects for one in video.texts] == [("1",), ("2",)]


def test_the_refsav_benchmark_is_read_too(tmp_path: Path) -> None:
    drawn.write_mevis(tmp_path, clip("25"))
    (tmp_path / "JPEGImages").rename(tmp_path / "videos")
    (tmp_path / "meta_expressions.json").rename(tmp_path / "meta_expressions_valid.json")
    assert len(opened("mevis", tmp_path, fps=Fraction(25)).texts) == 4


@pytest.mark.parametrize("named", [True, False])
def test_endings_in_large_letters_and_frames_named_with_them(tmp_path: Path, named: bool) -> None:
    drawing = clip("25")
    drawn.write_mevis(tmp_path / "m", drawing)
    for path in (tmp_path / "m/JPEGImages/c0ffee").iterdir():
        path.rename(path.with_suffix(".JPG"))
    if named:
        meta = tmp_path / "m/meta_expressions.json"
        content = json.loads(meta.read_text())
        video = content["videos"]["c0ffee"]
        video["frames"] = [f"{name}.JPG" for name in video["frames"]]
        meta.write_text(json.dumps(content))
    assert opened("mevis", tmp_path / "m", fps=Fraction(25)).pictures.size == drawing.size
    drawn_cvat.write_cvat(tmp_path / "c", clip("30"), images=False)
    (tmp_path / "c/source.mp4").rename(tmp_path / ("c/annotations.MP4" if named else "c/SOURCE.MP4"))
    assert opened("cvat", tmp_path / "c").pictures.size == drawing.size


def polygon_mask(corners: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.uint8]:
    mask_HW: NDArray[np.uint8] = coco.decode(coco.merge(coco.frPyObjects([corners.ravel().tolist()], *size)))
    return mask_HW


def test_cvat_masks_groups_polygons_and_boxes(tmp_path: Path) -> None:
    drawing = clip("30")
    drawn_cvat.write_cvat(tmp_path, drawing)
    video = opened("cvat", tmp_path, fps=Fraction(30))
    assert [(one.source_id, one.label) for one in video.objects] == [
        *(("0", "horse"), ("1", "sign"), ("group 4 ball", "ball")),
    ]
    equal(video, drawing, {"0": "horse", "group 4 ball": "ball"})
    assert [(one.object_id, str(one.reason)) for one in video.left_out] == [("2", "no_mask")]
    first, last = (np.array(drawn_cvat.KEY_FRAMES[at]) for at in (0, 10))
    assert np.array_equal(decode(video.masks[0]["1"]), polygon_mask(first, drawing.size))
    assert np.array_equal(decode(video.masks[10]["1"]), polygon_mask(last, drawing.size))
    half = polygon_mask(first + [10, 0], drawing.size)
    assert np.array_equal(decode(video.masks[5]["1"]), half), "half the way between the key frames"
    assert np.array_equal(decode(video.masks[15]["1"]), polygon_mask(last, drawing.size)), "it keeps still"
    assert "1" not in video.masks[drawn_cvat.OUTSIDE_FROM]


@pytest.mark.parametrize("images", [True, False])
def test_cvat_tasks_that_begin_later_and_take_every_fifth_frame(tmp_path: Path, images: bool) -> None:
    drawing = clip("30")
    drawn_cvat.write_cvat(tmp_path, drawing, start=3, step=5, images=images)
    video = opened("cvat", tmp_path, fps=Fraction(6) if images else None)
    frames = range(3, drawing.count, 5)
    assert sorted(video.masks) == list(range(len(frames))) if images else list(frames)
    for at, frame in zip(sorted(video.masks), frames, strict=True):
        assert np.array_equal(decode(video.masks[at]["0"]), drawing.masks[frame]["horse"])


def test_cvat_polygons_between_key_frames_match_corners_along_the_outline() -> None:
    square = np.array([[0, 0], [10, 0], [10, 10], [0, 10]], float)
    assert np.allclose(cvat_tracks.between(square, square + 8, 0.25), square + 2)
    more = np.array([[0, 0], [5, 0], [10, 0], [10, 10], [0, 10]], float) + 4
    middle = cvat_tracks.between(square, more, 0.5)
    assert len(middle) == 5
    assert np.allclose(middle.min(axis=0), 2)
    assert np.allclose(middle.max(axis=0), 12)
    fewer = cvat_tracks.between(more, square, 1.0)
    assert np.allclose(np.unique(fewer, axis=0), np.unique(square, axis=0))


@pytest.mark.parametrize("as_json", [False, True])
def test_own_videos_with_png_or_json(tmp_path: Path, as_json: bool) -> None:
    drawing = clip("29.97")
    drawn.write_own_video(tmp_path, drawing, as_json=as_json, every=5)
    video = opened("video", tmp_path)
    assert sorted(video.masks) == list(range(0, drawing.count, 5))
    equal(video, drawing, {"horse": "horse", "ball": "ball"} if as_json else {"1": "horse", "2": "ball"})
    assert video.pictures.times.fps == pytest.approx(29.97, abs=0.01)
    assert [one.label for one in video.objects] == (["horse", "ball"] if as_json else [None, None])


def test_own_videos_with_masks_that_are_numbered_from_one(tmp_path: Path) -> None:
    drawing = clip("29.97")
    drawn.write_own_video(tmp_path, drawing)
    for path in sorted((tmp_path / "clip").iterdir(), reverse=True):
        shutil.move(path, path.with_name(f"{int(path.stem) + 1:05d}.png"))
    equal(opened("video", tmp_path, first_frame=1), drawing, {"1": "horse", "2": "ball"})


def test_png_of_several_folders_of_masks_one_is_named(tmp_path: Path) -> None:
    drawn.write_png_set(tmp_path, clip("6"), middle="480p")
    shutil.copytree(tmp_path / "Annotations", tmp_path / "Annotations_unsupervised")
    assert not source("png").find(tmp_path, ImportOptions(fps=Fraction(6)))
    video = opened("png", tmp_path / "Annotations_unsupervised", fps=Fraction(6))
    equal(video, clip("6"), {"1": "horse", "2": "ball"})


def test_png_of_several_resolutions_one_is_named(tmp_path: Path) -> None:
    for name in ("480p", "Full-Resolution"):
        drawn.write_png_set(tmp_path, clip("6", 1.0), "bear", middle=name)
    options = ImportOptions(fps=Fraction(6))
    assert len(source("png").find(tmp_path, options)) == 2
    video = opened("png", tmp_path / "Annotations/480p", fps=Fraction(6))
    equal(video, clip("6", 1.0), {"1": "horse", "2": "ball"})
    [task] = source("png").find(tmp_path / "Annotations/480p", options)
    assert task.source_id == "bear"


def test_ytvis_pictures_beside_below_and_elsewhere(tmp_path: Path) -> None:
    path = drawn.write_ytvis(tmp_path / "a", clip("6", 4.0))
    places = (tmp_path / "b/ovis/Images/train", tmp_path / "elsewhere")
    shutil.copytree(path.parent / "JPEGImages", places[0])
    ovis = tmp_path / "b/ovis/annotations_train.json"
    shutil.copy(path, ovis)
    assert len(opened("ytvis", ovis.parent, fps=Fraction(6)).objects) == 3
    places[0].rename(places[1])
    with pytest.raises(ValueError, match=r"names 0a1b/00000\.jpg, which is not beside it: give the folder"):
        source("ytvis").find(ovis, ImportOptions(fps=Fraction(6)))
    assert len(opened("ytvis", ovis, fps=Fraction(6), images=places[1]).objects) == 3


def test_rotated_videos_of_phones_are_upright(tmp_path: Path) -> None:
    drawing = clip("24")
    with drawn.VideoWriter(
        tmp_path / "clip.mp4", time_base=Fraction(1, 24), encoding={"crf": "10"}, rotation_deg=90
    ) as video:
        for n, image_HW3 in enumerate(drawing.images):
            video.write(image_HW3, n)
    for n in range(drawing.count):
        drawn.write_indexed(tmp_path / f"clip/{n}.png", drawn.index_image(drawing.masks[n], {"horse": 1}))
    opened_video = opened("video", tmp_path)
    assert opened_video.pictures.size == drawing.size
    assert [drawn.number_of(image_HW3) for _, image_HW3 in opened_video.pictures.read({0, 5, 40})] == [0, 5, 40]


def test_cvat_masks_of_some_frames_only_count_as_annotated_there(tmp_path: Path) -> None:
    drawing = clip("30")
    path = drawn_cvat.write_cvat(tmp_path, drawing, every=5)
    text = path.read_text()
    start, end = text.index('<track id="1" '), text.index('<track id="2" ')
    path.write_text(text[:start] + text[end:])  # without polygons
    video = opened("cvat", tmp_path, fps=Fraction(30))
    assert sorted(video.masks) == list(range(0, drawing.count, 5)), "nobody looked at the frames between"
