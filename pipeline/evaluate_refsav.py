"""Score models on Ref-SAV's evaluation split or on your own: J, F and J&F for long, short and overall.

    python -m pipeline.evaluate_refsav SPLIT --predictions A/results.json B/results.json
    python -m pipeline.evaluate_refsav SPLIT --model runs/train/sa2va --out runs/scores

SPLIT is a folder as `python -m validation_ui export` writes it, or the official data (meta_expressions_valid.json,
mask_dict.json, videos/). Written are the official ref_sav_valid.json and ref_sav_valid.csv of every model, beside its
predictions or in OUT/<name>/; and comparison.md, .csv and .png with 95 % intervals by resampling videos. The first
model is what the others are compared with. After a kill, the same command goes on with the videos that are not done.
"""

import argparse
import logging
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from manifests.outputs import SCORES_JSON, check_out
from manifests.row_results import FatalError
from pipeline.evaluation.compare import DRAWS, Line, compare
from pipeline.evaluation.json_files import write_text
from pipeline.evaluation.predict import check_predict, check_unseen, predict, read_predictions
from pipeline.evaluation.score import check_masks, no_group, score, write_scores
from pipeline.evaluation.sources import (
    COMPARISON_CSV,
    COMPARISON_MD,
    COMPARISON_PNG,
    ScoredSource,
    named,
    parse_source,
)
from pipeline.evaluation.split import GROUPS, Split, read_split
from pipeline.evaluation.tables import as_csv, markdown, screen_text
from stages.video.images import Image

logger = logging.getLogger("refsav")

