"""Intervals: those of theory where it knows, the same for a seed; differences on the same draws; tables, picture."""

import csv
import io
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.evaluation.compare import Draws, FigureInterval, Line, compare, interval
from pipeline.evaluation.plot import plot
from pipeline.evaluation.score import ExpressionScore, Scores
from pipeline.evaluation.tables import as_csv, markdown, screen_text


def rows(videos: int = 40, *, seed: int = 0, better: float = 0.0) -> tuple[ExpressionScore, ...]:
    """A long expression a video, a second in every second, a short one in every third; hard videos are hard for all."""
    hard, own = np.random.default_rng(7), np.random.default_rng(seed)
    found = []
    for v in range(videos):
        level = hard.normal(50, 15)
        for exp_id, there, group in (("0", True, "long"), ("1", v % 2 == 0, "long"), ("s", v % 3 == 0, "short")):
            if there:
                j, f = (float(np.round(level + better + own.normal(0, 3), 2)) for _ in range(2))
                row = ExpressionScore(f"v{v:02}", exp_id, "x", group, j, f, (j + f) / 2, 99.0, 0.001 * (v + 1), 1.0, ())
                found.append(row)
    return tuple(found)


def two_models() -> list[Scores]:
    return [Scores("base", rows()), Scores("ours | new", rows(seed=1, better=4.0))]


def line(lines: list[Line], model: str, level: str) -> Line:
    (found,) = (each for each in lines if (each.model, each.facet, each.level) == (model, "group", level))
    return found


def ends(found: FigureInterval) -> tuple[float, float]:
    assert found.low is not None
    assert found.high is not None
    return found.low, found.high


def difference(found: Line, figure: str) -> FigureInterval:
    assert found.differences is not None
    return found.differences[figure]


def test_figures_are_those_of_the_official_means() -> None:
    models = two_models()
    lines = compare(models)
    for model in models:
        for level, figures in model.groups().items():
            found = line(lines, model.name, level).figures
            assert {name: found[name].value for name in figures} == pytest.approx(figures, abs=1e-9)
            assert all(ends(each)[0] <= each.value <= ends(each)[1] for each in found.values())


def test_the_interval_of_independent_videos_is_that_of_a_mean() -> None:
    values = np.random.default_rng(3).normal(50, 10, 400)
    draws = Draws.make([f"v{k}" for k in range(400)], ["long"] * 400, seed=0)
    value, drawn = draws.means(values[:, None], np.ones(400, bool))
    found = interval(value[0], drawn[:, 0])
    half = 1.96 * values.std() / np.sqrt(400)
    assert np.ptp(ends(found)) / 2 == pytest.approx(half, rel=0.06)
    assert value[0] == np.mean(values)


def test_expressions_of_a_video_are_drawn_together() -> None:
    """Ten copies of each expression say nothing more."""
    values = np.random.default_rng(3).normal(50, 10, 100)
    once = Draws.make([f"v{k:03}" for k in range(100)], ["long"] * 100, seed=5)
    often = Draws.make([f"v{k % 100:03}" for k in range(1000)], ["long"] * 1000, seed=5)
    one = once.means(values[:, None], np.ones(100, bool))[1]
    ten = often.means(np.tile(values, 10)[:, None], np.ones(1000, bool))[1]
    assert np.allclose(one, ten)


def test_videos_are_drawn_within_their_kind() -> None:
    """a and b have long expressions only, c and d both: no draw lacks short ones."""
    draws = Draws.make(list("abccdd"), ["long", "long", "long", "short", "long", "short"], seed=0)
    assert (draws.weights_DV[:, :2].sum(axis=1) == 2).all()
    assert (draws.weights_DV[:, 2:].sum(axis=1) == 2).all()


def test_a_kind_with_one_video_is_drawn_with_the_others() -> None:
    draws = Draws.make(list("abc"), ["long", "long", "short"], seed=0)
    assert set(draws.weights_DV[:, 2]) == {0, 1, 2, 3}
    assert (draws.weights_DV.sum(axis=1) == 3).all()


def test_a_difference_is_surer_than_the_figures() -> None:
    found = line(compare(two_models()), "ours | new", "overall")
    against, own = difference(found, "JF"), found.figures["JF"]
    assert against.value == pytest.approx(4, abs=1)
    assert ends(against)[0] > 0
    assert np.ptp(ends(against)) < 0.4 * np.ptp(ends(own))
    assert line(compare(two_models()), "base", "overall").differences is None


