"""Counts of a run, Ref-SAV.json as the official loader reads it, and the dataset card."""

import json
import re
import shutil
import warnings
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from datasets import load_dataset
from numpy.typing import NDArray
from pycocotools import mask as rle

from manifests.arrow import to_table
from manifests.schema import AnnotationRow, Facts, Reason, Span, Status
from pipeline.data.videos import read_videos
from pipeline.demo.scene import DrawnScene, Sprite
from pipeline.demo.write_clip import write_clip
from pipeline.export import outcomes, properties
from pipeline.export.card import card
from pipeline.export.refsav_json import entries
from tests.pipeline import rows


def table(*annotations: AnnotationRow) -> pa.Table:
    return to_table(annotations, AnnotationRow)


# ---- outcomes ----


def test_count_is_by_stage_reason_and_state() -> None:
    found = outcomes.count(table(rows.row(0, 0), rows.row(0, 1), rows.stopped(0, 2, 0), rows.stopped(0, 3, 4)))
    assert found[0] == (None, None, "kept", 2)
    assert set(found[1:]) == {
        ("select_objects", "part", "rejected", 1),
        ("render_views", "decode_error", "failed", 1),
    }


def test_flow_hands_on_from_stage_to_stage() -> None:
    flow = outcomes.flow(rows.thousand(), rows.STAGES)
    assert [step.stage for step in flow] == list(rows.STAGES)
    assert flow[0].rows_in == 1000
    assert all(before.rows_out == after.rows_in for before, after in zip(flow, flow[1:], strict=False))
    assert flow[-1].rows_out == 600
    assert flow[1].stopped(Status.FAILED) == 67
    assert flow[1].stopped(Status.REJECTED) == 0


def test_flow_refuses_a_row_that_ended_nowhere_in_this_run() -> None:
    foreign = rows.stopped(0, 0, 0, stage="verify_lineup")
    with pytest.raises(ValueError, match="verify_lineup"):
        outcomes.flow(table(rows.row(0, 1), foreign), rows.STAGES)
    with pytest.raises(ValueError, match="pending"):
        outcomes.flow(table(rows.row(0, 1, status=Status.PENDING)), rows.STAGES)


def test_text_has_a_line_per_stage_and_reason() -> None:
    text = outcomes.as_text(table(rows.row(0, 0), rows.stopped(0, 1, 1), rows.stopped(0, 2, 5)), rows.STAGES)
    lines = [re.split(r"\s{2,}", line.strip()) for line in text.splitlines()]
    assert lines[0] == ["stage", "in", "rejected", "failed", "poisoned", "out"]
    assert ["select_objects", "3", "1", "0", "0", "2"] in lines
    assert ["too_small", "1"] in lines
    assert ["caption_object", "2", "0", "0", "1", "1"] in lines
    assert text.endswith("3 masklets: 1 kept, 1 rejected, 0 failed, 1 poisoned")
    assert len({len(line) for line in text.splitlines() if line.startswith("-")}) == 1


@pytest.mark.parametrize(
    ("annotated", "complaint"),
    [
        ([0, 1], r"1 lost \(sav_000000/manual/2\)"),
        ([0, 1, 2, 2], r"1 there more than once \(sav_000000/manual/2\)"),
        ([0, 1, 2, 3], r"1 not in the manifest \(sav_000000/manual/3\)"),
    ],
)
def test_sums_are_asserted(annotated: list[int], complaint: str) -> None:
    manifest = table(*(rows.row(0, position) for position in range(3)))
    with pytest.raises(AssertionError, match=complaint):
        outcomes.assert_sums(manifest, table(*(rows.row(0, position) for position in annotated)))


def test_sums_need_final_states() -> None:
    manifest = table(rows.row(0, 0), rows.row(0, 1))
    outcomes.assert_sums(manifest, table(rows.stopped(0, 1, 4), rows.row(0, 0)))
    with pytest.raises(AssertionError, match=r"1 in no final state \(sav_000000/manual/1\)"):
        outcomes.assert_sums(manifest, table(rows.row(0, 0), rows.row(0, 1, status=Status.PENDING)))


# ---- Ref-SAV.json ----


def sam2_path_patch(video_path: str, anno_path: str) -> tuple[str, str]:
    """The official repair of paths: drop `sav_000` of `sav_000/sav_train/sav_000` (Sa2VA 9832e1a)."""
    if "sav_train" not in video_path:
        return video_path, anno_path
    parts, anno_parts = video_path.split("/"), anno_path.split("/")
    places = [index for index, part in enumerate(parts) if part == "sav_train"]
    assert len(places) == 1
    (place,) = places
    if parts[place - 1] == parts[place + 1]:
        warnings.warn(f"path repaired: {video_path}", stacklevel=2)
        del parts[place - 1], anno_parts[place - 1]
    return "/".join(parts), "/".join(anno_parts)


