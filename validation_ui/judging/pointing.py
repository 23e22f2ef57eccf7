"""The blind pass: a person points at the object that a text describes, and the masks tell whether they found it.

`find` compares the points with the masks; it only reads rows that never change, so it runs outside of any write
transaction. `record` and `choose` store the answer. The client learns nothing about the target before
that, and before the person has answered the other open blind items of the video (`batches`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from sqlalchemy import Connection, Row, Select, bindparam, insert, select, update

from manifests.schema import MASK_STRIDE
from validation_ui import audit, stored_masks
from validation_ui.judging import batches, leases
from validation_ui.judging.eligibility import Asker
from validation_ui.problem import Problem
from validation_ui.schema import SlotKind, item, masklet, pointing, slot, video

_ROUNDING_S = 0.001  # times in the database are rounded
MIN_APART_S = 1.0  # least time between the two points; an object that is visible for less needs one point only
_MINE = (
    select(pointing, item.c.video_id)
    .join_from(pointing, slot, slot.c.id == pointing.c.slot_id)
    .join(item, item.c.id == slot.c.item_id)
    .where(pointing.c.slot_id == bindparam("slot"), pointing.c.person_id == bindparam("me"))
)
_VIDEO: Select[Any] = select(video.c.id, video.c.height_px, video.c.width_px, video.c.frame_count, video.c.pts_s).where(
    video.c.id == bindparam("video")
)
_MASKLETS = select(masklet).where(masklet.c.video_id == bindparam("video"))
_KEEP = insert(pointing)


# what `shown` needs of an answer
ANSWER = tuple(pointing.c[name] for name in ("answer", "points", "outlines", "hit", "revealed_at"))


class Point(BaseModel):
    """A point in an annotated frame; x and y are fractions of the width and the height."""

    model_config = ConfigDict(extra="forbid", strict=True)

    frame: int = Field(ge=0, le=2**31 - 1)
    x: float = Field(ge=0, le=1, allow_inf_nan=False)
    y: float = Field(ge=0, le=1, allow_inf_nan=False)


class PointAnswer(BaseModel):
    """Holds the answer to a blind item: points, or that the text is ambiguous, or that the object is absent."""

    model_config = ConfigDict(extra="forbid", strict=True)

    answer: Literal["pointed", "ambiguous", "absent"]
    points: Annotated[list[Point], Field(max_length=2)] = []
    candidates: Annotated[int, Field(ge=2, le=99)] | None = None
    brief: bool = False  # the person says that the object is visible for less than a second: one point is enough

    @model_validator(mode="after")
    def _hangs_together(self) -> Self:
        wanted = 0 if self.answer != "pointed" else 1 if self.brief else 2
        if len(self.points) != wanted:
            raise ValueError(f"{self.answer!r} takes {wanted} points, got {len(self.points)}")
        if self.candidates is not None and self.answer != "ambiguous":
            raise ValueError("candidates are counted only if the text is ambiguous")
        return self


@dataclass(frozen=True, slots=True)
class PointResult:
    """Holds the result of comparing an answer with the masks.

    Attributes:
        outlines: ids of the masklets under all points, smallest first; empty if there is no choice to make.
        hit: whether the target was found; None = it depends on which outline is chosen.
        chance_frac: mean fraction of the frame that the target covers in the frames of the points.
    """

    outlines: list[int] = field(default_factory=list)
    hit: bool | None = False
    chance_frac: float = 0.0


def find(connection: Connection, person_id: int, slot_id: int, answer: PointAnswer) -> PointResult:
    """Compare an answer with the masks of all masklets of the video.

    Raises:
        Problem: 409 lease_lost, 422 invalid points.
    """
    row = leases.kept_slot(connection, person_id, slot_id)
    clip = connection.execute(_VIDEO, {"video": row.video_id}).one()
    _check(answer, clip)
    if answer.answer != "pointed":
        return PointResult()
    size = (clip.height_px, clip.width_px)
    under, target = [], None
    for one in connection.execute(_MASKLETS, {"video": clip.id}).all():
        rles = stored_masks.unpack(one.rles)
        counts = [_at(rles, point.frame) for point in answer.points]
        if one.id == row.masklet_id:
            target = counts, _visible_s(one.areas_px, clip.pts_s)
        if all(
            stored_masks.contains(text, size, point.x, point.y)
            for text, point in zip(counts, answer.points, strict=True)
        ):
            under.append((stored_masks.area_px(counts[0], size), one.id))
    if target is None:
        raise LookupError(f"video {clip.id} lacks masklet {row.masklet_id} of item {row.item_id}; import it again")
    counts, visible_s = target
    areas = [stored_masks.area_px(text, size) for text in counts]
    chance_frac = sum(areas) / len(areas) / (clip.height_px * clip.width_px)
    outlines = [masklet_id for _, masklet_id in sorted(under)]
    if answer.brief and visible_s >= MIN_APART_S:  # two points could have been given
        return PointResult(hit=False, chance_frac=chance_frac)
    if len(outlines) > 1:
        return PointResult(outlines, None, chance_frac)
    return PointResult(hit=outlines == [row.masklet_id], chance_frac=chance_frac)


def record(
    connection: Connection, *, person_id: int, slot_id: int, answer: PointAnswer, result: PointResult, now: float
) -> None:
    """Store an answer; a person answers an item once, and the same answer again changes nothing.

    Raises:
        Problem: 409 lease_lost, already_answered, or already_seen (a mask of the video, since they took the item).
    """
    me, settings = leases.lock_person(connection, person_id)
    row = leases.kept_slot(connection, person_id, slot_id)
    if row.kind != SlotKind.BLIND:
        raise Problem(409, "not_blind", "Only an item of the blind pass is answered by pointing.")
    points = [point.model_dump() for point in answer.points]
    earlier = _mine(connection, person_id, slot_id)
    if earlier is not None:
        if (earlier.answer, earlier.points, earlier.candidates) == (answer.answer, points, answer.candidates):
            return
        raise Problem(
            409, "already_answered", "You answered already, and the object was shown. The first answer counts."
        )
    if row.saw:
        raise Problem(
            409, "already_seen", "You have seen a mask of this video since you took the item. Leave it to someone else."
        )
    leases.renew(connection, person_id, row, settings, now)
    values = {
        "slot_id": slot_id,
        "person_id": person_id,
        "answer": answer.answer,
        "points": points,
        "candidates": answer.candidates,
        "outlines": result.outlines,
        "hit": result.hit,
        "chance_frac": result.chance_frac,
        "answer_s": max(0.0, now - (row.claimed_at or now)),
        "created_at": now,
    }
    connection.execute(_KEEP, values)
    batches.reveal(Asker(connection, me, settings, now), row.video_id)
    body = {"answer": answer.answer, "hit": result.hit}
    audit.append(
        connection, at=now, actor=f"person:{person_id}", action="pointing", subject=f"slot:{slot_id}", body=body
    )


def choose(connection: Connection, *, person_id: int, slot_id: int, choice: int, now: float) -> None:
    """Store which of the outlines the person meant; this too is answered once.

    Raises:
        Problem: 409 lease_lost or already_answered, 422 there is no such outline.
    """
    me, settings = leases.lock_person(connection, person_id)
    row = leases.kept_slot(connection, person_id, slot_id)
    answered = _mine(connection, person_id, slot_id)
    if answered is None or choice >= len(answered.outlines):
        message = f"There is no outline {choice} to choose."
        raise Problem(422, "invalid", message, fields={"choice": message})
    extent_id = answered.outlines[choice]
    if answered.hit is not None:
        if answered.extent_id == extent_id:
            return
        raise Problem(409, "already_answered", "You chose already, and the object was shown. The first choice counts.")
    leases.renew(connection, person_id, row, settings, now)
    hit = extent_id == row.masklet_id
    connection.execute(update(pointing).where(pointing.c.id == answered.id).values(extent_id=extent_id, hit=hit))
    batches.reveal(Asker(connection, me, settings, now), row.video_id)
    body = {"choice": choice, "hit": hit}
    audit.append(connection, at=now, actor=f"person:{person_id}", action="extent", subject=f"slot:{slot_id}", body=body)


def view(connection: Connection, person_id: int, slot_id: int) -> dict[str, Any] | None:
    """Return a person's answer as the page gets it (type Pointing in review/types.js); None before they answer."""
    answered = _mine(connection, person_id, slot_id)
    return None if answered is None else shown(connection, person_id, answered)


