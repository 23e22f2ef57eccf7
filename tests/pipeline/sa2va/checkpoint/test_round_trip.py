"""What is written is what was trained, and other programs find it where they look."""

import json
import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer, pre_tokenizers
from tokenizers.models import BPE, WordLevel
from torch import Tensor
from transformers import AutoProcessor, PreTrainedTokenizerFast, Qwen3VLConfig, Qwen3VLForConditionalGeneration

from pipeline.sa2va.build import build
from pipeline.sa2va.checkpoint.read import load_sa2va
from pipeline.sa2va.checkpoint.sidecar import SETTINGS_FILE, CheckpointSettings, read_settings
from pipeline.sa2va.checkpoint.write import _write_vocabulary, save_sa2va
from pipeline.sa2va.config import ModelConfig, PixelsConfig
from pipeline.sa2va.grounding import build_sam2, decode_masks, encode_frames
from pipeline.sa2va.lora import merged, parameters, prepare
from pipeline.sa2va.model import Sa2va
from tests.pipeline.sa2va.checkpoint.conftest import Saved, Trained
from tests.pipeline.sa2va.tiny import FAMILIES, TINY_SAM2, TINY_SAM2_SIDE_PX, tiny_pixels

ROUNDING = 2e-5  # of answers, where LoRA is put into the weights


@torch.no_grad()
def answers(model: Sa2va) -> list[Tensor]:
    """Hidden states, language tokens and mask logits for a drawn clip of two frames and two expressions."""
    model.train(False)
    random = np.random.default_rng(3)
    frames = [random.integers(0, 256, (90, 160, 3), dtype=np.uint8) for _ in range(2)]
    pixels = model.family.pixels(frames, tiny_pixels())
    text = model.family.visual_text(pixels.tokens_F) + " the red thing. It is [SEG]. the small blue one. It is [SEG]."
    ids_1L = torch.tensor([model.tokenizer.encode(text)])
    hidden_1Lh = model.family.hidden_BLh(model.mllm, ids_1L, torch.ones_like(ids_1L).bool(), pixels.tensors)
    [tokens_OD] = model.seg_embeddings(hidden_1Lh, ids_1L)
    assert tokens_OD.shape[0] == 2
    side_px = TINY_SAM2_SIDE_PX
    frames_N3SS = torch.from_numpy(random.integers(0, 256, (2, 3, side_px, side_px), dtype=np.uint8))
    masks = []
    for decoder in (model.sam2.sam_mask_decoder, model.original_decoder):
        assert decoder is not None
        features = encode_frames(model.sam2, frames_N3SS, decoder)
        masks.append(decode_masks(model.sam2, decoder, features, torch.arange(2), tokens_OD))
    return [hidden_1Lh, model.family.lm_head(model.mllm)(hidden_1Lh), tokens_OD, *masks]


def weights(model: Sa2va) -> dict[str, Tensor]:
    plain = {name: tensor for name, tensor in model.state_dict().items() if not name.startswith("mllm.")}
    return plain | {f"mllm.{name}": tensor for name, tensor in merged(model).items()}


@pytest.mark.parametrize("family", FAMILIES)
def test_every_weight_comes_back_rounded_to_bf16_and_is_written_the_same_again(
    family: str, trained: Trained, saved: Saved, tmp_path: Path
) -> None:
    read = load_sa2va(saved(family), dtype=torch.float32)
    before, after = weights(trained(family)), weights(read)
    assert before.keys() == after.keys()
    for name, tensor in before.items():
        assert torch.equal(tensor.bfloat16().float(), after[name]), name
    assert after["mllm.lm_head.weight"].data_ptr() != after["mllm.model.language_model.embed_tokens.weight"].data_ptr()
    assert not any(parameter.requires_grad for parameter in read.parameters())
    save_sa2va(read, tmp_path / "again")
    files = {path.name: path.read_bytes() for path in saved(family).iterdir()}
    assert {path.name: path.read_bytes() for path in (tmp_path / "again").iterdir()} == files


@pytest.mark.parametrize("family", FAMILIES)
def test_a_model_written_in_float32_answers_the_same(family: str, trained: Trained, tmp_path: Path) -> None:
    model = trained(family)
    save_sa2va(model, tmp_path / "model", dtype=torch.float32)
    read = answers(load_sa2va(tmp_path / "model", dtype=torch.float32))
    for before, after, untrained in zip(answers(model), read, answers(build(model.config)), strict=True):
        torch.testing.assert_close(after, before, atol=ROUNDING, rtol=1e-4)
        assert (after - untrained).abs().max() > 100 * ROUNDING  # else the line above could not fail


