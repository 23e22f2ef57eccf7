"""Draws more candidates from the run of a project whose quotas were raised.

The draw follows from the seed as at the import, so it is the one that an import with the new quotas would have made,
as far as people have not seen the videos: those of gold items stay in train. What was drawn before keeps its place.

Whoever raises quotas notes that with `ask` in the same transaction, and a complete draw for these quotas removes the
note: so a draw that was cut off is known, and made again.
"""

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, update

from manifests.io import Folder
from validation_ui import audit
from validation_ui.database import Database
from validation_ui.importing import sample
from validation_ui.importing.candidates import Run, read_run
from validation_ui.importing.decoding import decode_all
from validation_ui.importing.rows import Plan, insert_items, insert_videos
from validation_ui.importing.sample import Drawn
from validation_ui.importing.source_video import Decoded
from validation_ui.judging.items import IN_SPLIT, LOCK_LOG
from validation_ui.schema import Gold, ItemState, item, judgement, masklet, meta, video
from validation_ui.settings import Settings

QUOTAS = ("videos", "long", "short", "per_video")
_NOTE = "draw"  # a key of `meta`: {"quotas": {…}, "fault": sentence or ""}, as long as something is to be drawn


@dataclass
class More:
    """Holds what a draw added to the project.

    Attributes:
        items: new expressions to be judged.
        videos: videos that came from train into the benchmark for them.
        short: expressions drawn before whose reviewer is asked for a short one now.
        unusable: video id -> why it could not be read.
        is_cut_off: it was stopped; what is missing is drawn by a later call.
    """

    items: int = 0
    videos: int = 0
    short: int = 0
    unusable: dict[str, str] = field(default_factory=dict)
    is_cut_off: bool = False

    def __str__(self) -> str:
        """Format the result for people, as a sentence without its full stop."""
        if self.is_cut_off:
            return f"{self.items} more candidates were drawn from the run; the others follow when the app starts again"
        if not self.items and not self.short:
            return "the run has no more candidates than those that were drawn before"
        return (
            f"{self.items} more candidates were drawn from the run, {self.videos} videos came from train into the "
            f"benchmark for them; {self.short} more ask for a short expression"
        )


def is_raised(old: Settings, new: Settings) -> bool:
    """Return whether one of the quotas was raised."""
    return any(getattr(new, name) > getattr(old, name) for name in QUOTAS)


def ask(connection: Connection, old: Settings, new: Settings) -> None:
    """Note that candidates are to be drawn for quotas that were raised, until a draw for them is complete."""
    if _quotas(old) == _quotas(new) or not (is_raised(old, new) or outstanding(connection) is not None):
        return
    connection.execute(delete(meta).where(meta.c.key == _NOTE))
    connection.execute(insert(meta).values(key=_NOTE, value={"quotas": _quotas(new), "fault": ""}))


def outstanding(connection: Connection) -> str | None:
    """Return why candidates for raised quotas are still to be drawn, "" if no draw failed yet; None if nothing is."""
    note: Any = connection.execute(_NOTED).scalar()
    return None if note is None else str(note["fault"])


def note_fault(connection: Connection, fault: str) -> None:
    """Keep why a draw failed, for those who look at the progress."""
    note: Any = connection.execute(_NOTED).scalar()
    if note is not None:
        connection.execute(update(meta).where(meta.c.key == _NOTE).values(value=note | {"fault": fault}))


_NOTED = select(meta.c.value).where(meta.c.key == _NOTE)


def _quotas(settings: Settings) -> dict[str, int]:
    return {name: getattr(settings, name) for name in QUOTAS}