def test_the_same_seed_gives_the_same_and_another_almost() -> None:
    assert compare(two_models()) == compare(two_models())
    one, other = (line(compare(two_models(), seed=seed), "base", "long").figures["J"] for seed in (0, 1))
    assert one != other
    assert one.low == pytest.approx(other.low, abs=0.7)


def test_one_video_has_no_interval() -> None:
    lines = compare([Scores("m", rows(1))])
    assert [each.figures["JF"].low for each in lines] == [None] * len(lines)
    assert str(lines[0].figures["JF"]) == f"{lines[0].figures['JF'].value:.2f}"


def test_strata_are_measured_or_told_by_the_split_and_tell_apart() -> None:
    told = tuple(replace(row, strata=(("motion", "still"),)) if row.video_id < "v05" else row for row in rows())
    lines = {(each.facet, each.level): each for each in compare([Scores("m", told)])}
    assert list(lines) == [
        *(("group", name) for name in ("long", "short", "overall")),
        *(("object size", name) for name in ("tiny", "small", "medium")),
        ("motion", "still"),
    ]
    still = [row for row in told if row.strata]
    assert lines["motion", "still"].expressions == len(still)
    assert lines["motion", "still"].videos == 5
    assert lines["motion", "still"].figures["J"].value == pytest.approx(np.mean([row.j for row in still]))
    assert sum(lines["object size", name].expressions for name in ("tiny", "small", "medium")) == len(told)


def test_models_on_other_expressions_or_of_one_name_are_not_compared() -> None:
    with pytest.raises(ValueError, match="the same expressions, got others for b"):
        compare([Scores("a", rows(4)), Scores("b", rows(5))])
    with pytest.raises(ValueError, match="different names, got a, a; name them as NAME=path"):
        compare([Scores("a", rows(4)), Scores("a", rows(4))])
    long_only = tuple(row for row in rows(4) if row.group == "long")
    with pytest.raises(ValueError, match="no figure for short"):
        compare([Scores("a", long_only)])
    assert {each.level for each in compare([Scores("a", long_only)], ["long"]) if each.facet == "group"} == {"long"}


def test_tables_say_the_same() -> None:
    lines = compare(two_models())
    overall = line(lines, "ours | new", "overall")
    text = markdown(lines, paper=True)
    assert f" {overall.figures['JF']} |" in text
    assert f"{difference(overall, 'JF').value:+.2f} [" in text
    assert "| ours \\| new |" in text
    assert "| paper: Sa2VA-8B + Ref-SAV |  |  | 58.7 |  |  | 41.2 |  |  | 50.0 |" in text
    assert "paper" not in markdown(lines)
    widths = {
        table_line.replace("\\|", "").count("|") for table_line in text.splitlines() if "overall J&F" in table_line
    }
    assert widths == {11}
    records = list(csv.DictReader(io.StringIO(as_csv(lines, paper=True))))
    (record,) = (
        r
        for r in records
        if (r["model"], r["facet"], r["level"], r["figure"]) == ("ours | new", "group", "overall", "JF")
    )
    assert float(record["percent"]) == pytest.approx(overall.figures["JF"].value, abs=1e-4)
    assert float(record["difference_low"]) == pytest.approx(difference(overall, "JF").low, abs=1e-4)
    assert sum(r["model"].startswith("paper:") for r in records) == 9
    shown = screen_text(lines).splitlines()
    assert len(shown) == 7
    assert f"{overall.figures['JF'].value:.2f}" in shown[-1]


def test_the_picture_shows_every_model_in_its_colour(tmp_path: Path) -> None:
    models = [*two_models(), Scores("third", rows(seed=2, better=-6))]
    plot(compare(models), tmp_path / "deep/comparison.png")
    picture = np.asarray(cv2.imread(str(tmp_path / "deep/comparison.png")))
    for bgr in ((0xB2, 0x72, 0x00), (0x00, 0x5E, 0xD5), (0x73, 0x9E, 0x00)):
        assert np.count_nonzero((picture == np.array(bgr)).all(axis=2)) > 200
