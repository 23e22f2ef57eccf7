import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor
from transformers import LlavaConfig, PreTrainedModel, PreTrainedTokenizerFast

from pipeline.sa2va.build import add_special_tokens, load_mllm, load_tokenizer
from pipeline.sa2va.families import Family, FramePixels, core, family_of, random_mllm
from pipeline.sa2va.text import SPECIAL_TOKENS
from tests.pipeline.sa2va.tiny import FAMILIES, make_tiny_mllm, tiny_config, tiny_pixels, tiny_tokenizer, weight_of

Loaded = tuple[PreTrainedModel, PreTrainedTokenizerFast, Family]
WORDS = " the red thing moves to the left"


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {name: make_tiny_mllm(tmp_path_factory.mktemp(name), name) for name in FAMILIES}


@pytest.fixture(params=FAMILIES)
def loaded(request: pytest.FixtureRequest, folders: dict[str, Path]) -> Loaded:
    return load_mllm(str(folders[request.param]), dtype=torch.float32)


def video(family: Family, frames: int, shape: tuple[int, int], seed: int = 0) -> FramePixels:
    random = np.random.default_rng(seed)
    return family.pixels([random.integers(0, 255, (*shape, 3), np.uint8) for _ in range(frames)], tiny_pixels())


def ids(tokenizer: PreTrainedTokenizerFast, family: Family, pixels: FramePixels, words: int) -> Tensor:
    text = family.visual_text(pixels.tokens_F) + "\n" + WORDS * words
    found: Tensor = tokenizer(text, return_tensors="pt").input_ids
    return found


def hidden(
    loaded: tuple[torch.nn.Module, PreTrainedTokenizerFast, Family], rows: list[Tensor], videos: list[FramePixels]
) -> Tensor:
    """Of a batch padded on the right with a token that is also a letter."""
    model, _, family = loaded
    length = max(row.shape[1] for row in rows)
    padded, attention = (
        torch.zeros(len(rows), length, dtype=torch.long),
        torch.zeros(len(rows), length, dtype=torch.bool),
    )
    for number, row in enumerate(rows):
        padded[number, : row.shape[1]], attention[number, : row.shape[1]] = row, True
    return family.hidden_BLh(model, padded, attention, family.join([one.tensors for one in videos]))


@torch.no_grad()
def test_padded_in_a_batch_each_is_as_alone(loaded: Loaded) -> None:
    """Of other lengths, numbers of frames and tokens a frame; the shorter first, then the longer."""
    _, tokenizer, family = loaded
    videos = [video(family, 2, (360, 300)), video(family, 5, (360, 640), seed=1), video(family, 1, (200, 640))]
    rows = [ids(tokenizer, family, one, words) for one, words in zip(videos, (1, 9, 4), strict=True)]
    assert len({row.shape[1] for row in rows}) == 3
    together = hidden(loaded, rows, videos)
    for number, (row, one) in enumerate(zip(rows, videos, strict=True)):
        alone = hidden(loaded, [row], [one])
        torch.testing.assert_close(together[number, : row.shape[1]], alone[0], rtol=0, atol=1e-5)


@torch.no_grad()
def test_the_hidden_state_is_what_the_output_matrix_gets(loaded: Loaded) -> None:
    model, tokenizer, family = loaded
    one = video(family, 3, (360, 640))
    row = ids(tokenizer, family, one, 3)
    made = hidden(loaded, [row], [one])
    whole = model(
        **family.arguments(model, row, torch.ones_like(row, dtype=torch.bool), one.tensors), output_hidden_states=True
    )
    assert made.equal(whole.hidden_states[-1])
    assert family.lm_head(model)(made).equal(whole.logits)


@torch.no_grad()
def test_the_state_before_the_norm(loaded: Loaded) -> None:
    model, tokenizer, family = loaded
    one = video(family, 2, (360, 640))
    row = ids(tokenizer, family, one, 3)
    states = family.states(model, row, torch.ones_like(row, dtype=torch.bool), one.tensors)
    norm = family.language_model(model).get_submodule("norm")
    assert norm(states.before_norm_BLh).equal(states.after_norm_BLh)
    assert not states.before_norm_BLh.equal(states.after_norm_BLh)
    assert not norm._forward_pre_hooks
    assert family.released_before_norm is (family.name == "qwen3_vl")


