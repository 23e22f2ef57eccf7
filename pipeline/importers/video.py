"""One's own mp4 files, each with a folder of PNG masks or one JSON of masks of the same name.

`clip.mp4` with `clip/00000.png` …, numbered as the video's frames (from 0, or `--first-frame`), as `png_masks.py`
reads them; or with `clip.json`: `{"objects": {"<id>": {"label": "dog", "masks": {"0": RLE, "5": null}}}}`, where label
may be missing and masks may be a list over frames. A mask has any form that COCO has. Frames that no object names are
not annotated; null says that it is not to be seen.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pipeline.importers.documents import label_of, read_json
from pipeline.importers.pictures import VIDEO_ENDS, VideoPictures
from pipeline.importers.png_masks import object_ids, read_masks
from pipeline.importers.source_protocol import (
    ImportFailedError,
    ImportOptions,
    ImportReason,
    ImportTask,
    SourceObject,
    SourceVideo,
)
from stages.video.rle import Rle, from_coco

_ALSO = ("_masks", "_mask")  # ends of a folder's or a JSON file's name that may follow the video's


class VideoSource:
    """Reads videos with their masks."""

    reads = "one's own videos, with PNG or JSON masks"
    needs = "<video>.mp4 with <video>/*.png or <video>.json beside it"

    def fits(self, path: Path) -> bool:
        """Tell whether a video has masks beside it."""
        return any(_masks_of(one) is not None for one in _videos(path))

    def find(self, path: Path, options: ImportOptions) -> Sequence[ImportTask]:
        """Return a task for every video; see `MaskletSource`."""
        videos = _videos(path)
        if not any(_masks_of(one) is not None for one in videos):
            return []
        if options.fps is not None:
            raise ValueError("--fps must not be given for videos: their own timestamps count")
        tasks = {}
        for video in videos:
            if video.stem in tasks:
                raise ValueError(f"{path} has two videos {video.stem}: rename one, its masks go by this name")
            masks = _masks_of(video)
            files = sorted(masks.rglob("*.png")) if masks and masks.is_dir() else [masks] if masks else []
            tasks[video.stem] = ImportTask(video.stem, (video, *files), (video, masks))
        return list(tasks.values())

    def open(self, task: ImportTask, options: ImportOptions) -> SourceVideo:
        """Read the masks of a video; see `MaskletSource`."""
        path, place = task.entry
        if place is None:
            raise ImportFailedError(
                ImportReason.MASK_MISSING, f"{path} must have masks, got neither {path.stem}/ nor {path.stem}.json"
            )
        pictures = VideoPictures(path)
        count = len(pictures.times.start_s)
        position = {at + options.first_frame: at for at in range(count)}
        if place.is_dir():
            try:
                masks = read_masks(place, position, pictures.size)
            except ImportFailedError as fault:
                raise ImportFailedError(fault.reason, f"{fault.detail}{_hint(fault, path, position)}") from fault
            return SourceVideo(pictures, [SourceObject(one) for one in object_ids(masks)], masks)
        return _from_json(place, pictures, position)


def _from_json(place: Path, pictures: VideoPictures, position: dict[int, int]) -> SourceVideo:
    try:
        content = read_json(place)
    except ValueError as error:
        raise ImportFailedError(ImportReason.ENTRY_MALFORMED, str(error)) from error
    objects = content.get("objects") if isinstance(content, dict) else None
    if not isinstance(objects, dict) or not objects:
        rule = '{"objects": {"<id>": {"masks": {"<frame>": RLE}}}}'
        raise ImportFailedError(ImportReason.ENTRY_MALFORMED, f"{place} must be {rule}, got {str(content)[:60]}")
    masks: dict[int, dict[str, Rle]] = {}
    found = []
    for object_id, entry in objects.items():
        for frame, mask in _entries(entry, f"{place}: object {object_id}", min(position)):
            if frame not in position:
                raise ImportFailedError(
                    ImportReason.FRAME_MISSING,
                    f"{place}: object {object_id} has a frame {frame}, the video {min(position)} to {max(position)}",
                )
            of_frame = masks.setdefault(position[frame], {})
            try:
                if mask:
                    of_frame[object_id] = from_coco(mask, *pictures.size)
            except ValueError as error:
                detail = f"{place}: object {object_id} at frame {frame}: {error}"
                raise ImportFailedError(ImportReason.MASK_UNREADABLE, detail) from error
        label = label_of(entry.get("label")) if isinstance(entry, dict) else None
        found.append(SourceObject(object_id, label))
    return SourceVideo(pictures, found, dict(sorted(masks.items())))


def _entries(entry: Any, where: str, first: int) -> Iterator[tuple[int, Any]]:
    """Give (frame, mask) of an object."""
    masks = entry.get("masks") if isinstance(entry, dict) else entry
    if isinstance(masks, list):
        yield from enumerate(masks, first)
    elif isinstance(masks, dict) and all(name.isdigit() for name in masks):
        yield from ((int(name), mask) for name, mask in masks.items())
    else:
        rule = "masks by number of the frame, or a list over frames"
        raise ImportFailedError(ImportReason.ENTRY_MALFORMED, f"{where} must have {rule}, got {str(masks)[:60]}")


def _hint(fault: ImportFailedError, path: Path, position: dict[int, int]) -> str:
    if fault.reason != ImportReason.FRAME_MISSING:
        return ""
    return (
        f" ({path.name} has frames {min(position)} to {max(position)}: if its masks are numbered from another first "
        "frame, give --first-frame)"
    )


def _videos(path: Path) -> list[Path]:
    if path.is_file():
        return [path] if path.suffix.lower() in VIDEO_ENDS else []
    return sorted(one for one in path.glob("*") if one.suffix.lower() in VIDEO_ENDS and one.name[0] != ".")


def _masks_of(video: Path) -> Path | None:
    places = [video.with_name(f"{video.stem}{end}") for end in ("", *_ALSO)]
    there = [one for place in places for one in (place, place.with_name(f"{place.name}.json"))]
    return next((one for one in there if one.is_dir() or (one.suffix == ".json" and one.is_file())), None)


SOURCE = VideoSource()
