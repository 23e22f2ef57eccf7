"""SAM 2 as Sa2VA uses it: how it is built, its image encoder, and its mask decoder with a language token.

Shapes: N frames, S = side of SAM 2's image (1024), M = S / 4 = side of its mask logits, D = its width (256), P (frame,
object) pairs, K = masks proposed for a pair (3, or 1).
Source: the released code; the modules themselves are those of PyPI sam2, and `heads` does what sam2's own
_forward_sam_heads does, but for the language token and absent objects.
"""

from pathlib import Path
from typing import NamedTuple

import torch
from hydra.errors import HydraException
from sam2.build_sam import build_sam2_video_predictor
from sam2.modeling.sam.mask_decoder import MaskDecoder
from sam2.modeling.sam2_base import NO_OBJ_SCORE
from sam2.sam2_video_predictor import SAM2VideoPredictor
from torch import Tensor, nn
from torch.nn import functional

from pipeline.sa2va.checkpoint.weights import read_pickled
from pipeline.sa2va.config import Sam2Config

_MEAN = (0.485, 0.456, 0.406)
_STD = (0.229, 0.224, 0.225)
FRAMES_TOGETHER = 4  # frames encoded at once: bounds what stages at a quarter of the side take (0.1 GB a frame in bf16)
_PAIRS_TOGETHER = 16  # decoded at once: enough to fill a GPU, and 0.2 GB of repeated features at most


class GroundingEncoder(nn.Module):
    """Holds SAM 2 under the name that checkpoints have it at: grounding_encoder.sam2_model."""

    def __init__(self, sam2_model: SAM2VideoPredictor) -> None:
        super().__init__()
        self.sam2_model = sam2_model


class Features(NamedTuple):
    """Holds what the mask decoder sees of N frames.

    Attributes:
        top_N: (N, D, S/16, S/16), the embedding that says "no memory" added.
        high0_N: (N, D/8, S/4, S/4), computed by the decoder's conv_s0.
        high1_N: (N, D/4, S/8, S/8), computed by its conv_s1.
    """

    top_N: Tensor
    high0_N: Tensor
    high1_N: Tensor

    def take(self, index_P: Tensor) -> "Features":
        """Return a copy of the features of frames `index_P`, in which a frame may come many times."""
        return Features(*(maps[index_P] for maps in self))


def build_sam2(
    config: Sam2Config, *, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
) -> SAM2VideoPredictor:
    """Build SAM 2 with the weights of `config.checkpoint`, or random ones, in eval mode, in which it stays.

    `dtype` is that of the image encoder. All else (12 M parameters) stays float32: it is small, and position codes and
    memories lose more by rounding than there is to gain.

    Raises:
        ValueError: there is no such configuration or file, or the file is no checkpoint of this SAM 2.
    """
    try:
        sam2: SAM2VideoPredictor = build_sam2_video_predictor(
            config.config_file,
            device="cpu",
            mode="eval",
            hydra_overrides_extra=list(config.overrides),
            apply_postprocessing=False,
        )
    except HydraException as error:
        raise ValueError(
            f"SAM 2's configuration must be one of those of the package sam2, got {config.config_file!r} with "
            f"overrides {list(config.overrides)}: {error}"
        ) from error
    if config.checkpoint:
        _load(sam2, Path(config.checkpoint), config.config_file)
    sam2.image_encoder.to(dtype)
    return sam2.to(device)


def _load(sam2: SAM2VideoPredictor, path: Path, config_file: str) -> None:
    try:
        content = read_pickled(path)
    except ValueError as error:
        raise ValueError(f"SAM 2's checkpoint {error}; download it again") from error
    if not isinstance(content, dict) or "model" not in content:
        raise ValueError(f"a checkpoint of SAM 2 is a dict with an entry 'model', got something else in {path}")
    try:
        sam2.load_state_dict(content["model"])
    except RuntimeError as error:
        raise ValueError(
            f"SAM 2's checkpoint {path} must fit {config_file} (sam2_hiera_large.pt is of 2.0, not 2.1): {error}"
        ) from error


