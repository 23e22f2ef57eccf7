"""The command: what is written can be read by all who read SA-V, and is the same however it was made."""

import fcntl
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from pycocotools import mask as coco

from pipeline.data.videos import read_videos
from pipeline.import_masklets import parser
from pipeline.importers.source_protocol import ImportReason
from stages.video.frames import probe
from stages.video.masklets import read_masklets
from stages.video.rle import decode
from tests.pipeline.importers import drawn
from tests.pipeline.importers.conftest import Run
from tests.pipeline.importers.drawn import Clip, clip, shown
from tests.pipeline.importers.drawn_cvat import write_cvat
from tests.pipeline.test_export import read_like_sa2va
from tests.running import ROOT

DRAWN: dict[str, tuple[str, Clip, dict[str, str]]] = {  # shard -> video, its clip, own ids of horse and ball
    "davis": ("bear", clip("24"), {"1": "horse", "2": "ball"}),
    "ytvis": ("3", clip("6", 4.0), {"40": "horse", "41": "ball"}),
    "mevis": ("c0ffee", clip("25"), {"11": "horse", "12": "ball"}),
    "cvat": ("walk", clip("30"), {"0": "horse", "group 4 ball": "ball"}),
    "video": ("clip", clip("29.97"), {"1": "horse", "2": "ball"}),
}


def digests(folder: Path) -> dict[str, str]:
    """What the files are; of an mp4 its pictures, for which x264 gave other bytes twice in hundreds of runs."""

    def content(path: Path) -> bytes:
        if path.suffix != ".mp4":
            return path.read_bytes()
        return repr(shown(path, range(0, probe(path, path.stem).frame_count, 4))).encode()

    files = sorted(path for path in folder.iterdir() if path.is_file())
    return {path.name: hashlib.sha256(content(path)).hexdigest() for path in files}


@pytest.mark.parametrize("shard", sorted(DRAWN))
def test_image_4k_is_the_picture_of_mask_k_and_masks_survive_bit_by_bit(shard: str, sav: Path) -> None:
    video, drawing, ids = DRAWN[shard]
    mp4, anno = sav / f"sav_train/{shard}/{video}.mp4", sav / f"sav_train/{shard}/{video}_manual.json"
    found = probe(mp4, str(mp4))
    content = json.loads(anno.read_text())
    masklets = read_masklets(anno.read_bytes(), str(anno))
    assert masklets.file_fault(found.frame_count, found.times.duration_s) is None
    assert not any(masklets.masklet_fault(n, found.size) for n in range(len(masklets.ids)))
    pictures = shown(mp4, range(0, found.frame_count, 4))
    assert len(pictures) == len(content["masklet"])
    assert found.times.fps == pytest.approx(24)
    columns = {own: n for n, own in enumerate(content["masklet_source_id"])}
    for k, picture in enumerate(pictures):
        assert abs(picture / float(drawing.fps) - k / 6) <= 0.5 / float(drawing.fps) + 1e-5
        for own, name in ids.items():
            raw = content["masklet"][k][columns[own]]
            by_pycocotools = coco.decode({"size": raw["size"], "counts": raw["counts"].encode()})
            assert np.array_equal(by_pycocotools, drawing.masks[picture][name]), (k, name)
            assert np.array_equal(decode(masklets.rles[k][columns[own]]), by_pycocotools)


def test_the_official_loader_reads_texts_and_joined_masks(sav: Path) -> None:
    loaded = read_like_sa2va(sav, sav / "sav_train/mevis/Ref-SAV.json")
    assert list(loaded) == ["c0ffee_manual", "c0ffee_manual_2"]
    first, second = loaded.values()
    assert {column: text for column, (text, _) in first.items()} == {
        "0": "The horse that walks to the right",
        "1": "the red ball that appears later",
        "2": "everything that is not grass",
    }
    assert {column: text for column, (text, _) in second.items()} == {"0": "a brown animal"}
    assert np.array_equal(first["2"][1], first["0"][1] | first["1"][1]), "the masks of both, joined"
    [video] = read_videos(sav / "sav_train/mevis/Ref-SAV.json", sav)
    assert sorted(one.text for one in video.expressions) == sorted(
        text for objects in loaded.values() for text, _ in objects.values()
    )


def test_the_counts_equal_what_opencv_reads(sav: Path) -> None:
    """The official loader's rule holds in every shard: video_frames[::4] and masks are equally many."""
    for shard, (video, _, _) in DRAWN.items():
        folder = sav / "sav_train" / shard
        texts = {"objects": {"0": {"formated": "a horse"}}}
        paths = {"video_path": f"sav_train/{shard}/{video}.mp4", "anno_path": f"sav_train/{shard}/{video}_manual.json"}
        refsav = folder.parent / f"{shard}.json"
        refsav.write_text(json.dumps({"x": {**texts, **paths}}))
        assert read_like_sa2va(sav, refsav)["x"]["0"][1].any()
        refsav.unlink()


