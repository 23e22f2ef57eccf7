"""Worked examples by hand: what a stage knows, what the request must tell, and an answer as it should be."""

import json
from dataclasses import dataclass, field
from typing import Any

from manifests.lineup import Lineup, LineupHeat, LineupTrial
from manifests.schema import Contradiction, Row
from tests.pipeline.facts_factory import colours, make_facts, make_row


@dataclass(frozen=True)
class Example:
    """One question to one prompt and a good answer to it."""

    prompt: str
    row: Row
    sent: tuple[str, ...]  # must be in the request
    reply: dict[str, Any]
    text_field: str  # of the reply: the text that goes on to the next stage
    words: tuple[int, int]  # of that text, as the prompt asks for
    kept_out: tuple[str, ...] = field(default=())  # must not be in the text

    @property
    def answer(self) -> str:
        return json.dumps(self.reply)


_GOAT = make_facts(0, colours=colours(black=0.8, blue=0.15), start=(0.2, 0.6), end=(0.7, 0.6), motion="right")
_KID = make_facts(1, colours=colours(black=0.9), start=(0.8, 0.7), size="tiny")
GOAT_EXPRESSION = (
    "The object is a black goat with short curved horns, a white patch on its forehead and a blue collar. "
    "It is on a dry slope with tufts of yellow grass, to the left of a smaller black kid and in front of a grey "
    "boulder, while a wooden fence runs behind it. Throughout the video, the goat walks slowly from the left to the "
    "right, stops once to sniff at the ground, and passes in front of the boulder, which it never climbs."
)
GOAT = make_row(
    _GOAT,
    [_GOAT, _KID],
    caption_crop="A black goat with short curved horns and a blue collar, seen from the side.",
    caption_masked="A dark goat with a blue collar and a white patch on its forehead.",
    object_description="The object is a black goat with short curved horns, a white patch on its forehead and a blue "
    "collar.",
    scene_description="It is on a dry slope, to the left of a smaller black kid and in front of a grey boulder.",
    video_description="Throughout the video, the goat walks slowly from the left to the right and sniffs at things.",
    expression=GOAT_EXPRESSION,
)

_SLEEVE = make_facts(2, colours=colours(red=0.7, white=0.3), start=(0.5, 0.4))
_MAN = make_facts(3, colours=colours(blue=0.6), start=(0.5, 0.5), size="large")
SLEEVE = make_row(
    _SLEEVE,
    [_MAN],
    part_of=_MAN.object_id,
    caption_crop="A man in a red and white checked shirt who holds a guitar.",
    caption_masked="The rolled-up sleeve of a checked shirt, red and white.",
    conflict='A says "a man", B says "the sleeve of a shirt"',
)

_CAR = make_facts(4, colours=colours(grey=0.9), start=(0.8, 0.4), end=(0.3, 0.6), motion="left", size_change="grows")
_VAN = make_facts(5, colours=colours(white=0.9), start=(0.1, 0.5), size="large")
CAR = make_row(
    _CAR,
    [_CAR, _VAN],
    object_description="The object is a small silver hatchback with a roof rack and a dent in its front door.",
    scene_description="It is on a wet street on the right, behind a cyclist in yellow and beside a row of bare trees.",
    expression="The object is a small silver hatchback with a roof rack and a dent in its front door. It is on a wet "
    "street, behind a cyclist in a yellow jacket and beside a row of bare trees, with a white van parked across from "
    "it. Throughout the video, the car drives to the right, away from the viewer, and gets smaller until it stops at "
    "a crossing, where the cyclist overtakes it.",
    contradictions=[
        Contradiction(kind="direction", claim="drives to the right", measured="own motion left, 212 px in 10.0 s"),
        Contradiction(kind="size change", claim="gets smaller", measured="grows, 2.4 times as large at the end"),
    ],
)

