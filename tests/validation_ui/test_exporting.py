"""The export, read back by the steps of the official evaluation; what it refuses; that it says the same twice."""

import csv
import hashlib
import io
import json
import re
import subprocess
import threading
import zlib
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
from pycocotools import mask as coco
from sqlalchemy import Connection, func, insert, select, text, update

from manifests.text_tables import safe_cell
from pipeline import evaluate_refsav
from pipeline.evaluation.split import read_split
from stages.video.fingerprint import of_frame
from tests.running import eventually
from tests.validation_ui.judged import accept, judge, settle
from tests.validation_ui.rows import FRAMES, HEIGHT_PX, SMALL, WIDTH_PX, add_waiting, bar, fill, new_id
from validation_ui import audit, exporting
from validation_ui.database import Database
from validation_ui.exporting import ExportError, ExportReport, export
from validation_ui.exporting.benchmark import read_chosen
from validation_ui.exporting.jpegs import write_frames
from validation_ui.schema import (
    Decision,
    ItemState,
    SlotKind,
    item,
    judgement,
    masklet,
    meta,
    pointing,
    text_version,
    video,
)
from validation_ui.schema import audit as audit_table

on_sqlite = pytest.mark.parametrize("store", ["sqlite"], indirect=True)  # where the database makes no difference


def picture(video: int, frame: int) -> np.ndarray:
    """A gradient of a colour, with a bar where object 0 stands at the frame; BGR."""
    pixels = np.zeros((HEIGHT_PX, WIDTH_PX, 3), np.uint8)
    pixels[..., video % 3] = np.linspace(0, 200, WIDTH_PX, dtype=np.uint8)
    left = 5 + frame // 4
    pixels[15:75, left : left + 10] = 255
    return pixels


def write_source(path: Path, number: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=24, options={"crf": "10"})
        stream.width, stream.height, stream.pix_fmt = WIDTH_PX, HEIGHT_PX, "yuv420p"
        for k in range(FRAMES):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture(number, k), format="bgr24")))
        container.mux(stream.encode())


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """SAV_ROOT with the sources of v0, v1, v2."""
    root = tmp_path_factory.mktemp("sav")
    for number in range(3):
        write_source(root / f"sav_train/sav_000/v{number}.mp4", number)
    return root


class Case:
    """A project in OUT/validation, and what was exported from it."""

    def __init__(self, store: Database, sav_root: Path, folder: Path) -> None:
        self.store, self.sav_root, self.folder = store, sav_root, folder
        self.data = folder / "out" / "validation"
        self.data.mkdir(parents=True)
        self.ids: dict[str, int] = {}

    def write(self, work: Callable[[Connection], Any]) -> Any:
        return self.store.write(work)

    def export(self, name: str = "split", now: float = 5.0, **options: Any) -> ExportReport:
        of_run = self.data.with_name("Ref-SAV.json")
        options = {"train": of_run if of_run.exists() else None, "rewrite_train": False} | options
        return export(self.store, self.sav_root, self.folder / name, now=now, **options)

    def json(self, name: str, folder: str = "split") -> Any:
        return json.loads((self.folder / folder / name).read_text())

    def train_file(self, *videos: str) -> dict[str, Any]:
        entries = {
            f"{video}_manual": {
                "video_path": f"sav_train/sav_000/{video}.mp4",
                "anno_path": f"sav_train/sav_000/{video}_manual.json",
                "objects": {"0": {"formated": f"Ein schöner Text über {video} → ☃"}},
            }
            for video in videos
        }
        self.data.with_name("Ref-SAV.json").write_text(json.dumps(entries, indent=1, ensure_ascii=False) + "\n")
        return entries


