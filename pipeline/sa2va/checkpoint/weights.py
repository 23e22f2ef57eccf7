"""Files of weights: safetensors of bounded size with an index, as Hugging Face has them, and files of torch.save."""

import json
import pickle
import struct
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from manifests.outputs import brief

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
AGAIN = "download or copy it again"
# of 9,000 damaged and foreign files, torch.load refused each with one of these
_DAMAGED = (
    *(OSError, RuntimeError, EOFError, LookupError, ValueError, AssertionError),
    *(pickle.UnpicklingError, struct.error),
)
_MESSAGE_CHARACTERS = 200  # of what torch says, which may be a page


class Shards:
    """Holds the open files of the checkpoint in a folder: damage shows at once, but no tensor is read yet."""

    def __init__(self, folder: Path) -> None:
        """Open every file of the folder.

        Raises:
            ValueError: a file is missing or damaged; the message names it and says what to do.
        """
        self.shapes: dict[str, tuple[int, ...]] = {}
        self._files: dict[Path, list[str]] = {}
        promised = _promised(folder)
        for path in sorted(set(promised.values())):
            with open_weights(path) as file:
                names = list(file.keys())
                self._files[path] = names
                self.shapes |= {name: tuple(file.get_slice(name).get_shape()) for name in names}
        lost = sorted(name for name in promised if name and name not in self.shapes)
        if lost:
            raise ValueError(
                f"{folder / INDEX} promises {len(lost)} weights that its files lack, first {lost[:5]}: {AGAIN}"
            )

    def tensors(self) -> Iterator[tuple[str, Tensor]]:
        """Iterate over names and tensors, on the CPU, file by file, so that memory holds one tensor at a time."""
        for path, names in self._files.items():
            with open_weights(path) as file:
                for name in names:
                    yield name, file.get_tensor(name)


def open_weights(path: Path) -> Any:
    """Open a safetensors file for reading.

    Raises:
        ValueError: the file is not there, incomplete, or no safetensors file.
    """
    if not path.is_file():
        raise ValueError(f"the weights {path} are missing: {AGAIN}")
    size_bytes = path.stat().st_size
    try:
        return safe_open(path, framework="pt", device="cpu")
    except (SafetensorError, OSError) as error:
        with path.open("rb") as file:
            pointer = file.read(40).startswith(b"version https://git-lfs")
        why = (
            "is a pointer of git-lfs, not the file itself: run `git lfs pull`"
            if pointer
            else f"is damaged or cut: {AGAIN}"
        )
        raise ValueError(f"the weights {path} ({size_bytes:,} bytes) {why} (safetensors says: {error})") from error


def write_shards(
    names: Mapping[str, Callable[[], Tensor]], sizes_bytes: Mapping[str, int], folder: Path, max_bytes: int
) -> None:
    """Write tensors, in the order of their names, to as few files as `max_bytes` allows.

    Args:
        names: name of every tensor -> function that makes it; the tensors of one file are in memory at a time.
        sizes_bytes: size of every tensor.
        folder: must exist.
        max_bytes: size of a file, unless one tensor alone is larger.
    """
    groups: list[list[str]] = []
    full_bytes = max_bytes + 1
    for name in sorted(names):
        if full_bytes + sizes_bytes[name] > max_bytes:
            groups.append([])
            full_bytes = 0
        groups[-1].append(name)
        full_bytes += sizes_bytes[name]
    files = [WEIGHTS] if len(groups) == 1 else [_shard(at, len(groups)) for at in range(1, len(groups) + 1)]
    for file, group in zip(files, groups, strict=True):
        write_file({name: names[name]() for name in group}, folder / file)
    if len(groups) > 1:
        index = {
            "metadata": {"total_size": sum(sizes_bytes.values())},
            "weight_map": {name: file for file, group in zip(files, groups, strict=True) for name in group},
        }
        (folder / INDEX).write_text(json.dumps(index, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def write_file(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Write one safetensors file, with the mark that transformers wants to see in it."""
    path.touch()
    mode = path.stat().st_mode
    save_file({name: tensor.detach().contiguous() for name, tensor in tensors.items()}, path, {"format": "pt"})
    path.chmod(mode)  # safetensors would leave it to its owner alone, whatever the umask


def read_file(path: Path) -> dict[str, Tensor]:
    """Read all tensors of one safetensors file.

    Raises:
        ValueError: see `open_weights`.
    """
    with open_weights(path) as file:
        return {name: file.get_tensor(name) for name in tuple(file.keys())}


def element_bytes(dtype: torch.dtype) -> int:
    """Return the size of one number."""
    return torch.empty(0, dtype=dtype).element_size()


def _shard(at: int, count: int) -> str:
    return f"model-{at:05d}-of-{count:05d}.safetensors"


def _promised(folder: Path) -> dict[str, Path]:
    """Return the file of every weight that the index lists; without an index, the only file, under the name ''."""
    if (folder / INDEX).is_file():
        try:
            weight_map = json.loads((folder / INDEX).read_text(encoding="utf-8"))["weight_map"]
            return {name: folder / file for name, file in weight_map.items()}
        except (ValueError, KeyError, AttributeError) as error:
            raise ValueError(
                f"{folder / INDEX} must hold an object with weight_map, got {brief(error)}: {AGAIN}"
            ) from error
    if parts := sorted(path.name for path in folder.glob("model-*-of-*.safetensors")):
        raise ValueError(f"{folder} has {len(parts)} files like {parts[0]} but no {INDEX}: {AGAIN}")
    if not (folder / WEIGHTS).is_file() and list(folder.glob("pytorch_model*.bin")):
        raise ValueError(f"{folder} has its weights in pytorch_model*.bin; only safetensors are read: convert them")
    return {"": folder / WEIGHTS}


def read_pickled(path: Path) -> Any:
    """Read a file of torch.save to the CPU, without running anything in it.

    Raises:
        ValueError: there is no file, or it is damaged or of another kind. The message begins with the path.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except _DAMAGED as error:
        message = " ".join(str(error).split())[:_MESSAGE_CHARACTERS]
        if not isinstance(error, OSError):
            message = f"no file of torch.save, or a damaged one ({type(error).__name__}: {message})"
        raise ValueError(f"{path} cannot be read: {message}") from error
