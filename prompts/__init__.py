"""What models are asked: one text file per use site, and the class that its reply must fit.

A file `<name>.txt` holds both roles, divided by the lines `[system]` and `[user]`, with `$placeholders`
(`string.Template`, so the braces of JSON need no escaping). Pictures are not in the text: they stand between the two.

Words that go around a row's values (a note, a line of a list) stand in `values.txt`, in sections of that kind. Nothing
else is sent: a prompt's id covers its text, the sections that it uses, and the reply's schema.

A request begins alike for as long as it can, because an engine computes a common beginning once (prefix caching):
prompts that show the same picture first have the same `[system]`; prompts without pictures name their values last.
"""

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from string import Template
from typing import Any, Generic, NamedTuple, TypeVar

from pydantic import BaseModel

from manifests.schema import Contradiction, Row
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
        """`name@sha8` over all words that are sent and the reply's JSON schema; the rest is the row's own."""
        schema = json.dumps(self.reply.model_json_schema(), sort_keys=True)
        used = {name for value in Template(self.text).get_identifiers() for name in _WORDS_OF.get(value, ())}
        words = "".join(f"[{name}]{_words()[name].template}" for name in sorted(used))
        return f"{self.name}@{hashlib.sha256((self.text + words + schema).encode()).hexdigest()[:8]}"

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
        "video_times": ", ".join(_said("moment", time_s=f"{time_s:.1f}") for time_s in row.video_times_s) or None,
        "part_note": _said("part" if row.part_of else "whole"),
        "others": "\n".join(_lines(row)) or _said("no_other"),
    }
    return {name: value for name, value in columns.items() if value is not None}


# sections of values.txt by the values that are made of them
_WORDS_OF = {
    "contradictions": ("wrong",),
    "video_times": ("moment",),
    "part_note": ("part", "whole"),
    "others": ("other", "motion", "no_other", "two_colours", "no_colour"),
}


@cache
def _words() -> dict[str, Template]:
    parts = re.split(r"^\[(\w+)\]$", Path(__file__).with_name("values.txt").read_text(encoding="utf-8"), flags=re.M)
    return {name: Template(text.strip()) for name, text in zip(parts[1::2], parts[2::2], strict=True)}


def _said(section: str, **values: str) -> str:
    return _words()[section].substitute(values)


def _wrong(found: Contradiction) -> str:
    return _said("wrong", kind=found.kind, claim=found.claim, measured=found.measured)


def _lines(row: Row) -> Iterator[str]:
    """A line for each other object; what is not known of it is not said."""
    for facts in row.sibling_facts:
        if facts.object_id != row.object_id:
            names = [colour.name for colour in facts.colours[:2]] if facts.colours_known else []
            colours = _said("two_colours", first=names[0], second=names[1]) if len(names) == 2 else "".join(names)
            yield _said(
                "other",
                object_id=facts.object_id,
                colours=colours or _said("no_colour"),
                size=facts.size,
                place=facts.place_start,
                motion=_said("motion", motion=facts.motion) if facts.motion_known else "",
            )
