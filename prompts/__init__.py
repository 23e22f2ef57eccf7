"""What models are asked: one text file per use site, and the class that its reply must fit.

A file `<name>.txt` holds both roles, divided by the lines `[system]` and `[user]`, with `$placeholders`
(`string.Template`, so the braces of JSON need no escaping). Pictures are not in the text: they stand between the two.

A request begins alike for as long as it can, because an engine computes a common beginning once (prefix caching):
prompts that show the same picture first have the same `[system]`; prompts without pictures name their values last.
"""

import hashlib
import json
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from string import Template
from typing import Any, Generic, NamedTuple, TypeVar

from pydantic import BaseModel

from manifests.schema import Contradiction, Facts, Row
from prompts.replies import REPLIES

R = TypeVar("R", bound=BaseModel)
NAMES = tuple(REPLIES)
_MARKS = ("[system]\n", "\n[user]\n")


class Messages(NamedTuple):
    """The two parts of a rendered prompt."""

    system: str
    user: str


@dataclass(frozen=True)
class Prompt(Generic[R]):
    """A text with `$placeholders` and the reply that it asks for."""

    name: str
    text: str
    reply: type[R]

    @cached_property
    def id(self) -> str:
        """`name@sha8` over the text and the reply's JSON schema: what else a model is shown is the row's own."""
        schema = json.dumps(self.reply.model_json_schema(), sort_keys=True)
        return f"{self.name}@{hashlib.sha256((self.text + schema).encode()).hexdigest()[:8]}"

    def render(self, **values: str) -> Messages:
        """Both parts with every placeholder filled in.

        Raises:
            ValueError: A placeholder has no value.
        """
        try:
            filled = Template(self.text).substitute(values)
        except KeyError as missing:
            raise ValueError(
                f"prompt {self.name!r}: ${missing.args[0]} has no value, got {sorted(values)}; "
                "pass it, or run the stage that writes that column first"
            ) from missing
        system, user = filled.removeprefix(_MARKS[0]).split(_MARKS[1], 1)
        return Messages(system.strip(), user.strip())


@cache
def load(name: str) -> Prompt[Any]:
    """The prompt `name`; one of NAMES, else KeyError."""
    return Prompt(name, Path(__file__).with_name(f"{name}.txt").read_text(encoding="utf-8"), REPLIES[name])


def values_of(row: Row) -> dict[str, str]:
    """Every value that a prompt may name and that `row` has by now."""
    columns = {
        "caption_crop": row.caption_crop,
        "caption_masked": row.caption_masked,
        "conflict": row.conflict,
        "object_description": row.object_description,
        "scene_description": row.scene_description,
        "video_description": row.video_description,
        "expression": row.expression,
        "contradictions": "\n".join(map(_wrong, row.contradictions)) or None,
        "video_times": ", ".join(f"{time_s:.1f} s" for time_s in row.video_times_s) or None,
        "part_note": _PART_NOTE if row.part_of else _WHOLE_NOTE,
        "others": _others(row),
    }
    return {name: value for name, value in columns.items() if value is not None}


_PART_NOTE = (
    "It is known to be a part of a larger thing. Name the part (a sleeve, a wheel, a hand), not the whole, "
    "and say what it belongs to only if you can see it."
)
_WHOLE_NOTE = "As far as is known it is a whole thing; if you see that it is only a part of one, name the part."


def _wrong(found: Contradiction) -> str:
    return f'- {found.kind}: "{found.claim}" -- measured: {found.measured}'


def _others(row: Row) -> str:
    lines = [_line(facts) for facts in row.sibling_facts if facts.object_id != row.object_id]
    return "\n".join(lines) or "(no other object of this video is known)"


def _line(facts: Facts) -> str:
    named = " and ".join(colour.name for colour in facts.colours[:2]) if facts.colours_known else ""
    colours = named or "of unknown colour"
    motion = f", own motion: {facts.motion}" if facts.motion_known else ""
    return f"- {facts.object_id}: {colours}, {facts.size}, at first {facts.place_start}{motion}"
