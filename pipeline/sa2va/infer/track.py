"""SAM 2's propagation with all objects of a video in one batch and one image encoding a frame.

The same arithmetic as sam2's `SAM2VideoPredictor`, which runs every object by itself and keeps the output of every
frame for ever. Here the memories are bounded: an old frame's are dropped once no later frame can attend to them.

Shapes: N objects; D = SAM 2's width (256); S = side of its picture (1024), M = S / 4 = side of its mask logits,
m = S / 16 = side of its top map.


From language tokens to the masks of a whole video: one image encoding a frame for all objects.

Shapes: N objects, D = SAM 2's width, M = side of its mask logits, T frames, S = side of SAM 2's picture.


What the two ways from a language token to the masks of a video differ in.

Shapes: N objects, D = SAM 2's width, M = side of its mask logits, H x W = the video's frames.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from sam2.sam2_video_predictor import SAM2VideoPredictor
from torch import Tensor
from torch.nn import functional

from pipeline.sa2va.grounding import Heads, backbone
from pipeline.sa2va.model import Sa2va, device_of, inference

MEMORY_DTYPE = torch.bfloat16  # as the stock predictor stores them
# (top map that has attended to memories (N, D, m, m), the two finer maps through a decoder's convolutions) -> masks
Decode = Callable[[Tensor, list[Tensor]], Heads]


class Maps(NamedTuple):
    """One frame, encoded; nothing in it depends on the objects or on the decoder.

    Attributes:
        levels: what `grounding.features` wants, finest first, each (1, D, side, side).
        position_1Dmm: position code of the last one.
    """

    levels: list[Tensor]
    position_1Dmm: Tensor

    @property
    def top(self) -> Tensor:
        """The coarsest map (1, D, m, m), as memories are made of it."""
        return self.levels[-1]


def encode_frame(sam2: SAM2VideoPredictor, picture_3SS: Tensor, colour_dtype: torch.dtype = torch.float32) -> Maps:
    """Maps of one frame, uint8, red green blue; `colour_dtype` as of `backbone`."""
    levels = backbone(sam2, picture_3SS[None], colour_dtype)
    if not torch.is_autocast_enabled(levels[0].device.type):
        levels = [level.float() for level in levels]  # all of SAM 2 but its image encoder is float32
    top = levels[-1]
    return Maps(levels, sam2.image_encoder.neck.position_encoding(top).to(top.dtype))


def repeated(maps: Sequence[Tensor], objects: int) -> list[Tensor]:
    """Maps (1, …) as (N, …), without copying."""
    return [level.expand(objects, -1, -1, -1) for level in maps]


class Tracker:
    """The memories of N objects of one video."""

    def __init__(self, sam2: SAM2VideoPredictor, objects: int, frames: int) -> None:
        """Nothing is remembered yet.

        Args:
            sam2: in eval mode; of its parts only memory attention and memory encoder are used here.
            objects: N.
            frames: how many frames the video has; a short one has fewer object pointers.
        """
        self._sam2, self._objects, self._frames = sam2, objects, frames
        self._conditioning: dict[int, dict[str, Any]] = {}
        self._tracked: dict[int, dict[str, Any]] = {}
        self._position: list[Tensor] | None = None  # of memories: the same for all frames and objects
        # how far before this frame the next one looks (SAM2Base._prepare_memory_conditioned_features)
        self._memory_reach = (sam2.num_maskmem - 2) * sam2.memory_temporal_stride_for_eval
        self._pointer_reach = max(sam2.max_obj_ptrs_in_encoder - 2, self._memory_reach)

    @property
    def kept(self) -> tuple[int, int, int]:
        """Frames of which something is kept: key frames, tracked ones with their memory, those with a pointer only."""
        with_memory = sum("maskmem_features" in entry for entry in self._tracked.values())
        return len(self._conditioning), with_memory, len(self._tracked) - with_memory

    def condition(self, frame: int, maps: Maps, found: Heads) -> None:
        """Remember a key frame: every other frame attends to it, earlier ones too (but not to its object pointer)."""
        side_px = self._sam2.image_size
        # from the small logits even where large ones are there: mask inputs have lost their sharp edges by then
        high_N1SS = functional.interpolate(found.best_low_P1MM, (side_px, side_px), mode="bilinear")
        self._conditioning[frame] = self._memory(maps, high_N1SS, found, is_key=True)

    def track(self, frame: int, maps: Maps, fine: Sequence[Tensor], decode: Decode) -> Tensor:
        """Find the objects on the next frame that is no key frame; all key frames must be remembered before.

        Args:
            frame: its index; frames come in order.
            maps: of this frame.
            fine: its two finer maps through the decoder's convolutions, once for all objects.
            decode: the mask decoder.

        Returns:
            Mask logits (N, 1, M, M), float32.
        """
        attended_NDmm = self._sam2._prepare_memory_conditioned_features(
            frame_idx=frame,
            is_init_cond_frame=False,
            current_vision_feats=[self._flat(maps.top)],
            current_vision_pos_embeds=[self._flat(maps.position_1Dmm)],
            feat_sizes=[maps.top.shape[-2:]],
            output_dict={"cond_frame_outputs": self._conditioning, "non_cond_frame_outputs": self._tracked},
            num_frames=self._frames,
        )
        found = decode(attended_NDmm, repeated(fine, self._objects))
        self._tracked[frame] = self._memory(maps, found.best_high_P1SS, found, is_key=False)
        self._forget(frame)
        return found.best_low_P1MM

    def _memory(self, maps: Maps, logits_N1SS: Tensor, found: Heads, *, is_key: bool) -> dict[str, Any]:
        """An entry in the form that SAM 2's memory attention reads."""
        features_Nmm, position = self._sam2._encode_new_memory(
            current_vision_feats=[self._flat(maps.top)],
            feat_sizes=[maps.top.shape[-2:]],
            pred_masks_high_res=logits_N1SS,
            object_score_logits=found.present_P1,
            is_mask_from_pts=is_key,
        )
        if self._position is None:
            self._position = [code[:1].clone() for code in position]
        return {
            "maskmem_features": features_Nmm.to(MEMORY_DTYPE),
            "maskmem_pos_enc": repeated(self._position, self._objects),
            "obj_ptr": found.pointer_PD,
        }

    def _forget(self, frame: int) -> None:
        """Drop what no frame after `frame` can attend to."""
        for old in [t for t in self._tracked if t < frame - self._memory_reach]:
            if old < frame - self._pointer_reach:
                del self._tracked[old]
            else:
                self._tracked[old] = {"obj_ptr": self._tracked[old]["obj_ptr"]}

    def _flat(self, level: Tensor) -> Tensor:
        """A map (1, D, m, m) as the sequence (m * m, N, D)."""
        return level.expand(self._objects, -1, -1, -1).flatten(2).permute(2, 0, 1)


class MaskPath(Protocol):
    """Made of a model; holds nothing of a video.

    Attributes:
        colour_dtype: what the mean and deviation of SAM 2's colours are rounded to.
    """

    colour_dtype: torch.dtype

    def key_frames(self, frames: int) -> list[int]:
        """Which of a video's frames the MLLM sees and masks are made on from its answer, in order."""

    def seed(self, maps: Maps, language_ND: Tensor, size: tuple[int, int]) -> Heads:
        """Masks of a key frame, from the language tokens; `size` = (H, W)."""

    def fine(self, maps: Maps) -> list[Tensor]:
        """The finer maps as the decoder of `decode` wants them, for one object."""

    def decode(self, attended_NDmm: Tensor, fine: list[Tensor]) -> Heads:
        """Masks of a frame that is only tracked."""

    def masks(self, logits_N1MM: Tensor, size: tuple[int, int]) -> NDArray[np.bool_]:
        """Masks (N, H, W) at the size of the video."""


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
