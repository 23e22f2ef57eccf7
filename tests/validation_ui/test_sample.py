import itertools
import math
import random
from collections import Counter
from dataclasses import replace
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, select

from tests.validation_ui.rows import SMALL, add_item, add_masklet, add_video
from validation_ui.database import Database
from validation_ui.importing import sample
from validation_ui.importing.candidates import Candidate
from validation_ui.importing.strata import FACETS
from validation_ui.schema import Gold, item, slot
from validation_ui.settings import Settings

LEVELS = {
    "size": ("small", "medium", "large"),
    "length": ("short", "medium", "long"),
    "motion": ("still", "moves"),
    "camera": ("static", "moving"),
    "occlusion": ("none", "none", "none", "none", "none", "none", "none", "none", "none", "hidden"),
    "look_alikes": ("none", "one"),
}


def candidates(videos: int, objects: int = 4, seed: int = 0) -> list[Candidate]:
    rng = random.Random(seed)
    found = []
    for v in range(videos):
        ids = [f"v{v}/manual/{n}" for n in range(objects)]
        for name in ids:
            found.append(
                Candidate(
                    object_id=name,
                    video_id=f"v{v}",
                    parts={part: f"{part} of {name}" for part in ("object", "scene", "video")},
                    strata={facet: rng.choice(LEVELS[facet]) for facet in FACETS},
                    clean=rng.random() < 0.8,
                    alike=tuple(other for other in ids if other != name),
                    short=f"short of {name}",
                )
            )
    return found


settings = st.builds(
    Settings,
    seed=st.integers(0, 1000),
    videos=st.integers(0, 30),
    long=st.integers(0, 60),
    short=st.integers(0, 20),
    per_video=st.integers(1, 4),
    pass_frac=st.floats(0.3, 1),
    overlap_frac=st.floats(0, 1),
    entry_items=st.integers(0, 10),
)


@given(settings, st.integers(0, 40), st.randoms(use_true_random=False))
def test_what_is_drawn_does_not_depend_on_the_order_of_rows(chosen: Settings, videos: int, rng: random.Random) -> None:
    there = candidates(videos)
    mixed = rng.sample(there, len(there))
    assert sample.split(there, chosen) == sample.split(mixed, chosen)
    assert sample.draw(there, chosen) == sample.draw(mixed, chosen)
    train = sample.split(there, chosen)[1]
    assert sample.choose_gold(there, train, chosen) == sample.choose_gold(mixed, train, chosen)


