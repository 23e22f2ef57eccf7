"""Batches of videos with conversations of like length, the same for all workers of a run.

Facts 1.5: the official sampler is given the lengths of the videos, but the number of videos times their repeats. It
draws only indices that have a length and, when they run out, starts over in the same order. `official` reproduces it.
With Ref-SAV alone the harm is small: every pass has the same batches. In a mix of datasets the last are never seen.
"""

import logging
from collections.abc import Sequence

import numpy as np

logger = logging.getLogger(__name__)


def batches(
    lengths: Sequence[int],
    *,
    micro_batch: int,
    group: int,
    seed: int,
    epoch: int,
    rank: int = 0,
    world_size: int = 1,
    official: bool = False,
    repeats: int = 1,
) -> list[list[int]]:
    """The batches of one worker for an epoch: every index exactly once over all workers, and the same number for each.

    Videos are shuffled, cut into groups, and sorted by length within; what the workers do at the same time is of like
    length too. The batches with the longest conversation come first: if memory does not do, it is known at once.
    Where the numbers do not divide, the last batches are smaller. Only if there are fewer videos left than workers
    (micro_batch 1) are some taken twice, and logged.

    Args:
        lengths: of each index; only their order counts.
        micro_batch: most videos of a batch.
        group: videos that are sorted together; official: batch x accumulation x workers x min(n / 4 of that, 50).
        seed: of the order.
        epoch: another order for each.
        rank: this worker.
        world_size: number of workers.
        official: the released sampler, with its defect.
        repeats: of the videos in `lengths`; only `official` must know.

    Raises:
        ValueError: there is nothing to draw, or a number is not possible.
    """
    for name, value in {"micro_batch": micro_batch, "group": group, "world_size": world_size}.items():
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
    if not lengths or not 0 <= rank < world_size:
        raise ValueError(
            f"rank must be in [0, {world_size}) and lengths not empty, got {rank} and {len(lengths)} lengths"
        )
    if official:
        return _official(lengths, micro_batch, group, seed, epoch, rank, world_size, repeats)
    rng = np.random.default_rng([seed, epoch])
    order = rng.permutation(len(lengths)).tolist()
    missing = -len(order) % world_size if micro_batch == 1 else max(0, world_size - len(order))
    if missing:
        logger.info("%d videos come up once more in epoch %d: so all workers take as many steps", missing, epoch)
        order = [order[n % len(order)] for n in range(len(order) + missing)]
    grouped: list[int] = []
    for start in range(0, len(order), group):
        grouped += sorted(order[start : start + group], key=lambda index: (-lengths[index], index))
    rounds = _rounds(grouped, micro_batch * world_size, world_size)
    longest = max(range(len(rounds)), key=lambda n: max(lengths[index] for index in rounds[n]))
    rest = [rounds[n] for n in rng.permutation(len(rounds)).tolist() if n != longest]
    return [_share(each, rank, world_size) for each in [rounds[longest], *rest]]


def _rounds(order: list[int], size: int, world_size: int) -> list[list[int]]:
    """Cut into rounds of `size`; the last two even themselves out if the last would leave a worker without a video."""
    rounds = [order[start : start + size] for start in range(0, len(order), size)]
    if len(rounds) > 1 and len(rounds[-1]) < world_size:
        together = rounds[-2] + rounds[-1]
        half = len(together) - max(world_size, len(together) // 2)
        rounds[-2:] = [together[:half], together[half:]]
    return rounds


def _share(of_round: list[int], rank: int, world_size: int) -> list[int]:
    """One worker's neighbours in length; shares differ by one at most."""
    return [int(index) for index in np.array_split(np.array(of_round), world_size)[rank]]


def _official(
    lengths: Sequence[int],
    micro_batch: int,
    group: int,
    seed: int,
    epoch: int,
    rank: int,
    world_size: int,
    repeats: int,
) -> list[list[int]]:
    with_length = len(lengths) // repeats
    order = np.random.default_rng([seed, epoch]).permutation(with_length).tolist()
    groups = [
        sorted(order[start : start + group], key=lambda index: -lengths[index])
        for start in range(0, with_length, group)
    ]
    longest = max(range(len(groups)), key=lambda n: lengths[groups[n][0]])
    groups[0][0], groups[longest][0] = groups[longest][0], groups[0][0]
    once = [index for each in groups for index in each]
    total = -(-len(lengths) // world_size) * world_size
    # a later pass takes the same video with other draws: indices a whole number of passes apart are the same video
    drawn = [once[n % with_length] + (n // with_length % repeats) * with_length for n in range(total)]
    mine = drawn[rank::world_size]
    return [mine[start : start + micro_batch] for start in range(0, len(mine), micro_batch)]
