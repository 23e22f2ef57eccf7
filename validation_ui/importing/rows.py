"""The rows that an import writes: videos, masklets, items with their texts and first slots."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from sqlalchemy import Connection, func, insert, select, update

from validation_ui import texts
from validation_ui.importing.candidates import Candidate, Run
from validation_ui.importing.gold_items import GoldItem
from validation_ui.importing.sample import Drawn
from validation_ui.importing.source_video import Decoded
from validation_ui.schema import Gold, ItemState, SlotKind, SlotState, item, masklet, slot, video


@dataclass(frozen=True)
class ImportReport:
    """What an import brought in.

    Attributes:
        benchmark_videos: whose items are judged.
        train_videos: all others with an expression.
        gold_videos: those of train that gold items were taken from.
        items: expressions to be judged.
        overlap: of these, to be judged twice.
        wants_short: of these, whose reviewer is asked for a short expression.
        gold: gold items.
        swapped: of these, with another object's text.
        unusable: object_id, file or video id -> why it was left out.
    """

    benchmark_videos: int
    train_videos: int
    gold_videos: int
    items: int
    overlap: int
    wants_short: int
    gold: int
    swapped: int
    unusable: dict[str, str]

    def __str__(self) -> str:
        """For people, a line each."""
        return "\n".join(
            [
                f"{self.items} expressions of {self.benchmark_videos} videos to judge, {self.overlap} of them twice; "
                f"{self.wants_short} ask for a short one; {self.train_videos} videos stay in train",
                f"{self.gold} gold items, {self.swapped} of them with another object's text",
                *(f"left out: {name}: {reason.removeprefix(f'{name}: ')}" for name, reason in self.unusable.items()),
            ]
        )


@dataclass(frozen=True)
class Plan:
    """What is to be written, by video."""

    benchmark: frozenset[str]
    drawn: Sequence[Drawn]
    gold: Sequence[GoldItem]

    @cached_property
    def items(self) -> Mapping[str, list[tuple[Candidate, dict[str, Any]]]]:
        """Video id -> candidates and the columns of their items; `parts` is the text."""
        found: dict[str, list[tuple[Candidate, dict[str, Any]]]] = {}
        for drawn in self.drawn:
            columns = {
                "gold": Gold.NONE,
                "state": ItemState.SIGHTED,
                "priority": drawn.priority,
                "overlap": drawn.overlap,
                "wants_short": drawn.wants_short,
                "parts": drawn.candidate.parts,
            }
            found.setdefault(drawn.candidate.video_id, []).append((drawn.candidate, columns))
        for planted in self.gold:
            columns = {
                "gold": planted.gold,
                "state": ItemState.GOLD,
                "priority": planted.priority,
                "parts": planted.parts,
            }
            found.setdefault(planted.candidate.video_id, []).append((planted.candidate, columns))
        return found

    def needs_pictures(self, video_id: str) -> bool:
        """True if somebody will look at this video."""
        return video_id in self.items


def insert_videos(connection: Connection, plan: Plan, videos: Sequence[Decoded], now: float) -> None:
    """Videos with all that belongs to them, in one transaction: what is there of a video is all of it."""
    for decoded in videos:
        clip = decoded.clip
        connection.execute(
            insert(video).values(
                id=clip.id,
                media_id=secrets.token_hex(12),
                split="benchmark" if clip.id in plan.benchmark else "train",
                path=clip.path,
                sha256=decoded.sha256,
                height_px=clip.height_px,
                width_px=clip.width_px,
                shown_height_px=decoded.shown_px[0],
                shown_width_px=decoded.shown_px[1],
                fps=clip.fps,
                frame_count=clip.frame_count,
                pts_s=decoded.pts_s,
                chunks=decoded.chunks,
                fingerprints=decoded.fingerprints,
            )
        )
        if decoded.masklets:
            rows = [vars(data) | {"video_id": clip.id} for data in decoded.masklets]
            connection.execute(insert(masklet), rows)
        of_video = select(masklet.c.object_id, masklet.c.id).where(masklet.c.video_id == clip.id)
        ids = dict(connection.execute(of_video).all())
        for candidate, columns in plan.items.get(clip.id, []):
            if candidate.object_id in ids:
                _insert_item(connection, candidate, ids[candidate.object_id], columns, now)


def _insert_item(
    connection: Connection, candidate: Candidate, masklet_id: int, columns: Mapping[str, Any], now: float
) -> None:
    item_id = connection.execute(
        insert(item)
        .values(
            public_id=secrets.token_hex(12),
            masklet_id=masklet_id,
            video_id=candidate.video_id,
            kind="long",
            strata=candidate.strata,
            **{key: value for key, value in columns.items() if key != "parts"},
        )
        .returning(item.c.id)
    ).scalar_one()
    text_id = texts.add(connection, item_id, columns["parts"], author_id=None, parent_id=None, now=now)
    connection.execute(update(item).where(item.c.id == item_id).values(text_id=text_id))
    if columns["state"] == ItemState.SIGHTED:
        first = {"item_id": item_id, "kind": SlotKind.SIGHTED, "state": SlotState.OPEN, "priority": columns["priority"]}
        connection.execute(insert(slot), [first | {"n": n} for n in range(1, 3 if columns["overlap"] else 2)])


def report(connection: Connection, run: Run, plan: Plan, faults: Mapping[str, str]) -> ImportReport:
    """What is in the database now, and what of the run is not; drawn items that could not be made are named."""

    def count(table: Any, *where: Any) -> int:
        return connection.execute(select(func.count()).select_from(table).where(*where)).scalar_one()

    made = set(connection.execute(select(masklet.c.object_id).join_from(item, masklet)).scalars())
    unusable = run.unusable | dict(faults)
    for video_id, wanted in plan.items.items():
        for candidate, _ in wanted:
            if candidate.object_id not in made:
                reason = faults.get(
                    video_id, "the annotation file that it stands in cannot be read, or has it no longer"
                )
                unusable.setdefault(candidate.object_id, reason)
    real = item.c.gold == Gold.NONE
    return ImportReport(
        benchmark_videos=count(video, video.c.split == "benchmark"),
        train_videos=count(video, video.c.split == "train"),
        gold_videos=connection.execute(select(func.count(item.c.video_id.distinct())).where(~real)).scalar_one(),
        items=count(item, real, item.c.kind == "long"),
        overlap=count(item, real, item.c.overlap),
        wants_short=count(item, real, item.c.wants_short),
        gold=count(item, ~real),
        swapped=count(item, item.c.gold == Gold.SWAPPED),
        unusable=unusable,
    )
