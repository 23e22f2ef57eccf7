"""Which videos are learned from in which optimiser step, and which of them a worker takes.

The videos of a step follow from batch, seed and epoch alone. Workers and micro-batches only share them out, so a run
may go on with other numbers of them: nothing is missed and nothing comes twice.
"""

from collections.abc import Sequence

import numpy as np


def steps(lengths: Sequence[int], *, batch: int, seed: int, epoch: int) -> list[list[int]]:
    """The indices of each step of an epoch, every index once; a step has `batch` of them, or some steps one less.

    Within a step they are sorted by length, the longest first, so that those that are computed together are of like
    length. The step with the longest conversation comes first: if memory does not do, it is known at once.

    Args:
        lengths: of each index; only their order counts.
        batch: videos of a step.
        seed: of the order.
        epoch: another order for each.

    Raises:
        ValueError: there is nothing to draw, or a batch of nothing.
    """
    _check(len(lengths), batch)
    order = np.random.default_rng([seed, epoch]).permutation(len(lengths))
    parts = np.array_split(order, -(-len(lengths) // batch))
    made = [sorted(part.tolist(), key=lambda index: (-lengths[index], index)) for part in parts]
    longest = max(range(len(made)), key=lambda n: lengths[made[n][0]])
    return [made.pop(longest), *made]


def official_steps(count: int, *, repeats: int, batch: int, seed: int, epoch: int) -> list[list[int]]:
    """The same as the released sampler has it, with its defects (docs/training.md).

    It knows the length of every video as 20,000, so nothing is sorted; it draws each pass over the videos in the same
    order; and it fills the last step up with videos from the beginning.

    Args:
        count: of the videos.
        repeats: passes in an epoch; index = pass * count + video.
        batch: videos of a step.
        seed: of the order.
        epoch: another order for each.

    Raises:
        ValueError: there is nothing to draw, or a batch of nothing.
    """
    _check(count, batch)
    once = np.random.default_rng([seed, epoch]).permutation(count)
    drawn = np.arange(-(-count * repeats // batch) * batch)
    indices = once[drawn % count] + drawn // count % repeats * count
    made: list[list[int]] = indices.reshape(-1, batch).tolist()
    return made


def share(step: Sequence[int], *, micro_batch: int, rank: int, world_size: int) -> list[list[int]]:
    """A worker's micro-batches of a step: of every worker as many, each with at most `micro_batch` videos.

    Shares differ by one video at most. Where a step has fewer videos than there are workers, some get an empty one.

    Args:
        step: its indices; what is near each other is computed at the same time.
        micro_batch: most videos of a forward pass.
        rank: this worker.
        world_size: number of workers.
    """
    if micro_batch < 1 or not 0 <= rank < world_size:
        raise ValueError(f"micro_batch must be at least 1 and rank in [0, {world_size}), got {micro_batch} and {rank}")
    rounds = np.array_split(np.array(step), -(-len(step) // (micro_batch * world_size)))
    return [of_round[rank::world_size].tolist() for of_round in rounds]


def _check(count: int, batch: int) -> None:
    if count < 1 or batch < 1:
        raise ValueError(f"there must be videos, and a batch of one at least, got {count} and batch {batch}")
