"""Reads a split to be scored on: ours (`python -m validation_ui export`) or the official one; their files are the same.

`meta_expressions_valid.json` has the videos, their frames and expressions, `mask_dict.json` a mask or null of every
object at every frame, `videos/<video>/<frame>.jpg` the frames, which only a model needs. Ours has
a `split.json` beside; its `strata_of`, if there, says of what kind the expressions are. An expression that fits nothing
in its video has `"no_target": true` and an empty `anno_id`; the official split has none.

The official loader sorts the names of frames and the official scorer does not, and masks go by position: names that
are not sorted as they stand would be scored against masks of other frames, so they are refused.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

from manifests.outputs import SPLIT_EXPRESSIONS, SPLIT_INFO, SPLIT_MASKS
from pipeline.evaluation.json_files import MismatchError, read_json, some
from stages.video.images import Image, read_image
from stages.video.rle import Rle

GROUPS = ("long", "short")  # at the position of their type_id
NO_TARGET = "no target"  # the group of expressions that fit nothing in their video
FRAME_FOLDERS = ("videos", "JPEGImages")  # ours and the official one; that of the YouTube-VOS family
_WAY_OUT = "Export the split again, or correct the files; nothing was scored."


@dataclass(frozen=True)
class SplitExpression:
    """A referring expression and the objects that it means.

    Attributes:
        exp_id: number within the video.
        text: the expression.
        anno_ids: objects whose masks together are the truth; none if it fits nothing in the video.
        group: long, short or NO_TARGET.
        strata: (facet, level) that split.json gives.
    """

    exp_id: str
    text: str
    anno_ids: tuple[str, ...]
    group: str
    strata: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class SplitVideo:
    """A video and its expressions.

    Attributes:
        frames: names of its frames, sorted.
        masks: anno_id -> a mask or None at every frame, as the file has them; not checked yet.
    """

    video_id: str
    frames: tuple[str, ...]
    height_px: int
    width_px: int
    expressions: tuple[SplitExpression, ...]
    masks: dict[str, list[Rle | None]]


@dataclass(frozen=True)
class Split:
    """A split: its videos in the order of the file."""

    folder: Path
    videos: tuple[SplitVideo, ...]

    def count(self, group: str) -> int:
        """Count the expressions of a group."""
        return sum(one.group == group for video in self.videos for one in video.expressions)


def read_split(folder: Path) -> Split:
    """Read and check a split; its masks are for `score.check_masks`.

    Raises:
        MismatchError: rules are broken; every place is named.
        ValueError: a file is not there or no JSON.
    """
    meta, masks = read_json(folder / SPLIT_EXPRESSIONS), read_json(folder / SPLIT_MASKS)
    entries = meta.get("videos") if isinstance(meta, dict) else None
    if not isinstance(entries, dict) or not entries or not isinstance(masks, dict):
        raise ValueError(
            f'{folder / SPLIT_EXPRESSIONS} is {{"videos": {{…}}}} with a video at least, '
            f"{SPLIT_MASKS} an object; they are not"
        )
    strata = _strata(folder / SPLIT_INFO)
    problems: list[str] = []
    videos = []
    for video_id, entry in entries.items():
        faults = list(_faults(entry, masks))
        if video_id != Path(video_id).name or video_id in ("", "..", "."):
            faults.append("the id of a video is the name of a folder")
        problems += [f"{video_id}: {fault}" for fault in faults]
        if not faults:
            videos.append(_video(video_id, entry, masks, strata.get(video_id, {})))
    if problems:
        raise MismatchError(str(folder), problems, _WAY_OUT)
    return Split(folder, tuple(videos))


def _faults(entry: Any, masks: dict[str, Any]) -> Iterator[str]:
    """Say what is wrong with a video."""
    if not isinstance(entry, dict):
        yield f"its entry is an object, got {str(entry)[:80]}"
        return
    frames, expressions = entry.get("frames"), entry.get("expressions")
    if not isinstance(frames, list) or not frames or not all(isinstance(name, str) and name for name in frames):
        yield f"frames is a list of names, got {str(frames)[:80]}"
        return
    if len({len(name) for name in frames}) > 1 or any(a >= b for a, b in zip(frames, frames[1:], strict=False)):
        yield f"names of frames are different, of one width and sorted, got {some(frames)}"
    for key in ("height", "width"):
        if not isinstance(entry.get(key), int) or isinstance(entry[key], bool) or entry[key] < 1:
            yield f"{key} is a whole number of pixels, got {entry.get(key)!r}"
    if not isinstance(expressions, dict) or not expressions:
        yield f"expressions is an object with one at least, got {str(expressions)[:80]}"
        return
    for exp_id, one in expressions.items():
        for fault in _expression_faults(one, masks, len(frames)):
            yield f"expression {exp_id}: {fault}"


def _expression_faults(one: Any, masks: dict[str, Any], frames: int) -> Iterator[str]:
    if not isinstance(one, dict) or not isinstance(one.get("exp"), str) or not one["exp"].strip():
        yield f"exp is a text, got {str(one)[:80]}"
        return
    if one.get("type_id") not in range(len(GROUPS)) or not isinstance(one["type_id"], int):
        yield f"type_id is 0 (long) or 1 (short), got {one.get('type_id')!r}"
    ids, without = one.get("anno_id"), one.get("no_target", False)
    if not isinstance(without, bool):
        yield f"no_target is true or false, got {without!r}"
        return
    if without:
        if ids != []:
            yield f"anno_id is [] where no_target is true, got {ids!r}"
        return
    if not isinstance(ids, list) or not ids:
        rule = 'anno_id is a list with one object at least, or "no_target": true says that it fits nothing'
        yield f"{rule}, got {ids!r}"
        return
    for anno_id in map(str, ids):
        if anno_id not in masks:
            yield f"object {anno_id} is not in {SPLIT_MASKS}"
        elif not isinstance(masks[anno_id], list) or len(masks[anno_id]) != frames:
            got = len(masks[anno_id]) if isinstance(masks[anno_id], list) else str(masks[anno_id])[:80]
            yield f"object {anno_id} has a mask or null for each of the {frames} frames, got {got}"


def _video(video_id: str, entry: Any, masks: dict[str, Any], strata: dict[str, dict[str, str]]) -> SplitVideo:
    expressions = tuple(
        SplitExpression(
            exp_id=exp_id,
            text=one["exp"],
            anno_ids=tuple(sorted(set(map(str, one["anno_id"])))),
            group=NO_TARGET if one.get("no_target") else GROUPS[one["type_id"]],
            strata=tuple(sorted(strata.get(exp_id, {}).items())),
        )
        for exp_id, one in entry["expressions"].items()
    )
    ids = sorted({anno_id for one in expressions for anno_id in one.anno_ids})
    return SplitVideo(
        video_id=video_id,
        frames=tuple(entry["frames"]),
        height_px=entry["height"],
        width_px=entry["width"],
        expressions=expressions,
        masks={anno_id: masks[anno_id] for anno_id in ids},
    )


def _strata(path: Path) -> dict[str, dict[str, dict[str, str]]]:
    """Return video -> expression -> facet -> level of our exports; nothing for the official split."""
    if not path.exists():
        return {}
    content = read_json(path)
    try:
        return {
            video_id: {
                exp_id: {facet: str(level) for facet, level in levels.items()} for exp_id, levels in of_video.items()
            }
            for video_id, of_video in content.get("strata_of", {}).items()
        }
    except AttributeError:
        raise ValueError(
            f"{path} must be an object; its strata_of, if there, has objects: video -> expression -> facet -> level. "
            f"It has not: {_WAY_OUT}"
        ) from None


class Jpegs(Sequence[Image]):
    """All frames of a video, in order; read when they are asked for, and not kept."""

    def __init__(self, folder: Path, video: SplitVideo) -> None:
        self._folder, self._video = folder / video.video_id, video

    def __len__(self) -> int:
        return len(self._video.frames)

    @overload
    def __getitem__(self, index: int) -> Image: ...
    @overload
    def __getitem__(self, index: slice) -> list[Image]: ...
    def __getitem__(self, index: int | slice) -> Image | list[Image]:
        """Read a frame, or several.

        Raises:
            ValueError: it cannot be read or is not of the video's size.
        """
        if isinstance(index, slice):
            return [self[k] for k in range(*index.indices(len(self)))]
        path = self._folder / f"{self._video.frames[index]}.jpg"
        image_HW3 = read_image(path)
        if image_HW3 is None:
            raise ValueError(f"{path} is not a picture that OpenCV reads; export the split again")
        size = (self._video.height_px, self._video.width_px)
        if image_HW3.shape[:2] != size:
            raise ValueError(f"{path} is of the video's size {size} (height, width), got {image_HW3.shape[:2]}")
        return image_HW3


def find_frames(split: Split) -> Path:
    """Return the folder that has a folder of frames for every video.

    Raises:
        MismatchError: frames are missing; a line for every video that lacks some.
    """
    folder = next((split.folder / name for name in FRAME_FOLDERS if (split.folder / name).is_dir()), None)
    if folder is None:
        raise ValueError(
            f"{split.folder} has its frames in {' or '.join(FRAME_FOLDERS)}/<video>/<frame>.jpg, got neither"
        )
    problems = []
    for video in split.videos:
        there = {path.name for path in (folder / video.video_id).glob("*.jpg")}
        missing = [f"{name}.jpg" for name in video.frames if f"{name}.jpg" not in there]
        if missing:
            problems.append(f"{video.video_id}: {len(missing)} of {len(video.frames)} frames missing: {some(missing)}")
    if problems:
        raise MismatchError(str(folder), problems, "Export the split again, or fetch what is missing.")
    return folder
