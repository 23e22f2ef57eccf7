"""From language tokens to the masks of a video: SAM 2's propagation with all objects of a video in one batch.

A frame is encoded once for all objects. The arithmetic is that of sam2's `SAM2VideoPredictor`, which runs every object
by itself and keeps the output of every frame for ever. Here the memories are bounded: an old frame's are dropped once
no later frame can attend to them.

Shapes: N objects, T frames of H x W pixels; D = SAM 2's width (256); S = side of its image (1024), M = S / 4 = side of
its mask logits, m = S / 16 = side of its top map.
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


class FrameMaps(NamedTuple):
    """Holds one encoded frame; nothing in it depends on the objects or on the decoder.

    Attributes:
        levels: three maps (1, D, side, side) as `grounding.features` wants them, finest first.
        position_1Dmm: position code of the last map.
    """

    levels: list[Tensor]
    position_1Dmm: Tensor

    @property
    def top(self) -> Tensor:
        """Return the coarsest map (1, D, m, m), of which memories are made."""
        return self.levels[-1]


def encode_frame(sam2: SAM2VideoPredictor, image_3SS: Tensor, colour_dtype: torch.dtype = torch.float32) -> FrameMaps:
    """Encode one frame, uint8, red green blue; see `backbone` for `colour_dtype`."""
    levels = backbone(sam2, image_3SS[None], colour_dtype)
    if not torch.is_autocast_enabled(levels[0].device.type):
        levels = [level.float() for level in levels]  # all of SAM 2 but its image encoder is float32
    top = levels[-1]
    return FrameMaps(levels, sam2.image_encoder.neck.position_encoding(top).to(top.dtype))


def repeated(maps: Sequence[Tensor], objects: int) -> list[Tensor]:
    """Return maps (1, …) as (N, …), without copying."""
    return [level.expand(objects, -1, -1, -1) for level in maps]


class Tracker:
    """Holds the memories of N objects of one video, and finds the objects on its next frame."""

    def __init__(self, sam2: SAM2VideoPredictor, objects: int, frames: int) -> None:
        """Start without a memory.

        Args:
            sam2: in eval mode; of its parts only memory attention and memory encoder are used here.
            objects: N.
            frames: number of frames of the video; a short one has fewer object pointers.
        """
        self._sam2, self._objects, self._frames = sam2, objects, frames
        self._conditioning: dict[int, dict[str, Any]] = {}
        self._tracked: dict[int, dict[str, Any]] = {}
        self._position: list[Tensor] | None = None  # code of memories: the same for all frames and objects
        # how far before this frame the next one looks (SAM2Base._prepare_memory_conditioned_features)
        self._memory_reach = (sam2.num_maskmem - 2) * sam2.memory_temporal_stride_for_eval
        self._pointer_reach = max(sam2.max_obj_ptrs_in_encoder - 2, self._memory_reach)

    @property
    def kept(self) -> tuple[int, int, int]:
        """Count the frames that are kept: key frames, tracked ones with their memory, those with a pointer only."""
        with_memory = sum("maskmem_features" in entry for entry in self._tracked.values())
        return len(self._conditioning), with_memory, len(self._tracked) - with_memory

    def condition(self, frame: int, maps: FrameMaps, heads: Heads) -> None:
        """Remember a key frame: every other frame attends to it, earlier ones too (but not to its object pointer)."""
        side_px = self._sam2.image_size
        # from the small logits even where large ones are there: mask inputs have lost their sharp edges by then
        high_N1SS = functional.interpolate(heads.best_low_P1MM, (side_px, side_px), mode="bilinear")
        self._conditioning[frame] = self._memory(maps, high_N1SS, heads, is_key=True)

    def track(self, frame: int, maps: FrameMaps, fine: Sequence[Tensor], decode: Decode) -> Tensor:
        """Find the objects on the next frame that is no key frame; all key frames must be remembered before.

        Args:
            frame: index of the frame; frames come in order.
            maps: the encoded frame.
            fine: its two finer maps, computed by the decoder's convolutions once for all objects.
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
        heads = decode(attended_NDmm, repeated(fine, self._objects))
        self._tracked[frame] = self._memory(maps, heads.best_high_P1SS, heads, is_key=False)
        self._forget(frame)
        return heads.best_low_P1MM

    def _memory(self, maps: FrameMaps, logits_N1SS: Tensor, heads: Heads, *, is_key: bool) -> dict[str, Any]:
        """Make an entry in the form that SAM 2's memory attention reads."""
        features_Nmm, position = self._sam2._encode_new_memory(
            current_vision_feats=[self._flat(maps.top)],
            feat_sizes=[maps.top.shape[-2:]],
            pred_masks_high_res=logits_N1SS,
            object_score_logits=heads.present_P1,
            is_mask_from_pts=is_key,
        )
        if self._position is None:
            self._position = [code[:1].clone() for code in position]
        return {
            "maskmem_features": features_Nmm.to(MEMORY_DTYPE),
            "maskmem_pos_enc": repeated(self._position, self._objects),
            "obj_ptr": heads.pointer_PD,
        }

    def _forget(self, frame: int) -> None:
        """Drop what no frame after `frame` can attend to."""
        for old in [t for t in self._tracked if t < frame - self._memory_reach]:
            if old < frame - self._pointer_reach:
                del self._tracked[old]
            else:
                self._tracked[old] = {"obj_ptr": self._tracked[old]["obj_ptr"]}

    def _flat(self, level: Tensor) -> Tensor:
        """Return a map (1, D, m, m) as the sequence (m * m, N, D)."""
        return level.expand(self._objects, -1, -1, -1).flatten(2).permute(2, 0, 1)


