import numpy as np
import pytest

from pipeline.sa2va.dataset import official_steps, share, steps

LENGTHS = np.random.default_rng(0).integers(50, 2000, 4000).tolist()


def shares(step: list[int], micro_batch: int, world_size: int) -> list[list[list[int]]]:
    return [share(step, micro_batch=micro_batch, rank=rank, world_size=world_size) for rank in range(world_size)]


@pytest.mark.parametrize("batch", [1, 7, 32, 256])
@pytest.mark.parametrize("number", [1, 2, 33, 101, 4000])
def test_every_index_comes_once_in_steps_of_one_size(number: int, batch: int) -> None:
    made = steps(LENGTHS[:number], batch=batch, seed=7, epoch=0)
    assert sorted(index for step in made for index in step) == list(range(number))
    assert len(made) == -(-number // batch)
    sizes = {len(step) for step in made}
    assert max(sizes) <= batch
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize("world_size", [1, 2, 3, 8, 16])
@pytest.mark.parametrize("micro_batch", [1, 2, 3])
@pytest.mark.parametrize("number", [1, 5, 16, 31, 255, 256])
def test_workers_share_a_step_and_keep_step(number: int, micro_batch: int, world_size: int) -> None:
    ranks = shares(list(range(number)), micro_batch, world_size)
    assert sorted(index for rank in ranks for micro in rank for index in micro) == list(range(number))
    assert len({len(rank) for rank in ranks}) == 1
    assert max(len(micro) for rank in ranks for micro in rank) <= micro_batch
    if number >= world_size * micro_batch and number % (world_size * micro_batch) == 0:
        assert {len(micro) for rank in ranks for micro in rank} == {micro_batch}


def test_what_is_computed_together_has_like_lengths_and_the_longest_comes_first() -> None:
    made = steps(LENGTHS, batch=256, seed=7, epoch=0)
    assert LENGTHS[made[0][0]] == max(LENGTHS)

    def padding(groups: list[list[int]]) -> float:
        rows = [[LENGTHS[index] for index in group] for group in groups]
        return float(sum(max(each) * len(each) - sum(each) for each in rows) / sum(LENGTHS))

    together = [micro for step in made for rank in shares(step, 4, 4) for micro in rank]
    shuffled = [list(range(start, start + 4)) for start in range(0, 4000, 4)]
    assert padding(together) < 0.08 < 0.3 < padding(shuffled)


def test_the_order_depends_on_batch_seed_and_epoch_alone() -> None:
    drawn = {"batch": 32, "seed": 7, "epoch": 0}
    first = steps(LENGTHS, **drawn)
    assert first == steps(LENGTHS, **drawn)
    for change in ({"batch": 64}, {"seed": 8}, {"epoch": 1}):
        assert steps(LENGTHS, **drawn | change)[1] != first[1]
    means = [float(np.mean([LENGTHS[index] for index in step])) for step in first]
    assert means[1:] != sorted(means[1:], reverse=True), "long conversations are not all in the first steps"


def test_the_official_sampler_repeats_one_order_and_fills_its_last_step_up() -> None:
    """The release on 1,184 videos with 146 x 8: 152 whole steps' worth is what its sampler rounds 148 up to."""
    made = official_steps(37, repeats=4, batch=8, seed=0, epoch=0)
    assert [len(step) for step in made] == [8] * 19, "152 draws, not 148"
    order = [index for step in made for index in step]
    videos = [index % 37 for index in order]
    assert sorted(videos[:37]) == list(range(37))
    assert videos == (videos[:37] * 5)[:152]
    assert len(set(order)) == 148, "with other draws in each pass"


@pytest.mark.parametrize("world_size", [1, 2, 4])
def test_official_workers_take_every_so_many_th(world_size: int) -> None:
    ranks = shares(list(range(16)), 2, world_size)
    for rank, micro in enumerate(ranks):
        mine = list(range(16))[rank::world_size]
        assert [index for batch in micro for index in batch] == mine
        assert all(batch == mine[2 * n : 2 * n + 2] for n, batch in enumerate(micro))


def test_impossible_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="got 0 and batch 3"):
        steps([], batch=3, seed=0, epoch=0)
    with pytest.raises(ValueError, match="got 7 and batch 0"):
        official_steps(7, repeats=1, batch=0, seed=0, epoch=0)
    for wrong in ({"micro_batch": 0}, {"rank": 2}, {"rank": -1}):
        with pytest.raises(ValueError, match=r"rank in \[0, 2\)"):
            share([1, 2], **{"micro_batch": 1, "rank": 0, "world_size": 2} | wrong)


def test_golden_steps() -> None:
    """The order for a seed when this was written."""
    assert steps([30, 10, 20, 60, 50, 40, 70], batch=4, seed=0, epoch=0) == GOLDEN
    assert official_steps(5, repeats=2, batch=4, seed=0, epoch=0) == GOLDEN_OFFICIAL


GOLDEN = [[6, 3, 4, 2], [5, 0, 1]]
GOLDEN_OFFICIAL = [[2, 4, 3, 0], [1, 7, 9, 8], [5, 6, 2, 4]]
