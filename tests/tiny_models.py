"""Checkpoints of 1 MB that the real vLLM serves: their text is noise, but noise of words that begins well and ends.

The trick is one number of the hidden state that is the same for every token and that no layer writes to. A row of the
output matrix times that number is a bias, so the model is a unigram language model however random the rest is:
- all words and the few ways to close a string have one bias, so that at any temperature a text goes on with
  `WORDS : CLOSERS`, 60 words in the mean, 60 to 110 words in two of ten texts, 500 never;
- letters, blanks and the rest of the bytes have a bias that only a grammar which admits nothing else can outdo;
- tokens with a line break cannot stand inside a JSON string, so they may have a high bias: one opens a string, one is
  an empty list. A second such number marks the token that opens a string, and makes `The object is` follow it.
What the pictures and words before do to the rest of the hidden state moves the biases of words a little: enough that
other pictures give another text, too little to change the lengths. Same folder, seed and request: same text.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from tokenizers import AddedToken, Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE
from transformers import (
    GotOcr2ImageProcessor,
    InternVLConfig,
    InternVLForConditionalGeneration,
    InternVLProcessor,
    InternVLVideoProcessor,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2_5_VLProcessor,
    Qwen2VLImageProcessor,
    Qwen2VLVideoProcessor,
)

# No word of a place, a colour, a movement, a size or being seen: noise must not contradict what was measured.
_TEXT = """
    a about actor also always among an ancient and any apple apron argument arm art as author autumn baby bag baker
    balance ball band bank barn basket bean because bell bench berry bird bread breakfast brick bridge brother brush
    bucket builder bush but butter button cabin cable cake camera candle candy captain card carpet cart castle cat
    chair chalk cheese chef child choice church circle city clay clever cloth cloud club coach coat coffee coin comb
    common cook corn cotton country cousin cow cup curious curtain customer dairy dance daughter day dear desk dinner
    dish doctor dog doll donkey door dream dress drum dusty eager early earth easy egg engine even evening every
    expert fabric family famous farm farmer fence field finger fish flour flower flute food for forest fork formal
    free fresh friend fruit funny game garden garlic gate gentle ghost gift glass glove goat grain grandfather grass
    guest guitar hair ham hammer hand happy harvest hat helmet herb hobby holiday home honest honey horse hotel hour
    house husband ice idea iron island jacket jam jar jewel judge juice kettle key kind kitchen kite knife ladder lake
    lamp lawyer lazy leaf leather lemon lesson letter library linen lion list lock loyal lunch machine maker map
    market meal medal melon metal milk mirror modest month morning mother mountain music nail napkin neat needle nest
    new noble noise nurse nut oak oil old onion or oven owner paint pan paper parent party pasta pastry patient peace
    pear pen pencil pepper person piano pie pillow pilot pipe plain plan plant plastic plate player poem poet pocket
    polite pony pot potato proud puppy purse puzzle quiet rabbit radio rain recipe rice river robe roof room rope
    rose rubber rug sack sailor salad salt sand sandal scarf school shelf shirt shoe shop silk simple singer
