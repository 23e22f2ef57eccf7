"""Overlays, the legend, the video and the sheet: what is where, in which colour."""

from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from PIL import ImageFont

from pipeline.sa2va.infer import overlay
from tests.pipeline.sa2va.infer.clip import drawn_clip

LONG = "The blue disc moves from the right edge of the picture to the left one and is hidden for a while. " * 3


def test_overlay_tints_masks_and_leaves_the_rest() -> None:
    frames_THW3, masks_OTHW = drawn_clip(3)
    before = frames_THW3[0].copy()
    drawn_HW3 = overlay.overlay(frames_THW3[0], masks_OTHW[:, 0])
    assert np.array_equal(frames_THW3[0], before)
    for n, mask_HW in enumerate(masks_OTHW[:, 0]):
        inside_HW = cv2.erode(mask_HW.astype(np.uint8), np.ones((9, 9))) > 0
        wanted = before[inside_HW] * 0.6 + 0.4 * np.array(overlay.COLOURS[n])
        assert np.abs(drawn_HW3[inside_HW] - wanted).max() <= 1
    far_HW = cv2.dilate(np.asarray(masks_OTHW[:, 0].any(0), np.uint8), np.ones((11, 11))) == 0
    assert np.array_equal(drawn_HW3[far_HW], before[far_HW])


def test_legend_has_a_line_for_each_text_and_shortens_long_ones() -> None:
    assert overlay.legend(["a", "b"], 640).shape[0] > overlay.legend(["a"], 640).shape[0]
    strip_HW3 = overlay.legend(["short", LONG], 640)
    assert strip_HW3.shape[1] == 640
    for colour in overlay.COLOURS[:2]:
        assert (strip_HW3 == colour).all(-1).any()
    assert (strip_HW3[:, -6:] == strip_HW3[0, -1]).all()  # nothing runs over the edge
    font = ImageFont.load_default(12)
    line = overlay._shortened(LONG, font, 300)
    assert line.endswith(" …")
    assert LONG.startswith(line[:-2])
    assert 280 < font.getlength(line) <= 300


def test_video_has_every_frame_below_the_legend_at_odd_sizes(tmp_path: Path) -> None:
    frames_THW3, masks_OTHW = drawn_clip(4)
    odd = frames_THW3[:, :89, :159]
    times_s = [0, 1 / 6, 2, 2 + 1 / 24]  # as of a video whose rate varies
    with overlay.OverlayVideo(tmp_path / "o.mp4", ["a"]) as video:
        for t, frame_HW3 in enumerate(odd):
            video.write(overlay.overlay(frame_HW3, masks_OTHW[:1, t, :89, :159]), times_s[t])
    with av.open(tmp_path / "o.mp4") as container:
        stream = container.streams.video[0]
        frames = list(container.decode(stream))
    decoded = [frame.to_ndarray(format="rgb24") for frame in frames]
    assert [frame.time for frame in frames] == pytest.approx(times_s, abs=1e-3)
    above = len(overlay.legend(["a"], 159))
    right_HW3 = overlay.overlay(odd[2], masks_OTHW[:1, 2, :89, :159])
    shown_HW3 = decoded[2][above : above + 89, :159]
    assert np.abs(shown_HW3.astype(int) - right_HW3).mean() < 8


def test_sheet_holds_its_cells_in_order() -> None:
    colours = [(250, 0, 0), (0, 250, 0), (0, 0, 250), (250, 250, 0), (0, 250, 250)]
    cells = [overlay.cell(np.full((90, 160, 3), colour, np.uint8), str(n)) for n, colour in enumerate(colours)]
    jpeg = np.frombuffer(overlay.sheet(cells, ["a"]), np.uint8)
    sheet_HW3 = np.asarray(cv2.imdecode(jpeg, cv2.IMREAD_COLOR))[..., ::-1]
    assert sheet_HW3.shape[1] == 4 * 164
    above = sheet_HW3.shape[0] - 2 * 94
    for n, colour in enumerate(colours):
        at = sheet_HW3[above + 94 * (n // 4) + 60, 164 * (n % 4) + 80]
        assert np.abs(at.astype(int) - colour).max() < 12
    assert overlay.sheet_frames(83)[:2] == [0, 7]
    assert overlay.sheet_frames(3) == [0, 1, 2]