def read_like_sa2va(sam_v_full: Path, refsav: Path) -> dict[str, dict[str, tuple[str, NDArray[np.uint8]]]]:
    """What the official loader takes from an export: per entry and object its text and its masks, T x H x W.

    Our own restatement of its steps (Sa2VA 9832e1a, sa2va_data_03_refvos.py): every frame is read, every mask decoded.
    """
    samples: dict[str, dict[str, tuple[str, NDArray[np.uint8]]]] = {}
    for key, entry in json.loads(refsav.read_text(encoding="utf-8")).items():
        paths = [f"{sam_v_full}/{entry[name]}" for name in ("video_path", "anno_path")]
        video_path, anno_path = sam2_path_patch(*paths)
        capture, frames, read = cv2.VideoCapture(video_path), [], 0
        while True:
            success, frame_HW3 = capture.read()
            if not success:
                break
            if read % 4 == 0:
                frames.append(frame_HW3)
            read += 1
        capture.release()
        assert frames, f"no frame in {video_path}"
        masklets = json.loads(Path(anno_path).read_text(encoding="utf-8"))["masklet"]
        masks = [[rle.decode(one) for one in of_frame] for of_frame in masklets]
        assert len(masks) == len(frames)
        samples[key] = {
            column: (said["formated"], np.stack([masks_N[int(column)] for masks_N in masks]))
            for column, said in entry["objects"].items()
        }
        assert all(masks_THW.shape[1:] == frames[0].shape[:2] for _, masks_THW in samples[key].values())
    return samples


def square(name: str, x: float, speed_px_s: float) -> Sprite:
    texture_HW3 = np.full((40, 40, 3), (200, 30, 30), np.uint8)
    alpha_HW = np.ones((40, 40), dtype=bool)
    return Sprite(name=name, texture_HW3=texture_HW3, alpha_HW=alpha_HW, centre=lambda t_s: (x + speed_px_s * t_s, 60))


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A `sam_v_full` with two clips of 23 and 24 frames; the first has an automatic file too."""
    root = tmp_path_factory.mktemp("sam_v_full")
    folder = root / "sav_train" / "sav_000"
    folder.mkdir(parents=True)
    for video, frames in enumerate((23, 24)):
        scene = DrawnScene(
            video_id=f"sav_{video:06d}",
            width_px=192,
            height_px=128,
            duration_s=frames / 24,
            background_HW3=np.full((128, 192, 3), 90, np.uint8),
            sprites=(square("left", 30, 0), square("right", 120, 40)),
        )
        write_clip(scene, folder, manual=["left", "right"], auto=[] if video else ["right", "left"])
    return root


def clip_row(video: int, position: int, frame_count: int, **changes: Any) -> AnnotationRow:
    size = {"width_px": 192, "height_px": 128, "frame_count": frame_count, "areas_px": [1600] * 6}
    return rows.row(video, position, **{**size, **changes})


def test_the_official_loader_reads_the_export_without_a_warning(drawn: Path, tmp_path: Path) -> None:
    exported = table(
        clip_row(0, 1, 23, expression="the one on the right, by hand"),
        clip_row(0, 0, 23, masklet_type="auto", expression="the one on the right, \u201cautomatic\u201d"),
        clip_row(
            0, 1, 23, masklet_type="auto", status=Status.REJECTED, stage="select_objects", reason=Reason.DUPLICATE
        ),
        clip_row(1, 0, 24, expression="the left one"),
        clip_row(1, 1, 24, expression="the right one"),
    )
    refsav = tmp_path / "Ref-SAV.json"
    refsav.write_text(json.dumps(dict(entries(rows.Held(exported)))), encoding="utf-8")
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # not pycocotools' own DeprecationWarning
        samples = read_like_sa2va(drawn, refsav)
    texts = {key: {column: text for column, (text, _) in sample.items()} for key, sample in samples.items()}
    assert texts == {
        "sav_000000_manual": {"1": "the one on the right, by hand"},
        "sav_000000_auto": {"0": "the one on the right, \u201cautomatic\u201d"},
        "sav_000001_manual": {"0": "the left one", "1": "the right one"},
    }
    for key, column in (("sav_000000_manual", "1"), ("sav_000000_auto", "0"), ("sav_000001_manual", "1")):
        masks_THW = samples[key][column][1]
        middle = np.argwhere(masks_THW[0]).mean(axis=0)
        assert middle[1] > 96, f"{key}: the object of this column is on the right, not at {middle}"


@pytest.mark.parametrize("layout", ["sav_000/sav_train/sav_000", "sav_000"])
def test_the_official_loader_reads_every_layout_where_it_is(drawn: Path, tmp_path: Path, layout: str) -> None:
    """Sa2VA's instructions make the first of these folders, and its loader takes the path to it for a slip."""
    shutil.copytree(drawn / "sav_train/sav_000", tmp_path / layout)
    files = {"video_path": f"{layout}/sav_000001.mp4", "anno_path": f"{layout}/sav_000001_manual.json"}
    exported = dict(entries(rows.Held(table(clip_row(1, 0, 24, expression="the left one", **files)))))
    for entry in exported.values():
        assert (tmp_path / entry["video_path"]).is_file(), "a loader that mends nothing finds it too"
    refsav = tmp_path / "Ref-SAV.json"
    refsav.write_text(json.dumps(exported), encoding="utf-8")
    assert read_like_sa2va(tmp_path, refsav)["sav_000001_manual"]["0"][0] == "the left one"
    (video,) = read_videos(refsav, tmp_path)
    assert video.video_path == tmp_path / files["video_path"]


