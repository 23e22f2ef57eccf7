"""One reply class for each prompt: its JSON schema is enforced by the engine, and the same class parses the answer."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class Reply(BaseModel):
    """A model's whole answer to one prompt."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Caption(Reply):
    """What one picture shows of the object."""

    caption: Text = Field(description="one to three sentences about the object alone")


class Consistency(Reply):
    """Whether two captions are about one thing, and what they say together."""

    verdict: Literal["consistent", "inconsistent", "unrecognizable"] = Field(
        description="inconsistent: the captions contradict each other; unrecognizable: neither says what is there"
    )
    conflict: str = Field(description="the contradicting claims, quoted from both captions; empty if consistent")
    object_description: str = Field(description="one or two sentences that both captions support; else empty")


class Scene(Reply):
    """The object among what surrounds it."""

    description: Text = Field(description="one to three sentences: where it is, next to what, in which setting")


class Video(Reply):
    """What the object does from beginning to end."""

    description: Text = Field(description="one to three sentences: its movement and actions in order of time")


class Expression(Reply):
    """The referring expression, or the objects that it cannot be told from."""

    expression: Text = Field(description="60 to 110 words in three parts, beginning with 'The object is'")
    ambiguous_with: list[str] = Field(
        default_factory=list, description="ids of other listed objects that the expression fits just as well"
    )


REPLIES: dict[str, type[Reply]] = {
    "caption_crop": Caption,
    "caption_masked": Caption,
    "check_consistency": Consistency,
    "describe_scene": Scene,
    "describe_video": Video,
    "compose_expression": Expression,
}
