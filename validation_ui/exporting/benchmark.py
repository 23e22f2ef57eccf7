"""The accepted expressions and their masks, in the files that the official Sa2VA evaluation reads.

`meta_expressions_valid.json` names the frames of every video and its expressions; `mask_dict.json` has for every object
a mask or null for every one of these frames. Masks are matched to frames by position, and the loader sorts the frames
by name but the scorer does not: so the names all have the same length and are in order. `type_id` is 0 for long and 1
for short expressions. A text without a target has `"no_target": true` and no object; the official scorer has none.
"""

import json
import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, and_, func, or_, select

from manifests.schema import MASK_STRIDE
from validation_ui.schema import Gold, ItemState, Source, item, judgement, masklet, pointing, text_version, video
from validation_ui.settings import PARTS

NAME = re.compile(r"[A-Za-z0-9_]+")  # what may become the name of a file or folder
_TYPE_IDS = {"long": 0, "short": 1}


@dataclass(frozen=True)
class BenchmarkExpression:
    """An accepted expression. Its id in the files is the item's id, so it stays when other expressions are added."""

    item_id: int
    text_id: int
    masklet_id: int
    video_id: str
    kind: str
    text: str
    strata: dict[str, Any]
    blind_hits: int  # answers of people who found the object by exactly this text, or said rightly that there is none
    blind_answers: int  # answers of people who were asked to
    no_target: bool = False  # it fits nothing in its video


@dataclass(frozen=True)
class BenchmarkClip:
    """A video with accepted expressions."""

    id: str
    path: str  # of the source file, relative to SAV_ROOT
    sha256: str
    height_px: int
    width_px: int
    frame_count: int
    fingerprints: bytes

    @property
    def annotated(self) -> range:
        """The indices of the source frames that have masks."""
        return range(0, self.frame_count, MASK_STRIDE)


def frame_name(frame: int) -> str:
    """Return the name of a source frame in the files, without a suffix."""
    return f"{frame:05d}"


def read_chosen(connection: Connection, *, no_target: bool = False) -> list[BenchmarkExpression]:
    """Read the accepted expressions in the order of the files: by video, then object, long before short.

    Args:
        connection: a connection to read from.
        no_target: also read the accepted texts without a target, of videos that have other expressions.
    """
    sources = (Source.KEPT, Source.NO_TARGET) if no_target else (Source.KEPT,)
    hits = _hits(connection)
    query = (
        select(
            *(item.c.id, item.c.text_id, item.c.masklet_id, item.c.video_id, item.c.kind, item.c.strata, item.c.source),
            *(text_version.c.parts, text_version.c.sha256, masklet.c.object_id),
        )
        .join(text_version, text_version.c.id == item.c.text_id)
        .join(masklet, masklet.c.id == item.c.masklet_id)
        .where(item.c.state == ItemState.ACCEPTED, item.c.gold == Gold.NONE, item.c.source.in_(sources))
    )
    rows = sorted(connection.execute(query), key=lambda row: (row.video_id, row.object_id, row.kind, row.id))
    videos = {row.video_id for row in rows if row.source == Source.KEPT}
    return [
        BenchmarkExpression(
            item_id=row.id,
            text_id=row.text_id,
            masklet_id=row.masklet_id,
            video_id=row.video_id,
            kind=row.kind,
            text=" ".join(row.parts[part] for part in PARTS[row.kind]),
            strata=row.strata,
            blind_hits=hits.get((row.id, row.sha256), (0, 0))[0],
            blind_answers=hits.get((row.id, row.sha256), (0, 0))[1],
            no_target=row.source == Source.NO_TARGET,
        )
        for row in rows
        if row.video_id in videos
    ]


def _hits(connection: Connection) -> dict[tuple[int, str], tuple[int, int]]:
    """Return (item id, hash of a text) -> number of live blind hits on exactly this text, and of blind answers."""
    right = or_(
        and_(pointing.c.hit.is_(True), item.c.source != Source.NO_TARGET),
        and_(pointing.c.answer == "absent", item.c.source == Source.NO_TARGET),
    )
    query = (
        select(judgement.c.item_id, text_version.c.sha256)
        .add_columns(func.count().filter(right), func.count())
        .join_from(judgement, text_version, text_version.c.id == judgement.c.text_id)
        .join(item, item.c.id == judgement.c.item_id)
        .join(pointing, pointing.c.id == judgement.c.pointing_id)
        .where(judgement.c.undone_at.is_(None))
        .group_by(judgement.c.item_id, text_version.c.sha256)
    )
    return {(item_id, sha256): (hits, answers) for item_id, sha256, hits, answers in connection.execute(query)}


