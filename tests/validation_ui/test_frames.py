import hashlib
import json
import shutil
import struct
import zlib
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.video.fingerprint import BYTES, DENSE_FPS, SPARSE_FPS
from stages.video.frames import walk
from validation_ui.importing.candidates import Clip
from validation_ui.importing.source_video import decode, pack, shown_size


def clip(number: int, height_px: int, width_px: int, frame_count: int) -> Clip:
    name = f"demo_00000{number}"
    files = {kind: f"sav_train/demo/{name}_{kind}.json" for kind in ("manual", "auto")}
    return Clip(name, f"sav_train/demo/{name}.mp4", files, height_px, width_px, 24.0, frame_count)


UPRIGHT = clip(3, 1280, 720, 195)  # stored lying, turned by its display matrix
SMALL = clip(8, 360, 640, 144)  # its manual file is cut off


def unpack(data: bytes) -> dict[int, bytes]:
    """As the player reads a chunk."""
    (count,) = struct.unpack_from("<I", data)
    entries = [struct.unpack_from("<II", data, 4 + 8 * n) for n in range(count)]
    at = 4 + 8 * count
    found = {}
    for frame, length in entries:
        found[frame] = data[at : at + length]
        at += length
    assert at == len(data)
    return found


@given(st.lists(st.tuples(st.integers(0, 2**32 - 1), st.binary(max_size=20)), unique_by=lambda entry: entry[0]))
def test_a_chunk_reads_as_it_was_packed(pictures: list[tuple[int, bytes]]) -> None:
    assert unpack(pack(pictures)) == dict(pictures)


def test_every_frame_is_there_upright_and_in_its_place(demo_root: Path, tmp_path: Path) -> None:
    found = decode(UPRIGHT, demo_root, tmp_path, DENSE_FPS)
    assert found.fault is None
    assert found.shown_px == (853, 480)
    assert [chunk["first"] for chunk in found.chunks] == list(range(0, 195, 24))
    sources = {frame.index: frame.bgr() for frame in walk(demo_root / UPRIGHT.path, "source") if frame.index % 7 == 0}
    seen = []
    for chunk in found.chunks:
        parts = {}
        for half in ("key", "rest"):
            data = (tmp_path / str(chunk[half])).read_bytes()
            assert chunk[half] == f"{hashlib.sha256(data).hexdigest()}.bin"
            parts[half] = unpack(data)
        first = int(chunk["first"])
        wanted = range(first, min(first + 24, 195))
        assert list(parts["key"]) == [frame for frame in wanted if frame % 4 == 0]
        assert list(parts["rest"]) == [frame for frame in wanted if frame % 4]
        for frame, picture in (parts["key"] | parts["rest"]).items():
            seen.append(frame)
            if frame % 7 == 0:
                shown = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)
                assert shown is not None
                assert shown.shape == (853, 480, 3)
                source = cv2.resize(sources[frame], (480, 853), interpolation=cv2.INTER_AREA)
                assert cv2.PSNR(shown, source) > 30
    assert sorted(seen) == list(range(195))
    assert len(list(tmp_path.iterdir())) == 2 * len(found.chunks), "nothing unfinished is left"


def test_what_is_told_of_a_video(demo_root: Path, tmp_path: Path) -> None:
    found = decode(UPRIGHT, demo_root, tmp_path, DENSE_FPS)
    assert found.sha256 == hashlib.sha256((demo_root / UPRIGHT.path).read_bytes()).hexdigest()
    assert found.pts_s == pytest.approx([k / 24 for k in range(195)], abs=1e-4)
    assert len(found.fingerprints) == 98 * BYTES
    raw = {kind: json.loads((demo_root / path).read_text())["masklet"] for kind, path in UPRIGHT.annotations.items()}
    assert [m.object_id for m in found.masklets] == [
        f"{UPRIGHT.id}/{kind}/{n}" for kind, frames in raw.items() for n in range(len(frames[0]))
    ], "all masklets, also those without an expression"
    for masklet in found.masklets:
        _, kind, position = masklet.object_id.split("/")
        counts = json.loads(zlib.decompress(masklet.rles))
        for index, (area, text) in enumerate(zip(masklet.areas_px, counts, strict=True)):
            assert (text is None) == (area == 0)
            assert text is None or text == raw[kind][index][int(position)]["counts"]
    assert found.unusable == {}


