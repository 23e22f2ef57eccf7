"""Whether a model's answer can be used: parsed by the reply's own class, and free of the faults that models have."""

import re
import zlib
from collections import Counter
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from manifests.schema import Reason
from pipeline.engines.chat import Answer
from prompts import Prompt
from prompts.replies import Caption, Expression
from stages.compose_expression import marker_leak

R = TypeVar("R", bound=BaseModel)

MIN_WORDS, MAX_WORDS = 60, 110  # of an expression; the paper's mean is 83.6
_REFUSALS = re.compile(
    r"\b(?:I(?:'m| am) (?:sorry|unable|not able)|I (?:can(?:no|')t|won't|must decline|do not feel comfortable)"
    r"|(?:as|being) an AI|(?:cannot|can't|unable to) (?:assist|help|comply|fulfil))",
    re.IGNORECASE,
)
_LOOP_WORDS, _LOOP_TIMES = 4, 4  # so many words in a row, so many times: no good text does that
_SQUEEZED_FRAC, _SQUEEZED_BYTES = 0.2, 200  # English packs to 0.4 to 0.6 of its size at such lengths; loops to 0.05


class FaultError(Exception):
    """The answer cannot be used; `reason` is what its row ends with if every answer has that fault."""

    def __init__(self, reason: Reason, what: str) -> None:
        super().__init__(what)
        self.reason = reason


def usable(prompt: Prompt[R], answer: Answer) -> R:
    """The reply in `answer`.

    Raises:
        FaultError: there is none that could be used.
    """
    if answer.refusal or answer.finish_reason == "content_filter":
        raise FaultError(Reason.REFUSED, f"refused: {answer.refusal or answer.text!r}")
    if answer.finish_reason != "stop":
        raise FaultError(Reason.BAD_REPLY, f"ended by {answer.finish_reason!r} after {answer.tokens_out} tokens")
    if not answer.text.strip():
        raise FaultError(Reason.BAD_REPLY, "empty")
    try:
        reply = prompt.reply.model_validate_json(answer.text)
    except ValidationError as error:
        if _REFUSALS.search(answer.text):
            raise FaultError(Reason.REFUSED, f"refused: {answer.text[:200]!r}") from error
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise FaultError(Reason.BAD_REPLY, f"{where}: {first['msg']}" if where else first["msg"]) from error
    for name, text in reply:
        if isinstance(text, str):
            _check_text(prompt, name, text)
    return reply


def _check_text(prompt: Prompt[R], name: str, text: str) -> None:
    if refusal := _REFUSALS.search(text):
        raise FaultError(Reason.REFUSED, f"refused in {name}: {refusal.group()!r}")
    if loop := _loop(text):
        raise FaultError(Reason.BAD_REPLY, f"{name} repeats itself: {loop!r}")
    if name in ("conflict", "verdict"):
        return
    if prompt.reply is not Caption and (leak := marker_leak(text)):
        raise FaultError(Reason.MARKER_LEAK, f"{name} speaks of how the object was shown: {leak!r}")
    if prompt.reply is Expression and not MIN_WORDS <= (words := len(text.split())) <= MAX_WORDS:
        raise FaultError(Reason.BAD_REPLY, f"{name} must have {MIN_WORDS} to {MAX_WORDS} words, has {words}")


def _loop(text: str) -> str | None:
    """Words that come again and again, or the end of a text that hardly says anything new; None in a good text."""
    words = text.casefold().split()
    runs = Counter(zip(*(words[at:] for at in range(_LOOP_WORDS)), strict=False))
    if runs and (most := runs.most_common(1)[0])[1] >= _LOOP_TIMES:
        return " ".join(most[0])
    raw = text.encode()
    squeezed = len(raw) >= _SQUEEZED_BYTES and len(zlib.compress(raw)) < _SQUEEZED_FRAC * len(raw)
    return text[-40:] if squeezed else None
