"""What is learned from, and when: examples drawn from videos, and the videos of every optimiser step.

What is drawn for an example depends on (seed, epoch, index) alone, and the videos of a step on batch, seed and epoch.
So both are the same for any number of workers and processes, and a run that goes on after a kill draws what it would
have: nothing is missed and nothing comes twice. The official loader draws from the unseeded state of every worker
process, and puts another video in place of one that it cannot read; here the error names the video.
"""

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset

from pipeline.data.clips import Clips, read_clip
from pipeline.data.videos import Expression, Video
from pipeline.sa2va.config import DataConfig
from pipeline.sa2va.example import Batch

MASK_PX = 256  # of SAM 2 at 1024 pixels: the sides of its mask logits are a quarter of its image's


class RefSavDataset(Dataset[Batch]):
    """Gives the example of (epoch, index); index runs over all videos as often as one may come up in an epoch.

    Args:
        videos: checked ones.
        clips: where they are read from.
        config: what is drawn.
        encode: makes an example of what was read (`pipeline.sa2va.example.Encoder`).
        seed: of all draws.
        mask_px: side of the masks, that of SAM 2's logits.
        repeats: name of a source -> times that its videos come up in an epoch; of others `config.repeats` times.
    """

    def __init__(
        self,
        videos: Sequence[Video],
        clips: Clips,
        config: DataConfig,
        encode: Callable[..., Batch],
        seed: int,
        *,
        mask_px: int = MASK_PX,
        repeats: Mapping[str, float] | None = None,
    ) -> None:
        if not videos:
            raise ValueError("a dataset must have a video, got none")
        self._videos, self._clips, self._config, self._encode = tuple(videos), clips, config, encode
        self._seed, self._mask_px = seed, mask_px
        self._repeats = {video.source: float(config.repeats) for video in videos} | dict(repeats or {})
        self._passes = max(math.ceil(self._repeats[video.source]) for video in videos)

    def __len__(self) -> int:
        return len(self._videos) * self._passes

    def of_epoch(self, epoch: int) -> list[int]:
        """Return the indices that come up in an epoch, rising.

        Of a source that comes up 2.5 times, these are two passes over all of its videos and half of a third one: the
        halves go round in a drawn order, so that after any number of epochs no video has come up twice more than
        another.
        """
        count = len(self._videos)
        drawn: list[int] = []
        for number, (source, repeats) in enumerate(sorted(self._repeats.items())):
            mine = [n for n, video in enumerate(self._videos) if video.source == source]
            whole, rest = divmod(repeats, 1)
            drawn += [n + count * turn for turn in range(int(whole)) for n in mine]
            order = np.random.default_rng([self._seed, number]).permutation(len(mine)).tolist()
            begin, end = (math.floor(at * rest * len(mine)) for at in (epoch, epoch + 1))
            drawn += [mine[order[n % len(mine)]] + count * int(whole) for n in range(begin, end)]
        return sorted(drawn)

    def frames(self, epoch: int, index: int) -> list[int]:
        """Return the annotated frames of the example."""
        video, rng = self._drawing(epoch, index)
        return choose_frames(self._clips.annotated_count(video), self._config, rng)

    def __getitem__(self, at: tuple[int, int]) -> Batch:
        """Draw, read and encode the example of (epoch, index).

        Raises:
            ValueError: a file of the video cannot be read; the video is named.
            IndexError: there is no such index.
        """
        video, rng = self._drawing(*at)
        reader = self._clips.reader(video)
        frames = choose_frames(reader.annotated_count, self._config, rng)
        expressions = choose_expressions(video.expressions, self._config, rng)
        images, masks_OFMM = read_clip(reader, video, frames, expressions, self._mask_px)
        seed = int(rng.integers(2**63))
        absent = choose_absent(video.absent, len(expressions), self._config, rng)
        return self._encode(
            video_id=video.video_id,
            object_ids=tuple(one.object_id for one in expressions),
            texts=tuple(one.text for one in expressions),
            frames=images,
            masks_OFMM=masks_OFMM,
            seed=seed,
            **({"absent": absent} if absent else {}),
            **({"source": video.source} if video.source else {}),
        )

    def _drawing(self, epoch: int, index: int) -> tuple[Video, np.random.Generator]:
        if not 0 <= index < len(self):
            raise IndexError(f"index must be in [0, {len(self)}), got {index}")
        return self._videos[index % len(self._videos)], np.random.default_rng([self._seed, epoch, index])

    def lengths(self) -> list[int]:
        """Return the expected characters of text of every index, so that `steps` can put like lengths together."""
        config = self._config
        of_videos = []
        for video in self._videos:
            objects = len({one.object_id for one in video.expressions})
            turns = config.max_objects if config.with_replacement else min(config.max_objects, objects)
            characters = sum(len(one.text) for one in video.expressions)
            mean = turns * characters / len(video.expressions)
            if config.negatives_frac and video.absent:
                more = min(turns * config.negatives_frac / (1 - config.negatives_frac), len(video.absent))
                mean += more * sum(map(len, video.absent)) / len(video.absent)
            of_videos.append(max(1, round(mean)))
        return of_videos * self._passes


