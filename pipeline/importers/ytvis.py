"""YouTube-VIS, OVIS, SA-Co/VEval: one JSON file in COCO's form for videos, and folders of pictures.

`videos` have `file_names`; an annotation is one object, with a mask or null for each of them: RLE as a string or as a
list, or polygons. Its name is its `noun_phrase`, or that of its category.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.importers.documents import brief_json, label_of, read_json
from pipeline.importers.mask_lists import read_masks_T
from pipeline.importers.pictures import PictureFiles
from pipeline.importers.source_protocol import (
    ImportFailedError,
    ImportOptions,
    ImportReason,
    ImportTask,
    LeftOut,
    SourceObject,
    SourceVideo,
    required_fps,
)
from stages.video.rle import Rle

_HEAD_BYTES = 4096
_LOOKED = 50  # videos of which the first picture is looked for


class YtvisSource:
    """Reads COCO JSON of videos."""

    reads = "COCO video JSON of YouTube-VIS, OVIS, SA-Co/VEval"
    needs = 'one JSON with "videos" and "annotations" (or give the file itself), and the pictures that it names'

    def fits(self, path: Path) -> bool:
        """Tell whether a JSON file begins like one."""
        return any(self._begins(one) for one in _json_files(path))

    def find(self, path: Path, options: ImportOptions) -> Sequence[ImportTask]:
        """Return a task for every video of the file; see `MaskletSource`."""
        found = [(one, content) for one in _json_files(path) if _is_ytvis(content := read_json(one))]
        if not found:
            return []
        if len(found) > 1:
            raise ValueError(
                f"{path} has several annotation files: name one, {' or '.join(str(one) for one, _ in found)}"
            )
        [(file, content)] = found
        if not isinstance(content.get("annotations"), list):
            raise ValueError(f'{file} must have a list "annotations": sets for validation and test keep it back')
        required_fps(options, "a COCO video file")
        videos = {str(one["id"]): one for one in content["videos"] if _has_id(one, "id")}
        root = _picture_root(file, list(videos.values()), options)
        listed = content.get("categories") if isinstance(content.get("categories"), list) else []
        names = {str(one.get("id")): label_of(one.get("name")) for one in listed if isinstance(one, dict)}
        of_video: dict[str, list[dict[str, Any]]] = {one: [] for one in videos}
        faults = {
            f"videos[{position}]": f"a video must have an id, a number or a text, got {brief_json(one)}"
            for position, one in enumerate(content["videos"])
            if not _has_id(one, "id")
        }
        for position, one in enumerate(content["annotations"]):
            if not _has_id(one, "video_id"):
                faults[f"annotations[{position}]"] = f"an annotation must have a video_id, got {brief_json(one)}"
            elif (video_id := str(one["video_id"])) in of_video:
                of_video[video_id].append(one)
            else:
                faults[video_id] = f"it has annotations, as annotations[{position}], but is not in videos"
        tasks = [ImportTask(one, (), f"{file}: {fault}") for one, fault in faults.items()]
        for one in filter(lambda one: _has_id(one, "id"), content["videos"]):
            video_id = str(one["id"])
            tasks.append(ImportTask(video_id, _files(root, one), (root, one, of_video[video_id], names)))
        return tasks

    def open(self, task: ImportTask, options: ImportOptions) -> SourceVideo:
        """Read the masks of a video; see `MaskletSource`."""
        if isinstance(task.entry, str):
            raise ImportFailedError(ImportReason.ENTRY_MALFORMED, task.entry)
        root, video, annotations, categories = task.entry
        if not task.files:
            raise ImportFailedError(
                ImportReason.ENTRY_MALFORMED, f"video {task.source_id} must have file_names, got none"
            )
        pictures = PictureFiles(task.files, required_fps(options, "a COCO video file"))
        objects, left_out = [], []
        masks: dict[int, dict[str, Rle]] = {at: {} for at in range(len(task.files))}
        for number, annotation in enumerate(annotations):
            object_id = str(annotation.get("id", number))
            phrase, category = label_of(annotation.get("noun_phrase")), annotation.get("category_id")
            label = phrase or categories.get(str(category))
            if annotation.get("iscrowd"):
                fault = LeftOut(ImportReason.UNSUPPORTED, "iscrowd: it is a group and not one object", object_id)
            elif categories and category is not None and str(category) not in categories and not phrase:
                detail = f"category_id {category} must be one of the file's categories"
                fault = LeftOut(ImportReason.UNKNOWN_CATEGORY, detail, object_id)
            else:
                where = f"annotation {object_id}"
                for at, rle in read_masks_T(annotation.get("segmentations"), len(task.files), pictures.size, where):
                    masks[at][object_id] = rle
                objects.append(SourceObject(object_id, label))
                continue
            left_out.append(fault)
        return SourceVideo(pictures, objects, masks, left_out=left_out)

    @staticmethod
    def _begins(path: Path) -> bool:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
        return b"file_names" in head or (b'"videos"' in head and b"[" in head.partition(b'"videos"')[2][:3])


def _json_files(path: Path) -> list[Path]:
    if path.is_file():
        return [path] if path.suffix == ".json" else []
    return sorted(one for pattern in ("*.json", "annotation*/*.json") for one in path.glob(pattern) if one.is_file())


def _is_ytvis(content: Any) -> bool:
    videos = content.get("videos") if isinstance(content, dict) else None
    return isinstance(videos, list) and bool(videos) and "annotations" in content


def _has_id(one: Any, name: str) -> bool:
    return isinstance(one, dict) and isinstance(one.get(name), int | str)


def _files(root: Path, video: dict[str, Any]) -> tuple[Path, ...]:
    names = video.get("file_names")
    return tuple(root / str(name) for name in names) if isinstance(names, list) else ()


def _picture_root(file: Path, videos: Sequence[dict[str, Any]], options: ImportOptions) -> Path:
    if options.images is not None:
        return options.images
    near = (file.parent, file.parent.parent)
    split = re.split(r"[_.-]", file.stem)[-1]  # OVIS: annotations_train.json and Images/train
    parts = ("", "JPEGImages", "images", "Images", f"{split}/JPEGImages", f"Images/{split}", split)
    below = [*parts, *(f"{file.stem}{end}" for end in ("/JPEGImages", ""))]
    places = [place / name for place in near for name in below]
    firsts = [names[0] for video in videos[:_LOOKED] if (names := _files(Path(), video))]
    root = next((place for place in places if any((place / name).is_file() for name in firsts)), None)
    if root is None and firsts:
        raise ValueError(f"{file} names {firsts[0]}, which is not beside it: give the folder it is in as --images")
    return root or file.parent


SOURCE = YtvisSource()
