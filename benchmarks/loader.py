"""The loader against the straightforward reading of the released code, one worker each.

`python -m benchmarks.loader` on the drawn demo shard, `--sav-root ../shared/data/sav --shard sav_900` on real clips.
The straightforward way reads every frame of the mp4 with OpenCV and keeps every 4th, decodes all masks of all objects,
and resizes with PIL. Ours reads the same frames and objects, once from the frame store and once from mp4 and JSON, and
resizes with OpenCV. All three end with 5 frames of 1024 x 1024 and 448 x 448 and the masks; no text is tokenised.
The process is held to one CPU, as a loader's worker is when all CPUs are at work: else OpenCV's decoder takes them all.
Rounds alternate between the three; medians over rounds are printed, as wall and as CPU time.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from pycocotools import mask as coco
from torch import Tensor

from manifests.schema import MASK_STRIDE
from pipeline.data.check import check_videos
from pipeline.data.clips import Clips
from pipeline.data.videos import Expression, Video
from pipeline.demo.draw_demo import draw_demo
from pipeline.export.frames import StoreConfig, write_store
from pipeline.sa2va.config import DataConfig
from pipeline.sa2va.dataset import MASK_PX, RefSavDataset
from pipeline.sa2va.pixels import squares

ROUNDS = 5
SAM_PX, MLLM_PX = 1024, 448
WANTED = {"store": 20, "files": 3}


def list_videos(shard: Path) -> list[Video]:
    """Every video of a folder with its manual masklets, each with a text that nobody reads."""
    videos = []
    for anno_path in sorted(shard.glob("*_manual.json")):
        video_id = anno_path.name.removesuffix("_manual.json")
        try:
            columns = len(json.loads(anno_path.read_bytes())["masklet"][0])
        except ValueError:
            continue  # the demo shard has a broken file
        expressions = tuple(
            Expression(f"{video_id}/manual/{n}", "manual", anno_path, n, f"object {n}") for n in range(columns)
        )
        videos.append(Video(video_id, shard / f"{video_id}.mp4", None, expressions))
    return videos


@dataclass(frozen=True)
class Sample:
    """What all ways end with."""

    sam_frames_F3SS: Tensor
    mllm_frames_F3SS: Tensor
    masks_OFHW: NDArray[np.uint8]


def straightforward(video: Video, object_ids: Sequence[str], frames: list[int]) -> Sample:
    """As the released loader reads, with the choice given."""
    capture = cv2.VideoCapture(str(video.video_path))
    pictures = []
    while (read := capture.read())[0]:
        pictures.append(read[1])
    pictures = pictures[::MASK_STRIDE]
    entries = json.loads(video.expressions[0].anno_path.read_bytes())["masklet"]
    masks_THWN = [np.stack([coco.decode(rle) for rle in entry], axis=-1) for entry in entries]
    columns = [int(object_id.rsplit("/", 1)[1]) for object_id in object_ids]
    masks_OFHW = np.stack([[masks_THWN[frame][..., column] for frame in frames] for column in columns])
    images = [Image.fromarray(cv2.cvtColor(pictures[frame], cv2.COLOR_BGR2RGB)) for frame in frames]

    def resized(side_px: int) -> Tensor:
        arrays = [np.asarray(image.resize((side_px, side_px), Image.Resampling.BICUBIC)) for image in images]
        return torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2).contiguous()

    return Sample(resized(SAM_PX), resized(MLLM_PX), masks_OFHW)


def ours(dataset: RefSavDataset, epoch: int, index: int) -> Sample:
    """Read one training sample with the loader of the project."""
    read: Any = dataset[epoch, index]
    frames = read["frames"]
    return Sample(squares(frames, SAM_PX, False), squares(frames, MLLM_PX, False), read["masks_OFMM"])


def as_read(**chosen: Any) -> Any:
    """Stand in for the encoder: give what it would be called with; the benchmark reads, it does not tokenise."""
    return chosen


def check_equal(video: Video, index: int, dataset: RefSavDataset) -> None:
    """The masks of both ways are equal after reduction, and so are the frames read from the mp4."""
    read: Any = dataset[0, index]
    sample = straightforward(video, read["object_ids"], dataset.frames(0, index))
    full = torch.from_numpy(sample.masks_OFHW)
    reduced = torch.nn.functional.interpolate(full, size=(MASK_PX, MASK_PX), mode="nearest")
    assert np.array_equal(reduced.numpy(), read["masks_OFMM"]), video.video_id
    assert torch.equal(squares(read["frames"], SAM_PX, True), sample.sam_frames_F3SS), video.video_id


def measure(videos: list[Video], store: Path) -> None:
    """Print samples per second of the three ways to read, and their ratios."""
    config = DataConfig()
    direct = RefSavDataset(videos, Clips(), config, as_read, 0)
    stored = RefSavDataset(videos, Clips(store), config, as_read, 0)
    for index, video in enumerate(videos):
        check_equal(video, index, direct)

    def plain(epoch: int, index: int) -> Sample:
        return straightforward(videos[index], chosen[epoch, index], direct.frames(epoch, index))

    read: Any = stored
    chosen = {(n, index): read[n, index]["object_ids"] for n in range(ROUNDS) for index in range(len(videos))}
    ways: dict[str, Callable[[int, int], Sample]] = {
        "straightforward": plain,
        "files": lambda epoch, index: ours(direct, epoch, index),
        "store": lambda epoch, index: ours(stored, epoch, index),
    }
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for epoch in range(ROUNDS):
        spent = {name: [0.0, 0.0] for name in ways}
        for index in range(len(videos)):
            for name, way in ways.items():
                wall_s, cpu_s = time.perf_counter(), time.process_time()
                way(epoch, index)
                spent[name][0] += time.perf_counter() - wall_s
                spent[name][1] += time.process_time() - cpu_s
        for name, (wall_s, cpu_s) in spent.items():
            times[name].append((wall_s / len(videos), cpu_s / len(videos)))
    medians = {name: tuple(map(statistics.median, zip(*rounds, strict=True))) for name, rounds in times.items()}
    print(f"{len(videos)} videos, {ROUNDS} alternating rounds; medians a sample of 5 frames")
    print(f"{'':>16} {'samples/s':>10} {'wall ms':>8} {'CPU ms':>8} {'wall ratio':>11} {'CPU ratio':>10}  wanted")
    base_wall_s, base_cpu_s = medians["straightforward"]
    for name, (wall_s, cpu_s) in medians.items():
        wanted = f"wall ratio >= {WANTED[name]}" if name in WANTED else ""
        print(
            f"{name:>16} {1 / wall_s:10.2f} {wall_s * 1e3:8.0f} {cpu_s * 1e3:8.0f} {base_wall_s / wall_s:11.1f} "
            f"{base_cpu_s / cpu_s:10.1f}  {wanted}"
        )


def main() -> None:
    """Draw or find the clips, make the store, measure."""
    command = argparse.ArgumentParser(prog="python -m benchmarks.loader", description=__doc__)
    command.add_argument("--sav-root", type=Path, help="folder that holds sav_train/ (default: the demo, drawn)")
    command.add_argument("--shard", default="demo")
    options = command.parse_args()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        root, store = options.sav_root or Path(scratch) / "sav", Path(scratch) / "frames"
        if options.sav_root is None:
            draw_demo(root)
        videos = list_videos(root / "sav_train" / options.shard)
        broken = write_store(videos, store, StoreConfig(), 1)
        videos = [video for video in videos if video.video_id not in broken]
        videos = check_videos(videos, Clips(store), workers=1, on_bad="skip")
        stored_mb, mp4_mb = (
            sum(path.stat().st_size for path in paths) / 1e6
            for paths in (store.glob("*.arrow"), [video.video_path for video in videos])
        )
        print(f"store {stored_mb:.1f} MB, mp4 {mp4_mb:.1f} MB")
        measure(videos, store)


if __name__ == "__main__":
    main()
