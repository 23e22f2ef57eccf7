"""Expressions that fit nothing: read, scored as N-acc and T-acc beside J&F; other splits are scored as before."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.evaluate_refsav import main
from pipeline.evaluation.compare import compare
from pipeline.evaluation.json_files import MismatchError
from pipeline.evaluation.plot import plot
from pipeline.evaluation.predict import read_predictions
from pipeline.evaluation.score import Scores, score
from pipeline.evaluation.split import read_split
from pipeline.evaluation.tables import markdown
from tests.pipeline.evaluation.drawn import (
    FRAMES,
    HEIGHT_PX,
    WIDTH_PX,
    edit,
    masklet,
    rle,
    write_predictions,
    write_split,
)

EMPTY = rle(np.zeros((HEIGHT_PX, WIDTH_PX), bool))
ONE_PIXEL = rle(np.eye(1, HEIGHT_PX * WIDTH_PX, 7, dtype=bool).reshape(HEIGHT_PX, WIDTH_PX))


def split_with_absent(folder: Path, absent: int = 1) -> Path:
    """The drawn split, with some texts that fit nothing in each of its four videos."""
    write_split(folder)

    def add(meta: dict[str, Any]) -> None:
        for entry in meta["videos"].values():
            for n in range(absent):
                one = {"exp": f"the purple thing {n}", "obj_id": [], "anno_id": [], "type_id": 1, "no_target": True}
                entry["expressions"][f"n{n}"] = one

    edit(folder / "meta_expressions_valid.json", add)
    return folder


def predictions_for(split: Path, path: Path, masks_of: dict[tuple[str, str], list[Any]]) -> Path:
    """Every object a little off; nothing for the texts that fit nothing; and what `masks_of` says."""
    meta = json.loads((split / "meta_expressions_valid.json").read_text())["videos"]
    plain = write_split(path.parent / "plain")
    write_predictions(path, plain)
    content = json.loads(path.read_text())
    for video_id, entry in meta.items():
        for exp_id, one in entry["expressions"].items():
            made = content[video_id].setdefault(
                exp_id, {"frames": entry["frames"], "exp": one["exp"], "prediction_masks": [EMPTY] * FRAMES}
            )
            made["prediction_masks"] = masks_of.get((video_id, exp_id), made["prediction_masks"])
    path.write_text(json.dumps(content))
    return path


def scored(split: Path, path: Path) -> Scores:
    read = read_split(split)
    return score("model", read, read_predictions(path, read), 1)


def test_shares_of_rejected_and_of_answered_texts_and_their_mean(tmp_path: Path) -> None:
    split = split_with_absent(tmp_path / "split")
    answered = {("v0", "n0"): [EMPTY] * (FRAMES - 1) + [ONE_PIXEL], ("v1", "2"): [EMPTY] * FRAMES}
    scores = scored(split, predictions_for(split, tmp_path / "p/results.json", answered))
    found = scores.rejection()
    assert found is not None
    jf = scores.groups()["overall"]["JF"]
    assert found == pytest.approx({"N-acc": 75.0, "T-acc": 90.0, "mean": (jf + 75 + 90) / 3})


def test_texts_that_fit_nothing_change_no_other_figure(tmp_path: Path) -> None:
    split = split_with_absent(tmp_path / "split")
    with_absent = scored(split, predictions_for(split, tmp_path / "p/results.json", {}))
    plain = write_split(tmp_path / "without")
    without = scored(plain, write_predictions(tmp_path / "w/results.json", plain))
    assert with_absent.groups() == without.groups()
    assert without.rejection() is None


def test_the_command_prints_and_writes_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    split = split_with_absent(tmp_path / "split", absent=2)
    path = predictions_for(split, tmp_path / "p/results.json", {("v2", "n1"): masklet(2)})
    assert main([str(split), "--predictions", str(path), "--draws", "50"]) == 0
    shown = capsys.readouterr().out
    assert "N-acc" in shown
    assert "87.50" in shown
    written = json.loads((path.parent / "ref_sav_valid.json").read_text())
    assert list(written) == ["long", "short", "overall", "no target"]
    assert written["no target"]["N-acc"] == 87.5
    with (path.parent / "ref_sav_valid.csv").open() as file:
        kinds = [row["type_id"] for row in csv.DictReader(file)]
    assert kinds.count("2") == 8
    comparison = (path.parent / "comparison.md").read_text()
    assert "## Expressions without a target" in comparison
    assert "8 in 4 videos" in comparison


def test_a_split_without_them_is_written_as_before(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    split = write_split(tmp_path / "split")
    path = write_predictions(tmp_path / "p/results.json", split)
    assert main([str(split), "--predictions", str(path), "--draws", "50"]) == 0
    assert "acc" not in capsys.readouterr().out
    assert list(json.loads((path.parent / "ref_sav_valid.json").read_text())) == ["long", "short", "overall"]
    assert "target" not in (path.parent / "comparison.md").read_text()
    assert "no target" not in (path.parent / "comparison.csv").read_text()


def test_intervals_and_differences_between_models(tmp_path: Path) -> None:
    split = split_with_absent(tmp_path / "split", absent=3)
    keen = predictions_for(split, tmp_path / "a/results.json", {(f"v{v}", "n0"): masklet(v) for v in range(4)})
    shy = predictions_for(split, tmp_path / "b/results.json", {(f"v{v}", str(2 * v)): [EMPTY] * FRAMES for v in (0, 1)})
    models = [Scores(name, scored(split, path).rows) for name, path in (("keen", keen), ("shy", shy))]
    lines = compare(models, seed=1, draws=200)
    first, second = (line for line in lines if line.facet == "no target")
    assert first.figures["N-acc"].value == pytest.approx(200 / 3)
    assert first.figures["N-acc"].low == pytest.approx(200 / 3)  # it is the same in every video
    assert second.differences is not None
    assert second.differences["N-acc"].value == pytest.approx(100 / 3)
    assert second.figures["T-acc"].low is not None
    assert second.figures["T-acc"].low < second.figures["T-acc"].value < 100
    for line, model in ((first, models[0]), (second, models[1])):
        assert {name: figure.value for name, figure in line.figures.items()} == pytest.approx(model.rejection())
    assert "against the first" in markdown(lines)
    plot(lines, tmp_path / "c.png")
    assert (tmp_path / "c.png").stat().st_size > 1000


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"anno_id": []}, "anno_id is a list with one object at least, or"),
        ({"no_target": True}, "anno_id is [] where no_target is true, got [0]"),
        ({"no_target": "yes"}, "no_target is true or false, got 'yes'"),
    ],
)
def test_a_text_without_objects_says_that_it_has_none(change: dict[str, Any], says: str, tmp_path: Path) -> None:
    split = write_split(tmp_path / "split")
    edit(split / "meta_expressions_valid.json", lambda meta: meta["videos"]["v0"]["expressions"]["0"].update(change))
    with pytest.raises(MismatchError) as error:
        read_split(split)
    assert error.value.problems[0].startswith(f"v0: expression 0: {says}")
