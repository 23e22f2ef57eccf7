"""Segment a video from texts: `python -m pipeline.infer_refsav --model FOLDER VIDEO "the red ball" --out FOLDER`.

Writes masks.json (a COCO run-length mask for every frame and text), overlay.mp4 and sheet.jpg.
"""

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from manifests.outputs import check_out
from manifests.row_results import FatalError
from stages.video.rle import Rle, from_mask

if TYPE_CHECKING:
    from pipeline.sa2va.infer.generate import Generation

logger = logging.getLogger("refsav")

EXIT_USER_ERROR, EXIT_FATAL = 2, 3
MASKS, VIDEO, SHEET = "masks.json", "overlay.mp4", "sheet.jpg"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 0 done, 2 wrong settings or files, 3 stopped, run it again."""
    options = parser().parse_args(arguments)
    logging.basicConfig(level=options.log_level, format="%(asctime)s %(levelname)s %(message)s", datefmt="%H:%M:%S")
    try:
        infer(options)
    except ValueError as error:
        logger.error("%s", error)
        return EXIT_USER_ERROR
    except (FatalError, OSError) as error:
        logger.error("stopped: %s (--out %s). See to that and give the same command again.", error, options.out)
        return EXIT_FATAL
    return 0


def infer(options: argparse.Namespace) -> None:
    """Run the command described by `options`.

    Raises:
        ValueError: the settings cannot be carried out.
    """
    check_out(Path(options.out))
    # these cost seconds that --help and a mistyped option do not need
    from pipeline.sa2va.infer import overlay
    from pipeline.sa2va.infer.open_frames import open_frames
    from pipeline.sa2va.infer.segment import load_segmenter

    if not all(text.strip() for text in options.texts):
        raise ValueError(f"every text must have words, got {options.texts}")
    frames = open_frames(Path(options.video), options.stride)
    segmenter = load_segmenter(
        Path(options.model),
        official=options.official,
        device=options.device,
        sam2_checkpoint=options.sam2_checkpoint,
        frames=options.frames,
        batch=options.batch,
        max_new_tokens=options.max_new_tokens,
    )
    generations, stream = segmenter.stream(frames, options.texts)
    _warn_without_mask(options.texts, generations)

    out = Path(options.out)
    out.mkdir(parents=True, exist_ok=True)
    rles: list[list[Rle]] = [[] for _ in options.texts]
    shown, cells = set(overlay.sheet_frames(len(frames))), []
    with overlay.OverlayVideo(out / VIDEO, options.texts) as video:
        for t, step in enumerate(tqdm(stream, total=len(frames), unit="frame", disable=not sys.stderr.isatty())):
            drawn_HW3 = overlay.overlay(step.image_HW3, step.masks_NHW)
            video.write(drawn_HW3, frames.times_s[t])
            if t in shown:
                cells.append(overlay.cell(drawn_HW3, frames.names[t]))
            for n, mask_HW in enumerate(step.masks_NHW):
                rles[n].append(from_mask(mask_HW))
    (out / SHEET).write_bytes(overlay.sheet(cells, options.texts))
    results = [
        {"text": text, "answer": generation.text, "masks": masks}
        for text, generation, masks in zip(options.texts, generations, rles, strict=True)
    ]
    content = {
        "video": str(options.video),
        "model": str(options.model),
        "frames": frames.names,
        "times_s": [round(time_s, 3) for time_s in frames.times_s],
        "texts": results,
    }
    (out / MASKS).write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    sys.stdout.write(f"look at  {out / SHEET}, {out / VIDEO}\nmasks    {out / MASKS}\n")


def _warn_without_mask(texts: Sequence[str], generations: "Sequence[Generation]") -> None:
    for text, generation in zip(texts, generations, strict=True):
        if generation.seg_h is None:
            logger.warning("no mask for %r: the model answered %r, without [SEG]", text, generation.text)


def parser() -> argparse.ArgumentParser:
    """Return the parser of the options."""
    command = argparse.ArgumentParser(prog="python -m pipeline.infer_refsav", description=__doc__)
    add = command.add_argument
    add("video", help="a video file, of which 6 frames a second are used, or a folder of .jpg or .png frames")
    add("texts", nargs="+", metavar="text", help="what to segment; several are done together")
    add("--model", required=True, help="folder of a Sa2VA checkpoint")
    add("--out", required=True, help="folder for masks.json, overlay.mp4 and sheet.jpg")
    add("--official", action="store_true", help="the released inference (first frames, algorithm 1), for comparison")
    add("--sam2-checkpoint", default="", help="sam2_hiera_large.pt, if the checkpoint has no original mask decoder")
    add("--stride", type=int, help="of a video file: use every so many frames (default: what makes 6 a second)")
    add("--frames", type=int, help="key frames that the language model sees (default 5)")
    add("--batch", type=int, help="texts at a time (default 8); fewer need less memory")
    add("--max-new-tokens", type=int, help="longest answer (default 64; official 2048)")
    add("--device", default="", help="cuda, cuda:1, cpu (default: a GPU where there is one)")
    add("--log-level", default="INFO", choices=("DEBUG", "INFO", "WARNING", "ERROR"), help="default INFO")
    return command


if __name__ == "__main__":
    sys.exit(main())