class MaskPath(Protocol):
    """Says how masks are made from language tokens; it is made of a model and holds nothing of a video.

    Attributes:
        colour_dtype: type that the mean and deviation of SAM 2's colours are rounded to.
    """

    colour_dtype: torch.dtype

    def key_frames(self, frames: int) -> list[int]:
        """Choose the frames that the MLLM sees, and on which masks are made from its answer, in order."""

    def decode_key_frame(self, maps: FrameMaps, language_ND: Tensor, size: tuple[int, int]) -> Heads:
        """Make the masks of a key frame from the language tokens; `size` = (H, W)."""

    def fine(self, maps: FrameMaps) -> list[Tensor]:
        """Return the finer maps as the decoder of `decode_tracked` wants them, for one object."""

    def decode_tracked(self, attended_NDmm: Tensor, fine: list[Tensor]) -> Heads:
        """Make the masks of a frame that is only tracked."""

    def masks(self, logits_N1MM: Tensor, size: tuple[int, int]) -> NDArray[np.bool_]:
        """Return masks (N, H, W) at the size of the video."""


class Propagation:
    """Propagates all objects of one video, `batch` of them at once through attention and decoder."""

    def __init__(
        self, model: Sa2va, path: MaskPath, language_ND: Tensor, frames: int, size: tuple[int, int], batch: int
    ) -> None:
        """Take what is needed; nothing is computed yet.

        Args:
            model: any Sa2va.
            path: consistent or official.
            language_ND: a token for every object, on the model's device.
            frames: T.
            size: (height, width) of the video's frames, pixels.
            batch: number of objects at a time.
        """
        self._model, self._path, self._size = model, path, size
        self._language = torch.split(language_ND, batch)
        sam2 = self._model.sam2
        self._trackers = [Tracker(sam2, len(piece), frames) for piece in self._language]

    def condition(self, frame: int, image_3SS: Tensor) -> Tensor:
        """Return mask logits (N, 1, M, M) of a key frame, and remember them for all other frames."""
        with inference(self._model):
            maps = self._encode(image_3SS)
            logits = []
            for language, tracker in zip(self._language, self._trackers, strict=True):
                heads = self._path.decode_key_frame(maps, language, self._size)
                tracker.condition(frame, maps, heads)
                logits.append(heads.best_low_P1MM)
            return torch.cat(logits)

    def track(self, frame: int, image_3SS: Tensor) -> Tensor:
        """Return mask logits (N, 1, M, M) of the next frame that is no key frame; all key frames come before."""
        with inference(self._model):
            maps = self._encode(image_3SS)
            fine = self._path.fine(maps)
            return torch.cat(
                [tracker.track(frame, maps, fine, self._path.decode_tracked) for tracker in self._trackers]
            )

    def masks(self, logits_N1MM: Tensor) -> NDArray[np.bool_]:
        """Return masks (N, H, W) at the size of the video."""
        with inference(self._model):
            return self._path.masks(logits_N1MM, self._size)

    def _encode(self, image_3SS: Tensor) -> FrameMaps:
        device = device_of(self._model)
        return encode_frame(self._model.sam2, image_3SS.to(device, non_blocking=True), self._path.colour_dtype)


def propagate(
    propagation: Propagation, read: Callable[[int], Tensor], frames: int, key_frames: Sequence[int]
) -> Iterator[NDArray[np.bool_]]:
    """Iterate over the masks (N, H, W) of all frames, in order.

    Args:
        propagation: made for this video and not used yet.
        read: gives the image of a frame, uint8 (3, S, S); called once a frame, from another thread, one frame ahead.
        frames: T.
        key_frames: those of the path, in order.
    """
    keys = set(key_frames)
    others = [t for t in range(frames) if t not in keys]
    images = _one_ahead(read, [*key_frames, *others])
    logits = {t: propagation.condition(t, next(images)) for t in key_frames}
    for t in range(frames):
        yield propagation.masks(logits.pop(t) if t in keys else propagation.track(t, next(images)))


def _one_ahead(read: Callable[[int], Tensor], order: Sequence[int]) -> Iterator[Tensor]:
    """Iterate over `read` of `order`; the next image is read while the one before is used."""
    with ThreadPoolExecutor(1, thread_name_prefix="frames") as reader:
        coming = reader.submit(read, order[0])
        for t in order[1:]:
            image_3SS = coming.result()
            coming = reader.submit(read, t)
            yield image_3SS
        yield coming.result()