def test_transformers_and_sam2_take_the_weights_of_a_qwen_strictly(saved: Saved) -> None:
    """By the rules of the layout, restated here: one `model.` more, g_weight for gamma."""
    folder = saved("qwen3_vl")
    weights = load_file(folder / "model.safetensors")
    config = json.loads((folder / "config.json").read_text())
    assert config["architectures"] == ["Sa2VAChatModelQwen"]
    fields = {
        name: value
        for name, value in config.items()
        if name not in ("model_type", "architectures", "auto_map", "template")
    }
    mllm = Qwen3VLForConditionalGeneration(Qwen3VLConfig(**fields))
    mllm.load_state_dict({name[6:]: weights.pop(name) for name in list(weights) if name.startswith("model.")})
    prefix = "grounding_encoder.sam2_model."
    build_sam2(TINY_SAM2).load_state_dict(
        {
            name.removeprefix(prefix).replace("g_weight", "gamma"): weights.pop(name)
            for name in list(weights)
            if name.startswith(prefix)
        }
    )
    assert sorted(weights) == [f"text_hidden_fcs.{layer}.{kind}" for layer in (0, 2) for kind in ("bias", "weight")]


@pytest.mark.parametrize("family", FAMILIES)
def test_the_processor_loads_as_transformers_own(family: str, saved: Saved) -> None:
    """The way that the release's users go; config.json names code that is not there, and it is not asked for."""
    config = Qwen3VLConfig()  # any that transformers knows
    processor = AutoProcessor.from_pretrained(saved(family), config=config, trust_remote_code=False)
    kind = "Qwen2VLImageProcessor" if family.startswith("qwen") else "GotOcr2ImageProcessor"
    assert type(processor.image_processor).__name__.startswith(kind)
    assert processor.tokenizer.convert_tokens_to_ids("[SEG]") == load_sa2va(saved(family)).seg_id
    content = [{"type": "image"}, {"type": "text", "text": "a"}]
    assert "[SEG]" not in processor.apply_chat_template([{"role": "user", "content": content}])


def test_weights_in_several_files_are_read_as_one(trained: Trained, saved: Saved, tmp_path: Path) -> None:
    save_sa2va(trained("internvl"), tmp_path / "model", max_shard_bytes=300_000)
    index = json.loads((tmp_path / "model" / "model.safetensors.index.json").read_text())
    files = sorted(path.name for path in (tmp_path / "model").glob("model-*.safetensors"))
    assert len(files) > 5
    assert files[0] == f"model-00001-of-{len(files):05d}.safetensors"
    assert sorted(set(index["weight_map"].values())) == files
    assert len({path.stat().st_mode for path in (tmp_path / "model").iterdir()}) == 1  # whoever reads one reads all
    whole = weights(load_sa2va(saved("internvl")))
    assert all(torch.equal(tensor, whole[name]) for name, tensor in weights(load_sa2va(tmp_path / "model")).items())


def test_a_read_model_is_trained_on(saved: Saved) -> None:
    config = ModelConfig(base=str(saved("qwen2_5_vl")), lora_rank=2, lora_alpha=2)
    model = build(config)
    prepare(model, config)
    assert model.sam_side_px == TINY_SAM2_SIDE_PX
    assert sum(each.numel() for each in parameters(model)) > 0


def test_what_config_json_has_no_field_for_comes_back(trained: Trained, saved: Saved, tmp_path: Path) -> None:
    pixels = PixelsConfig(min_px=1000, max_px=2000, official=True)
    save_sa2va(trained("qwen3_vl"), tmp_path / "model", pixels=pixels, official_prompts=True)
    written = CheckpointSettings(sam2=TINY_SAM2, pixels=pixels, official_prompts=True, seg_before_norm=True)
    assert read_settings(tmp_path / "model") == written
    assert not read_settings(saved("qwen3_vl")).official_prompts


@pytest.mark.parametrize("family", FAMILIES)
def test_masks_are_made_from_one_state_in_training_export_and_inference(
    family: str, saved: Saved, tmp_path: Path
) -> None:
    """The one that the official code takes of this family; so an export is right there without a word."""
    before = family == "qwen3_vl"
    assert load_sa2va(saved(family)).seg_before_norm is before
    assert read_settings(saved(family)).seg_before_norm is before
    released = shutil.copytree(saved(family), tmp_path / "released")
    (released / SETTINGS_FILE).unlink()
    model = build(ModelConfig(base=str(released), sam2=TINY_SAM2, lora_rank=2, lora_alpha=2))
    prepare(model, model.config)
    assert model.seg_before_norm is before
    save_sa2va(model, tmp_path / "trained")
    assert load_sa2va(tmp_path / "trained").seg_before_norm is before


