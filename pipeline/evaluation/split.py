"""A split to be scored on: ours (`python -m validation_ui export`) or the official one; their files are the same.

`meta_expressions_valid.json` has the videos, their frames and expressions, `mask_dict.json` a mask or null of each
object at each frame, `videos/<video>/<frame>.jpg` the frames, which only a model needs. Ours
has a `split.json` beside; its `strata_of`, if there, says of what kind each expression is.

The official loader sorts the names of frames and the official scorer does not, and masks go by position: names that
are not sorted as they stand would be scored against masks of other frames, so they are refused.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.evaluation.files import read_json
from pipeline.evaluation.masks import Rle
from pipeline.evaluation.problems import MismatchError, some

META, MASKS, OURS = "meta_expressions_valid.json", "mask_dict.json", "split.json"
GROUPS = ("long", "short")  # at the position of their type_id
_WAY_OUT = "Export the split again, or mend the files; nothing was scored."


@dataclass(frozen=True)
class SplitExpression:
    """A text and what it means."""

    exp_id: str  # of one video
    text: str
    anno_ids: tuple[str, ...]
    group: str
    strata: tuple[tuple[str, str], ...] = ()  # (facet, level) that split.json gives


@dataclass(frozen=True)
class SplitVideo:
    """A video and its expressions.

    Attributes:
        frames: names, sorted.
        masks: anno_id -> a mask or None at each frame; the strings are not checked yet.
    """

    video_id: str
    frames: tuple[str, ...]
    height_px: int
    width_px: int
    expressions: tuple[SplitExpression, ...]
    masks: dict[str, list[Rle | None]]


@dataclass(frozen=True)
class Split:
    """The videos in the order of the file."""

    folder: Path
    videos: tuple[SplitVideo, ...]

    def count(self, group: str) -> int:
        """Expressions of a group."""
        return sum(each.group == group for video in self.videos for each in video.expressions)


def read_split(folder: Path) -> Split:
    """Read and check a split.

    Raises:
        MismatchError: rules are broken; each place is named.
        ValueError: a file is not there or no JSON.
    """
    meta, masks = read_json(folder / META), read_json(folder / MASKS)
    entries = meta.get("videos") if isinstance(meta, dict) else None
    if not isinstance(entries, dict) or not entries or not isinstance(masks, dict):
        raise ValueError(
            f'{folder / META} is {{"videos": {{…}}}} with a video at least, {MASKS} an object; they are not'
        )
    strata = _strata(folder / OURS)
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
    """What is wrong with a video."""
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
    for exp_id, each in expressions.items():
        for fault in _expression_faults(each, masks, len(frames)):
            yield f"expression {exp_id}: {fault}"


def _expression_faults(each: Any, masks: dict[str, Any], frames: int) -> Iterator[str]:
    if not isinstance(each, dict) or not isinstance(each.get("exp"), str) or not each["exp"].strip():
        yield f"exp is a text, got {str(each)[:80]}"
        return
    if each.get("type_id") not in (0, 1):
        yield f"type_id is 0 (long) or 1 (short), got {each.get('type_id')!r}"
    ids = each.get("anno_id")
    if not isinstance(ids, list) or not ids:
        yield f"anno_id is a list with one object at least, got {ids!r}"
        return
    for anno_id in map(str, ids):
        if anno_id not in masks:
            yield f"object {anno_id} is not in {MASKS}"
        elif not isinstance(masks[anno_id], list) or len(masks[anno_id]) != frames:
            got = len(masks[anno_id]) if isinstance(masks[anno_id], list) else str(masks[anno_id])[:80]
            yield f"object {anno_id} has a mask or null for each of the {frames} frames, got {got}"


def _video(video_id: str, entry: Any, masks: dict[str, Any], strata: dict[str, dict[str, str]]) -> SplitVideo:
    expressions = tuple(
        SplitExpression(
            exp_id=exp_id,
            text=each["exp"],
            anno_ids=tuple(sorted(set(map(str, each["anno_id"])))),
            group=GROUPS[each["type_id"]],
            strata=tuple(sorted(strata.get(exp_id, {}).items())),
        )
        for exp_id, each in entry["expressions"].items()
    )
    ids = sorted({anno_id for each in expressions for anno_id in each.anno_ids})
    return SplitVideo(
        video_id=video_id,
        frames=tuple(entry["frames"]),
        height_px=entry["height"],
        width_px=entry["width"],
        expressions=expressions,
        masks={anno_id: masks[anno_id] for anno_id in ids},
    )


def _strata(path: Path) -> dict[str, dict[str, dict[str, str]]]:
    """Video -> expression -> facet -> level, of our exports; nothing for the official split."""
    if not path.exists():
        return {}
    found = read_json(path).get("strata_of", {})
    return {
        video_id: {exp_id: {facet: str(level) for facet, level in levels.items()} for exp_id, levels in each.items()}
        for video_id, each in found.items()
    }
