"""Decides which picture of a source every image of a 24 fps video shows, and which of its masks are kept.

SA-V's rule is that mask k belongs to image 4k, k / 6 s after the start. So image 4k shows the picture *with a mask*
that is nearest to that time, and not another one that is nearer; its mask is mask k. The images between show what was
on screen at their time, but never a picture from before the last or after the next kept mask. A picture may be shown
several times (sets of 6 fps show each four times), and a mask may be kept twice (sets of 5 fps).

Only the stretch from the first to the last picture with a mask is taken. SA-V cannot say "not annotated": without a
mask an object would count as out of sight.

Shapes: F pictures of the source, N images of the video, T kept masks.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from manifests.schema import MASK_STRIDE
from pipeline.importers.source_protocol import ImportFailedError, ImportReason
from stages.video.times import FrameTimes

VIDEO_FPS = 24
MAX_GAP_S = 0.5  # between pictures with masks: for longer the video would stand still
_EARLY_S = 1e-6  # of two pictures that are equally near, the earlier is taken, however times are rounded


@dataclass(frozen=True)
class Timeline:
    """Holds the plan of a video.

    Attributes:
        pictures_N: position in the source of the picture that each image shows; never falls.
        masks_T: position of the picture whose mask is mask k; it is `pictures_N[4 * k]`.
    """

    pictures_N: list[int]

    @property
    def masks_T(self) -> list[int]:
        """Return the positions of the pictures whose masks are kept."""
        return self.pictures_N[::MASK_STRIDE]


def plan(times: FrameTimes, annotated: Sequence[int], names: Sequence[str]) -> Timeline:
    """Return the plan of a video.

    Args:
        times: of the F pictures.
        annotated: positions of the pictures that have masks, rising.
        names: of the pictures, for messages.

    Raises:
        ImportFailedError: MASKS_SPARSE, there are too few of them.
    """
    if len(annotated) < 2:
        raise ImportFailedError(
            ImportReason.MASKS_SPARSE,
            f"{len(annotated)} of {len(names)} pictures have masks, two at least must: sets for validation and test "
            "keep theirs back",
        )
    masked_s = times.start_s[list(annotated)]
    gaps_s = np.diff(masked_s)
    widest = int(gaps_s.argmax())
    if gaps_s[widest] > MAX_GAP_S + _EARLY_S:
        first, second = (names[annotated[at]] for at in (widest, widest + 1))
        raise ImportFailedError(
            ImportReason.MASKS_SPARSE,
            f"masks must be at most {MAX_GAP_S} s apart, got {gaps_s[widest]:.2f} s from {first} to {second}",
        )
    start_s = float(masked_s[0])
    last = int(np.floor((masked_s[-1] - start_s) * VIDEO_FPS / MASK_STRIDE + VIDEO_FPS * _EARLY_S))
    kept_s = start_s + np.arange(last + 1) * MASK_STRIDE / VIDEO_FPS
    borders_s = (masked_s[1:] + masked_s[:-1]) / 2
    kept_T = np.asarray(annotated)[np.searchsorted(borders_s, kept_s - _EARLY_S)]

    room = round((times.duration_s - start_s) * VIDEO_FPS)
    count = max(MASK_STRIDE * last + 1, min(MASK_STRIDE * (last + 1), room))
    image_s = start_s + np.arange(count) / VIDEO_FPS
    shown_N = np.searchsorted(times.start_s, image_s + _EARLY_S, side="right") - 1
    k_N = np.arange(count) // MASK_STRIDE
    next_T = np.append(kept_T[1:], max(len(names) - 1, int(kept_T[-1])))
    shown_N = np.clip(shown_N, kept_T[k_N], next_T[k_N])
    shown_N[::MASK_STRIDE] = kept_T
    return Timeline([int(at) for at in np.maximum.accumulate(shown_N)])
