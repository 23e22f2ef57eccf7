"""The command that measures gates against people, and the file that the next run takes."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from manifests.arrow import to_table
from manifests.io import Folder
from manifests.lineup import Lineup, LineupTrial
from manifests.schema import AnnotationRow, Contradiction, Reason, Status
from pipeline import annotate
from pipeline.calibrate import main
from pipeline.run.recipes import modern, paper
from pipeline.run.thresholds import with_thresholds
from pipeline.verification.run_texts import plain
from stages.lineup_trials import LineupConfig
from tests.pipeline.rows import row
from tests.pipeline.verification.test_verdicts import _TYPES, judgement


def held(object_id: str, expression: str, rate: float) -> Lineup:
    """A line-up of five trials, of which a share ended with the right object alone and the others with another."""
    right = round(5 * rate)
    trials = [LineupTrial(heats=[], picked=[object_id if n < right else "other"]) for n in range(5)]
    return Lineup(
        expression=expression,
        candidates=[object_id, "other"],
        places=["middle left", "middle right"],
        times_s=[0.5],
        trials=trials,
        pick_rate=rate,
        runner_up="other" if right < 5 else None,
        runner_up_rate=1 - rate,
        decision="singled_out" if rate >= 0.6 else "ambiguous",
        judge="judge",
        revision="",
    )


def made(video: int, rate: float, end: str = "kept") -> AnnotationRow:
    """A row whose text came to its end there."""
    about = row(video, 0)
    expression = f"{about.object_description} {about.scene_description} {about.video_description} {video}"
    columns: dict[str, Any] = {"verdict": "consistent", "expression": expression}
    rejected = {"status": Status.REJECTED, "detail": "rule", "short_expression": None}
    if end != "facts":
        columns["lineup"] = held(about.object_id, expression, rate)
    if end == "lineup":
        columns |= rejected | {"stage": "verify_lineup", "reason": Reason.AMBIGUOUS}
    elif end == "facts":
        claim = Contradiction(kind="colour", claim="red", measured="blue")
        columns |= rejected | {"stage": "check_facts", "reason": Reason.CONTRADICTED, "contradictions": [claim]}
    return about.model_copy(update=columns)


@pytest.fixture
def judged_run(tmp_path: Path) -> Path:
    """A run and a split: 160 kept texts of two pick rates, 40 that each of two gates rejected."""
    rows, judgements = [], []
    for video in range(240):
        end = "lineup" if video >= 200 else "facts" if video >= 160 else "kept"
        rate = 0.4 if end == "lineup" else 0.6 if video % 4 == 0 else 1.0
        rows.append(made(video, rate, end))
        right = video % 3 == 0 if end != "kept" or rate < 1 else True
        text = plain(rows[-1].expression or "")
        parts = {"object": text, "scene": "", "video": ""}
        judgements.append(
            judgement(
                judgement=video,
                expression=str(video),
                object_id=rows[-1].object_id,
                source="kept" if end == "kept" else "rejected",
                text=list(parts.items()),
                **({} if right else {"state": "dropped", "decision": "reject", "reasons": ["wrong_action"]}),
            )
        )
    out = Folder(str(tmp_path / "run"))
    out.write_table("annotations/0.parquet", to_table(rows, AnnotationRow))
    columns = {name: pa.array([one[name] for one in judgements], _TYPES.get(name)) for name in judgement()}
    (tmp_path / "split").mkdir()
    pq.write_table(pa.table(columns), tmp_path / "split" / "judgements.parquet")
    return tmp_path


def test_it_prints_the_gates_and_writes_a_threshold_that_a_run_takes(
    judged_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [str(judged_run / "run"), "--verdicts", str(judged_run / "split")]
    assert main(given) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "240 of 240 texts of the run judged, in 240 videos: 160 right"
    cells = {line.split()[0]: line.split() for line in lines if line}
    assert cells["facts"][1:5] == ["200", "200", "40", "40"]
    assert cells["lineup"][1:5] == ["160", "160", "40", "40"]
    assert cells["composer"][-2:] == ["nothing", "rejected"]
    assert not (judged_run / "run" / "thresholds.toml").exists()
    assert main([*given, "--precision", "0.9"]) == 0
    shown = capsys.readouterr().out
    assert "min_pick_rate = 1: a precision of at least 90.0%, measured 100.0% (" in shown
    file = judged_run / "run" / "thresholds.toml"
    assert f"written  {file}" in shown
    assert "# min_pick_rate = 1: a precision of at least 90.0%" in file.read_text()
    assert with_thresholds(modern(), str(file)).lineup == LineupConfig(min_pick_rate=1.0)
    options = annotate.parser().parse_args(["--shard", "demo", "--recipe", "modern", "--thresholds", str(file)])
    taken = annotate._config(options, ["demo"])
    assert taken.lineup is not None
    assert taken.lineup.min_pick_rate == 1.0
    assert annotate.main(["--shard", "demo", "--check", "--thresholds", str(file)]) == 0


def test_a_precision_that_is_not_reached_leaves_a_file_that_says_so(
    judged_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    to = tmp_path / "strict.toml"
    to.write_text("[lineup]\nmin_pick_rate = 0.7\n")
    given = [str(judged_run / "run"), "--verdicts", str(judged_run / "split" / "judgements.parquet")]
    assert main([*given, "--precision", "0.999", "--to", str(to)]) == 1
    why = "no threshold with a precision of 99.9%: too few: at a pick rate of 1 it is 100.0%, but it may be as low as"
    assert why in capsys.readouterr().out
    assert f"# {why}" in to.read_text(), "and the old threshold is gone"
    assert annotate.main(["--shard", "demo", "--check", "--thresholds", str(to)]) == 2
    assert "has no threshold, and its comments say why" in caplog.text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--precision", "95"], "--precision must lie between 0 and 1, got 95.0"),
        (["--to", "x.toml"], "say by --precision which one"),
        (["--precision", "0.9", "--to", "nowhere/x.toml"], "--to must be a file in a folder that is there"),
    ],
)
def test_wrong_settings(judged_run: Path, options: list[str], message: str, caplog: pytest.LogCaptureFixture) -> None:
    assert main([str(judged_run / "run"), "--verdicts", str(judged_run / "split"), *options]) == 2
    assert message in caplog.text


def test_a_folder_without_a_run(tmp_path: Path, judged_run: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert main([str(tmp_path / "nothing"), "--verdicts", str(judged_run / "split")]) == 2
    assert "must hold texts that a gate has seen, got none" in caplog.text
    (tmp_path / "broken" / "annotations").mkdir(parents=True)
    (tmp_path / "broken" / "annotations" / "0.parquet").write_bytes(b"PAR1")
    assert main([str(tmp_path / "broken"), "--verdicts", str(judged_run / "split")]) == 2
    assert "RUN must be the folder of an annotation run" in caplog.text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[lineup", "--thresholds must be a TOML file"),
        ("", "has no threshold"),
        ("[lineup]\nmin_pick_rat = 0.8", r"must have \[lineup\] min_pick_rate and nothing else"),
        ("[facts]\nx = 1", "and nothing else, got {'facts'"),
        ("lineup = 3", "and nothing else, got {'lineup': 3}"),
        ("[lineup]", "and nothing else, got {'lineup': {}}"),
        ("[lineup]\nmin_pick_rate = '0.8'", "min_pick_rate must be a number, got '0.8'"),
        ("[lineup]\nmin_pick_rate = true", "min_pick_rate must be a number, got True"),
        ("[lineup]\nmin_pick_rate = nan", r"min_pick_rate must be in \(0, 1\]"),
        (f"[lineup]\nmin_pick_rate = 1{'0' * 400}", r"min_pick_rate must be in \(0, 1\]"),
        ("[lineup]\nmin_pick_rate = 1.5", r"min_pick_rate must be in \(0, 1\]"),
    ],
)
def test_a_file_of_thresholds_that_is_wrong_is_refused(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "t.toml").write_text(content)
    with pytest.raises(ValueError, match=message):
        with_thresholds(modern(), str(tmp_path / "t.toml"))


def test_a_file_of_thresholds_may_have_a_byte_order_mark_and_lie_behind_a_url(tmp_path: Path) -> None:
    file = tmp_path / "t.toml"
    file.write_bytes(b"\xef\xbb\xbf[lineup]\r\nmin_pick_rate = 0.8\r\n")
    assert with_thresholds(modern(), file.as_uri()).lineup == LineupConfig(min_pick_rate=0.8)
    with pytest.raises(ValueError, match="must be a TOML file, got no://where"):
        with_thresholds(modern(), "no://where")


def test_a_recipe_without_a_lineup_takes_no_threshold_of_one(tmp_path: Path) -> None:
    (tmp_path / "t.toml").write_text("[lineup]\nmin_pick_rate = 0.8\n")
    with pytest.raises(ValueError, match="recipe 'paper' has no line-up here: give --lineup on"):
        with_thresholds(paper(), str(tmp_path / "t.toml"))
    with pytest.raises(ValueError, match="must be a TOML file, got .*gone.toml"):
        with_thresholds(paper(), str(tmp_path / "gone.toml"))
