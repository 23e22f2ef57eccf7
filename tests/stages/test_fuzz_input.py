"""Damaged annotation files, RLE strings and mp4s by the hundred: no crash, and every row says why or is sound.

pycocotools and FFmpeg are C: a crash would be one of the process. So the cases run in a child process, whose death
fails the test.
"""

import json
import multiprocessing
import os
import random
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from manifests.io import Folder
from manifests.schema import ManifestRow, Reason, Row, Status
from pipeline.run.run_stages import run_stages
from stages.render_views import RenderViews
from stages.select_objects import SelectConfig, select_objects
from stages.video.masklets import read_masklets
from stages.video.rle import decode
from stages.video.views import ViewConfig
from tests.stages.tiny_sav import FILES, annotation, box, opener, write_json, write_mp4

pytestmark = pytest.mark.long

CASES_EACH = 150
CODES = "".join(map(chr, range(48, 112)))


def flip(raw: bytes, rng: random.Random) -> bytes:
    """A few bits turned over."""
    damaged = bytearray(raw)
    for _ in range(rng.choice([1, 2, 8, 64])):
        damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
    return bytes(damaged)


def cut(raw: bytes, rng: random.Random) -> bytes:
    """The end, or a stretch of the middle, is gone."""
    start = rng.randrange(len(raw))
    return raw[:start] + raw[start + rng.randrange(len(raw)) :]


def spliced(raw: bytes, rng: random.Random) -> bytes:
    """Zeros, or another part of the file, where something else was."""
    start, size = rng.randrange(len(raw)), rng.randrange(1, 2000)
    other = rng.randrange(len(raw))
    filler = rng.choice([bytes(size), raw[other : other + size]])
    return raw[:start] + filler + raw[start + len(filler) :]


def damage_bytes(path: Path, rng: random.Random) -> None:
    path.write_bytes(rng.choice([flip, cut, spliced])(path.read_bytes(), rng))


def damage_json(root: Path, rng: random.Random) -> None:
    """As bytes, or a value somewhere in it replaced by one of another type or size."""
    path = root / FILES.anno_path(rng.choice(["manual", "auto"]))
    if rng.random() < 0.4:
        damage_bytes(path, rng)
        return
    content = json.loads(path.read_bytes())
    node: Any = content
    while True:
        key = rng.choice(list(node) if isinstance(node, dict) else range(len(node)))
        child = node[key]
        if not isinstance(child, list | dict) or not child or rng.random() < 0.2:
            break
        node = child
    strange: list[Any] = [
        None,
        True,
        -1,
        0,
        2.5,
        1e308,
        float("nan"),
        10**40,
        "",
        "é\ud800",
        "0",
        [],
        {},
        [[]],
        [None],
        [0, 1e9],
    ]
    node[key] = rng.choice([*strange, json.loads(json.dumps(content))["masklet"], [child] * 3])
    path.write_bytes(json.dumps(content).encode())


def damage_rle(root: Path, rng: random.Random) -> None:
    path = root / FILES.anno_path("manual")
    content = json.loads(path.read_bytes())
    if rng.random() < 0.2:
        sizes = [[160, 120], [160.0, 120.0], [0, 160], [2**16, 2**16], [1e18, 1], [-5, -3]]
        rng.choice(rng.choice(content["masklet"]))["size"] = rng.choice(sizes)
        path.write_bytes(json.dumps(content).encode())
        return
    for _ in range(rng.choice([1, 3, 18])):
        rle = rng.choice(rng.choice(content["masklet"]))
        text = rle["counts"]
        at = rng.randrange(len(text) + 1)
        noise = "".join(rng.choices(CODES, k=rng.choice([1, 2, 40, 3000])))
        rle["counts"] = rng.choice(
            [text[:at], text[at:], text[:at] + noise[:1] + text[at + 1 :], text[:at] + noise + text[at:], noise]
        )
    path.write_bytes(json.dumps(content).encode())


