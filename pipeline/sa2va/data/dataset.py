"""Videos as training examples. What is drawn for an example depends on (seed, epoch, index) alone.

So it is the same for any number of workers and processes, and a run that goes on after a kill draws what it would have.
The official loader draws from each worker process' own, unseeded state, and puts another video in place of one that it
cannot read; here the error names the video.
"""

from collections.abc import Callable, Sequence

import numpy as np
from torch.utils.data import Dataset

from pipeline.sa2va.config import DataConfig
from pipeline.sa2va.data.clips import Clips, read_clip
from pipeline.sa2va.data.items import Video
from pipeline.sa2va.data.sampling import choose_expressions, choose_frames
from pipeline.sa2va.example import Batch

MASK_PX = 256  # of SAM 2 at 1024 pixels: its mask logits are a quarter of its picture


class RefSavDataset(Dataset[Batch]):
    """An example for (epoch, index); index runs over all videos `config.repeats` times.

    Args:
        videos: checked ones.
        clips: where they are read from.
        config: what is drawn.
        encode: makes an example of what was read (`pipeline.sa2va.encode.Encoder`).
        seed: of all draws.
        mask_px: side of the masks, that of SAM 2's logits.
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
    ) -> None:
        if not videos:
            raise ValueError("a dataset must have a video, got none")
        self._videos, self._clips, self._config, self._encode = tuple(videos), clips, config, encode
        self._seed, self._mask_px = seed, mask_px

    def __len__(self) -> int:
        return len(self._videos) * self._config.repeats

    def frames(self, epoch: int, index: int) -> list[int]:
        """Return the annotated frames that the example has."""
        video, rng = self._drawing(epoch, index)
        return choose_frames(self._clips.annotated_count(video), self._config, rng)

    def __getitem__(self, at: tuple[int, int]) -> Batch:
        """Read and encode the example of (epoch, index).

        Raises:
            ValueError: a file of the video cannot be read; the video is named.
            IndexError: there is no such index.
        """
        video, rng = self._drawing(*at)
        reader = self._clips.reader(video)
        frames = choose_frames(reader.annotated_count, self._config, rng)
        expressions = choose_expressions(video.expressions, self._config, rng)
        clip = read_clip(reader, video, frames, expressions, self._mask_px)
        return self._encode(
            video_id=video.video_id,
            object_ids=tuple(each.object_id for each in expressions),
            texts=tuple(each.text for each in expressions),
            frames=clip.frames,
            masks_OFMM=clip.masks_OFMM,
            seed=int(rng.integers(2**63)),
        )

    def _drawing(self, epoch: int, index: int) -> tuple[Video, np.random.Generator]:
        if not 0 <= index < len(self):
            raise IndexError(f"index must be in [0, {len(self)}), got {index}")
        return self._videos[index % len(self._videos)], np.random.default_rng([self._seed, epoch, index])

    def lengths(self) -> list[int]:
        """Expected characters of text of each index: what lets batches be made of conversations of like length."""
        config = self._config
        of_videos = []
        for video in self._videos:
            objects = len({each.object_id for each in video.expressions})
            turns = config.max_objects if config.with_replacement else min(config.max_objects, objects)
            characters = sum(len(each.text) for each in video.expressions)
            of_videos.append(max(1, round(turns * characters / len(video.expressions))))
        return of_videos * config.repeats
