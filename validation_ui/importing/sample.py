"""What is drawn of a run: the split by video, the order in which items are judged, and what is asked along the way.

All of it follows from the seed. A video's place depends on its id alone, so that a split stays what it is when rows
come in another order or another video is added beyond its end.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from sqlalchemy import Connection, select, update

from validation_ui.importing.candidates import Candidate
from validation_ui.importing.strata import FACETS
from validation_ui.judging.items import settle
from validation_ui.schema import Gold, ItemState, item, masklet
from validation_ui.settings import Settings, seeded_frac

SPARE_PER_VIDEO = 2  # more than may be accepted, so that rejected ones can be replaced
_GOLD_VIDEOS_FRAC = 0.25  # of the videos at most are kept back for gold items if all are needed for the benchmark
_FEWEST_VIDEOS = 3  # with fewer there is no gold
_GOLD_PER_VIDEO = 4  # candidates of a video that make it a good one for gold items
_GOLDEN = (math.sqrt(5) - 1) / 2  # multiples of it modulo 1 fill [0, 1) evenly, from any start and up to any end


@dataclass(frozen=True)
class Drawn:
    """An item to be made; `priority` is its place in the queue, from 0."""

    candidate: Candidate
    priority: int
    overlap: bool
    wants_short: bool


def split(candidates: Sequence[Candidate], settings: Settings) -> tuple[list[str], list[str]]:
    """(benchmark videos, train videos that have candidates), each in seeded order.

    Videos are taken in the order of their `seeded_frac` until those taken should cover the quotas of videos and of long
    expressions if only `pass_frac` of the candidates is accepted. If that would take all, some stay in train for gold
    items, a quarter at most and one at least: the last ones that have candidates enough.
    """
    counts: dict[str, int] = {}
    for candidate in candidates:
        counts[candidate.video_id] = counts.get(candidate.video_id, 0) + 1
    order = sorted(counts, key=lambda video: seeded_frac(settings.seed, "video", video))
    pass_frac = max(settings.pass_frac, 1e-9)
    benchmark: list[str] = []
    expected = 0.0
    for video in order:
        if len(benchmark) >= settings.videos / pass_frac and expected >= settings.long:
            break
        benchmark.append(video)
        expected += min(settings.per_video, counts[video] * pass_frac)
    keep = min(math.ceil(gold_wanted(settings) / _GOLD_PER_VIDEO), max(1, int(len(order) * _GOLD_VIDEOS_FRAC)))
    keep = keep - (len(order) - len(benchmark)) if len(order) >= _FEWEST_VIDEOS else 0
    crowded = [video for video in reversed(benchmark) if counts[video] > 1]  # a swap needs two
    crowded.sort(key=lambda video: -min(counts[video], _GOLD_PER_VIDEO))
    for video in crowded[: max(0, keep)]:
        benchmark.remove(video)
    chosen = set(benchmark)
    return benchmark, [video for video in order if video not in chosen]


def gold_wanted(settings: Settings) -> int:
    """Gold items that can be of use: an entry test, and the hidden ones of all sighted judgements together."""
    return settings.entry_items + math.ceil(settings.gold_frac * settings.long / max(settings.pass_frac, 1e-9))


def draw(candidates: Sequence[Candidate], settings: Settings) -> list[Drawn]:
    """The items of the benchmark's videos in the order in which they are to be judged."""
    chosen = order(candidates, settings)
    overlap = _spread(sorted(_by_video(settings.seed, c.video_id, c.object_id) for c in chosen), settings.seed)
    short = _asked_for_short(chosen, settings)
    return [
        Drawn(c, priority, overlap[c.object_id] < settings.overlap_frac, c.object_id in short)
        for priority, c in enumerate(chosen)
    ]


def order(candidates: Sequence[Candidate], settings: Settings) -> list[Candidate]:
    """Candidates, best first, at most `per_video` and SPARE_PER_VIDEO of a video.

    In rounds: no video has its second turn before each had its first, as a quota of videos is to be filled too.
    Within a round, the next candidate is the one whose levels have been taken least so far, summed over the facets
    (a level taken n times counts 1 / (n + 1)); `seeded_frac` settles ties. So rare levels come early, and every
    beginning of the queue is as even over the levels of each facet as what is left allows.
    """
    pool = sorted(candidates, key=lambda c: seeded_frac(settings.seed, "object", c.object_id))
    if not pool:
        return []
    levels = {name: n for n, name in enumerate(sorted({f"{f}={c.strata[f]}" for c in pool for f in FACETS}))}
    levels_CF = np.array([[levels[f"{f}={c.strata[f]}"] for f in FACETS] for c in pool])
    videos = {video: n for n, video in enumerate(dict.fromkeys(c.video_id for c in pool))}
    video_C = np.array([videos[c.video_id] for c in pool])
    taken_L = np.zeros(len(levels))
    left_C = np.ones(len(pool), bool)
    found: list[Candidate] = []
    for _ in range(settings.per_video + SPARE_PER_VIDEO):
        open_C = left_C.copy()
        while open_C.any():
            indices = np.flatnonzero(open_C)
            best = indices[(1 / (1 + taken_L))[levels_CF[indices]].sum(axis=1).argmax()]
            found.append(pool[best])
            taken_L[levels_CF[best]] += 1
            left_C[best] = False
            open_C &= video_C != video_C[best]
    return found


