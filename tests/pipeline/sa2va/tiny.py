"""Sa2VA's parts at a size that learns in minutes on a CPU: random MLLMs of every family, and how to make SAM 2 small.

As in the real checkpoints: Qwen's matrices have more rows than its tokenizer has tokens, so that adding [SEG] makes
them smaller, InternVL's do not; and the small Qwen3-VLs tie the output matrix to the input embeddings.
"""

import sys
from pathlib import Path
from typing import Any

import torch
from transformers import (
    GotOcr2ImageProcessor,
    InternVLConfig,
    InternVLForConditionalGeneration,
    InternVLProcessor,
    InternVLVideoProcessor,
    PretrainedConfig,
    PreTrainedTokenizerFast,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2_5_VLProcessor,
    Qwen2VLImageProcessor,
    Qwen2VLVideoProcessor,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
    Qwen3VLProcessor,
    Qwen3VLVideoProcessor,
)

from pipeline.sa2va.config import QWEN_PATCH_PX, PixelsConfig, Sam2Config
from pipeline.sa2va.text import SPECIAL_TOKENS
from tests.tiny_models import CHAT, byte_tokenizer

# A global block must not be a stage's first.
TINY_SAM2 = Sam2Config(
    overrides=(
        "model.image_size=128",
        "model.image_encoder.trunk.embed_dim=16",
        "model.image_encoder.trunk.num_heads=1",
        "model.image_encoder.trunk.stages=[1,2,3,1]",
        "model.image_encoder.trunk.global_att_blocks=[5]",
        "model.image_encoder.trunk.window_pos_embed_bkg_spatial_size=[7,7]",
        "model.image_encoder.neck.d_model=32",
        "model.image_encoder.neck.backbone_channel_list=[128,64,32,16]",
        "model.image_encoder.neck.position_encoding.num_pos_feats=32",
        "model.memory_attention.d_model=32",
        "model.memory_attention.layer.d_model=32",
        "model.memory_attention.layer.dim_feedforward=64",
        "model.memory_attention.layer.self_attention.embedding_dim=32",
        "model.memory_attention.layer.self_attention.feat_sizes=[8,8]",
        "model.memory_attention.layer.cross_attention.embedding_dim=32",
        "model.memory_attention.layer.cross_attention.feat_sizes=[8,8]",
        "model.memory_attention.layer.cross_attention.kv_in_dim=16",
        "model.memory_attention.num_layers=2",
        "model.memory_encoder.out_dim=16",
        "model.memory_encoder.position_encoding.num_pos_feats=16",
        "model.memory_encoder.fuser.layer.dim=32",
        "+model.memory_encoder.in_dim=32",
        "+model.memory_encoder.mask_downsampler.embed_dim=32",
    )
)
TINY_SAM2_SIDE_PX = 128
FAMILIES = ("qwen3_vl", "qwen2_5_vl", "internvl")

# Of the demo's expressions and the prompts: with a blank before it, each is one token. Any other costs a token a byte.
_TEXT = """
    A Among It Its The There Throughout a about above again against all along and answer are around as at back be
    becomes begin below big bit black blue bottom brown by camera can centre changes clearly closes coloured covered
    deal describe described description does downwards end ending ends fairly finish first fits following follows forth
    from gets goes great green grey hardly has hidden image in is it its itself just keeps larger left little looks
    lower makes mask medium mid middle mostly move moves much near never not object objects of on one orange out pans
    partly picture pink place places please purple red right rightmost same scene seconds seen segment segmentation
    side sided sides sight similar size sized small smaller so something spot stands start starts stays still
    surroundings that the thing this three time to top towards travels two until up upper upwards video view way when
    where which while white whole with yellow
"""
_WHOLE = [*(f" {word}" for word in _TEXT.split()), "The", "It", "Please", "assistant", "user", "Sure"]
_HIDDEN, _HEADS, _LAYERS, _SPARE_ROWS = 64, 4, 2, 11

# What a text may tell objects apart by; the attention of `_read_texts` looks for these words.
_TELLING = """
    black blue brown green grey orange pink purple red white yellow above below big bottom centre larger left lower mid
    middle right rightmost small smaller top upper medium sized largest
"""
_CONSTANT, _IS_TELLING = 0, 1  # numbers of the hidden state that no layer writes to
_WORD, _FOUND = 2, _HIDDEN // 2  # where the number of a word's own begin, and of the words that it has found
_SURE = 20.0  # logit of the next word of the answer
_SIDE_PX, _PATCH_PX = 112, 14  # InternVL


def tiny_pixels() -> PixelsConfig:
    """At most 32 tokens a frame with a Qwen; 18 for the demo's 640x360 with Qwen3-VL."""
    return PixelsConfig(min_px=4 * QWEN_PATCH_PX**2, max_px=32 * QWEN_PATCH_PX**2)