@pytest.mark.parametrize("family", FAMILIES)
def test_a_tokenizer_in_plain_python_finds_its_vocabulary(family: str, saved: Saved) -> None:
    """transformers 4.57 reads these files for `use_fast=False`, as the released evaluation asks for."""
    folder = saved(family)
    read = {name: json.loads((folder / f"{name}.json").read_text()) for name in ("vocab", "added_tokens")}
    known = load_sa2va(folder).tokenizer.get_vocab()
    assert read["vocab"] | read["added_tokens"] == known
    assert read["added_tokens"]["[SEG]"] == known["[SEG]"]
    config = json.loads((folder / "tokenizer_config.json").read_text())
    assert config["added_tokens_decoder"][str(known["[SEG]"])]["content"] == "[SEG]"
    merges = (folder / "merges.txt").read_text().splitlines()
    assert merges[0] == "#version: 0.2"
    assert all("".join(pair.split(" ")) in read["vocab"] for pair in merges[1:])


MERGES = [("a", "b"), ("b", "c"), ("c", "d"), ("ab", "cd"), ("Ġ", "ab"), ("d", "e"), ("Ġab", "cd")]


def plain_bpe(folder: Path, text: str) -> list[int]:
    """What a tokenizer in plain Python makes of a text with the files of `folder`."""
    vocabulary = json.loads((folder / "vocab.json").read_text())
    lines = (folder / "merges.txt").read_text().splitlines()[1:]
    rank = {tuple(line.split(" ")): n for n, line in enumerate(lines)}
    ids = []
    for word, _ in pre_tokenizers.ByteLevel(add_prefix_space=False).pre_tokenize_str(text):
        pieces = list(word)
        while True:
            pairs = [pair for pair in pairwise(pieces) if pair in rank]
            if not pairs:
                break
            best = min(pairs, key=rank.__getitem__)
            at = list(pairwise(pieces)).index(best)
            pieces[at : at + 2] = ["".join(best)]
        ids += [vocabulary[piece] for piece in pieces]
    return ids


def test_merges_are_read_back_in_their_order_by_a_plain_bpe(tmp_path: Path) -> None:
    """The tiny models' tokenizers have no merges, and would say nothing of them."""
    symbols = [*sorted(pre_tokenizers.ByteLevel.alphabet()), *("".join(pair) for pair in MERGES)]
    backend = Tokenizer(BPE({symbol: n for n, symbol in enumerate(symbols)}, merges=MERGES))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend)
    _write_vocabulary(tokenizer, tmp_path)
    for text in ("abcd abc bcde", "a bcd cde abcde", " ab cdab é"):
        ids = tokenizer.encode(text, add_special_tokens=False)
        assert plain_bpe(tmp_path, text) == ids
        assert len(ids) < len(text.encode()), "something was merged"


def test_a_tokenizer_that_is_no_bpe_gets_no_such_files_and_it_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _write_vocabulary(PreTrainedTokenizerFast(tokenizer_object=Tokenizer(WordLevel({"a": 0}, unk_token="a"))), tmp_path)
    assert not list(tmp_path.iterdir())
    assert "the tokenizer is a WordLevel, no BPE: the checkpoint gets no vocab.json and merges.txt" in caplog.text


def test_weights_of_another_state_are_refused(saved: Saved, tmp_path: Path) -> None:
    folder = shutil.copytree(saved("qwen3_vl"), tmp_path / "old")
    content = json.loads((folder / SETTINGS_FILE).read_text())
    (folder / SETTINGS_FILE).write_text(json.dumps(content | {"seg_before_norm": False}))
    with pytest.raises(ValueError, match="must say seg_before_norm True for a qwen3_vl, got False"):
        load_sa2va(folder)


def test_an_older_checkpoint_stays_until_the_new_one_is_whole(trained: Trained, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    save_sa2va(trained("qwen3_vl"), folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(ValueError, match=r"configuration_sa2va_chat\.py, modeling_sa2va_qwen\.py"):
        save_sa2va(trained("qwen3_vl"), folder, dtype=torch.float32, official_code=tmp_path)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    for module in ("configuration_sa2va_chat", "modeling_sa2va_qwen", "sam2"):
        (tmp_path / f"{module}.py").write_text(f"# {module}\n")
    save_sa2va(trained("qwen3_vl"), folder, dtype=torch.float32, official_code=tmp_path)
    assert (folder / "sam2.py").read_text() == "# sam2\n"
    assert (folder / "model.safetensors").stat().st_size > 1.9 * len(before["model.safetensors"])
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == ["model"]


def test_other_things_are_not_written_over(trained: Trained, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="name another folder"):
        save_sa2va(trained("qwen3_vl"), tmp_path)
    assert (tmp_path / "notes.txt").read_text() == "mine"