def test_a_second_run_writes_the_same_files(demo_root: Path, tmp_path: Path) -> None:
    first = decode(SMALL, demo_root, tmp_path, DENSE_FPS)
    times = {file.name: file.stat().st_mtime_ns for file in tmp_path.iterdir()}
    assert decode(SMALL, demo_root, tmp_path, DENSE_FPS) == first
    assert {file.name: file.stat().st_mtime_ns for file in tmp_path.iterdir()} == times
    assert first.shown_px == (360, 640), "never enlarged"


def test_a_file_of_masks_that_cannot_be_read_is_named_and_the_other_is_used(demo_root: Path, tmp_path: Path) -> None:
    found = decode(SMALL, demo_root, tmp_path, DENSE_FPS)
    assert list(found.unusable) == [SMALL.annotations["manual"]]
    assert {m.object_id.split("/")[1] for m in found.masklets} == {"auto"}


def test_masks_that_do_not_fit_the_video_are_left_out(demo_root: Path, tmp_path: Path) -> None:
    for path in (UPRIGHT.path, UPRIGHT.annotations["manual"]):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(demo_root / path, tmp_path / path)
    file = tmp_path / UPRIGHT.annotations["manual"]
    annotation = json.loads(file.read_text())
    annotation["masklet"][5][0]["size"] = [720, 1280]
    annotation["masklet"][9][1]["counts"] = "0"
    file.write_text(json.dumps(annotation))
    found = decode(UPRIGHT, tmp_path, tmp_path / "frames", DENSE_FPS)
    assert set(found.unusable) == {f"{UPRIGHT.id}/manual/0", f"{UPRIGHT.id}/manual/1"}
    assert [m.object_id for m in found.masklets] == [
        f"{UPRIGHT.id}/manual/{n}" for n in range(2, len(annotation["masklet"][0]))
    ]
    del annotation["masklet"][-1]
    file.write_text(json.dumps(annotation))
    found = decode(UPRIGHT, tmp_path, tmp_path / "frames", DENSE_FPS)
    assert found.masklets == []
    assert "masklet has 48 entries, must be ceil(195 frames / 4) = 49" in found.unusable[f"{UPRIGHT.id}/manual/2"]


def test_train_videos_get_fingerprints_and_no_pictures(demo_root: Path, tmp_path: Path) -> None:
    found = decode(SMALL, demo_root, None, SPARSE_FPS)
    assert found.fault is None
    assert len(found.fingerprints) == 6 * BYTES
    assert (found.chunks, found.masklets, found.pts_s) == ([], [], [])


@pytest.mark.parametrize(
    ("wrong", "fault"),
    [
        (replace(SMALL, frame_count=145), "must have the 145 frames that the run counted, got 144"),
        (replace(SMALL, height_px=640, width_px=360), r"frame 0 must be \(640, 360\) pixels, got \(360, 640\)"),
        (replace(SMALL, path="sav_train/demo/none.mp4"), "none.mp4"),
        (replace(SMALL, path="../../etc/passwd"), "must lie inside"),
        (clip(7, 360, 640, 168), "decoding broke off after"),
    ],
)
def test_a_video_that_cannot_be_used_says_why(demo_root: Path, tmp_path: Path, wrong: Clip, fault: str) -> None:
    found = decode(wrong, demo_root, tmp_path, DENSE_FPS)
    assert found.fault is not None
    with pytest.raises(ValueError, match=fault):
        raise ValueError(found.fault)
    assert found.chunks == []


@given(st.integers(1, 4000), st.integers(1, 4000))
def test_pictures_are_never_enlarged_and_keep_their_shape(height: int, width: int) -> None:
    shown = shown_size(height, width)
    assert shown[0] <= height
    assert shown[1] <= width
    assert min(shown) == min(480, height, width)
    assert abs(shown[0] * width - shown[1] * height) <= max(height, width) / 2 + 1
