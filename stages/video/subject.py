"""An object while its video is decoded: what is measured and drawn of it, frame by frame."""

import numpy as np
from numpy.typing import NDArray

from stages.video.colour import ColourSampler
from stages.video.images import BgrImage, shrink_mask
from stages.video.masklets import VideoObject
from stages.video.twins import TwinWatch
from stages.video.views import ObjectViews, ViewConfig


class Subject:
    """Measures the colours of an object, looks for twins without a mask, and draws the views of what is described."""

    def __init__(self, video_object: VideoObject, config: ViewConfig | None) -> None:
        self.object = video_object
        self.colours, self.twins = ColourSampler(), TwinWatch()
        self.views = None if config is None else ObjectViews(config)

    def add(
        self, full_HW3: BgrImage, small_HW3: BgrImage, all_HW: NDArray[np.bool_], index: int, slot: int | None
    ) -> None:
        """Measure and draw the object in an annotated frame: its best one, a uniform one (`slot`), or both.

        Args:
            full_HW3: the frame.
            small_HW3: the same, reduced.
            all_HW: where the reduced frame has any object's mask.
            index: number of the annotated frame.
            slot: number among the uniform frames; None for another frame.
        """
        best = index == self.object.best_index
        mask_HW = self.object.mask(index)
        small_HW = shrink_mask(mask_HW, (small_HW3.shape[1], small_HW3.shape[0]))
        self.colours.add(small_HW3, small_HW > 0, best=best)
        self.twins.add(small_HW3, small_HW > 0, all_HW)
        if self.views is None:
            return
        if slot is not None:
            self.views.add_uniform(small_HW3, small_HW, slot)
        if best:
            self.views.add_best(full_HW3, mask_HW, self.object.track.boxes_px[index])
