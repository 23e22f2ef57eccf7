"""Finds out which SAV_ROOT and SHARD were meant: people give a folder too much or too little, or a name with a slip."""

import fnmatch
import logging
import re
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from typing import Any

import fsspec

from stages.shard import ENDS, folder_of, names_in, video_ids, videos_in
from stages.video_files import VideoFiles

logger = logging.getLogger(__name__)

_DEEP = 4  # folders below SAV_ROOT that are searched for shards: one level too high in Sa2VA's layout, and one more
_MOST = 200  # of them that are looked into
_SHOWN = 5  # names in a message


def find_root(fs: fsspec.AbstractFileSystem, sav_root: str, shards: Sequence[str]) -> str:
    """Find the SAV_ROOT that has all `shards` at their places: as given, or the one folder around or below it.

    Args:
        fs: file system of `sav_root`.
        sav_root: as it was given, as `fs` names it.
        shards: of `shard_names`.

    Returns:
        It; and the given one where none fits or several do: `list_videos` then says what is wrong.
    """

    def fits(root: str) -> bool:
        return all(folder_of(fs, root, shard) for shard in shards)

    if fits(sav_root):
        proper = _root_of(f"{sav_root}/{folder_of(fs, sav_root, shards[0])}")[0]  # so that paths begin as SA-V's do
        return proper if fits(proper) else sav_root
    roots = [root for root in dict.fromkeys(root for root, _ in _shards_near(fs, sav_root)) if fits(root)]
    if len(roots) != 1:
        return sav_root
    logger.warning("SAV_ROOT %s has no %s at its place: taking SAV_ROOT=%s", sav_root, ",".join(shards), roots[0])
    return roots[0]


def list_videos(fs: fsspec.AbstractFileSystem, sav_root: str, shard: str) -> list[VideoFiles]:
    """List the videos of a shard of which there is at least one file, by id.

    Args:
        fs: file system of `sav_root`.
        sav_root: SAV_ROOT, as `fs` names it.
        shard: e.g. sav_000.

    Raises:
        ValueError: there is no such shard; the message names the SAV_ROOT or the SHARD that there is.
    """
    videos = videos_in(fs, sav_root, shard)
    if not videos:
        advice = _advice(fs, sav_root, shard)
        raise ValueError(f"no SA-V videos of the shard {shard!r} below SAV_ROOT {sav_root or '/'}: {advice}")
    return videos


def _shards_near(fs: fsspec.AbstractFileSystem, sav_root: str) -> Iterator[tuple[str, str]]:
    """Give (SAV_ROOT, shard) of `sav_root` and of the folders below it that hold videos, the nearest first."""
    level, looked = [sav_root], 0
    for _ in range(_DEEP + 1):
        below: list[str] = []
        for path in level:
            looked += 1
            try:
                entries: list[dict[str, Any]] = fs.ls(path or "/", detail=True) if looked <= _MOST else []
            except OSError:
                continue
            kinds = {one["name"].rstrip("/"): one["type"] for one in entries if one["name"].rstrip("/") != path}
            if video_ids([name.rpartition("/")[2] for name in kinds]):
                yield _root_of(path)
                continue
            folders = sorted(name for name, kind in kinds.items() if kind != "file")
            below += [name for name in folders if name.rpartition("/")[2][:1] not in (".", "_")]
        level = below


def _root_of(folder: str) -> tuple[str, str]:
    """Return (SAV_ROOT, shard) by the path of a folder with videos."""
    above, _, shard = folder.rpartition("/")
    if above.endswith("/sav_train"):
        above = above.removesuffix("/sav_train").removesuffix(f"/{shard}")
    return above, shard


def _advice(fs: fsspec.AbstractFileSystem, sav_root: str, shard: str) -> str:
    near = list(_shards_near(fs, sav_root))
    beside = [] if near else _shards_near(fs, sav_root.rpartition("/")[0])
    roots = sorted({root for root, name in (*near, *beside) if name == shard})
    if roots and (apart := _apart(fs, roots, shard)):
        return apart
    if roots:
        return f"give SAV_ROOT={' or SAV_ROOT='.join(roots[:_SHOWN])}"
    if near:
        root = near[0][0]
        shards = sorted({name for place, name in near if place == root})
        alike = [name for name in shards if _number(name) == _number(shard)] or get_close_matches(shard, shards)
        pieces = re.split(r"[\s;:+]+", shard)
        if all(matches := [fnmatch.filter(shards, piece) for piece in pieces]):
            alike = [",".join(sorted({name for names in matches for name in names}))]
        there = ", ".join(shards[:_SHOWN]) + (" …" if len(shards) > _SHOWN else "")
        return f"there is {there}: give SHARD={(alike or shards)[0]}{'' if root == sav_root else f' SAV_ROOT={root}'}"
    if not fs.isdir(sav_root or "/"):
        return "SAV_ROOT must be a folder, and there is none of this name"
    places = [*names_in(fs, sav_root or "/"), *(f"sav_train/{name}" for name in names_in(fs, f"{sav_root}/sav_train"))]
    if archives := [place for place in places if place.rpartition("/")[2].startswith(f"{shard}.")]:
        return f"unpack {archives[0]} there, it holds the shard"
    there = ", ".join(places[:_SHOWN]) or "nothing"
    return f"it has {there}; it must have sav_train/{shard}/ with .mp4 and _manual.json files"


def _apart(fs: fsspec.AbstractFileSystem, roots: Sequence[str], shard: str) -> str | None:
    """Return the advice for a shard whose videos and annotation files lie in different folders, None if they do not."""
    places = {f"{root}/{folder_of(fs, root, shard)}" for root in roots}
    names = {place: names_in(fs, place) for place in sorted(places)}
    videos, annotations = (
        [place for place, there in names.items() if any(name.endswith(end) for name in there for end in ends)]
        for ends in (ENDS[:1], ENDS[1:])
    )
    if not videos or not annotations or set(videos) & set(annotations):
        return None
    return (
        f"its videos lie in {videos[0]} and its annotation files in {annotations[0]}: put both, or links to them, into "
        "one folder"
    )


def _number(shard: str) -> int | str:
    """Return the number of a shard: what people mistype in its name is how many zeros that has."""
    digits = re.sub(r"\D", "", shard)
    return int(digits) if digits else shard