def make_tiny_mllm(
    folder: Path,
    family: str = "qwen3_vl",
    seed: int = 0,
    *,
    tied: bool | None = None,
    embedding_std: float | None = None,
    reads: bool = False,
) -> Path:
    """A base checkpoint in `folder` as transformers saves it: weights, tokenizer, processor, chat template.

    Args:
        folder: made where it is not there.
        family: one of FAMILIES.
        seed: of the weights.
        tied: whether the output matrix is the input embedding; None as in the family's small models.
        embedding_std: of the token embeddings, if not transformers'; with 0.3 a tied model can be sure of what it says.
        reads: a Qwen3-VL in which the texts reach [SEG], see `_read_texts`.

    Returns:
        The folder.
    """
    tokenizer = tiny_tokenizer(family)
    config = tiny_config(tokenizer, family, tied=family == "qwen3_vl" and not reads if tied is None else tied)
    kinds = {
        "qwen3_vl": Qwen3VLForConditionalGeneration,
        "qwen2_5_vl": Qwen2_5_VLForConditionalGeneration,
        "internvl": InternVLForConditionalGeneration,
    }
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = kinds[family](config)
        if embedding_std:
            torch.nn.init.normal_(model.get_input_embeddings().weight, std=embedding_std)
        if reads:
            _read_texts(model, tokenizer)
    model.generation_config.eos_token_id = model.generation_config.pad_token_id = tokenizer.eos_token_id
    model.save_pretrained(folder)
    _save_processor(tokenizer, family, folder)
    return folder


@torch.no_grad()
def _read_texts(model: Qwen3VLForConditionalGeneration, tokenizer: PreTrainedTokenizerFast) -> None:
    """Weights by which a tiny random model does what a large one has learned: its texts reach [SEG].

    In the default weights attention is a mean over everything, and the states of [SEG] after two texts have a cosine of
    0.9999. Here every query looks for words that tell objects apart, of these the nearest (the key of any other token
    points elsewhere), and copies them to the second half of the state; the cosine is about 0.1. The output matrix says
    "It is [SEG]." by itself, each token after the one before, but for [SEG], which is learned: else LoRA has so much to
    change for the answer's sake that the texts are lost again [measured].
    """
    rows = torch.randn(weight_of(model.get_input_embeddings()).shape) * 0.3
    rows[:, :_WORD], rows[:, _FOUND:] = 0, 0
    names = tokenizer.convert_tokens_to_ids
    says = torch.randn(rows.shape) * 0.02
    seg_id = len(tokenizer)  # that it will have
    for before, after in (("Ċ", "It"), ("It", "Ġis"), ("Ġis", "Ġ"), (seg_id, "."), (".", tokenizer.eos_token)):
        row = rows[before if isinstance(before, int) else names(before)]
        says[names(after)] += _SURE * row / row.square().sum()
    model.lm_head.weight.copy_(says)
    telling = [token for word in _TELLING.split() if (token := names(f"Ġ{word}")) is not None]
    rows[:, _CONSTANT] = 1
    rows[telling, _IS_TELLING] = 1
    weight_of(model.get_input_embeddings()).copy_(rows)
    model.model.visual.merger.linear_fc2.bias[_CONSTANT] = 1
    side = _HIDDEN // _HEADS
    for layer in model.model.language_model.layers:
        look = layer.self_attn
        for each in (look.q_proj, look.k_proj, look.v_proj, look.o_proj):
            each.weight.zero_()
        # this number of a head turns by 0.03 a token: nearer ones are closer to the query
        look.q_proj.weight[3::side, _CONSTANT] = 1
        look.k_proj.weight[3::side, _IS_TELLING] = 1
        look.k_proj.weight[7::side, _CONSTANT], look.k_proj.weight[7::side, _IS_TELLING] = 1, -1
        look.q_norm.weight.fill_(2)
        for n in range(_FOUND - _WORD):  # a key and value head serves two query heads; the first of them writes
            look.v_proj.weight[n, _WORD + n] = 1
            look.o_proj.weight[_FOUND + n, n if n < side else side + n] = 1


def weight_of(module: torch.nn.Module) -> torch.Tensor:
    """Its matrix, also where peft has wrapped it."""
    weight = module.weight
    assert isinstance(weight, torch.Tensor)
    return weight


def tiny_tokenizer(family: str = "qwen3_vl", *, with_seg: bool = False) -> PreTrainedTokenizerFast:
    """The tokenizer that `make_tiny_mllm` saves; `with_seg` adds Sa2VA's tokens as `add_special_tokens` does."""
    tokenizer = byte_tokenizer("internvl" if family == "internvl" else "qwen", _WHOLE)
    if with_seg:
        tokenizer.add_tokens(list(SPECIAL_TOKENS), special_tokens=True)
    return tokenizer