@torch.no_grad()
def test_frames_count(loaded: Loaded) -> None:
    """Their content and, for Qwen, their shape: positions have rows and columns."""
    _, tokenizer, family = loaded
    wide, other = video(family, 2, (360, 640)), video(family, 2, (360, 640), seed=1)
    row = ids(tokenizer, family, wide, 1)
    made = hidden(loaded, [row], [wide])[0, -1]
    assert (made - hidden(loaded, [row], [other])[0, -1]).abs().max() > 1e-3
    if family.name != "internvl":
        high = FramePixels({**wide.tensors, "image_grid_thw": wide.tensors["image_grid_thw"][:, [0, 2, 1]]}, [])
        assert (made - hidden(loaded, [row], [high])[0, -1]).abs().max() > 1e-3


def test_text_alone(loaded: Loaded) -> None:
    model, tokenizer, family = loaded
    row = tokenizer(WORDS, return_tensors="pt").input_ids
    made = family.hidden_BLh(model, row, torch.ones_like(row, dtype=torch.bool), {})
    assert made.shape == (1, row.shape[1], 64)


def test_a_peft_model_is_looked_through(loaded: Loaded) -> None:
    model, tokenizer, family = loaded
    one = video(family, 2, (360, 640))
    row = ids(tokenizer, family, one, 2)
    plain = hidden(loaded, [row], [one])
    config = LoraConfig(r=4, target_modules=r".*language_model.*(q_proj|v_proj)")
    wrapped = get_peft_model(model, config)
    adapted = (wrapped, tokenizer, family)
    assert core(wrapped) is model.model
    assert hidden(adapted, [row], [one]).equal(plain)
    with torch.no_grad():
        for name, weight in wrapped.named_parameters():
            if "lora_B" in name:
                weight.fill_(0.1)
    changed = hidden(adapted, [row], [one])
    assert (changed - plain).abs().max() > 1e-3
    changed.square().mean().backward()
    assert all(weight.grad is not None for name, weight in wrapped.named_parameters() if "lora" in name)


def test_where_things_are(loaded: Loaded) -> None:
    model, _, family = loaded
    places = {name: getattr(family, name)(model) for name in ("language_model", "lm_head", "projector", "vision")}
    assert places["language_model"].layers[0].self_attn.q_proj.in_features == 64
    assert places["lm_head"] is model.get_output_embeddings()
    assert family.input_embeddings(model) is model.get_input_embeddings()
    inner = set(places["projector"].parameters())
    assert inner
    in_vision = set(places["vision"].parameters()) >= inner
    assert in_vision is (family.name != "internvl")
    assert not set(places["vision"].parameters()) & set(places["language_model"].parameters())


def test_a_family_travels_to_other_processes_without_a_model(loaded: Loaded) -> None:
    family = loaded[2]
    assert len(pickle.dumps(family)) < 1000
    assert pickle.loads(pickle.dumps(family)) == family


def test_colours_are_the_checkpoint_s(folders: dict[str, Path], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(folders["qwen3_vl"], tmp_path / "other"))
    saved = json.loads((folder / "processor_config.json").read_text())
    saved["image_processor"]["image_mean"] = [0.1, 0.2, 0.3]
    (folder / "processor_config.json").write_text(json.dumps(saved))
    assert load_mllm(str(folder), dtype=torch.float32)[2].mean_3 == (0.1, 0.2, 0.3)


def test_new_tokens(loaded: Loaded) -> None:
    """Qwen's matrices have spare rows and become shorter, InternVL's longer."""
    model, tokenizer, family = loaded
    known, rows = len(tokenizer), weight_of(model.get_input_embeddings()).detach().clone()
    given = add_special_tokens(model, tokenizer, seed=1)
    assert given == {token: known + number for number, token in enumerate(SPECIAL_TOKENS)}
    assert tuple(given) == ("[SEG]", "<p>", "</p>", "<vp>", "</vp>")
    embeddings, head = weight_of(model.get_input_embeddings()), model.get_output_embeddings().weight
    assert len(embeddings) == len(head) == len(tokenizer) == model.config.text_config.vocab_size
    assert (len(embeddings) < len(rows)) is (family.name != "internvl")
    assert embeddings[:known].equal(rows[:known])
    assert (head is embeddings) is (family.name == "qwen3_vl")
    assert tokenizer("It is [SEG].").input_ids[-2] == given["[SEG]"]


