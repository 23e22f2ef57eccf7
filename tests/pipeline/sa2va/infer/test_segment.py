"""From frames and texts to masks: what is read, asked, shared and refused; and golden masks of the drawn clip."""

import json
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from pycocotools import mask as coco

from pipeline.sa2va.config import InferConfig, official_infer
from pipeline.sa2va.infer.generate import encode_prompts
from pipeline.sa2va.infer.paths import Consistent, Official
from pipeline.sa2va.infer.segment import Segmentation, Segmenter
from pipeline.sa2va.model import Sa2va
from stages.video.images import Image
from tests.pipeline.sa2va.infer.clip import SIZE, drawn_clip, tiny_sa2va
from tests.pipeline.sa2va.tiny import tiny_pixels, weight_of

GOLDEN = Path(__file__).with_name("golden_masks.json")
FRAMES = 12
TEXTS = ("the red ball", "The large blue ball moves to the left. It is hidden by the red ball.")
OURS = InferConfig(frames=3, pixels=tiny_pixels())
OFFICIAL = replace(official_infer(OURS), frames=3, pixels=tiny_pixels(), max_new_tokens=64)


class Watched(Sequence[Image]):
    """Frames that note who reads which of them, and when."""

    def __init__(self, frames: int = FRAMES) -> None:
        self.frames_THW3, _ = drawn_clip(frames)
        self.read: list[int] = []
        self.elsewhere: list[int] = []

    def __len__(self) -> int:
        return len(self.frames_THW3)

    def __getitem__(self, index: Any) -> Any:
        self.read.append(index)
        if threading.current_thread() is not threading.main_thread():
            self.elsewhere.append(index)
        return self.frames_THW3[index]


@pytest.fixture(scope="module", params=[OURS, OFFICIAL], ids=["consistent", "official"])
def config(request: pytest.FixtureRequest) -> InferConfig:
    assert isinstance(request.param, InferConfig)
    return request.param


@pytest.fixture(scope="module")
def found(sa2va: Sa2va, config: InferConfig) -> list[Segmentation]:
    return Segmenter(sa2va, config).segment(Watched(), TEXTS)


def test_golden_masks(found: list[Segmentation], config: InferConfig) -> None:
    """`python -m tests.pipeline.sa2va.infer.golden` writes them anew; rounding may flip a pixel in 500."""
    golden = json.loads(GOLDEN.read_text())[config.path]
    for segmentation, right in zip(found, golden, strict=True):
        assert (segmentation.text, segmentation.answer) == (right["text"], right["answer"])
        right_THW = np.stack([coco.decode(rle) for rle in right["masks"]]).astype(bool)
        assert 0.02 < right_THW.mean() < 0.98
        assert segmentation.masks_THW.shape == (FRAMES, *SIZE)
        assert (segmentation.masks_THW != right_THW).mean() < 1 / 500


@pytest.mark.parametrize("n", [0, 1])
def test_a_text_gets_what_it_gets_alone(found: list[Segmentation], sa2va: Sa2va, config: InferConfig, n: int) -> None:
    (alone,) = Segmenter(sa2va, config).segment(Watched(), TEXTS[n : n + 1])
    assert alone.answer == found[n].answer == "It is [SEG]."
    assert (alone.masks_THW != found[n].masks_THW).mean() < 1e-4


def test_every_frame_is_read_and_encoded_once(sa2va: Sa2va, config: InferConfig) -> None:
    """Four texts, two at a time: still one encoding a frame, and one look of the MLLM."""
    frames, encoded, looked = Watched(), [], []
    hooks = [
        sa2va.sam2.image_encoder.register_forward_hook(lambda *_: encoded.append(1)),
        sa2va.family.vision(sa2va.mllm).register_forward_hook(lambda *_: looked.append(1)),
    ]
    Segmenter(sa2va, replace(config, batch=2)).segment(frames, [*TEXTS, "a ball", "an object"])
    for hook in hooks:
        hook.remove()
    assert (len(encoded), len(looked)) == (FRAMES, 1)
    keys = [0, 6, 11] if config.path == "consistent" else [0, 1, 2]  # 0, 5.5, 11: halves to the even
    assert frames.read == keys + [t for t in range(FRAMES) if t not in keys]
    assert frames.elsewhere == frames.read[3:]  # while the frame before is computed


def test_frames_are_read_as_they_are_needed(sa2va: Sa2va) -> None:
    frames = Watched()
    _, stream = Segmenter(sa2va, OURS).stream(frames, TEXTS)
    next(stream), next(stream)
    assert len(frames.read) <= 3 + 2  # key frames, the one that was asked for, and the one that is read ahead


