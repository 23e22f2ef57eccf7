"""SAM 2 as it is built, and what it gives the decoder of a frame."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from pipeline.sa2va.config import Sam2Config
from pipeline.sa2va.grounding import backbone, build_sam2, encode_frames
from pipeline.sa2va.infer.paths import Consistent, Official
from tests.pipeline.sa2va.tiny import TINY_SAM2, TINY_SAM2_SIDE_PX


def pictures(count: int) -> torch.Tensor:
    side = TINY_SAM2_SIDE_PX
    return torch.randint(0, 256, (count, 3, side, side), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


def test_features_are_sam2s_own() -> None:
    """Bit for bit: the same encoder, convolutions and the embedding of having no memory."""
    torch.manual_seed(0)
    sam2 = build_sam2(TINY_SAM2)
    frames = pictures(3)
    mean, std = (torch.tensor(v)[:, None, None] for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    with torch.no_grad():
        _, vision, positions, sizes = sam2._prepare_backbone_features(sam2.forward_image((frames / 255 - mean) / std))
        top = sam2._prepare_memory_conditioned_features(0, True, vision[-1:], positions[-1:], sizes[-1:], {}, 3)
        ours = encode_frames(sam2, frames)
    high = [maps.permute(1, 2, 0).view(3, -1, *size) for maps, size in zip(vision[:2], sizes[:2], strict=True)]
    assert ours.top_N.shape == (3, 32, 8, 8)
    for own, theirs in zip(ours, [top, *high], strict=True):
        assert torch.equal(own, theirs)


def test_the_released_inference_rounds_the_colours_mean_and_deviation() -> None:
    """To bfloat16; only on the official path."""
    torch.manual_seed(0)
    sam2 = build_sam2(TINY_SAM2)
    frames = pictures(1)
    mean, std = (0.484375, 0.455078125, 0.40625), (0.228515625, 0.2236328125, 0.224609375)
    mean_311, std_311 = (torch.tensor(values)[:, None, None] for values in (mean, std))
    with torch.no_grad():
        theirs = sam2.image_encoder((frames / 255 - mean_311) / std_311)["backbone_fpn"]
    for own, other in zip(backbone(sam2, frames, Official.colour_dtype), theirs, strict=True):
        assert torch.equal(own, other)
    exact = backbone(sam2, frames, Consistent.colour_dtype)
    assert all(not torch.equal(own, other) for own, other in zip(exact, theirs, strict=True))


def test_frames_do_not_see_each_other_and_may_be_many() -> None:
    torch.manual_seed(0)
    sam2 = build_sam2(TINY_SAM2)
    together, alone = encode_frames(sam2, pictures(6)), encode_frames(sam2, pictures(6)[5:])
    for many, one in zip(together, alone, strict=True):
        torch.testing.assert_close(many[5:], one)


def test_only_the_decoders_convolutions_get_a_gradient() -> None:
    torch.manual_seed(0)
    sam2 = build_sam2(TINY_SAM2)
    assert not sam2.training
    torch.stack([maps.sum() for maps in encode_frames(sam2, pictures(1))[1:]]).sum().backward()
    reached = {name for name, parameter in sam2.named_parameters() if parameter.grad is not None}
    assert reached == {f"sam_mask_decoder.conv_s{i}.{part}" for i in (0, 1) for part in ("weight", "bias")}


def test_a_bfloat16_encoder_leaves_the_rest_in_float32() -> None:
    torch.manual_seed(0)
    sam2 = build_sam2(TINY_SAM2, dtype=torch.bfloat16)
    assert {p.dtype for p in sam2.image_encoder.parameters()} == {torch.bfloat16}
    assert {p.dtype for name, p in sam2.named_parameters() if "image_encoder" not in name} == {torch.float32}
    plain = encode_frames(sam2, pictures(1))
    assert plain.high0_N.dtype == torch.float32
    with torch.autocast("cpu", torch.bfloat16):
        mixed = encode_frames(sam2, pictures(1))
    torch.testing.assert_close(mixed.high1_N.float(), plain.high1_N, atol=0.1, rtol=0.1)


def test_weights_are_those_of_the_checkpoint(tmp_path: Path) -> None:
    torch.manual_seed(0)
    saved = build_sam2(TINY_SAM2).state_dict()
    torch.save({"model": saved}, tmp_path / "sam2.pt")
    loaded = build_sam2(replace(TINY_SAM2, checkpoint=str(tmp_path / "sam2.pt"))).state_dict()
    assert saved.keys() == loaded.keys()
    assert all(torch.equal(saved[name], loaded[name]) for name in saved)


def test_a_checkpoint_that_does_not_fit_is_told(tmp_path: Path) -> None:
    path = tmp_path / "sam2.pt"
    tiny = replace(TINY_SAM2, checkpoint=str(path))
    with pytest.raises(ValueError, match="cannot be read"):
        build_sam2(tiny)
    for wrong in (b"PK\x03\x04 cut off", b"", b"hello\n", b"<!DOCTYPE html>", b"{}", b"version https://git-lfs"):
        path.write_bytes(wrong)
        with pytest.raises(ValueError, match=f"SAM 2's checkpoint {path} cannot be read: .*; download it again"):
            build_sam2(tiny)
    torch.save([1], path)
    with pytest.raises(ValueError, match="entry 'model'"):
        build_sam2(tiny)
    state = build_sam2(TINY_SAM2).state_dict()
    del state["no_obj_ptr"]
    torch.save({"model": state | {"stray": torch.zeros(1)}}, path)
    with pytest.raises(ValueError, match=r"(?s)must fit .*sam2_hiera_l.yaml.*no_obj_ptr.*stray"):
        build_sam2(tiny)


def test_an_unknown_configuration_is_told() -> None:
    with pytest.raises(ValueError, match=r"must be one of those of the package sam2, got 'configs/sam9.yaml'"):
        build_sam2(Sam2Config(config_file="configs/sam9.yaml"))
    with pytest.raises(ValueError, match="model.no_such"):
        build_sam2(replace(TINY_SAM2, overrides=(*TINY_SAM2.overrides, "model.no_such=1")))
