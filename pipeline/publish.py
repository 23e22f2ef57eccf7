"""Publish runs as a dataset: `python -m pipeline.publish runs/sav_000 runs/sav_001 --out dataset`.

The dataset is what the Hugging Face hub shows without a script: parquet files with previews as images, Ref-SAV.json, a
card, croissant.json, licences, checksums, and a viewer that opens from disk. docs/publishing.md says what is in it.
"""

import argparse
import datetime
import logging
import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from pipeline.publishing.dataset_files import check_local_apart
from pipeline.publishing.publish_dataset import Published, PublishSettings, publish
from pipeline.publishing.runs import PublishedRun, open_run
from pipeline.publishing.viewer import MAX_PICTURES

logger = logging.getLogger("refsav")

EXIT_USER_ERROR, EXIT_FATAL = 2, 3
_HUB_NAME = r"\w(?:[\w.-]{0,94}\w)?"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code: 0 done, 2 wrong settings or runs, 3 stopped."""
    options = parser().parse_args(arguments)
    logging.basicConfig(level=options.log_level, format="%(asctime)s %(levelname)s %(message)s", datefmt="%H:%M:%S")
    try:
        runs, settings = _opened(options), _settings(options)
        done = publish(runs, settings, logger.info)
    except ValueError as error:
        logger.error("%s", error)
        return EXIT_USER_ERROR
    except KeyboardInterrupt:
        logger.error("stopped. Nothing was published; give the same command again.")
        return EXIT_FATAL
    except OSError as error:
        logger.error("stopped: %s. Nothing was published; give the same command again.", error)
        return EXIT_FATAL
    sys.stdout.write(_told(done, settings))
    return 0


def parser() -> argparse.ArgumentParser:
    """Make the parser of the command's options."""
    command = argparse.ArgumentParser(prog="python -m pipeline.publish", description=__doc__)
    add = command.add_argument
    add("runs", nargs="+", metavar="RUN", help="folder or fsspec URL of a finished run; several are joined")
    add("--out", required=True, type=Path, help="folder of the dataset; an earlier dataset there is replaced")
    add("--split", type=Path, help="benchmark split of `python -m validation_ui export`, published in benchmark/")
    add("--leave-out", action="store_true", help="publish without the rows that the split shares or resembles")
    add("--mix", action="store_true", help="take runs of several recipes, prompts or models; every row states its own")
    add("--partial", action="store_true", help="take runs that have not done all of their manifest")
    add("--repo", default="USER/NAME", help="where it will be on the hub, for card, croissant.json and the command")
    add("--title", default="Ref-SAV", help="heading of the card and the viewer")
    add("--creator", help="who made it, for croissant.json; default the USER of --repo")
    add("--date", help="date of publication, YYYY-MM-DD; default today (the same date gives the same bytes)")
    add("--version", default="1.0.0", help="MAJOR.MINOR.PATCH")
    add("--sav-root", type=Path, help="folder that holds sav_train/: the viewer shows frames with masks")
    add("--viewer-pictures", type=int, default=MAX_PICTURES, help="most rows with a picture in the viewer")
    add("--log-level", default="INFO")
    return command


def _opened(options: argparse.Namespace) -> list[PublishedRun]:
    check_local_apart(options.out, [*options.runs, *([str(options.split)] if options.split else [])])
    return [open_run(name, partial=options.partial) for name in options.runs]


def _settings(options: argparse.Namespace) -> PublishSettings:
    if not re.fullmatch(f"{_HUB_NAME}/{_HUB_NAME}", options.repo, re.ASCII) or re.search(r"--|\.\.", options.repo):
        raise ValueError(
            "--repo must be USER/NAME of letters, digits and single . _ - between them, as the hub takes it, got "
            f"{options.repo!r}"
        )
    if not options.title.strip():
        raise ValueError("--title must not be empty")
    if not re.fullmatch(r"\d+\.\d+\.\d+", options.version):
        raise ValueError(f"--version must be MAJOR.MINOR.PATCH, got {options.version!r}")
    if options.leave_out and not options.split:
        raise ValueError("--leave-out belongs to --split, which is not given")
    if options.viewer_pictures < 0:
        raise ValueError(f"--viewer-pictures must be at least 0, got {options.viewer_pictures}")
    if options.sav_root and not (options.sav_root / "sav_train").is_dir():
        raise ValueError(f"--sav-root must be the folder that holds sav_train/, got {options.sav_root}")
    try:
        date = datetime.date.fromisoformat(options.date).isoformat() if options.date else _today()
    except ValueError as error:
        raise ValueError(f"--date must be YYYY-MM-DD, got {options.date!r}") from error
    return PublishSettings(
        out=options.out,
        split=options.split,
        leave_out=options.leave_out,
        mix=options.mix,
        repo=options.repo,
        title=options.title,
        creator=options.creator or options.repo.partition("/")[0],
        date=date,
        version=options.version,
        sav_root=options.sav_root,
        pictures=options.viewer_pictures,
    )


def _today() -> str:
    return datetime.datetime.now(datetime.UTC).date().isoformat()


def _told(done: Published, settings: PublishSettings) -> str:
    out = shlex.quote(str(settings.out))
    left = f", {done.left_out:,} left out for the split" if done.left_out else ""
    notes = "".join(f"note: {note}\n" for note in done.notes)
    return (
        f"{done.rows:,} rows: {done.kept:,} kept, {done.not_kept:,} not kept{left}; "
        f"{done.files:,} files, {done.size_bytes / 1e6:,.1f} MB\n{notes}\n"
        f"look at  {settings.out / 'index.html'}\n"
        f"upload   hf upload {settings.repo} {out} . --repo-type dataset\n"
        f"         (huggingface_hub before 2.0: hf upload-large-folder {settings.repo} {out} --repo-type dataset)\n"
    )


if __name__ == "__main__":
    sys.exit(main())
