"""Import videos with masks of any layout: `python -m pipeline.import_masklets png DAVIS --fps 24 --out sav --shard d`.

Writes a shard in SA-V's own layout, so that everything that reads SA-V reads it. Give the same command again after a
kill: only what is missing is done, and what has changed in the source.
"""

import argparse
import logging
import os
import sys
import zipfile
from collections import Counter
from collections.abc import Sequence
from concurrent.futures.process import BrokenProcessPool
from fractions import Fraction
from pathlib import Path
from typing import Any

from tqdm import tqdm

from manifests.outputs import TRAIN_FILE, check_apart, check_out
from manifests.row_results import FatalError
from manifests.text_tables import text_table
from pipeline.importers.import_shard import SOURCE_FILE, ShardImport, VideoOutcome, import_videos, write_summary
from pipeline.importers.sav_names import video_ids
from pipeline.importers.source_protocol import SOURCES, ImportOptions, ImportTask, LeftOut, source
from stages.shard import shard_names

logger = logging.getLogger("refsav")

EXIT_LEFT_OUT, EXIT_USER_ERROR, EXIT_FATAL = 1, 2, 3
DEFAULT_CRF = 18  # docs/import.md has the PSNR that it was chosen by
_MAX_FPS = 1000
_DETAIL_CHARACTERS = 160


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code: 0 done, 1 videos were left out, 2 wrong settings, 3 stopped."""
    options = parser().parse_args(arguments)
    logging.basicConfig(level=options.log_level, format="%(asctime)s %(levelname)s %(message)s", datefmt="%H:%M:%S")
    try:
        return import_masklets(options)
    except ValueError as error:
        logger.error("%s", error)
        return EXIT_USER_ERROR
    except KeyboardInterrupt:
        logger.error("stopped. What is done is kept; give the same command again.")
        return EXIT_FATAL
    except BrokenProcessPool:
        logger.error(
            "stopped: a worker was killed, perhaps for want of memory. What is done is kept; try fewer --workers."
        )
        return EXIT_FATAL
    except (FatalError, OSError) as error:
        logger.error("stopped: %s. What is done is kept; give the same command again.", error)
        return EXIT_FATAL


def import_masklets(options: argparse.Namespace) -> int:
    """Run the command with these options; returns the exit code, 0 or 1.

    Raises:
        ValueError: the settings are wrong, or there is nothing to import.
        FatalError: it stopped; the same command continues it.
    """
    job = _job(options)
    tasks = _found(job)
    with job.begun():
        return _imported(job, tasks, options.workers)


def _imported(job: ShardImport, tasks: Sequence[ImportTask], workers: int) -> int:
    ids = video_ids([task.source_id for task in tasks])
    done = {task.source_id: job.is_done(task, ids[task.source_id]) for task in tasks}
    todo = [task for task in tasks if not done[task.source_id]]
    changed = sum(state is None for state in done.values())
    logger.info(
        "%d videos of %s: %d done before, %d have changed, %d to do, %d workers",
        *(len(tasks), job.path, len(tasks) - len(todo), changed, len(todo), workers),
    )
    failed: list[VideoOutcome] = []
    with tqdm(total=len(tasks), initial=len(tasks) - len(todo), unit="video", disable=not sys.stderr.isatty()) as bar:

        def on_done(outcome: VideoOutcome) -> None:
            if outcome.left_out:
                failed.append(outcome)
            bar.update()

        import_videos(job, todo, ids, workers, on_done)
    videos = write_summary(job, failed)
    if gone := sorted({video["source_id"] for video in videos} - set(ids)):
        logger.warning(
            "%d videos of the shard are no longer in the source, and stay: %s", len(gone), ", ".join(gone[:5])
        )
    sys.stdout.write(_report(videos, failed, job))
    return EXIT_LEFT_OUT if failed else 0


def _job(options: argparse.Namespace) -> ShardImport:
    names = shard_names(options.shard)
    if len(names) > 1 or not names[0].replace("-", "").replace("_", "").isalnum() or names[0] == "demo":
        raise ValueError(
            f"--shard must be one new name of letters, digits, - and _ (demo is taken), got {options.shard!r}"
        )
    if options.workers < 1:
        raise ValueError(f"--workers must be at least 1, got {options.workers}")
    if not 0 <= options.crf <= 51:
        raise ValueError(f"--crf must be from 0 (lossless) to 51, got {options.crf}")
    for name in (options.path, options.images):
        if name is not None and not name.exists():
            raise ValueError(f"there is no {name}")
    check_out(options.out)
    folder = options.out / "sav_train" / names[0]
    check_apart("PATH", options.path, [folder])
    images = options.images.resolve() if options.images else None
    given = ImportOptions(options.fps, images, options.first_frame)
    return ShardImport(options.source, options.path.resolve(), given, folder, options.crf)


def _found(job: ShardImport) -> Sequence[ImportTask]:
    """Return the videos of the source.

    Raises:
        ValueError: there are none; the source that fits is named.
    """
    chosen = source(job.name)
    if job.path.is_file() and zipfile.is_zipfile(job.path):
        raise ValueError(f"{job.path} is a zip archive: unpack it, and give the folder")
    tasks = chosen.find(job.path, job.options)
    twice = [one for one, number in Counter(task.source_id for task in tasks).items() if number > 1]
    if twice:
        raise ValueError(f"{job.path} must have every video once, got two called {', '.join(map(repr, twice[:5]))}")
    if tasks:
        return tasks
    others = [name for name in SOURCES if name != job.name and source(name).fits(job.path)]
    advice = f"; it looks like {source(others[0]).reads}: give the source `{others[0]}`" if others else ""
    there = sorted(one.name for one in job.path.iterdir())[:5] if job.path.is_dir() else ["a file"]
    raise ValueError(
        f"the source `{job.name}` reads {chosen.needs}, got {job.path} with {', '.join(there) or 'nothing'}{advice}"
    )


def _report(videos: Sequence[dict[str, Any]], failed: Sequence[VideoOutcome], job: ShardImport) -> str:
    """Return the table of what was left out, and what there is."""
    left = [(one.source_id, one.left_out) for one in sorted(failed, key=lambda one: one.source_id) if one.left_out] + [
        (video["source_id"], LeftOut(**one)) for video in videos for one in video["left_out"]
    ]
    counts = Counter((one.kind, str(one.reason)) for _, one in left)
    rows = [("left out", "reason", "number", "the first")]
    for (kind, reason), number in sorted(
        counts.items(), key=lambda item: ("video object text".index(item[0][0]), item)
    ):
        video_id, first = next((name, one) for name, one in left if (one.kind, str(one.reason)) == (kind, reason))
        where = " ".join(
            filter(
                None,
                [video_id, first.object_id and f"object {first.object_id}", first.text_id and f"text {first.text_id}"],
            )
        )
        detail = first.detail if len(first.detail) <= _DETAIL_CHARACTERS else first.detail[:_DETAIL_CHARACTERS] + "…"
        rows.append((kind, reason, f"{number:,}", f"{where}: {detail}"))
    lines = [*text_table(rows, left=4), f"all of them: {job.folder / SOURCE_FILE}"] if left else []
    single = sum(line["members"] is None for video in videos for line in video["objects"])
    joint = sum(line["members"] is not None for video in videos for line in video["objects"])
    texts = sum(len(video["texts"]) for video in videos)
    read, kept = (sum(video["masks"][name] for video in videos) for name in ("read", "kept"))
    frames, used = (sum(video["masked"][name] for video in videos) for name in ("read", "kept"))
    lines += [
        "",
        f"{len(videos):,} videos, {single:,} objects"
        + (f", {texts:,} texts, {joint:,} groups of objects" if texts else ""),
        f"{used:,} of {frames:,} pictures with masks were kept, with {kept:,} of {read:,} masks; the rest lies between",
        "",
        f"shard    {job.folder}",
        f"annotate make annotate SHARD={job.folder.name} SAV_ROOT={job.folder.parent.parent}",
    ]
    if texts:
        root = job.folder.parent.parent
        lines.append(
            f"train    python -m pipeline.train_on_refsav --source {job.folder / TRAIN_FILE} --sav-root {root} --base …"
        )
    return "\n".join(lines) + "\n"


def _fps(given: str) -> Fraction:
    try:
        fps = Fraction(given)
    except (ValueError, ZeroDivisionError):
        raise argparse.ArgumentTypeError(f"must be a number such as 30, 29.97 or 30000/1001, got {given!r}") from None
    if not 0 < fps <= _MAX_FPS:
        raise argparse.ArgumentTypeError(f"must be above 0 and at most {_MAX_FPS}, got {given}")
    return fps


def parser() -> argparse.ArgumentParser:
    """Make the parser of the command's options."""
    command = argparse.ArgumentParser(prog="python -m pipeline.import_masklets", description=__doc__)
    add = command.add_argument
    add("source", choices=SOURCES, help="; ".join(f"{name}: {source(name).reads}" for name in SOURCES))
    add("path", type=Path, help="folder or file of the source; docs/import.md has its layout")
    add("--out", type=Path, required=True, help="SAV_ROOT: the shard is written to OUT/sav_train/SHARD")
    add("--shard", required=True, help="name of the new shard")
    add("--fps", type=_fps, help="pictures a second, where the source does not state it")
    add("--images", type=Path, help="folder of the pictures (cvat: or the video), if it is not beside the annotations")
    add("--first-frame", type=int, default=0, help="video: number of the first frame in the names of its masks (0)")
    add("--crf", type=int, default=DEFAULT_CRF, help=f"x264's quality, less is better and larger ({DEFAULT_CRF})")
    add("--workers", type=int, default=os.cpu_count() or 1, help="processes (default: one for every CPU)")
    add("--log-level", default="INFO", choices=("DEBUG", "INFO", "WARNING", "ERROR"), help="default INFO")
    return command


if __name__ == "__main__":
    sys.exit(main())
