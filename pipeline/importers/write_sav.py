"""Writes a video of a source as SA-V has it: an mp4 of 24 fps, and `_manual.json` with its masks at 6 fps.

Beside SA-V's own keys the JSON has `source`, `source_video_id`, and for every masklet `masklet_source_id`,
`masklet_source_label` and `masklet_members`. The last one is a list of positions if the masklet is no object, but all
that an expression of several objects means, joined: training needs no other rule for it than for one object.

H.264 in 4:2:0, which browsers and OpenCV read, has even sides only. A picture with an odd side is extended by its last
row or column, and its masks by an empty one, so that every pixel stays where it was.
"""

from collections import Counter
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.importers.pictures import by
from pipeline.importers.source_protocol import ImportFailedError, ImportReason, LeftOut, SourceText, SourceVideo
from pipeline.importers.timeline import VIDEO_FPS, Timeline, plan
from stages.video.frames import probe
from stages.video.rle import Rle, areas_px, empty, padded, union
from stages.video.video_writer import VideoWriter, write_masklets

Size = tuple[int, int]


@dataclass(frozen=True)
class Written:
    """Tells what became of a video; `source.json` has it.

    Attributes:
        video_id: its id in the shard.
        source_id: the source's own.
        size_px: (height, width) of the mp4.
        source_size_px: that of the source's pictures.
        source_fps: its pictures a second, on average.
        frame_count: images of the mp4.
        pictures: of the source, and how many of them are shown.
        masked: its pictures with masks, and how many of them are kept.
        masks: masks of objects in the source that are not empty, and how many of them are kept.
        objects: a line for every masklet: position, own id, label, members.
        texts: a line for every text: own id, text, position of the masklet that it means.
        left_out: objects and texts that are not there, and why.
    """

    video_id: str
    source_id: str
    size_px: list[int]
    source_size_px: list[int]
    source_fps: float
    frame_count: int
    pictures: dict[str, int]
    masked: dict[str, int]
    masks: dict[str, int]
    objects: list[dict[str, Any]] = field(default_factory=list)
    texts: list[dict[str, Any]] = field(default_factory=list)
    left_out: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class _Masklet:
    rles_T: list[Rle]
    source_id: str
    label: str | None
    members: list[int] | None = None

    def line(self, position: int) -> dict[str, Any]:
        return {"position": position, "source_id": self.source_id, "label": self.label, "members": self.members}


def write_video(video: SourceVideo, folder: Path, *, video_id: str, source_id: str, source: str, crf: int) -> Written:
    """Write `<video_id>.mp4` and `<video_id>_manual.json` to a folder that is there.

    Args:
        video: what the source gave.
        folder: of the shard.
        video_id: id of the video there.
        source_id: its own id.
        source: name of the source.
        crf: x264's constant rate factor; less is better and larger.

    Raises:
        ImportFailedError: nothing of it can be used; what was written is removed.
    """
    pictures = video.pictures
    size, names = pictures.size, pictures.names
    _check_ids(video)
    _check_sizes(video, size)
    timeline = plan(pictures.times, sorted(video.masks), names)
    even = (size[0] + size[0] % 2, size[1] + size[1] % 2)
    masklets, texts, left_out = _masklets(video, timeline, size, even)
    objects_out = {one.object_id for one in left_out} - {one.object_id for one in video.left_out}
    singles = sum(masklet.members is None for masklet in masklets)
    assert singles + len(objects_out - {None}) == len(video.objects), "every object is written or left out"
    assert len(texts) + sum(one.text_id is not None for one in left_out[len(video.left_out) :]) == len(video.texts)
    if not masklets:
        whys = "; ".join(f"{one.object_id}: {one.detail}" for one in left_out if one.object_id) or "it has none"
        raise ImportFailedError(ImportReason.NO_OBJECT, f"there must be an object with a mask: {whys}")

    mp4 = folder / f".{video_id}.mp4"  # hidden until it is whole
    try:
        _write_mp4(video, timeline, mp4, even, crf)
        written = probe(mp4, str(mp4))
        assert (written.frame_count, written.size) == (len(timeline.pictures_N), even), f"{mp4}: {written}"
        mp4.replace(folder / f"{video_id}.mp4")
    finally:
        mp4.unlink(missing_ok=True)
    rles_TN = [[masklet.rles_T[t] for masklet in masklets] for t in range(len(timeline.masks_T))]
    beside = folder / f".{video_id}_manual.json"
    write_masklets(
        beside,
        rles_TN,
        video_id=video_id,
        masklet_type="manual",
        size=even,
        frame_count=len(timeline.pictures_N),
        fps=VIDEO_FPS,
        other={
            "video_environment": "",
            "masklet_edited_frame_count": [0] * len(masklets),
            "source": source,
            "source_video_id": source_id,
            "masklet_source_id": [masklet.source_id for masklet in masklets],
            "masklet_source_label": [masklet.label for masklet in masklets],
            "masklet_members": [masklet.members for masklet in masklets],
        },
    )
    beside.replace(folder / f"{video_id}_manual.json")
    seen = {at: sum(bool(area) for area in areas_px(list(masks.values()))) for at, masks in video.masks.items()}
    kept = set(timeline.masks_T)
    return Written(
        video_id=video_id,
        source_id=source_id,
        size_px=list(even),
        source_size_px=list(size),
        source_fps=round(pictures.times.fps, 3),
        frame_count=len(timeline.pictures_N),
        pictures={"read": len(names), "shown": len(set(timeline.pictures_N))},
        masked={"read": len(video.masks), "kept": len(kept)},
        masks={"read": sum(seen.values()), "kept": sum(seen[at] for at in kept)},
        objects=[masklet.line(position) for position, masklet in enumerate(masklets)],
        texts=texts,
        left_out=[asdict(one) for one in left_out],
    )