def backbone(sam2: SAM2VideoPredictor, frames_N3SS: Tensor, colour_dtype: torch.dtype = torch.float32) -> list[Tensor]:
    """Compute the maps of the frozen image encoder: D x S/4 x S/4, D x S/8 x S/8 and D x S/16 x S/16 a frame.

    Args:
        sam2: see `build_sam2`.
        frames_N3SS: uint8 images.
        colour_dtype: type that the colours' mean and deviation are rounded to.
    """
    parameter = next(sam2.image_encoder.parameters())
    mean, std = (
        torch.tensor(values, device=parameter.device).to(colour_dtype).float()[:, None, None]
        for values in (_MEAN, _STD)
    )
    with torch.no_grad():
        pieces = [
            sam2.image_encoder(((piece / 255 - mean) / std).to(parameter.dtype))["backbone_fpn"]
            for piece in torch.split(frames_N3SS, FRAMES_TOGETHER)
        ]
        return [torch.cat(maps) for maps in zip(*pieces, strict=True)]


def encode_frames(sam2: SAM2VideoPredictor, frames_N3SS: Tensor, decoder: MaskDecoder | None = None) -> Features:
    """Compute the features of frames; a gradient reaches conv_s0 and conv_s1 of `decoder` (default: SAM 2's own)."""
    return features(sam2, backbone(sam2, frames_N3SS), decoder)


def features(sam2: SAM2VideoPredictor, maps: list[Tensor], decoder: MaskDecoder | None = None) -> Features:
    """Compute what `decoder` gets of the maps of `backbone`; several decoders may share those."""
    decoder = decoder or sam2.sam_mask_decoder
    fine, middle, top = (maps_N if torch.is_autocast_enabled(maps_N.device.type) else maps_N.float() for maps_N in maps)
    return Features(top + sam2.no_mem_embed.view(1, -1, 1, 1), decoder.conv_s0(fine), decoder.conv_s1(middle))


class Heads(NamedTuple):
    """Holds what sam2's _forward_sam_heads returns; all logits are float32.

    Attributes:
        low_PKMM: logits of the proposals.
        high_PKSS: the same at the image's size.
        iou_PK: predicted quality of every proposal.
        best_low_P1MM: the proposal of the highest quality.
        best_high_P1SS: the same at the image's size.
        pointer_PD: object pointer of that proposal, or the embedding of an absent object.
        present_P1: logit of the object being in the frame.
    """

    low_PKMM: Tensor
    high_PKSS: Tensor
    iou_PK: Tensor
    best_low_P1MM: Tensor
    best_high_P1SS: Tensor
    pointer_PD: Tensor
    present_P1: Tensor


def decode_masks(
    sam2: SAM2VideoPredictor, decoder: MaskDecoder, frames: Features, frame_P: Tensor, language_PD: Tensor
) -> Tensor:
    """Return the logits that are trained: of three proposals the one of the highest predicted quality.

    A frame's features are repeated for its objects only here, piece by piece: a call for every frame would be as
    exact, but start ten times as many small kernels.

    Args:
        sam2: gives the prompt encoder.
        decoder: the mask decoder; its convolutions have made `frames`.
        frames: features of N frames.
        frame_P: int64, the frame of every pair.
        language_PD: embedding of [SEG] of every pair.

    Returns:
        float32 (P, M, M), with a gradient.
    """
    pieces = []
    for frame_p, language_pD in zip(
        torch.split(frame_P, _PAIRS_TOGETHER), torch.split(language_PD, _PAIRS_TOGETHER), strict=True
    ):
        top_p, *high = frames.take(frame_p)
        low_pKMM, iou_pK, _, _ = _propose(sam2, decoder, top_p, high, language_pD, multimask=True)
        pieces.append(_best(low_pKMM.float(), iou_pK)[:, 0])
    return torch.cat(pieces)


