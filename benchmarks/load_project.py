"""A large validation project in a database, row by row, with people who are signed in: what the load is put on."""

import hashlib
import json
import secrets
import struct
import zlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as coco
from sqlalchemy import Connection, insert

from validation_ui.database import Database
from validation_ui.people.access import csrf_token, hash_token
from validation_ui.schema import (
    ItemState,
    Role,
    SlotKind,
    SlotState,
    Standing,
    item,
    masklet,
    person,
    session,
    slot,
    text_version,
    video,
)
from validation_ui.serving import Serving
from validation_ui.settings import Settings

HEIGHT_PX, WIDTH_PX, FRAMES, FPS = 480, 848, 336, 24.0  # 14 s
OBJECTS = 3  # a video
CHUNK = 24  # source frames
PICTURE_BYTES = 25_000
SETTINGS = Settings(videos=10**6, long=10**6, short=0, gold_frac=0.0, entry_items=0)


def people(store: Database, secret: bytes, count: int) -> list[dict[str, str]]:
    """Make reviewers; cookie and page token of each."""
    now = store.now()
    tokens = [secrets.token_urlsafe(32) for _ in range(count)]

    def work(connection: Connection) -> None:
        SETTINGS.save(connection)
        standing = {"role": Role.REVIEWER, "standing": Standing.ACTIVE, "password_hash": "!", "created_at": now}
        names = [f"reviewer {n}" for n in range(count)]
        connection.execute(
            insert(person), [standing | {"id": n + 1, "name": x, "name_key": x} for n, x in enumerate(names)]
        )
        rows = [{"token_hash": hash_token(token), "person_id": n + 1} for n, token in enumerate(tokens)]
        connection.execute(insert(session), [row | {"created_at": now, "expires_at": now + 86400} for row in rows])

    store.write(work)
    serving = Serving(secret)
    return [{"cookie": token, "csrf": csrf_token(serving, hash_token(token))} for token in tokens]


def pictures(data: Path) -> list[dict[str, Any]]:
    """Write one chunk of each sort, of a size that real ones have; the chunks of a video."""
    (data / "frames").mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    names = []
    for count in (CHUNK // 4, CHUNK - CHUNK // 4):
        heads = b"".join(struct.pack("<II", k, PICTURE_BYTES) for k in range(count))
        content = struct.pack("<I", count) + heads + rng.bytes(count * PICTURE_BYTES)
        name = hashlib.sha256(content).hexdigest() + ".bin"
        (data / "frames" / name).write_bytes(content)
        names.append(name)
    return [{"first": first, "key": names[0], "rest": names[1]} for first in range(0, FRAMES, CHUNK)]


def items(
    store: Database, chunks: list[dict[str, Any]], count: int, *, first: int, together: int, objects: int = OBJECTS
) -> Iterator[None]:
    """Add expressions `first` to `first + count`, `together` in a transaction; yields after each.

    `together` and `first` are multiples of `objects`, the number of objects of a video.
    """
    masks = [_masks(n) for n in range(objects)]
    for start in range(first, first + count, together):
        ids = range(start, min(start + together, first + count))
        store.write(partial(_insert, ids=ids, chunks=chunks, masks=masks))
        yield


def centre(n: int) -> tuple[float, float]:
    """Where object n of a video is, as shares of width and height; its text says so."""
    return 0.2 + 0.3 * (n % 3), 0.5


def _masks(n: int) -> dict[str, Any]:
    """A disk that stays where it is."""
    x, y = centre(n)
    rows, columns = np.ogrid[:HEIGHT_PX, :WIDTH_PX]
    disk_HW = np.hypot(rows - y * HEIGHT_PX, columns - x * WIDTH_PX) < HEIGHT_PX / 10
    counts = coco.encode(np.asfortranarray(disk_HW.astype(np.uint8)))["counts"].decode()
    annotated = FRAMES // 4
    return {
        "areas_px": [int(disk_HW.sum())] * annotated,
        "rles": zlib.compress(json.dumps([counts] * annotated).encode()),
    }


def _insert(connection: Connection, ids: range, chunks: list[dict[str, Any]], masks: list[dict[str, Any]]) -> None:
    """Items by number; a video's rows come with its first one."""
    now, objects_each = 0.0, len(masks)
    videos = [n // objects_each for n in ids if n % objects_each == 0]
    clip = {
        "split": "benchmark",
        "sha256": "",
        "height_px": HEIGHT_PX,
        "width_px": WIDTH_PX,
        "shown_height_px": HEIGHT_PX,
        "shown_width_px": WIDTH_PX,
        "fps": FPS,
        "frame_count": FRAMES,
        "pts_s": [round(k / FPS, 3) for k in range(FRAMES)],
        "chunks": chunks,
        "fingerprints": b"",
    }
    if videos:
        rows = [clip | {"id": f"v{v}", "media_id": f"m{v}", "path": f"sav_train/v{v}.mp4"} for v in videos]
        connection.execute(insert(video), rows)
        objects = [(v, n) for v in videos for n in range(objects_each)]
        rows = [
            masks[n] | {"id": objects_each * v + n + 1, "object_id": f"v{v}/manual/{n}", "video_id": f"v{v}"}
            for v, n in objects
        ]
        connection.execute(insert(masklet), rows)
    items, texts, slots = [], [], []
    for n in ids:
        x, y = centre(n % objects_each)
        parts = {"object": f"The disk at {x} {y}.", "scene": f"Scene {n}.", "video": "It stays where it is."}
        sha256 = hashlib.sha256(json.dumps(parts, sort_keys=True, ensure_ascii=False).encode()).hexdigest()
        items.append(
            {
                "id": n + 1,
                "public_id": f"p{n}",
                "masklet_id": n + 1,
                "video_id": f"v{n // objects_each}",
                "kind": "long",
                "state": ItemState.SIGHTED,
                "priority": n,
                "strata": {"size": "medium", "length": "medium", "look_alikes": "some"},
                "text_id": n + 1,
            }
        )
        texts.append({"id": n + 1, "item_id": n + 1, "parts": parts, "sha256": sha256, "created_at": now})
        slots.append(
            {
                "item_id": n + 1,
                "kind": SlotKind.SIGHTED,
                "n": 1,
                "state": SlotState.OPEN,
                "priority": n,
                "text_id": n + 1,
            }
        )
    connection.execute(insert(item), items)
    connection.execute(insert(text_version), texts)
    connection.execute(insert(slot), slots)
