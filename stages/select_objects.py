"""Stage select_objects: reads the files of one video and makes a row per masklet, chosen or rejected with a reason.

It is the only stage that makes rows; pipeline/build_manifest.py runs it to make the manifest.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from manifests.io import in_utf8
from manifests.row_results import Reject, RowError
from manifests.schema import GivenText, ManifestRow, Reason, Status
from stages.select_policy import SelectConfig, check_candidate, reject
from stages.select_ranking import CandidateMasklet, choose
from stages.video.frames import Probe
from stages.video.masklets import Masklets
from stages.video.times import FrameTimes
from stages.video_files import Open, VideoFiles, open_masklets, open_video

__all__ = ["SelectConfig", "select_objects"]

_UNREADABLE = Probe((0, 0), FrameTimes.steady(0, 1.0))  # stands in for a video that cannot be looked at


TextsByObject = Mapping[str, Sequence[GivenText]]  # object_id -> texts of others


def select_objects(
    files: VideoFiles, open_file: Open, config: SelectConfig, texts: TextsByObject | None = None
) -> list[ManifestRow]:
    """Return the rows of all masklets of a video, manual before auto, by position in the annotation file.

    An annotation file that cannot be read gives one rejected row, `<video_id>/<type>/file`; the masklets of the other
    file are not affected.

    Where texts are given, the objects that have one are taken, unless they are never visible or outlines of one that is
    taken; all others are rejected, and remain what a text must be told apart from.

    Args:
        files: names of the video's mp4 and annotation files.
        open_file: opens a file by its name.
        config: thresholds for the choice.
        texts: given for objects of this video; None if texts are written.
    """
    shown = replace(files, video_id=in_utf8(files.video_id))
    if shown != files:
        row = _row(shown, "manual", _UNREADABLE)
        reject(row, Reject(Reason.VIDEO_MISSING, f"{shown.video_path}: must have a name in UTF-8: rename its files"))
        return [row]
    if texts is not None:
        config = replace(config, max_objects=sys.maxsize)
    rows: list[ManifestRow] = []
    candidates: list[CandidateMasklet] = []
    try:
        video, video_problem = open_video(files, open_file), None
    except RowError as error:
        video, video_problem = _UNREADABLE, Reject(error.reason, error.detail)
    for masklet_type in files.masklet_types:
        try:
            masklets = open_masklets(files, masklet_type, open_file)
        except RowError as error:
            rows.append(_row(files, masklet_type, video))
            reject(rows[-1], Reject(error.reason, error.detail))
            continue
        file_problem = video_problem or masklets.file_fault(video.frame_count, video.times.duration_s)
        for position in range(len(masklets.ids)):
            row = _row(files, masklet_type, video, masklets, position)
            row.given_texts = list((texts or {}).get(row.object_id, ()))
            rows.append(row)
            rles = [frame[position] for frame in masklets.rles]
            problem = file_problem or masklets.masklet_fault(position, video.size) or _group(masklets, position)
            problem = problem or _too_little(row, check_candidate(row, rles, config))
            if problem:
                reject(row, problem)
            else:
                candidates.append(CandidateMasklet(row, rles, masklets.centres[:, position]))
    if candidates:
        choose(candidates, config)
    for row in rows if texts is not None else ():
        if row.status is Status.PENDING and not row.given_texts:
            reject(row, Reject(Reason.NO_TEXT, "the given texts have none for it"))
    return rows


def _too_little(row: ManifestRow, why: Reject | None) -> Reject | None:
    """Return why there is too little of a masklet to describe; one that somebody has described need only be visible."""
    return None if why and row.given_texts and why.reason is not Reason.NEVER_VISIBLE else why


def _group(masklets: Masklets, position: int) -> Reject | None:
    """Return why a masklet that joins several objects is not described: a text names one that no other fits."""
    members = masklets.origins[position].members
    if not members:
        return None
    detail = f"joins the masklets {', '.join(map(str, members))}, for training on an imported expression"
    return Reject(Reason.SEVERAL_OBJECTS, detail)


def _row(
    files: VideoFiles, masklet_type: str, video: Probe, masklets: Masklets | None = None, position: int | None = None
) -> ManifestRow:
    row = ManifestRow(
        object_id=f"{files.video_id}/{masklet_type}/{'file' if position is None else position}",
        video_id=files.video_id,
        shard=files.shard,
        masklet_type=masklet_type,
        masklet_position=position,
        masklet_id=None,
        video_path=files.video_path,
        anno_path=files.anno_path(masklet_type),
        height_px=video.size[0],
        width_px=video.size[1],
        frame_count=video.frame_count,
        video_fps=video.times.fps,
        areas_px=[],
        boxes_px=[],
        best_index=None,
        status=Status.PENDING,
    )
    if masklets is not None and position is not None:
        row.masklet_id = masklets.ids[position]
        origin = masklets.origins[position]
        row.source, row.source_id, row.source_label = origin.source, origin.source_id, origin.label
        row.areas_px = masklets.areas[:, position].tolist()
        row.boxes_px = masklets.boxes[:, position].tolist()
        row.best_index = int(np.argmax(row.areas_px)) if any(row.areas_px) else None
    return row
