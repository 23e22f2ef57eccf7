import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from manifests.schema import GivenText, ManifestRow, Reason, Status
from stages.select_objects import SelectConfig, select_objects
from stages.video_files import VideoFiles
from tests.stages.tiny_sav import (
    ENTRIES,
    FILES,
    HEIGHT_PX,
    WIDTH_PX,
    Masklet,
    annotation,
    box,
    opener,
    write_json,
    write_mp4,
)

A, B, C = box(10, 10, 40, 40), box(60, 60, 30, 30, speed=2), box(110, 10, 25, 25)
OBJECT_A = f"{FILES.video_id}/manual/0"
OBJECT_B = f"{FILES.video_id}/auto/0"


def select(root: Path, files: VideoFiles = FILES, **config: Any) -> dict[str, ManifestRow]:
    rows = select_objects(files, opener(root), SelectConfig(**config))
    by_id = {row.object_id.removeprefix(f"{files.video_id}/"): row for row in rows}
    assert len(by_id) == len(rows)
    for row in rows:
        rejected = row.status is Status.REJECTED
        assert rejected or row.status is Status.PENDING
        assert (row.stage == "select_objects") == (row.reason is not None) == (row.detail is not None) == rejected
    return by_id


def reasons(rows: dict[str, ManifestRow]) -> dict[str, Reason | None]:
    return {name: row.reason for name, row in rows.items()}


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """One good manual masklet, one good automatic one."""
    write_mp4(tmp_path)
    write_json(tmp_path, "manual", annotation([A]))
    write_json(tmp_path, "auto", annotation([B]))
    return tmp_path


def test_good_masklets_of_both_files_are_chosen(video: Path) -> None:
    rows = select(video)
    assert reasons(rows) == {"manual/0": None, "auto/0": None}
    row = rows["auto/0"]
    assert row.siblings == rows["manual/0"].siblings == [OBJECT_B, OBJECT_A]
    assert (row.video_id, row.shard) == ("sav_000007", "sav_000")
    assert (row.masklet_type, row.masklet_position, row.masklet_id) == ("auto", 0, 0)
    assert row.video_path == "sav_train/sav_000/sav_000007.mp4"
    assert row.anno_path == "sav_train/sav_000/sav_000007_auto.json"
    assert (row.height_px, row.width_px, row.frame_count, row.video_fps) == (HEIGHT_PX, WIDTH_PX, 33, 24.0)
    assert row.areas_px == [900] * ENTRIES
    assert row.boxes_px == [[60 + 2 * t, 60, 30, 30] for t in range(ENTRIES)]
    assert row.best_index == 0


def test_no_automatic_file_is_normal(video: Path) -> None:
    rows = select(video, VideoFiles(FILES.video_id, FILES.shard))
    assert reasons(rows) == {"manual/0": None}


def test_rotation_metadata_is_applied(video: Path) -> None:
    """The mp4 stores the frames lying down; the masks are those of the upright picture."""
    write_mp4(video, width_px=HEIGHT_PX, height_px=WIDTH_PX, turn={"degrees": 90})
    rows = select(video)
    assert reasons(rows) == {"manual/0": None, "auto/0": None}
    assert (rows["manual/0"].height_px, rows["manual/0"].width_px) == (HEIGHT_PX, WIDTH_PX)


def manual(*masklets: Masklet) -> Callable[[Path], None]:
    return lambda root: write_json(root, "manual", annotation(masklets))


def auto(*masklets: Masklet) -> Callable[[Path], None]:
    return lambda root: write_json(root, "auto", annotation(masklets))


def edited(edit: Callable[[dict[str, Any]], None], *masklets: Masklet) -> Callable[[Path], None]:
    def damage(root: Path) -> None:
        content = annotation(masklets)
        edit(content)
        write_json(root, "manual", content)

    return damage


@dataclass(frozen=True, kw_only=True)
class Case:
    """Damage to the good video, and the rows that it must cost: name -> what the detail says; others stay chosen."""

    reason: Reason
    damage: Callable[[Path], object]
    costs: dict[str, str]
    spares: tuple[str, ...] = ()


