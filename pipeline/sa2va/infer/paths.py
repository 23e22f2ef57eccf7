"""The two ways from a language token to the masks of a video (`tracker.MaskPath`): consistent and official."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from sam2.sam2_video_predictor import SAM2VideoPredictor
from torch import Tensor, nn
from torch.nn import functional

from pipeline.sa2va.grounding import Heads, features, heads
from pipeline.sa2va.infer.tracker import FrameMaps, repeated
from pipeline.sa2va.model import Sa2va


class Consistent:
    """Asks of both decoders what they were trained for (Sa2VA-i); this is the default.

    The fine-tuned decoder makes masks on key frames spread over the video, with the language token and without memory,
    as in training; they are mask inputs of an original SAM 2, which propagates them to all other frames.
    """

    colour_dtype = torch.float32

    def __init__(self, model: Sa2va, key_frames: int) -> None:
        """Take the model's parts.

        Raises:
            ValueError: the model has no original mask decoder.
        """
        if model.original_decoder is None:
            raise ValueError(
                "the consistent path propagates with SAM 2's own mask decoder, which this checkpoint has not: give "
                "--sam2-checkpoint sam2_hiera_large.pt (of SAM 2.0), or --official for the path that does without"
            )
        self._sam2, self._key_frames = model.sam2, key_frames
        self._original: nn.Module = model.original_decoder

    def key_frames(self, frames: int) -> list[int]:
        """Choose frames that are spread over the video, its ends included."""
        return [round(t) for t in np.linspace(0, frames - 1, min(self._key_frames, frames)).tolist()]

    def decode_key_frame(self, maps: FrameMaps, language_ND: Tensor, size: tuple[int, int]) -> Heads:
        """Let SAM 2 read the fine-tuned decoder's masks, at the video's size, as if a person had drawn them."""
        sam2, objects = self._sam2, len(language_ND)
        top, *fine = repeated(features(sam2, maps.levels), objects)
        tuned = heads(sam2, sam2.sam_mask_decoder, top, fine, language_ND, multimask=True, replace_absent=False)
        masks_N1HW = _enlarged(tuned.best_low_P1MM, size) > 0
        return self.read(maps, masks_N1HW)

    def read(self, maps: FrameMaps, masks_N1HW: Tensor) -> Heads:
        """Return what SAM 2 makes of masks that are given to it (`add_new_mask` of the stock predictor)."""
        sam2 = self._sam2
        side = (sam2.image_size, sam2.image_size)
        given_N1SS = masks_N1HW.float()
        if given_N1SS.shape[-2:] != side:
            reduced = functional.interpolate(given_N1SS, side, mode="bilinear", align_corners=False, antialias=True)
            given_N1SS = (reduced >= 0.5).float()
        objects = len(given_N1SS)
        top, fine = repeated([maps.top], objects)[0], repeated(self.fine(maps), objects)
        with _decoding_with(sam2, self._original):
            return Heads(*sam2._use_mask_as_output(top, fine, given_N1SS))

    def fine(self, maps: FrameMaps) -> list[Tensor]:
        """Compute the finer maps with the original decoder's convolutions."""
        return list(features(self._sam2, maps.levels, self._original)[1:])

    def decode_tracked(self, attended_NDmm: Tensor, fine: list[Tensor]) -> Heads:
        """Decode with the original SAM 2: where it sees no object, nothing of the mask is left."""
        several = self._sam2._use_multimask(is_init_cond_frame=False, point_inputs=None)
        return heads(self._sam2, self._original, attended_NDmm, fine, None, multimask=several, replace_absent=True)

    def masks(self, logits_N1MM: Tensor, size: tuple[int, int]) -> NDArray[np.bool_]:
        """Enlarge logits in one step, as the stock predictor does."""
        masks_NHW: NDArray[np.bool_] = (_enlarged(logits_N1MM, size)[:, 0] > 0).cpu().numpy()
        return masks_NHW


def _enlarged(logits_N1MM: Tensor, size: tuple[int, int]) -> Tensor:
    return functional.interpolate(logits_N1MM, size, mode="bilinear", align_corners=False)


@contextmanager
def _decoding_with(sam2: SAM2VideoPredictor, decoder: nn.Module) -> Iterator[None]:
    """Within it, `decoder` is SAM 2's mask decoder: sam2's own methods take it from there."""
    own = sam2.sam_mask_decoder
    sam2.sam_mask_decoder = decoder
    try:
        yield
    finally:
        sam2.sam_mask_decoder = own


class Official:
    """Infers as released (paper, algorithm 1; `hf/models/sam2.py`): the first frames are the key frames.

    The fine-tuned decoder does everything: on the key frames it gets the language token and no memory, as in training,
    and on all later frames memories and no language token, which it was never trained for.
    """

    colour_dtype = torch.bfloat16

    def __init__(self, model: Sa2va, key_frames: int) -> None:
        self._sam2, self._key_frames = model.sam2, key_frames

    def key_frames(self, frames: int) -> list[int]:
        """Choose the first frames."""
        return list(range(min(self._key_frames, frames)))

    def decode_key_frame(self, maps: FrameMaps, language_ND: Tensor, size: tuple[int, int]) -> Heads:
        """Decode as in training: without memory, and an object that is predicted to be absent keeps its logits."""
        sam2 = self._sam2
        top, *fine = repeated(features(sam2, maps.levels), len(language_ND))
        return heads(sam2, sam2.sam_mask_decoder, top, fine, language_ND, multimask=True, replace_absent=False)

    def fine(self, maps: FrameMaps) -> list[Tensor]:
        """Compute the finer maps with the fine-tuned decoder's convolutions."""
        return list(features(self._sam2, maps.levels)[1:])

    def decode_tracked(self, attended_NDmm: Tensor, fine: list[Tensor]) -> Heads:
        """Decode with the fine-tuned decoder, without a language token."""
        sam2 = self._sam2
        several = sam2._use_multimask(is_init_cond_frame=False, point_inputs=None)
        return heads(sam2, sam2.sam_mask_decoder, attended_NDmm, fine, None, multimask=several, replace_absent=False)

    def masks(self, logits_N1MM: Tensor, size: tuple[int, int]) -> NDArray[np.bool_]:
        """Enlarge logits in two steps, by way of the size of SAM 2's image."""
        side_px = self._sam2.image_size
        logits_N1SS = functional.interpolate(logits_N1MM, (side_px, side_px), mode="bilinear", align_corners=False)
        logits_N1HW = functional.interpolate(logits_N1SS, size, mode="bilinear", align_corners=False)
        masks_NHW: NDArray[np.bool_] = (torch.sigmoid(logits_N1HW[:, 0]) > 0.5).cpu().numpy()
        return masks_NHW
