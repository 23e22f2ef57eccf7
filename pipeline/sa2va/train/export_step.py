"""Export the model of a checkpoint: `python -m pipeline.train_on_refsav export OUT STEP`; STEP may be last or best.

The base model and SAM 2's file must lie where they were when the checkpoint was written.
"""

import argparse
import logging
import sys
from pathlib import Path

import torch

from manifests.outputs import check_apart, check_out
from pipeline.sa2va.checkpoint.write import check_export
from pipeline.sa2va.config import ModelConfig, TrainConfig
from pipeline.sa2va.config_file import read_config_file, with_values
from pipeline.sa2va.lora import load_trainable_state
from pipeline.sa2va.train import state
from pipeline.sa2va.train.metrics_logger import SCORE, best_step
from pipeline.sa2va.train.run import export, prepared

logger = logging.getLogger(__name__)


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command's options."""
    command = argparse.ArgumentParser(prog="python -m pipeline.train_on_refsav export", description=__doc__)
    command.add_argument("out", type=Path, metavar="OUT", help="folder of the training")
    command.add_argument("step", metavar="STEP", help="number of a step with a checkpoint, or last, or best")
    command.add_argument("--to", type=Path, metavar="DIR", help="folder of the model (default OUT/model_STEP)")
    return command


def main(arguments: list[str]) -> None:
    """Export what `arguments` ask for.

    Raises:
        ValueError: there is no such checkpoint, or it cannot be exported.
    """
    options = parser().parse_args(arguments)
    checkpoint = find(options.out, options.step)
    if options.to and options.to.exists():
        raise ValueError(f"--to must name a new folder, got {options.to}")
    folder = (options.to or options.out / f"model_{state.step_of(checkpoint)}").resolve()
    check_out(folder, "--to")
    check_apart("--to", folder.parent, [options.out / "checkpoints"])
    export_step(checkpoint, folder)
    sys.stdout.write(f"model    {folder}\n")


def find(out: Path, step: str) -> Path:
    """Return the checkpoint of a step of the run in `out`: a number, `last`, or `best` (highest J&F, evaluated).

    Raises:
        ValueError: there is none; the message has those that there are.
    """
    there = sorted(out.glob("checkpoints/step_????????"))
    steps = ", ".join(str(state.step_of(one)) for one in there) or "none"
    if step == "best":
        best = best_step(out)
        if best is None:
            raise ValueError(f"{out} has no evaluation, so none is the best: train with --eval-frac or --eval-split")
        logger.info("the best evaluation was after step %d, %s %.2f", best[0], SCORE, best[1])
        step = str(best[0])
    if step != "last" and not (step.isascii() and step.isdigit()):
        raise ValueError(f"STEP must be a number, last or best, got {step!r}; {out} has checkpoints of {steps}")
    for one in reversed(there):
        if step == "last" or state.step_of(one) == int(step):
            return one
    raise ValueError(f"{out} must have a checkpoint of step {step}, got checkpoints of {steps}")


def export_step(checkpoint: Path, folder: Path) -> None:
    """Write the model of a checkpoint to `folder`, as the run itself would have at its end.

    Raises:
        ValueError: the checkpoint or its base model cannot be read, or `folder` holds something else.
    """
    empty = TrainConfig(source=(), sav_root="", out="", model=ModelConfig(base=""))
    # all is read before the model is built, which takes minutes: a run that goes on may remove the checkpoint then
    trained_on, learned = state.data_of(checkpoint).trained_on, state.read_model(checkpoint)
    config = with_values(empty, read_config_file(checkpoint / "settings.json"), str(checkpoint / "settings.json"))
    for name, path in (("the base model", config.model.base), ("the checkpoint", str(checkpoint))):
        check_apart(name, Path(path), [folder])
    model = prepared(config, torch.device("cpu"))
    check_export(folder, model.family.name, Path(config.official_code) if config.official_code else None)
    load_trainable_state(model, learned)
    export(config, model, trained_on, folder)