def test_new_rows_depend_on_the_seed_alone(folders: dict[str, Path]) -> None:
    drawn: list[Tensor] = []
    for seed in (1, 1, 2):
        model, tokenizer, _ = load_mllm(str(folders["internvl"]), dtype=torch.float32)
        torch.manual_seed(len(drawn))
        before = torch.get_rng_state()
        add_special_tokens(model, tokenizer, seed=seed)
        assert torch.get_rng_state().equal(before)
        drawn.append(weight_of(model.get_input_embeddings())[-5:].detach())
    assert drawn[0].equal(drawn[1])
    assert not drawn[0].equal(drawn[2])


def test_a_model_that_has_the_tokens_is_left_alone(folders: dict[str, Path]) -> None:
    model, tokenizer, _ = load_mllm(str(folders["qwen3_vl"]), dtype=torch.float32)
    rows = model.get_input_embeddings().weight.shape
    tokenizer.add_tokens(list(SPECIAL_TOKENS), special_tokens=True)
    assert add_special_tokens(model, tokenizer)["[SEG]"] == tokenizer.convert_tokens_to_ids("[SEG]")
    assert model.get_input_embeddings().weight.shape == rows


@pytest.mark.parametrize("name", FAMILIES)
def test_random_weights_of_a_configuration(name: str) -> None:
    config = tiny_config(tiny_tokenizer(name), name, tied=False)
    model = random_mllm(config, torch.bfloat16)
    assert {weight.dtype for weight in model.parameters()} == {torch.bfloat16}
    assert model.get_output_embeddings().weight.float().std() > 0
    assert random_mllm(config, torch.float32, "meta").device.type == "meta"


def test_tiny_models_are_as_promised(loaded: Loaded, folders: dict[str, Path], tmp_path: Path) -> None:
    """A frame of the demo is at most 64 tokens, a word not much more than one; the seed decides the weights."""
    _, tokenizer, family = loaded
    assert max(video(family, 1, (360, 640)).tokens_F) <= 64
    expression = (
        "The object is a medium-sized thing in blue, white and brown. It is on the left side of the scene, with white "
        "and grey around it. A smaller, mostly brown object is to its right. Throughout the video, it stays still."
    )
    assert len(tokenizer(expression).input_ids) < 1.5 * len(expression.split())
    saved = [
        (folder / "model.safetensors").read_bytes()
        for folder in (
            folders[family.name],
            make_tiny_mllm(tmp_path / "same", family.name),
            make_tiny_mllm(tmp_path / "other", family.name, seed=1),
        )
    ]
    assert saved[0] == saved[1] != saved[2]