@given(settings, st.integers(0, 40))
def test_each_video_is_in_one_half_and_the_quotas_are_covered(chosen: Settings, videos: int) -> None:
    there = candidates(videos)
    benchmark, train = sample.split(there, chosen)
    assert sorted(benchmark + train) == sorted({c.video_id for c in there})
    assert not set(benchmark) & set(train)
    if len(train) > max(1, videos // 4):  # there was enough: no more than needed was taken
        assert len(benchmark) >= chosen.videos / chosen.pass_frac
        without_last = benchmark[:-1]
        expected = sum(min(chosen.per_video, 4 * chosen.pass_frac) for _ in without_last)
        assert not benchmark or len(without_last) < chosen.videos / chosen.pass_frac or expected < chosen.long
    elif videos >= 3 and sample.gold_wanted(chosen):
        assert train, "gold items need a video"


def test_videos_that_are_added_beyond_the_end_change_nothing() -> None:
    few = Settings(videos=10, long=20, entry_items=4)
    there = candidates(60)
    benchmark, train = sample.split(there, few)
    fewer = [c for c in there if c.video_id not in train[-10:]]
    assert sample.split(fewer, few)[0] == benchmark
    assert sample.split(there, replace(few, seed=1))[0] != benchmark


@given(settings, st.integers(1, 25))
def test_every_video_has_its_first_turn_before_any_has_its_second(chosen: Settings, videos: int) -> None:
    ordered = [d.candidate.video_id for d in sample.draw(candidates(videos), chosen)]
    turns = min(4, chosen.per_video + sample.SPARE_PER_VIDEO)
    for turn in range(turns):
        assert sorted(ordered[turn * videos : (turn + 1) * videos]) == sorted({f"v{v}" for v in range(videos)})
    assert len(ordered) == turns * videos


@pytest.mark.parametrize("seed", range(5))
def test_the_queue_begins_with_every_level_and_stays_even(seed: int) -> None:
    there = candidates(300, seed=seed)
    ordered = sample.order(there, Settings(seed=seed))
    hidden = [c.strata["occlusion"] == "hidden" for c in ordered]
    levels = {(facet, level) for facet in FACETS for level in LEVELS[facet]}
    assert {(f, c.strata[f]) for c in ordered[: len(levels)] for f in FACETS} == levels
    # a tenth of the objects is hidden at times, yet a third of the videos has one: those are taken first
    assert sum(hidden[:60]) >= 25 > 3 * sum(c.strata["occlusion"] == "hidden" for c in there[:60])
    for facet in ("size", "length", "motion", "camera", "look_alikes"):
        counts = Counter(c.strata[facet] for c in ordered[:60]).values()
        assert max(counts) - min(counts) <= 6


@given(st.integers(0, 1000), st.floats(0, 1), st.floats(0, 1))
def test_more_overlap_only_adds_items_and_spreads_them_over_the_videos(seed: int, a: float, b: float) -> None:
    there = candidates(50)
    less, more = (
        {d.candidate.object_id for d in sample.draw(there, Settings(seed=seed, overlap_frac=frac)) if d.overlap}
        for frac in sorted((a, b))
    )
    assert less <= more
    for frac, chosen in zip(sorted((a, b)), (less, more), strict=True):
        assert abs(len(chosen) - frac * 200) <= 4
        per_video = Counter(name.split("/")[0] for name in chosen)
        assert all(abs(per_video[f"v{v}"] - 4 * frac) < 2 for v in range(50))


@given(settings, st.integers(1, 30))
def test_short_ones_are_asked_for_where_the_queue_will_come_to(chosen: Settings, videos: int) -> None:
    drawn = sample.draw(candidates(videos), chosen)
    asked = [d for d in drawn if d.wants_short]
    reached = [d for d in drawn if d.priority < chosen.long / chosen.pass_frac]
    assert len(asked) == min(len(reached), math.ceil(chosen.short / chosen.pass_frac))
    assert all(d in reached for d in asked)
    videos_asked = Counter(d.candidate.video_id for d in asked)
    if len(asked) <= len({d.candidate.video_id for d in reached}):
        assert all(count == 1 for count in videos_asked.values())


@given(settings, st.integers(3, 40))
def test_gold_items_are_of_train_videos_and_half_have_anothers_text(chosen: Settings, videos: int) -> None:
    there = candidates(videos)
    benchmark, train = sample.split(there, chosen)
    gold = sample.choose_gold(there, train, chosen)
    by_id = {c.object_id: c for c in there}
    assert len({g.candidate.object_id for g in gold}) == len(gold) <= sample.gold_wanted(chosen)
    assert not {g.candidate.video_id for g in gold} & set(benchmark)
    assert [g.priority for g in gold] == list(range(len(gold)))
    kinds = Counter(g.gold for g in gold)
    assert 0 <= kinds[Gold.GOOD] - kinds[Gold.SWAPPED] <= 1
    for planted in gold:
        if planted.gold is Gold.GOOD:
            assert planted.candidate.clean
            assert planted.parts == planted.candidate.parts
            assert planted.suggested_short == planted.candidate.short
        else:
            other = by_id[planted.candidate.alike[0]]
            assert planted.suggested_short == other.short  # the object's own would tell that the text is another's
            assert planted.parts == other.parts != planted.candidate.parts
            assert other.video_id == planted.candidate.video_id


def test_gold_is_in_no_pattern() -> None:
    there = candidates(60)
    kinds = [g.gold for g in sample.choose_gold(there, [f"v{v}" for v in range(60)], Settings())]
    assert max(len(list(run)) for _, run in itertools.groupby(kinds)) >= 3


def test_overlap_can_change_in_mid_run(store: Database) -> None:
    def project(connection: Connection) -> None:
        SMALL.save(connection)
        for v in range(5):
            add_video(connection, f"v{v}")
            for n in range(4):
                add_item(connection, add_masklet(connection, f"v{v}", n), f"v{v}", f"v{v}_{n}")

    def overlapping() -> set[int]:
        with store.read() as connection:
            marked = set(connection.execute(select(item.c.id).where(item.c.overlap)).scalars())
            two = select(slot.c.item_id).where(slot.c.state == "open", slot.c.kind == "sighted")
            slots = Counter(connection.execute(two).scalars())
        assert {name for name, count in slots.items() if count == 2} == marked
        assert set(slots.values()) <= {1, 2}
        return marked

    store.write(project)
    found = []
    for frac, expected in ((0.3, 6), (0.6, 12), (0.3, 6), (0.0, 0), (1.0, 20)):
        changed = store.write(partial(sample.set_overlap, frac=frac, now=1.0))
        found.append(overlapping())
        assert abs(len(found[-1]) - expected) <= 2
        assert changed == len(found[-1] ^ (found[-2] if len(found) > 1 else set()))
    assert found[0] < found[1]
    assert found[0] == found[2]
    with pytest.raises(ValueError, match=r"in \[0, 1\], got 1.5"):
        store.write(lambda connection: sample.set_overlap(connection, 1.5, now=1.0))


def test_items_past_the_sighted_pass_keep_their_overlap(store: Database) -> None:
    def project(connection: Connection) -> int:
        SMALL.save(connection)
        add_video(connection, "v0")
        made = add_item(connection, add_masklet(connection, "v0", 0), "v0", "one")
        connection.execute(item.update().values(state="blind"))
        return made

    store.write(project)
    assert store.write(lambda connection: sample.set_overlap(connection, 1.0, now=1.0)) == 0
