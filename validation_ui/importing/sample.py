"""Draws from a run: the videos of the benchmark, the order of the items, which are judged twice, and gold items.

Everything follows from the seed. The position of a video depends on its id only, so the split does not change if rows
come in another order, or if a video with a later position is added.

Gold items are expressions whose right answer is known, to check the people who judge. Half have their own text, in
which the run found no contradiction: accepting is right. Half have the text of the object of the same video that is
most easily confused with theirs: rejecting is right. All come from train videos, as whoever judges a gold item sees the
video's masks and could not judge other items of that video blind.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from sqlalchemy import Connection, select, update

from validation_ui.importing.candidates import Candidate
from validation_ui.importing.strata import FACETS
from validation_ui.judging.items import IN_SPLIT, settle
from validation_ui.schema import Gold, ItemState, item, masklet
from validation_ui.settings import Settings, seeded_frac

OVERLAPS = ("overlap", "blind_overlap")  # columns of `item`; the settings of the same names end in _frac
SPARE_PER_VIDEO = 2  # candidates of a video beyond `per_video`, to replace dropped ones
_GOLD_VIDEOS_FRAC = 0.25  # at most this fraction of the videos is kept for gold items if the benchmark needs all
_FEWEST_VIDEOS = 3  # with fewer videos there are no gold items
_GOLD_PER_VIDEO = 4  # a video with this many candidates is good for gold items
_GOLDEN = (math.sqrt(5) - 1) / 2  # multiples of the golden ratio modulo 1 fill [0, 1) evenly


@dataclass(frozen=True)
class Drawn:
    """A benchmark item to be made; `priority` is its position in the queue, from 0."""

    candidate: Candidate
    priority: int
    overlap: bool
    blind_overlap: bool
    wants_short: bool


def split(candidates: Sequence[Candidate], settings: Settings) -> tuple[list[str], list[str]]:
    """Return (benchmark videos, train videos that have candidates), both in seeded order.

    Videos are taken in the order of their `seeded_frac` until those taken should cover the quotas of videos and of long
    expressions if only `pass_frac` of the candidates is accepted. If that would take all videos, some stay in train for
    gold items: at least one and at most a quarter, the last ones that have enough candidates.
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
    """Return how many gold items are of use: those of the entry test and the hidden ones of all sighted claims."""
    return settings.entry_items + math.ceil(settings.gold_frac * settings.long / max(settings.pass_frac, 1e-9))


def draw(candidates: Sequence[Candidate], settings: Settings) -> list[Drawn]:
    """Return the items of the benchmark videos in the order in which they are to be judged."""
    chosen = order(candidates, settings)
    spread = sorted(_by_video(settings.seed, c.video_id, c.object_id) for c in chosen)
    ranks = {name: _spread(spread, settings.seed, name) for name in OVERLAPS}
    short = _asked_for_short(chosen, settings)
    return [
        Drawn(
            c,
            priority,
            ranks["overlap"][c.object_id] < settings.overlap_frac,
            ranks["blind_overlap"][c.object_id] < settings.blind_overlap_frac,
            c.object_id in short,
        )
        for priority, c in enumerate(chosen)
    ]


