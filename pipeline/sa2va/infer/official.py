"""The released inference (paper, algorithm 1; `hf/models/sam2.py`): the first frames are the key frames.

The fine-tuned decoder does everything: on the key frames it gets the language token and no memory, as in training, and
on all later frames memories and no language token, which it was never trained for.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from pipeline.sa2va.decode import Heads, heads
from pipeline.sa2va.grounding import features
from pipeline.sa2va.infer.track import Maps, repeated
from pipeline.sa2va.model import Sa2va


class Official:
    """See `mask_path.MaskPath`."""

    colour_dtype = torch.bfloat16

    def __init__(self, model: Sa2va, key_frames: int) -> None:
        self._sam2, self._key_frames = model.sam2, key_frames

    def key_frames(self, frames: int) -> list[int]:
        """The first ones."""
        return list(range(min(self._key_frames, frames)))

    def seed(self, maps: Maps, language_ND: Tensor, size: tuple[int, int]) -> Heads:
        """As in training: no memory, and an object that is predicted to be absent keeps its logits."""
        sam2 = self._sam2
        top, *fine = repeated(features(sam2, maps.levels), len(language_ND))
        return heads(sam2, sam2.sam_mask_decoder, top, fine, language_ND, multimask=True, replace_absent=False)

    def fine(self, maps: Maps) -> list[Tensor]:
        """Through the fine-tuned decoder's convolutions."""
        return list(features(self._sam2, maps.levels)[1:])

    def decode(self, attended_NDmm: Tensor, fine: list[Tensor]) -> Heads:
        """The fine-tuned decoder without a language token."""
        sam2 = self._sam2
        several = sam2._use_multimask(is_init_cond_frame=False, point_inputs=None)
        return heads(sam2, sam2.sam_mask_decoder, attended_NDmm, fine, None, multimask=several, replace_absent=False)

    def masks(self, logits_N1MM: Tensor, size: tuple[int, int]) -> NDArray[np.bool_]:
        """Enlarged in two steps, by way of SAM 2's picture."""
        side_px = self._sam2.image_size
        logits_N1SS = functional.interpolate(logits_N1MM, (side_px, side_px), mode="bilinear", align_corners=False)
        logits_N1HW = functional.interpolate(logits_N1SS, size, mode="bilinear", align_corners=False)
        masks_NHW: NDArray[np.bool_] = (torch.sigmoid(logits_N1HW[:, 0]) > 0.5).cpu().numpy()
        return masks_NHW