_DOG = make_facts(6, colours=colours(brown=0.8), start=(0.2, 0.6), end=(0.6, 0.6), motion="right", size="medium")
_TWIN = make_facts(7, colours=colours(brown=0.8), start=(0.8, 0.6), size="medium")
_DOG_TEXT = (
    "The object is a brown dog with short hair, floppy ears and a long tail. It is on a mown lawn, in front of a row "
    "of low hedges and beside a white garden chair, with another dog not far from it. Throughout the video, it sniffs "
    "at the grass with its nose close to the ground, lifts its head from time to time as if it had heard something, "
    "and wags its tail."
)
CONFUSED = make_row(
    _DOG,
    [_DOG, _TWIN],
    caption_crop=GOAT.caption_crop,
    caption_masked=GOAT.caption_masked,
    object_description="The object is a brown dog with floppy ears and a green collar.",
    scene_description=GOAT.scene_description,
    video_description=GOAT.video_description,
    expression=_DOG_TEXT,
    lineup_shown=[_TWIN.object_id, _DOG.object_id],
    lineup_times_s=[0.0, 4.5, 9.5],
    lineup=Lineup(
        expression=_DOG_TEXT,
        candidates=[_DOG.object_id, _TWIN.object_id],
        places=["middle left", "middle right"],
        times_s=[0.0, 4.5, 9.5],
        trials=[
            LineupTrial(
                heats=[
                    LineupHeat(
                        shown=[_TWIN.object_id, _DOG.object_id],
                        picked=[_TWIN.object_id],
                        evidence="1 is a brown dog that sniffs at the grass; 2 walks about.",
                    )
                ],
                picked=[_TWIN.object_id],
            )
        ],
        pick_rate=0.0,
        runner_up=_TWIN.object_id,
        runner_up_rate=1.0,
        decision="ambiguous",
        judge="judge",
        revision="",
    ),
)

EXAMPLES: tuple[Example, ...] = (
    Example(
        "caption_crop",
        GOAT,
        ("As far as is known it is a whole thing",),
        {"caption": "A black goat with short curved horns and a blue collar. It has a white patch on its forehead."},
        "caption",
        (5, 90),
    ),
    Example(
        "caption_masked",
        SLEEVE,
        ("It is known to be a part of a larger thing",),
        {"caption": "The rolled-up sleeve of a shirt with red and white checks, with a white button at the cuff."},
        "caption",
        (5, 90),
        kept_out=("black", "paint"),
    ),
    Example(
        "check_consistency",
        GOAT,
        ("A black goat with short curved horns and a blue collar, seen", "A dark goat with a blue collar and a white"),
        {
            "conflict": "",
            "verdict": "consistent",
            "object_description": GOAT.object_description,
        },
        "object_description",
        (5, 60),
    ),
    Example(
        "repair_object",
        SLEEVE,
        (
            "It is known to be a part of a larger thing",
            "A man in a red and white checked shirt",
            "The rolled-up sleeve",
            'A says "a man", B says "the sleeve of a shirt"',
        ),
        {
            "conflict": '"a man": only his arm is in the second picture. "the sleeve of a shirt": that is left.',
            "verdict": "consistent",
            "object_description": "The object is the rolled-up sleeve of a red and white checked shirt with a white "
            "button at its cuff.",
        },
        "object_description",
        (5, 60),
        kept_out=("guitar", "picture", "caption"),
    ),
    Example(
        "describe_scene",
        GOAT,
        ("The object is a black goat with short curved horns", "As far as is known it is a whole thing"),
        {
            "description": "It is on a dry slope with tufts of yellow grass, to the left of a smaller black kid and in "
            "front of a grey boulder. A wooden fence runs behind it."
        },
        "description",
        (10, 90),
    ),
    Example(
        "describe_video",
        GOAT,
        ("0.0 s, 9.5 s", "It is on a dry slope, to the left of a smaller black kid"),
        {
            "description": "Throughout the video, the goat walks slowly from the left to the right. After about 5 "
            "seconds it stops to sniff at the ground, then passes in front of the boulder."
        },
        "description",
        (10, 90),
    ),
    Example(
        "compose_expression",
        GOAT,
        (
            "The object is a black goat with short curved horns",
            "It is on a dry slope, to the left of a smaller black kid",
            "Throughout the video, the goat walks slowly",
            "- sav_000001/manual/1: black, tiny, at first bottom right, own motion: none",
        ),
        {"expression": GOAT_EXPRESSION, "ambiguous_with": []},
        "expression",
        (60, 110),
    ),
    Example(
        "repair_expression",
        CAR,
        (
            "The object is a small silver hatchback with a roof rack",
            "- sav_000001/manual/5: white, large, at first middle left",
            '- direction: "drives to the right" -- measured: own motion left, 212 px in 10.0 s',
            '- size change: "gets smaller" -- measured: grows, 2.4 times as large at the end',
            "where the cyclist overtakes it.",
        ),
        {
            "expression": "The object is a small silver hatchback with a roof rack and a dent in its front door. It is "
            "on a wet street, behind a cyclist in a yellow jacket and beside a row of bare trees, with a white van "
            "parked across from it. Throughout the video, the car drives to the left and towards the viewer, and gets "
            "larger until it stops at a crossing, where the cyclist overtakes it.",
            "ambiguous_with": [],
        },
        "expression",
        (60, 110),
        kept_out=("to the right", "smaller", "212"),
    ),
    Example(
        "lineup",
        CONFUSED,
        ("0.0 s, 4.5 s, 9.5 s", "Each of the 2 objects", "a brown dog with short hair, floppy ears"),
        {
            "evidence": "1: a brown dog on the lawn that sniffs at the grass beside the chair, as told. 2: a brown dog "
            "as well, but it walks from the left to the right and wears a collar.",
            "numbers": [1],
        },
        "evidence",
        (5, 60),
    ),
    Example(
        "repair_lineup",
        CONFUSED,
        (
            "The object is a brown dog with floppy ears and a green collar.",
            "- sav_000001/manual/7: brown, medium, at first middle right, own motion: none",
            "1 is a brown dog that sniffs at the grass; 2 walks about.",
            "- own motion: the first object right, the second none",
            "- place when first seen: the first object middle left, the second middle right",
        ),
        {
            "expression": "The object is a brown dog with short hair, floppy ears and a green collar around its neck. "
            "It is on a mown lawn, at first on the left, in front of a row of low hedges and away from the white "
            "garden chair. Throughout the video, it walks from the left to the right across the lawn, sniffs at the "
            "grass on its way with its nose close to the ground, and wags its tail.",
            "ambiguous_with": [],
        },
        "expression",
        (60, 110),
        kept_out=("first object", "second", "line"),
    ),
)