def order(candidates: Sequence[Candidate], settings: Settings) -> list[Candidate]:
    """Sort the candidates for the queue; at most `per_video` + SPARE_PER_VIDEO of a video are kept.

    The queue is made in rounds: no video has its second turn before all had their first, as a quota of videos is to be
    filled too. Within a round, the next candidate is the one whose levels were taken least often so far, summed over
    the facets (a level taken n times counts 1 / (n + 1)); `seeded_frac` decides ties. So rare levels come early, and
    any first part of the queue is spread over the levels of every facet as evenly as possible.
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
    queue: list[Candidate] = []
    for _ in range(settings.per_video + SPARE_PER_VIDEO):
        open_C = left_C.copy()
        while open_C.any():
            indices = np.flatnonzero(open_C)
            best = indices[(1 / (1 + taken_L))[levels_CF[indices]].sum(axis=1).argmax()]
            queue.append(pool[best])
            taken_L[levels_CF[best]] += 1
            left_C[best] = False
            open_C &= video_C != video_C[best]
    return queue


def set_overlap(connection: Connection, frac: float, *, now: float, column: str = "overlap") -> int:
    """Change which items get a second judgement; items that are past the sighted pass stay as they are.

    A larger fraction adds items and a smaller one removes some; no item is exchanged for another. Slots are opened or
    voided to match. What was mixed in stays as it is.

    Args:
        connection: in a transaction.
        frac: fraction of the items that get a second judgement.
        now: the time of the server's clock.
        column: the pass of the second judgement: overlap = the sighted one, blind_overlap = the blind one.

    Returns:
        How many items changed.

    Raises:
        ValueError: `frac` is not in [0, 1].
    """
    if not 0 <= frac <= 1:
        raise ValueError(f"the share of items judged twice must be in [0, 1], got {frac}")
    settings = Settings.load(connection)
    rows = connection.execute(
        select(item.c.id, item.c.state, item.c[column], item.c.video_id, masklet.c.object_id)
        .join_from(item, masklet)
        .where(item.c.kind == "long", item.c.gold == Gold.NONE, IN_SPLIT)
    ).all()
    spread = sorted(_by_video(settings.seed, row.video_id, row.object_id) for row in rows)
    ranks = _spread(spread, settings.seed, column)
    wanted = {row.id: ranks[row.object_id] < frac for row in rows if row.state == ItemState.SIGHTED}
    changed = [row.id for row in rows if row.id in wanted and wanted[row.id] != row._mapping[column]]
    for item_id in changed:
        connection.execute(update(item).where(item.c.id == item_id).values({column: wanted[item_id]}))
        settle(connection, item_id, settings=settings, now=now)
    return len(changed)


def _by_video(seed: int, video_id: str, object_id: str) -> tuple[float, float, str]:
    return seeded_frac(seed, "video", video_id), seeded_frac(seed, "object", object_id), object_id


def _spread(ordered: Sequence[tuple[float, float, str]], seed: int, name: str) -> Mapping[str, float]:
    """Return object id -> a number in [0, 1), such that the ids below any bound are spread evenly over the videos."""
    start = seeded_frac(seed, name)
    return {object_id: (start + n * _GOLDEN) % 1 for n, (_, _, object_id) in enumerate(ordered)}


def _asked_for_short(ordered: Sequence[Candidate], settings: Settings) -> set[str]:
    """Choose the objects whose reviewer is asked for a short expression, evenly over the items that will be judged.

    There are as many as fill the quota if `pass_frac` of them is accepted; one per video if that gives enough.
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
    """A gold item to be made; `parts` and `suggested_short` are of one object: its own, or the one swapped with it."""

    candidate: Candidate
    gold: Gold
    parts: dict[str, str]
    suggested_short: str | None
    priority: int
    wants_short: bool  # as often as real items, though nobody needs it: else the question would tell them apart


def choose_gold(candidates: Sequence[Candidate], videos: Sequence[str], settings: Settings) -> list[GoldItem]:
    """Choose the gold items from train videos, good and swapped ones alternately, every object once.

    Videos are used up one after the other, beginning with the last of the seeded order, which the benchmark needs
    least: so few videos are needed, and only these need images.
    """
    by_id = {candidate.object_id: candidate for candidate in candidates}
    by_video: dict[str, list[Candidate]] = {}
    for candidate in candidates:
        by_video.setdefault(candidate.video_id, []).append(candidate)
    chosen: list[tuple[float, Candidate, Gold, Candidate]] = []
    wanted = gold_wanted(settings)
    for video in reversed(videos):
        for candidate in sorted(by_video[video], key=lambda c: seeded_frac(settings.seed, "gold", c.object_id)):
            if len(chosen) == wanted:
                break
            turn = seeded_frac(settings.seed, "turn", candidate.object_id)
            if len(chosen) % 2 and candidate.alike:
                chosen.append((turn, candidate, Gold.SWAPPED, by_id[candidate.alike[0]]))
            elif len(chosen) % 2 == 0 and candidate.clean:
                chosen.append((turn, candidate, Gold.GOOD, candidate))
    chosen.sort(key=lambda entry: entry[0])  # in seeded order, so that people cannot learn a pattern
    short_frac = min(1.0, settings.short / max(settings.long, 1))
    return [
        GoldItem(
            candidate,
            gold,
            told.parts,
            told.short,
            n,
            seeded_frac(settings.seed, "short", candidate.object_id) < short_frac,
        )
        for n, (_, candidate, gold, told) in enumerate(chosen)
    ]
