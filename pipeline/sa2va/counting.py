"""What SAM 2's parts cost, counted by running copies of them on tensors without content: no formula, any size."""

import copy
from collections.abc import Iterable

import torch
from sam2.sam2_video_predictor import SAM2VideoPredictor
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.flop_counter import FlopCounterMode

_STRIDE = 16  # of SAM 2's top map


def encoder_flops(sam2: SAM2VideoPredictor) -> int:
    """Operations of the image encoder on one frame; 1.82 T for Hiera-L at 1024 px."""
    side_px = sam2.image_size
    encoder = copy.deepcopy(sam2.image_encoder).to("meta", torch.float32)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        encoder(torch.empty(1, 3, side_px, side_px, device="meta"))
    return int(counter.get_total_flops())


def decoder_cost(sam2: SAM2VideoPredictor) -> tuple[int, int]:
    """(bytes kept in float32, operations of forward and backward pass) of the mask decoder on one pair."""
    decoder = copy.deepcopy(sam2.sam_mask_decoder).to("meta")
    width, side = sam2.hidden_dim, sam2.image_size // _STRIDE
    kept = Kept(decoder.parameters())

    def maps(channels: int, times: int) -> Tensor:
        return torch.empty(1, channels, times * side, times * side, device="meta", requires_grad=True)

    with saved_tensors_hooks(kept.add, lambda tensor: tensor), FlopCounterMode(display=False) as counter:
        low_PKMM, *_ = decoder(
            image_embeddings=maps(width, 1),
            image_pe=maps(width, 1).detach(),
            sparse_prompt_embeddings=torch.empty(1, 3, width, device="meta", requires_grad=True),
            dense_prompt_embeddings=maps(width, 1).detach(),
            multimask_output=True,
            repeat_image=False,
            high_res_features=[maps(width // 8, 4), maps(width // 4, 2)],
        )
        low_PKMM.sum().backward()
    return kept.nbytes, int(counter.get_total_flops())


def convolutions_bytes(sam2: SAM2VideoPredictor, number_bytes: int) -> int:
    """What the decoder's two convolutions keep of a frame: the encoder's finer maps."""
    side = sam2.image_size // _STRIDE
    return int(sam2.hidden_dim * ((4 * side) ** 2 + (2 * side) ** 2) * number_bytes)


class Kept:
    """The memory that autograd keeps for the backward pass, each piece of it once.

    Use `add` as the first of `torch.autograd.graph.saved_tensors_hooks`.
    """

    def __init__(self, others: Iterable[Tensor]) -> None:
        """`others` are there anyway and do not count: parameters."""
        self.nbytes = 0
        self._seen = {each.untyped_storage()._cdata for each in others}
        self._alive: list[Tensor] = []  # so that no piece takes the place of another

    def add(self, tensor: Tensor) -> Tensor:
        """Count `tensor` and give it back."""
        storage = tensor.untyped_storage()
        if storage._cdata not in self._seen:
            self._seen.add(storage._cdata)
            self._alive.append(tensor)
            self.nbytes += storage.nbytes()
        return tensor