def draw_more(
    out: Folder,
    sav_root: Path,
    data: Path,
    database: Database,
    *,
    workers: int,
    stopped: Callable[[], bool] = lambda: False,
) -> More:
    """Draw what the present quotas need beyond what was drawn before, and make its images; also while people judge.

    It may be stopped and called again, and two calls may run side by side: each adds what is not there yet.

    Args:
        out: the folder of the annotation run.
        sav_root: folder on this machine that holds `sav_train/`.
        data: the project's data folder; images go to `data/frames`.
        database: the project's database.
        workers: number of processes that decode videos.
        stopped: tells after each video whether to leave the rest to a later call.

    Raises:
        ValueError: the run is gone, or is not as it was imported.
    """
    run = read_run(out)
    with database.read() as connection:
        settings, there = Settings.load(connection), _There.read(connection)
    if there.fingerprint != run.fingerprint:
        raise ValueError(
            f"more candidates come from the run that was imported, and {out.url} has changed since; restore it"
        )
    drawn, moved = _draw(run, settings, there)
    fresh = [one for one in drawn if one.candidate.object_id not in there.objects]
    fresh = [replace(one, priority=there.last_priority + n) for n, one in enumerate(fresh, start=1)]
    plan = Plan(there.benchmark | moved, fresh, ())
    more = More()
    clips = [run.clips[video_id] for video_id in dict.fromkeys(one.candidate.video_id for one in fresh)]
    from_train = [clip for clip in clips if clip.id in moved]
    with closing(decode_all(from_train, plan, sav_root, data / "frames", workers)) as videos:
        for decoded in videos:
            if stopped():
                return replace(more, is_cut_off=True)
            if decoded.fault is not None:
                more.unusable[decoded.clip.id] = decoded.fault
                continue
            added = database.write(partial(_add_video, plan=plan, decoded=decoded, now=database.now()))
            more.videos, more.items = more.videos + (added > 0), more.items + added

    def finish(connection: Connection) -> None:
        missing = _missing(connection, plan)
        for clip in clips:
            if clip.id in there.benchmark:
                more.items += insert_items(connection, missing, clip.id, database.now())
        more.short = _ask_for_short(connection, [one for one in drawn if one.wants_short])
        body = {"items": more.items, "videos": more.videos, "short": more.short}
        audit.append(connection, at=database.now(), actor="cli", action="draw_more", subject="run", body=body)
        note: Any = connection.execute(_NOTED).scalar()
        if note is not None and note["quotas"] == _quotas(settings):  # else they were raised once more meanwhile
            connection.execute(delete(meta).where(meta.c.key == _NOTE))

    database.write(finish)
    return more


@dataclass(frozen=True)
class _There:
    """What the project has already."""

    fingerprint: str
    benchmark: frozenset[str]
    gold_videos: frozenset[str]
    objects: frozenset[str]  # ids of the objects that have an item
    last_priority: int

    @classmethod
    def read(cls, connection: Connection) -> "_There":
        real = select(item.c.video_id, masklet.c.object_id).join_from(item, masklet)
        begun: Any = connection.execute(select(meta.c.value).where(meta.c.key == "import")).scalar_one()
        benchmark = select(video.c.id).where(video.c.split == "benchmark")
        last = select(func.coalesce(func.max(item.c.priority), -1)).where(item.c.gold == Gold.NONE)
        return cls(
            begun["fingerprint"],
            frozenset(connection.execute(benchmark).scalars()),
            frozenset(row.video_id for row in connection.execute(real.where(item.c.gold != Gold.NONE))),
            frozenset(row.object_id for row in connection.execute(real.where(item.c.gold == Gold.NONE, IN_SPLIT))),
            connection.execute(last).scalar_one(),
        )


def _draw(run: Run, settings: Settings, there: _There) -> tuple[list[Drawn], frozenset[str]]:
    """Return the complete draw with the present quotas, and the videos that come from train."""
    wanted, _ = sample.split(run.candidates, settings)
    moved = frozenset(wanted) - there.benchmark - there.gold_videos
    chosen = there.benchmark | moved
    return sample.draw([one for one in run.candidates if one.video_id in chosen], settings), moved


def _missing(connection: Connection, plan: Plan) -> Plan:
    """Return what of a plan is not in the project: another draw may have added it meanwhile."""
    connection.execute(LOCK_LOG)  # so that of two draws on PostgreSQL one waits here for the other
    there = _There.read(connection)
    return replace(plan, drawn=[one for one in plan.drawn if one.candidate.object_id not in there.objects])


def _add_video(connection: Connection, plan: Plan, decoded: Decoded, now: float) -> int:
    """Move a video of train into the benchmark with its items, if no other draw did; return how many items it got."""
    missing = _missing(connection, plan)
    split = connection.execute(select(video.c.split).where(video.c.id == decoded.clip.id)).scalar()
    if split == "benchmark":
        return insert_items(connection, missing, decoded.clip.id, now)
    return insert_videos(connection, missing, [decoded], now)


def _ask_for_short(connection: Connection, drawn: Sequence[Drawn]) -> int:
    """Ask the reviewers of these items for a short expression, where nobody has judged them yet; return how many."""
    judged = select(judgement.c.id).where(judgement.c.item_id == item.c.id)
    names = [one.candidate.object_id for one in drawn]
    ids = dict(connection.execute(select(masklet.c.object_id, masklet.c.id)).all())
    asked = 0
    for name in names:
        if name in ids:
            which = item.c.masklet_id == ids[name], item.c.state == ItemState.SIGHTED, item.c.wants_short.is_(False)
            asked += connection.execute(update(item).where(*which, ~judged.exists()).values(wants_short=True)).rowcount
    return asked
