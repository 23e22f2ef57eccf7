"""What a training set's texts are worth, by training on them: `python -m benchmarks.ablation [--epochs 15]`.

The tiny model of the tests is trained on drawn videos of two coloured shapes, each time with the same seed and steps
and with other texts, and scored on fresh videos: J&F of long and short texts, N-acc (of texts that fit nothing, the
share without a mask) and T-acc (of the others, the share with one), with 95 % intervals by resampling videos.

    measured    every object has its own long text
    swapped     the two long texts of a video are exchanged: a control, which must fall
    negatives   measured, and a quarter of all texts fit nothing in their video
    short       measured, and every object has a short text too
    both        measured, with negatives and short texts

It shows that training and scoring can tell a better set of texts from a worse one, not how good a real model is: the
tiny language model is random but for an attention to words of colour. Exit code 1 if the control does not fall.
"""

import argparse
import json
import logging
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.data.clips import Clips
from pipeline.data.videos import Video
from pipeline.evaluation.compare import compare
from pipeline.evaluation.score import OVERALL, Scores, score
from pipeline.evaluation.split import GROUPS, Split, read_split
from pipeline.evaluation.tables import screen_text
from pipeline.sa2va.checkpoint.read import load_sa2va
from pipeline.sa2va.config import DataConfig, InferConfig, ModelConfig, OptimConfig, TrainConfig
from pipeline.sa2va.infer.segment import Segmenter
from pipeline.sa2va.train.run import train
from pipeline.sa2va.train.step import DistContext
from stages.video import rle
from tests.pipeline.sa2va.tiny import TINY_SAM2, make_tiny_mllm, tiny_pixels
from tests.pipeline.sa2va.train.coloured import COLOURS, FRAMES, HEIGHT_PX, WIDTH_PX, draw, write

NEGATIVES_FRAC = 0.25
LEARNED, FRESH = 64, 32  # videos

Texts = Callable[[Video], Video]


def main() -> int:
    """Train and score every variant, and print them side by side."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=15, help="passes over the 64 videos (default 15: 240 steps)")
    parser.add_argument("--only", nargs="+", choices=list(VARIANTS), default=list(VARIANTS), help="default: all")
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        videos = write(folder / "store", LEARNED)
        base = make_tiny_mllm(folder / "mllm", reads=True)
        split = _fresh(folder / "split")
        models = []
        for name in options.only:
            started_s = time.monotonic()
            texts, negatives_frac = VARIANTS[name]
            config = TrainConfig(
                source="drawn",
                sav_root="",
                out=str(folder / name),
                model=ModelConfig(base=str(base), sam2=TINY_SAM2, lora_rank=32, lora_alpha=1),
                data=DataConfig(pixels=tiny_pixels(), frames=2, max_objects=2, negatives_frac=negatives_frac),
                optim=OptimConfig(lr=1e-2, batch=4, micro_batch=4, epochs=options.epochs),
                loader_workers=0,
            )
            train(config, list(map(texts, videos)), Clips(folder / "store"), DistContext())
            models.append(_scored(name, folder / name / "model", split))
            print(f"{name}: trained and scored in {time.monotonic() - started_s:.0f} s", flush=True)
    print(screen_text(compare(models, GROUPS)))
    if not {"measured", "swapped"} <= {one.name for one in models}:
        return 0
    means = {one.name: one.groups()[OVERALL]["JF"] for one in models}
    return int(means["swapped"] >= means["measured"])


def _measured(video: Video) -> Video:
    return video


def _swapped(video: Video) -> Video:
    first, second = video.expressions
    return replace(video, expressions=(replace(first, text=second.text), replace(second, text=first.text)))


def _with_negatives(video: Video) -> Video:
    return replace(video, absent=tuple(_absent([one.text for one in video.expressions])))


def _with_short(video: Video) -> Video:
    short = (replace(one, text=_short(one.text)) for one in video.expressions)
    return replace(video, expressions=(*video.expressions, *short))


VARIANTS: dict[str, tuple[Texts, float]] = {
    "measured": (_measured, 0.0),
    "swapped": (_swapped, 0.0),
    "negatives": (_with_negatives, NEGATIVES_FRAC),
    "short": (_with_short, 0.0),
    "both": (lambda video: _with_short(_with_negatives(video)), NEGATIVES_FRAC),
}


def _short(text: str) -> str:
    return text.removeprefix("the ").removesuffix(" object")


def _absent(texts: Sequence[str]) -> list[str]:
    """Return the texts of the colours that no object of a video has."""
    return [text for colour in COLOURS if (text := f"the {colour} object") not in texts]


def _fresh(folder: Path) -> Split:
    """Write a split of videos that no variant has seen: long and short texts, and one that fits nothing."""
    masks: dict[str, list[rle.Rle]] = {}
    meta: dict[str, object] = {}
    names = [f"{t:05d}" for t in range(FRAMES)]
    for n in range(FRESH):
        texts, frames, masks_OFHW = draw([2, n])
        images = folder / "videos" / f"fresh_{n:03d}"
        images.mkdir(parents=True)
        for name, frame_HW3 in zip(names, frames, strict=True):
            cv2.imwrite(str(images / f"{name}.jpg"), frame_HW3[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])
        expressions: dict[str, object] = {}
        for o, text in enumerate(texts):
            anno_id = str(len(masks))
            masks[anno_id] = [rle.from_mask(mask_HW) for mask_HW in masks_OFHW[o]]
            for kind, said in enumerate((text, _short(text))):
                ids = [int(anno_id)]
                expressions[f"{o}{kind}"] = {"exp": said, "obj_id": ids, "anno_id": ids, "type_id": kind}
        nothing = _absent(texts)[n % (len(COLOURS) - 2)]
        expressions["absent"] = {"exp": nothing, "obj_id": [], "anno_id": [], "type_id": 0, "no_target": True}
        meta[images.name] = {"expressions": expressions, "frames": names, "height": HEIGHT_PX, "width": WIDTH_PX}
    (folder / "meta_expressions_valid.json").write_text(json.dumps({"videos": meta}))
    (folder / "mask_dict.json").write_text(json.dumps(masks))
    return read_split(folder)


def _scored(name: str, model: Path, split: Split) -> Scores:
    """Return the scores of a trained model on the fresh videos."""
    segmenter = Segmenter(
        load_sa2va(model, device="cpu", dtype=torch.float32), InferConfig(frames=2, pixels=tiny_pixels())
    )
    predictions: dict[str, dict[str, list[rle.Rle | None]]] = {}
    for n, video in enumerate(split.videos):
        frames: list[NDArray[np.uint8]] = draw([2, n])[1]
        segmented = segmenter.segment(frames, [one.text for one in video.expressions])
        predictions[video.video_id] = {
            one.exp_id: [rle.from_mask(mask_HW) for mask_HW in said.masks_THW]
            for one, said in zip(video.expressions, segmented, strict=True)
        }
    return score(name, split, predictions)


if __name__ == "__main__":
    sys.exit(main())
