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
    """What came back; `text` is not judged here."""

    text: str
    finish_reason: str  # stop, length, content_filter …; "no completion" if the body was none
    refusal: str | None = None
    tokens_in: int = 0
    tokens_cached: int = 0
    tokens_out: int = 0
    seconds_s: float = 0.0
    resent: int = 0