def test_the_double_does_repair_and_complain_of_other_layouts() -> None:
    with pytest.warns(UserWarning, match="path repaired"):
        patched = sam2_path_patch("root/sav_000/sav_train/sav_000/a.mp4", "root/sav_000/sav_train/sav_000/a.json")
    assert patched == ("root/sav_train/sav_000/a.mp4", "root/sav_train/sav_000/a.json")
    with pytest.raises(AssertionError):
        sam2_path_patch("sav_train/sav_train/sav_000/a.mp4", "sav_train/sav_train/sav_000/a.json")


def test_an_object_carries_its_id_and_levels() -> None:
    row = rows.row(3, 2)
    (entry,) = dict(entries(rows.Held(table(row)))).values()
    assert entry["video_path"] == "sav_train/sav_000/sav_000003.mp4"
    assert entry["anno_path"] == "sav_train/sav_000/sav_000003_manual.json"
    assert entry["objects"] == {
        "2": {
            "formated": row.expression,
            "object_id": "sav_000003/manual/2",
            "object_description": row.object_description,
            "scene_description": row.scene_description,
            "video_description": row.video_description,
        }
    }


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"expression": None}, "must have an expression"),
        ({"frame_count": 97}, "that is 25, got 24"),
        ({"anno_path": "sav_train/sav_train/a.json"}, "one part 'sav_train'"),
    ],
)
def test_what_the_loader_would_choke_on_is_refused_by_id(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=f"sav_000000/manual/0: .*{complaint}"):
        dict(entries(rows.Held(table(rows.row(0, 0, **changes)))))


# ---- properties and card ----


def sample(words: int = 30, **changes: Any) -> properties.MeasuredObject:
    return properties.MeasuredObject(words, rows.facts("v/manual/0", **changes), diagonal_px=1000)


@pytest.mark.parametrize(
    ("name", "has", "has_not"),
    [
        ("short text", sample(20), sample(21)),
        ("long text", sample(40), sample(39)),
        (
            "large object motion",
            sample(motion="complex", own_path_px=250),
            sample(motion="none", own_path_px=250),
        ),
        ("large object motion", sample(motion="left", own_path_px=250), sample(motion="left", own_path_px=249)),
        ("large camera motion", sample(camera_shift_px=[-150, 200]), sample(camera_shift_px=[150, 190])),
        ("large camera motion", sample(camera_zoom_ratio=0.6), sample(camera_zoom_ratio=1.4)),
        (
            "heavy occlusion",
            sample(hidden_spans=[Span(start_s=1, end_s=1.5)], occluded_spans=[Span(start_s=2, end_s=2.5)]),
            sample(hidden_spans=[Span(start_s=1, end_s=1.9)]),
        ),
        ("heavy occlusion", sample(occluded_spans=[Span(start_s=0, end_s=4)]), sample(visible_spans=[])),
    ],
)
def test_properties(name: str, has: properties.MeasuredObject, has_not: properties.MeasuredObject) -> None:
    rule = {known: rule for known, _, rule in properties.PROPERTIES}[name]
    assert rule(has)
    assert not rule(has_not)


UNSURE = [
    ("large object motion", {"motion": "unknown", "motion_known": False, "speed_known": False}),
    ("large object motion", {"motion": "left", "own_path_px": 250, "speed_known": False}),
    ("large camera motion", {"camera_shift_px": [300, 0], "camera_known": False}),
    ("heavy occlusion", {"occluded_spans": [Span(start_s=0, end_s=4)], "occluded_known": False}),
]


