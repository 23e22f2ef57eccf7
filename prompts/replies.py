"""One reply class for every prompt: an engine enforces its JSON schema, and the same class parses the answer.

Schemas are strict in OpenAI's sense, so that any server takes them: every property is required and has no default, no
other property is allowed, and they hold nothing but types, enums and descriptions. Lengths and beginnings are checked
here instead, because a `maxLength` costs xgrammar seconds to compile and up to 60 ms a token instead of 0.01 ms, and
makes it ignore a `pattern` of the same string. `max_tokens` ends a text that would not end.

The docstrings and descriptions of the replies are part of their schemas: models read them, and a prompt's id changes
with them.
"""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from manifests.expression import (
    MAX_AMBIGUOUS_IDS,
    MAX_SHORT_WORDS,
    MAX_WORDS,
    MIN_SHORT_WORDS,
    MIN_WORDS,
    OBJECT_OPENING,
    check_form,
)

_MAX_CHARS = 1200  # three sentences have 200 to 500
_MAX_SHORT_CHARS = 240  # 20 words have about 120
MAX_SHORT_TEXTS = 3


def _check_length(text: str) -> str:
    if len(text) > _MAX_CHARS:
        raise ValueError(f"must have at most {_MAX_CHARS} characters, has {len(text)}")
    return text


def _check_not_empty(text: str) -> str:
    if not text:
        raise ValueError("must not be empty")
    return text


def _check_expression(text: str) -> str:
    check_form(text)
    return text


def _check_id_count(ids: list[str]) -> list[str]:
    if len(ids) > MAX_AMBIGUOUS_IDS:
        raise ValueError(f"must have at most {MAX_AMBIGUOUS_IDS} ids, has {len(ids)}")
    return ids


def _once_each(numbers: list[int]) -> list[int]:
    return sorted(set(numbers))


def _check_short_length(text: str) -> str:
    if len(text) > _MAX_SHORT_CHARS:
        raise ValueError(f"must have at most {_MAX_SHORT_CHARS} characters, has {len(text)}")
    return text


def _check_text_count(texts: list[str]) -> list[str]:
    if len(texts) > MAX_SHORT_TEXTS:
        raise ValueError(f"must have at most {MAX_SHORT_TEXTS} texts, has {len(texts)}")
    return texts


Note = Annotated[str, StringConstraints(strip_whitespace=True), AfterValidator(_check_length)]
Id = Annotated[str, StringConstraints(strip_whitespace=True), AfterValidator(_check_not_empty)]
Text = Annotated[
    str, StringConstraints(strip_whitespace=True), AfterValidator(_check_not_empty), AfterValidator(_check_length)
]
ShortPhrase = Annotated[
    str,
    StringConstraints(strip_whitespace=True),
    AfterValidator(_check_not_empty),
    AfterValidator(_check_short_length),
]
ExpressionText = Annotated[str, StringConstraints(strip_whitespace=True), AfterValidator(_check_expression)]


class Reply(BaseModel):
    """The base of all replies: an immutable JSON object, whose fields a model writes in the order of the class."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Caption(Reply):
    """What one picture shows of the object."""

    caption: Text = Field(description="one to three sentences about the object alone")


class Consistency(Reply):
    """Whether two captions are about one thing, and what they say together; the evidence comes before the verdict."""

    conflict: Note = Field(description="the claims that contradict each other, quoted; empty if there are none")
    verdict: Literal["consistent", "inconsistent", "unrecognizable"] = Field(
        description="inconsistent: not about one thing; unrecognizable: it cannot be told what it is"
    )
    object_description: Note = Field(
        description=f"if consistent, one or two sentences beginning with '{OBJECT_OPENING}'; else empty"
    )

    @model_validator(mode="after")
    def _check_description(self) -> "Consistency":
        if self.verdict == "consistent" and not self.object_description:
            raise ValueError("a consistent verdict needs an object_description, got an empty one")
        return self


class Scene(Reply):
    """The object among what surrounds it."""

    description: Text = Field(description="one to three sentences: where it is, next to what, in which setting")


class Video(Reply):
    """What the object does from beginning to end."""

    description: Text = Field(description="one to three sentences: its movement and actions in order of time")


class Expression(Reply):
    """The referring expression, and the objects that it cannot be told from."""

    expression: ExpressionText = Field(
        description=f"{MIN_WORDS} to {MAX_WORDS} words in three parts, beginning with '{OBJECT_OPENING}'"
    )
    ambiguous_with: Annotated[list[Id], AfterValidator(_check_id_count)] = Field(
        description="ids of other listed objects that the expression fits just as well; empty if there are none"
    )


class Pick(Reply):
    """Which of the numbered objects a text means; the evidence comes before the answer."""

    evidence: Note = Field(description="for each object that may be meant: its number, what fits and what does not")
    numbers: Annotated[list[Literal[1, 2, 3, 4, 5, 6, 7, 8, 9]], AfterValidator(_once_each)] = Field(
        description="the number of the object that the text fits; several if it fits them equally; empty if none"
    )


class Shortenings(Reply):
    """Short texts for the same object, the shortest first."""

    texts: Annotated[list[ShortPhrase], AfterValidator(_check_text_count)] = Field(
        description=f"up to {MAX_SHORT_TEXTS} noun phrases of {MIN_SHORT_WORDS} to {MAX_SHORT_WORDS} words"
    )


REPLIES: dict[str, type[Reply]] = {
    "caption_crop": Caption,
    "caption_masked": Caption,
    "check_consistency": Consistency,
    "repair_object": Consistency,
    "describe_scene": Scene,
    "describe_video": Video,
    "compose_expression": Expression,
    "repair_expression": Expression,
    "lineup": Pick,
    "repair_lineup": Expression,
    "shorten_expression": Shortenings,
}

JUDGED = ("lineup",)  # prompts that are sent to the judge, and not to the models that write
