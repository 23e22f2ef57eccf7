"""The folder of a dataset appears at once, complete; its checksums and the text of its licence."""

import glob
import hashlib
import logging
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path

from manifests.io import Folder
from manifests.outputs import TRAIN_FILE, check_apart, check_out, is_full, make_out

logger = logging.getLogger(__name__)

SUMS = "SHA256SUMS"
_MARK = ".publishing-"  # in the name of a folder that is being written
_HUB_FILES = (".cache", ".gitattributes")  # what `hf upload`, `hf download` and the hub add
_SHOWN = 3  # files in a message
_NAME_BYTES = 200  # of the dataset's own name in it; a name may have 255

# Licences of models whose texts may be published, by the beginning of their names; docs/models.md has the sources.
_MODEL_LICENCES = {
    "OpenGVLab/InternVL2-Llama3-76B": "Meta Llama 3 Community License (built with Meta Llama 3)",
    "Qwen/Qwen2-72B-Instruct": "Tongyi Qianwen License",
    "Qwen/Qwen3": "Apache License 2.0",
}


def check_local_apart(out: Path, given: Sequence[str]) -> None:
    """Check that a command writes into a local folder that is not one of those it reads, nor around or in one.

    Args:
        out: the folder that is written.
        given: paths or URLs that are read.

    Raises:
        ValueError: `out` is a URL, or lies where something is read.
    """
    if ":/" in str(out):
        raise ValueError(f"--out must be a local folder, got {out}: write it to a disk, then upload it")
    for name in given:
        try:
            local = Folder(name).is_local
        except (ValueError, ImportError) as error:
            raise ValueError(
                f"what is read must be a folder or a URL that fsspec opens, got {name}: {error}"
            ) from error
        if not local:
            continue
        check_apart("what is read", Path(name), [out])
        if out.resolve().is_relative_to(Path(name).resolve()):
            raise ValueError(f"--out must lie apart from what is read, got {out} in {name}: name another folder")


@contextmanager
def complete_folder(out: Path, mark: str) -> Iterator[Path]:
    """Yield a new folder beside `out`, which takes its place when the block ends well, and is removed if it does not.

    Args:
        out: the folder to make; it may be absent, empty, or one that has the files `mark` and SHA256SUMS, which is
            replaced.
        mark: name of a file that tells a folder of ours.

    Raises:
        ValueError: something else is there, or nothing can be written there.
    """
    check_out(out)
    if out.is_dir() and Path.cwd().is_relative_to(out.resolve()):
        raise ValueError(f"--out must not be where the command is given, since it is replaced, got {out}: go elsewhere")
    out = out.resolve()  # what a link leads to is replaced, not the link
    if out.is_dir() and any(out.iterdir()) and not all((out / name).is_file() for name in (mark, SUMS)):
        raise ValueError(f"--out replaces nothing but an earlier dataset, got {out}, which is none: name a new folder")
    if others := _others(out):
        raise ValueError(
            f"--out replaces nothing but the files of an earlier dataset, got {out} with {', '.join(others[:_SHOWN])}"
            f"{' …' if len(others) > _SHOWN else ''}, not listed in its {SUMS}: move them, or name a new folder"
        )
    hidden = f".{out.name.encode()[:_NAME_BYTES].decode(errors='ignore')}{_MARK}"
    make_out(out.parent)
    if left := sorted(out.parent.glob(f"{glob.escape(hidden)}*")):
        logger.warning("left by a publish that was killed or still runs, delete it if none does: %s", left[0])
    with tempfile.TemporaryDirectory(prefix=hidden, dir=out.parent) as scratch:
        build = Path(scratch, "new")
        build.mkdir()
        yield build
        if out.exists():
            out.rename(Path(scratch, "old"))
        build.rename(out)


def _others(out: Path) -> list[str]:
    """Return the files in the folder of a dataset that neither `publish` nor the tools of the hub have put there."""
    if not (out / SUMS).is_file():
        return []
    lines = (out / SUMS).read_text(encoding="utf-8", errors="replace").splitlines()
    listed = {SUMS, *_HUB_FILES, *(line.partition("  ")[2] for line in lines)}
    files = (path.relative_to(out) for path in out.rglob("*") if not path.is_dir() or path.is_symlink())
    return sorted(name.as_posix() for name in files if name.as_posix() not in listed and name.parts[0] not in listed)


def copy_split(split: Path, into: Path) -> None:
    """Copy a benchmark split, but for its checksums and its training file: the dataset has its own.

    Raises:
        ValueError: a file of it cannot be read, such as a link that leads nowhere.
    """
    own = shutil.ignore_patterns(SUMS, TRAIN_FILE, ".*")
    try:
        shutil.copytree(split, into, ignore=own, copy_function=shutil.copyfile)
    except shutil.Error as error:
        if is_full(error):
            raise
        faulty, _, why = error.args[0][0]
        raise ValueError(
            f"every file of the split must be one that can be read, got {faulty[:_NAME_BYTES]}: {why[:_NAME_BYTES]}"
        ) from error


def write_sums(folder: Path) -> None:
    """Write the checksums of all files, to be checked by `sha256sum -c SHA256SUMS`."""
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    lines = [f"{digest}  {name}\n" for name, digest in checksums(folder, names).items()]
    (folder / SUMS).write_text("".join(lines), encoding="utf-8")


def checksums(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """Return the SHA-256 of files below a folder, by name."""
    sums = {}
    for name in names:
        with (folder / name).open("rb") as file:
            sums[name] = hashlib.file_digest(file, "sha256").hexdigest()
    return sums


def licence() -> str:
    """Return the legal code of CC BY 4.0, which SA-V has, and so what derives from it."""
    return files(__package__).joinpath("CC-BY-4.0.txt").read_text(encoding="utf-8")


def notice(models: Mapping[str, str] | None, versions: str) -> str:
    """Return the text of NOTICE: whom to name, and under which licences the models stand that wrote the texts.

    Args:
        models: name@revision, or several with commas, by role; None if no model was asked.
        versions: what made the dataset.
    """
    lines = [
        "Ref-SAV annotations",
        "",
        "This dataset derives from Segment Anything Video (SA-V), Copyright Meta Platforms, Inc. and affiliates,",
        "https://ai.meta.com/datasets/segment-anything-video/, licensed under CC BY 4.0",
        "(https://creativecommons.org/licenses/by/4.0/). Changes: referring expressions, measurements and small views",
        "were added; videos and masks are not included, but for those of the benchmark split, if there is one.",
        "It is published under the same licence, whose text is in LICENSE. Name both SA-V and this dataset.",
        "",
        "The form of the expressions follows Sa2VA (arXiv 2501.04001, section 3.3).",
        f"Made with refsav ({versions}), Apache License 2.0.",
        "",
    ]
    if not models:
        return "\n".join([*lines, "No model wrote or checked the texts: they are made from measurements.", ""])
    lines.append("The texts were written or checked by these models; their licences may set conditions for use:")
    for name in sorted({one for names in models.values() for one in names.split(", ")}):
        known = [text for begins, text in _MODEL_LICENCES.items() if name.startswith(begins)]
        lines.append(f"- {name}: {known[0] if known else 'licence not known here: see the page of the model'}")
    return "\n".join([*lines, ""])