@pytest.mark.parametrize(("name", "changes"), UNSURE)
def test_what_the_facts_do_not_know_is_neither_there_nor_not(name: str, changes: dict[str, Any]) -> None:
    rule = {known: rule for known, _, rule in properties.PROPERTIES}[name]
    assert rule(sample(**changes)) is None


def test_an_unsure_part_does_not_matter_where_the_rest_decides() -> None:
    unsure: dict[str, Any] = {"occluded_spans": [Span(start_s=3, end_s=3.2)], "occluded_known": False}
    assert properties.heavy_occlusion(sample(**unsure)) is False
    assert properties.heavy_occlusion(sample(hidden_spans=[Span(start_s=1, end_s=2.5)], **unsure)) is True
    assert properties.large_object_motion(sample(motion="none", speed_known=False)) is False


def lines_of(text: str) -> list[list[str]]:
    """Cells of all Markdown table lines."""
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in text.splitlines() if line[:1] == "|"]


def test_card_sets_this_run_beside_the_paper() -> None:
    moving = rows.facts("sav_000000/manual/1", motion="left", own_path_px=900)
    found = table(
        rows.row(0, 0, expression="one two three"),
        rows.row(0, 1, expression="one two three four five", facts=moving),
        rows.row(1, 0, expression="a " * 52),
        rows.stopped(1, 1, 0),
    )
    text = card(rows.Held(found), rows.RUN, rows.STAGES, None)
    found = lines_of(text)
    assert ["Ref-SAV train (paper)", "37,311", "72,509", "72,509", "6.0M", "83.6"] in found
    assert ["**this run**", "2", "3", "3", "60", "20.0"] in found
    shares = {line[0]: line[-1] for line in found if len(line) == 4}
    assert shares["short text"] == "66.7% (2)"
    assert shares["long text"] == "33.3% (1)"
    assert shares["large object motion"] == "33.3% (1)"
    assert ["select_objects", "4", "3", "", "", ""] in found
    assert ["", "", "", "part", "rejected", "1"] in found
    assert "4 masklets: 3 kept, 1 rejected" in text


def test_card_names_every_column_and_fact() -> None:
    text = card(rows.Held(table(rows.row(0, 0))), rows.RUN, rows.STAGES, None)
    named = {line[0].strip("`") for line in lines_of(text) if len(line) == 3}
    assert set(AnnotationRow.model_fields) <= named
    assert {f"facts.{name}" for name in Facts.model_fields} <= named
    assert "facts.colours.share_frac" in named


def test_card_says_that_the_measured_writer_knows_no_categories() -> None:
    measured = card(rows.Held(table(rows.row(0, 0))), rows.RUN, rows.STAGES, None)
    modelled = card(rows.Held(table(rows.row(0, 0, writer="model"))), rows.RUN, rows.STAGES, None)
    assert "knows no\n  categories" in measured
    assert "knows no\n  categories" not in modelled


def test_card_of_a_run_with_nothing_kept() -> None:
    text = card(rows.Held(table(rows.stopped(0, 0, 0))), rows.RUN, rows.STAGES, None)
    assert ["**this run**", "0", "0", "0", "0", "none"] in lines_of(text)
    assert "No masklet of this run was kept." in text


def test_a_text_cannot_break_out_of_the_example() -> None:
    text = card(rows.Held(table(rows.row(0, 0, expression="```\n# owned\n{shards}"))), rows.RUN, rows.STAGES, None)
    assert "\n# owned" not in text
    assert text.count("```") == 4
    (example,) = re.findall(r"```json\n(.*?)\n```", text, flags=re.DOTALL)
    assert json.loads(example)["expression"] == "```\n# owned\n{shards}"


def test_the_folder_opens_as_a_data_set(tmp_path: Path) -> None:
    annotated = rows.thousand().slice(0, 40)
    (tmp_path / "annotations").mkdir()
    pq.write_table(annotated, tmp_path / "annotations" / "part-0.parquet")
    text = card(rows.Held(annotated), rows.RUN, rows.STAGES, None)
    (tmp_path / "README.md").write_text(text, encoding="utf-8")
    header = yaml.safe_load(text.split("---\n")[1])
    assert header["license"] == "cc-by-4.0"
    assert header["size_categories"] == ["n<1K"]
    loaded = load_dataset(str(tmp_path), cache_dir=str(tmp_path / "cache"))["train"]  # as the header says
    assert loaded.num_rows == 40
    assert loaded[0]["expression"] == annotated["expression"][0].as_py()
