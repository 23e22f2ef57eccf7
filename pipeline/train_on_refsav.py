"""Train Sa2VA on an annotation run: `python -m pipeline.train_on_refsav --source runs/sav_000 --base Qwen/Qwen3-VL-4B`.

Give the same command again after a kill: it goes on from the last checkpoint. `--official` does what the released code
does, its known defects included, for comparison (docs/training.md). The model of a checkpoint is written by `python -m
pipeline.train_on_refsav export OUT STEP`, where STEP is a number, last or best.
"""

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from manifests.outputs import TRAIN_FILE, check_apart, check_out
from manifests.row_results import FatalError
from pipeline.engines.models import commit_of
from pipeline.sa2va.config import ModelConfig, TrainConfig, official_train, with_settings
from pipeline.sa2va.config_file import RUN, LaunchConfig, as_toml, read_config_file, with_values
from pipeline.sa2va.official_code import check_official_code, read_questions

logger = logging.getLogger("pipeline.train_on_refsav")

EXIT_USER_ERROR, EXIT_FATAL = 2, 3
_EXPORT = "export"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 0 done, 2 wrong settings or data, 3 stopped, run it again."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    exports = given[:1] == [_EXPORT]
    options = argparse.Namespace(log_level="INFO") if exports else parser().parse_args(given)
    logging.basicConfig(level=options.log_level, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # it warns at every fork of a loader's process
    try:
        if exports:
            from pipeline.sa2va.train.export_step import main as export_step

            export_step(given[1:])
        else:
            train(options)
    except ValueError as error:
        logger.error("%s", error)
        return EXIT_USER_ERROR
    except (FatalError, OSError) as error:
        then = "begins anew" if exports else "goes on from its last checkpoint, if it has one"
        logger.error("stopped: %s. Give the same command again: it %s.", error, then)
        return EXIT_FATAL
    return 0


def train(options: argparse.Namespace) -> None:
    """Run the command described by `options`.

    Raises:
        ValueError: settings or data cannot be trained on.
        FatalError: the workers died too often; the same command goes on from their checkpoint.
    """
    config, run_config = _config(options)
    if options.print_config:
        sys.stdout.write(as_toml(config, run_config))
        return
    _check(config, run_config)
    # these cost seconds that --help and a mistyped option do not need
    import torch

    from pipeline.ray_train import WRITTEN, Workers, run
    from pipeline.sa2va.train.run import check_run, try_micro_batch, written_by
    from pipeline.sa2va.train.run import train as train_on
    from pipeline.sa2va.train.training_data import read_data

    out = Path(config.out)
    _check_inputs(config, [*written_by(out), *(out / name for name in WRITTEN)])
    videos, clips = read_data(config)
    logger.info("%d expressions of %d videos are sound", sum(len(video.expressions) for video in videos), len(videos))
    check_run(config, videos)
    use_gpu = torch.cuda.is_available() if run_config.cpu is None else not run_config.cpu
    if options.check == "step":
        try_micro_batch(config, videos, clips, torch.device("cuda" if use_gpu else "cpu"))
    if options.check:
        return
    workers = Workers(
        count=run_config.workers,
        use_gpu=use_gpu,
        cpus=1 + config.loader_workers,
        max_restarts=run_config.max_restarts,
        address=run_config.ray_address or None,
    )
    run(partial(train_on, config, videos, clips), out, workers)
    labels = {"model": "model    ", "tensorboard": "curves   tensorboard --logdir ", "pictures": "masks    "}
    lines = [f"{label}{out / name}\n" for name, label in labels.items() if (out / name).exists()]
    sys.stdout.write("\n" + "".join(lines))


def _check(config: TrainConfig, run: LaunchConfig) -> None:
    """Check what can be seen at once, so that nobody waits a minute for it.

    Raises:
        ValueError: the settings cannot be trained with.
    """
    check_out(Path(config.out))
    if run.workers < 1:
        raise ValueError(f"--workers must be at least 1, got {run.workers}")
    if run.max_restarts < 0:
        raise ValueError(f"--max-restarts must not be negative, got {run.max_restarts}")
    config.optim.check_workers(run.workers)
    if config.official and config.data.negatives_frac:
        raise ValueError("--negatives is ours: --official trains as the release does, which has no such texts")
    base = Path(config.model.base)
    if base.is_absolute() and not (base / "config.json").is_file():
        raise ValueError(f"--base must be a checkpoint's folder or a hub id; {base} has no config.json")
    if not base.is_absolute():
        try:
            commit_of(config.model.base)
        except FatalError as error:
            raise ValueError(
                f"--base must be a folder or a model of the hub: there is no folder {base.absolute()}, and {error}"
            ) from error
    if config.model.sam2.checkpoint and not Path(config.model.sam2.checkpoint).is_file():
        raise ValueError(f"--sam2-checkpoint must be a file, got {config.model.sam2.checkpoint}")
    for store in config.stores:
        if not Path(store).is_dir():
            raise ValueError(f"--store must be the folder of a frame store, got {store}")
    if config.official_code:
        check_official_code(Path(config.official_code))


def _check_inputs(config: TrainConfig, written: Sequence[Path]) -> None:
    """Check that nothing that is read lies where the run writes, such as a base model in OUT/model.

    Raises:
        ValueError: something does.
    """
    inputs = {"--source": config.sources, "--store": config.stores, "--base": [config.model.base]}
    inputs |= {"--sam2-checkpoint": [config.model.sam2.checkpoint], "--split": [config.split]}
    inputs |= {
        "--eval-split": [config.eval_split],
        "--official-code": [config.official_code],
        "--sav-root": [config.sav_root],
    }
    for option, paths in inputs.items():
        for path in filter(None, paths):
            check_apart(option, Path(path), written)


def _config(options: argparse.Namespace) -> tuple[TrainConfig, LaunchConfig]:
    """Return the settings: those of the command line before those of --config before the defaults."""
    file = read_config_file(options.config) if options.config else {}
    run = with_values(
        LaunchConfig(ray_address=os.environ.get("RAY_ADDRESS", "")), file.pop(RUN, {}), str(options.config), f"{RUN}."
    )
    given = _given(options)
    if given.get("source"):
        file.pop("mixture", None)  # an option goes before the file, and of the two there can be but one
    source = given.get("source") or file.get("source") or file.get("mixture")
    base = given["model"].get("base") or _base_in(file)
    for option, value in (("--source", source), ("--base", base)):
        if not value:
            raise ValueError(f"{option} must be given, here or as a setting of --config (--help lists the options)")
    config = TrainConfig(source=(), sav_root="", model=ModelConfig(base=str(base)), out="")
    of_file = with_values(config, file, str(options.config))
    if options.official or of_file.official:
        config = _official(config, given.get("official_code") or of_file.official_code)
        of_file = with_values(config, file, str(options.config))
    config = with_values(of_file, given, "the options")
    config = with_settings(config, options.set)
    if config.official and not config.data.official_questions:
        logger.warning(
            "--official: the questions are ours, not the release's; to train with those give --official-code with a "
            "clone of bytedance/Sa2VA"
        )
    return _located(config), with_values(run, _run_given(options), "the options")


def _base_in(file: dict[str, Any]) -> Any:
    model = file.get("model", {})
    return model.get("base") if isinstance(model, dict) else None


def _given(options: argparse.Namespace) -> dict[str, Any]:
    """Return the settings that have an option of their own and were given, nested as `TrainConfig` has them."""
    by_name: dict[str, Any] = {
        name: getattr(options, name)
        for name in (
            *("source", "sav_root", "out", "store", "split", "official_code", "seed", "on_bad"),
            *("eval_frac", "eval_split", "eval_every"),
        )
    }
    by_name["accept_changed_data"] = options.accept_changed_data or None
    model = {"base": options.base, "gradient_checkpointing": options.gradient_checkpointing or None}
    optim = {name: getattr(options, name) for name in ("batch", "micro_batch", "epochs")}
    sam2, data = {"checkpoint": options.sam2_checkpoint}, {"negatives_frac": options.negatives}
    nested = {"model": _known(model) | {"sam2": _known(sam2)}, "optim": _known(optim), "data": _known(data)}
    return _known(by_name) | nested


def _run_given(options: argparse.Namespace) -> dict[str, Any]:
    return _known({name: getattr(options, name) for name in ("workers", "cpu", "max_restarts", "ray_address")})


def _known(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _located(config: TrainConfig) -> TrainConfig:
    """Return `config` with absolute paths, for workers have another working directory, and with the usual places."""
    found = (replace(one, path=_path(one.path), sav_root=_path(one.sav_root)) for one in config.mixture)
    mixture = tuple(replace(one, name=one.label) for one in found)
    sources = tuple(Path(_path(source)) for source in config.sources)
    files = [
        source if source.suffix == ".json" else source / TRAIN_FILE for source in sources
    ]  # of a run, its own counts
    twice = sorted({str(one) for one in files if files.count(one) > 1}) if mixture else []
    if twice:
        raise ValueError(f"a data set stands once in a mixture, got {', '.join(twice)} twice: give it repeats")
    if not sources:
        raise ValueError("source must name at least one run or Ref-SAV.json, got none")
    base, sam2 = config.model.base, config.model.sam2
    return replace(
        config,
        source=() if mixture else tuple(map(str, sources)),
        mixture=mixture,
        sav_root=_path(config.sav_root),
        out=_path(config.out or _run_of(sources[0]) / "training"),
        store=tuple(map(_path, config.stores or _stores_of(sources))),
        split=_path(config.split),
        eval_split=_path(config.eval_split),
        official_code=_path(config.official_code),
        model=replace(
            config.model,
            base=_path(base) if base.startswith("~") or Path(base).exists() else base,
            sam2=replace(sam2, checkpoint=_path(sam2.checkpoint)),
        ),
    )


def _official(config: TrainConfig, code: str | None) -> TrainConfig:
    """Take the release's choices for this base, and its questions if the user has a clone of it, `code`."""
    from pipeline.sa2va.build import kind_and_width

    family, width = kind_and_width(config.model.base)
    config = official_train(config, family=family, width=width)
    return replace(config, data=replace(config.data, official_questions=read_questions(Path(code)) if code else ()))


def _run_of(source: Path) -> Path:
    """Return the folder of the annotation run that a source is, or lies in."""
    return source.parent if source.is_file() else source


def _stores_of(sources: Sequence[Path]) -> list[Path]:
    """Return the frame stores beside the sources, none if there are none.

    Raises:
        ValueError: some sources have a store and some have not.
    """
    stores = {_run_of(source): _run_of(source) / "frames" for source in sources}
    there = [store for store in stores.values() if store.is_dir()]
    without = [str(run) for run, store in stores.items() if not store.is_dir()]
    if there and without:
        raise ValueError(
            f"all sources must have a frame store or none, got {', '.join(map(str, there))} but none in "
            f"{', '.join(without)}: make it with python -m pipeline.export.frames, or name the stores with --store"
        )
    return there


def _path(given: str | Path | None) -> str:
    """Return a path from the root, "" for none; in a file no shell has put the home in place of ~."""
    try:
        return str(Path(given).expanduser().resolve()) if given else ""
    except (ValueError, RuntimeError) as error:
        raise ValueError(f"a path must be one that can exist, got {str(given)!r}: {error}") from error


def parser() -> argparse.ArgumentParser:
    """Return the parser of the options; all other settings are given by --set, see pipeline/sa2va/config.py."""
    command = argparse.ArgumentParser(
        prog="python -m pipeline.train_on_refsav",
        description=__doc__,
        epilog="@FILE reads arguments from a file, one a line.",
        fromfile_prefix_chars="@",
    )
    add = command.add_argument
    add(
        "--config",
        type=Path,
        metavar="FILE",
        help="settings in TOML, or a checkpoint's settings.json; options of the command line go before it",
    )
    add("--print-config", action="store_true", help="print all settings as a file for --config, and train nothing")
    add(
        "--source",
        nargs="+",
        action="extend",
        help="folders of annotation runs and Ref-SAV.json files (ours or the official one), one or several together",
    )
    add("--sav-root", help="folder that holds sav_train/; default: what the run's run.json says")
    add("--base", help="Qwen3-VL, Qwen2.5-VL or InternVL, or a Sa2VA checkpoint: folder or hub id")
    add("--sam2-checkpoint", help="sam2_hiera_large.pt; not needed if --base is a Sa2VA checkpoint")
    add("--out", help="folder of the training, seen by all workers (default training/ in the first source's run)")
    add(
        "--store",
        nargs="+",
        action="extend",
        help="frame stores of `make annotate STORE=1` (default frames/ in the sources' runs); else mp4 files are read",
    )
    add("--split", help="benchmark (folder of an export, or the official one) whose videos are left out")
    add(
        "--on-bad",
        choices=("stop", "skip"),
        help="rows that cannot be trained on: name them and stop, or leave them out",
    )
    add("--eval-frac", type=float, help="share of the videos that is held out, and evaluated on along the way")
    add("--eval-split", help="split that is evaluated on along the way; its videos are left out of training")
    add("--eval-every", type=int, help="steps from one evaluation to the next (default: half an hour)")
    add(
        "--negatives",
        type=float,
        metavar="SHARE",
        help="share of all texts that fit nothing in their video and are answered without a mask (default 0); they "
        "come from the runs, or from negatives.json beside a Ref-SAV.json",
    )
    add("--batch", type=int, help="videos an optimiser step, over all workers (default 256, as the paper)")
    add("--micro-batch", type=int, help="videos a forward pass of a worker (default 2)")
    add("--epochs", type=int, help="default 1, as the paper")
    add("--seed", type=int, help="default 0")
    add("--gradient-checkpointing", action="store_true", help="less memory, one forward pass more")
    add("--official", action="store_true", help="the released code's choices and known defects, for comparison")
    add(
        "--official-code",
        help="clone of bytedance/Sa2VA, or its folder of Hugging Face files: questions of --official are read from the "
        "clone, and the model's files are copied beside the exported model",
    )
    add("--accept-changed-data", action="store_true", help="go on although videos or texts are others than before")
    add(
        "--set",
        nargs="+",
        action="extend",
        default=[],
        metavar="NAME=VALUE",
        help="any other setting, such as data.frames=8 optim.lr=1e-5",
    )
    add("--workers", type=int, help="processes that train, one GPU each (default 1)")
    add(
        "--cpu",
        action=argparse.BooleanOptionalAction,
        help="train on CPUs, or with --no-cpu on GPUs (default: GPUs if there are any)",
    )
    add("--max-restarts", type=int, help="times that dead workers are replaced (default 3)")
    add("--ray-address", help="Ray cluster (default $RAY_ADDRESS, else this machine)")
    add(
        "--check",
        nargs="?",
        const="files",
        choices=("files", "step"),
        help="check settings, data, model and disk, train nothing; 'step': compute one micro-batch as well",
    )
    add("--log-level", default="INFO", choices=("DEBUG", "INFO", "WARNING", "ERROR"), help="default INFO")
    return command


if __name__ == "__main__":
    sys.exit(main())
