"""SAM 2 as the picture's encoder: how it is built, and what the mask decoder gets of a frame.

Shapes: N frames, S = side of SAM 2's picture (1024), M = S / 4 = side of its mask logits, D = its width (256).
Source: the released code; the modules themselves are those of PyPI sam2.
"""

from pathlib import Path
from typing import NamedTuple

import torch
from hydra.errors import HydraException
from sam2.build_sam import build_sam2_video_predictor
from sam2.modeling.sam.mask_decoder import MaskDecoder
from sam2.sam2_video_predictor import SAM2VideoPredictor
from torch import Tensor, nn

from pipeline.sa2va.config import Sam2Config
from pipeline.sa2va.pickled import read_pickled

_MEAN = (0.485, 0.456, 0.406)
_STD = (0.229, 0.224, 0.225)
_TOGETHER = 4  # frames encoded at once: bounds what stages at a quarter of the side take (0.1 GB a frame in bf16)


class GroundingEncoder(nn.Module):
    """Holds SAM 2 under the name that checkpoints have it at: grounding_encoder.sam2_model."""

    def __init__(self, sam2_model: SAM2VideoPredictor) -> None:
        super().__init__()
        self.sam2_model = sam2_model


class Features(NamedTuple):
    """What the mask decoder sees of each frame.

    Attributes:
        top_N: (N, D, S/16, S/16), the embedding that says "no memory" added.
        high0_N: (N, D/8, S/4, S/4), through the decoder's conv_s0.
        high1_N: (N, D/4, S/8, S/8), through its conv_s1.
    """

    top_N: Tensor
    high0_N: Tensor
    high1_N: Tensor

    def take(self, index_P: Tensor) -> "Features":
        """The features of frames `index_P`, one of them maybe many times: a copy."""
        return Features(*(maps[index_P] for maps in self))


def build_sam2(
    config: Sam2Config, *, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
) -> SAM2VideoPredictor:
    """SAM 2 with the weights of `config.checkpoint`, or random ones; in eval mode, and to stay in it.

    `dtype` is that of the image encoder. All else (12 M parameters) stays float32: it is small, and position codes and
    memories lose more by rounding than there is to gain.

    Raises:
        ValueError: no such configuration or file; the file is no checkpoint of SAM 2, or of another one.
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
    """Maps of the frozen image encoder: D x S/4 x S/4, D x S/8 x S/8 and D x S/16 x S/16 a frame.

    Args:
        sam2: see `build_sam2`.
        frames_N3SS: uint8 pictures.
        colour_dtype: what the colours' mean and deviation are rounded to.
    """
    parameter = next(sam2.image_encoder.parameters())
    mean, std = (
        torch.tensor(values, device=parameter.device).to(colour_dtype).float()[:, None, None]
        for values in (_MEAN, _STD)
    )
    with torch.no_grad():
        pieces = [
            sam2.image_encoder(((piece / 255 - mean) / std).to(parameter.dtype))["backbone_fpn"]
            for piece in torch.split(frames_N3SS, _TOGETHER)
        ]
        return [torch.cat(maps) for maps in zip(*pieces, strict=True)]


def encode_frames(sam2: SAM2VideoPredictor, frames_N3SS: Tensor, decoder: MaskDecoder | None = None) -> Features:
    """See Features; a gradient reaches conv_s0 and conv_s1 of `decoder` (default: SAM 2's own), nothing before them."""
    return features(sam2, backbone(sam2, frames_N3SS), decoder)


def features(sam2: SAM2VideoPredictor, maps: list[Tensor], decoder: MaskDecoder | None = None) -> Features:
    """What `decoder` gets of the maps of `backbone`; several decoders may share those."""
    decoder = decoder or sam2.sam_mask_decoder
    fine, middle, top = (maps_N if torch.is_autocast_enabled(maps_N.device.type) else maps_N.float() for maps_N in maps)
    return Features(top + sam2.no_mem_embed.view(1, -1, 1, 1), decoder.conv_s0(fine), decoder.conv_s1(middle))