def read_clips(connection: Connection, chosen: Sequence[BenchmarkExpression]) -> list[BenchmarkClip]:
    """Read the videos of the accepted expressions, sorted by id.

    Raises:
        ExportError: a video id cannot be the name of a folder.
    """
    ids = {expression.video_id for expression in chosen}
    columns = (video.c.id, video.c.path, video.c.sha256, video.c.height_px, video.c.width_px, video.c.frame_count)
    rows = connection.execute(select(*columns, video.c.fingerprints)).all()
    clips = sorted((BenchmarkClip(*row) for row in rows if row.id in ids), key=lambda clip: clip.id)
    for clip in clips:
        if not NAME.fullmatch(clip.id):
            raise ExportError(f"a video id becomes a folder and so has letters, digits and _ only, got {clip.id!r}")
    return clips


def meta_expressions(clips: Sequence[BenchmarkClip], chosen: Sequence[BenchmarkExpression]) -> dict[str, Any]:
    """Return the content of `meta_expressions_valid.json`."""
    by_video = {video_id: list(group) for video_id, group in groupby(chosen, key=lambda one: one.video_id)}
    return {
        "videos": {
            clip.id: {
                "expressions": {
                    str(expression.item_id): {
                        "exp": expression.text,
                        "obj_id": [] if expression.no_target else [expression.masklet_id],
                        "anno_id": [] if expression.no_target else [expression.masklet_id],
                        "type_id": _TYPE_IDS[expression.kind],
                        **({"no_target": True} if expression.no_target else {}),
                    }
                    for expression in by_video[clip.id]
                },
                "frames": [frame_name(frame) for frame in clip.annotated],
                "height": clip.height_px,
                "width": clip.width_px,
            }
            for clip in clips
        }
    }


def write_masks(
    connection: Connection, clips: Sequence[BenchmarkClip], chosen: Sequence[BenchmarkExpression], path: Path
) -> None:
    """Write `mask_dict.json`, one object after the other, as all masks may be hundreds of MB.

    Raises:
        ExportError: the number of an object's masks and nulls is not the number of annotated frames.
    """
    with path.open("w", encoding="utf-8", newline="\n") as file:
        before = "{\n"
        for masklet_id, masks in _masks(connection, {clip.id: clip for clip in clips}, chosen):
            file.write(f"{before}{json.dumps(str(masklet_id))}: {json.dumps(masks)}")
            before = ",\n"
        file.write("\n}\n")


def _masks(
    connection: Connection, clips: dict[str, BenchmarkClip], chosen: Sequence[BenchmarkExpression]
) -> Iterator[tuple[int, list[dict[str, Any] | None]]]:
    real = [one for one in chosen if not one.no_target]
    for masklet_id, video_id in dict.fromkeys((one.masklet_id, one.video_id) for one in real):
        clip = clips[video_id]
        packed = connection.execute(select(masklet.c.rles).where(masklet.c.id == masklet_id)).scalar_one()
        counts = json.loads(zlib.decompress(packed))
        if len(counts) != len(clip.annotated):
            raise ExportError(
                f"an object has a mask or null for each annotated frame, got {len(counts)} for {len(clip.annotated)} "
                f"of object {masklet_id} in {video_id}; import the run again"
            )
        size = [clip.height_px, clip.width_px]
        yield masklet_id, [None if text is None else {"size": size, "counts": text} for text in counts]


_NAMED = 10  # ids in a message


class ExportError(ValueError):
    """An export was refused and nothing was written; the message has the rule, the value that broke it, what to do."""


def named(ids: Sequence[str]) -> str:
    """Return the first ids for a message, and how many more there are."""
    more = f" and {len(ids) - _NAMED} more" if len(ids) > _NAMED else ""
    return ", ".join(ids[:_NAMED]) + more
