"""Stage render_views: the pictures that writers are shown and the facts, from one decode of the video.

Views are those of the paper, section 3.3: at the frame of largest area a crop with context, the frame black outside
the object and the frame with a yellow contour; and 8 uniform frames with a contour where the object is visible.
"""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from manifests.io import Folder
from manifests.schema import MASK_STRIDE, Reason, Row
from stages import facts
from stages.base import Reject, Result, RowError, Stage
from stages.video.camera import CameraTracker
from stages.video.colour import ColourSampler
from stages.video.frames import Frame, probe, walk
from stages.video.images import BgrImage, bounded, fit, shrink_mask
from stages.video.masklets import VideoObject, load_objects, union_mask
from stages.video.source_file import readable
from stages.video.views import ObjectViews, ViewConfig, uniform_indices

_CAMERA_LONG_PX = 320  # camera motion needs no more, and time goes with the area


class RenderViews(Stage):
    """Fill the views, the facts of the object and those of its siblings."""

    name = "render_views"
    reads = ("object_id", "video_path", "siblings", "areas_px", "frame_count", "height_px", "width_px")
    writes = (
        *("crop_jpeg", "masked_jpeg", "scene_jpeg", "video_jpegs", "video_times_s", "preview_jpeg"),
        *("facts", "sibling_facts"),
    )
    by_video = True

    def __init__(self, config: ViewConfig, sav: Folder) -> None:
        self.config, self.sav = config, sav

    def process(self, rows: Sequence[Row]) -> list[Result]:
        """All rows are of one video, which is decoded once."""
        try:
            return self._visit(rows)
        except RowError as error:  # the video's fault: asking again row by row would decode it again
            return [error] * len(rows)

    def _visit(self, rows: Sequence[Row]) -> list[Result]:
        row = rows[0]
        drawn = {each.object_id for each in rows}
        ids = dict.fromkeys([*row.siblings, *drawn])
        subjects = [
            _Subject(each, self.config if each.object_id in drawn else None)
            for each in load_objects(self.sav, row.video_path, ids)
        ]
        with readable(row.video_path, Reason.DECODE_ERROR):
            video = self.sav.media(row.video_path)
        times = probe(video, row.video_path).times
        camera, frames_seen = self._watch(row, video, subjects)
        for frames, words in ((frames_seen, "frames decode"), (len(times.start_s), "frames are there")):
            if frames != row.frame_count:
                detail = f"{row.video_path}: {frames} {words}, its index says {row.frame_count}"
                return [Reject(Reason.FRAME_COUNT_MISMATCH, detail)] * len(rows)

        measured = facts.measure(
            [subject.object.track for subject in subjects],
            height_px=row.height_px,
            width_px=row.width_px,
            times=times,
            camera_steps=camera.steps,
            trails=camera.trails,
            colours={subject.object.object_id: subject.colours for subject in subjects},
        )
        found = {each.object_id: each for each in measured}
        views = {subject.object.object_id: subject.views for subject in subjects if subject.views}
        shown = uniform_indices(len(row.areas_px), self.config.frames)
        shared = {
            "video_times_s": times.annotated_s[shown].round(3).tolist(),
            "sibling_facts": [found[object_id] for object_id in row.siblings],
        }
        return [{**shared, **views[each.object_id].columns(), "facts": found[each.object_id]} for each in rows]

    def _watch(self, row: Row, video: Path | BinaryIO, subjects: Sequence["_Subject"]) -> tuple[CameraTracker, int]:
        """Show the video to the subjects; returns what followed the camera and the number of frames decoded."""
        entries = len(row.areas_px)
        slots = {index: slot for slot, index in enumerate(uniform_indices(entries, self.config.frames))}
        best = {subject.object.best_index for subject in subjects}
        camera = CameraTracker(row.width_px / fit(row.width_px, row.height_px, _CAMERA_LONG_PX)[0])
        objects = [subject.object for subject in subjects]
        frames_seen = 0
        # Drawing and following the camera go on beside the decoder; OpenCV and FFmpeg run outside Python's lock.
        with ThreadPoolExecutor(1) as drawer, ThreadPoolExecutor(1) as follower:
            done: list[Future[None]] = []
            for frame in walk(video, row.video_path):
                frames_seen += 1
                index, between = divmod(frame.index, MASK_STRIDE)
                if between or index >= entries:
                    continue
                done.append(follower.submit(_follow, camera, frame.grey(_CAMERA_LONG_PX), objects, index))
                if index in slots or index in best:
                    done.append(drawer.submit(self._show, frame, index, slots.get(index), subjects))
            for each in done:
                each.result()
        return camera, frames_seen

    def _show(self, frame: Frame, index: int, slot: int | None, subjects: Sequence["_Subject"]) -> None:
        full_HW3 = frame.bgr()
        small_HW3 = bounded(full_HW3, self.config.video_long_px)
        for subject in subjects:
            if slot is not None or subject.object.best_index == index:
                subject.see(full_HW3, small_HW3, index, slot)


def _follow(camera: CameraTracker, grey_HW: NDArray[np.uint8], objects: Sequence[VideoObject], index: int) -> None:
    size = (grey_HW.shape[1], grey_HW.shape[0])
    camera.add(grey_HW, lambda: shrink_mask(union_mask(objects, index), size))


class _Subject:
    """An object while its video is watched: all are measured, those of the batch are drawn too."""

    def __init__(self, video_object: VideoObject, config: ViewConfig | None) -> None:
        self.object = video_object
        self.colours = ColourSampler()
        self.views = None if config is None else ObjectViews(config)

    def see(self, full_HW3: BgrImage, small_HW3: BgrImage, index: int, slot: int | None) -> None:
        """Look at an annotated frame: the best one, or one of the uniform ones (`slot`), or both."""
        best = index == self.object.best_index
        mask_HW = self.object.mask(index)
        small_HW = shrink_mask(mask_HW, (small_HW3.shape[1], small_HW3.shape[0]))
        self.colours.add(small_HW3, small_HW > 0, best=best)
        if self.views is None:
            return
        if slot is not None:
            self.views.add_uniform(small_HW3, small_HW, slot)
        if best:
            self.views.add_best(full_HW3, mask_HW, self.object.track.boxes_px[index])
