"""What is asked about an expression and what is answered.

An expression is a description of one or more sentences (Ref-SAV's, 84 words in the mean) or a phrase ("the red ball").
The release puts both into templates that were made for phrases, and asks differently at inference; ours keep the
grammar of each and are the same at training and inference. The release's templates are read from the user's clone.
"""

import re
from collections.abc import Sequence
from random import Random

LONG_WORDS = 20  # a text that ends with a full stop and has more words than this is a description
ANSWERS_OFFICIAL = (
    "It is [SEG].",
    "Sure, [SEG].",
    "Sure, it is [SEG].",
    "Sure, the segmentation result is [SEG].",
    "[SEG].",
)
_ANSWER = ANSWERS_OFFICIAL[0]  # ours is always the same: nothing is learned from guessing which of five is wanted
# The first of each is what inference asks.
_DESCRIPTION = (
    "Please segment the object that fits this description. {text}",
    "Here is a description of one object in the video. {text} Please answer with its mask.",
    "One object is described as follows. {text} Which object is it? Please answer with its mask.",
)
_PHRASE = (
    "Please segment {text} in this video.",
    "Where is {text} in this video? Please answer with a mask.",
    "Which object in this video is {text}? Please answer with a mask.",
)
_QUESTION = "{text} Please answer with a mask."
_ARTICLE = re.compile(r"(?:A|An|The|One|Its|Their)\b")


def question(text: str, *, rng: Random, templates: Sequence[str] = ()) -> str:
    """What is asked about an expression in training.

    Args:
        text: the expression.
        rng: which template; one draw, whatever the text.
        templates: of the release, which it puts around any text (`official_code.read_questions`); none: ours.

    Raises:
        ValueError: an empty text.
    """
    if templates:
        return rng.choice(templates).format(text=_filled(text))
    return _ours(text, rng.random())


def evaluation_question(text: str, *, official: bool) -> str:
    """What is asked about an expression at inference: our first template of its kind, or the release's only one.

    Raises:
        ValueError: an empty text.
    """
    if not official:
        return _ours(text, 0.0)
    filled = _filled(text)
    return f" {filled} Please respond with a segmentation mask." if "?" in filled else f"Please segment {filled}."


def answer(rng: Random, official: bool) -> str:
    """What is answered in training; with one [SEG], whose hidden state becomes the mask."""
    return rng.choice(ANSWERS_OFFICIAL) if official else _ANSWER


def is_description(text: str) -> bool:
    """Whether a text is of whole sentences: several of them, or a long one that ends with a full stop."""
    filled = _filled(text)
    several = re.search(r"[.!] +[A-Z]", filled) is not None
    return several or (filled.endswith(".") and len(filled.split()) > LONG_WORDS)


def _ours(text: str, chance: float) -> str:
    filled = _filled(text)
    if filled.endswith("?"):
        return _QUESTION.format(text=filled)
    if is_description(filled):
        whole = filled if filled[-1] in ".!" else f"{filled}."
        return _DESCRIPTION[int(chance * len(_DESCRIPTION))].format(text=whole)
    phrase = filled.rstrip(".!")
    if _ARTICLE.match(phrase):
        phrase = phrase[0].lower() + phrase[1:]
    return _PHRASE[int(chance * len(_PHRASE))].format(text=phrase)


def _filled(text: str) -> str:
    filled = text.strip()
    if not filled:
        raise ValueError(f"an expression must have words, got {text!r}")
    return filled
