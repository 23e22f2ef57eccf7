"""Finds a shard below SAV_ROOT: its name, its folder and its videos.

SA-V's archives unpack to `sav_train/<shard>/`. Sa2VA's instructions unpack every archive in a folder of its own, which
gives `<shard>/sav_train/<shard>/`. Some people keep `<shard>/` alone. All three are found.
"""

import os
import posixpath
import re
from collections.abc import Sequence

import fsspec
from fsspec.implementations.local import LocalFileSystem

from manifests.io import in_utf8
from manifests.outputs import brief
from stages.video.source_file import unreadable
from stages.video_files import VideoFiles

_LAYOUTS = ("sav_train/{0}", "{0}/sav_train/{0}", "{0}")
ENDS = (".mp4", "_manual.json", "_auto.json")  # of the names of a video's files
# How browsers and desktops name a copy of a file.
_COPY = re.compile(r".* \(\d+\)|.* copy( \d+)?|.* - copy( \(\d+\))?|copy of .*", re.IGNORECASE)


def shard_names(given: str) -> list[str]:
    """Return the names in a list such as `sav_000,sav_001/`, without repetitions.

    Raises:
        ValueError: it has no name, or a path.
    """
    names = [posixpath.normpath(name) for part in given.split(",") if (name := part.strip().rstrip("/"))]
    if not names:
        raise ValueError(f"--shard (make: SHARD=…) must name at least one shard, got {given!r}")
    for name in names:
        if in_utf8(name) != name:
            raise ValueError(
                f"--shard (make: SHARD=…) must be a name in UTF-8, got '{in_utf8(name)}': rename the folder"
            )
        if "/" in name:
            raise ValueError(
                f"--shard (make: SHARD=…) must be the name of a folder, got the path {name!r}: give SHARD="
                f"{name.rpartition('/')[2]}, and what is above its place as SAV_ROOT"
            )
    return list(dict.fromkeys(names))


def folder_of(fs: fsspec.AbstractFileSystem, sav_root: str, shard: str) -> str | None:
    """Return the folder of a shard, relative to SAV_ROOT; None if no folder of its name has a video.

    Args:
        fs: the filesystem that SAV_ROOT is on.
        sav_root: path of SAV_ROOT on it.
        shard: name of the shard.
    """
    places = (layout.format(shard) for layout in _LAYOUTS)
    return next((place for place in places if video_ids(names_in(fs, f"{sav_root}/{place}"))), None)


def videos_in(fs: fsspec.AbstractFileSystem, sav_root: str, shard: str) -> list[VideoFiles]:
    """Return the videos of a shard that have at least one file, sorted by id; none if there is no such shard.

    Args: as `folder_of`.
    """
    folder = folder_of(fs, sav_root, shard)
    if folder is None:
        return []
    names = names_in(fs, f"{sav_root}/{folder}")
    return [
        VideoFiles(video_id, shard, ("manual", "auto") if f"{video_id}_auto.json" in names else ("manual",), folder)
        for video_id in sorted(video_ids(names))
    ]


def left_out(fs: fsspec.AbstractFileSystem, sav_root: str, videos: Sequence[VideoFiles]) -> list[str]:
    """Return the paths, relative to SAV_ROOT, of other files beside these videos: copies, hidden files, notes."""
    used = {f"{video.folder}/{video.video_id}{end}" for video in videos for end in ENDS}
    folders = sorted({video.folder for video in videos})
    there = [f"{folder}/{name}" for folder in folders for name in names_in(fs, f"{sav_root}/{folder}")]
    return [path for path in there if path not in used]


def video_ids(names: Sequence[str]) -> set[str]:
    """Return the ids of the videos that files of these names belong to; hidden files and copies do not count.

    A copy that has annotation files of its own does count.
    """
    ids = {name.removesuffix(end) for name in names for end in ENDS if name.endswith(end) and name[0] != "."}
    annotated = {name.removesuffix(end) for name in names for end in ENDS[1:] if name.endswith(end)}

    # Beside x, `x 2` and `x - Kopie` are copies too: systems and languages name them differently.
    def is_copy(video_id: str) -> bool:
        starts = (video_id[: match.start()] for match in re.finditer(r"\W|_copy", video_id))
        return bool(_COPY.fullmatch(video_id)) or any(start in annotated for start in starts)

    return {video_id for video_id in ids if video_id and (video_id in annotated or not is_copy(video_id))}


def names_in(fs: fsspec.AbstractFileSystem, folder: str) -> list[str]:
    """Return the sorted names in a folder; none if it is not a folder.

    Raises:
        ValueError: there is no permission to list it, or to open what it holds.
        FatalError: the storage does not answer.
    """
    try:
        if not fs.isdir(folder):
            return []
        if isinstance(fs, LocalFileSystem) and not os.access(folder, os.X_OK):
            raise PermissionError("its files may not be opened")
        return sorted(path.rstrip("/").rpartition("/")[2] for path in fs.ls(folder, detail=False))
    except (PermissionError, NotADirectoryError) as error:
        raise ValueError(
            f"{folder} must be a folder that can be listed and entered, got {brief(error)}: see to its permissions"
        ) from error
    except Exception as error:
        raise unreadable(folder, error) from error
