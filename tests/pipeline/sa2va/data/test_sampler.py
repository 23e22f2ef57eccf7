import logging
from collections import Counter

import numpy as np
import pytest

from pipeline.sa2va.data.sampler import batches

LENGTHS = np.random.default_rng(0).integers(50, 2000, 101).tolist()


def epoch_of(lengths: list[int], world_size: int, **settings: int) -> list[list[list[int]]]:
    settings = {"micro_batch": 2, "group": 32, "seed": 7, "epoch": 0} | settings
    return [batches(lengths, rank=rank, world_size=world_size, **settings) for rank in range(world_size)]


def drawn(ranks: list[list[list[int]]]) -> list[int]:
    return [index for rank in ranks for batch in rank for index in batch]


@pytest.mark.parametrize("world_size", [1, 2, 3, 4, 8])
@pytest.mark.parametrize("micro_batch", [2, 3, 4])
@pytest.mark.parametrize("number", [8, 9, 17, 33, 64, 101])
def test_every_index_comes_once_and_workers_keep_step(number: int, micro_batch: int, world_size: int) -> None:
    ranks = epoch_of(LENGTHS[:number], world_size, micro_batch=micro_batch)
    assert sorted(drawn(ranks)) == list(range(number))
    assert len({len(rank) for rank in ranks}) == 1
    assert {len(batch) for rank in ranks for batch in rank} <= set(range(1, micro_batch + 1))


@pytest.mark.parametrize(("number", "micro_batch", "twice"), [(101, 1, 3), (3, 4, 5), (1, 2, 7), (104, 1, 0)])
def test_only_where_numbers_do_not_allow_it_videos_come_twice_and_it_is_told(
    number: int, micro_batch: int, twice: int, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        ranks = epoch_of((LENGTHS * 2)[:number], 8, micro_batch=micro_batch)
    counts = Counter(drawn(ranks))
    assert set(counts) == set(range(number))
    assert counts.total() == number + twice
    assert len({len(rank) for rank in ranks}) == 1
    assert (f"{twice} videos come up once more" in caplog.text) == bool(twice)


def test_batches_have_like_lengths_and_the_longest_comes_first() -> None:
    lengths = np.random.default_rng(1).integers(50, 2000, 4000).tolist()
    ranks = epoch_of(lengths, 4, group=256, micro_batch=4)
    assert max(lengths) in {lengths[index] for rank in ranks for index in rank[0]}

    def padding(rounds: list[list[int]]) -> float:
        return sum(max(each) * len(each) - sum(each) for each in rounds) / sum(lengths)

    batch_lengths = [[lengths[index] for index in batch] for rank in ranks for batch in rank]
    together = [[lengths[i] for rank in ranks for i in rank[step]] for step in range(len(ranks[0]))]
    shuffled = [lengths[start : start + 4] for start in range(0, 4000, 4)]
    assert padding(batch_lengths) < 0.02 < 0.3 < padding(shuffled)
    assert padding(together) < 0.08  # what workers do at the same time is alike too


def test_the_order_depends_on_seed_and_epoch_alone() -> None:
    assert epoch_of(LENGTHS, 2) == epoch_of(LENGTHS, 2)
    assert epoch_of(LENGTHS, 2) != epoch_of(LENGTHS, 2, epoch=1) != epoch_of(LENGTHS, 2, epoch=1, seed=8)
    first = [sum(LENGTHS[i] for i in batch) for batch in epoch_of(LENGTHS, 1, group=101)[0]]
    assert first[1:] != sorted(first[1:], reverse=True)  # long conversations are not all in the first steps


@pytest.mark.parametrize("world_size", [1, 4])
def test_the_official_sampler_draws_only_below_the_number_of_lengths_and_starts_over(world_size: int) -> None:
    videos, repeats = 40, 4
    lengths = LENGTHS[:videos]
    ranks = [
        batches(
            lengths * repeats,
            **{"micro_batch": 2, "group": 16, "seed": 0, "epoch": 0, "rank": rank, "world_size": world_size},
            official=True,
            repeats=repeats,
        )
        for rank in range(world_size)
    ]
    order = [None] * (videos * repeats)
    for rank, of_rank in enumerate(ranks):
        order[rank::world_size] = [index for batch in of_rank for index in batch]
    seen = [index % videos for index in order if index is not None]
    assert seen == seen[:videos] * repeats  # each pass in the same order: the defect
    assert sorted(seen[:videos]) == list(range(videos))
    assert lengths[seen[0]] == max(lengths)
    for start in range(16, videos, 16):
        of_group = [lengths[index] for index in seen[start : start + 16]]
        assert sum(a < b for a, b in zip(of_group, of_group[1:], strict=False)) <= 1  # sorted, but for one exchanged
    assert len(set(order)) == videos * repeats  # with other draws in each pass


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"micro_batch": 0}, "micro_batch must be at least 1, got 0"),
        ({"group": 0}, "group must be at least 1"),
        ({"rank": 2, "world_size": 2}, r"rank must be in \[0, 2\)"),
        ({"rank": -1}, "rank must be in"),
    ],
)
def test_impossible_numbers_are_refused(change: dict[str, int], message: str) -> None:
    settings = {"micro_batch": 2, "group": 8, "seed": 0, "epoch": 0} | change
    with pytest.raises(ValueError, match=message):
        batches(LENGTHS, **settings)


def test_nothing_to_draw_is_refused() -> None:
    with pytest.raises(ValueError, match="lengths not empty"):
        epoch_of([], 1)


def test_golden_batches() -> None:
    """The order for a seed when this was written."""
    got = batches([30, 10, 20, 60, 50, 40, 70], micro_batch=2, group=4, seed=0, epoch=0)
    assert got == [[6, 3], [4, 2], [5, 0], [1]]