def test_odd_sides_are_extended_and_no_pixel_moves(tmp_path: Path, run: Run) -> None:
    drawing = clip("6", 2.0, (213, 321))
    drawn.write_png_set(tmp_path / "set", drawing)
    code, _ = run("png", tmp_path / "set", "--fps", "6")
    assert code == 0
    mp4 = tmp_path / "sav/sav_train/s/bear.mp4"
    assert probe(mp4, str(mp4)).size == (214, 322)
    masklets = read_masklets(mp4.with_name("bear_manual.json").read_bytes(), "bear")
    for k in range(len(masklets.rles)):
        mask_HW = decode(masklets.rles[k][0])
        assert mask_HW.shape == (214, 322)
        assert np.array_equal(mask_HW[:213, :321], drawing.masks[k]["horse"])
        assert not mask_HW[213:].any()
        assert not mask_HW[:, 321:].any()
    with av.open(str(mp4)) as container:
        image = next(container.decode(video=0)).to_ndarray(format="rgb24").astype(int)
    assert np.abs(image[:213, :321] - drawing.images[0]).mean() < 3
    assert np.abs(image[213] - image[212]).mean() < 3, "the last row again, not black"
    [noted] = json.loads((mp4.parent / "source.json").read_text())["videos"]
    assert (noted["source_size_px"], noted["size_px"]) == ([213, 321], [214, 322])


def test_ids_texts_and_counts_are_in_source_json(sav: Path) -> None:
    content = json.loads((sav / "sav_train/mevis/source.json").read_text())
    assert content["source"] == "mevis"
    [video] = content["videos"]
    assert (video["source_id"], video["video_id"]) == ("c0ffee", "c0ffee")
    assert [line["source_id"] for line in video["objects"]] == ["11", "12", "11 + 12"]
    assert video["objects"][2]["members"] == [0, 1]
    assert video["masked"] == {"read": 50, "kept": 12}
    visible = sum(mask.any() for masks in clip("25").masks for mask in masks.values())
    assert video["masks"]["read"] == visible
    assert {one["reason"] for one in video["left_out"]} == {"no_target", "empty_text", "unknown_object"}


@pytest.mark.long
def test_any_number_of_workers_writes_the_same_bytes(tmp_path: Path) -> None:
    """Of the command in processes of its own, mp4s too."""
    for video in ("a b", "a/b", "x_manual", "dog"):
        drawn.write_png_set(tmp_path / "set", clip("6"), video)
    written = []
    for shard, workers in (("one", 1), ("two", 3)):
        asked = ["png", str(tmp_path / "set"), "--fps", "6", "--out", str(tmp_path / "sav"), "--shard", shard]
        command = [sys.executable, "-m", "pipeline.import_masklets", *asked, "--workers", str(workers)]
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
        files = (path for path in (tmp_path / "sav/sav_train" / shard).iterdir() if path.is_file())
        written.append({path.name: path.read_bytes() for path in files})
    assert written[0] == written[1]
    assert len(written[0]) == 9
    ids = {
        video["source_id"]: video["video_id"]
        for video in json.loads((tmp_path / "sav/sav_train/one/source.json").read_text())["videos"]
    }
    assert ids["dog"] == "dog"
    assert set(ids) == {"a b", "a/b", "x_manual", "dog"}


def test_only_what_is_missing_or_changed_is_done_again(tmp_path: Path, run: Run) -> None:
    for video in ("a", "b", "c"):
        drawn.write_png_set(tmp_path / "set", clip("6"), video)
    folder = tmp_path / "sav/sav_train/s"
    run("png", tmp_path / "set", "--fps", "6")
    before = digests(folder)
    written = {path: path.stat().st_mtime_ns for path in folder.glob("*.mp4")}
    assert "3 done before, 0 have changed, 0 to do" in run("png", tmp_path / "set", "--fps", "6")[1]
    assert {path: path.stat().st_mtime_ns for path in folder.glob("*.mp4")} == written

    (folder / "a.mp4").unlink()
    (folder / ".import/b.json").write_text('{"fingerp')  # cut off by a kill
    masks = tmp_path / "set/Annotations/c/00003.png"
    os.utime(masks, ns=(1, 1))
    assert "0 done before, 1 have changed, 3 to do" in run("png", tmp_path / "set", "--fps", "6")[1]
    assert digests(folder) == before
    assert "0 done before, 3 have changed, 3 to do" in run("png", tmp_path / "set", "--fps", "6", "--crf", "30")[1]

    drawn.write_png_set(tmp_path / "other", clip("6"), "z")
    code, told = run("png", tmp_path / "other", "--fps", "6")
    assert code == 2
    assert "was imported from png" in told


