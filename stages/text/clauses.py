"""The clauses of a text whose subject is the object: only what they say is a claim about it.

"It is next to a man who walks to the left" says of the object that it is next to a man, and nothing of the left. So
sentences with another subject are left out, and a clause ends where another subject may begin.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from stages.text.naming import FEMALE, MALE, head_noun

# What cannot be taken at its word: "mostly still", "briefly to the left".
_HEDGES = (
    "barely|hardly|scarcely|nearly|briefly|slightly|mostly|largely|partly|partially|relatively|fairly|initially"
    "|finally|momentarily|temporarily|mainly|primarily|occasionally|repeatedly|subtly|seemingly|possibly|only|early"
)
ADVERBS = rf"(?:(?!(?:{_HEDGES})\b)(?:\w+ly|then|also|always|just|straight)\s)*"
VIEW = r"(?:scene|view|screen|picture|image|video|shot|frame|footage|photo|composition)"

_LEAD = re.compile(
    r"(?:(?:as the camera|throughout|during|in|at|over|by|towards?|across|on|from|initially|first|then|finally"
    r"|eventually|afterwards|later|next|overall|meanwhile)\b[^,]{0,60}, |(?:initially|then|finally|eventually) )*",
    re.IGNORECASE,
)
_AGAIN = re.compile(r"(,? (?:and|but|and then|then|until) it |, it )", re.IGNORECASE)
_OTHER_SUBJECT = re.compile(
    r",? (?:while|as|who|whom|which|whose|where|because|since|although|though|that|so|after|before|until|when"
    r"|whereas|with|without|unlike|despite|like|but|if)\b"
    r"|(?:,| and|;) (?:a|an|the|another|its|his|her|their|two|three|several|some|someone|people|there|he|she|they)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Clause:
    """One predicate of the object.

    Attributes:
        words: from its verb to where another subject may begin.
        rest: what follows in the sentence, as far as the next clause of the object.
        lead: what stands before the subject: 'Throughout the video, ' or, for a second clause, ', until it '.
    """

    words: str
    rest: str
    lead: str


def tidy(text: str) -> str:
    """`text` with single spaces and plain apostrophes."""
    return " ".join(text.replace("\u2019", "'").split())


def quoted(found: re.Match[str]) -> str:
    """The words of a claim, without what joins them to those before."""
    joint = r"^(?:[ ,]|and\b|then\b|before\b)+"
    return re.sub(joint, "", found.group(), flags=re.IGNORECASE).strip(" ,")


def clauses(text: str) -> Iterator[Clause]:
    """All clauses about the object, in their order; `text` is tidied."""
    noun = head_noun(text)
    subjects = ["it", "the object", "this object", *([f"the {noun}"] if noun else [])]
    subjects += ["he"] * bool(MALE.fullmatch(noun)) + ["she"] * bool(FEMALE.fullmatch(noun))
    subject = re.compile(rf"(?:{'|'.join(map(re.escape, subjects))}) ", re.IGNORECASE)
    for sentence in re.split(r"[.!?;]+(?:\s+|$)", text):
        lead = _LEAD.match(sentence)
        start = lead.end() if lead else 0
        if sentence[start : start + 8].lower() == "its size":
            yield Clause(sentence[start:], "", sentence[:start])
        if not (found := subject.match(sentence, start)):
            continue
        parts = _AGAIN.split(sentence[found.end() :])
        for words, before in zip(parts[::2], [sentence[:start], *parts[1::2]], strict=True):
            other = _OTHER_SUBJECT.search(words)
            end = other.start() if other else len(words)
            yield Clause(words[:end], words[end:], before)
