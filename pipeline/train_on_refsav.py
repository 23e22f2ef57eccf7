"""Train Sa2VA on an annotation run: `python -m pipeline.train_on_refsav --source runs/sav_000 --base Qwen/Qwen3-VL-4B`.

Give the same command again after a kill: it goes on from the last checkpoint. `--official` does what the released code
does, its known defects included, for comparison (docs/training.md).
"""

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from pipeline.engines.hub import commit_of
from pipeline.out_folder import check_out
from pipeline.sa2va.config import ModelConfig, TrainConfig, official_train, with_settings
from stages.base import FatalError

logger = logging.getLogger("pipeline.train_on_refsav")

EXIT_USER_ERROR, EXIT_FATAL = 2, 3


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns the exit code: 0 done, 2 wrong settings or data, 3 stopped, run it again."""
    options = parser().parse_args(arguments)
    logging.basicConfig(level=options.log_level, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # it warns at every fork of a loader's process
    try:
        train(options)
    except ValueError as error:
        logger.error("%s", error)
        return EXIT_USER_ERROR
    except (FatalError, OSError) as error:
        logger.error("stopped: %s. The last checkpoint is kept; give the same command again.", error)
        return EXIT_FATAL
    return 0


def train(options: argparse.Namespace) -> None:
    """Run the command described by `options`.

    Raises:
        ValueError: settings or data that cannot be trained on.
        FatalError: the workers died too often; the same command goes on.
    """
    config = _config(options)
    _check(config, options.workers)
    from pipeline.sa2va.train.plan import read_data  # with torch and the rest: seconds that --help does not need

    videos, clips = read_data(config)
    logger.info("%d expressions of %d videos are sound", sum(len(video.expressions) for video in videos), len(videos))
    if options.check:
        return
    import torch

    from pipeline.ray_train import Workers, run
    from pipeline.sa2va.train.run import train as train_on

    use_gpu = torch.cuda.is_available() if options.use_gpu is None else options.use_gpu
    workers = Workers(
        count=options.workers,
        use_gpu=use_gpu,
        cpus=1 + config.loader_workers,
        max_restarts=options.max_restarts,
        address=options.ray_address,
    )
    run(partial(train_on, config, videos, clips), Path(config.out), workers)
    sys.stdout.write(f"\nmodel    {Path(config.out, 'model')}\ncurves   tensorboard --logdir {Path(config.out)}\n")
    sys.stdout.write(f"masks    {Path(config.out, 'pictures')}\n")


def _check(config: TrainConfig, workers: int) -> None:
    """What can be seen at once, so that nobody waits a minute for it.

    Raises:
        ValueError: settings that cannot be trained with.
        FatalError: the base is a hub's model that cannot be had.
    """
    check_out(Path(config.out))
    if workers < 1:
        raise ValueError(f"--workers must be at least 1, got {workers}")
    base = Path(config.model.base)
    if base.is_absolute() and not (base / "config.json").is_file():
        raise ValueError(f"--base must be a checkpoint's folder or a hub id; {base} has no config.json")
    if not base.is_absolute():
        commit_of(config.model.base)
    if config.model.sam2.checkpoint and not Path(config.model.sam2.checkpoint).is_file():
        raise ValueError(f"--sam2-checkpoint must be a file, got {config.model.sam2.checkpoint}")


def _config(options: argparse.Namespace) -> TrainConfig:
    """The settings; paths are absolute, for workers stand elsewhere."""
    source = Path(options.source).resolve()
    config = TrainConfig(
        source=str(source),
        sav_root=_path(options.sav_root),
        model=ModelConfig(base=_path(options.base) if Path(options.base).exists() else options.base),
        out=_path(options.out or source / "training"),
        store=_path(options.store or (source / "frames" if (source / "frames").is_dir() else "")),
        split=_path(options.split),
        official_code=_path(options.official_code),
    )
    if options.official:
        config = official_train(config)
    given = [
        f"{name}={value}"
        for name, value in (
            ("model.sam2.checkpoint", _path(options.sam2_checkpoint)),
            ("optim.batch", options.batch),
            ("optim.micro_batch", options.micro_batch),
            ("optim.epochs", options.epochs),
            ("seed", options.seed),
            ("on_bad", options.on_bad),
            ("model.gradient_checkpointing", options.gradient_checkpointing or None),
        )
        if value not in (None, "")
    ]
    return with_settings(config, [*given, *options.set])


def _path(given: str | Path | None) -> str:
    return str(Path(given).resolve()) if given else ""


def parser() -> argparse.ArgumentParser:
    """The options; the rest of the settings by --set, see pipeline/sa2va/config.py."""
    command = argparse.ArgumentParser(
        prog="python -m pipeline.train_on_refsav",
        description=__doc__,
        epilog="@FILE reads arguments from a file, one a line.",
        fromfile_prefix_chars="@",
    )
    add = command.add_argument
    add("--source", required=True, help="folder of an annotation run, or a Ref-SAV.json (ours or the official one)")
    add("--sav-root", help="folder that holds sav_train/; default: what the run's run.json says")
    add("--base", required=True, help="Qwen3-VL, Qwen2.5-VL or InternVL, or a Sa2VA checkpoint: folder or hub id")
    add("--sam2-checkpoint", help="sam2_hiera_large.pt; not needed if --base is a Sa2VA checkpoint")
    add("--out", help="folder of the training, seen by all workers (default SOURCE/training)")
    add(
        "--store",
        help="frame store of `make annotate STORE=1` (default SOURCE/frames if there); else mp4 files are read",
    )
    add("--split", help="benchmark (folder of an export, or the official one) whose videos are left out")
    add(
        "--on-bad",
        choices=("stop", "skip"),
        help="rows that cannot be trained on: name them and stop, or leave them out",
    )
    add("--batch", type=int, help="videos an optimiser step, over all workers (default 256, as the paper)")
    add("--micro-batch", type=int, help="videos a forward pass of a worker (default 2)")
    add("--epochs", type=int, help="default 1, as the paper")
    add("--seed", type=int, help="default 0")
    add("--gradient-checkpointing", action="store_true", help="less memory, one forward pass more")
    add("--official", action="store_true", help="the released code's choices and known defects, for comparison")
    add("--official-code", help="folder of the official model .py files, copied beside the exported model")
    add(
        "--set",
        nargs="+",
        action="extend",
        default=[],
        metavar="NAME=VALUE",
        help="any other setting, such as data.frames=8 optim.lr=1e-5",
    )
    add("--workers", type=int, default=1, help="processes that train, one GPU each (default 1)")
    add(
        "--cpu",
        dest="use_gpu",
        action="store_false",
        default=None,
        help="train on CPUs (default: GPUs if there are any)",
    )
    add("--max-restarts", type=int, default=3, help="times that dead workers are replaced (default 3)")
    add(
        "--ray-address",
        default=os.environ.get("RAY_ADDRESS"),
        help="Ray cluster (default $RAY_ADDRESS, else this machine)",
    )
    add("--check", action="store_true", help="check settings and data, train nothing")
    add("--log-level", default="INFO", choices=("DEBUG", "INFO", "WARNING", "ERROR"), help="default INFO")
    return command


if __name__ == "__main__":
    sys.exit(main())