def damage_mp4(root: Path, rng: random.Random) -> None:
    path = root / FILES.video_path
    if rng.random() < 0.1:
        write_mp4(
            root, width_px=rng.choice([64, 120, 160]), height_px=rng.choice([64, 160]), frames=rng.choice([1, 33])
        )
    else:
        damage_bytes(path, rng)


def check_rows(root: Path, rows: list[ManifestRow]) -> None:
    """Each row has a reason or is sound, and a file has a row for each masklet or one for itself."""
    positions: dict[str, list[int | None]] = {}
    for row in rows:
        positions.setdefault(row.masklet_type, []).append(row.masklet_position)
        if row.status is Status.REJECTED:
            assert row.reason is not None
            assert row.detail
        else:
            assert row.status is Status.PENDING
            assert row.masklet_position is not None
            masklets = read_masklets((root / row.anno_path).read_bytes(), row.anno_path)
            areas_px = [int(decode(frame[row.masklet_position]).sum()) for frame in masklets.rles]
            assert areas_px == row.areas_px
            assert len(areas_px) == -(-row.frame_count // 4)
    assert all(found in ([None], list(range(len(found)))) for found in positions.values())


def render(root: Path, chosen: list[ManifestRow]) -> list[Row]:
    """The chosen rows after render_views: each has its views and facts, or says in the stage's own words why not."""
    rows = [Row.model_validate(row.model_dump()) for row in chosen]
    run_stages([RenderViews(ViewConfig(), Folder(str(root)))], rows)
    for row in rows:
        if row.status is Status.PENDING:
            assert row.facts is not None
            assert len(row.video_jpegs) == min(8, len(row.areas_px))
            assert all((row.crop_jpeg, row.masked_jpeg, row.scene_jpeg, row.preview_jpeg))
        else:
            assert (row.stage, bool(row.detail)) == ("render_views", True)
            assert row.reason in (Reason.DECODE_ERROR, Reason.FRAME_COUNT_MISMATCH), row.detail
    return rows


def run_cases(root: Path, damage: Callable[[Path, random.Random], None]) -> dict[str, int]:
    """Runs in the child: each case from the same good video, seeded; how many cases ended with which reason."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # FFmpeg has much to say about each
    write_mp4(root)
    masklets = [box(10, 10, 40, 40), box(60, 60, 30, 30, speed=2)]
    write_json(root, "manual", annotation(masklets))
    write_json(root, "auto", annotation([box(110, 10, 25, 25)]))
    good = {path: path.read_bytes() for path in root.rglob("*.*") if path.is_file()}
    outcomes: dict[str, int] = {}
    for seed in range(CASES_EACH):
        for path, raw in good.items():
            path.write_bytes(raw)
        damage(root, random.Random(seed))
        rows = select_objects(FILES, opener(root), SelectConfig())
        try:
            check_rows(root, rows)
            rendered = render(root, [row for row in rows if row.status is Status.PENDING])
            touched = {path.stem.rpartition("_")[2] for path, raw in good.items() if path.read_bytes() != raw}
            for name, number in (("manual", 2), ("auto", 1)):
                assert sum(row.masklet_type == name for row in rows) == number or name in touched
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error
        for outcome in {str(row.reason or row.status) for row in [*rows, *rendered]}:
            outcomes[outcome] = outcomes.get(outcome, 0) + 1
    return outcomes


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (damage_json, {"json_malformed", "rle_malformed", "frame_count_mismatch", "annotation_count_mismatch"}),
        (damage_rle, {"rle_malformed", "rle_size_mismatch"}),
        (damage_mp4, {"video_undecodable", "rle_size_mismatch", "frame_count_mismatch", "decode_error", "pending"}),
    ],
    ids=["json", "rle", "mp4"],
)
def test_damaged_input_costs_rows_and_nothing_else(
    tmp_path: Path, damage: Callable[[Path, random.Random], None], expected: set[str]
) -> None:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        outcomes = pool.submit(run_cases, tmp_path, damage).result(timeout=500)
    assert expected <= outcomes.keys()
