"""Turns a video's own timestamps into seconds, which nothing else in the project does.

Shapes: F source frames in display order, T annotated frames.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Self

import numpy as np
from numpy.typing import NDArray

from manifests.schema import MASK_STRIDE

# No camera is so fast. FFmpeg sets a timestamp that would go backwards one unit behind the last one.
_CLOSEST_S = 0.001


@dataclass(frozen=True, eq=False)
class FrameTimes:
    """Holds the times of a video's frames, in seconds from the first one.

    Attributes:
        start_s: (F,) when the frames appear; the first is 0.
        duration_s: when the last frame ends.
    """

    start_s: NDArray[np.float64]
    duration_s: float

    @classmethod
    def steady(cls, frame_count: int, fps: float) -> Self:
        """Return the times of `frame_count` frames that all last equally long."""
        return cls(np.arange(frame_count) / fps, frame_count / fps)

    @classmethod
    def of_packets(cls, packets: Sequence[tuple[int | None, int | None]], time_base: Fraction) -> Self:
        """Return the times of a stream's frames.

        Args:
            packets: (timestamp, duration) of every frame, in any order, in units of `time_base`.
            time_base: seconds.

        Raises:
            ValueError: a frame has no timestamp, or two have the same or nearly the same.
        """
        stamped = sorted((stamp, length or 0) for stamp, length in packets if stamp is not None)
        if not packets or len(stamped) < len(packets):
            raise ValueError(f"{len(packets) - len(stamped)} of {len(packets)} frames have no timestamp: remux it")
        stamps = np.array([stamp for stamp, _ in stamped], np.int64)
        steps_s = np.diff(stamps) * float(time_base)
        if len(too_close := np.flatnonzero(steps_s < _CLOSEST_S)):
            frame = int(too_close[0])
            raise ValueError(
                f"frames {frame} and {frame + 1} are {1000 * steps_s[frame]:.2g} ms apart, so timestamps repeat or go "
                "backwards: get the original, or encode it with times of its own"
            )
        usual = int(np.median(np.diff(stamps))) if len(stamps) > 1 else 0
        end = int(stamps[-1]) + (stamped[-1][1] or usual)
        return cls((stamps - stamps[0]) * float(time_base), float((end - int(stamps[0])) * time_base))

    @property
    def annotated_s(self) -> NDArray[np.float64]:
        """Return when the annotated frames appear, (T,)."""
        return self.start_s[::MASK_STRIDE]

    def every(self, step_s: float) -> list[int]:
        """Return the frames that come nearest to 0, `step_s`, 2 `step_s` …, no frame twice."""
        wanted_s = np.arange(0, self.start_s[-1] + 0.01 * step_s, step_s)  # the last frame's too, however it is rounded
        borders_s = (self.start_s[1:] + self.start_s[:-1]) / 2
        return [int(frame) for frame in np.unique(np.searchsorted(borders_s, wanted_s, side="right"))]

    @property
    def fps(self) -> float:
        """Return the frames a second, on average; 0 if that is not known."""
        return len(self.start_s) / self.duration_s if self.duration_s else 0.0
