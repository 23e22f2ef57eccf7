"""One reply class for each prompt: its JSON schema is enforced by the engine, and the same class parses the answer.

Schemas are strict as OpenAI means it, so that any server takes them: every property is required, none has a default,
no other is allowed, and only types, enums and descriptions stand in them. Lengths and beginnings are checked here: a
`maxLength` costs xgrammar seconds to compile and up to 60 ms a token instead of 0.01 ms, and drops a `pattern` beside
it. An endless text is ended by `max_tokens`.
"""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

_MOST_CHARACTERS = 1200  # three sentences have 200 to 500
_MOST_OF_EXPRESSION = 1000  # 110 words have about 650
_MOST_IDS = 8
_BEGINNING = "The object is "


def _bounded(text: str) -> str:
    if len(text) > _MOST_CHARACTERS:
        raise ValueError(f"must have at most {_MOST_CHARACTERS} characters, has {len(text)}")
    return text


def _expression(text: str) -> str:
    if not text.startswith(_BEGINNING):
        raise ValueError(f"must begin with {_BEGINNING!r}, begins with {text[:30]!r}")
    if len(text) > _MOST_OF_EXPRESSION:
        raise ValueError(f"must have at most {_MOST_OF_EXPRESSION} characters, has {len(text)}")
    return text


def _said(text: str) -> str:
    if not text:
        raise ValueError("must not be empty")
    return text


def _few(ids: list[str]) -> list[str]:
    if len(ids) > _MOST_IDS:
        raise ValueError(f"must have at most {_MOST_IDS} ids, has {len(ids)}")
    return ids


Note = Annotated[str, StringConstraints(strip_whitespace=True), AfterValidator(_bounded)]
Id = Annotated[str, StringConstraints(strip_whitespace=True), AfterValidator(_said)]
Text = Annotated[str, StringConstraints(strip_whitespace=True), AfterValidator(_said), AfterValidator(_bounded)]
ExpressionText = Annotated[str, StringConstraints(strip_whitespace=True), AfterValidator(_expression)]


class Reply(BaseModel):
    """A model's whole answer to one prompt; the fields are written in their order."""

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
        description="if consistent, one or two sentences beginning with 'The object is'; else empty"
    )

    @model_validator(mode="after")
    def _described(self) -> "Consistency":
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

    expression: ExpressionText = Field(description="60 to 110 words in three parts, beginning with 'The object is'")
    ambiguous_with: Annotated[list[Id], AfterValidator(_few)] = Field(
        description="ids of other listed objects that the expression fits just as well; empty if there are none"
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
}
