"""The command: what it writes and prints, what it refuses with exit code 2, and that it needs no torch."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.evaluate_refsav import main
from pipeline.sa2va.checkpoint.sidecar import write_trained_on
from pipeline.sa2va.checkpoint.write import save_sa2va
from tests.pipeline.evaluation.drawn import edit, write_predictions, write_split
from tests.pipeline.sa2va.infer.clip import taught_sa2va
from tests.pipeline.sa2va.tiny import tiny_pixels

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_split(tmp_path_factory.mktemp("cli") / "split", videos=6)


@pytest.fixture
def models(split: Path, tmp_path: Path) -> list[str]:
    """Predictions of two models."""
    good = write_predictions(tmp_path / "good/results.json", split, off_px=1.0)
    bad = write_predictions(tmp_path / "bad/results.json", split, off_px=4.0)
    return [str(good), str(bad)]


def test_two_models_are_scored_compared_and_printed(
    split: Path, models: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "scores"
    assert main([str(split), "--predictions", *models, "--out", str(out), "--paper"]) == 0
    files = sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file())
    assert files == [
        *("bad/ref_sav_valid.csv", "bad/ref_sav_valid.json"),
        *("comparison.csv", "comparison.md", "comparison.png"),
        *("good/ref_sav_valid.csv", "good/ref_sav_valid.json"),
    ]
    means = {name: json.loads((out / name / "ref_sav_valid.json").read_text()) for name in ("good", "bad")}
    assert means["good"]["overall"]["JF"] > means["bad"]["overall"]["JF"] + 20
    printed = capsys.readouterr().out
    for name, found in means.items():
        assert all(f"{found[group][figure]:.2f}" in printed for group in found for figure in ("J", "F", "JF")), name
    assert "paper: Sa2VA-8B" in (out / "comparison.md").read_text()


def test_without_out_files_lie_beside_the_predictions(split: Path, models: list[str], tmp_path: Path) -> None:
    assert main([str(split), "--predictions", f"mine={Path(models[0]).parent}"]) == 0
    assert {path.name for path in (tmp_path / "good").iterdir()} == {
        *("results.json", "ref_sav_valid.csv", "ref_sav_valid.json"),
        *("comparison.md", "comparison.csv", "comparison.png"),
    }
    assert "| mine |" in (tmp_path / "good/comparison.md").read_text()


def test_a_split_with_long_expressions_alone_is_scored_if_asked(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    split = write_split(tmp_path / "split", short=False)
    predictions = str(write_predictions(tmp_path / "m/results.json", split))
    assert main([str(split), "--predictions", predictions]) == 2
    assert "Score what is there with --groups long" in caplog.text
    assert main([str(split), "--predictions", predictions, "--groups", "long"]) == 0
    assert list(json.loads((tmp_path / "m/ref_sav_valid.json").read_text())) == ["long"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "nothing to score: give --predictions"),
        (["--model", "m"], "--model needs --out"),
        (["--predictions", "a/results.json", "--official"], "--official is how a --model predicts"),
        (["--predictions", "a=x.json", "a=y.json"], "each model must be given once, or named as NAME=path, got a, a"),
        (["--predictions", "nowhere/results.json"], "there is no nowhere/results.json"),
        (["--predictions", "a/results.json", "--draws", "0"], "--draws and --workers must be at least 1, got 0"),
        (["--predictions", "a/results.json", "--workers", "0"], "must be at least 1, got 2000 and 0"),
        (["--predictions", "..=.", "--out", "scores"], "that of a folder in OUT: it must have no / or"),
        (["--predictions", "a/results.json", "--out", __file__], f"--out must be a folder, got {__file__}"),
    ],
)
def test_wrong_settings_are_refused(
    split: Path, caplog: pytest.LogCaptureFixture, arguments: list[str], said: str
) -> None:
    assert main([str(split), *arguments]) == 2
    assert said in caplog.text


def test_missing_predictions_are_refused_or_count_as_zero(
    split: Path, models: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    edit(Path(models[0]), lambda content: content.pop("v2"))
    assert main([str(split), "--predictions", models[0]]) == 2
    assert "v2: no prediction for expressions 4, 5, s" in caplog.text
    assert main([str(split), "--predictions", models[0], "--missing", "zero"]) == 0


def test_a_model_predicts_is_scored_and_goes_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A tiny Sa2VA from its folder, over the frames of a split; what is done is not done again."""
    split = write_split(tmp_path / "split", videos=1, jpegs=True)
    save_sa2va(taught_sa2va(), tmp_path / "tiny", pixels=tiny_pixels())
    command = [str(split), "--model", str(tmp_path / "tiny"), "--out", str(tmp_path / "out"), "--frames", "2"]
    assert main(command) == 0, caplog.text
    results = tmp_path / "out/tiny/results.json"
    entries = json.loads(results.read_text())["v0"]
    assert [entry["exp"] for entry in entries.values()] == ["the thing 0 of v0", "the thing 1 of v0", "short?"]
    assert all("[SEG]" in entry["text_prediction"] for entry in entries.values())
    assert set(json.loads((tmp_path / "out/tiny/ref_sav_valid.json").read_text())) == {"long", "short", "overall"}
    done = (tmp_path / "out/tiny/videos/v0.json").stat().st_mtime_ns
    assert main(command) == 0
    assert (tmp_path / "out/tiny/videos/v0.json").stat().st_mtime_ns == done
    assert main([*command, "--official"]) == 2
    assert "official was False, is True" in caplog.text
    assert main([*command[:4], str(tmp_path / "out"), "--predictions", f"again={results}"]) == 2
    assert "frames was 2, is None" in caplog.text