def heads(
    sam2: SAM2VideoPredictor,
    decoder: MaskDecoder,
    pix_feat: Tensor,
    high_res: list[Tensor],
    language: Tensor | None,
    *,
    multimask: bool,
    replace_absent: bool,
) -> Heads:
    """Return masks, object pointers and presence of P pairs of one frame and one object.

    Args:
        sam2: gives the prompt encoder and the projection of object pointers.
        decoder: the mask decoder.
        pix_feat: (P, D, S/16, S/16), with memory or its absence added.
        high_res: (P, D/8, S/4, S/4) and (P, D/4, S/8, S/8), computed by the decoder's convolutions.
        language: (P, D), or None for a frame that is only tracked.
        multimask: make three proposals, not one.
        replace_absent: set the logits of an object that is predicted to be absent to -1024, as sam2 does. The release
            of Sa2VA does not, neither in training nor in inference.
    """
    low, iou_PK, tokens_PTD, present_P1 = _propose(sam2, decoder, pix_feat, high_res, language, multimask=multimask)
    present = present_P1 > 0
    if replace_absent and sam2.pred_obj_scores:
        low = torch.where(present[:, None, None], low, NO_OBJ_SCORE)
    low_PKMM = low.float()
    side_px = sam2.image_size
    high_PKSS = functional.interpolate(low_PKMM, size=(side_px, side_px), mode="bilinear", align_corners=False)
    token_PD = _best(tokens_PTD, iou_PK)[:, 0] if tokens_PTD.shape[1] > 1 else tokens_PTD[:, 0]
    return Heads(
        low_PKMM,
        high_PKSS,
        iou_PK,
        _best(low_PKMM, iou_PK),
        _best(high_PKSS, iou_PK),
        _pointer(sam2, token_PD, present_P1),
        present_P1,
    )


def _propose(
    sam2: SAM2VideoPredictor,
    decoder: MaskDecoder,
    top: Tensor,
    high_res: list[Tensor],
    language: Tensor | None,
    *,
    multimask: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    pairs, device = len(top), top.device
    # a padding point (label -1), as sam2 gives where there is no prompt; the prompt encoder adds another
    nowhere = torch.zeros(pairs, 1, 2, device=device), -torch.ones(pairs, 1, dtype=torch.int32, device=device)
    sparse_PTD, dense = sam2.sam_prompt_encoder(points=nowhere, boxes=None, masks=None)
    if language is not None:
        sparse_PTD = torch.cat([sparse_PTD, language[:, None].to(sparse_PTD.dtype)], dim=1)
    low, iou_PK, tokens_PTD, present_P1 = decoder(
        image_embeddings=top,
        image_pe=sam2.sam_prompt_encoder.get_dense_pe(),
        sparse_prompt_embeddings=sparse_PTD,
        dense_prompt_embeddings=dense,
        multimask_output=multimask,
        repeat_image=False,
        high_res_features=high_res,
    )
    return low, iou_PK, tokens_PTD, present_P1


def _best(values_PK: Tensor, iou_PK: Tensor) -> Tensor:
    """Return of every pair's K values (any shape) the one of the highest predicted quality; K stays, as 1."""
    return values_PK[torch.arange(len(iou_PK), device=iou_PK.device), iou_PK.argmax(-1)].unsqueeze(1)


def _pointer(sam2: SAM2VideoPredictor, token_PD: Tensor, present_P1: Tensor) -> Tensor:
    pointer_PD: Tensor = sam2.obj_ptr_proj(token_PD)
    if sam2.pred_obj_scores:
        here_P1 = present_P1.sigmoid() if sam2.soft_no_obj_ptr else (present_P1 > 0).float()
        kept_PD = here_P1 * pointer_PD if sam2.fixed_no_obj_ptr else pointer_PD
        pointer_PD = kept_PD + (1 - here_P1) * sam2.no_obj_ptr
    return pointer_PD
