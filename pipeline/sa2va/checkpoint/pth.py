"""Convert the official training checkpoint (iter_N.pth) to a Sa2VA: `python -m pipeline.sa2va.checkpoint.pth`.

Such a file has only what was trained; the rest comes from the MLLM and the SAM 2 that it was trained from.
"""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from manifests.outputs import check_apart, check_out
from pipeline.sa2va.config import ModelConfig, Sam2Config

logger = logging.getLogger("refsav")

EXIT_USER_ERROR = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 0 done, 2 wrong settings or files."""
    options = parser().parse_args(arguments)
    logging.basicConfig(level=options.log_level, format="%(asctime)s %(levelname)s %(message)s", datefmt="%H:%M:%S")
    try:
        convert(options)
    except ValueError as error:
        logger.error("%s", error)
        return EXIT_USER_ERROR
    return 0


def convert(options: argparse.Namespace) -> None:
    """Run the command described by `options`.

    Raises:
        ValueError: files are not there, or do not belong together.
    """
    for name, path in {"PTH": options.pth, "--sam2": options.sam2}.items():  # the MLLM takes minutes to read
        if not path.is_file():
            raise ValueError(f"{name} must be a file, got {path}")

    check_out(options.out, "OUT")
    for name, path in {"PTH": options.pth, "--sam2": options.sam2, "--base": Path(options.base)}.items():
        check_apart(name, path, [options.out])

    import torch  # these cost seconds that --help and a mistyped path do not need

    from pipeline.sa2va.build import build, load_tokenizer
    from pipeline.sa2va.checkpoint.merge_pth import merge_pth
    from pipeline.sa2va.checkpoint.write import check_export, save_sa2va

    config = ModelConfig(base=options.base, sam2=Sam2Config(checkpoint=str(options.sam2)))
    _, family = load_tokenizer(options.base)
    check_export(options.out, family.name, options.official_code)
    model = build(config, dtype=torch.bfloat16)
    merge_pth(model, options.pth)
    save_sa2va(model, options.out, official_code=options.official_code, official_prompts=True)
    sys.stdout.write(f"model    {options.out}\n")


def parser() -> argparse.ArgumentParser:
    """Return the parser of the options."""
    command = argparse.ArgumentParser(prog="python -m pipeline.sa2va.checkpoint.pth", description=__doc__)
    add = command.add_argument
    add("pth", type=Path, metavar="PTH", help="iter_N.pth of the official training")
    add("out", type=Path, metavar="OUT", help="folder of the new checkpoint")
    add("--base", required=True, help="the MLLM that it was trained from: folder or hub name")
    add("--sam2", type=Path, required=True, help="the SAM 2 that it was trained from: sam2_hiera_large.pt")
    add("--official-code", type=Path, help="clone of bytedance/Sa2VA, or its folder of HF files, to be copied")
    add("--log-level", default="INFO", choices=("DEBUG", "INFO", "WARNING", "ERROR"), help="default INFO")
    return command


if __name__ == "__main__":
    sys.exit(main())
