"""The command on a tiny checkpoint: its files, its settings, and what it says when something is wrong."""

import json
import logging
import re
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import torch
from pycocotools import mask as coco

from pipeline.infer_refsav import EXIT_FATAL, EXIT_USER_ERROR, main
from pipeline.sa2va.checkpoint.write import save_sa2va
from pipeline.sa2va.config import InferConfig
from pipeline.sa2va.infer.segment import Segmenter, load_segmenter
from pipeline.sa2va.model import Sa2va
from tests.pipeline.sa2va.infer.clip import SIZE, drawn_clip, taught_sa2va
from tests.pipeline.sa2va.models import base
from tests.pipeline.sa2va.tiny import tiny_pixels

TEXTS = ["the red ball", "Which one is blue?"]


@pytest.fixture(scope="module")
def model() -> Sa2va:
    return taught_sa2va()


@pytest.fixture(scope="module")
def checkpoint(model: Sa2va, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export") / "sa2va"
    save_sa2va(model, folder, dtype=torch.float32, pixels=tiny_pixels())
    return folder


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("frames")
    for t, frame_HW3 in enumerate(drawn_clip(7)[0]):
        cv2.imwrite(str(folder / f"{t:05d}.png"), frame_HW3[..., ::-1])
    return folder


def test_writes_masks_video_and_sheet(
    model: Sa2va, checkpoint: Path, frames: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "a" / "b"
    assert main(["--model", str(checkpoint), str(frames), *TEXTS, "--out", str(out), "--frames", "3"]) == 0
    assert str(out / "sheet.jpg") in capsys.readouterr().out
    content = json.loads((out / "masks.json").read_text())
    assert content["frames"] == [f"{t:05d}.png" for t in range(7)]
    right = Segmenter(model, InferConfig(frames=3, pixels=tiny_pixels())).segment(list(drawn_clip(7)[0]), TEXTS)
    for got, wanted in zip(content["texts"], right, strict=True):
        assert (got["text"], got["answer"]) == (wanted.text, "It is [SEG].")
        masks_THW = np.stack([coco.decode(rle) for rle in got["masks"]]).astype(bool)
        assert np.array_equal(masks_THW, wanted.masks_THW)
        assert masks_THW.any()
    with av.open(out / "overlay.mp4") as container:
        assert sum(1 for _ in container.decode(video=0)) == 7
    assert np.asarray(cv2.imread(str(out / "sheet.jpg"))).shape[1] == 4 * (SIZE[1] + 4)


def test_a_video_file_and_the_official_path(checkpoint: Path, demo_root: Path, tmp_path: Path) -> None:
    video = demo_root / "sav_train" / "demo" / "demo_000001.mp4"
    command = ["--model", str(checkpoint), str(video), "a cup", "--out", str(tmp_path), "--stride", "60"]
    assert main([*command, "--official", "--max-new-tokens", "8"]) == 0
    content = json.loads((tmp_path / "masks.json").read_text())
    assert content["frames"] == ["0", "60", "120", "180"]
    assert content["texts"][0]["masks"][0]["size"] == [720, 1280]


def test_settings_are_those_of_the_checkpoint_or_of_the_release(checkpoint: Path) -> None:
    ours = load_segmenter(checkpoint, device="cpu")._config
    assert ours == InferConfig(pixels=tiny_pixels())
    official = load_segmenter(checkpoint, official=True, batch=3)._config
    assert (official.path, official.frames, official.batch, official.max_new_tokens) == ("official", 5, 3, 2048)
    assert official.pixels.official
    assert official.official_prompts


def test_the_original_decoder_comes_from_a_published_sam2(model: Sa2va, checkpoint: Path, tmp_path: Path) -> None:
    """As for the official checkpoints, which have no copy of it."""
    bare = tmp_path / "bare"
    bare.mkdir()
    for path in checkpoint.iterdir():
        if not path.name.startswith("original_"):
            (bare / path.name).symlink_to(path)
    with pytest.raises(ValueError, match="--sam2-checkpoint"):
        load_segmenter(bare)
    load_segmenter(bare, official=True)
    weights = model.sam2.state_dict()
    weights["sam_mask_decoder.iou_token.weight"] = torch.full_like(weights["sam_mask_decoder.iou_token.weight"], 7)
    torch.save({"model": weights}, tmp_path / "sam2.pt")
    given = load_segmenter(bare, sam2_checkpoint=str(tmp_path / "sam2.pt"))._model
    assert given.original_decoder is not None
    assert (given.original_decoder.iou_token.weight == 7).all()
    assert torch.equal(given.sam2.sam_mask_decoder.iou_token.weight, model.sam2.sam_mask_decoder.iou_token.weight)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"model": "BASE"}, "must be the folder of a Sa2VA checkpoint"),
        ({"model": "nowhere"}, "must be the folder of a Sa2VA checkpoint"),
        ({"video": "nowhere.mp4"}, "must be a video file or a folder of pictures"),
        ({"video": __file__}, "must be a video, got text"),
        ({"text": " "}, "every text must have words"),
        ({"text": "the [SEG]"}, r"must not have the tokenizer's token \[SEG\]"),
        ({"device": "tpu9"}, "--device must be one that torch can use"),
        ({"frames": "0"}, "frames must be at least 1"),
        ({"out": f"{__file__}/below"}, "--out must be a folder"),
    ],
)
def test_wrong_settings_are_told(
    checkpoint: Path,
    frames: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    changed: dict[str, str],
    message: str,
) -> None:
    given = {"model": str(checkpoint), "video": str(frames), "text": "a ball", "device": "cpu", "frames": "5"}
    given |= {"out": str(tmp_path / "out")} | changed
    model = str(base()) if given["model"] == "BASE" else given["model"]
    command = [given["video"], given["text"], "--model", model, "--out", given["out"]]
    with caplog.at_level(logging.ERROR):
        assert main([*command, "--device", given["device"], "--frames", given["frames"]]) == EXIT_USER_ERROR
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert re.search(message, record.getMessage())
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("taken", ["sheet.jpg", "masks.json", "overlay.mp4"])
def test_what_cannot_be_written_ends_the_command_with_a_sentence(
    checkpoint: Path, frames: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, taken: str
) -> None:
    (tmp_path / taken).mkdir()
    command = ["--model", str(checkpoint), str(frames), "a ball", "--out", str(tmp_path), "--frames", "2"]
    assert main(command) == EXIT_FATAL
    assert f"(--out {tmp_path}). See to that and give the same command again" in caplog.text


def test_a_text_is_needed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--model", "m", "v.mp4", "--out", "o"])
    assert "text" in capsys.readouterr().err