@pytest.fixture
def case(store: Database, sources: Path, tmp_path: Path) -> Case:
    """Three videos; accepted: both objects of v0, one of v1 and a short expression of it; v2 has nothing accepted."""
    case = Case(store, sources, tmp_path)

    def work(c: Connection) -> None:
        ids = case.ids = fill(c, videos=3, objects=2, gold=2, overlap=True)
        ann, ben, cy = ids["ann"], ids["ben"], ids["cy"]
        for name in ("v0_o0", "v0_o1", "v1_o0"):
            judge(c, ids[name], cy)
            accept(c, ids[name], ann, ben)
        judge(c, ids["v2_o0"], ann, decision=Decision.REJECT, note='=HYPERLINK("x")', reasons=["mask_bad"])
        judge(c, ids["v2_o1"], ann, undone_at=7.0, undone_by="person")
        judge(c, ids["gold_0"], ann, gold_right=True)
        judge(c, ids["gold_1"], ben, decision=Decision.REJECT, gold_right=True)
        ids["short"] = add_short(c, ids["v1_o0"], ann)
        judge(c, ids["short"], ben, SlotKind.BLIND, hit=True, parts={"short": "right"})
        settle(c, ids["short"])
        # object 1 of v0 is not seen at first
        away = update(masklet).where(masklet.c.object_id == "v0/manual/1")
        c.execute(away.values(rles=packed(bar(1, visible=range(3, 12)))))

    case.write(work)
    return case


def packed(counts: list[str | None]) -> bytes:
    return zlib.compress(json.dumps(counts).encode())


def add_short(connection: Connection, long_id: int, author_id: int) -> int:
    row = dict(connection.execute(select(item).where(item.c.id == long_id)).mappings().one())
    row |= {"public_id": "p_short", "kind": "short", "author_id": author_id}
    del row["id"], row["text_id"]
    item_id = new_id(connection, item, **row)
    text = {"item_id": item_id, "parts": {"short": "the white bar, »left«"}, "sha256": "0" * 64, "created_at": 0.0}
    text_id = new_id(connection, text_version, **text)
    connection.execute(update(item).where(item.c.id == item_id).values(text_id=text_id))
    return item_id


def official(folder: Path) -> dict[tuple[str, str], tuple[str, list[np.ndarray], np.ndarray, str]]:
    """What the official loader and scorer make of an export: {(vid, exp_id): (text, pictures, masks_THW, group)}.

    Loader (evaluation/dataset/refVOS.py): frames sorted, opened from <vid>/<frame>.jpg. Scorer (eval_ref_sav.py): masks
    of all anno_ids added up frame by frame in the file's order, null is an empty mask; type_id 0 long, 1 short.
    """
    meta = json.loads((folder / "meta_expressions_valid.json").read_text())["videos"]
    masks = json.loads((folder / "mask_dict.json").read_text())
    found: dict[tuple[str, str], tuple[str, list[np.ndarray], np.ndarray, str]] = {}
    for vid, entry in meta.items():
        for exp_id, expression in entry["expressions"].items():
            paths = [folder / f"videos/{vid}/{name}.jpg" for name in sorted(entry["frames"])]
            pictures = [np.asarray(cv2.imread(str(path))) for path in paths]
            sums = np.zeros((len(entry["frames"]), entry["height"], entry["width"]), np.uint8)
            for anno_id in expression["anno_id"]:
                for k, rle in enumerate(masks[str(anno_id)]):
                    if rle is not None:
                        sums[k] += coco.decode(rle)
            group = {0: "long", 1: "short"}[expression["type_id"]]
            found[vid, exp_id] = (expression["exp"], pictures, sums, group)
    return found


def test_the_official_reader_gets_the_source_masks_and_frames(case: Case) -> None:
    report = case.export()
    found = official(case.folder / "split")
    assert {key: value[0] for key, value in found.items()} == {
        (name[:2], str(case.ids[name])): " ".join(
            f"The {part} text of {name}." for part in ("object", "scene", "video")
        )
        for name in ("v0_o0", "v0_o1", "v1_o0")
    } | {("v1", str(case.ids["short"])): "the white bar, »left«"}
    assert [value[3] for value in found.values()] == ["long", "long", "long", "short"]
    for (vid, exp_id), (_, pictures, masks_THW, _) in found.items():
        assert len(pictures) == len(masks_THW) == 12
        source = bar(1, visible=range(3, 12)) if exp_id == str(case.ids["v0_o1"]) else bar(0)
        for k, counts in enumerate(source):
            size = [HEIGHT_PX, WIDTH_PX]
            expected = coco.decode({"size": size, "counts": counts}) if counts else np.zeros(size)
            assert np.array_equal(masks_THW[k], expected)
            truth = picture(int(vid[1]), 4 * k).astype(int)
            assert pictures[k].shape == truth.shape
            assert np.abs(pictures[k] - truth).mean() < 4  # coded twice
            if exp_id == str(case.ids["v0_o0"]):  # mask and picture are of one frame
                assert pictures[k][masks_THW[k] == 1].mean() > 235
    meta = case.json("meta_expressions_valid.json")["videos"]["v0"]
    assert meta["frames"] == sorted(meta["frames"])
    assert {len(name) for name in meta["frames"]} == {5}
    (hidden,) = meta["expressions"][str(case.ids["v0_o1"])]["anno_id"]
    assert case.json("mask_dict.json")[str(hidden)][:3] == [None] * 3
    assert (report.videos, report.long, report.short, report.frames) == (2, 3, 1, 24)
    assert sorted(path.name for path in (case.folder / "split/videos").iterdir()) == ["v0", "v1"]


