"""CVAT for video 1.1: an XML file, and the mp4 or the pictures that it was drawn on.

A track is an object; `polygon` and `mask` elements are its masks, `outside` ends it until the next. CVAT writes every
frame of a track, those between key frames too (keyframe="0"). Where another tool left them out, polygons are drawn
between key frames as CVAT does it: points are matched by how far along the outline they lie, and move evenly. Masks
are not: CVAT keeps none between two. A single mask is a track of its own; such tracks are one object if they have the
same `group_id` and label.

`frame` counts frames of the source video, also in tasks that begin later (`start_frame`) or take every n-th
(`frame_filter` step=n), and so do names of exported pictures. (cvat/apps/dataset_manager: bindings.py, annotation.py.)
"""

from collections.abc import Sequence
from pathlib import Path

from pipeline.importers.cvat_tracks import CvatTrack, Shape, annotated, frames_of, parsed, read_track, tracks_of
from pipeline.importers.pictures import PICTURE_ENDS, VIDEO_ENDS, PictureFiles, VideoPictures, numbered, with_end
from pipeline.importers.source_protocol import (
    ImportFailedError,
    ImportOptions,
    ImportReason,
    ImportTask,
    LeftOut,
    Pictures,
    SourceObject,
    SourceVideo,
    required_fps,
)
from stages.video.rle import Rle, union

_HEAD_BYTES = 1000


class CvatSource:
    """Reads XML of CVAT."""

    reads = "CVAT for video 1.1"
    needs = "annotations.xml (or a folder with one for every video), and images/ or an mp4 beside it"

    def fits(self, path: Path) -> bool:
        """Tell whether there is XML that begins as CVAT's."""
        return any(b"<annotations" in one.open("rb").read(_HEAD_BYTES) for one in _xml_files(path))

    def find(self, path: Path, options: ImportOptions) -> Sequence[ImportTask]:
        """Return a task for every XML file; see `MaskletSource`."""
        files = _xml_files(path)
        tasks = []
        for xml in files:
            media = options.images or _media(xml, alone=sum(one.parent == xml.parent for one in files) == 1)
            pictures = sorted(media.rglob("*")) if media and media.is_dir() else [media] if media else []
            if media and media.is_dir():
                required_fps(options, f"the folder {media}")
            name = xml.parent.resolve().name if xml.stem == "annotations" else xml.stem
            tasks.append(ImportTask(name, (xml, *(one for one in pictures if one.is_file())), (xml, media)))
        return tasks

    def open(self, task: ImportTask, options: ImportOptions) -> SourceVideo:
        """Read the masks of a video; see `MaskletSource`."""
        xml, media = task.entry
        root = parsed(xml)
        if media is None:
            raise ImportFailedError(
                ImportReason.FRAME_MISSING, f"{xml} must have images/ or an mp4 beside it, got neither: give --images"
            )
        frames = frames_of(root, xml)
        pictures, position = _pictures(media, frames, options)
        tracks = [read_track(one, xml, pictures.size) for one in tracks_of(root, xml)]
        labels = {one.text for one in root.iterfind("meta/*/labels/label/name")}
        objects: dict[str, SourceObject] = {}
        shapes: dict[int, dict[str, list[Shape]]] = {}
        left_out = []
        for track in tracks:
            if fault := _fault(track, labels):
                left_out.append(fault)
                continue
            objects.setdefault(track.object_id, SourceObject(track.object_id, track.label))
            for frame, shape in track.drawn(frames).items():
                if frame not in position:
                    raise ImportFailedError(
                        ImportReason.FRAME_MISSING,
                        f"{xml}: track {track.object_id} has a frame {frame}, {media} has not",
                    )
                shapes.setdefault(frame, {}).setdefault(track.object_id, []).append(shape)
        shown = [frame for frame in annotated(tracks, frames, sorted(shapes)) if frame in position]
        masks = {position[frame]: _drawn(shapes.get(frame, {})) for frame in shown}
        return SourceVideo(pictures, list(objects.values()), dict(sorted(masks.items())), left_out=left_out)


def _drawn(shapes: dict[str, list[Shape]]) -> dict[str, Rle]:
    return {one: union([shape.rle() for shape in of_object]) for one, of_object in shapes.items()}


def _fault(track: CvatTrack, labels: set[str | None]) -> LeftOut | None:
    if labels and track.label not in labels:
        detail = f"label {track.label!r} must be one of the task's, {', '.join(sorted(filter(None, labels)))}"
        return LeftOut(ImportReason.UNKNOWN_CATEGORY, detail, track.object_id)
    if not track.shapes:
        detail = f"must have polygons or masks, got {track.other or 'nothing'} only"
        return LeftOut(ImportReason.NO_MASK, detail, track.object_id)
    return None


def _pictures(media: Path, frames: range, options: ImportOptions) -> tuple[Pictures, dict[int, int]]:
    """Return the pictures, and the position of each frame of the task that there is a picture of."""
    if media.is_file():
        video = VideoPictures(media)
        return video, {frame: frame for frame in frames if frame < video.times.start_s.size}
    files = numbered(media if any(one.is_file() for one in media.iterdir()) else next(media.iterdir()), PICTURE_ENDS)
    if not files:
        raise ImportFailedError(ImportReason.FRAME_MISSING, f"{media} must have pictures, got none")
    pictures = PictureFiles(list(files.values()), required_fps(options, f"the folder {media}"))
    by_number = {number: at for at, number in enumerate(files)}
    if not set(frames) <= set(files) and len(files) == len(frames):
        by_number = dict(zip(frames, range(len(files)), strict=True))  # numbered from another start: by their order
    return pictures, {frame: by_number[frame] for frame in frames if frame in by_number}


def _xml_files(path: Path) -> list[Path]:
    if path.is_file():
        return [path] if path.suffix == ".xml" else []
    return sorted(path.glob("*.xml")) or sorted(path.glob("*/annotations.xml"))


def _media(xml: Path, *, alone: bool) -> Path | None:
    """Return the mp4 or the folder of pictures that belongs to an XML file; None if there is none."""
    named = [with_end(xml.with_suffix(""), VIDEO_ENDS), xml.parent / xml.stem]
    if alone:
        videos = (one for one in sorted(xml.parent.iterdir()) if one.suffix.lower() in VIDEO_ENDS)
        named += [xml.parent / "images", *(one for one in videos if one.name[0] != ".")]
    return next((one for one in named if one and one.exists()), None)


SOURCE = CvatSource()
