"""Settings from a file: what it says goes before the defaults, and options before it; nothing is taken unseen."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from pipeline.sa2va.config import DataConfig, ModelConfig, OptimConfig, TrainConfig, official_train
from pipeline.sa2va.config_file import CONTENT, LaunchConfig, as_toml, read_config_file, with_values
from pipeline.train_on_refsav import _config, parser

CONFIG = TrainConfig(
    source=("a", 'b\\c "d" ü \x7f'),
    sav_root="",
    out="/out",
    model=ModelConfig(base="some/base"),
    data=DataConfig(frames=8, official_questions=("What is {}?\n",)),
    optim=OptimConfig(lr=1e-5, betas=(0.5, 0.75)),
)


def written(tmp_path: Path, text: str, name: str = "run.toml") -> Path:
    file = tmp_path / name
    file.write_text(text)
    return file


@pytest.mark.parametrize("config", [CONFIG, official_train(CONFIG)], ids=["ours", "official"])
@pytest.mark.parametrize("run", [LaunchConfig(), LaunchConfig(workers=8, cpu=True, ray_address="auto")], ids=["1", "8"])
def test_what_is_printed_is_read_back(tmp_path: Path, config: TrainConfig, run: LaunchConfig) -> None:
    values = read_config_file(written(tmp_path, as_toml(config, run)))
    assert with_values(LaunchConfig(workers=3, max_restarts=9), values.pop("run"), "x") == run
    assert with_values(replace(CONFIG, data=DataConfig(), seed=7), values, "x") == config


def test_the_settings_of_a_checkpoint_are_read(tmp_path: Path) -> None:
    text = json.dumps(asdict(CONFIG) | {CONTENT: {"model.base": "1234"}})
    values = read_config_file(written(tmp_path, "\N{BYTE ORDER MARK}" + text, "settings.json"))
    assert with_values(TrainConfig(source="", sav_root="", out="", model=ModelConfig(base="")), values, "x") == CONFIG


def test_options_go_before_the_file_and_the_file_before_the_defaults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "other:1")
    monkeypatch.chdir(tmp_path)
    file = written(
        tmp_path,
        'source = "runs/a"\nsav_root = "sav"\nseed = 5\n[model]\nbase = "file/base"\n[data]\nframes = 8\n'
        '[optim]\nbatch = 16\nmicro_batch = 1\nlr = 1\n[run]\nworkers = 4\nray_address = "head:1"\ncpu = true\n',
    )
    options = ["--config", str(file), "--batch", "32", "--base", "typed/base", "--set", "data.frames=9", "seed=6"]
    config, run = _config(parser().parse_args([*options, "--workers", "2", "--no-cpu"]))
    assert config.sources == (str(tmp_path / "runs/a"),)
    assert (config.sav_root, config.out) == (str(tmp_path / "sav"), str(tmp_path / "runs/a/training"))
    assert (config.model.base, config.data.frames, config.seed) == ("typed/base", 9, 6)
    assert (config.optim.batch, config.optim.micro_batch, config.optim.lr) == (32, 1, 1.0)
    assert config.optim.epochs == OptimConfig().epochs
    assert run == LaunchConfig(workers=2, cpu=False, ray_address="head:1")


@pytest.mark.torch  # an official run looks into its base model
def test_what_a_file_names_goes_before_the_releases_choices(tmp_path: Path) -> None:
    text = f'source = "a"\nofficial = true\n[model]\nbase = "{tmp_path}"\n[data]\nrepeats = 2\n'
    (tmp_path / "config.json").write_text('{"model_type": "qwen3_vl", "text_config": {"hidden_size": 64}}')
    config, _ = _config(parser().parse_args(["--config", str(written(tmp_path, text))]))
    assert (config.official, config.data.repeats, config.data.frame_choice, config.optim.batch) == (
        *(True, 2, "random"),
        128,
    )


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("seed = 'x", "must be a TOML file"),
        ("sede = 1", "there is no setting 'sede'; there is accept_changed_data"),
        ("[optim]\nlearning_rate = 1", "no setting 'optim.learning_rate'; there is batch, betas"),
        ("optim = 3", "optim must be a table of settings, got 3"),
        ("[optim]\nbatch = '256'", "optim.batch must be a valid integer, got '256'"),
        ("[optim]\nbatch = 2.5", "optim.batch must be a valid integer"),
        ("[optim]\nbatch = true", "optim.batch must be a valid integer"),
        ("[optim]\nbatch = 0", "optim.batch must be at least 1, got 0"),
        ("[optim]\nbetas = [1]", "optim.betas[1] must be given, got [1]"),
        ("[data]\nframe_choice = 'first'", "data.frame_choice must be 'uniform' or 'random', got 'first'"),
        ("seed = 2026-11-26", "seed must be text, a number, true, false or a list"),
        ("source = 3", "source must be"),
        ("[model]\nbase = 'b'\n[model.sam2.checkpoint]\nx = 1", "model.sam2.checkpoint must be a valid string"),
        ("[run]\nworker = 2", "there is no setting 'run.worker'; there is cpu, max_restarts, ray_address, workers"),
        ("[model]\nbase = ''", "--base must be given"),
        ("source = []", "--source must be given"),
        ("run = 3", "run must be a table of settings, got 3"),
        ("official = true\nofficial_code = 5", "official_code must be a valid string, got 5"),
        ("[optim]\nlr = inf", "optim.lr must be a number, got inf"),
        ("[optim]\nclip_norm = 0", "optim.clip_norm must be positive, got 0.0"),
        ("[optim]\nbetas = [0.9, nan]", "optim.betas must be a number, got (0.9, nan)"),
        ("[optim]\nbetas = [0.9, 1]", "optim.betas must be in [0, 1), got (0.9, 1.0)"),
        ("eval_every_s = inf", "eval_every_s must be a number, got inf"),
        ("seed = -1", "seed must be in [0, 2^63), got -1"),
        ('split = "a\\u0000b"', "a path must be one that can exist, got 'a\\x00b'"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path: Path, text: str, rule: str) -> None:
    model = "" if "[model" in text else '\n[model]\nbase = "some/base"\n'
    source = "" if "source" in text else 'source = "a"\n'
    file = written(tmp_path, source + text + model)
    with pytest.raises(ValueError, match=".") as caught:
        _config(parser().parse_args(["--config", str(file)]))
    assert rule in str(caught.value)
    assert rule.startswith(("--", "a path")) or str(file) in str(caught.value)


@pytest.mark.parametrize(
    ("sources", "rule"),
    [
        (['path = "a"\nrepeat = 2'], "mixture[0].repeat: there is no such setting"),
        (['path = "a"', "repeats = 2"], "mixture[1].path must be given"),
        (['path = "a"\nrepeats = inf'], "mixture[0]: repeats must be a number, got inf"),
        (['path = "a"\nrepeats = 0'], "mixture[0]: repeats must be positive, got 0.0"),
        (['path = "a"\nrepeats = 2\nweight = 3'], "of repeats and weight one may be given, got 'repeats 2, weight 3'"),
        (['path = "a"\nweight = 1', 'path = "b"'], "all sources of a mixture must have a weight, or none"),
        (['path = "a"', 'path = "c/a"'], "must have different names"),
        (['path = "a"', 'path = "./b/../a/Ref-SAV.json"\nname = "b"'], "a data set stands once in a mixture"),
    ],
)
def test_what_is_wrong_with_a_mixture(tmp_path: Path, sources: list[str], rule: str) -> None:
    text = "".join(f"[[mixture]]\n{one}\n" for one in sources) + '[model]\nbase = "b"\n'
    with pytest.raises(ValueError, match=".") as caught:
        _config(parser().parse_args(["--config", str(written(tmp_path, text))]))
    assert rule in str(caught.value)


def test_an_option_takes_the_place_of_a_files_mixture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    file = written(tmp_path, '[[mixture]]\npath = "."\n[model]\nbase = "b"\n')
    assert _config(parser().parse_args(["--config", str(file)]))[0].mixture[0].name == tmp_path.name
    config, _ = _config(parser().parse_args(["--config", str(file), "--source", "c"]))
    assert (config.sources, config.mixture) == ((str(tmp_path / "c"),), ())


def test_a_file_of_windows_and_a_home_are_understood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    text = 'source = "~/my runs/ä"\r\nout = "~"\r\n[model]\r\nbase = "~/b"\r\n'
    for raw in (text.encode("utf-16"), text.encode("utf-8-sig")):
        (tmp_path / "run.toml").write_bytes(raw)
        config, _ = _config(parser().parse_args(["--config", str(tmp_path / "run.toml")]))
        assert config.sources == (str(tmp_path / "my runs/ä"),)
        assert (config.out, config.model.base) == (str(tmp_path), str(tmp_path / "b"))


@pytest.mark.parametrize(
    ("name", "raw"),
    [("run.toml", b"\xff\xfe\x00"), ("run.json", b"{"), ("run.json", b"[1]"), ("run.json", b"[" * 10**5)],
)
def test_a_file_that_is_none_is_named(tmp_path: Path, name: str, raw: bytes) -> None:
    (tmp_path / name).write_bytes(raw)
    for file in (tmp_path / name, tmp_path / "none.toml", tmp_path):
        with pytest.raises(ValueError, match="--config must") as caught:
            read_config_file(file)
        assert str(file) in str(caught.value)
