"""Measure the gates of a run against people's verdicts, and find a threshold for a wanted precision.

    python -m pipeline.calibrate runs/sav_000 --verdicts split --precision 0.95
    make annotate SHARD=sav_001 SAV_ROOT=/data/sav RECIPE=modern THRESHOLDS=runs/sav_000/thresholds.toml

SPLIT is an export of the validation app whose project has the run. Precision of a gate is the share of right texts
among those that passed it, recall the share of right texts that passed it. For recall people must have judged texts
that the gate rejected: import the run with `--set rejected_frac=0.1`. docs/annotate.md says how it is computed.
"""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from manifests.io import Folder
from manifests.outputs import brief
from manifests.text_tables import text_table
from pipeline.export.annotations import Annotations
from pipeline.run.thresholds import THRESHOLDS_FILE, as_toml
from pipeline.verification.calibration import GateQuality, GateRate, Judged, Threshold, gate_qualities, lineup_threshold
from pipeline.verification.corrected import LEAST_TEXTS, LEAST_VIDEOS
from pipeline.verification.run_texts import run_texts
from pipeline.verification.verdicts import Verdicts, read_verdicts

logger = logging.getLogger("refsav")

EXIT_NO_THRESHOLD, EXIT_USER_ERROR, EXIT_FATAL = 1, 2, 3
_HEAD = ("gate", "passed", "judged", "rejected", "judged", "precision", "recall")
_TRIED_HEAD = ("pick rate from", *_HEAD[1:])


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 0 done, 1 no threshold, 2 wrong settings or files, 3 disk trouble."""
    options = parser().parse_args(arguments)
    logging.basicConfig(level="INFO", format="%(asctime)s %(levelname)s %(message)s", datefmt="%H:%M:%S")
    try:
        return calibrate(options)
    except ValueError as error:
        logger.error("%s", error)
        return EXIT_USER_ERROR
    except OSError as error:
        logger.error("stopped: %s. Give the same command again.", error)
        return EXIT_FATAL


def calibrate(options: argparse.Namespace) -> int:
    """Measure, print, and write the threshold if one is wanted; returns the exit code, 0 or 1.

    Raises:
        ValueError: settings or files that do not fit.
    """
    if options.precision is not None and not 0 < options.precision < 1:
        raise ValueError(f"--precision must lie between 0 and 1, got {options.precision}")
    if options.seed < 0:
        raise ValueError(f"--seed must not be negative, got {options.seed}")
    if options.to and options.precision is None:
        raise ValueError("--to names the file of a threshold: say by --precision which one")
    if options.to and (Path(options.to).is_dir() or not Path(options.to).parent.is_dir()):
        raise ValueError(f"--to must be a file in a folder that is there, got {options.to}")
    out = Folder(options.run)
    judged, verdicts = _judged(out, Path(options.verdicts))
    lines = [_told(judged, verdicts), "", *text_table([_HEAD, *map(_line, gate_qualities(judged, options.seed))])]
    threshold = None
    if options.precision is not None:
        threshold = lineup_threshold(judged, options.precision, options.seed)
        if threshold.tried:
            tried = [(f"{rate:g}", *_line(found)[1:]) for rate, found in threshold.tried]
            lines += ["", "the line-up, at other thresholds", *text_table([_TRIED_HEAD, *tried])]
        lines += ["", _result(threshold)]
    sys.stdout.write("\n".join(lines) + "\n")
    if threshold is None:
        return 0
    comments = [f"python -m pipeline.calibrate {options.run} --verdicts {options.verdicts}", *_told_lines(lines)]
    where, text = _where(options, out), as_toml(threshold.value, comments)
    if options.to:
        Path(options.to).write_text(text, encoding="utf-8")
    else:
        out.write_text(THRESHOLDS_FILE, [text])
    sys.stdout.write(f"written  {where}\n")
    return 0 if threshold.value is not None else EXIT_NO_THRESHOLD


def _judged(out: Folder, split: Path) -> tuple[Judged, Verdicts]:
    try:
        texts = list(run_texts(Annotations(out)))
    except (OSError, KeyError, ValueError, pa.ArrowException) as error:
        raise ValueError(
            f"RUN must be the folder of an annotation run of this release, got {out.url}: {brief(error)}"
        ) from error
    if not texts:
        raise ValueError(f"{out.url} must hold texts that a gate has seen, got none: run `make annotate` first")
    verdicts = read_verdicts(split, texts)
    return list(zip(texts, verdicts.of(texts), strict=True)), verdicts


def _told(judged: Judged, verdicts: Verdicts) -> str:
    known = [(text, verdict) for text, verdict in judged if verdict is not None]
    right = sum(bool(verdict) for _, verdict in known)
    videos = len({text.video_id for text, _ in known})
    told = f"{len(known):,} of {len(judged):,} texts of the run judged, in {videos:,} videos: {right:,} right"
    elsewhere = len(verdicts.right) - len({(text.object_id, text.kind, text.text) for text, _ in known})
    left_out = [f"{count:,} {why}" for why, count in sorted(verdicts.left_out.items())]
    left_out += [f"{elsewhere:,} on other texts than the run's"] if elsewhere else []
    return told + (f"; left out: {', '.join(left_out)}" if left_out else "")


def _told_lines(lines: Sequence[str]) -> list[str]:
    return [line for line in lines if line]


def _line(found: GateQuality) -> tuple[str, ...]:
    counts = (found.passed, found.judged_passed, found.rejected, found.judged_rejected)
    return found.gate, *(f"{count:,}" for count in counts), _figure(found.precision), _recall(found)


def _recall(found: GateQuality) -> str:
    return _figure(found.recall) if found.rejected else "nothing rejected"


def _figure(figure: GateRate) -> str:
    value, low, high = figure.rate
    if value is None:
        bound = f"; at least {figure.at_least:.1%}" if figure.at_least is not None else ""
        bound = f"; {low:.1%} to {high:.1%}" if low is not None else bound
        return f"{figure.why_not}{bound}"
    return f"{value:.1%} ({low:.1%} to {high:.1%})"


def _result(threshold: Threshold) -> str:
    found = threshold.quality
    if found is None:
        return f"no threshold with a precision of {threshold.wanted:.1%}: {threshold.why_not}"
    return (
        f"min_pick_rate = {threshold.value:g}: a precision of at least {threshold.wanted:.1%}, measured "
        f"{_figure(found.precision)}; recall {_recall(found)}"
    )


def _where(options: argparse.Namespace, out: Folder) -> str:
    return str(options.to or out.path(THRESHOLDS_FILE))


def parser() -> argparse.ArgumentParser:
    """Make the parser of the command's options."""
    command = argparse.ArgumentParser(
        prog="python -m pipeline.calibrate", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = command.add_argument
    add("run", metavar="RUN", help="folder or URL of the annotation run that people judged")
    add("--verdicts", required=True, metavar="SPLIT", help="an export of the validation app, or its judgements.parquet")
    add("--precision", type=float, help="find the lowest threshold of the line-up that surely reaches it, e.g. 0.95")
    add("--to", metavar="FILE", help=f"file of the threshold (default RUN/{THRESHOLDS_FILE})")
    add("--seed", type=int, default=0, help="of the resampled videos (default 0)")
    command.epilog = f"An interval takes {LEAST_TEXTS} judged texts of {LEAST_VIDEOS} videos; else it says too few."
    return command


if __name__ == "__main__":
    sys.exit(main())
