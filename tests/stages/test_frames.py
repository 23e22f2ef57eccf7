import io
import wave
from dataclasses import replace
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from av.stream import Disposition
from numpy.typing import NDArray
from skimage import data

from manifests.io import Folder
from manifests.row_results import RowError
from manifests.schema import Reason
from pipeline.demo.scene import DrawnScene, Sprite
from pipeline.demo.write_clip import ENCODING, write_clip
from stages.video.frames import probe, read_frames, walk
from stages.video.images import fit, shrink, shrink_mask
from tests.stages.tiny_sav import write_mp4

FRAMES, WIDTH_PX, HEIGHT_PX = 10, 192, 96
NEARLY_LOSSLESS = ENCODING | {"crf": "4"}
SCENE = DrawnScene(
    video_id="upright",
    width_px=WIDTH_PX,
    height_px=HEIGHT_PX,
    duration_s=FRAMES / 24,
    background_HW3=np.asarray(cv2.resize(data.astronaut(), (400, 300)), np.uint8),
    sprites=(
        Sprite(
            name="card",
            texture_HW3=np.full((20, 20, 3), 250, np.uint8),
            alpha_HW=np.ones((20, 20), bool),
            centre=lambda t_s: (120 + 400 * t_s, 150),
        ),
    ),
)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`upright.mp4`, and the same as a phone held in another way would write it."""
    folder = tmp_path_factory.mktemp("clips")
    write_clip(SCENE, folder, manual=["card"], encoding=NEARLY_LOSSLESS)
    for degrees in (90, 180, 270):
        turned = replace(SCENE, video_id=f"turned_{degrees}")
        write_clip(turned, folder, manual=["card"], rotation_deg=degrees, encoding=NEARLY_LOSSLESS)
    return folder


def write_pattern(path: Path, codec: str, pix_fmt: str) -> NDArray[np.uint8]:
    """Four frames of a photograph in another pixel format; returns its luminance."""
    photo_HW3 = np.ascontiguousarray(cv2.resize(data.coffee(), (160, 96), interpolation=cv2.INTER_AREA), np.uint8)
    with av.open(path, "w") as container:
        stream = container.add_stream(codec, rate=24)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 160, 96, pix_fmt
        for _ in range(4):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(photo_HW3, format="rgb24")))
        container.mux(stream.encode())
    return np.asarray(cv2.cvtColor(photo_HW3, cv2.COLOR_RGB2GRAY), np.uint8)


def distance(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    return float(np.abs(a.astype(int) - b).mean())


def alike(a_HW: NDArray[np.uint8], b_HW: NDArray[np.uint8]) -> float:
    return float(np.corrcoef(a_HW.ravel(), b_HW.ravel())[0, 1])


def failure(source: Path | io.BytesIO, name: str = "clip.mp4") -> RowError:
    with pytest.raises(RowError) as raised:
        list(walk(source, name))
    return raised.value


def test_walk_gives_every_frame_in_display_order(clips: Path) -> None:
    """With B-frames in the file, it stores them in another order."""
    frames = list(walk(clips / "upright.mp4", "upright.mp4"))
    assert [frame.index for frame in frames] == list(range(FRAMES))
    for frame in frames:
        bright_HW = frame.bgr()[48:50].min(axis=(0, 2)) > 220
        centre_x = 120 + 400 * frame.index / 24 - 199.5 + 95.5  # of the card, on the screen
        if 12 < centre_x < WIDTH_PX - 12:
            assert float(np.flatnonzero(bright_HW).mean()) == pytest.approx(centre_x, abs=1.5)


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_a_turned_video_comes_out_upright(clips: Path, degrees: int) -> None:
    pairs = list(zip(walk(clips / "upright.mp4", "a"), walk(clips / f"turned_{degrees}.mp4", "b"), strict=True))
    assert len(pairs) == FRAMES
    for upright, turned in pairs:
        assert turned.bgr().shape == (HEIGHT_PX, WIDTH_PX, 3)
        assert distance(turned.bgr(), upright.bgr()) < 4
        assert turned.grey(96).shape == (48, 96)
        assert distance(turned.grey(96), upright.grey(96)) < 2
    picture_HW3 = pairs[0][0].bgr()
    assert distance(np.ascontiguousarray(picture_HW3[::-1, ::-1]), picture_HW3) > 20, "a turn must be seen"


def test_colours_are_blue_green_red(clips: Path) -> None:
    frame = next(walk(clips / "upright.mp4", "upright.mp4"))
    truth_HW3 = np.asarray(cv2.cvtColor(SCENE.background_HW3, cv2.COLOR_RGB2BGR), np.uint8)[102:198, 104:296]
    seen_HW3 = frame.bgr()
    assert 3 * distance(seen_HW3[:20], truth_HW3[:20]) < distance(seen_HW3[:20], truth_HW3[:20, :, ::-1])


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt"),
    [
        ("ten_bit.mp4", "libx264", "yuv420p10le"),
        ("rgb.nut", "ffv1", "bgr0"),
        ("full_range.mp4", "mjpeg", "yuvj420p"),
        ("444.mp4", "libx264", "yuv444p"),
    ],
)
def test_grey_from_any_pixel_format(tmp_path: Path, name: str, codec: str, pix_fmt: str) -> None:
    luminance_HW = write_pattern(tmp_path / name, codec, pix_fmt)
    frames = list(walk(tmp_path / name, name))
    assert {frame.raw.format.name for frame in frames} == {pix_fmt}
    for frame in frames:
        assert frame.grey(500).shape == (96, 160)
        assert frame.grey(500).dtype == np.uint8
        assert alike(frame.grey(500), luminance_HW) > 0.98
        assert alike(frame.grey(80), shrink(luminance_HW, (80, 48))) > 0.98
        assert frame.bgr().shape == (96, 160, 3)


def test_grey_leaves_the_frame_as_it_was(clips: Path) -> None:
    """It looks into the decoder's own buffer, which other frames are predicted from."""
    first, second = (
        [frame.bgr() for frame in walk(clips / "upright.mp4", "a") if not look or frame.grey(200).any()]
        for look in (False, True)
    )
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_remote_bytes_give_the_same_frames(clips: Path) -> None:
    remote = Folder("memory://refsav_frames")
    remote.write_bytes("a/clip.mp4", (clips / "upright.mp4").read_bytes())
    source = remote.media("a/clip.mp4")
    assert isinstance(source, io.BytesIO)
    local = Folder(str(clips)).media("upright.mp4")
    assert isinstance(local, Path)
    both = list(zip(walk(source, "remote"), walk(local, "local"), strict=True))
    assert len(both) == FRAMES
    assert all(np.array_equal(a.bgr(), b.bgr()) for a, b in both)


