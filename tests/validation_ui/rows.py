"""A small project in a database, by hand: people, videos, masklets, items and their first slots, no frames."""

import hashlib
import json
import zlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from pycocotools import mask as coco
from sqlalchemy import Connection, Table, insert

from validation_ui.judging.items import add_text
from validation_ui.judging.lengths import length_level
from validation_ui.schema import (
    Gold,
    ItemState,
    Role,
    SlotKind,
    SlotState,
    Source,
    Standing,
    item,
    masklet,
    person,
    slot,
    text_version,
    video,
)
from validation_ui.settings import Settings

HEIGHT_PX, WIDTH_PX, FRAMES, FPS = 90, 160, 48, 24.0
ANNOTATED = FRAMES // 4
SMALL = Settings(videos=100, long=1000, short=100, per_video=3, gold_frac=0.0, entry_items=0, overlap_frac=0.0)


def bar(n: int, *, visible: Sequence[int] = range(ANNOTATED)) -> list[str | None]:
    """RLE counts of object n: a bar 10 px wide and 60 high, a pixel further right each annotated frame."""
    counts = []
    for k in range(ANNOTATED):
        mask = np.zeros((HEIGHT_PX, WIDTH_PX), np.uint8, order="F")
        mask[15:75, 20 * n + 5 + k : 20 * n + 15 + k] = 1
        counts.append(coco.encode(mask)["counts"].decode() if k in visible else None)
    return counts


def new_id(connection: Connection, table: Table, **values: Any) -> int:
    """Insert a row; the id that the database gave it."""
    return int(connection.execute(insert(table).values(values).returning(table.c.id)).scalar_one())


def add_person(
    connection: Connection, name: str, role: Role = Role.REVIEWER, standing: Standing = Standing.ACTIVE
) -> int:
    """A person without a usable password."""
    return new_id(
        connection,
        person,
        name=name,
        name_key=name.casefold(),
        role=role,
        standing=standing,
        password_hash="!",
        created_at=0.0,
    )


def add_video(connection: Connection, video_id: str, *, split: str = "benchmark") -> None:
    """A video without pictures."""
    connection.execute(
        insert(video).values(
            id=video_id,
            media_id=f"m_{video_id}",
            split=split,
            path=f"sav_train/sav_000/{video_id}.mp4",
            sha256="",
            height_px=HEIGHT_PX,
            width_px=WIDTH_PX,
            shown_height_px=HEIGHT_PX,
            shown_width_px=WIDTH_PX,
            fps=FPS,
            frame_count=FRAMES,
            pts_s=[k / FPS for k in range(FRAMES)],
            chunks=[],
        )
    )


def add_masklet(connection: Connection, video_id: str, n: int, counts: Sequence[str | None] | None = None) -> int:
    """Object n of a video."""
    rles = bar(n) if counts is None else list(counts)
    areas = [0 if text is None else int(coco.area({"size": [HEIGHT_PX, WIDTH_PX], "counts": text})) for text in rles]
    return new_id(
        connection,
        masklet,
        object_id=f"{video_id}/manual/{n}",
        video_id=video_id,
        areas_px=areas,
        rles=zlib.compress(json.dumps(rles).encode()),
    )


def add_item(
    connection: Connection,
    masklet_id: int,
    video_id: str,
    name: str,
    *,
    priority: int = 0,
    gold: Gold = Gold.NONE,
    overlap: bool = False,
    wants_short: bool = False,
    source: Source = Source.KEPT,
) -> int:
    """A long item with its text and, if it is no gold item, its open sighted slots."""
    item_id = new_id(
        connection,
        item,
        public_id=f"p_{name}",
        masklet_id=masklet_id,
        video_id=video_id,
        kind="long",
        gold=gold,
        state=ItemState.GOLD if gold else ItemState.SIGHTED,
        priority=priority,
        overlap=overlap,
        wants_short=wants_short,
        source=source,
        strata={
            "size": "medium",
            "length": "medium",
            "motion": "moves",
            "camera": "static",
            "occlusion": "none",
            "look_alikes": "none",
        },
    )
    parts = {part: f"The {part} text of {name}." for part in ("object", "scene", "video")}
    text_id = new_id(
        connection,
        text_version,
        item_id=item_id,
        parts=parts,
        sha256=hashlib.sha256(json.dumps(parts, sort_keys=True, ensure_ascii=False).encode()).hexdigest(),
        created_at=0.0,
    )
    connection.execute(item.update().where(item.c.id == item_id).values(text_id=text_id))
    if not gold:
        for n in range(1, 3 if overlap else 2):
            connection.execute(
                insert(slot).values(
                    item_id=item_id, kind=SlotKind.SIGHTED, n=n, state=SlotState.OPEN, priority=priority
                )
            )
    return item_id


def add_waiting(connection: Connection, long_id: int, name: str, text: str, source: Source = Source.NO_TARGET) -> int:
    """A short item that the import mixed in, which waits for the long one of its object."""
    long = connection.execute(item.select().where(item.c.id == long_id)).one()
    item_id = new_id(
        connection,
        item,
        public_id=f"p_{name}",
        masklet_id=long.masklet_id,
        video_id=long.video_id,
        kind="short",
        source=source,
        state=ItemState.BLIND,
        priority=long.priority,
        strata=long.strata | {"length": length_level("short", {"short": text})},
    )
    text_id = add_text(connection, item_id, {"short": text}, author_id=None, parent_id=None, now=0.0)
    connection.execute(item.update().where(item.c.id == item_id).values(text_id=text_id))
    return item_id


def fill(
    connection: Connection,
    *,
    videos: int = 3,
    objects: int = 2,
    gold: int = 0,
    reviewers: Sequence[str] = ("ann", "ben", "cy", "dan"),
    adjudicators: Sequence[str] = ("eve",),
    overlap: bool = False,
    wants_short: bool = False,
    settings: Settings = SMALL,
) -> dict[str, int]:
    """A whole project; returns the ids of the people by name and of the items as `v0_o0`, `gold_0`.

    Gold items stand in train videos, good and swapped by turns.
    """
    replace(settings).save(connection)
    ids = {name: add_person(connection, name) for name in reviewers}
    ids |= {name: add_person(connection, name, Role.ADJUDICATOR) for name in adjudicators}
    for v in range(videos):
        add_video(connection, f"v{v}")
        for n in range(objects):
            name = f"v{v}_o{n}"
            at = add_masklet(connection, f"v{v}", n)
            ids[name] = add_item(
                connection, at, f"v{v}", name, priority=v * objects + n, overlap=overlap, wants_short=wants_short
            )
    for g in range(gold):
        add_video(connection, f"g{g}", split="train")
        at = add_masklet(connection, f"g{g}", 0)
        kind = (Gold.GOOD, Gold.SWAPPED)[g % 2]
        ids[f"gold_{g}"] = add_item(connection, at, f"g{g}", f"gold_{g}", priority=g, gold=kind)
    return ids