CASES = [
    Case(
        reason=Reason.SEVERAL_OBJECTS,
        damage=edited(
            lambda content: content.update(
                source="mevis",
                source_video_id="v",
                masklet_members=[None, None, [0, 1]],
                masklet_source_id=["1", "2", "1 + 2"],
            ),
            A,
            C,
            B,
        ),
        costs={"manual/2": "joins the masklets 0, 1"},
        spares=("manual/0", "manual/1", "auto/0"),
    ),
    Case(
        reason=Reason.VIDEO_MISSING,
        damage=lambda root: (root / FILES.video_path).unlink(),
        costs=dict.fromkeys(("manual/0", "auto/0"), r"sav_000007\.mp4 cannot be opened"),
    ),
    Case(
        reason=Reason.VIDEO_UNDECODABLE,
        damage=lambda root: (root / FILES.video_path).write_bytes(b"not a video" * 99),
        costs=dict.fromkeys(("manual/0", "auto/0"), r"sav_000007\.mp4: must be a video, got text that begins 'not a "),
    ),
    Case(
        reason=Reason.JSON_MISSING,
        damage=lambda root: (root / FILES.anno_path("manual")).unlink(),
        costs={"manual/file": "_manual.json cannot be opened"},
        spares=("auto/0",),
    ),
    Case(
        reason=Reason.JSON_MALFORMED,
        damage=lambda root: write_json(root, "auto", (root / FILES.anno_path("auto")).read_bytes()[:500]),
        costs={"auto/file": "_auto.json: EOF .* column 500"},
        spares=("manual/0",),
    ),
    Case(
        reason=Reason.FRAME_COUNT_MISMATCH,
        damage=edited(lambda content: content.update(video_frame_count=34.0), A, C),
        costs=dict.fromkeys(("manual/0", "manual/1"), "_manual.json: video_frame_count is 34, the mp4 has 33 frames"),
        spares=("auto/0",),
    ),
    Case(
        reason=Reason.DURATION_MISMATCH,
        damage=edited(lambda content: content.update(video_duration=2.75), A, C),
        costs=dict.fromkeys(("manual/0", "manual/1"), r"video_duration is 2.75 s, the mp4 lasts 1.38 s"),
        spares=("auto/0",),
    ),
    Case(
        reason=Reason.ANNOTATION_COUNT_MISMATCH,
        damage=edited(lambda content: content["masklet"].pop(), A, C),
        costs=dict.fromkeys(("manual/0", "manual/1"), r"8 entries, must be ceil\(33 frames / 4\) = 9"),
        spares=("auto/0",),
    ),
    Case(
        reason=Reason.RLE_SIZE_MISMATCH,
        damage=edited(lambda content: content["masklet"][3][1].update(size=[WIDTH_PX, HEIGHT_PX]), A, C),
        costs={"manual/1": r"masklet\[3\]\[1\] has size \[160, 120\], the upright video \[120, 160\]"},
        spares=("manual/0", "auto/0"),
    ),
    Case(
        reason=Reason.RLE_MALFORMED,
        damage=edited(lambda content: content["masklet"][3][1].update(counts="oooo"), A, C),
        costs={"manual/1": r"_manual.json: masklet\[3\]\[1\]: counts breaks off"},
        spares=("manual/0", "auto/0"),
    ),
    Case(
        reason=Reason.NEVER_VISIBLE,
        damage=manual(A, box(0, 0, 0, 0)),
        costs={"manual/1": "all 9 masks are empty"},
        spares=("manual/0", "auto/0"),
    ),
    Case(
        reason=Reason.TOO_FEW_VISIBLE_FRAMES,
        damage=manual(A, box(110, 10, 25, 25, during=[0, 2, 3, 4, 8])),
        costs={"manual/1": "visible in 5 annotated frames < min_visible_frames 6"},
        spares=("manual/0", "auto/0"),
    ),
    Case(
        reason=Reason.TOO_SMALL,
        damage=manual(A, box(110, 10, 21, 19)),
        costs={"manual/1": "largest mask 399 px < min_best_area_px 400"},
        spares=("manual/0", "auto/0"),
    ),
    Case(
        reason=Reason.AT_BORDER,
        damage=manual(A, box(60, HEIGHT_PX - 6, 90, 6)),
        costs={"manual/1": "0.67 of its largest mask is within 4 px of the border > max_in_border_frac 0.5"},
        spares=("manual/0", "auto/0"),
    ),
    Case(
        reason=Reason.DUPLICATE,
        damage=auto(box(8, 8, 42, 42)),  # larger, but drawn by a machine
        costs={"auto/0": f"mean IoU 0.91 >= max_iou 0.7 with {OBJECT_A}"},
        spares=("manual/0",),
    ),
    Case(
        reason=Reason.PART,
        damage=manual(box(65, 65, 20, 20, speed=2)),
        costs={"manual/0": f"1.00 of it >= max_contained_frac 0.8 lies in {OBJECT_B}"},
        spares=("auto/0",),
    ),
    Case(
        reason=Reason.OVER_VIDEO_LIMIT,
        damage=manual(A, *(box(20 * n, 95, 20, 20) for n in range(7))),
        costs=dict.fromkeys(("auto/0", "manual/7", "manual/1"), "number .* > max_objects 6"),
        spares=("manual/0", *(f"manual/{n}" for n in range(2, 7))),  # 1 is cut by the border
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.reason)
def test_each_reason_costs_its_own_rows(video: Path, case: Case) -> None:
    case.damage(video)
    rows = select(video)
    assert reasons(rows) == dict.fromkeys(case.costs, case.reason) | dict.fromkeys(case.spares)
    for name, detail in case.costs.items():
        assert re.search(detail, rows[name].detail or ""), rows[name].detail


def test_there_is_a_case_for_every_reason_of_this_stage() -> None:
    everything = list(Reason)
    ours = everything[: everything.index(Reason.OVER_VIDEO_LIMIT) + 1]
    assert {case.reason for case in CASES} == set(ours)


def test_overlap_counts_the_frames_in_which_either_is_visible(video: Path) -> None:
    """Same outline in 6 of 9 frames is IoU 0.67; all of it is inside while it is visible."""
    auto(box(10, 10, 40, 40, during=range(6)))(video)
    row = select(video)["auto/0"]
    assert (row.reason, row.part_of) == (Reason.PART, OBJECT_A)
    assert select(video, max_iou=0.66)["auto/0"].reason is Reason.DUPLICATE


def test_parts_can_be_kept_and_name_their_whole(video: Path) -> None:
    manual(A, box(15, 15, 20, 20))(video)
    rows = select(video, keep_parts=True)
    assert reasons(rows) == {"manual/0": None, "manual/1": None, "auto/0": None}
    assert rows["manual/1"].part_of == OBJECT_A
    assert rows["manual/0"].part_of is None
    assert len(rows["manual/0"].siblings) == 3


def test_the_limit_takes_manual_before_automatic_and_keeps_the_rest_as_siblings(video: Path) -> None:
    manual(box(10, 10, 40, 40, during=range(6)), C)(video)
    rows = select(video, max_objects=2)
    assert {name for name, row in rows.items() if row.reason is None} == {"manual/0", "manual/1"}
    assert rows["auto/0"].reason is Reason.OVER_VIDEO_LIMIT
    assert re.match(r"number 3, auto, interest [\d.]+: moves [\d.]+, in sight 1.00, size ", rows["auto/0"].detail or "")
    everyone = sorted(row.object_id for row in rows.values())
    assert [row.siblings for row in rows.values()] == [everyone] * 3


def test_the_limit_takes_what_moves_and_is_long_in_sight(video: Path) -> None:
    wall, mover, late, still = (
        box(0, 0, 150, 40),
        box(20, 50, 25, 25, speed=10),
        box(125, 90, 20, 20, during=range(6)),
        box(40, 85, 20, 20),
    )
    manual(wall, mover, late, still)(video)
    rows = select(video, max_objects=1)
    assert [name for name, row in rows.items() if row.reason is None] == ["manual/1"]
    rows = select(video, max_objects=2)
    assert [name for name, row in rows.items() if row.reason is None] == ["manual/1", "manual/3"]


def test_rejected_objects_are_no_siblings(video: Path) -> None:
    manual(A, box(11, 11, 39, 39), box(20, 20, 20, 20), box(150, 100, 5, 5))(video)
    assert select(video)["manual/0"].siblings == [OBJECT_B, OBJECT_A]


def test_objects_with_a_given_text_are_taken_and_the_others_stand_beside_them(video: Path) -> None:
    """A part, a tiny one, the machine's outline of a hand-drawn one, more than the limit; without a text: none."""
    tiny, part, gone = box(150, 60, 5, 5), box(20, 20, 20, 20), box(0, 0, 0, 0)
    write_json(video, "manual", annotation([A, C, tiny, part, gone]))
    write_json(video, "auto", annotation([A, B]))
    named = ["manual/2", "manual/3", "manual/4", "auto/0"]
    texts = {f"{FILES.video_id}/{name}": [GivenText(text=name, where="line 2")] for name in named}
    found = select_objects(FILES, opener(video), SelectConfig(max_objects=1), texts)
    rows = {row.object_id.removeprefix(f"{FILES.video_id}/"): row for row in found}
    assert reasons(rows) == {
        "manual/0": Reason.DUPLICATE,
        "manual/1": Reason.NO_TEXT,
        "manual/2": None,
        "manual/3": None,
        "manual/4": Reason.NEVER_VISIBLE,
        "auto/0": None,
        "auto/1": Reason.NO_TEXT,
    }
    assert [[text.text for text in rows[name].given_texts] for name in ("manual/2", "manual/1")] == [["manual/2"], []]
    beside = ["auto/0", "auto/1", "manual/1", "manual/2", "manual/3"]
    assert rows["manual/2"].siblings == [f"{FILES.video_id}/{name}" for name in beside]
    without = select_objects(FILES, opener(video), SelectConfig(), {})
    assert {row.reason for row in without if row.status is Status.REJECTED} >= {Reason.NO_TEXT, Reason.TOO_SMALL}
    assert not [row for row in without if row.status is Status.PENDING]


def test_the_best_frame_is_that_of_the_largest_area(video: Path) -> None:
    def grows(t: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
        return box(30, 30, 20 + t % 7, 30)(t)

    manual(grows)(video)
    assert select(video)["manual/0"].best_index == 6


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("min_visible_frames", 0),
        ("min_best_area_px", 0),
        ("max_objects", -1),
        ("border_frac", 0),
        ("max_iou", 1.1),
        ("max_contained_frac", -0.5),
    ],
)
def test_config_says_which_value_is_out_of_range(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"{name} must be .*, got {value}"):
        SelectConfig(**{name: value})
