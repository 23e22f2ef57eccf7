"""Stage render_views: decodes a video once, and makes the images that writers are shown and the facts from it.

The images are those of the paper, section 3.3: from the frame in which the object is largest, a crop with context, the
frame with all else black, and the frame with a yellow contour; and 8 frames at even distances, with a contour where the
object is visible.
"""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from manifests.io import Folder
from manifests.row_results import Reject, RowError
from manifests.schema import MASK_STRIDE, Reason, Row
from stages import facts
from stages.base import Result, Stage
from stages.video.camera import CameraTracker
from stages.video.frames import Frame, probe, walk
from stages.video.images import bounded, fit, shrink_mask
from stages.video.lineup_frames import LineupFrames
from stages.video.masklets import VideoObject, load_objects, union_mask
from stages.video.source_file import readable
from stages.video.subject import Subject
from stages.video.views import ViewConfig, uniform_indices

_CAMERA_LONG_PX = 320  # long side of the frames that the camera is tracked in: it needs no more, and this saves time


class RenderViews(Stage):
    """Fill the columns of images, the facts of the object and those of its siblings."""

    name = "render_views"
    reads = ("object_id", "video_path", "siblings", "areas_px", "frame_count", "height_px", "width_px")
    writes = (
        *("crop_jpeg", "masked_jpeg", "scene_jpeg", "video_jpegs", "video_times_s", "preview_jpeg"),
        *("facts", "sibling_facts", "lineup_frames"),
    )
    by_video = True

    def __init__(self, config: ViewConfig, sav: Folder, *, lineup: bool = False) -> None:
        self.config, self.sav = config, sav
        self.lineup = lineup  # True if verify_lineup follows, which needs frames of its own

    def process(self, rows: Sequence[Row]) -> list[Result]:
        """Decode the video that all `rows` are of and return an update for every row; see `Stage.process`."""
        try:
            return self._render(rows)
        except RowError as error:  # a fault of the video fails all rows at once: one by one, each would decode it again
            return [error] * len(rows)

    def _render(self, rows: Sequence[Row]) -> list[Result]:
        row = rows[0]
        drawn_ids = {other.object_id for other in rows}
        ids = dict.fromkeys([*row.siblings, *drawn_ids])
        subjects = [
            Subject(video_object, self.config if video_object.object_id in drawn_ids else None)
            for video_object in load_objects(self.sav, row.video_path, ids)
        ]
        with readable(row.video_path, Reason.DECODE_ERROR):
            video = self.sav.media(row.video_path)
        times = probe(video, row.video_path).times
        lineup = LineupFrames(
            [subject.object for subject in subjects],
            [other.object_id for other in rows] if self.lineup else [],
            uniform_indices(len(row.areas_px), self.config.frames),
            self.config.lineup_long_px,
        )
        camera, decoded_frames = self._decode(row, video, subjects, lineup)
        for frames, words in ((decoded_frames, "frames decode"), (len(times.start_s), "frames are there")):
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
            twins={subject.object.object_id: subject.twins.possible() for subject in subjects},
        )
        facts_of = {of_object.object_id: of_object for of_object in measured}
        views = {subject.object.object_id: subject.views for subject in subjects if subject.views}
        indices = uniform_indices(len(row.areas_px), self.config.frames)
        shared = {
            "video_times_s": times.annotated_s[indices].round(3).tolist(),
            "sibling_facts": [facts_of[object_id] for object_id in row.siblings],
        }
        of_each = lineup.of_each(times.annotated_s.round(3).tolist())
        return [
            {
                **shared,
                **views[each.object_id].columns(),
                "facts": facts_of[each.object_id],
                "lineup_frames": of_each.get(each.object_id, []),
            }
            for each in rows
        ]

    def _decode(
        self, row: Row, video: Path | BinaryIO, subjects: Sequence[Subject], lineup: LineupFrames
    ) -> tuple[CameraTracker, int]:
        """Pass the frames on to all subjects; return the tracker of the camera and the number of frames decoded."""
        entries = len(row.areas_px)
        slots = {index: slot for slot, index in enumerate(uniform_indices(entries, self.config.frames))}
        best = {subject.object.best_index for subject in subjects}
        camera = CameraTracker(row.width_px / fit(row.width_px, row.height_px, _CAMERA_LONG_PX)[0])
        objects = [subject.object for subject in subjects]
        decoded_frames = 0
        # Drawing and camera tracking run in threads beside the decoder: OpenCV and FFmpeg release Python's lock.
        with ThreadPoolExecutor(1) as drawer, ThreadPoolExecutor(1) as tracker:
            futures: list[Future[None]] = []
            for frame in walk(video, row.video_path):
                decoded_frames += 1
                index, between = divmod(frame.index, MASK_STRIDE)
                if between or index >= entries:
                    continue
                futures.append(tracker.submit(_track_camera, camera, frame.grey(_CAMERA_LONG_PX), objects, index))
                if index in slots or index in best or index in lineup.wanted:
                    futures.append(drawer.submit(self._draw, frame, index, slots.get(index), subjects, lineup))
            for future in futures:
                future.result()
        return camera, decoded_frames

    def _draw(
        self, frame: Frame, index: int, slot: int | None, subjects: Sequence[Subject], lineup: LineupFrames
    ) -> None:
        full_HW3 = frame.bgr()
        lineup.add(full_HW3, index)
        small_HW3 = bounded(full_HW3, self.config.video_long_px)
        masked_HW = shrink_mask(union_mask([one.object for one in subjects], index), small_HW3.shape[1::-1]) > 0
        for subject in subjects:
            if slot is not None or subject.object.best_index == index:
                subject.add(full_HW3, small_HW3, masked_HW, index, slot)


def _track_camera(
    camera: CameraTracker, grey_HW: NDArray[np.uint8], objects: Sequence[VideoObject], index: int
) -> None:
    size = (grey_HW.shape[1], grey_HW.shape[0])
    camera.add(grey_HW, lambda: shrink_mask(union_mask(objects, index), size))
