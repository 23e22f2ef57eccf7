"""MeViS, Ref-YouTube-VOS, the Ref-SAV benchmark: `meta_expressions*.json`, masks, and folders of pictures.

Masks are in `mask_dict.json` (an RLE or null of every object at every frame), or PNG files in `Annotations/<video>/`.
The texts come along. One of several objects keeps all of them; one that means nothing (MeViS v2) is left out.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.importers.documents import brief_json, categories, read_json
from pipeline.importers.mask_lists import read_masks_T
from pipeline.importers.pictures import PICTURE_ENDS, PictureFiles, number_in, with_end
from pipeline.importers.png_masks import Masks, object_ids, read_masks
from pipeline.importers.source_protocol import (
    ImportFailedError,
    ImportOptions,
    ImportReason,
    ImportTask,
    LeftOut,
    SourceObject,
    SourceText,
    SourceVideo,
    required_fps,
)

_META, _MASKS, _PNG = "meta_expressions*.json", "mask_dict.json", "Annotations"
_PICTURES = ("JPEGImages", "videos", "frames")


class MevisSource:
    """Reads expressions with their objects."""

    reads = "expressions, masks and pictures of MeViS, Ref-YouTube-VOS, Ref-SAV's benchmark"
    needs = f"{_META}, {_MASKS} or {_PNG}/<video>/*.png, and JPEGImages/<video>/*.jpg or videos/<video>/*.jpg"

    def fits(self, path: Path) -> bool:
        """Tell whether it has expressions."""
        return bool(_meta_files(path))

    def find(self, path: Path, options: ImportOptions) -> Sequence[ImportTask]:
        """Return a task for every video with expressions; see `MaskletSource`."""
        tasks: dict[str, ImportTask] = {}
        for meta in _meta_files(path):
            required_fps(options, "a set of expressions")
            content = read_json(meta)
            videos = content.get("videos") if isinstance(content, dict) else None
            if not isinstance(videos, dict):
                raise ValueError(f'{meta} must be {{"videos": {{…}}}}, got {str(content)[:60]}')
            base = _base(meta)
            masks = _mask_dict(base / _MASKS)
            root = options.images or next((base / n for n in _PICTURES if (base / n).is_dir()), base / _PICTURES[0])
            labels = {} if masks is not None else categories(base)
            for video_id, video in videos.items():
                if video_id in tasks:
                    raise ValueError(f"{path} has video {video_id} in two files of expressions: name one of them")
                frames = video.get("frames") if isinstance(video, dict) else None
                files = [_picture(root / video_id, str(name)) for name in frames] if isinstance(frames, list) else []
                own = {one: masks.get(one) for one in _ids(video)} if masks is not None else None
                png = base / _PNG / video_id
                also = sorted(png.rglob("*.png")) if own is None and png.is_dir() else []
                entry = (video, own, png, labels.get(video_id, {}))
                tasks[video_id] = ImportTask(video_id, (*files, *also), entry)
        return list(tasks.values())

    def open(self, task: ImportTask, options: ImportOptions) -> SourceVideo:
        """Read the masks and texts of a video; see `MaskletSource`."""
        video, mask_dict, png, labels = task.entry
        frames = video.get("frames") if isinstance(video, dict) else None
        expressions = video.get("expressions") if isinstance(video, dict) else None
        if not isinstance(frames, list) or not frames or not isinstance(expressions, dict):
            raise ImportFailedError(ImportReason.ENTRY_MALFORMED, f"{task.source_id} must have frames and expressions")
        files = task.files[: len(frames)]
        pictures = PictureFiles(files, required_fps(options, "a set of expressions"))
        masks: Masks
        if mask_dict is not None:
            masks = {at: {} for at in range(len(files))}
            for object_id, entries in mask_dict.items():
                if entries is not None:
                    for at, rle in read_masks_T(entries, len(files), pictures.size, f"{_MASKS}: object {object_id}"):
                        masks[at][object_id] = rle
        elif png.is_dir():
            masks = read_masks(png, _numbers(files), pictures.size, every_shown=False)
        else:
            raise ImportFailedError(
                ImportReason.MASK_MISSING,
                f"there must be {_MASKS} or {png}, got neither: sets for tests keep them back",
            )
        there = set(object_ids(masks))
        if mask_dict is not None:
            there |= {one for one, entries in mask_dict.items() if entries is not None}
        found = [_text(text_id, one, there) for text_id, one in expressions.items()]
        texts = [one for one in found if isinstance(one, SourceText)]
        left_out = [one for one in found if isinstance(one, LeftOut)]
        order = sorted(there, key=lambda one: (len(one), one))
        return SourceVideo(pictures, [SourceObject(one, labels.get(one)) for one in order], masks, texts, left_out)


def _mask_dict(path: Path) -> dict[str, Any] | None:
    content = read_json(path) if path.is_file() else None
    if content is not None and not isinstance(content, dict):
        raise ValueError(f'{path} must be {{"<id of an object>": [RLE or null, …]}}, got {brief_json(content)}')
    return content


def _numbers(files: Sequence[Path]) -> dict[int, int]:
    return {number_in(path.stem): at for at, path in enumerate(files)}


def _text(text_id: str, one: Any, there: set[str]) -> SourceText | LeftOut:
    text = one.get("exp") if isinstance(one, dict) else None
    if not isinstance(text, str) or not text.strip():
        return LeftOut(ImportReason.EMPTY_TEXT, f"exp must be a text, got {text!r}", text_id=text_id)
    objects = tuple(dict.fromkeys(_objects(one)))
    if not objects:
        return LeftOut(ImportReason.NO_TARGET, f"means no object: {text!r}", text_id=text_id)
    if unknown := [name for name in objects if name not in there]:
        detail = f"means object {', '.join(unknown)}, which has no mask: {text!r}"
        return LeftOut(ImportReason.UNKNOWN_OBJECT, detail, text_id=text_id)
    return SourceText(text_id, " ".join(text.split()), objects)


def _objects(one: dict[str, Any]) -> list[str]:
    """Return the ids of the objects that an expression means: those of `mask_dict`, or those in PNG files."""
    ids = one["anno_id"] if one.get("anno_id") is not None else one.get("obj_id")
    return [str(name) for name in ids] if isinstance(ids, list) else [] if ids is None else [str(ids)]


def _ids(video: Any) -> list[str]:
    expressions = video.get("expressions") if isinstance(video, dict) else None
    some = expressions.values() if isinstance(expressions, dict) else ()
    return list(dict.fromkeys(name for one in some if isinstance(one, dict) for name in _objects(one)))


def _picture(folder: Path, name: str) -> Path:
    """Return the picture of a frame, which the file of expressions names with or without an ending."""
    if name.lower().endswith(PICTURE_ENDS):
        return folder / name
    return with_end(folder / name, PICTURE_ENDS) or folder / f"{name}{PICTURE_ENDS[0]}"


def _meta_files(path: Path) -> list[Path]:
    if path.is_file():
        return [path] if path.match(_META) else []
    return sorted(one for above in ("", "*/", "*/*/") for one in path.glob(f"{above}{_META}"))


def _base(meta: Path) -> Path:
    """Return the folder of masks and pictures: that of the file, or in Ref-YouTube-VOS the one of the same split."""
    beside = meta.parent.parent.parent / meta.parent.name
    return beside if meta.parent.parent.name == "meta_expressions" and beside.is_dir() else meta.parent


SOURCE = MevisSource()