def set_overlap(connection: Connection, frac: float, *, now: float) -> int:
    """Change which items get a second sighted judgement; those already past the sighted pass stay as they are.

    More adds items, less takes some back; none is exchanged for another. Their slots follow.

    Returns:
        How many items changed.

    Raises:
        ValueError: `frac` is not a share.
    """
    if not 0 <= frac <= 1:
        raise ValueError(f"the share of items judged twice must be in [0, 1], got {frac}")
    settings = Settings.load(connection)
    rows = connection.execute(
        select(item.c.id, item.c.state, item.c.overlap, item.c.video_id, masklet.c.object_id)
        .join_from(item, masklet)
        .where(item.c.kind == "long", item.c.gold == Gold.NONE)
    ).all()
    ranks = _spread(sorted(_by_video(settings.seed, row.video_id, row.object_id) for row in rows), settings.seed)
    wanted = {row.id: ranks[row.object_id] < frac for row in rows if row.state == ItemState.SIGHTED}
    changed = [row.id for row in rows if wanted.get(row.id, row.overlap) != row.overlap]
    for item_id in changed:
        connection.execute(update(item).where(item.c.id == item_id).values(overlap=wanted[item_id]))
        settle(connection, item_id, settings=settings, now=now)
    return len(changed)


def _by_video(seed: int, video_id: str, object_id: str) -> tuple[float, float, str]:
    return seeded_frac(seed, "video", video_id), seeded_frac(seed, "object", object_id), object_id


def _spread(ordered: Sequence[tuple[float, float, str]], seed: int) -> Mapping[str, float]:
    """Object id -> a number in [0, 1); those below any bound are spread evenly over `ordered`, so over the videos."""
    start = seeded_frac(seed, "overlap")
    return {object_id: (start + n * _GOLDEN) % 1 for n, (_, _, object_id) in enumerate(ordered)}


def _asked_for_short(ordered: Sequence[Candidate], settings: Settings) -> set[str]:
    """Objects whose reviewer is asked for a short expression: evenly over the part of the queue that will be judged.

    One a video as long as that gives enough; as many as give the quota at `pass_frac`.
    """
    pass_frac = max(settings.pass_frac, 1e-9)
    judged = ordered[: math.ceil(settings.long / pass_frac)]
    wanted = min(len(judged), math.ceil(settings.short / pass_frac))
    first = {c.video_id: c.object_id for c in reversed(judged)}
    preferred = [c.object_id for c in judged if first[c.video_id] == c.object_id]
    rest = [c.object_id for c in judged if first[c.video_id] != c.object_id]
    chosen = set(_evenly(preferred, min(wanted, len(preferred))))
    return chosen | set(_evenly(rest, wanted - len(chosen)))


def _evenly(names: Sequence[str], count: int) -> list[str]:
    return [names[n * len(names) // count] for n in range(count)]


@dataclass(frozen=True)
class GoldItem:
    """A gold item to be made."""

    candidate: Candidate
    gold: Gold
    parts: dict[str, str]
    priority: int


def choose_gold(candidates: Sequence[Candidate], videos: Sequence[str], settings: Settings) -> list[GoldItem]:
    """Gold items of some videos, good and swapped by turns, each object once.

    Videos are used up one after the other, from the end, where the seeded order has put what the benchmark does not
    want: few videos are enough, and only these need pictures.
    """
    by_id = {candidate.object_id: candidate for candidate in candidates}
    by_video: dict[str, list[Candidate]] = {}
    for candidate in candidates:
        by_video.setdefault(candidate.video_id, []).append(candidate)
    found: list[tuple[float, Candidate, Gold, dict[str, str]]] = []
    wanted = gold_wanted(settings)
    for video in reversed(videos):
        for candidate in sorted(by_video[video], key=lambda c: seeded_frac(settings.seed, "gold", c.object_id)):
            if len(found) == wanted:
                break
            turn = seeded_frac(settings.seed, "turn", candidate.object_id)
            if len(found) % 2 and candidate.alike:
                found.append((turn, candidate, Gold.SWAPPED, by_id[candidate.alike[0]].parts))
            elif len(found) % 2 == 0 and candidate.clean:
                found.append((turn, candidate, Gold.GOOD, candidate.parts))
    found.sort(key=lambda entry: entry[0])  # no pattern of good and swapped can be learned
    return [GoldItem(candidate, gold, parts, n) for n, (_, candidate, gold, parts) in enumerate(found)]
