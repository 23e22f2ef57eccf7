"""Finds the clauses of a text whose subject is the object, and the name that the text gives it.

Only such clauses make claims about the object: "It is next to a man who walks to the left" says that the object is
next to a man, and nothing of the left. So sentences with another subject are left out, and a clause ends where
another subject may begin.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

MALE = re.compile(r"man|boy|guy|gentleman|father|groom")
FEMALE = re.compile(r"woman|girl|lady|mother|bride")
HUMAN = re.compile(
    rf"{MALE.pattern}|{FEMALE.pattern}|person|people|child|children|kid|baby|toddler|infant|adult|teenager|human|men|women"
    r"|boys|girls|individual|figure|player|athlete|skater|skateboarder|snowboarder|skier|surfer|swimmer|cyclist|biker"
    r"|rider|runner|hiker|climber|gymnast|boxer|goalkeeper|dancer|performer|musician|singer|guitarist|drummer|worker"
    r"|pedestrian|bystander|tourist|driver|chef|cook|vendor|shopper|soldier|officer|student|teacher"
)

_HEAD = re.compile(r"\s*(?:the object|it|this object|this) is ([^.;!?]+)", re.IGNORECASE)
_HEAD_END = re.compile(
    r"\b(?:with|wearing|that|which|whose|who|holding|on|at|near|next|beside|behind|under|featuring|made|having|carrying"
    r"|(?<!pair )(?<!piece )(?<!set )of|for|from|to|by|containing|showing|displaying|standing|sitting|lying|walking"
    r"|running|riding|resting|hanging|bearing|sporting|being|held|worn|filled|covered|decorated|topped|dressed"
    r"|attached|painted|likely|possibly|probably|as|against|inside|and it|and an?|and the|and its|but|or"
    r"|in (?:an?|the|his|her|its))\b",
    re.IGNORECASE,
)
# A word that may stand before a comma within the name of a thing: "a small, shaggy dog", but not "a small car, red
# lamps on it".
_ADJECTIVE = (
    r"(?:small|large|big|tiny|huge|tall|short|long|low|old|young|new|plain|round|flat|thin|thick|slim|wide|narrow"
    r"|square|modern|vintage|compact|sleek|smooth|soft|light|dark|bright|adult|mature|wooden|plastic|metal|very"
    r"|fairly|and|\w+-\w+|\w{3,}(?:y|ed|ish|ular|ous|ive)|black|gr[ea]y|white|red|orange|brown|yellow|green|blue"
    r"|purple|pink|tan)"
)
_NAME = re.compile(rf"(?:an?|the) (?:(?:{_ADJECTIVE} )*{_ADJECTIVE}, (?:and )?)*[^,]*", re.IGNORECASE)

# Adverbs that weaken a claim so much that it is none: "mostly still", "briefly to the left".
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
_SENTENCE_END = re.compile(r"(?<![.!?;])[.!?;]++(?:\s+|$)")  # a long row of dots is looked at once
_AGAIN = re.compile(r"(,? (?:and|but|and then|then|until) it |, it )", re.IGNORECASE)
_OTHER_SUBJECT = re.compile(
    r",? (?:while|as|who|whom|which|whose|where|because|since|although|though|that|so|after|before|until|when"
    r"|whereas|with|without|unlike|despite|like|but|if)\b"
    r"|(?:,| and|;) (?:a|an|the|another|its|his|her|their|two|three|several|some|someone|people|there|he|she|they)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Clause:
    """One statement about the object, without its subject.

    Attributes:
        words: the text from the verb to where another subject may begin.
        rest: the text after `words`, up to the next clause about the object or the end of the sentence.
        lead: the text before the subject: 'Throughout the video, ' or, for a second clause, ', until it '.
    """

    words: str
    rest: str
    lead: str


def tidy(text: str) -> str:
    """Return `text` with single spaces and plain apostrophes."""
    return " ".join(text.replace("\u2019", "'").split())


def quoted(match: re.Match[str]) -> str:
    """Return the words of a claim, without the comma or conjunction that joins them to the words before."""
    conjunctions = r"^(?:[ ,]|and\b|then\b|before\b)+"
    return re.sub(conjunctions, "", match.group(), flags=re.IGNORECASE).strip(" ,")


def clauses(text: str) -> Iterator[Clause]:
    """Yield all clauses about the object in the order of `text`, which has gone through `tidy`."""
    noun = head_noun(text)
    subjects = ["it", "the object", "this object", *([f"the {noun}"] if noun else [])]
    subjects += ["he"] * bool(MALE.fullmatch(noun)) + ["she"] * bool(FEMALE.fullmatch(noun))
    subject = re.compile(rf"(?:{'|'.join(map(re.escape, subjects))}) ", re.IGNORECASE)
    for sentence in _SENTENCE_END.split(text):
        lead = _LEAD.match(sentence)
        start = lead.end() if lead else 0
        if sentence[start : start + 8].lower() == "its size":
            yield Clause(sentence[start:], "", sentence[:start])
        if not (match := subject.match(sentence, start)):
            continue
        parts = _AGAIN.split(sentence[match.end() :])
        for words, before in zip(parts[::2], [sentence[:start], *parts[1::2]], strict=True):
            other = _OTHER_SUBJECT.search(words)
            end = other.start() if other else len(words)
            yield Clause(words[:end], words[end:], before)


def head_phrase(text: str) -> str:
    """Return what the first sentence says that the object is: 'a black goat', without what it wears or is next to."""
    match = _HEAD.match(text)
    phrase = _HEAD_END.split(match.group(1), maxsplit=1)[0].strip(" ,") if match else ""
    name = _NAME.match(phrase)
    return name.group() if name else phrase


def own_end(phrase: str) -> int:
    """Return where a noun phrase ends with its own noun: what follows "the man next to the car" may be the car's."""
    found = _HEAD_END.search(phrase)
    return found.start() if found else len(phrase)


def head_noun(text: str) -> str:
    """Return the noun of the head phrase, 'goat' for 'The object is a black goat'; '' if there is none."""
    words = re.findall(r"[a-z]+", head_phrase(text).split(",")[-1].lower().split(" in ")[0])
    return words[-1] if words else ""
