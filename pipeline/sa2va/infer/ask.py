"""What is asked about a video, as tokens."""

from collections.abc import Sequence

from pipeline.sa2va.config import InferConfig
from pipeline.sa2va.conversation import prompt_ids
from pipeline.sa2va.model import Sa2va
from pipeline.sa2va.prompts import evaluation_question

# what the chat template of the released inference adds, and its training does not have
_OFFICIAL_SYSTEM = {"qwen2_5_vl": "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"}


def prompts(model: Sa2va, texts: Sequence[str], tokens_F: Sequence[int], config: InferConfig) -> list[list[int]]:
    """Token ids of the question about each text, frames first, up to where the answer begins.

    Args:
        model: its tokenizer and family.
        texts: expressions.
        tokens_F: how many tokens each frame has.
        config: `official_prompts` says which questions; on the official path there is also no line break between the
            frames of a Qwen, and Qwen2.5-VL gets a system turn, both unlike in any training.

    Raises:
        ValueError: a text that is empty or has a special token in it.
    """
    tokenizer, family = model.tokenizer, model.family
    official = config.path == "official"
    visual = family.visual_text(tokens_F, "" if official and family.name.startswith("qwen") else "\n")
    system = _OFFICIAL_SYSTEM.get(family.name, "") if official else ""
    before = tokenizer.encode(system, add_special_tokens=False)
    questions = [evaluation_question(text, official=config.official_prompts) for text in texts]
    return [[*before, *prompt_ids(tokenizer, visual, question).tolist()] for question in questions]
