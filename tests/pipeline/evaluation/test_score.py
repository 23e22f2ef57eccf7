"""Scores equal the official arithmetic done by hand; files as official; what does not fit is refused."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pycocotools import mask as coco

from pipeline.evaluation.json_files import MismatchError
from pipeline.evaluation.predict import Missing, read_predictions, results_entry, write_results
from pipeline.evaluation.score import Scores, score, write_scores
from pipeline.evaluation.split import read_split
from tests.pipeline.evaluation import plain
from tests.pipeline.evaluation.drawn import (
    FRAMES,
    HEIGHT_PX,
    WIDTH_PX,
    edit,
    ellipse,
    rle,
    write_predictions,
    write_split,
)

HEAD = ["video_name", "exp_id", "exp", "videxp", "J", "F", "JF", "A", "type_id"]


def scored(split: Path, predictions: Path, workers: int = 1, missing: Missing = "refuse") -> Scores:
    read = read_split(split)
    return score("model", read, read_predictions(predictions, read, missing), workers)


def test_figures_are_those_of_the_official_arithmetic(split_folder: Path, tmp_path: Path) -> None:
    predictions = write_predictions(tmp_path / "results.json", split_folder)
    scores = scored(split_folder, predictions)
    write_scores(scores, tmp_path)
    meta = json.loads((split_folder / "meta_expressions_valid.json").read_text())["videos"]
    masks = json.loads((split_folder / "mask_dict.json").read_text())
    results = json.loads(predictions.read_text())
    rows = []
    for video_id, entry in meta.items():
        for exp_id, each in entry["expressions"].items():
            gts = [gt or rle(np.zeros((HEIGHT_PX, WIDTH_PX), bool)) for gt in masks[str(each["anno_id"][0])]]
            j, f, a = plain.from_rles(results[video_id][exp_id]["prediction_masks"], gts)
            percents = [round(np.float64(100 * value), 2) for value in (j, f, (j + f) / 2, a)]
            rows.append([video_id, exp_id, each["exp"], f"{video_id}_{exp_id}", *percents, each["type_id"]])
    table = pd.read_csv(tmp_path / "ref_sav_valid.csv", dtype={"exp_id": str})
    assert list(table.columns) == HEAD
    assert table.values.tolist() == rows
    means = json.loads((tmp_path / "ref_sav_valid.json").read_text())
    for group, type_id in (("long", 0), ("short", 1)):
        j, f, a = (np.mean([row[k] for row in rows if row[-1] == type_id]) for k in (4, 5, 7))
        assert means[group] == {"J": j, "F": f, "A": a, "JF": (j + f) / 2}
    assert means["overall"] == {key: (means["long"][key] + means["short"][key]) / 2 for key in ("J", "F", "A", "JF")}
    assert list(means) == ["long", "short", "overall"]


GOLDEN = {
    "long": [68.20875, 59.94625, 98.15125, 64.0775],
    "short": [62.09, 54.17, 97.62, 58.13],
    "overall": [65.149375, 57.058125, 97.885625, 61.10375],
}


def test_golden_figures(split_folder: Path, tmp_path: Path) -> None:
    means = scored(split_folder, write_predictions(tmp_path / "results.json", split_folder)).groups()
    assert {name: [round(value, 6) for value in found.values()] for name, found in means.items()} == GOLDEN


def test_the_number_of_processes_changes_nothing(split_folder: Path, tmp_path: Path) -> None:
    predictions = write_predictions(tmp_path / "results.json", split_folder)
    assert scored(split_folder, predictions, workers=2) == scored(split_folder, predictions)


def test_the_truth_itself_scores_100(split_folder: Path, tmp_path: Path) -> None:
    split = read_split(split_folder)
    entries: list[dict[str, Any]] = []
    for video in split.videos:
        for each in video.expressions:
            masks_THW = np.stack(
                [
                    np.zeros((HEIGHT_PX, WIDTH_PX), bool)
                    if gt is None
                    else coco.decode({**gt, "counts": gt["counts"].encode()}).astype(bool)
                    for gt in video.masks[each.anno_ids[0]]
                ]
            )
            entries.append(results_entry(len(entries), video, each, "[SEG].", masks_THW))
    write_results(tmp_path / "results.json", entries)
    means = scored(split_folder, tmp_path / "results.json").groups()
    assert all(value == 100 for found in means.values() for value in found.values())
    written = json.loads((tmp_path / "results.json").read_text())["v2"]["s"]
    assert written["index"] == 7
    assert list(written) == ["index", "video_id", "exp_id", "text_prediction", "frames", "exp", "prediction_masks"]
    with pytest.raises(ValueError, match=r"v3, expression 7: masks are \(6, 48, 64\), got \(6, 48, 63\)"):
        results_entry(0, video, each, "", masks_THW[..., 1:])


def test_two_objects_of_an_expression_are_joined(tmp_path: Path) -> None:
    folder = write_split(tmp_path / "s", videos=1)
    one, other = ellipse(20, 20), ellipse(27, 22)
    edit(folder / "mask_dict.json", lambda masks: masks.update({"0": [rle(one)] * FRAMES, "1": [rle(other)] * FRAMES}))
    edit(
        folder / "meta_expressions_valid.json",
        lambda meta: meta["videos"]["v0"]["expressions"]["0"].update(anno_id=[1, 0, 1]),
    )
    predictions = write_predictions(tmp_path / "results.json", folder)
    both = [rle(one | other)] * FRAMES
    edit(predictions, lambda content: content["v0"]["0"].update(prediction_masks=both))
    row = scored(folder, predictions).rows[0]
    assert (row.j, row.f, row.a) == (100, 100, 100)  # the official A is less: 1 + 1 = 2 is not 1


def test_an_empty_group_is_no_nan_but_an_explanation(tmp_path: Path) -> None:
    folder = write_split(tmp_path / "s", short=False)
    scores = scored(folder, write_predictions(tmp_path / "results.json", folder))
    with pytest.raises(ValueError, match="no figure for short: the split has 8 long and 0 short .* --groups long"):
        write_scores(scores, tmp_path)
    assert not (tmp_path / "ref_sav_valid.json").exists()
    write_scores(scores, tmp_path, ["long"])
    means = json.loads((tmp_path / "ref_sav_valid.json").read_text())
    assert list(means) == ["long"]
    assert all(math.isfinite(value) for value in means["long"].values())


def test_every_mismatch_of_predictions_is_named(split_folder: Path, tmp_path: Path) -> None:
    predictions = write_predictions(tmp_path / "results.json", split_folder)

    def spoil(content: dict[str, Any]) -> None:
        del content["v0"]["s"]
        content["v1"]["2"]["prediction_masks"].pop()
        content["v1"]["3"]["frames"] = content["v1"]["3"]["frames"][::-1]
        content["v1"]["x"] = content["v1"]["3"]
        content["v2"]["4"]["exp"] = "another text"
        content["v2"]["5"]["prediction_masks"][3] = None
        content["v9"] = {}
        del content["v3"]

    edit(predictions, spoil)
    with pytest.raises(MismatchError) as error:
        scored(split_folder, predictions)
    expected = [
        "v9: not a video of the split",
        "v0: no prediction for expressions s",
        "v1: expression 2: a mask for each of the 6 frames, got 5",
        "v1: expression 3: frames are those of the split, 00000, 00004, 00008, … (6 in all), got 00020",
        "v1: expression x: not of the split",
        "v2: expression 4: the text of the split is 'the thing 4 of v2', got 'another text'",
        "v2: expression 5: a mask without a pixel is an RLE too, got null at 00012",
        "v3: no prediction for expressions 6, 7",
    ]
    assert len(error.value.problems) == len(expected)
    assert all(problem.startswith(start) for problem, start in zip(error.value.problems, expected, strict=True))
    assert "--missing zero" in str(error.value)


def test_missing_expressions_count_as_empty_masks_by_choice(split_folder: Path, tmp_path: Path) -> None:
    predictions = write_predictions(tmp_path / "results.json", split_folder)
    edit(predictions, lambda content: (content.pop("v1"), content["v0"].pop("s")))
    rows = {(row.video_id, row.exp_id): row for row in scored(split_folder, predictions, missing="zero").rows}
    assert len(rows) == 10
    assert (rows["v1", "3"].j, rows["v1", "3"].f) == (0, 0)  # seen in all frames
    assert rows["v1", "2"].j == rows["v0", "s"].j == 16.67  # not seen in one of six


def test_malformed_masks_are_named_wherever_they_are(tmp_path: Path) -> None:
    folder = write_split(tmp_path / "s")
    predictions = write_predictions(tmp_path / "results.json", folder)
    edit(folder / "mask_dict.json", lambda masks: masks["1"][2].update(size=[WIDTH_PX, HEIGHT_PX]))
    edit(predictions, lambda content: content["v3"]["6"]["prediction_masks"][5].update(counts="oops"))
    with pytest.raises(MismatchError) as error:
        scored(folder, predictions)
    starts = ("v0, object 1, frame 00008: a mask has the size", "v3, prediction of 6, frame 00020: ")
    assert len(error.value.problems) == len(starts)
    assert all(problem.startswith(start) for problem, start in zip(error.value.problems, starts, strict=True))
