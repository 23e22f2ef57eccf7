"""What a text calls its object: 'a black goat' in 'The object is a black goat with long horns'."""

import re

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
# May stand before a comma within the name of a thing: "a small, shaggy dog", but "a small car, red lamps on it".
_ADJECTIVE = (
    r"(?:small|large|big|tiny|huge|tall|short|long|low|old|young|new|plain|round|flat|thin|thick|slim|wide|narrow"
    r"|square|modern|vintage|compact|sleek|smooth|soft|light|dark|bright|adult|mature|wooden|plastic|metal|very"
    r"|fairly|and|\w+-\w+|\w{3,}(?:y|ed|ish|ular|ous|ive)|black|gr[ea]y|white|red|orange|brown|yellow|green|blue"
    r"|purple|pink|tan)"
)
_NAME = re.compile(rf"(?:an?|the) (?:(?:{_ADJECTIVE} )*{_ADJECTIVE}, (?:and )?)*[^,]*", re.IGNORECASE)


def head_phrase(text: str) -> str:
    """What the first sentence says that the object is: 'a black goat', without what it wears or stands next to."""
    found = _HEAD.match(text)
    phrase = _HEAD_END.split(found.group(1), maxsplit=1)[0].strip(" ,") if found else ""
    name = _NAME.match(phrase)
    return name.group() if name else phrase


def head_noun(text: str) -> str:
    """'goat' of a text that begins with 'The object is a black goat'; '' if there is none."""
    words = re.findall(r"[a-z]+", head_phrase(text).split(",")[-1].lower().split(" in ")[0])
    return words[-1] if words else ""
