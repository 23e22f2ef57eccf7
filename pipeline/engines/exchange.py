"""What goes to a model and what comes back, whoever carries it: nothing of the `openai` package is needed here."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Request:
    """One question: system text, pictures (JPEG) and then the instruction, and the JSON schema of the answer."""

    model: str
    system: str
    pictures: tuple[bytes, ...] = field(repr=False)
    user: str
    schema_name: str
    schema: dict[str, Any]
    temperature: float
    top_p: float
    seed: int
    max_tokens: int


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came back; whether it is worth anything is not judged here.

    Attributes:
        text: the JSON object that was asked for, or all that was said if there is none in it.
        finish_reason: stop, length, content_filter, or the server's own word for another end.
        refusal: what the server or the model said instead of an answer.
        tokens_in: tokens of the question.
        tokens_cached: those of them that the engine had in its prefix cache.
        tokens_out: tokens of the answer.
        seconds_s: from sending to the whole answer.
        resent: times that the request was sent again.
        forms: in which ways the answer differs from a plain one, see `pipeline/engines/reading.py`.
    """

    text: str
    finish_reason: str
    refusal: str | None = None
    tokens_in: int = 0
    tokens_cached: int = 0
    tokens_out: int = 0
    seconds_s: float = 0.0
    resent: int = 0
    forms: tuple[str, ...] = ()
