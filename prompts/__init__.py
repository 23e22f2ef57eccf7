"""What models are asked: one text file for every request that a stage makes, and the class that its reply must fit.

A file `<name>.txt` holds both roles, divided by the lines `[system]` and `[user]`, with `$placeholders` as in
`string.Template`, so the braces of JSON need no escaping. Images are not in the text: the request has them between the
two roles. Placeholders for the rules of an expression (`$max_words`) are filled in from `manifests/expression.py` when
the prompt is loaded; all others are values of a row, filled in by `Prompt.render`.

The words around a row's values (a note, a line of a list) stand in `values.txt`, in sections that begin with a line
`[name]`; so do those before the JSON schema of the reply, for servers that enforce none. Nothing else is sent, so a
prompt's id covers its text with the rules, the sections that it uses, and the JSON schema of its reply.

An engine computes the beginning that requests have in common only once (prefix caching). Therefore prompts that show
the same image first have the same `[system]`, and prompts without images name the row's values last.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from string import Template
from typing import Any, Generic, NamedTuple, TypeVar

from pydantic import BaseModel

from manifests.expression import PROMPT_VALUES, noun_of
from manifests.schema import Contradiction, Facts, Row
from prompts.differences import differences
from prompts.replies import REPLIES

R = TypeVar("R", bound=BaseModel)
NAMES = tuple(REPLIES)
_MARKS = ("[system]\n", "\n[user]\n")


class Messages(NamedTuple):
    """A rendered prompt: the text of the system message, and the text of the user message after its images."""

    system: str
    user: str


@dataclass(frozen=True)
class Prompt(Generic[R]):
    """A prompt as it is sent for any row.

    Attributes:
        name: of its file, and the key of its reply class in `prompts.replies.REPLIES`.
        text: both roles, with `$placeholders` for a row's values.
        reply: the class whose JSON schema constrains the model, and which parses its answer.
        labelled: whether it is sent for an object that an annotator has named: `$part_note` then says so.
    """

    name: str
    text: str
    reply: type[R]
    labelled: bool = False

    @cached_property
    def id(self) -> str:
        """`name@sha8`: a hash of all words that are sent for any row, and of the reply's JSON schema."""
        schema = json.dumps(self.reply.model_json_schema(), sort_keys=True)
        used = {name for value in Template(self.text).get_identifiers() for name in _SECTIONS_OF.get(value, ())}
        used |= {_SCHEMA, _LABEL} if self.labelled else {_SCHEMA}
        words = "".join(f"[{name}]{_sections()[name].template}" for name in sorted(used))
        return f"{self.name}@{hashlib.sha256((self.text + words + schema).encode()).hexdigest()[:8]}"

    def render(self, **values: str) -> Messages:
        """Return both messages with every placeholder filled in; values that the text does not name are left out.

        Raises:
            ValueError: a placeholder has no value.
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
def load(name: str, *, labelled: bool = False) -> Prompt[Any]:
    """Read the prompt `name` and fill in the rules of an expression.

    Args:
        name: one of NAMES.
        labelled: whether the row has a `source_label`. Only prompts with a `$part_note` differ by that.

    Raises:
        KeyError: `name` is none of NAMES.
    """
    reply = REPLIES[name]
    text = Path(__file__).with_name(f"{name}.txt").read_text(encoding="utf-8")
    labelled = labelled and "part_note" in Template(text).get_identifiers()
    return Prompt(name, Template(text).safe_substitute(PROMPT_VALUES), reply, labelled)


def schema_note(schema: Mapping[str, Any]) -> str:
    """Return the text that asks for JSON of a schema, for servers that do not enforce one."""
    return f"{_filled(_SCHEMA)}\n{json.dumps(schema)}"


def values_of(row: Row) -> dict[str, str]:
    """Return every value that a prompt may name and that `row` has by now, by the name of its placeholder."""
    values = {
        "caption_crop": row.caption_crop,
        "caption_masked": row.caption_masked,
        "conflict": row.conflict or (_filled("no_conflict") if row.verdict else None),
        "object_description": row.object_description or _as_measured(row),
        "scene_description": row.scene_description,
        "video_description": row.video_description,
        "expression": row.expression,
        "contradictions": "\n".join(map(_contradiction_line, row.contradictions)) or None,
        "video_times": _times(row.video_times_s),
        "lineup_times": _times(row.lineup_times_s),
        "lineup_count": str(len(row.lineup_shown)) if row.lineup_shown else None,
        **_confusion(row),
        "part_note": _part_note(row),
        "others": "\n".join(_other_lines(row)) or _filled("no_other"),
    }
    return {name: value for name, value in values.items() if value is not None}


_LABEL = "label"  # the section of values.txt for what an annotator called the object
_SCHEMA = "schema"  # that before the JSON schema
_DIFFER = tuple(f"differ_{fact}" for fact in ("colours", "first", "last", "size", "growth", "motion", "sight"))
# placeholder -> the sections of values.txt that its value is made of
_SECTIONS_OF = {
    "conflict": ("no_conflict",),
    "contradictions": ("wrong",),
    "video_times": ("moment",),
    "lineup_times": ("moment",),
    "confuser": ("other", "motion", "two_colours", "no_colour"),
    "differences": (*_DIFFER, "no_difference"),
    "part_note": ("part", "whole"),
    "others": ("other", "motion", "no_other", "two_colours", "no_colour"),
}


@cache
def _sections() -> dict[str, Template]:
    parts = re.split(r"^\[(\w+)\]$", Path(__file__).with_name("values.txt").read_text(encoding="utf-8"), flags=re.M)
    return {name: Template(text.strip()) for name, text in zip(parts[1::2], parts[2::2], strict=True)}


def _filled(section: str, **values: str) -> str:
    return _sections()[section].substitute(values)


def _part_note(row: Row) -> str:
    note = _filled("part" if row.part_of else "whole")
    return f"{note}\n{_filled(_LABEL, label=noun_of(row.source_label))}" if row.source_label else note


def _times(times_s: Sequence[float]) -> str | None:
    return ", ".join(_filled("moment", time_s=f"{time_s:.1f}") for time_s in times_s) or None


def _contradiction_line(found: Contradiction) -> str:
    return _filled("wrong", kind=found.kind, claim=found.claim, measured=found.measured)


def _other_lines(row: Row) -> Iterator[str]:
    """Yield a line for every other object of the video."""
    return (_other_line(facts) for facts in row.sibling_facts if facts.object_id != row.object_id)


def _other_line(facts: Facts) -> str:
    """Return a line about an object; it leaves out what is not known of the object."""
    names = [colour.name for colour in facts.colours[:2]] if facts.colours_known else []
    colours = _filled("two_colours", first=names[0], second=names[1]) if len(names) == 2 else "".join(names)
    return _filled(
        "other",
        object_id=facts.object_id,
        colours=colours or _filled("no_colour"),
        size=facts.size,
        place=facts.place_start,
        motion=_filled("motion", motion=facts.motion) if facts.motion_known else "",
    )


def _as_measured(row: Row) -> str | None:
    """Return what is known of an object that nobody here described, because its text was given; None for others.

    It is a line as those on the other objects, so prompts that name them have its words in their ids.
    """
    return _other_line(row.facts) if row.given_texts and row.facts else None


def _confusion(row: Row) -> dict[str, str | None]:
    """Return what a repair is told of the object that a text was confused with; nothing if there is none."""
    confuser = row.lineup.runner_up if row.lineup else None
    other = next((facts for facts in row.sibling_facts if facts.object_id == confuser), None)
    if row.lineup is None or row.facts is None or other is None:
        return {}
    said = [heat.evidence for trial in row.lineup.trials for heat in trial.heats if confuser in heat.picked]
    lines = (_filled(each.section, own=each.own, other=each.other) for each in differences(row.facts, other))
    return {
        "confuser": _other_line(other),
        "differences": "\n".join(lines) or _filled("no_difference"),
        "evidence": said[0] if said else None,
    }