class TestErrors:
    def test_a_family_that_is_not_supported(self) -> None:
        with pytest.raises(ValueError, match=r"got 'llava'; supported are qwen3_vl .*, qwen2_5_vl .* and internvl"):
            family_of(LlavaConfig())

    @pytest.mark.parametrize(
        ("kind", "hint"),
        [("internvl_chat", "ends in -hf"), ("sa2va_chat", "load_sa2va"), ("no_such_model", "supported are qwen3_vl")],
    )
    def test_a_folder_of_another_kind(self, folders: dict[str, Path], tmp_path: Path, kind: str, hint: str) -> None:
        folder = self.changed(folders["qwen3_vl"], tmp_path, model_type=kind)
        with pytest.raises(ValueError, match=f"changed/config.json: .*got '{kind}'.*{hint}"):
            load_mllm(str(folder), dtype=torch.float32)

    def test_a_configuration_that_is_no_json(self, tmp_path: Path) -> None:
        (tmp_path / "config.json").write_text("{")
        with pytest.raises(ValueError, match="config.json: Expecting"):
            load_mllm(str(tmp_path), dtype=torch.float32)

    @pytest.mark.parametrize(
        ("name", "content", "told"),
        [
            ("config.json", "[]", r"config\.json: must hold an object, got list"),
            ("config.json", "3", r"config\.json: must hold an object, got int"),
            ("config.json", '{"model_type": "qwen3_vl", "text_config": [1]}', r"config\.json of .* cannot be read"),
            ("tokenizer.json", "[]", "the tokenizer of .* cannot be read"),
            ("tokenizer.json", '{"model": {"type": "BPE", "vocab": 3}}', "the tokenizer of .* cannot be read"),
            ("tokenizer.json", '{"added_tokens": []}', "the tokenizer of .* cannot be read"),
            ("tokenizer_config.json", "[]", "the tokenizer of .* cannot be read"),
            ("processor_config.json", "[]", "the image processor of .* cannot be read"),
        ],
    )
    def test_a_file_of_another_shape(
        self, folders: dict[str, Path], tmp_path: Path, name: str, content: str, told: str
    ) -> None:
        folder = shutil.copytree(folders["qwen3_vl"], tmp_path / "base")
        (folder / name).write_text(content)
        for load in (lambda: load_mllm(str(folder), dtype=torch.float32), lambda: load_tokenizer(str(folder))):
            with pytest.raises(ValueError, match=told) as raised:
                load()
            assert str(folder) in str(raised.value)

    def test_merges_that_are_none(self, folders: dict[str, Path], tmp_path: Path) -> None:
        folder = shutil.copytree(folders["qwen3_vl"], tmp_path / "base")
        (folder / "tokenizer.json").unlink()
        (folder / "vocab.json").write_text('{"a": 0, "b": 1}')
        (folder / "merges.txt").write_text("#version: 0.2\na b c d\n")
        with pytest.raises(ValueError, match="the tokenizer of .* cannot be read"):
            load_tokenizer(str(folder))

    def test_no_checkpoint(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="has no config.json"):
            load_mllm(str(tmp_path), dtype=torch.float32)
        with pytest.raises(ValueError, match="must be the folder of a checkpoint or a hub name"):
            load_mllm(str(tmp_path / "absent"), dtype=torch.float32)

    def test_a_tokenizer_of_another_family(self, folders: dict[str, Path], tmp_path: Path) -> None:
        folder = Path(shutil.copytree(folders["qwen3_vl"], tmp_path / "mixed"))
        for name in ("tokenizer.json", "tokenizer_config.json"):
            shutil.copy(folders["internvl"] / name, folder / name)
        with pytest.raises(ValueError, match=r"tokenizer of .*mixed must have <\|vision_start\|>, <\|image_pad\|>, "):
            load_mllm(str(folder), dtype=torch.float32)

    def test_a_tokenizer_that_numbers_differently(self, folders: dict[str, Path], tmp_path: Path) -> None:
        folder = self.changed(folders["qwen3_vl"], tmp_path, image_token_id=7)
        with pytest.raises(ValueError, match=r"<\|image_pad\|> must have the id of config.json's image_token_id, 7"):
            load_mllm(str(folder), dtype=torch.float32)

    def test_weights_that_end_too_soon(self, folders: dict[str, Path], tmp_path: Path) -> None:
        folder = self.changed(folders["qwen3_vl"], tmp_path)
        weights = folder / "model.safetensors"
        weights.write_bytes(weights.read_bytes()[:5000])
        with pytest.raises(ValueError, match=rf"weights {weights} \(5,000 bytes\) is damaged or cut"):
            load_mllm(str(folder), dtype=torch.float32)

    @pytest.mark.parametrize(
        ("size", "message"),
        [
            ({"num_hidden_layers": 3, "layer_types": None}, r"missing: .*layers\.2\.mlp"),
            ({"num_hidden_layers": 1, "layer_types": None}, r"unexpected: .*layers\.1\.mlp"),
            (
                {"intermediate_size": 96},
                r"must be those of its config.json, got .*mismatched: .*down_proj",
            ),
            ({"num_hidden_layers": 3}, r"config\.json of .* cannot be read: .*num_hidden_layers"),
        ],
    )
    def test_another_size(
        self, folders: dict[str, Path], tmp_path: Path, size: dict[str, object], message: str
    ) -> None:
        saved = json.loads((folders["internvl"] / "config.json").read_text())
        folder = self.changed(folders["internvl"], tmp_path, text_config=saved["text_config"] | size)
        with pytest.raises(ValueError, match=f"(?s){message}"):
            load_mllm(str(folder), dtype=torch.float32)

    def changed(self, folder: Path, tmp_path: Path, **fields: object) -> Path:
        copied = Path(shutil.copytree(folder, tmp_path / "changed"))
        saved = json.loads((copied / "config.json").read_text())
        (copied / "config.json").write_text(json.dumps(saved | fields))
        return copied
