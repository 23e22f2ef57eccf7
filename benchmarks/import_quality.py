"""What the encoder of imported videos costs in quality: PSNR and size at several CRF, on real and drawn clips.

`python -m benchmarks.import_quality [SAV_ROOT/sav_train/SHARD …]`; without a folder, on a drawn clip alone. Pictures
are compared as the project reads them (RGB), so the loss of 4:2:0 counts too: CRF 0 shows how much that is. Real clips
are mp4 already; what they have lost before is not counted.
"""

import sys
import tempfile
import time
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np

from manifests.text_tables import text_table
from pipeline.demo import planned_clips
from pipeline.demo.scene import render
from pipeline.importers.timeline import VIDEO_FPS
from pipeline.importers.write_sav import encoding
from stages.video.frames import walk
from stages.video.images import Image
from stages.video.video_writer import VideoWriter

CRFS = (0, 14, 16, 18, 20, 23, 26)
FRAMES = 72


def drawn_clip() -> list[Image]:
    """Draw the start of a clip of the demo shard, without any compression."""
    scene = planned_clips.lawn().scene
    return [render(scene, n / scene.fps)[0] for n in range(min(FRAMES, scene.frame_count))]


def real_clip(path: Path) -> list[Image]:
    """Read the start of a video."""
    images: list[Image] = []
    for frame in walk(path, str(path)):
        images.append(frame.rgb())
        if len(images) == FRAMES:
            break
    return images


def psnr_db(one: Image, other: Image) -> float:
    """Return the peak signal-to-noise ratio of two images over all three colours, dB; 99 if they are equal."""
    error = float(np.mean((one.astype(np.float32) - other.astype(np.float32)) ** 2))
    return 99.0 if error == 0 else 10 * np.log10(255**2 / error)


def measured(images: Sequence[Image], crf: int, path: Path) -> tuple[float, float, float, float]:
    """Return mean and lowest PSNR (dB) of the images, megabytes for a minute, and frames encoded a second."""
    height, width = images[0].shape[0] // 2 * 2, images[0].shape[1] // 2 * 2
    began_s = time.perf_counter()
    with VideoWriter(path, time_base=Fraction(1, VIDEO_FPS), encoding=encoding(crf), fps=VIDEO_FPS) as video:
        for at, image_HW3 in enumerate(images):
            video.write(image_HW3[:height, :width], at)
    took_s = time.perf_counter() - began_s
    read = [frame.rgb() for frame in walk(path, str(path))]
    values = [psnr_db(a[:height, :width], b) for a, b in zip(images, read, strict=True)]
    megabytes = path.stat().st_size / 2**20 / len(images) * VIDEO_FPS * 60
    return float(np.mean(values)), min(values), megabytes, len(images) / took_s


def main(folders: Sequence[str]) -> None:
    """Print a table of all clips and CRFs."""
    clips = {"drawn": drawn_clip()}
    for folder in folders:
        clips |= {path.stem: real_clip(path) for path in sorted(Path(folder).glob("*.mp4"))}
    rows = [("clip", "pixels", "crf", "PSNR dB", "lowest", "MB/min", "frames/s")]
    with tempfile.TemporaryDirectory() as scratch:
        for name, images in clips.items():
            size = f"{images[0].shape[1]}x{images[0].shape[0]}"
            for crf in CRFS:
                mean, low, megabytes, speed = measured(images, crf, Path(scratch) / "clip.mp4")
                rows.append((name, size, str(crf), f"{mean:.1f}", f"{low:.1f}", f"{megabytes:.1f}", f"{speed:.0f}"))
    print("\n".join(text_table(rows, left=2)))


if __name__ == "__main__":
    main(sys.argv[1:])