def test_a_video_that_breaks_later_loses_its_old_files(tmp_path: Path, run: Run) -> None:
    drawn.write_png_set(tmp_path / "set", clip("6"))
    run("png", tmp_path / "set", "--fps", "6")
    (tmp_path / "set/JPEGImages/bear/00004.jpg").unlink()
    assert run("png", tmp_path / "set", "--fps", "6")[0] == 1
    assert not list((tmp_path / "sav/sav_train/s").glob("bear*"))


@pytest.mark.long
def test_a_killed_import_goes_on(tmp_path: Path, run: Run) -> None:
    for number in range(12):
        drawn.write_png_set(tmp_path / "set", clip("24"), f"v{number:02d}")
    folder = tmp_path / "sav/sav_train/s"
    options = ["png", str(tmp_path / "set"), "--fps", "24", "--out", str(tmp_path / "sav"), "--shard", "s"]
    command = [sys.executable, "-m", "pipeline.import_masklets", *options, "--workers", "1"]
    killed = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, start_new_session=True)
    end_s = time.monotonic() + 120
    while len(list(folder.glob(".import/v*.json"))) < 2:
        assert killed.poll() is None
        assert time.monotonic() < end_s
        time.sleep(0.01)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate()
    done = len(list(folder.glob(".import/v*.json")))
    assert 2 <= done < 12
    code, told = run("png", tmp_path / "set", "--fps", "24")
    assert code == 0
    assert f"{done} done before, 0 have changed, {12 - done} to do" in told
    assert len(json.loads((folder / "source.json").read_text())["videos"]) == 12
    assert not list(folder.glob(".*.mp4"))


def test_a_shard_is_written_by_one_import_at_a_time(tmp_path: Path, run: Run) -> None:
    drawn.write_png_set(tmp_path / "set", clip("6"))
    lock = tmp_path / "sav/sav_train/s/.import/lock"
    lock.parent.mkdir(parents=True)
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        code, told = run("png", tmp_path / "set", "--fps", "6")
        assert code == 2
        assert "which another one writes now" in told
        assert not list(lock.parent.parent.glob("*.mp4"))
    assert run("png", tmp_path / "set", "--fps", "6")[0] == 0


def test_every_reason_and_option_is_in_the_docs() -> None:
    page = (ROOT / "docs/import.md").read_text()
    assert not [reason for reason in ImportReason if f"`{reason}`" not in page]
    for action in parser()._actions:
        assert action.help
        assert not action.option_strings or action.dest == "help" or f"`{action.option_strings[-1]}`" in page


def test_a_variable_rate_keeps_pairs(tmp_path: Path, run: Run) -> None:
    drawing = clip("24")
    times = [int(1000 * at) for at in np.cumsum(np.tile([0.02, 0.06, 0.03], 16))]
    drawn.write_mp4(tmp_path / "set/clip.mp4", drawing.images, times, Fraction(1, 1000))
    for n in range(drawing.count):
        drawn.write_indexed(tmp_path / f"set/clip/{n}.png", drawn.index_image(drawing.masks[n], {"horse": 1}))
    assert run("video", tmp_path / "set")[0] == 0
    mp4 = tmp_path / "sav/sav_train/s/clip.mp4"
    masklets = read_masklets(mp4.with_name("clip_manual.json").read_bytes(), "clip")
    pictures = shown(mp4, range(0, probe(mp4, "clip").frame_count, 4))
    for k, picture in enumerate(pictures):
        assert np.array_equal(decode(masklets.rles[k][0]), drawing.masks[picture]["horse"])
        assert abs(times[picture] - times[0] - 1000 * k / 6) <= 31, "the nearest of frames that are up to 60 ms apart"


def test_the_same_clip_through_three_layouts_gives_the_same_shard(tmp_path: Path, run: Run) -> None:
    """PNG, MeViS and CVAT: pictures, masks and counts are equal; ids are the sources' own."""
    drawing = clip("6", 2.0)
    drawn.write_png_set(tmp_path / "png", drawing, "v")
    drawn.write_mevis(tmp_path / "mevis", drawing, "v")
    write_cvat(tmp_path / "cvat/v", drawing)
    found: dict[str, Any] = {}
    for source in ("png", "mevis", "cvat"):
        assert run(source, tmp_path / source, "--fps", "6", shard=source)[0] == 0
        folder = tmp_path / "sav/sav_train" / source
        content = json.loads((folder / "v_manual.json").read_text())
        ids = content["masklet_source_id"]
        horse, ball = (
            next(n for n, own in enumerate(ids) if own in names)
            for names in (("1", "11", "0"), ("2", "12", "group 4 ball"))
        )
        masks = [(of_frame[horse], of_frame[ball]) for of_frame in content["masklet"]]
        pictures = shown(folder / "v.mp4", range(int(content["video_frame_count"])))
        found[source] = (pictures, masks, content["video_frame_count"], content["video_height"])
    assert found["png"] == found["mevis"] == found["cvat"]