EXIT_USER_ERROR, EXIT_FATAL = 2, 3


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 0 done, 2 wrong settings or files, 3 stopped, run it again."""
    options = parser().parse_args(arguments)
    logging.basicConfig(level=options.log_level, format="%(asctime)s %(levelname)s %(message)s", datefmt="%H:%M:%S")
    try:
        evaluate(options)
    except ValueError as error:
        logger.error("%s", error)
        return EXIT_USER_ERROR
    except (FatalError, OSError) as error:
        logger.error("stopped: %s. Give the same command again: it goes on with the videos that are not done.", error)
        return EXIT_FATAL
    return 0


def evaluate(options: argparse.Namespace) -> None:
    """Predict where asked to, score, compare, write and print.

    Raises:
        ValueError: settings or files that do not fit; all that is wrong with a file is named.
    """
    sources = named(options.sources or [], options.out)
    _check(options, sources)
    split = read_split(options.split)
    for group in options.groups:
        if not split.count(group):  # before hours of predicting
            raise ValueError(no_group(group, {name: split.count(name) for name in GROUPS}))
    check_masks(split)
    for source in sources:  # all of them, before the first predicts for hours
        if source.kind == "model":
            _check_model(options, source, split)
        elif len(sources) > 1:
            check_masks(split, read_predictions(source.path, split, options.missing))
    models = []
    for source in sources:
        folder = _folder(options, source)
        path = source.path if source.kind == "predictions" else _predict(options, source, split)
        scores = score(source.name, split, read_predictions(path, split, options.missing), options.workers)
        write_scores(scores, folder, options.groups)
        logger.info("%s: %s", source.name, folder / SCORES_JSON)
        models.append(scores)
    lines = compare(models, options.groups, seed=options.seed, draws=options.draws)
    out = options.out or sources[0].path.parent
    write_text(out / COMPARISON_MD, markdown(lines, paper=options.paper))
    write_text(out / COMPARISON_CSV, as_csv(lines, paper=options.paper))
    _plot(lines, out / COMPARISON_PNG)
    sys.stdout.write(f"{screen_text(lines)}\n\ncomparison  {out / COMPARISON_MD}\n")


def _check(options: argparse.Namespace, sources: Sequence[ScoredSource]) -> None:
    if not sources:
        raise ValueError("nothing to score: give --predictions FILE … or --model FOLDER …")
    if min(options.draws, 1 if options.workers is None else options.workers) < 1:
        raise ValueError(f"--draws and --workers must be at least 1, got {options.draws} and {options.workers}")
    check_out(options.out or sources[0].path.parent)
    asked = any(source.kind == "model" for source in sources)
    if asked and not options.out:
        raise ValueError("--model needs --out, the folder for its predictions")
    if options.official and not asked:
        raise ValueError("--official is how a --model predicts; predictions that are there stay as they are")


def _folder(options: argparse.Namespace, source: ScoredSource) -> Path:
    """Return where its scores go, and its predictions if it makes some."""
    folder: Path = options.out / source.name if options.out else source.path.parent
    return folder


def _check_model(options: argparse.Namespace, source: ScoredSource, split: Split) -> None:
    from pipeline.sa2va.infer.segment import check_model  # brings torch, which scoring does not need

    check_unseen(source.path, split, allow=options.allow_overlap)
    settings = {name: getattr(options, name) for name in ("official", "device", "sam2_checkpoint")}
    check_model(source.path, **settings)
    check_predict(split, _folder(options, source), _made_with(options, source))


def _made_with(options: argparse.Namespace, source: ScoredSource) -> dict[str, object]:
    """Return what the predictions of a model depend on."""
    files = [(path.name, path.stat()) for path in sorted(source.path.glob("*.safetensors"))]
    weights = [[name, stat.st_size, stat.st_mtime_ns] for name, stat in files]  # another model may take its place
    return {"model": str(source.path.resolve()), "weights": weights, **_choices(options)}


def _choices(options: argparse.Namespace) -> dict[str, Any]:
    return {name: getattr(options, name) for name in ("official", "sam2_checkpoint", "frames")}


def _predict(options: argparse.Namespace, source: ScoredSource, split: Split) -> Path:
    """Let the model predict; return the path of its results."""
    from pipeline.sa2va.infer.segment import load_segmenter

    segmenter = load_segmenter(source.path, device=options.device, batch=options.batch, **_choices(options))

    def segment(frames: Sequence[Image], texts: Sequence[str]) -> list[tuple[str, NDArray[np.bool_]]]:
        return [(one.answer, one.masks_THW) for one in segmenter.segment(frames, texts)]

    return predict(split, segment, _folder(options, source), _made_with(options, source))


def _plot(lines: Sequence[Line], path: Path) -> None:
    try:
        from pipeline.evaluation.plot import plot
    except ModuleNotFoundError as error:
        logger.warning("no %s: %s; pip install 'refsav[train]' has it", path.name, error)
        return
    plot(lines, path)


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command's options."""
    command = argparse.ArgumentParser(
        prog="python -m pipeline.evaluate_refsav",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = command.add_argument
    add("split", type=Path, metavar="SPLIT", help="folder with meta_expressions_valid.json and mask_dict.json")
    add(
        "--predictions",
        dest="sources",
        nargs="+",
        action="extend",
        type=partial(parse_source, "predictions"),
        metavar="[NAME=]FILE",
        help="results.json in the official format, or its folder; NAME is for tables (default: the folder's)",
    )
    add(
        "--model",
        dest="sources",
        nargs="+",
        action="extend",
        type=partial(parse_source, "model"),
        metavar="[NAME=]FOLDER",
        help="Sa2VA checkpoint in the official Hugging Face layout: predict first; needs --out and the split's frames",
    )
    add("--out", type=Path, help="folder for what is written (default: beside the predictions)")
    groups = "score these alone (default both, and overall)"
    add("--groups", nargs="+", choices=GROUPS, default=list(GROUPS), help=groups)
    add(
        "--missing",
        choices=("refuse", "zero"),
        default="refuse",
        help="expressions without a prediction: refuse (default), or count them as empty masks",
    )
    add("--paper", action="store_true", help="add the paper's figures (table 10) to the comparison, marked as such")
    add("--workers", type=int, help="processes that score (default: as many as pay, up to the number of CPUs)")
    add("--seed", type=int, default=0, help="of the resamples (default 0)")
    add("--draws", type=int, default=DRAWS, help=f"number of resamples (default {DRAWS})")
    add("--official", action="store_true", help="with --model: predict as the release does (default: consistently)")
    add("--allow-overlap", action="store_true", help="with --model: score it on videos that it has learned from, too")
    add("--frames", type=int, help="with --model: key frames that the language model sees (default 5)")
    add("--batch", type=int, help="with --model: expressions tracked together (default 8)")
    add("--device", default="", help="with --model: cuda, cuda:1, cpu … (default: cuda if there is one)")
    sam2 = "with --model: sam2_hiera_large.pt, for the mask decoder that official checkpoints have changed"
    add("--sam2-checkpoint", default="", help=sam2)
    add("--log-level", default="INFO", choices=("DEBUG", "INFO", "WARNING", "ERROR"), help="default INFO")
    return command


if __name__ == "__main__":
    sys.exit(main())