def choose_frames(annotated: int, config: DataConfig, rng: np.random.Generator) -> list[int]:
    """Draw `config.frames` of `annotated` frames, and return their indices, rising.

    "uniform": the video is cut into as many equal stretches, and a frame taken from every one, all at the same place
    in their stretch, which is drawn (Sa2VA-i trains so); only a video with fewer frames than that has some twice.
    "random": the official rule, distinct frames if there are at least two more than wanted.

    Raises:
        ValueError: there is no frame.
    """
    if annotated < 1:
        raise ValueError(f"a video must have an annotated frame, got {annotated}")
    if config.frame_choice == "uniform":
        at = np.floor((np.arange(config.frames) + rng.random()) * (annotated / config.frames)).astype(int)
        return [min(int(index), annotated - 1) for index in at]
    drawn: NDArray[np.int64] = rng.choice(annotated, config.frames, replace=annotated <= config.frames + 1)
    return sorted(drawn.tolist())


def choose_expressions(
    expressions: Sequence[Expression], config: DataConfig, rng: np.random.Generator
) -> list[Expression]:
    """Draw at most `config.max_objects` expressions, of distinct objects, in drawn order.

    An object with several texts gives one, drawn. `config.with_replacement`: always `config.max_objects`, any object
    as often as it is drawn; the official rule, under which most turns of a video with two objects repeat.
    """
    by_object: dict[str, list[Expression]] = {}
    for expression in expressions:
        by_object.setdefault(expression.object_id, []).append(expression)
    groups = list(by_object.values())
    if config.with_replacement:
        drawn = rng.choice(len(groups), config.max_objects).tolist()
    else:
        drawn = rng.permutation(len(groups))[: config.max_objects].tolist()
    return [
        group[int(rng.integers(len(group)))] if len(group) > 1 else group[0] for group in map(groups.__getitem__, drawn)
    ]


def choose_absent(texts: Sequence[str], beside: int, config: DataConfig, rng: np.random.Generator) -> list[str]:
    """Draw texts that fit nothing in the video, so that they are a share of `config.negatives_frac` of all its texts.

    The texts with a target stay as they are drawn; these are added. A share that gives no whole number is met in the
    mean over all examples, if the video has enough of them.

    Args:
        texts: of the video.
        beside: number of the example's texts that have a target.
        config: has the share.
        rng: draws; it is not asked if the share is 0.
    """
    if not config.negatives_frac:
        return []
    wanted = beside * config.negatives_frac / (1 - config.negatives_frac)
    count = int(wanted) + (rng.random() < wanted % 1)
    return [texts[n] for n in rng.permutation(len(texts))[:count].tolist()]


def absent_share_frac(videos: Sequence[Video], config: DataConfig) -> float:
    """Return the share of texts without a target that an epoch has in the mean: less than asked for where some lack."""
    texts = absent = 0.0
    for video in videos:
        objects = len({one.object_id for one in video.expressions})
        beside = config.max_objects if config.with_replacement else min(config.max_objects, objects)
        texts += beside
        absent += min(beside * config.negatives_frac / (1 - config.negatives_frac), len(video.absent))
    return absent / (texts + absent)


def steps(lengths: Sequence[int], *, batch: int, seed: int, epoch: int) -> list[list[int]]:
    """Return the indices of every step of an epoch, no index twice; steps differ by one index at most.

    There are as few steps as have at most `batch` indices each: 300 videos with a batch of 256 are two steps of 150.

    Within a step they are sorted by length, the longest first, so that those that are computed together are of like
    length. The step with the longest conversation comes first: if memory does not do, it is known at once.

    Args:
        lengths: of every index; only their order counts.
        batch: most videos of a step.
        seed: of the order.
        epoch: every epoch has another order.

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
    """Return the indices of every step as the released sampler draws them, with its defects (docs/training.md).

    It knows the length of every video as 20,000, so nothing is sorted; it draws every pass over the videos in the same
    order; and it fills the last step up with videos from the beginning.

    Args:
        count: of the videos.
        repeats: passes in an epoch; index = pass * count + video.
        batch: videos of a step.
        seed: of the order.
        epoch: every epoch has another order.

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
    """Return a worker's micro-batches of a step: every worker has as many, with at most `micro_batch` videos in one.

    In a micro-batch, shares differ by one video at most. Where a step has fewer videos than there are workers, some get
    an empty one.

    Args:
        step: its indices; neighbours are computed at the same time.
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
