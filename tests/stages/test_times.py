"""Times of frames: by the video's own timestamps, whatever its average rate."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from manifests.row_results import RowError
from manifests.schema import Reason
from stages.video.frames import probe
from stages.video.times import FrameTimes
from tests.stages.tiny_sav import FILES, write_mp4

UNEVEN_S = [*(k / 24 for k in range(20)), *(1.5 + k for k in range(8)), *(9 + k / 60 for k in range(5))]
BASE = Fraction(1, 1000)


def test_times_are_those_of_the_file(tmp_path: Path) -> None:
    """With B-frames the packets lie in another order, and an mp4 may begin late."""
    times = probe(write_mp4(tmp_path, times_s=[2 + time_s for time_s in UNEVEN_S]), "a.mp4").times
    assert times.start_s == pytest.approx(UNEVEN_S, abs=1e-3)
    assert times.annotated_s == pytest.approx(UNEVEN_S[::4], abs=1e-3)
    assert UNEVEN_S[-1] < times.duration_s < UNEVEN_S[-1] + 1, "the file says how long its last frame lasts"
    assert times.fps == pytest.approx(33 / times.duration_s)


def test_an_even_video_is_as_its_rate_says(tmp_path: Path) -> None:
    times, steady = probe(write_mp4(tmp_path), "a.mp4").times, FrameTimes.steady(33, 24)
    assert times.start_s == pytest.approx(steady.start_s)
    assert (times.duration_s, times.fps) == pytest.approx((33 / 24, 24))


def test_the_last_frame_lasts_as_long_as_its_packet_says_or_as_is_usual() -> None:
    even = [(0, 40), (40, 40), (80, 500)]
    assert FrameTimes.of_packets(even, BASE).duration_s == pytest.approx(0.58)
    assert FrameTimes.of_packets([(0, None), (80, 0), (40, None)], BASE).duration_s == pytest.approx(0.12)
    assert FrameTimes.of_packets([(7, None)], BASE).duration_s == 0
    assert FrameTimes.of_packets([(7, None)], BASE).fps == 0


@pytest.mark.parametrize(
    ("packets", "told"),
    [
        ([], "0 of 0 frames have no timestamp"),
        ([(0, 40), (None, 40)], "1 of 2 frames have no timestamp"),
        ([(0, 40), (80, 40), (40, 40), (80, 40)], "frames 2 and 3 are 0 ms apart"),
        ([(0, 40), (40, 40), (41, 40), (42, 40), (43, 40), (80, 40)], "frames 1 and 2 are 0.1 ms apart"),
    ],
)
def test_what_tells_no_times_is_refused(packets: list[tuple[int | None, int | None]], told: str) -> None:
    """FFmpeg puts frames whose timestamps go backwards one unit behind one another."""
    with pytest.raises(ValueError, match=told):
        FrameTimes.of_packets(packets, BASE / 10)


@pytest.mark.parametrize(("fps", "stride"), [(24, 4), (30, 5), (60, 10), (6, 1), (12, 2)])
def test_six_frames_a_second_of_an_even_video(fps: int, stride: int) -> None:
    assert FrameTimes.steady(10 * stride + 1, fps).every(1 / 6) == list(range(0, 10 * stride + 1, stride))
    milliseconds = FrameTimes((np.arange(100) / fps).round(3), 100 / fps)
    assert milliseconds.every(1 / 6) == list(range(0, 100, stride))


def test_frames_are_chosen_by_time_and_each_once() -> None:
    times = FrameTimes(np.array(UNEVEN_S), 9.2)
    chosen = times.every(1 / 6)
    assert chosen == sorted(set(chosen))
    assert chosen[:5] == [0, 4, 8, 12, 16]
    assert set(range(20, 28)) <= set(chosen), "each of those that stand for a second"
    assert FrameTimes.steady(7, 2).every(1 / 6) == list(range(7))


def test_raw_h264_has_no_times(tmp_path: Path) -> None:
    import av

    path = tmp_path / "raw.mp4"
    with av.open(write_mp4(tmp_path, FILES)) as source, av.open(path, "w", format="h264") as raw:
        copied = raw.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = copied
                raw.mux(packet)
    with pytest.raises(RowError, match="frames have no timestamp: remux it") as raised:
        probe(path, "raw.mp4", Reason.VIDEO_UNDECODABLE)
    assert raised.value.reason is Reason.VIDEO_UNDECODABLE
