"""Stage render_views: the pictures that writers are shown and the facts, from one decode of the video.

Views are those of the paper, section 3.3: at the frame of largest area a crop with context, the frame black outside
the object and the frame with a yellow contour; and 8 uniform frames with a contour where the object is visible.
"""

from collections.abc import Sequence

import numpy as np

from manifests.io import Folder
from manifests.schema import MASK_STRIDE, Reason, Row
from stages import facts
from stages.base import Reject, Result, RowError, Stage
from stages.video import draw
from stages.video.camera import CameraTracker
from stages.video.colour import ColourSampler
from stages.video.frames import Frame, fit, walk
from stages.video.objects import VideoObject, load_objects, union
from stages.video.views import ObjectViews, ViewConfig

_CAMERA_LONG_PX = 320  # camera motion needs no more, and time goes with the area


class RenderViews(Stage):
    """Fill the views, the facts of the object and those of its siblings."""

    name = "render_views"
    reads = ("object_id", "video_id", "video_path", "siblings", "frame_count", "video_fps", "height_px", "width_px")
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
        ids = dict.fromkeys([*row.siblings, *(each.object_id for each in rows)])
        objects = load_objects(self.sav, row.video_path, ids)
        entries = len(objects[0].rles_T)
        uniform = np.linspace(0, entries - 1, min(self.config.frames, entries)).round().astype(int).tolist()
        wanted = {each.object_id for each in rows}
        views = {each.object_id: ObjectViews(self.config, len(uniform)) for each in objects if each.object_id in wanted}
        colours = {each.object_id: ColourSampler() for each in objects}
        size = fit(row.width_px, row.height_px, _CAMERA_LONG_PX)
        camera = CameraTracker(row.width_px / size[0])

        frames_seen = 0
        for frame in walk(self.sav.media(row.video_path), row.video_path):
            frames_seen += 1
            index, between = divmod(frame.index, MASK_STRIDE)
            if between or index >= entries:
                continue
            camera.add(frame.grey(_CAMERA_LONG_PX), draw.shrink_mask(union(objects, index), size) > 0)
            if index in uniform:
                self._uniform(frame, index, uniform.index(index), objects, views, colours)
            self._best(frame, [each for each in objects if each.best_index == index], views, colours)
        if frames_seen != row.frame_count:
            detail = f"{row.video_path}: {frames_seen} frames decode, its index says {row.frame_count}"
            return [Reject(Reason.FRAME_COUNT_MISMATCH, detail)] * len(rows)

        measured = facts.measure(
            [each.track for each in objects],
            height_px=row.height_px,
            width_px=row.width_px,
            fps=row.video_fps,
            frame_count=row.frame_count,
            camera_steps=camera.steps,
            colours=colours,
        )
        shared = {
            "video_times_s": [round(index * MASK_STRIDE / row.video_fps, 3) for index in uniform],
            "sibling_facts": [each for each in measured if each.object_id in row.siblings],
        }
        own = {each.object_id: each for each in measured}
        return [{**shared, **views[each.object_id].columns(), "facts": own[each.object_id]} for each in rows]

    def _uniform(
        self,
        frame: Frame,
        index: int,
        slot: int,
        objects: Sequence[VideoObject],
        views: dict[str, ObjectViews],
        colours: dict[str, ColourSampler],
    ) -> None:
        picture_HW3 = frame.bgr(self.config.video_long_px)
        for each in objects:
            mask_HW = draw.shrink_mask(each.mask(index), picture_HW3.shape[1::-1])
            colours[each.object_id].add(picture_HW3, mask_HW > 0, best=False)
            if each.object_id in views:
                views[each.object_id].add_uniform(picture_HW3, mask_HW, slot)

    def _best(
        self,
        frame: Frame,
        objects: Sequence[VideoObject],
        views: dict[str, ObjectViews],
        colours: dict[str, ColourSampler],
    ) -> None:
        if not objects:
            return
        full_HW3 = frame.bgr()
        small_HW3 = draw.bounded(full_HW3, self.config.video_long_px)
        for each in objects:
            mask_HW = each.mask(each.best_index)
            colours[each.object_id].add(small_HW3, draw.shrink_mask(mask_HW, small_HW3.shape[1::-1]) > 0, best=True)
            if each.object_id in views:
                views[each.object_id].add_best(full_HW3, mask_HW, each.track.boxes_px[each.best_index])