"""
WORDS = tuple(_TEXT.split())
CLOSERS = ('"', '."', '."\n', '"\n', '." ')
BEGINNING, OPEN, NO_ITEMS = "The object is", ':\n"', ":\n[\n]"
_END = "<|im_end|>"
_SPECIAL = {
    "qwen": ("<|im_start|>", _END, "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"),
    "internvl": ("<|im_start|>", _END, "<img>", "</img>", "<IMG_CONTEXT>", "<video>"),
}
_BLANK, _NEVER, _WORD, _CLOSER, _STRUCTURE = -50.0, -25.0, 0.0, 0.05, 12.0  # biases
_HIDDEN, _HEADS, _LAYERS = 128, 4, 2
_CONSTANT, _OPENED = 0, 1  # the two numbers of the hidden state
_CONSTANT_VALUE, _REST_STD, _CONTEXT_STD = 8.0, 0.3, 0.02
_SHARPNESS = 8.0  # attention looks at few tokens, else a thousand of them average out and no picture matters
CHAT = (  # PICTURE stands for what a picture is in the family's text
    "{% for message in messages %}<|im_start|>{{ message.role }}\n"
    "{% if message.content is string %}{{ message.content }}{% else %}{% for part in message.content %}"
    "{% if part.type in ('image', 'image_url') %}PICTURE{% else %}{{ part.text }}{% endif %}{% endfor %}{% endif %}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def make_qwen(folder: Path, seed: int = 0) -> Path:
    """A Qwen2.5-VL in `folder`; a picture is at most 64 tokens. Returns the folder."""
    tokenizer = _tokenizer("qwen")
    ids = tokenizer.get_vocab()
    start, end, picture, video = (ids[token] for token in _SPECIAL["qwen"][2:])
    config = Qwen2_5_VLConfig(
        text_config=_text_config(tokenizer)
        | {"rope_parameters": {"rope_type": "default", "rope_theta": 10_000.0, "mrope_section": [4, 6, 6]}},
        vision_config={
            "depth": 2,
            "hidden_size": 64,
            "intermediate_size": 64,
            "num_heads": 2,
            "out_hidden_size": _HIDDEN,
            "fullatt_block_indexes": [1],
        },
        vision_start_token_id=start,
        vision_end_token_id=end,
        image_token_id=picture,
        video_token_id=video,
        tie_word_embeddings=False,
    )
    torch.manual_seed(seed)
    _save(Qwen2_5_VLForConditionalGeneration(config), tokenizer, folder)
    size = {"shortest_edge": 28 * 28 * 4, "longest_edge": 28 * 28 * 64}
    chat = CHAT.replace("PICTURE", "<|vision_start|><|image_pad|><|vision_end|>")
    Qwen2_5_VLProcessor(
        Qwen2VLImageProcessor(size=size), tokenizer, Qwen2VLVideoProcessor(size=size), chat_template=chat
    ).save_pretrained(folder)
    return folder


def make_internvl(folder: Path, seed: int = 0) -> Path:
    """An InternVL with a Llama inside, in `folder`; a picture is 16 to 80 tokens. Returns the folder."""
    tokenizer = _tokenizer("internvl")
    side_px, patch_px = 112, 14
    picture_tokens = (side_px // patch_px // 2) ** 2
    config = InternVLConfig(
        text_config={"model_type": "llama"} | _text_config(tokenizer),
        vision_config={
            "hidden_size": 64,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": [side_px, side_px],
            "patch_size": [patch_px, patch_px],
        },
        image_token_id=tokenizer.get_vocab()["<IMG_CONTEXT>"],
        image_seq_length=picture_tokens,
        tie_word_embeddings=False,
    )
    torch.manual_seed(seed)
    _save(InternVLForConditionalGeneration(config), tokenizer, folder)
    size = {"height": side_px, "width": side_px}
    InternVLProcessor(
        GotOcr2ImageProcessor(size=size, crop_to_patches=True, min_patches=1, max_patches=4),
        tokenizer,
        InternVLVideoProcessor(size=size),
        image_seq_length=picture_tokens,
        chat_template=CHAT.replace("PICTURE", "<IMG_CONTEXT>\n"),
    ).save_pretrained(folder)
    return folder


def _text_config(tokenizer: PreTrainedTokenizerFast) -> dict[str, object]:
    return {
        "vocab_size": len(tokenizer),
        "hidden_size": _HIDDEN,
        "intermediate_size": _HIDDEN,
        "num_hidden_layers": _LAYERS,
        "num_attention_heads": _HEADS,  # 32 numbers a head: the least that vLLM's CPU attention knows
        "num_key_value_heads": _HEADS // 2,
        "max_position_embeddings": 32_768,
        "tie_word_embeddings": False,
        "bos_token_id": None,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.eos_token_id,
    }


def _tokenizer(family: str) -> PreTrainedTokenizerFast:
    """With whole tokens for what `_biases` speaks of; a word is one token where a blank stands before it."""
    return byte_tokenizer(family, [*CLOSERS[1:], BEGINNING, OPEN, NO_ITEMS, *(f" {word}" for word in WORDS)])


def byte_tokenizer(family: str, whole: Sequence[str]) -> PreTrainedTokenizerFast:
    """Bytes, the texts of `whole` as one token each, and the special tokens of a family ("qwen" or "internvl")."""
    split = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    as_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokens = [*sorted(pre_tokenizers.ByteLevel.alphabet()), *(as_bytes.pre_tokenize_str(text)[0][0] for text in whole)]
    model = BPE({token: number for number, token in enumerate(tokens)}, merges=[], ignore_merges=True)
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer, tokenizer.decoder = split, decoders.ByteLevel()
    special = _SPECIAL[family]
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in special])
    roles = ("start_image_token", "end_image_token", "context_image_token", "video_token")
    named = dict(zip(roles, special[2:], strict=True)) if family == "internvl" else {}
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=_END,
        pad_token=_END,
        model_max_length=32_768,
        extra_special_tokens=named,
    )


def _biases(tokenizer: PreTrainedTokenizerFast) -> Iterator[float]:
    for number in range(len(tokenizer)):
        text = tokenizer.decode([number])
        assert isinstance(text, str)
        if text.startswith(" ") and text[1:] in WORDS:
            yield _WORD
        elif text in (*CLOSERS, _END):
            yield _CLOSER  # a little more than a word, whose bias moves about: what moves is drawn more often
        elif text in (OPEN, NO_ITEMS):
            yield _STRUCTURE
        else:
            yield _NEVER if text.strip() else _BLANK


def _save(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    language = model.model.language_model
    biases = torch.tensor(list(_biases(tokenizer)))
    moved = (biases == _WORD).float()
    moved[[tokenizer.get_vocab()[letter] for letter in "ciu"]] = 1  # of the three verdicts: pictures decide on one
    beginning, opened = (tokenizer.get_vocab()[token] for token in (_as_token(BEGINNING), _as_token(OPEN)))
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.dim() > 1 and "embed" not in name:
                weight.normal_(std=weight[0].numel() ** -0.5)
        embedding = language.embed_tokens.weight
        embedding.normal_(std=_REST_STD)
        embedding[:, _CONSTANT], embedding[:, _OPENED] = _CONSTANT_VALUE, 0
        embedding[opened, _OPENED] = _CONSTANT_VALUE
        for layer in language.layers:
            layer.self_attn.q_proj.weight.mul_(_SHARPNESS)
            layer.mlp.down_proj.weight.mul_(_REST_STD)
            for writes in (layer.self_attn.o_proj, layer.mlp.down_proj):
                writes.weight[[_CONSTANT, _OPENED]] = 0
        constant = language(torch.arange(len(tokenizer))[None]).last_hidden_state[..., _CONSTANT].mean()
        rows = model.lm_head.weight
        rows.normal_(std=_CONTEXT_STD).mul_(moved[:, None])
        rows[:, _CONSTANT], rows[:, _OPENED] = biases / constant, 0
        rows[beginning, _OPENED] = (2 * _STRUCTURE - _NEVER) / constant
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.eos_token_id
    model.save_pretrained(folder)


def _as_token(text: str) -> str:
    return pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False).pre_tokenize_str(text)[0][0]
