"""Whether a model's answer can be used: parsed by the reply's own class, and free of the faults that models have."""

import re
import unicodedata
import zlib
from collections import Counter
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import from_json

from manifests.schema import Reason
from pipeline.engines.reading import ChatReply
from prompts import Prompt
from prompts.replies import Caption, Consistency, Expression
from stages.compose_expression import marker_leak

R = TypeVar("R", bound=BaseModel)

MIN_WORDS, MAX_WORDS = 60, 110  # of an expression; the paper's mean is 83.6
# At the beginning only: a poster may read "I'm sorry", and a shirt that it cannot help.
_REFUSALS = re.compile(
    r"\W*(?:(?:sorry|unfortunately|apologies|no)\W+)*(?:but )?"
    r"(?:I(?:['’]m| am) (?:very |so |really )?(?:sorry|unable|not able|afraid)|I (?:apologi[sz]e|regret)"
    r"|I (?:can(?:no|['’])t|can not|won['’]t|will not|must decline|do(?: not|n['’]t) feel comfortable)"
    r"|(?:as|being) an? (?:AI|artificial intelligence|(?:large )?language model)"
    r"|(?:cannot|can['’]t|unable to) (?:assist|help|comply|fulfil))",
    re.IGNORECASE,
)
_LOOP_WORDS, _LOOP_TIMES = 4, 4  # so many words in a row, so many times: no good text does that
_SQUEEZED_FRAC, _SQUEEZED_BYTES = 0.4, 200  # English packs to 0.5 to 0.7 of its size at such lengths, loops to 0.2
_FEW_CHARACTERS, _ALTERNATING = 4, 2  # a text of so many characters has more than two different ones
_RUN = re.compile(r"(.)\1{7}|(..)\2{7}")  # eight times in a row: no word has that
_NO_TEXT = ("Cc", "Cn", "Co", "Cs")  # Unicode categories: control, not assigned, private use, half a pair
_FAULT_CHARACTERS = 300


class FaultError(Exception):
    """The answer cannot be used; `reason` is what its row ends with if every answer has that fault."""

    def __init__(self, reason: Reason, what: str) -> None:
        super().__init__(what[:_FAULT_CHARACTERS])
        self.reason = reason


def usable(prompt: Prompt[R], answer: ChatReply) -> R:
    """The reply in `answer`.

    Raises:
        FaultError: there is none that could be used.
    """
    if answer.refusal or answer.finish_reason == "content_filter":
        raise FaultError(Reason.REFUSED, f"refused: {answer.refusal or answer.text!r}")
    if not answer.text.startswith("{") and (one := _one_character(answer.text)):
        raise FaultError(Reason.BAD_REPLY, f"repeats itself: nothing but {one!r}: {answer.text[:40]!r}")
    if answer.finish_reason != "stop":
        raise FaultError(Reason.BAD_REPLY, f"ended by {answer.finish_reason!r} after {answer.tokens_out} tokens")
    if not answer.text.strip():
        raise FaultError(Reason.BAD_REPLY, "empty")
    try:
        reply = prompt.reply.model_validate_json(answer.text)
    except ValidationError as error:
        if any(_REFUSALS.match(text) for text in _texts(answer.text)):
            raise FaultError(Reason.REFUSED, f"refused: {answer.text!r}") from error
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise FaultError(Reason.BAD_REPLY, f"{where}: {first['msg']}" if where else first["msg"]) from error
    for name, text in reply:
        if isinstance(text, str):
            _check_characters(name, text)
            if name not in _unused(reply):
                _check_text(reply, name, text)
    return reply


def _texts(answer: str) -> list[str]:
    """The texts of an answer that does not fit: its strings if it is a JSON object all the same, else itself."""
    try:
        values = from_json(answer)
    except ValueError:
        return [answer]
    return [each for each in values.values() if isinstance(each, str)] if isinstance(values, dict) else [answer]


def _unused(reply: BaseModel) -> tuple[str, ...]:
    """Fields whose text does not describe the object: they may quote anything."""
    if not isinstance(reply, Consistency):
        return ()
    return ("verdict", "conflict") if reply.verdict == "consistent" else ("verdict", "conflict", "object_description")


def _check_characters(name: str, text: str) -> None:
    for each in text:
        if each == "\ufffd" or (unicodedata.category(each) in _NO_TEXT and not each.isspace()):
            raise FaultError(Reason.BAD_REPLY, f"{name} has a character that is no text: U+{ord(each):04X}")


def _check_text(reply: BaseModel, name: str, text: str) -> None:
    if refusal := _REFUSALS.match(text):
        raise FaultError(Reason.REFUSED, f"refused in {name}: {refusal.group()!r}")
    if one := _one_character(text):
        raise FaultError(Reason.BAD_REPLY, f"{name} repeats itself: nothing but {one!r}: {text[:40]!r}")
    if loop := _loop(text):
        raise FaultError(Reason.BAD_REPLY, f"{name} repeats itself: {loop!r}")
    if not isinstance(reply, Caption) and (leak := marker_leak(text)):
        raise FaultError(Reason.MARKER_LEAK, f"{name} speaks of how the object was shown: {leak!r}")
    if isinstance(reply, Expression) and not MIN_WORDS <= (words := len(text.split())) <= MAX_WORDS:
        raise FaultError(Reason.BAD_REPLY, f"{name} must have {MIN_WORDS} to {MAX_WORDS} words, has {words}")


def _one_character(text: str) -> str | None:
    """The character, or the two in turn, of which a text consists or which it repeats at length; None in a good text.

    Engines whose numbers overflow write "!!!!" (token 0) to the end.
    """
    said = "".join(text.split())
    if len(said) >= _FEW_CHARACTERS and len(set(said)) <= _ALTERNATING:
        return "".join(dict.fromkeys(said))
    run = _RUN.search(said)
    return (run.group(1) or run.group(2)) if run else None


def _loop(text: str) -> str | None:
    """Words that come again and again, or the end of a text that hardly says anything new; None in a good text."""
    words = text.casefold().split()
    runs = Counter(zip(*(words[at:] for at in range(_LOOP_WORDS)), strict=False))
    if runs and (most := runs.most_common(1)[0])[1] >= _LOOP_TIMES:
        return " ".join(most[0])
    raw = text.encode()
    squeezed = len(raw) >= _SQUEEZED_BYTES and len(zlib.compress(raw)) < _SQUEEZED_FRAC * len(raw)
    return text[-40:] if squeezed else None