def damaged(clip: bytes, kind: str) -> bytes:
    match kind:
        case "empty":
            return b""
        case "no video":
            return b"no video at all" * 100
        case "no index":
            return clip.replace(b"moov", b"xoov", 1)
        case "cut in the index":
            return clip[: clip.index(b"moov") + 200]
        case "unknown codec":
            return clip.replace(b"avc1", b"zzzz")
        case _:  # broken packets
            start = clip.index(b"mdat") + 4 + (len(clip) - clip.index(b"mdat")) // 2
            return clip[:start] + b"\xff" * (len(clip) - start)


@pytest.mark.parametrize(
    "kind", ["empty", "no video", "no index", "cut in the index", "unknown codec", "broken packets"]
)
def test_what_does_not_decode_names_its_file(clips: Path, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "broken.mp4"
    path.write_bytes(damaged((clips / "upright.mp4").read_bytes(), kind))
    for source in (path, io.BytesIO(path.read_bytes())):
        error = failure(source, "sav_train/sav_000/broken.mp4")
        assert error.reason is Reason.DECODE_ERROR
        assert error.detail.startswith("sav_train/sav_000/broken.mp4: ")


def test_frames_whose_timestamps_go_backwards_are_not_given_out(tmp_path: Path) -> None:
    """The times of B-frames are lost: every frame is stamped as if it were shown when it is decoded."""
    path = write_mp4(tmp_path)
    raw = bytearray(path.read_bytes())
    table = raw.index(b"ctts") + 4
    for entry in range(int.from_bytes(raw[table + 4 : table + 8], "big")):
        offset = table + 8 + 8 * entry + 4
        raw[offset : offset + 4] = bytes(4)
    path.write_bytes(raw)
    assert "goes backwards" in failure(path).detail
    with pytest.raises(ValueError, match="goes backwards"):
        read_frames(path, {1, 9})


def test_a_cover_is_no_video(tmp_path: Path) -> None:
    path = tmp_path / "cover.mp4"
    rng = np.random.default_rng(0)
    with av.open(path, "w") as container:
        cover = container.add_stream("mjpeg")
        cover.width, cover.height, cover.pix_fmt, cover.disposition = 64, 64, "yuvj420p", Disposition.attached_pic
        sound = container.add_stream("aac", rate=48_000)
        video = container.add_stream("libx264", rate=24)
        video.width, video.height, video.pix_fmt = 96, 48, "yuv420p"
        picture = rng.integers(0, 255, (64, 64, 3), np.uint8)
        container.mux(cover.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        silence = av.AudioFrame.from_ndarray(np.zeros((2, 1024), np.float32), format="fltp", layout="stereo")
        silence.rate, silence.pts = 48_000, 0
        container.mux(sound.encode(silence))
        for _ in range(6):
            picture = rng.integers(0, 255, (48, 96, 3), np.uint8)
            container.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        for stream in (cover, sound, video):
            container.mux(stream.encode())
    assert probe(path, "cover.mp4").size == (48, 96)
    walked = [frame.rgb() for frame in walk(path, "cover.mp4")]
    assert len(walked) == 6
    assert np.array_equal(read_frames(path, {4})[4], walked[4])


def test_sound_without_pictures_does_not_decode(tmp_path: Path) -> None:
    path = tmp_path / "sound.wav"
    with wave.open(str(path), "wb") as sound:
        sound.setparams((1, 2, 8000, 0, "NONE", ""))
        sound.writeframes(bytes(1600))
    assert failure(path).reason is Reason.DECODE_ERROR


def test_a_file_that_is_not_there_does_not_decode(tmp_path: Path) -> None:
    error = failure(tmp_path / "nowhere.mp4", "nowhere.mp4")
    assert error.reason is Reason.DECODE_ERROR
    assert error.detail.startswith("nowhere.mp4 cannot be opened: it is not there")


@pytest.mark.parametrize(
    ("given", "long_px", "expected"),
    [
        ((1280, 720), 640, (640, 360)),
        ((720, 1280), 640, (360, 640)),
        ((480, 848), 320, (181, 320)),
        ((300, 200), 640, (300, 200)),  # never enlarged
        ((1000, 1), 100, (100, 1)),  # at least a pixel
        ((7, 7), 3, (3, 3)),
    ],
)
def test_fit(given: tuple[int, int], long_px: int, expected: tuple[int, int]) -> None:
    assert fit(*given, long_px) == expected


@pytest.mark.parametrize("size", [(64, 36), (100, 50), (50, 90), (33, 17), (128, 72), (1, 1)])
def test_shrink_gives_the_size_that_is_asked_for_and_keeps_the_picture(size: tuple[int, int]) -> None:
    picture_HW = np.asarray(cv2.resize(data.camera(), (128, 72), interpolation=cv2.INTER_AREA), np.uint8)
    small_HW = shrink(picture_HW, size) if size[1] <= 72 else shrink(picture_HW.T.copy(), size)
    assert small_HW.shape == size[::-1]
    assert small_HW.dtype == np.uint8
    assert float(small_HW.mean()) == pytest.approx(float(picture_HW.mean()), abs=4)


def test_a_mask_pixel_is_set_if_half_of_what_it_covers_is() -> None:
    mask_HW = np.zeros((4, 8), np.uint8, order="F")
    mask_HW[:2, :2] = 1  # whole
    mask_HW[:2, 2] = 1  # half
    mask_HW[0, 4] = 1  # a quarter
    mask_HW[2:, 6:] = 1
    mask_HW[3, 7] = 0  # three quarters
    assert shrink_mask(mask_HW, (4, 2)).tolist() == [[1, 1, 0, 0], [0, 0, 0, 1]]


@pytest.mark.parametrize("size", [(48, 32), (40, 30), (24, 16), (17, 11), (96, 64)])
def test_a_reduced_mask_keeps_its_share_and_its_place(size: tuple[int, int]) -> None:
    mask_HW = np.zeros((64, 96), np.uint8, order="F")
    mask_HW[16:48, 30:78] = 1
    small_HW = shrink_mask(mask_HW, size)
    assert small_HW.shape == size[::-1]
    assert set(np.unique(small_HW)) <= {0, 1}
    assert float(small_HW.mean()) == pytest.approx(float(mask_HW.mean()), abs=0.04)
    rows, columns = np.nonzero(small_HW)
    assert (columns.mean() + 0.5) / size[0] == pytest.approx(54 / 96, abs=0.02)
    assert (rows.mean() + 0.5) / size[1] == pytest.approx(32 / 64, abs=0.02)
