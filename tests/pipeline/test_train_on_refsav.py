"""The command, on a real Ray: a worker dies and the run goes on; what is wrong is told before anything starts."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from pipeline.sa2va.config import ModelConfig, OptimConfig, TrainConfig, with_settings
from pipeline.sa2va.train import state
from pipeline.sa2va.train.run import train
from pipeline.sa2va.train.step import DistContext
from pipeline.sa2va.train.training_data import read_data
from tests import warm
from tests.pipeline.sa2va.tiny import make_tiny
from tests.running import ROOT, until

WAIT_S = 300.0
SHORT = ["loader_workers=0", "checkpoint_every=2"]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mllm")
    make_tiny(folder)
    return folder


def arguments(source: Path, sav: Path, base: Path, out: Path, *options: str) -> list[str]:
    asked = ["--source", str(source), "--sav-root", str(sav), "--base", str(base), "--out", str(out)]
    numbers = ["--batch", "4", "--micro-batch", "2", "--epochs", "6", "--cpu"]
    if (base / "settings.txt").exists():
        numbers += [f"@{base / 'settings.txt'}", *SHORT]
    return [*asked, *numbers, *options]


def told(*options: str, **paths: Path) -> subprocess.CompletedProcess[str]:
    asked = arguments(paths["source"], paths["sav"], paths["base"], paths["out"], *options)
    return warm.run("pipeline.train_on_refsav", asked, timeout_s=WAIT_S)


def curve(out: Path) -> list[dict[str, float]]:
    written = (out / "curve.jsonl").read_text().splitlines(keepends=True)
    lines = [json.loads(line) for line in written if line.endswith("\n")]  # the last one may be half there
    return [{name: value for name, value in line.items() if not name.endswith("/s")} for line in lines]


def workers_of(run: psutil.Process) -> list[psutil.Process]:
    return [child for child in run.children(recursive=True) if "RayTrainWorker" in " ".join(child.cmdline())]


def test_a_run_that_is_ended_and_whose_worker_is_killed_has_the_same_curve(
    demo_run: Path, demo_root: Path, base: Path, tmp_path: Path
) -> None:
    out, whole = tmp_path / "out", tmp_path / "whole"
    asked = [sys.executable, "-m", "pipeline.train_on_refsav", *arguments(demo_run, demo_root, base, out)]

    def begun(lines: int) -> subprocess.Popen[str]:
        """The command, when its curve has so many lines."""
        pipe = subprocess.PIPE
        run = subprocess.Popen(asked, cwd=ROOT, start_new_session=True, stdout=pipe, stderr=pipe, text=True)
        until(lambda: (out / "curve.jsonl").exists() and len(curve(out)) >= lines, run, WAIT_S)
        return run

    ended = begun(1)
    os.killpg(ended.pid, signal.SIGTERM)  # the whole group, Ray's processes too if they were in it
    printed, errors = ended.communicate(timeout=WAIT_S)
    assert ended.returncode == 3, errors
    assert "stopped: the run was asked to end, by SIGTERM" in errors
    assert "Traceback" not in errors + printed
    steps = len(curve(out))
    last = state.latest(out)
    assert last is not None
    assert state.step_of(last) == steps, "not even the running step is lost"

    killed = begun(steps + 3)  # a checkpoint after that of the end is complete
    [victim] = workers_of(psutil.Process(killed.pid))
    victim.kill()
    printed, errors = killed.communicate(timeout=WAIT_S)
    assert killed.returncode == 0, errors
    assert f"model    {out / 'model'}" in printed
    told = [line for line in printed.splitlines() if " done before" in line]
    assert len(told) == 2, printed
    assert f"7 videos, 12 steps, {steps} done before" in told[0]
    assert f"{steps} done before" not in told[1], "from a later checkpoint on"

    config = _config(demo_run, demo_root, base, whole)
    train(config, *read_data(config), DistContext())
    assert curve(out) == curve(whole)
    exported = [(folder / "model" / "model.safetensors").read_bytes() for folder in (out, whole)]
    assert exported[0] == exported[1]


def _config(source: Path, sav: Path, base: Path, out: Path) -> TrainConfig:
    config = TrainConfig(
        source=str(source),
        sav_root=str(sav),
        store=str(source / "frames"),
        out=str(out),
        model=ModelConfig(base=str(base)),
    )
    config = replace(config, optim=OptimConfig(batch=4, micro_batch=2, epochs=6))
    return with_settings(config, [*(base / "settings.txt").read_text().splitlines()[1:], *SHORT])


def test_two_workers_share_the_work_and_what_cannot_be_mended_is_not_tried_again(
    demo_run: Path, demo_root: Path, base: Path, tmp_path: Path
) -> None:
    paths = {"source": demo_run, "sav": demo_root, "base": base, "out": tmp_path / "out"}
    wild = ["optim.lr=1e30", "optim.clip_norm=1e30", "optim.warmup_frac=0.0"]
    done = told("--workers", "2", "--set", *wild, **paths)
    assert done.returncode == 2, done.stderr
    assert "the loss must be a number, got llm" in done.stderr
    assert "for the videos demo_" in done.stderr
    assert done.stdout.count("0 done before") == 1, "told once, by the first worker, and not begun again"
    steps = curve(tmp_path / "out")
    alone = _config(demo_run, demo_root, base, tmp_path / "alone")
    train(replace(alone, stop_after=1), *read_data(alone), DistContext())
    assert steps[0]["step"] == 1
    assert steps[0]["llm"] == pytest.approx(curve(tmp_path / "alone")[0]["llm"], rel=0.05), "the same videos in sum"


@pytest.mark.parametrize("damage", ["weights are cut", "tokenizer is a list"])
def test_a_damaged_base_is_one_sentence(
    demo_run: Path, demo_root: Path, base: Path, tmp_path: Path, damage: str
) -> None:
    broken = tmp_path / "base"
    shutil.copytree(base, broken)
    weights = broken / "model.safetensors"
    if damage == "weights are cut":
        weights.write_bytes(weights.read_bytes()[:1000])
    else:
        (broken / "tokenizer.json").write_text("[]")
    done = told("--max-restarts", "0", source=demo_run, sav=demo_root, base=broken, out=tmp_path / "out")
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) <= 2, "what was read, if that was possible, and what is wrong"


def test_what_is_wrong_is_told_before_anything_starts(
    demo_run: Path, demo_root: Path, base: Path, tmp_path: Path
) -> None:
    paths = {"source": demo_run, "sav": demo_root, "base": base, "out": tmp_path / "out"}
    cut = shutil.copytree(base, tmp_path / "cut")
    weights = (cut / "model.safetensors").read_bytes()
    (cut / "model.safetensors").write_bytes(weights[: len(weights) // 2])
    (cut / "settings.txt").rename(tmp_path / "settings.txt")
    settings = (tmp_path / "settings.txt").read_text().splitlines()[1:]
    for changed, options, rule in (
        ({}, ["--store", str(tmp_path)], "frame store"),
        ({}, ["--set", "optim.bacth=3"], "there is no 'bacth'; there is lr, betas"),
        ({"source": tmp_path}, [], str(tmp_path)),
        ({"base": tmp_path}, ["--set", "seed=0"], "has no config.json"),
        ({"out": base / "config.json"}, [], str(base / "config.json")),
        ({}, ["--workers", "0"], "--workers must be at least 1, got 0"),
        ({}, ["--workers", "5"], "got 4 videos and 5 workers: take fewer workers or a larger batch"),
        ({}, ["--max-restarts", "-5"], "--max-restarts must not be negative, got -5"),
        ({}, ["--sam2-checkpoint", "nowhere.pt"], "--sam2-checkpoint must be a file"),
        ({}, ["--store", "nowhere"], "--store must be the folder of a frame store"),
        ({}, ["--official-code", str(tmp_path)], "--official-code must be a clone of bytedance/Sa2VA"),
        ({"base": tmp_path / "tiy"}, ["--set", "seed=0"], "tiy has no config.json"),
        ({"base": cut}, ["--set", *settings], f"the weights {cut / 'model.safetensors'}"),
        ({}, ["--split", str(tmp_path)], "a split is a folder with split.json or meta_expressions_valid.json"),
    ):
        done = told(*options, **paths | changed)
        assert done.returncode == 2, done
        assert rule in done.stderr
        assert "Traceback" not in done.stderr
    for mistyped, rule in (
        ("lab/not-there", "lab/not-there (revision main) is not in the cache"),
        ("runs/a/b", "neither"),
    ):
        hub = told("--set", "seed=0", **paths | {"base": Path(mistyped)})
        assert (hub.returncode, "Traceback" in hub.stderr, "same command" in hub.stderr) == (2, False, False)
        assert f"there is no folder {ROOT / mistyped}, and " in hub.stderr
        assert rule in hub.stderr
    assert not (tmp_path / "out").exists()


def test_check_reads_everything_and_trains_nothing(demo_run: Path, demo_root: Path, base: Path, tmp_path: Path) -> None:
    done = told("--check", source=demo_run, sav=demo_root, base=base, out=tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert "expressions of 7 videos are sound" in done.stderr
    assert "the model can be built" in done.stderr
    step = told("--check", "step", source=demo_run, sav=demo_root, base=base, out=tmp_path / "out")
    assert step.returncode == 0, step.stderr
    assert re.search(r"a micro-batch of 2 videos: loss \d", step.stderr)
    assert not (tmp_path / "out").exists()


def test_a_training_file_finds_its_run_and_several_are_read_together(
    demo_run: Path, base: Path, tmp_path: Path
) -> None:
    """With defaults: SAV_ROOT and the frame store are those of the run that the file lies in."""
    asked = ["--base", str(base), "--check", "--cpu", f"@{base / 'settings.txt'}"]
    file = str(demo_run / "Ref-SAV.json")
    for sources in ([file], [str(demo_run), file], [str(demo_run), "--source", file]):
        done = warm.run("pipeline.train_on_refsav", [*asked, "--source", *sources])
        assert done.returncode == 0, done.stderr
        assert "expressions of 7 videos are sound" in done.stderr
