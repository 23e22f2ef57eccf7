"""DAVIS, YouTube-VOS, MOSE, LVOS: a folder of pictures and a folder of PNG masks for every video.

`JPEGImages/…/<video>/00000.jpg` and `Annotations/…/<video>/00000.png`, with a folder in between or without (DAVIS has
`480p`). SA-V's own validation sets have a folder for each object, `Annotations_6fps/<video>/<object>/00000.png`.
What the pixels mean: `png_masks.py`. YouTube-VOS's `meta.json`, if it is beside the folders, has the categories.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from pipeline.importers.documents import categories
from pipeline.importers.pictures import PICTURE_ENDS, PictureFiles, hole, numbered
from pipeline.importers.png_masks import object_ids, read_masks
from pipeline.importers.source_protocol import (
    ImportFailedError,
    ImportOptions,
    ImportReason,
    ImportTask,
    SourceObject,
    SourceVideo,
    required_fps,
)


class PngSource:
    """Reads folders of pictures and of PNG masks."""

    reads = "pictures and PNG masks of DAVIS, YouTube-VOS, MOSE, LVOS"
    needs = "JPEGImages*/…/<video>/*.jpg and Annotations*/…/<video>/*.png"

    def fits(self, path: Path) -> bool:
        """Tell whether it has both folders."""
        return any(True for _ in _pairs(path, None))

    def find(self, path: Path, options: ImportOptions) -> Sequence[ImportTask]:
        """Return a task for every folder of masks; see `MaskletSource`."""
        tasks: dict[str, ImportTask] = {}
        for masks, pictures in _pairs(path, options.images):
            labels = categories(masks.parent)
            for folder in _video_folders(masks, pictures):
                video_id = folder.relative_to(masks).as_posix()
                images = pictures / video_id
                files = sorted(one for place in (folder, images) for one in place.rglob("*") if one.is_file())
                if video_id in tasks:
                    raise ValueError(
                        f"{path} has video {video_id} in {tasks[video_id].entry[0]} and {folder}: name one of both"
                    )
                tasks[video_id] = ImportTask(video_id, tuple(files), (folder, images, labels.get(video_id, {})))
        if tasks:
            required_fps(options, "a folder of pictures")
        return list(tasks.values())

    def open(self, task: ImportTask, options: ImportOptions) -> SourceVideo:
        """Read the masks of a video; see `MaskletSource`."""
        folder, images, labels = task.entry
        if not images.is_dir():
            raise ImportFailedError(
                ImportReason.FRAME_MISSING, f"there must be a folder of pictures {images}, got none"
            )
        pictures = numbered(images, PICTURE_ENDS)
        if not pictures:
            raise ImportFailedError(ImportReason.FRAME_MISSING, f"{images} must have pictures {PICTURE_ENDS}, got none")
        if gap := hole(list(pictures)):
            raise ImportFailedError(
                ImportReason.FRAME_MISSING,
                f"{images} must have a picture between {pictures[gap[0]].name} and {pictures[gap[1]].name}",
            )
        position = {number: at for at, number in enumerate(pictures)}
        files = PictureFiles(list(pictures.values()), required_fps(options, "a folder of pictures"))
        masks = read_masks(folder, position, files.size)
        return SourceVideo(files, [SourceObject(one, labels.get(one)) for one in object_ids(masks)], masks)


def _pairs(path: Path, images: Path | None) -> Iterator[tuple[Path, Path]]:
    """Give every folder of masks with its folder of pictures: beside each other, in `path` or one level below.

    `path` may be the folder of masks itself, where there are several, or one in it, as DAVIS has for each resolution.
    """
    within = next((one for one in (path, *path.parents) if one.name.startswith("Annotations")), None)
    if within is not None and path.is_dir():
        beside = sorted(one for one in within.parent.iterdir() if one.is_dir() and one.name.startswith("JPEGImages"))
        places = [images] if images else [one / path.relative_to(within) for one in beside[:1]]
        yield from ((path, one) for one in places if one.is_dir())
        return
    for place in (path, *(sorted(one for one in path.iterdir() if one.is_dir()) if path.is_dir() else ())):
        below = {one.name: one for one in sorted(place.glob("*")) if one.is_dir()}
        masks = [one for name, one in below.items() if name.startswith("Annotations")]
        pictures = [one for name, one in below.items() if name.startswith(("JPEGImages", "images", "frames"))]
        pictures = [images] if images else pictures
        if len(masks) == 1 and len(pictures) == 1:
            yield masks[0], pictures[0]


def _video_folders(masks: Path, pictures: Path) -> Iterator[Path]:
    """Give the folders of masks of one video: they have PNG files, or a folder of them for each object.

    Folders between (DAVIS's `480p`) look like those of an object, but have no pictures in the folder of pictures.
    """
    for folder in sorted(one for one in masks.iterdir() if one.is_dir() and one.name[0] != "."):
        images = pictures / folder.name
        below = any(one.is_dir() for one in folder.iterdir())
        if any(folder.glob("*.png")) or not below or (images.is_dir() and any(map(Path.is_file, images.iterdir()))):
            yield folder
        else:
            yield from _video_folders(folder, images)


SOURCE = PngSource()