def test_all_models_are_looked_at_before_the_first_predicts_and_may_have_one_name(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    split = write_split(tmp_path / "split", videos=1, jpegs=True)
    models = [tmp_path / run / "training/model" for run in ("a", "b")]
    save_sa2va(taught_sa2va(), models[0], pixels=tiny_pixels())
    shutil.copytree(models[0], models[1])
    whole = (models[1] / "model.safetensors").read_bytes()
    (models[1] / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    command = [str(split), "--model", *map(str, models), "--out", str(tmp_path / "out"), "--frames", "2"]
    assert main(command) == 2
    assert f"the weights {models[1] / 'model.safetensors'}" in caplog.text
    assert not (tmp_path / "out").exists(), "nothing was predicted"
    (models[1] / "model.safetensors").write_bytes(whole)
    assert main(command) == 0, caplog.text
    assert {path.name for path in (tmp_path / "out").iterdir() if path.is_dir()} == {
        "a_training_model",
        "b_training_model",
    }


def test_a_model_that_has_seen_the_videos_is_refused(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    split = write_split(tmp_path / "split", videos=13, jpegs=True)
    model = tmp_path / "model"
    model.mkdir()
    command = [str(split), "--model", f"mine={model}", "--out", str(tmp_path / "out")]

    def said(*options: str) -> str:
        """It ends at the model, which is none; or before."""
        caplog.clear()
        assert main([*command, *options]) == 2
        return caplog.text

    assert "must be the folder of a Sa2VA" in said()
    write_trained_on(["v90", "sav_1"], model)
    assert "must be the folder of a Sa2VA" in said()
    write_trained_on(["v90", *(f"v{k}" for k in range(12))], model)
    refused = said()
    assert f"{model} was trained on 12 of the 13 videos in {split}: v0, v1, " in refused
    assert "v9, … (12 in all). Train with --split" in refused
    allowed = said("--allow-overlap")
    assert "WARNING" in allowed
    assert "was trained on 12 of the 13 videos" in allowed
    assert "must be the folder of a Sa2VA" in allowed
    (model / "trained_on.json").write_text('{"v0": 1}')
    assert f"{model / 'trained_on.json'} must be a list of video ids" in said()
    (model / "trained_on.json").write_text('["v0"')
    assert f"{model / 'trained_on.json'} cannot be read" in said()


def test_scoring_needs_no_torch(split: Path, models: list[str]) -> None:
    code = "import sys; sys.modules['torch'] = None; from pipeline.evaluate_refsav import main; sys.exit(main())"
    command = [sys.executable, "-c", code, str(split), "--predictions", *models]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_masks_are_looked_at_before_the_first_model_predicts(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    split = write_split(tmp_path / "split", videos=2, jpegs=True)
    given = write_predictions(tmp_path / "given/results.json", split)
    model = tmp_path / "tiny"
    save_sa2va(taught_sa2va(), model, pixels=tiny_pixels())
    command = [str(split), "--model", str(model), "--predictions", str(given), "--out", str(tmp_path / "out")]
    edit(given, lambda content: content["v1"]["2"]["prediction_masks"][5].update(counts="oops"))
    assert main(command) == 2
    assert "v1, prediction of 2, frame 00020: " in caplog.text
    edit(split / "mask_dict.json", lambda masks: masks["1"][2].update(counts="oops"))
    caplog.clear()
    assert main(command) == 2
    assert "v0, object 1, frame 00008: " in caplog.text
    assert not (tmp_path / "out").exists(), "nothing was predicted"


@pytest.mark.parametrize("taken", ["good/ref_sav_valid.csv", "comparison.md", "comparison.png"])
def test_what_cannot_be_written_ends_the_command_with_a_sentence(
    split: Path, models: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture, taken: str
) -> None:
    (tmp_path / "out" / taken / "inside").mkdir(parents=True)
    assert main([str(split), "--predictions", *models, "--out", str(tmp_path / "out")]) == 3
    assert "stopped: " in caplog.text
    assert f"{tmp_path / 'out' / taken}" in caplog.text
    assert "Give the same command again: it goes on with the videos that are not done" in caplog.text