EXAMPLES += (
    Example(
        "shorten_expression",
        GOAT,
        (
            "- sav_000001/manual/1: black, tiny, at first bottom right, own motion: none",
            "which it never climbs.",
        ),
        {"texts": ["the larger black goat", "the goat with a blue collar", "the black goat that walks to the right"]},
        "texts",
        (8, 60),
        kept_out=("kid", "second"),
    ),
)

_LONG = " ".join(["It is a brown dog with a red collar."] * 40)
UNUSABLE: tuple[tuple[str, dict[str, Any], str], ...] = (
    ("caption_crop", {"caption": "  "}, "must not be empty"),
    ("caption_crop", {"caption": "A brown dog.", "mood": "glad"}, "Extra inputs"),
    ("caption_masked", {"caption": _LONG}, "at most 1200 characters"),
    ("caption_masked", {"description": "A brown dog."}, "Field required"),
    ("check_consistency", {"conflict": "", "verdict": "maybe", "object_description": ""}, "'consistent'"),
    ("check_consistency", {"conflict": "", "verdict": "consistent", "object_description": " "}, "needs an object_desc"),
    ("check_consistency", {"verdict": "inconsistent", "object_description": ""}, "Field required"),
    ("repair_object", {"conflict": _LONG, "verdict": "inconsistent", "object_description": ""}, "at most 1200"),
    ("repair_object", {"conflict": "", "verdict": "repaired", "object_description": "The object is"}, "'consistent'"),
    ("describe_scene", {"description": ""}, "must not be empty"),
    ("describe_scene", {"description": ["It is on a lawn."]}, "valid string"),
    ("describe_video", {"description": _LONG}, "at most 1200 characters"),
    ("describe_video", {"caption": "Throughout the video, it runs."}, "Field required"),
    ("compose_expression", {"expression": "A black goat walks.", "ambiguous_with": []}, "begin with 'The object is '"),
    ("compose_expression", {"expression": "The object is " + _LONG[:1000], "ambiguous_with": []}, "at most 1000"),
    ("compose_expression", {"expression": "The object is x.", "ambiguous_with": ["v/1"] * 9}, "at most 8 ids"),
    ("compose_expression", {"ambiguous_with": []}, "Field required"),
    ("shorten_expression", {"texts": ["the goat", "the black goat", "it", "the goat on a slope"]}, "at most 3 texts"),
    ("shorten_expression", {"texts": ["the black goat", " "]}, "must not be empty"),
    ("shorten_expression", {"texts": [_LONG]}, "at most 240 characters"),
    ("shorten_expression", {"texts": "the black goat"}, "valid array"),
    ("repair_expression", {"expression": "Here is the text: The object is a car."}, "begin with 'The object is '"),
    ("repair_expression", {"expression": "The object is a car.", "ambiguous_with": "none"}, "valid array"),
    ("lineup", {"evidence": "1 fits.", "numbers": [10]}, "Input should be 1, 2"),
    ("lineup", {"evidence": "1 fits.", "numbers": 1}, "valid array"),
    ("lineup", {"numbers": [1]}, "Field required"),
    ("repair_lineup", {"expression": "The first dog is brown.", "ambiguous_with": []}, "begin with 'The object is '"),
    ("repair_lineup", {"expression": "The object is x.", "ambiguous_with": ["v/1"] * 9}, "at most 8 ids"),
)
