"""Keeps the training file (`Ref-SAV.json`) apart from the split: no video is in both, also not under another name."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from sqlalchemy import Connection, select

from manifests.outputs import TRAIN_FILE, brief
from stages.video.fingerprint import BYTES, DENSE_FPS, SPARSE_FPS, near_duplicates
from validation_ui.exporting.benchmark import BenchmarkClip, ExportError, named
from validation_ui.schema import video


@dataclass(frozen=True)
class Train:
    """Holds the content of a training file, `Ref-SAV.json`.

    Attributes:
        path: the path of the file.
        entries: key -> entry, the content of the file.
        videos: key -> video id of the entry.
    """

    path: Path
    entries: dict[str, Any]
    videos: dict[str, str]

    def without(self, ids: set[str]) -> dict[str, Any]:
        """Return the entries of all videos but these, unchanged."""
        return {key: entry for key, entry in self.entries.items() if self.videos[key] not in ids}


def read_train(path: Path) -> Train:
    """Read a training file, `Ref-SAV.json`.

    Raises:
        ExportError: the file cannot be read or has another format.
    """
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
        videos = {key: PurePosixPath(entry["video_path"]).stem for key, entry in entries.items()}
    except (OSError, ValueError, AttributeError, KeyError, TypeError) as error:
        raise ExportError(
            f"a training file is a Ref-SAV.json with a video_path an entry, got {brief(error)} in {path}"
        ) from error
    return Train(path, entries, videos)


@dataclass(frozen=True)
class Overlap:
    """What the split and a training file have in common.

    Attributes:
        ids: videos of the split that are in the training file too.
        alike: pairs (video of the split, video of the training file) that look the same.
        unknown: videos of the training file that have no fingerprints in the database.
    """

    ids: list[str]
    alike: list[tuple[str, str]]
    unknown: list[str]

    def check(self, train: Train) -> None:
        """Refuse a training file that shares a video with the split.

        Raises:
            ExportError: a video is in both, by its id or by its look.
        """
        way_out = "export with --rewrite-train and train with the Ref-SAV.json beside the split"
        if self.ids:
            raise ExportError(
                f"a video is in the split or in the training file, got {len(self.ids)} in both: {named(self.ids)} "
                f"({train.path}); {way_out}"
            )
        if self.alike:
            pairs = [f"{ours} = {theirs}" for ours, theirs in self.alike]
            raise ExportError(
                f"no video of the split looks like one of the training file, got {len(pairs)}: {named(pairs)} "
                f"({train.path}); {way_out}"
            )


def compare(connection: Connection, clips: Sequence[BenchmarkClip], train: Train) -> Overlap:
    """Find the videos of the split in a training file, by id and by the hashes of their frames."""
    ours = {clip.id: clip.fingerprints for clip in clips}
    wanted = set(train.videos.values()) - set(ours)
    theirs = {}
    for row in connection.execute(select(video.c.id, video.c.split, video.c.fingerprints)):
        if row.id in wanted and row.fingerprints:
            theirs[row.id] = _thinned(row.fingerprints) if row.split == "benchmark" else row.fingerprints
    return Overlap(
        ids=sorted(set(ours) & set(train.videos.values())),
        alike=sorted(near_duplicates(ours, theirs)),
        unknown=sorted(wanted - set(theirs)),
    )


def alike_within(clips: Sequence[BenchmarkClip]) -> list[tuple[str, str]]:
    """Return the pairs of videos of the split that look the same."""
    dense = {clip.id: clip.fingerprints for clip in clips}
    pairs = near_duplicates(dense, {name: _thinned(value) for name, value in dense.items()})
    return sorted({(min(pair), max(pair)) for pair in pairs if pair[0] != pair[1]})


def _thinned(dense: bytes) -> bytes:
    """Thin out fingerprints from DENSE_FPS to SPARSE_FPS, as train videos have them."""
    step = round(DENSE_FPS / SPARSE_FPS)
    return b"".join(dense[at : at + BYTES] for at in range(0, len(dense), step * BYTES))


def check_train(
    connection: Connection, clips: Sequence[BenchmarkClip], path: Path | None, build: Path | None
) -> list[str]:
    """Refuse an overlap with the training file, or write the file without it; return warnings.

    Args:
        connection: a connection to read from.
        clips: the videos of the split.
        path: the training file; None = there is none.
        build: the folder to write a training file without the overlap to; None = refuse any overlap.

    Raises:
        ExportError: there is an overlap, or no training file to rewrite.
    """
    warnings = [f"{one} and {other}, both in the split, look the same" for one, other in alike_within(clips)]
    if path is None:
        if build is not None:
            raise ExportError(
                f"--rewrite-train needs a training file, got none: the run has no {TRAIN_FILE}; name one with --train"
            )
        return [*warnings, f"compared with no training file: the run has no {TRAIN_FILE}"]
    train = read_train(path)
    overlap = compare(connection, clips, train)
    if build is None:
        overlap.check(train)
    else:
        warnings.append(_rewrite(connection, train, {other for _, other in overlap.alike}, build))
    if overlap.unknown:
        warnings.append(
            f"compared by id alone: {len(overlap.unknown)} videos of {train.path.name} that this run does not know: "
            f"{named(overlap.unknown)}"
        )
    return warnings


def _rewrite(connection: Connection, train: Train, alike: set[str], build: Path) -> str:
    kept = train.without(alike | set(held_out(connection)))
    (build / TRAIN_FILE).write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return (
        f"{TRAIN_FILE} has {len(kept)} of {len(train.entries)} entries: without the videos of the split and their like"
    )


def held_out(connection: Connection) -> list[str]:
    """Return the ids of all benchmark videos, also those without accepted expressions: later exports may add them."""
    return list(connection.scalars(select(video.c.id).where(video.c.split == "benchmark").order_by(video.c.id)))