def test_nothing_of_inference_stays_on_between_frames(sa2va: Sa2va) -> None:
    _, stream = Segmenter(sa2va, OURS).stream(Watched(3), TEXTS)
    for _ in stream:
        assert torch.is_grad_enabled()
        assert not torch.is_inference_mode_enabled()


def test_an_answer_without_seg_has_empty_masks_and_keeps_its_text() -> None:
    silent = tiny_sa2va()
    with torch.no_grad():
        weight_of(silent.family.lm_head(silent.mllm))[silent.seg_id] = 0
    frames = Watched(4)
    (found,) = Segmenter(silent, replace(OURS, max_new_tokens=3)).segment(frames, TEXTS[:1])
    assert found.answer
    assert "[SEG]" not in found.answer
    assert found.masks_THW.shape == (4, *SIZE)
    assert not found.masks_THW.any()


def test_texts_with_and_without_seg_go_together(
    found: list[Segmentation], sa2va: Sa2va, config: InferConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one that says none gets empty masks, and the other its own."""
    segmenter = Segmenter(sa2va, config)
    ask_all = segmenter.ask

    def forget_first(frames: Sequence[Image], texts: Sequence[str]) -> list[object]:
        first, *others = ask_all(frames, texts)
        return [replace(first, seg_h=None), *others]

    monkeypatch.setattr(segmenter, "ask", forget_first)
    none, other = segmenter.segment(Watched(), TEXTS)
    assert not none.masks_THW.any()
    assert (other.masks_THW != found[1].masks_THW).mean() < 1e-4


@pytest.mark.parametrize(("frames", "count", "keys"), [(1, 5, [0]), (3, 5, [0, 1, 2]), (83, 5, [0, 20, 41, 62, 82])])
def test_key_frames_are_spread_over_the_video(sa2va: Sa2va, frames: int, count: int, keys: list[int]) -> None:
    assert Consistent(sa2va, count).key_frames(frames) == keys
    assert Official(sa2va, count).key_frames(frames) == list(range(min(frames, count)))


def test_the_consistent_path_needs_the_original_decoder(sa2va: Sa2va) -> None:
    kept, sa2va.original_decoder = sa2va.original_decoder, None
    try:
        with pytest.raises(ValueError, match="--sam2-checkpoint sam2_hiera_large.pt"):
            Segmenter(sa2va, OURS)
        Segmenter(sa2va, OFFICIAL)
    finally:
        sa2va.original_decoder = kept


def _wrong() -> Iterator[tuple[Sequence[Image], Sequence[str], str]]:
    frames_THW3, _ = drawn_clip(3)
    other = [*frames_THW3[:1], frames_THW3[1][:, 1:], *frames_THW3[2:]]
    yield [], TEXTS, "at least one frame"
    yield list(frames_THW3), [], "at least one text"
    yield list(frames_THW3), ["  "], "must have words"
    yield list(frames_THW3), ["the [SEG]"], r"token \[SEG\]"
    yield other, TEXTS, r"must be \(90, 160, 3\), got \(90, 159, 3\) at frame 1"


@pytest.mark.parametrize(("frames", "texts", "message"), list(_wrong()))
@pytest.mark.parametrize("key_frames", [2, 3])
def test_wrong_input_is_refused(
    sa2va: Sa2va, frames: Sequence[Image], texts: Sequence[str], message: str, key_frames: int
) -> None:
    with pytest.raises(ValueError, match=message):
        Segmenter(sa2va, replace(OURS, frames=key_frames)).segment(frames, texts)


def test_official_questions_differ_from_training_as_the_release_does(sa2va: Sa2va) -> None:
    def asked(config: InferConfig) -> str:
        (ids,) = encode_prompts(sa2va, ["red ball"], [1, 1], config)
        return str(sa2va.tokenizer.decode(ids))

    frame = "<|vision_start|><|image_pad|><|vision_end|>"
    ours = (
        f"<|im_start|>user\n{frame}\n{frame}\nPlease segment red ball in this video.<|im_end|>\n<|im_start|>assistant\n"
    )
    assert asked(OURS) == ours
    assert asked(replace(OURS, official_prompts=True)) == ours.replace("ball in this video", "ball")
    assert asked(OFFICIAL) == ours.replace("ball in this video", "ball").replace(f"{frame}\n{frame}", frame + frame)


def masks_of(model: Sa2va, config: InferConfig) -> list[dict[str, object]]:
    """What the golden file holds of a path."""

    def rle(mask_HW: NDArray[np.bool_]) -> dict[str, object]:
        made = coco.encode(np.asfortranarray(mask_HW, np.uint8))
        return {"size": made["size"], "counts": made["counts"].decode()}

    found = Segmenter(model, config).segment(Watched(), TEXTS)
    return [{"text": s.text, "answer": s.answer, "masks": [rle(mask_HW) for mask_HW in s.masks_THW]} for s in found]
