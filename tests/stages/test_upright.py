"""Display matrices: the eight that lay a picture down are undone, all others are refused."""

from fractions import Fraction
from math import cos, radians, sin
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from skimage import data

from manifests.row_results import RowError
from manifests.schema import Reason
from stages.video.frames import probe, walk
from stages.video.images import BgrImage
from tests.stages.tiny_sav import write_mp4

PHOTO_HW3 = np.asarray(cv2.resize(data.astronaut(), (160, 96), interpolation=cv2.INTER_AREA), np.uint8)
ONE = 1 << 16


def stored(degrees: int, hflip: bool, vflip: bool) -> BgrImage:
    """What a file holds that shows PHOTO_HW3 once it is turned counter-clockwise, then mirrored."""
    shown_HW3 = PHOTO_HW3[:: -1 if vflip else 1, :: -1 if hflip else 1]
    return np.ascontiguousarray(np.rot90(shown_HW3, k=-degrees // 90))


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
@pytest.mark.parametrize(("hflip", "vflip"), [(False, False), (True, False), (False, True), (True, True)])
def test_turned_and_mirrored_videos_come_out_upright(tmp_path: Path, degrees: int, hflip: bool, vflip: bool) -> None:
    path, picture_HW3 = tmp_path / "a.mp4", stored(degrees, hflip, vflip)
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=24, options={"crf": "4"})
        stream.height, stream.width, stream.pix_fmt = *picture_HW3.shape[:2], "yuv420p"
        stream.time_base = Fraction(1, 24)
        stream.set_display_rotation(degrees, hflip=hflip, vflip=vflip)
        for _ in range(2):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture_HW3, format="rgb24")))
        container.mux(stream.encode())
    assert probe(path, "a.mp4").size == (96, 160)
    for frame in walk(path, "a.mp4"):
        assert frame.size == (96, 160)
        assert float(np.abs(frame.bgr()[..., ::-1].astype(int) - PHOTO_HW3).mean()) < 4
        grey_HW = cv2.cvtColor(PHOTO_HW3, cv2.COLOR_RGB2GRAY)
        assert float(np.corrcoef(frame.grey(160).ravel(), grey_HW.ravel())[0, 1]) > 0.98


def turned(degrees: float, scale: float = 1.0) -> list[int]:
    x, y = round(scale * cos(radians(degrees)) * ONE), round(scale * sin(radians(degrees)) * ONE)
    return [x, -y, 0, y, x, 0, 0, 0, 1 << 30]


@pytest.mark.parametrize(
    "matrix", [turned(30), turned(45), turned(87), turned(0)[:4] + [2 * ONE, 0, 0, 0, 1 << 30], [0] * 9]
)
def test_other_matrices_are_refused(tmp_path: Path, matrix: list[int]) -> None:
    path = write_mp4(tmp_path, turn={"matrix": matrix})
    for look in (lambda: probe(path, "a.mp4"), lambda: list(walk(path, "a.mp4"))):
        with pytest.raises(RowError, match="a.mp4: .*its display matrix .* encode it upright") as raised:
            look()
        assert raised.value.reason is Reason.DECODE_ERROR


@pytest.mark.parametrize("matrix", [turned(0.2), turned(0, 2.0), turned(0, 0.5)])
def test_a_hair_and_a_scale_are_no_turn(tmp_path: Path, matrix: list[int]) -> None:
    assert probe(write_mp4(tmp_path, turn={"matrix": matrix}), "a.mp4").size == (120, 160)
