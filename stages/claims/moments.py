"""Finds the moments of a video that a text speaks of: times in seconds, and words such as 'halfway'."""

import re
from collections.abc import Iterator

_NUMBERS = {
    word: number
    for number, word in enumerate(
        ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
    )
}
_NUMBER = rf"\d+(?:\.\d+)?|{'|'.join(_NUMBERS)}"
_BETWEEN = r"(?: ?(?:-|to|and|or|until) (?:about |around )?)"
_SECONDS = re.compile(
    rf"\b(?:({_NUMBER}){_BETWEEN})?({_NUMBER})(?: and a half)? ?-?(?:s\b|sec\b|secs\b|seconds?\b)", re.IGNORECASE
)
_WORDS = {  # pattern -> share of the duration
    r"halfway|half way|midway|in the middle of the video|in mid-video|partway": 0.5,
    r"at first|at the (?:start|beginning)|initially|to begin with|from the start": 0.0,
    r"in the end|at the end|finally|at last|towards the end|near the end|eventually": 1.0,
}


def moments_s(text: str, duration_s: float) -> list[float]:
    """Return the times that `text` names, in seconds from the start of the video, ascending, each once.

    Args:
        text: an expression.
        duration_s: length of the video; later times are left out.
    """
    shares = [share for words, share in _WORDS.items() if re.search(rf"\b(?:{words})\b", text, re.IGNORECASE)]
    times_s = {*_named_s(text), *(share * duration_s for share in shares)}
    return sorted(time_s for time_s in times_s if time_s <= duration_s)


def _named_s(text: str) -> Iterator[float]:
    for match in _SECONDS.finditer(text):
        for number in match.groups():
            if number:
                yield float(_NUMBERS.get(number.lower(), number))