def tiny_config(tokenizer: PreTrainedTokenizerFast, family: str, *, tied: bool) -> PretrainedConfig:
    """Sizes that work, for a tokenizer of the same family."""
    text: dict[str, Any] = {
        "vocab_size": len(tokenizer) + (0 if family == "internvl" else _SPARE_ROWS),
        "hidden_size": _HIDDEN,
        "intermediate_size": 2 * _HIDDEN,
        "num_hidden_layers": _LAYERS,
        "num_attention_heads": _HEADS,
        "num_key_value_heads": _HEADS // 2,
        "head_dim": _HIDDEN // _HEADS,
        "max_position_embeddings": 32_768,
        "tie_word_embeddings": tied,
        "bos_token_id": None,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.eos_token_id,
    }
    rope: dict[str, Any] = {"rope_type": "default", "rope_theta": 10_000.0, "mrope_section": [4, 2, 2]}
    vision: dict[str, Any] = {
        "depth": 2,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_heads": 2,
        "out_hidden_size": _HIDDEN,
    }
    ids = tokenizer.get_vocab()
    if family == "internvl":
        return InternVLConfig(
            text_config={"model_type": "qwen2"} | text,
            vision_config={
                "hidden_size": 32,
                "intermediate_size": 64,
                "num_hidden_layers": 2,
                "num_attention_heads": 2,
                "image_size": [_SIDE_PX, _SIDE_PX],
                "patch_size": [_PATCH_PX, _PATCH_PX],
            },
            image_token_id=ids["<IMG_CONTEXT>"],
            image_seq_length=(_SIDE_PX // _PATCH_PX // 2) ** 2,
            tie_word_embeddings=tied,
        )
    tokens: dict[str, Any] = {
        "vision_start_token_id": ids["<|vision_start|>"],
        "vision_end_token_id": ids["<|vision_end|>"],
        "image_token_id": ids["<|image_pad|>"],
        "video_token_id": ids["<|video_pad|>"],
        "tie_word_embeddings": tied,
    }
    if family == "qwen2_5_vl":
        vision["fullatt_block_indexes"] = [1]
        return Qwen2_5_VLConfig(text_config=text | {"rope_parameters": rope}, vision_config=vision, **tokens)
    vision |= {"num_position_embeddings": 64, "deepstack_visual_indexes": [0, 1]}
    rope["mrope_interleaved"] = True
    return Qwen3VLConfig(text_config=text | {"rope_parameters": rope}, vision_config=vision, **tokens)


def _save_processor(tokenizer: PreTrainedTokenizerFast, family: str, folder: Path) -> None:
    if family == "internvl":
        square = {"height": _SIDE_PX, "width": _SIDE_PX}
        InternVLProcessor(
            GotOcr2ImageProcessor(size=square, image_mean=[0.485, 0.456, 0.406], image_std=[0.229, 0.224, 0.225]),
            tokenizer,
            InternVLVideoProcessor(size=square),
            image_seq_length=(_SIDE_PX // _PATCH_PX // 2) ** 2,
            chat_template=CHAT.replace("PICTURE", "<IMG_CONTEXT>\n"),
        ).save_pretrained(folder)
        return
    chat = CHAT.replace("PICTURE", "<|vision_start|><|image_pad|><|vision_end|>")
    size = {"shortest_edge": tiny_pixels().min_px, "longest_edge": tiny_pixels().max_px}
    if family == "qwen2_5_vl":
        Qwen2_5_VLProcessor(
            Qwen2VLImageProcessor(size=size), tokenizer, Qwen2VLVideoProcessor(size=size), chat_template=chat
        ).save_pretrained(folder)
        return
    half = [0.5, 0.5, 0.5]
    pictures = Qwen2VLImageProcessor(size=size, patch_size=16, image_mean=half, image_std=half)
    Qwen3VLProcessor(pictures, tokenizer, Qwen3VLVideoProcessor(size=size), chat_template=chat).save_pretrained(folder)


def make_tiny(folder: Path) -> list[str]:
    """Put a base model that trains on a laptop, arguments for it and drawn videos there; texts of the fresh video."""
    from tests.pipeline.sa2va.train.coloured import write_try  # imports this file's neighbours, not needed elsewhere

    make_tiny_mllm(folder, reads=True)
    pixels = tiny_pixels()
    settings = [
        f"model.sam2.overrides={TINY_SAM2.overrides!r}",
        *(f"data.pixels.min_px={pixels.min_px}", f"data.pixels.max_px={pixels.max_px}"),
        *("data.frames=2", "data.max_objects=2", "optim.lr=1e-2"),
        *("model.lora_rank=32", "model.lora_alpha=1"),  # gently: it reads already
    ]
    (folder / "settings.txt").write_text("\n".join(["--set", *settings]) + "\n")
    return write_try(folder)


def main(arguments: list[str]) -> None:
    """`python -m tests.pipeline.sa2va.tiny DIR`: what `make_tiny` makes."""
    folder = Path(arguments[0])
    texts = make_tiny(folder)
    sys.stdout.write(f"drawn    {folder / 'videos'}, and for later {folder / 'fresh'}: {', '.join(texts)}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