def encoding(crf: int) -> dict[str, str]:
    """Return the options of x264: one thread, because its bytes depend on their number, and every core has a video."""
    return {"preset": "medium", "threads": "1", "crf": str(crf)}


def _check_ids(video: SourceVideo) -> None:
    counts = Counter(one.source_id for one in video.objects)
    if twice := next((one for one, number in counts.items() if number > 1), None):
        detail = f"every object must have an id of its own, got {counts[twice]} with {twice!r}"
        raise ImportFailedError(ImportReason.ENTRY_MALFORMED, detail)


def _check_sizes(video: SourceVideo, size: Size) -> None:
    for at, masks in video.masks.items():
        for object_id, rle in masks.items():
            if tuple(rle["size"]) != size:
                raise ImportFailedError(
                    ImportReason.SIZE_MISMATCH,
                    f"the mask of object {object_id} at {video.pictures.names[at]} is {by(rle['size'])}, the picture "
                    f"{by(size)}",
                )


def _masklets(
    video: SourceVideo, timeline: Timeline, size: Size, even: Size
) -> tuple[list[_Masklet], list[dict[str, Any]], list[LeftOut]]:
    """Return the masklets, the lines of the texts, and what is left out."""
    left_out = list(video.left_out)
    masklets: list[_Masklet] = []
    position: dict[str, int] = {}
    nothing = empty(*even)
    for one in video.objects:
        own_T = [video.masks[at].get(one.source_id) for at in timeline.masks_T]
        rles_T = [padded(rle, *even) if rle else nothing for rle in own_T]
        if areas_px(rles_T).any():
            position[one.source_id] = len(masklets)
            masklets.append(_Masklet(rles_T, one.source_id, one.label))
        else:
            total = sum(one.source_id in masks for masks in video.masks.values())
            detail = f"no mask at any of the {len(rles_T)} kept pictures, of {total} in the source"
            left_out.append(LeftOut(ImportReason.NEVER_VISIBLE, detail, one.source_id))
    joined: dict[tuple[int, ...], int] = {}
    lines = []
    for text in video.texts:
        if missing := [name for name in text.objects if name not in position]:
            detail = f"means object {', '.join(missing)}, which was left out: {text.text!r}"
            left_out.append(LeftOut(ImportReason.UNKNOWN_OBJECT, detail, text_id=text.text_id))
            continue
        members = tuple(sorted(position[name] for name in text.objects))
        if len(members) > 1 and members not in joined:
            joined[members] = len(masklets)
            masklets.append(_union(masklets, members))
        at = members[0] if len(members) == 1 else joined[members]
        lines.append(_line(text, at))
    return masklets, lines, left_out


def _union(masklets: list[_Masklet], members: tuple[int, ...]) -> _Masklet:
    rles_T = [union(rles) for rles in zip(*(masklets[n].rles_T for n in members), strict=True)]
    return _Masklet(rles_T, " + ".join(masklets[n].source_id for n in members), None, list(members))


def _line(text: SourceText, position: int) -> dict[str, Any]:
    return {"text_id": text.text_id, "text": text.text, "position": position}


def _write_mp4(video: SourceVideo, timeline: Timeline, path: Path, even: Size, crf: int) -> None:
    times_shown = np.bincount(timeline.pictures_N)
    image = 0
    with VideoWriter(path, time_base=Fraction(1, VIDEO_FPS), encoding=encoding(crf), fps=VIDEO_FPS) as mp4:
        for at, image_HW3 in video.pictures.read(set(timeline.pictures_N)):
            below, right = even[0] - image_HW3.shape[0], even[1] - image_HW3.shape[1]
            if below or right:
                image_HW3 = np.pad(image_HW3, ((0, below), (0, right), (0, 0)), mode="edge")
            for _ in range(times_shown[at]):
                mp4.write(image_HW3, image)
                image += 1
