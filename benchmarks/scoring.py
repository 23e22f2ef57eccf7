"""J and F against the same rules on full frames: `python -m benchmarks.scoring [--real FOLDER]`.

The reference (tests/pipeline/evaluation/plain.py) decodes each mask, compares whole frames and dilates with OpenCV, as
the official scorer does. Both start from the same RLE strings, in turns, so that a busy machine is busy for both; the
time is CPU time of one core. Predictions are masks that are some pixels off. Prints whether J and F are equal bit for
bit, and the ratio; exit code 1 if they are not, or if the ratio is below 6.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco

from pipeline.evaluation.metrics import VideoMasks, boundary_accuracy, region_similarity, score_expression
from tests.pipeline.evaluation import plain

WANTED_RATIO = 6.0
DRAWN_SIZES = ((480, 848), (720, 1280), (1080, 1920))
RADII_FRAC = (0.03, 0.08, 0.15, 0.3)  # of the height of the frame
FRAMES = 12


def main() -> int:
    """Print a line for each kind of mask and one for all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--real", type=Path, help="folder with SA-V's *_manual.json, e.g. ../shared/data/sav (default: drawn)"
    )
    parser.add_argument("--rounds", type=int, default=5, help="times each is measured (default 5)")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    cases = list(real(options.real) if options.real else drawn())
    print(f"{'masks':40} {'size':>11} {'plain ms':>9} {'ours ms':>9} {'ratio':>6}  (a frame, from RLE)   arrays  equal")
    totals, at_720p, all_equal = [0.0, 0.0], [], True
    for name, pred_rles, gt_rles in cases:
        height, width = gt_rles[0]["size"]
        slow_s, fast_s, equal = measure(pred_rles, gt_rles, options.rounds)
        slow_array_s, fast_array_s, equal_arrays = measure_arrays(pred_rles, gt_rles, options.rounds)
        totals = [totals[0] + slow_s, totals[1] + fast_s]
        if (height, width) in ((720, 1280), (1280, 720)):
            at_720p.append((slow_s, fast_s))
        all_equal &= equal and equal_arrays
        print(
            f"{name:40} {width:5} x{height:5} {1e3 * slow_s:9.2f} {1e3 * fast_s:9.2f} {slow_s / fast_s:6.1f}"
            f"{'':24}{slow_array_s / fast_array_s:7.1f}  {'yes' if equal and equal_arrays else 'NO'}"
        )
    ratio = totals[0] / totals[1]
    print(f"all: {ratio:.1f} times faster, J, F and A {'equal bit for bit' if all_equal else 'DIFFER'}")
    if at_720p:
        slow_s, fast_s = map(sum, zip(*at_720p, strict=True))
        ratio = slow_s / fast_s
        print(f"at 720p: {ratio:.1f} times faster")
    return 0 if all_equal and ratio >= WANTED_RATIO else 1


def measure(pred_rles: list[Any], gt_rles: list[Any], rounds: int) -> tuple[float, float, bool]:
    """(CPU s a frame of the plain rules, of ours, whether they are equal), medians of rounds in turns."""
    names = [str(t) for t in range(len(gt_rles))]
    height, width = gt_rles[0]["size"]

    def ours() -> tuple[float, float, float]:
        figures = score_expression(*(VideoMasks.read(rles, names, height, width) for rles in (pred_rles, gt_rles)))
        return figures.j, figures.f, figures.a

    return in_turns(lambda: plain.from_rles(pred_rles, gt_rles), ours, rounds, len(gt_rles))


def measure_arrays(pred_rles: list[Any], gt_rles: list[Any], rounds: int) -> tuple[float, float, bool]:
    """The same for masks that are decoded already."""
    pairs = [
        tuple(coco.decode({**rle, "counts": rle["counts"].encode()}).astype(bool, order="C") for rle in pair)
        for pair in zip(pred_rles, gt_rles, strict=True)
    ]
    return in_turns(
        lambda: [(plain.j_of(*pair), plain.f_of(*pair)) for pair in pairs],
        lambda: [(region_similarity(*pair), boundary_accuracy(*pair)) for pair in pairs],
        rounds,
        len(pairs),
    )


def in_turns(one: Callable[[], Any], other: Callable[[], Any], rounds: int, frames: int) -> tuple[float, float, bool]:
    """Median CPU s a frame of both, and whether they say the same."""
    times_s: tuple[list[float], list[float]] = ([], [])
    results: list[Any] = [None, None]
    for _ in range(rounds):
        for k, work in enumerate((one, other)):
            began_s = time.process_time()
            results[k] = work()
            times_s[k].append((time.process_time() - began_s) / frames)
    return statistics.median(times_s[0]), statistics.median(times_s[1]), results[0] == results[1]


def drawn() -> Iterator[tuple[str, list[Any], list[Any]]]:
    """Ragged disks of several sizes that move; the prediction is 1 % of the width off and has holes at its edge."""
    for height, width in DRAWN_SIZES:
        for radius_frac in RADII_FRAC:
            gts = [shape(height, width, radius_frac, t, seed=1) for t in range(FRAMES)]
            preds = [np.roll(shape(height, width, radius_frac, t, seed=2), width // 100, 1) for t in range(FRAMES)]
            name = f"drawn, radius {radius_frac:g} of the height"
            yield name, [rle(mask) for mask in preds], [rle(mask) for mask in gts]


def shape(height: int, width: int, radius_frac: float, t: int, *, seed: int) -> NDArray[np.uint8]:
    """A disk with waves of several lengths on its edge, at frame t."""
    rng = np.random.default_rng(seed)
    y, x = np.ogrid[:height, :width]
    y, x = y - height * (0.45 + 0.01 * t), x - width * (0.3 + 0.03 * t)
    angle, radius = np.arctan2(y, x), radius_frac * height
    edge = radius * (
        1 + sum(rng.uniform(0, 0.06) * np.sin(k * angle + rng.uniform(0, 6)) for k in (2, 3, 5, 7, 11, 17))
    )
    return np.asarray(np.hypot(y, x) < edge, np.uint8)


def real(folder: Path) -> Iterator[tuple[str, list[Any], list[Any]]]:
    """Manual masklets of SA-V files; the prediction is moved by 1 % of the width and grown by 3 px."""
    files = sorted(folder.rglob("*_manual.json"))
    if not files:
        raise SystemExit(f"no *_manual.json below {folder}")
    kernel = np.ones((7, 7), np.uint8)
    for file in files:
        frames = json.loads(file.read_text())["masklet"]
        every = max(1, len(frames) // FRAMES)
        for column in range(len(frames[0])):
            gts = [frame[column] for frame in frames[::every]]
            preds = []
            for gt in gts:
                mask = coco.decode({**gt, "counts": gt["counts"].encode()})
                preds.append(rle(np.roll(cv2.dilate(mask, kernel), mask.shape[1] // 100, 1)))
            gts = [{**gt, "size": list(map(int, gt["size"]))} for gt in gts]
            yield f"{file.stem} object {column}", preds, gts


def rle(mask_HW: NDArray[np.uint8]) -> dict[str, Any]:
    """COCO RLE with text counts."""
    found = coco.encode(np.asfortranarray(mask_HW))
    return {"size": list(map(int, found["size"])), "counts": found["counts"].decode()}


if __name__ == "__main__":
    sys.exit(main())
