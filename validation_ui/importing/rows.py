"""Writes the rows of an import: videos, masklets, and items with their texts and first slots."""

import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from sqlalchemy import Connection, func, insert, select, update

from validation_ui.importing.candidates import Candidate, Run
from validation_ui.importing.mixed_in import MixedIn, numbers_wanted
from validation_ui.importing.sample import Drawn, GoldItem
from validation_ui.importing.source_video import Decoded
from validation_ui.judging import items
from validation_ui.judging.team import advice, read_team
from validation_ui.schema import Gold, ItemState, SlotKind, SlotState, Source, item, masklet, slot, video
from validation_ui.settings import Settings, seeded_frac
from validation_ui.statistics.quota_notes import quota_notes


@dataclass(frozen=True)
class ImportReport:
    """The counts of an import.

    Attributes:
        benchmark_videos: videos whose items are judged.
        train_videos: all other videos with an expression.
        gold_videos: train videos that gold items were taken from.
        items: expressions to be judged.
        overlap: those of them that are judged twice in the sighted pass.
        wants_short: those of them whose reviewer is asked for a short expression.
        gold: gold items.
        swapped: gold items with the text of another object.
        unusable: object_id, file or video id -> why it was left out.
        notes: what the team should know before it begins.
        rejected: texts that a gate of the run rejected, mixed in.
        no_target: texts that fit nothing in their video, mixed in.
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
    notes: tuple[str, ...] = ()
    rejected: int = 0
    no_target: int = 0

    def __str__(self) -> str:
        """Format the report for people, as lines of text."""
        return "\n".join(
            [
                f"{self.items} expressions of {self.benchmark_videos} videos to judge, {self.overlap} of them twice; "
                f"{self.wants_short} ask for a short one; {self.train_videos} videos stay in train",
                f"{self.gold} gold items, {self.swapped} of them with another object's text",
                *(
                    [f"mixed in: {self.rejected} texts that a gate rejected, {self.no_target} that fit nothing"]
                    if self.rejected or self.no_target
                    else []
                ),
                *(f"note: {note}" for note in self.notes),
                *(f"left out: {name}: {reason.removeprefix(f'{name}: ')}" for name, reason in self.unusable.items()),
            ]
        )


@dataclass(frozen=True)
class Plan:
    """What is to be written: the benchmark videos, the drawn items, the gold items, and what is mixed in."""

    benchmark: frozenset[str]
    drawn: Sequence[Drawn]
    gold: Sequence[GoldItem]
    mixed_in: Sequence[MixedIn] = ()

    @cached_property
    def items(self) -> Mapping[str, list[tuple[Candidate, dict[str, Any]]]]:
        """Video id -> its candidates with the columns of their items, first in the queue first.

        The key `parts` has the text. Ids of slots follow this order, so it must not tell what is mixed in.
        """
        by_video: dict[str, list[tuple[Candidate, dict[str, Any]]]] = {}
        for drawn in self.drawn:
            columns = {
                "gold": Gold.NONE,
                "state": ItemState.SIGHTED,
                "priority": drawn.priority,
                "overlap": drawn.overlap,
                "blind_overlap": drawn.blind_overlap,
                "wants_short": drawn.wants_short,
                "suggested_short": drawn.candidate.short,
                "parts": drawn.candidate.parts,
            }
            by_video.setdefault(drawn.candidate.video_id, []).append((drawn.candidate, columns))
        for planted in self.gold:
            columns = {
                "gold": planted.gold,
                "state": ItemState.GOLD,
                "priority": planted.priority,
                "wants_short": planted.wants_short,
                "suggested_short": planted.suggested_short,
                "parts": planted.parts,
            }
            by_video.setdefault(planted.candidate.video_id, []).append((planted.candidate, columns))
        for mixed in self.mixed_in:
            by_video.setdefault(mixed.candidate.video_id, []).append((mixed.candidate, mixed.columns))
        for planned in by_video.values():
            planned.sort(key=lambda one: (one[1]["priority"], seeded_frac(0, "order", one[0].object_id)))
        return by_video

    def needs_images(self, video_id: str) -> bool:
        """Return True if an item of this video will be shown to people."""
        return video_id in self.items


def insert_videos(connection: Connection, plan: Plan, videos: Sequence[Decoded], now: float) -> int:
    """Insert videos with their masklets and items, in one transaction, so that no video is ever there in part.

    Returns how many items it inserted. A video that is there without images, as one of train, is replaced.
    """
    count = 0
    for decoded in videos:
        clip = decoded.clip
        values = {
            "split": "benchmark" if clip.id in plan.benchmark else "train",
            "path": clip.path,
            "sha256": decoded.sha256,
            "height_px": clip.height_px,
            "width_px": clip.width_px,
            "shown_height_px": decoded.shown_px[0],
            "shown_width_px": decoded.shown_px[1],
            "fps": clip.fps,
            "frame_count": clip.frame_count,
            "pts_s": decoded.pts_s,
            "chunks": decoded.chunks,
            "fingerprints": decoded.fingerprints,
        }
        if not connection.execute(update(video).where(video.c.id == clip.id).values(**values)).rowcount:
            connection.execute(insert(video).values(id=clip.id, media_id=secrets.token_hex(12), **values))
        if decoded.masklets:
            rows = [vars(data) | {"video_id": clip.id} for data in decoded.masklets]
            connection.execute(insert(masklet), rows)
        count += insert_items(connection, plan, clip.id, now)
    return count


def insert_items(connection: Connection, plan: Plan, video_id: str, now: float) -> int:
    """Insert the items that are planned for a video whose masklets are there; return how many."""
    of_video = select(masklet.c.object_id, masklet.c.id).where(masklet.c.video_id == video_id)
    ids = dict(connection.execute(of_video).all())
    there = [planned for planned in plan.items.get(video_id, []) if planned[0].object_id in ids]
    for candidate, columns in there:
        _insert_item(connection, candidate, ids[candidate.object_id], columns, now)
    return len(there)


def _insert_item(
    connection: Connection, candidate: Candidate, masklet_id: int, columns: Mapping[str, Any], now: float
) -> None:
    item_id = connection.execute(
        insert(item)
        .values(
            {
                "public_id": secrets.token_hex(12),
                "masklet_id": masklet_id,
                "video_id": candidate.video_id,
                "kind": "long",
                "strata": candidate.strata,
                **{key: value for key, value in columns.items() if key != "parts"},
            }
        )
        .returning(item.c.id)
    ).scalar_one()
    text_id = items.add_text(connection, item_id, columns["parts"], author_id=None, parent_id=None, now=now)
    connection.execute(update(item).where(item.c.id == item_id).values(text_id=text_id))
    if columns["state"] == ItemState.SIGHTED:
        first = {"item_id": item_id, "kind": SlotKind.SIGHTED, "state": SlotState.OPEN, "priority": columns["priority"]}
        connection.execute(insert(slot), [first | {"n": n} for n in range(1, 3 if columns["overlap"] else 2)])


def report(connection: Connection, run: Run, plan: Plan, faults: Mapping[str, str]) -> ImportReport:
    """Count what is in the database now, and collect why drawn items, files or videos are not there."""

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
    settings = Settings.load(connection)
    mixed = {source: count(item, item.c.source == source) for source in (Source.REJECTED, Source.NO_TARGET)}
    real, of_split = item.c.gold == Gold.NONE, items.IN_SPLIT
    return ImportReport(
        benchmark_videos=count(video, video.c.split == "benchmark"),
        train_videos=count(video, video.c.split == "train"),
        gold_videos=connection.execute(select(func.count(item.c.video_id.distinct())).where(~real)).scalar_one(),
        items=count(item, real, of_split, item.c.kind == "long"),
        overlap=count(item, real, of_split, item.c.overlap),
        wants_short=count(item, real, of_split, item.c.wants_short),
        gold=count(item, ~real),
        swapped=count(item, item.c.gold == Gold.SWAPPED),
        unusable=unusable,
        notes=(*_notes(connection), *_lacking(plan, settings, mixed)),
        rejected=mixed[Source.REJECTED],
        no_target=mixed[Source.NO_TARGET],
    )


def _notes(connection: Connection) -> Iterator[str]:
    """Yield what is lacking: people, and candidates for the quotas."""
    settings = Settings.load(connection)
    if lack := advice(read_team(connection), settings):
        yield lack
    yield from quota_notes(connection)


def _lacking(plan: Plan, settings: Settings, mixed: Mapping[Source, int]) -> Iterator[str]:
    """Yield of which texts fewer were mixed in than the settings ask for."""
    names = {Source.REJECTED: "texts that a gate rejected", Source.NO_TARGET: "texts that fit nothing"}
    for source, number in numbers_wanted(len(plan.drawn), settings).items():
        if mixed[source] < number:
            yield f"{number} {names[source]} should be mixed in, the run has {mixed[source]} in the videos to be judged"