def test_every_judgement_is_in_the_table(case: Case) -> None:
    case.export()
    table = pq.read_table(case.folder / "split/judgements.parquet").to_pylist()
    with case.store.read() as connection:
        assert len(table) == connection.execute(select(func.count()).select_from(judgement)).scalar_one() == 14
    assert {row["rater"] for row in table} == {"r1", "r2", "r3"}  # those who judged nothing are nobody
    assert sum(row["undone_at"] is not None for row in table) == 1
    (rejected,) = (row for row in table if row["note"])
    assert rejected["note"] == '=HYPERLINK("x")'  # no spreadsheet reads parquet
    assert (rejected["decision"], rejected["reasons"]) == ("reject", ["mask_bad"])
    assert dict(rejected["text"])["scene"] == "The scene text of v2_o0."
    blind = [row for row in table if row["pass"] == "blind"]
    assert all(row["hit"] and row["points"][1]["frame"] == 40 and row["answer_s"] == 20 for row in blind)
    assert [row["gold"] for row in table if row["gold"]] == ["good", "swapped"]


@on_sqlite
@pytest.mark.parametrize("few", [False, True])
def test_report_and_gates(case: Case, few: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if few:
        monkeypatch.setattr("validation_ui.exporting.agreement_report.TOO_FEW", 1)
    report = case.export()
    text = (case.folder / "split/agreement.md").read_text()
    assert "ann" not in text.split()
    assert [(gate.name.split()[0], gate.n, gate.passed) for gate in report.gates] == [
        ("agreement", 3, few),  # all three agree: AC1 is 1, though kappa and alpha are not defined
        ("blind", 4, few),
        ("gold", 2, False),  # cy was given none
        ("final", 4, False),  # ben gave them all
    ]
    if few:
        assert "| blind hits before adjudication | >= 90% | 100.0% of 4 (51.0% to 100.0%) | 4 | yes |" in text
        assert "| too few answers: r3 (0) |" in text, "who has none is not below"
        assert "100.0% (r2)" in text
    else:
        assert "| agreement of two sighted reviewers | alpha or AC1 >= 0.8 | too few (n = 3) | 3 | **no** |" in text
        assert "| blind hits before adjudication | >= 90% | too few (n = 4) | 4 | **no** |" in text
        assert "too few answers: r1 (1), r2 (1), r3 (0)" in text
        assert "%" not in text.split("## By stratum")[1].split("## Reviewer time")[0]
    assert "| reviewer | hours | judgements | an hour | median s, sighted" in text
    assert re.search(r"3 people worked [0-9.]+ hours in all.*: [0-9.]+ minutes for an exported text", text)
    rows = list(csv.DictReader(io.StringIO((case.folder / "split/agreement.csv").read_text())))
    (ac1,) = (row for row in rows if (row["section"], row["what"], row["figure"]) == ("sighted", "decision", "ac1"))
    assert (ac1["value"], ac1["n"]) == ("1.000000", "3")
    (kappa,) = (row for row in rows if (row["section"], row["what"], row["figure"]) == ("sighted", "decision", "kappa"))
    assert kappa["value"] == ""


@on_sqlite
def test_no_cell_is_a_formula(case: Case) -> None:
    strata = {"size": "=1+1", "length": "@x", "motion": "+1", "camera": "-1", "occlusion": "\tx", "look_alikes": "\rx"}
    case.write(lambda c: c.execute(update(item).values(strata=strata)))
    case.export()
    with (case.folder / "split/agreement.csv").open(newline="") as file:
        cells = [cell for row in csv.reader(file) for cell in row]
    assert {"'=1+1", "'@x", "'+1", "'-1", "'\tx", "'\rx"} <= set(cells)
    assert not [cell for cell in cells if cell.startswith(("=", "+", "@", "\t", "\r"))]
    assert safe_cell("a=1") == "a=1"


def tree(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@on_sqlite
def test_repeated_it_is_the_same_and_replaces_only_its_like(case: Case) -> None:
    case.train_file("g0", "v0")
    case.export(rewrite_train=True)
    first = tree(case.folder / "split")
    assert {
        "meta_expressions_valid.json",
        "mask_dict.json",
        "Ref-SAV.json",
        "split.json",
        "videos/v0/00044.jpg",
    } <= set(first)
    case.export(now=99.0, rewrite_train=True)
    assert tree(case.folder / "split") == first
    case.export("elsewhere", now=100.0, rewrite_train=True)
    assert tree(case.folder / "elsewhere") == first
    sums = subprocess.run(["sha256sum", "-c", "--quiet", "SHA256SUMS"], cwd=case.folder / "split", capture_output=True)
    assert (sums.returncode, sums.stdout) == (0, b"")
    assert len((case.folder / "split/SHA256SUMS").read_text().splitlines()) == len(first) - 1
    assert not [path for path in case.folder.iterdir() if path.name.startswith(".")]  # nothing is left beside it


def test_marks_what_went_out_once(case: Case) -> None:
    case.export(now=5.0)
    case.export(now=6.0)
    with case.store.read() as connection:
        marked = connection.execute(select(item.c.id).where(item.c.exported_at == 5.0)).scalars().all()
        assert sorted(marked) == sorted(case.ids[name] for name in ("v0_o0", "v0_o1", "v1_o0", "short"))
        assert connection.execute(select(func.count()).where(item.c.exported_at == 6.0)).scalar_one() == 0
        bodies = connection.scalars(select(audit_table.c.body).where(audit_table.c.action == "export")).all()
        assert [json.loads(body)["first_time"] for body in bodies] == [4, 0]
        assert audit.verify(connection) == 2


@on_sqlite
def test_split_json_tells_what_train_leaves_out(case: Case) -> None:
    case.export()
    split = case.json("split.json")
    assert split["videos"] == ["v0", "v1"]
    assert split["held_out"] == ["v0", "v1", "v2"]
    assert split["strata"]["kind"] == {"long": 3, "short": 1}
    assert split["strata"]["size"] == {"medium": 4}


@on_sqlite
def test_the_evaluation_reads_of_what_kind_each_expression_is(case: Case) -> None:
    places = {"v0_o0": "v0", "v0_o1": "v0", "v1_o0": "v1", "short": "v1"}
    wanted = {name: {"size": name, "camera": "static"} for name in places}  # sizes of their own: none is mistaken

    def work(c: Connection) -> None:
        for name, levels in wanted.items():
            c.execute(update(item).where(item.c.id == case.ids[name]).values(strata=levels))

    case.write(work)
    case.export()
    found = {
        (video.video_id, each.exp_id): dict(each.strata)
        for video in read_split(case.folder / "split").videos
        for each in video.expressions
    }
    assert found == {(place, str(case.ids[name])): wanted[name] for name, place in places.items()}
    assert list(case.json("split.json")["strata_of"]["v0"][str(case.ids["v0_o0"])]) == ["camera", "size"]


@on_sqlite
def test_refuses_a_video_of_train_by_id(case: Case) -> None:
    entries = case.train_file("g0", "v1", "x9")
    with pytest.raises(ExportError, match=r"got 1 in both: v1 .*--rewrite-train"):
        case.export()
    assert not (case.folder / "split").exists()
    with case.store.read() as connection:
        assert connection.execute(select(func.count()).where(item.c.exported_at.is_not(None))).scalar_one() == 0
    report = case.export(rewrite_train=True)
    assert case.json("Ref-SAV.json") == {key: entries[key] for key in ("g0_manual", "x9_manual")}
    text = (case.folder / "split/Ref-SAV.json").read_text()
    old = case.data.with_name("Ref-SAV.json").read_text()
    assert json.dumps(entries["x9_manual"], indent=1, ensure_ascii=False).replace("\n", "\n ") in text
    assert json.dumps(entries["x9_manual"], indent=1, ensure_ascii=False).replace("\n", "\n ") in old
    assert any("x9" in warning and "by id alone" in warning for warning in report.warnings)
    # what it wrote passes
    case.export(train=case.folder / "split/Ref-SAV.json", name="again")


@on_sqlite
def test_refuses_a_video_of_train_by_its_look(case: Case) -> None:
    rng = np.random.default_rng(0)
    prints = [of_frame(rng.integers(0, 255, (90, 160), dtype=np.uint8)) for _ in range(30)]

    def work(c: Connection) -> None:
        for name, value in (("v0", prints), ("g0", prints[2::6]), ("g1", prints[2:3] + prints[::-1][:2])):
            c.execute(update(video).where(video.c.id == name).values(fingerprints=b"".join(value)))

    case.write(work)
    entries = case.train_file("g0")
    with pytest.raises(ExportError, match=r"looks like one of the training file, got 1: v0 = g0"):
        case.export()
    case.export(rewrite_train=True)
    assert case.json("Ref-SAV.json") == {}
    assert entries


@on_sqlite
def test_two_videos_of_the_split_that_look_the_same_are_noted(case: Case) -> None:
    rng = np.random.default_rng(0)
    prints = b"".join(of_frame(rng.integers(0, 255, (90, 160), dtype=np.uint8)) for _ in range(30))
    case.write(lambda c: c.execute(update(video).where(video.c.id.in_(["v0", "v1"])).values(fingerprints=prints)))
    report = case.export()
    assert "v0 and v1, both in the split, look the same" in report.warnings
    assert "look the same" in (case.folder / "split/agreement.md").read_text()


@on_sqlite
@pytest.mark.parametrize(
    ("settings", "rule"),
    [
        ({"long": 2}, "got 3 accepted for long=2"),
        ({"short": 0}, "got 1 accepted for short=0"),
        ({"videos": 1}, "got 2 accepted for videos=1"),
        ({"per_video": 1}, "at most per_video=1 objects .* got more in v0"),
    ],
)
def test_refuses_more_than_the_quota(case: Case, settings: dict[str, int], rule: str) -> None:
    def work(c: Connection) -> None:
        c.execute(meta.delete().where(meta.c.key == "settings"))
        replace(SMALL, **settings).save(c)

    case.write(work)
    with pytest.raises(ExportError, match=rule):
        case.export()


def without_target(case: Case, of: str, decision: Decision = Decision.REJECT, answer: str = "absent") -> int:
    """A text that fits nothing, which ben was asked to find."""

    def work(c: Connection) -> int:
        item_id = add_waiting(c, case.ids[of], f"absent_{of}", f"the bar that is not there, {of}")
        judge(c, item_id, case.ids["ben"], SlotKind.BLIND, decision, hit=False, answer=answer, parts={})
        settle(c, item_id, ItemState.ACCEPTED if answer == "absent" else ItemState.DROPPED)
        return item_id

    return int(case.write(work))


@on_sqlite
def test_texts_without_a_target_go_out_on_request_and_are_scored(case: Case, tmp_path: Path) -> None:
    right, _, elsewhere = (
        without_target(case, "v1_o0"),
        without_target(case, "v0_o0", answer="ambiguous"),
        without_target(case, "v2_o0"),
    )
    case.write(lambda c: SMALL.save(c))
    case.export("plain")
    report = case.export(no_target=True)
    assert (report.long, report.short, report.no_target) == (3, 1, 1)
    assert "1 texts without a target" in str(report)
    meta = case.json("meta_expressions_valid.json")["videos"]
    assert "v2" not in meta, "it is in the split for no text of its own"
    one = meta["v1"]["expressions"].pop(str(right))
    assert one == {
        **{"exp": "the bar that is not there, v1_o0", "obj_id": [], "anno_id": [], "type_id": 1},
        "no_target": True,
    }
    assert meta == case.json("meta_expressions_valid.json", "plain")["videos"]
    assert case.json("mask_dict.json") == case.json("mask_dict.json", "plain")
    plain, split = case.json("split.json", "plain"), case.json("split.json")
    assert split.pop("no_target") == 1
    assert split == plain
    for folder in ("plain", "split"):
        text = (case.folder / folder / "agreement.md").read_text()
        assert "| 3 | 2: too few (n = 3) | 1 | 0 |" in text.split("## Texts without a target")[1]
    empty = coco.encode(np.zeros((HEIGHT_PX, WIDTH_PX), np.uint8, order="F"))["counts"].decode()
    masks = [{"size": [HEIGHT_PX, WIDTH_PX], "counts": empty}] * 12
    predictions = {
        video_id: {
            exp_id: {"frames": entry["frames"], "exp": each["exp"], "prediction_masks": masks}
            for exp_id, each in entry["expressions"].items()
        }
        for video_id, entry in case.json("meta_expressions_valid.json")["videos"].items()
    }
    (tmp_path / "p").mkdir()
    (tmp_path / "p/results.json").write_text(json.dumps(predictions))
    given = [str(case.folder / "split"), "--predictions", str(tmp_path / "p/results.json"), "--draws", "20"]
    assert evaluate_refsav.main(given) == 0
    scores = json.loads((tmp_path / "p/ref_sav_valid.json").read_text())
    assert scores["no target"]["N-acc"] == 100.0
    assert scores["no target"]["T-acc"] == 0.0
    found = {
        row["expression"]: row["source"] for row in pq.read_table(case.folder / "split/judgements.parquet").to_pylist()
    }
    assert found[str(right)] == "no_target"
    with case.store.read() as connection:
        went_out = connection.execute(select(item.c.exported_at).where(item.c.id.in_([right, elsewhere]))).scalars()
        assert sorted(map(bool, went_out)) == [False, True]


@on_sqlite
def test_a_text_without_a_target_that_nobody_called_absent_is_refused(case: Case) -> None:
    item_id = without_target(case, "v1_o0", answer="ambiguous")
    case.write(lambda c: settle(c, item_id))
    case.export("plain")
    with pytest.raises(ExportError, match=f"nobody found: items {item_id}"):
        case.export(no_target=True)


def missed(connection: Connection, item_id: int) -> None:
    of_item = select(judgement.c.pointing_id).where(judgement.c.item_id == item_id)
    connection.execute(update(pointing).where(pointing.c.id.in_(of_item)).values(hit=False))


def reworded(connection: Connection, item_id: int) -> None:
    """Other words than those that were found."""
    old = connection.execute(select(text_version).where(text_version.c.item_id == item_id)).mappings().first()
    assert old is not None
    new = {name: value for name, value in old.items() if name != "id"} | {"sha256": "f" * 64}
    text_id = connection.execute(insert(text_version).values(new).returning(text_version.c.id)).scalar_one()
    connection.execute(update(item).where(item.c.id == item_id).values(text_id=text_id))


@pytest.mark.parametrize("unfind", [missed, reworded])
def test_refuses_a_text_that_nobody_found_from_its_final_wording(
    case: Case, unfind: Callable[[Connection, int], None]
) -> None:
    case.write(lambda c: unfind(c, case.ids["v0_o1"]))
    with pytest.raises(ExportError, match=f"got 1 that nobody found: items {case.ids['v0_o1']};"):
        case.export()
    assert not (case.folder / "split").exists()


@on_sqlite
def test_refuses_nothing(case: Case) -> None:
    case.write(lambda c: c.execute(update(item).where(item.c.state == "accepted").values(state="surplus")))
    with pytest.raises(ExportError, match="at least one accepted expression, got none"):
        case.export()


@on_sqlite
def test_refuses_to_replace_what_is_not_its_own(case: Case) -> None:
    (case.folder / "split").mkdir()
    case.export()  # an empty folder is nobody's
    thesis = case.folder / "home" / "thesis.tex"
    thesis.parent.mkdir()
    thesis.write_text("years")
    with pytest.raises(ExportError, match="replaces nothing but an earlier export"):
        case.export("home")
    with pytest.raises(ExportError, match="replaces nothing but an earlier export"):
        case.export("home/thesis.tex")
    assert thesis.read_text() == "years"


@on_sqlite
@pytest.mark.parametrize("name", ["../v0", "v0/x", "v 0", "é", ".."])
def test_an_id_that_is_a_path_never_becomes_one(case: Case, name: str) -> None:
    def work(c: Connection) -> None:
        row = dict(c.execute(select(video).where(video.c.id == "v0")).mappings().one())
        c.execute(insert(video).values(row | {"id": name, "media_id": "other"}))
        for table in (masklet, item):
            c.execute(update(table).where(table.c.video_id == "v0").values(video_id=name))

    case.write(work)
    with pytest.raises(ExportError, match="letters, digits and _ only"):
        case.export()
    assert sorted(path.name for path in case.folder.iterdir() if path.is_dir()) == ["out"]


@on_sqlite
@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"frame_count": 47}, "v0: .* must have the 47 frames .* got 48"),
        ({"height_px": 91}, "v0: frames and masks are of one size"),
        ({"path": "sav_train/none.mp4"}, "v0 cannot be opened: it is not there"),
        ({"path": "../outside.mp4"}, "below SAV_ROOT"),
        ({"sha256": "0" * 64}, "v0: .* was changed since the import"),
        ({"path": "sav_train/none.mp4", "sha256": "0" * 64}, "v0: its source cannot be read"),
    ],
)
def test_refuses_a_source_that_is_not_as_it_was(case: Case, change: dict[str, Any], rule: str) -> None:
    case.write(lambda c: c.execute(update(video).where(video.c.id == "v0").values(**change)))
    with pytest.raises(ExportError, match=rule):
        case.export()
    assert sorted(path.name for path in case.folder.iterdir() if path.is_dir()) == ["out"]  # nothing half made


