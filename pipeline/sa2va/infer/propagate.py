"""From language tokens to the masks of a whole video: one image encoding a frame for all objects.

Shapes: N objects, D = SAM 2's width, M = side of its mask logits, T frames, S = side of SAM 2's picture.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.sa2va.infer.compute import device_of, inference
from pipeline.sa2va.infer.mask_path import MaskPath
from pipeline.sa2va.infer.track import Maps, Tracker, encode_frame
from pipeline.sa2va.model import Sa2va


class Propagation:
    """All objects of one video, `batch` of them at once through attention and decoder."""

    def __init__(
        self, model: Sa2va, path: MaskPath, language_ND: Tensor, frames: int, size: tuple[int, int], batch: int
    ) -> None:
        """Nothing is computed yet.

        Args:
            model: see Sa2va.
            path: consistent or official.
            language_ND: a token for each object, on the model's device.
            frames: T.
            size: (height, width) of the video's frames, pixels.
            batch: objects at a time.
        """
        self._model, self._path, self._size = model, path, size
        self._language = torch.split(language_ND, batch)
        sam2 = self._model.sam2
        self._trackers = [Tracker(sam2, len(piece), frames) for piece in self._language]

    def seed(self, frame: int, picture_3SS: Tensor) -> Tensor:
        """Mask logits (N, 1, M, M) of a key frame, remembered for all others."""
        with inference(self._model):
            maps = self._encode(picture_3SS)
            logits = []
            for language, tracker in zip(self._language, self._trackers, strict=True):
                found = self._path.seed(maps, language, self._size)
                tracker.condition(frame, maps, found)
                logits.append(found.best_low_P1MM)
            return torch.cat(logits)

    def track(self, frame: int, picture_3SS: Tensor) -> Tensor:
        """Mask logits (N, 1, M, M) of a frame that is no key frame; in order, when all key frames are seeded."""
        with inference(self._model):
            maps = self._encode(picture_3SS)
            fine = self._path.fine(maps)
            return torch.cat([tracker.track(frame, maps, fine, self._path.decode) for tracker in self._trackers])

    def masks(self, logits_N1MM: Tensor) -> NDArray[np.bool_]:
        """Masks (N, H, W) at the size of the video."""
        with inference(self._model):
            return self._path.masks(logits_N1MM, self._size)

    def _encode(self, picture_3SS: Tensor) -> Maps:
        device = device_of(self._model)
        return encode_frame(self._model.sam2, picture_3SS.to(device, non_blocking=True), self._path.colour_dtype)


def propagate(
    propagation: Propagation, read: Callable[[int], Tensor], frames: int, key_frames: Sequence[int]
) -> Iterator[NDArray[np.bool_]]:
    """Masks (N, H, W) of each frame, in order.

    Args:
        propagation: of this video, fresh.
        read: gives a frame's picture, uint8 (3, S, S); called from another thread, one frame ahead, once a frame.
        frames: T.
        key_frames: of the path, in order.
    """
    keys = set(key_frames)
    others = [t for t in range(frames) if t not in keys]
    pictures = _one_ahead(read, [*key_frames, *others])
    seeded = {t: propagation.seed(t, next(pictures)) for t in key_frames}
    for t in range(frames):
        yield propagation.masks(seeded.pop(t) if t in keys else propagation.track(t, next(pictures)))


def _one_ahead(read: Callable[[int], Tensor], order: Sequence[int]) -> Iterator[Tensor]:
    """`read` of each, the next one read while the one before is used."""
    with ThreadPoolExecutor(1, thread_name_prefix="frames") as reader:
        coming = reader.submit(read, order[0])
        for t in order[1:]:
            picture = coming.result()
            coming = reader.submit(read, t)
            yield picture
        yield coming.result()
