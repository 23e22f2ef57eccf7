"""A shard as it lies below SAV_ROOT: its name, its folder, its videos.

SA-V's archives unpack to `sav_train/<shard>/`. Sa2VA's instructions unpack each in a folder of its own, which makes it
`<shard>/sav_train/<shard>/`. Some people keep `<shard>/` alone.
"""

import posixpath
import re
from collections.abc import Sequence

import fsspec

from stages.video.source_file import unreadable
from stages.video_files import VideoFiles

_LAYOUTS = ("sav_train/{0}", "{0}/sav_train/{0}", "{0}")
_ENDS = (".mp4", "_manual.json", "_auto.json")
_COPY = re.compile(r".* \(\d+\)|.* copy( \d+)?|.* - copy( \(\d+\))?|copy of .*", re.IGNORECASE)  # browsers, desktops


def shard_names(given: str) -> list[str]:
    """The shards that `sav_000,sav_001/` names, each once.

    Raises:
        ValueError: it names none, or a path.
    """
    names = [posixpath.normpath(name) for each in given.split(",") if (name := each.strip().rstrip("/"))]
    if not names:
        raise ValueError(f"--shard (make: SHARD=…) must name at least one shard, got {given!r}")
    for name in names:
        if "/" in name:
            raise ValueError(
                f"--shard (make: SHARD=…) must be the name of a folder, got the path {name!r}: give SHARD="
                f"{name.rpartition('/')[2]}, and what is above its place as SAV_ROOT"
            )
    return list(dict.fromkeys(names))


def folder_of(fs: fsspec.AbstractFileSystem, sav_root: str, shard: str) -> str | None:
    """The folder of a shard, relative to SAV_ROOT; None if there is none with a video."""
    places = (layout.format(shard) for layout in _LAYOUTS)
    return next((place for place in places if video_ids(names_in(fs, f"{sav_root}/{place}"))), None)


def videos_in(fs: fsspec.AbstractFileSystem, sav_root: str, shard: str) -> list[VideoFiles]:
    """Videos of a shard of which there is at least one file, by id; none if there is no such shard."""
    folder = folder_of(fs, sav_root, shard)
    if folder is None:
        return []
    names = names_in(fs, f"{sav_root}/{folder}")
    return [
        VideoFiles(video_id, shard, ("manual", "auto") if f"{video_id}_auto.json" in names else ("manual",), folder)
        for video_id in sorted(video_ids(names))
    ]


def left_out(fs: fsspec.AbstractFileSystem, sav_root: str, videos: Sequence[VideoFiles]) -> list[str]:
    """What else lies in the folders of these videos: copies, hidden files, notes."""
    used = {f"{video.folder}/{video.video_id}{end}" for video in videos for end in _ENDS}
    folders = sorted({video.folder for video in videos})
    there = [f"{folder}/{name}" for folder in folders for name in names_in(fs, f"{sav_root}/{folder}")]
    return [path for path in there if path not in used]


def video_ids(names: Sequence[str]) -> set[str]:
    """Ids of the videos that files of these names belong to; hidden files and copies without masks belong to none."""
    ids = {name.removesuffix(end) for name in names for end in _ENDS if name.endswith(end) and name[0] != "."}
    annotated = {name.removesuffix(end) for name in names for end in _ENDS[1:] if name.endswith(end)}

    def copied(video_id: str) -> bool:  # `x 2` and `x - Kopie` where there is x: each system and language has its own
        starts = (video_id[: sign.start()] for sign in re.finditer(r"\W|_copy", video_id))
        return bool(_COPY.fullmatch(video_id)) or any(start in annotated for start in starts)

    return {each for each in ids if each and (each in annotated or not copied(each))}


def names_in(fs: fsspec.AbstractFileSystem, folder: str) -> list[str]:
    """Names in a folder, sorted; none if it is no folder.

    Raises:
        ValueError: it may not be looked into.
        FatalError: the storage does not answer.
    """
    try:
        if not fs.isdir(folder):
            return []
        return sorted(each.rstrip("/").rpartition("/")[2] for each in fs.ls(folder, detail=False))
    except (PermissionError, NotADirectoryError) as error:
        raise ValueError(
            f"{folder} must be a folder that can be listed, got {error!r}: see to its permissions"
        ) from error
    except Exception as error:
        raise unreadable(folder, error) from error