def shown(connection: Connection, person_id: int, answered: Row[Any]) -> dict[str, Any]:
    """Return a person's answer as `view` does, from a row with the columns of `ANSWER` and the video's id."""
    is_revealed = answered.revealed_at is not None
    needs_extent = answered.hit is None and batches.all_answered(connection, person_id, answered.video_id)
    return {
        "answer": answered.answer,
        "needs_extent": needs_extent,
        "outlines": _outlines(connection, answered) if needs_extent else [],
        "revealed": is_revealed,
        "waits": not is_revealed and not needs_extent,  # for the other blind items of the video
        "hit": answered.hit if is_revealed else None,
    }


def _outlines(connection: Connection, answered: Row[Any]) -> list[dict[str, Any]]:
    frame = answered.points[0]["frame"]
    rows = connection.execute(
        select(masklet.c.id, masklet.c.rles, video.c.height_px, video.c.width_px)
        .join_from(masklet, video)
        .where(masklet.c.id.in_(answered.outlines))
    )
    by_id = {row.id: row for row in rows}
    return [
        {
            "choice": choice,
            "frame": frame,
            "size": [by_id[masklet_id].height_px, by_id[masklet_id].width_px],
            "counts": _at(stored_masks.unpack(by_id[masklet_id].rles), frame),
        }
        for choice, masklet_id in enumerate(answered.outlines)
    ]


def _mine(connection: Connection, person_id: int, slot_id: int) -> Row[Any] | None:
    return connection.execute(_MINE, {"slot": slot_id, "me": person_id}).first()


def _check(answer: PointAnswer, clip: Row[Any]) -> None:
    """Check that the points are in annotated frames of the video, and far enough apart in time."""
    message = ""
    for point in answer.points:
        if point.frame >= clip.frame_count or point.frame % MASK_STRIDE:
            message = (
                f"Point in one of the annotated frames, every {MASK_STRIDE}th up to {clip.frame_count - 1}; "
                f"got frame {point.frame}."
            )
    frames: Sequence[int] = [point.frame for point in answer.points]
    if not message and len(frames) == 2:
        apart_s = abs(clip.pts_s[frames[1]] - clip.pts_s[frames[0]])
        if apart_s < MIN_APART_S - _ROUNDING_S:
            message = f"Point in two frames at least {MIN_APART_S:g} s apart; these are {apart_s:.2f} s apart."
    if message:
        raise Problem(422, "invalid", message, fields={"points": message})


def _visible_s(areas_px: Sequence[int], pts_s: Sequence[float]) -> float:
    """Return how long an object is visible, in seconds: an annotated frame counts until the next one begins."""
    edges_s = [*pts_s[::MASK_STRIDE], pts_s[-1]]
    return sum(end_s - start_s for area, start_s, end_s in zip(areas_px, edges_s, edges_s[1:], strict=False) if area)


def _at(counts: Sequence[str | None], frame: int) -> str | None:
    place = frame // MASK_STRIDE
    return counts[place] if place < len(counts) else None
