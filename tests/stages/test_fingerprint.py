import io
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from stages.video.fingerprint import BYTES, DENSE_FPS, SPARSE_FPS, near_duplicates, of_frame
from stages.video.frames import walk

pytestmark = pytest.mark.long

FPS = 24


def prints(greys: Sequence[np.ndarray], fps: float, start: int = 0) -> bytes:
    return b"".join(of_frame(grey) for grey in greys[start :: round(FPS / fps)])


@pytest.fixture(scope="module")
def clips(demo_root: Path) -> dict[str, list[np.ndarray]]:
    """The first six seconds of the demo's clips, 480 pixels on the long side."""
    names = [f"demo_00000{n}" for n in (1, 2, 3, 4, 5, 6, 8)]
    files = {name: demo_root / "sav_train" / "demo" / f"{name}.mp4" for name in names}
    return {name: [_small(frame.bgr()) for frame in islice(walk(file, name), 144)] for name, file in files.items()}


def _small(frame: np.ndarray) -> np.ndarray:
    scale = 480 / max(frame.shape)
    return np.asarray(cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)


@pytest.fixture(scope="module")
def dense(clips: dict[str, list[np.ndarray]]) -> dict[str, bytes]:
    return {
        name: prints([cv2.cvtColor(x, cv2.COLOR_BGR2GRAY) for x in frames], DENSE_FPS) for name, frames in clips.items()
    }


def coded_anew(frames: Sequence[np.ndarray], scale: float, gain: float, offset: float) -> list[np.ndarray]:
    height, width = (int(side * scale) // 2 * 2 for side in frames[0].shape[:2])
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"crf": "30", "preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for frame in frames:
            changed = np.clip(cv2.resize(frame, (width, height)) * gain + offset, 0, 255).astype(np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(changed, format="bgr24")))
        container.mux(stream.encode())
    file.seek(0)
    return [frame.grey(10_000) for frame in walk(file, "copy")]


@pytest.mark.parametrize(
    ("scale", "gain", "offset", "cut"),
    [(1.0, 1.0, 0, 0), (0.5, 1.0, 0, 0), (1.0, 1.0, 40, 0), (0.8, 0.7, 0, 0), (0.7, 1.0, 0, 46), (0.7, 1.0, 0, 45)],
    ids=["coded anew", "half the size", "brighter", "darker", "cut at the start", "cut between two dense frames"],
)
def test_a_copy_is_found(
    clips: dict[str, list[np.ndarray]],
    dense: dict[str, bytes],
    scale: float,
    gain: float,
    offset: float,
    cut: int,
) -> None:
    copies = {
        f"copy of {name}": prints(coded_anew(frames[cut:], scale, gain, offset), SPARSE_FPS)
        for name, frames in clips.items()
    }
    assert sorted(near_duplicates(dense, copies)) == sorted((name, f"copy of {name}") for name in clips)


def test_different_clips_and_mirrored_ones_are_not_found(
    clips: dict[str, list[np.ndarray]], dense: dict[str, bytes]
) -> None:
    greys = {name: [cv2.cvtColor(x, cv2.COLOR_BGR2GRAY) for x in frames] for name, frames in clips.items()}
    sparse = {name: prints(frames, SPARSE_FPS) for name, frames in greys.items()}
    assert near_duplicates(dense, sparse) == [(name, name) for name in dense]
    mirrored = {
        name: prints([np.ascontiguousarray(x[:, ::-1]) for x in frames], SPARSE_FPS) for name, frames in greys.items()
    }
    assert near_duplicates(dense, mirrored) == []


def test_flat_frames_say_nothing() -> None:
    rng = np.random.default_rng(0)
    black = rng.integers(0, 4, (270, 480), np.uint8)
    assert of_frame(black) == b""
    assert len(of_frame(rng.integers(0, 255, (27, 48), np.uint8))) == BYTES
    assert near_duplicates({"a": b""}, {"b": b""}) == []
    assert near_duplicates({}, {}) == []


def test_three_seconds_make_a_copy_and_bits_may_differ_a_little() -> None:
    rng = np.random.default_rng(0)
    theirs = rng.integers(0, 256, (10, BYTES), np.uint8)

    def sharing(frames: int, bits: int) -> bytes:
        ours = rng.integers(0, 256, (30, BYTES), np.uint8)
        flips = np.zeros((frames, BYTES * 8), np.uint8)
        flips[:, :bits] = 1
        ours[7 : 7 + frames] = theirs[:frames] ^ np.packbits(flips, axis=1)
        return ours.tobytes()

    dense = {f"{frames} {bits}": sharing(frames, bits) for frames in (2, 3, 10) for bits in (0, 28, 29)}
    found = near_duplicates(dense, {"theirs": theirs.tobytes(), "short": theirs[:2].tobytes(), "none": b""})
    whole = {name for name, other in found if other == "theirs"}
    assert whole == {"3 0", "3 28", "10 0", "10 28"}
    assert {name for name, other in found if other == "short"} == whole | {"2 0", "2 28"}
    assert not [pair for pair in found if pair[1] == "none"]


def test_one_frame_seen_often_is_not_three_seconds() -> None:
    rng = np.random.default_rng(0)
    theirs = rng.integers(0, 256, (10, BYTES), np.uint8)
    title = np.repeat(theirs[:1], 40, axis=0)
    assert near_duplicates({"title": title.tobytes()}, {"theirs": theirs.tobytes()}) == []


def test_many_blocks_find_what_one_finds() -> None:
    rng = np.random.default_rng(0)
    sparse = {f"t{n}": rng.integers(0, 256, (14, BYTES), np.uint8) for n in range(320)}
    dense = {f"b{n}": rng.integers(0, 256, (84, BYTES), np.uint8) for n in range(55)}
    for n, t in ((0, 0), (48, 292), (49, 293), (54, 319)):  # over the edges of blocks of 4096 frames
        dense[f"b{n}"][40:44] = sparse[f"t{t}"][5:9]
    found = near_duplicates(
        {name: value.tobytes() for name, value in dense.items()},
        {name: value.tobytes() for name, value in sparse.items()},
    )
    assert sorted(found) == [("b0", "t0"), ("b48", "t292"), ("b49", "t293"), ("b54", "t319")]