@on_sqlite
def test_refuses_what_is_no_training_file(case: Case) -> None:
    bad = case.folder / "bad.json"
    for content in ("[", "[]", '{"a": {}}', '{"a": 3}'):
        bad.write_text(content)
        with pytest.raises(ExportError, match="a training file is a Ref-SAV.json"):
            case.export(train=bad)
    with pytest.raises(ExportError, match="a training file is a Ref-SAV.json"):
        case.export(train=case.folder / "none.json")
    with pytest.raises(ExportError, match="--rewrite-train needs a training file"):
        case.export(rewrite_train=True)


@on_sqlite
def test_an_undo_in_the_middle_stops_it(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    def undo_meanwhile(*arguments: Any) -> int:
        case.write(lambda c: settle(c, case.ids["v0_o0"], ItemState.ADJUDICATE))
        return write_frames(*arguments)

    monkeypatch.setattr(exporting, "write_frames", undo_meanwhile)
    with pytest.raises(ExportError, match=f"got 1 changed meanwhile: {case.ids['v0_o0']}; try again"):
        case.export()
    assert not (case.folder / "split").exists()
    with case.store.read() as connection:
        assert connection.execute(select(func.count()).where(item.c.exported_at.is_not(None))).scalar_one() == 0


def test_nothing_is_marked_that_somebody_takes_back_at_that_moment(store: Database) -> None:
    """On PostgreSQL both transactions run side by side."""
    ids = store.write(lambda c: fill(c, videos=1, objects=1))
    store.write(lambda c: accept(c, ids["v0_o0"], ids["ann"], ids["ben"]))
    begun, goes_on = threading.Event(), threading.Event()

    def take_back(connection: Connection) -> None:
        connection.execute(update(item).values(state=ItemState.BLIND))
        begun.set()
        goes_on.wait(60)

    with store.read() as connection:
        chosen = read_chosen(connection)
    first = store.submit(take_back)
    begun.wait(60)
    mark = partial(exporting._mark, chosen=chosen, out=Path("split"), now=1.0, final=True, actor="cli")
    second = store.submit(mark)
    if not store.is_sqlite:
        waits = text("SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'transactionid'")
        eventually(lambda: store.write(lambda c: c.execute(waits).scalar_one()) > 0)
    goes_on.set()
    first.result()
    with pytest.raises(ExportError, match="changed meanwhile"):
        second.result()
    with store.read() as connection:
        assert connection.execute(select(item.c.exported_at)).scalar_one() is None
