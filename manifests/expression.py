"""What a valid referring expression is: its three parts, its length, the words it must not have, what it may refer to.

This is the only place that says so. `prompts.load` fills PROMPT_VALUES in where a prompt states a rule, so a model is
told what will be checked; prompts/replies.py calls `check_form` as it parses a reply, pipeline/writers/model_writer.py
asks again if `check_word_count` or `marker_leak` find a fault, and stages/compose_expression.py rejects the row for
what `why_rejected` returns. The measured writer begins its parts with the same words, and the validation app finds the
parts of an expression by them.

The three parts (object, scene, video) are those of the Sa2VA paper, section 3.3; the numbers are this project's.
"""

import re
from collections.abc import Sequence

from manifests.schema import Reason

OBJECT_OPENING, SCENE_OPENING, VIDEO_OPENING = "The object is", "It is", "Throughout the video,"
PART_STARTS = (r"the object\b", r"it is\b", r"throughout\b")  # how the parts begin in texts that keep to it loosely

# Bounds for models; the paper reports a mean of 83.6 words. The measured writer, with 50 to 93 words, is not checked.
MIN_WORDS, MAX_WORDS = 60, 110
MIN_SHORT_WORDS, MAX_SHORT_WORDS = 3, 20  # of the short text that is stored apart
MAX_CHARS = 1000  # 110 words have about 650 characters
MAX_AMBIGUOUS_IDS = 8  # a longer list of look-alikes is a loop of the model

# Words that speak of how the object was shown instead of what there is, by the word that a prompt forbids.
_NAMED_MARKERS = {
    "line": r"yellow (?:line|edge|ring)",
    "contour": r"contour(?:s|ed)?",
    "border": r"border(?:s|ed|ing)?",
    "highlight": r"highlight(?:s|ed|ing)?",
    "mask": r"mask(?:s|ed|ing)?|black(?:ed[- ]out)? background",
    "crop": r"crop(?:s|ped|ping)?",
    "image": r"images?",
    "picture": r"(?:in|of|inside|across|within) (?:the|this) (?:picture|photo|photograph)",
    "frame": r"fram(?:e|es|ed|ing)",
}
_OTHER_MARKERS = (r"outlin(?:e|es|ed|ing)", r"bounding box(?:es)?", r"segmentation", r"annotat(?:ed|ion|ions)")
_MARKERS = re.compile(rf"\b(?:{'|'.join((*_NAMED_MARKERS.values(), *_OTHER_MARKERS))})\b", re.IGNORECASE)
# Things of the world that happen to be called like a marker; anything else of that name counts as a leak.
_THINGS = re.compile(
    r"\b(?:(?:picture|photo|window|door|bed|bike|bicycle|metal|wooden|steel|glasses|eyeglass|climbing) frames?"
    r"|framed (?:picture|photo|photograph|poster|print|painting|mirror)s?"
    r"|(?:face|surgical|medical|gas|ski|diving|swim|sleep|hockey|halloween|carnival|protective) masks?"
    r"|border collies?|crop tops?|cropped (?:top|hair|jacket|trousers|pants|jeans)s?|mirror images?)\b",
    re.IGNORECASE,
)
*_FIRST_WORDS, _LAST_WORD = _NAMED_MARKERS

# The values of the placeholders by which the files in prompts/ state these rules.
PROMPT_VALUES = {
    "object_opening": OBJECT_OPENING,
    "scene_opening": SCENE_OPENING,
    "video_opening": VIDEO_OPENING,
    "min_words": str(MIN_WORDS),
    "max_words": str(MAX_WORDS),
    "min_short_words": str(MIN_SHORT_WORDS),
    "max_short_words": str(MAX_SHORT_WORDS),
    "marker_words": f"{', '.join(_FIRST_WORDS)} or {_LAST_WORD}",
}


def noun_of(label: str) -> str:
    """Return the label of a data set as a noun in a sentence: `Giant_panda` as "giant panda", `TV` as it is."""
    words = label.replace("_", " ").replace('"', "'").split()
    words = words[1:] if len(words) > 1 and words[0].lower() in ("a", "an", "the") else words
    return " ".join(word if len(word) > 1 and word.isupper() else word.lower() for word in words)


def check_form(text: str) -> None:
    """Check what holds for every expression, whoever writes it: how it begins, and that it is not endless.

    Raises:
        ValueError: it begins otherwise, or has more than MAX_CHARS characters.
    """
    if not text.startswith(f"{OBJECT_OPENING} "):
        raise ValueError(f"must begin with {f'{OBJECT_OPENING} '!r}, begins with {text[:30]!r}")
    if len(text) > MAX_CHARS:
        raise ValueError(f"must have at most {MAX_CHARS} characters, has {len(text)}")


def check_word_count(text: str) -> None:
    """Check that an expression that a model wrote is as long as the model was asked for.

    Raises:
        ValueError: it has fewer than MIN_WORDS or more than MAX_WORDS words.
    """
    if not MIN_WORDS <= (words := len(text.split())) <= MAX_WORDS:
        raise ValueError(f"must have {MIN_WORDS} to {MAX_WORDS} words, has {words}")


def check_short(text: str) -> None:
    """Check what holds for every short text: its length, and that it does not speak of how the object was shown.

    Raises:
        ValueError: it has fewer than MIN_SHORT_WORDS or more than MAX_SHORT_WORDS words, or a word of a marker.
    """
    if not MIN_SHORT_WORDS <= (words := len(text.split())) <= MAX_SHORT_WORDS:
        raise ValueError(f"must have {MIN_SHORT_WORDS} to {MAX_SHORT_WORDS} words, has {words}")
    if leak := marker_leak(text):
        raise ValueError(f"speaks of how the object was shown: {leak!r}")


def marker_leak(text: str) -> str | None:
    """Return the first words of `text` that speak of how the object was shown instead of what there is, or None."""
    match = _MARKERS.search(_THINGS.sub("thing", text))
    return match.group() if match else None


def why_rejected(text: str, ambiguous_with: Sequence[str]) -> tuple[Reason, str] | None:
    """Return the reason and the detail for which a row with this expression is rejected, or None if it is good.

    Args:
        text: the expression.
        ambiguous_with: object_ids of other objects of the video that the text fits as well, as its writer says.
    """
    if leak := marker_leak(text):
        return Reason.MARKER_LEAK, f"{leak!r} in: {text}"
    if ambiguous_with:
        return Reason.AMBIGUOUS, f"fits {', '.join(ambiguous_with)} as well"
    return None
