"""Reads what a server sent, in any of the forms that OpenAI-compatible servers use, into one `ChatReply`.

A body is a completion or a stream of its pieces (server-sent events), whatever its header says. A reply in an unusual
form is read and the form is named, because most of them say that a setting of the server is wrong: a reasoning
parser that is missing, a schema that is not enforced.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.engines.server_errors import ServerError, is_page, whole_characters, words_of

BOM = "byte order mark"
EXTRA = "extra keys"
FENCE = "markdown fence"
NO_FINISH = "no finish reason"
NO_USAGE = "no usage figures"
PARTS = "content as a list of parts"
REASONING = "JSON in the reasoning field"
THINK = "think block"
TOOL = "JSON in a tool call"
WORDS = "words around the JSON"
WRAPPED = "JSON inside JSON"

_STOPS = ("stop",)
_LENGTHS = ("length", "max_tokens", "max_output_tokens", "max_length", "model_length", "token_limit")
_FILTERS = ("content_filter", "safety", "prohibited_content", "blocklist", "recitation", "spii", "sensitive")
_ABORTS = ("abort", "aborted", "cancelled", "canceled", "error", "timeout", "eject")
_THOUGHT_ENDS = re.compile(
    r"(?:</\s*(?:think|thinking|thought|thoughts|reasoning|reflection|analysis)\s*>|\[/THINK\]|◁/think▷"
    r"|<\|end_of_thought\|>|<\|channel\|>\s*final\s*(?:<\|constrain\|>\s*\w+\s*)?<\|message\|>)",
    re.IGNORECASE,
)
_FENCED = re.compile(r"(?s)(?:```|~~~)[ \t]*[\w+-]*[ \t]*\r?\n?(.*?)(?:```|~~~)")
_MOST_BRACES = 300  # a text of nothing but braces is not searched to its end
_MOST_TOKENS = 2**53  # a figure beyond is nonsense, and no column can hold it
_FIGURES = (("prompt_tokens", "input_tokens"), ("completion_tokens", "output_tokens"))
_LINE_END = re.compile(r"\r\n|\n|\r")  # of a stream's lines; U+2028 and the like may stand in a text
_THOUGHT_BEGINS = re.compile(r"<\s*(?:\w+:)?(?:think|thinking|thought|thoughts|reasoning)\s*>", re.IGNORECASE)
_REASONING_FIELDS = ("reasoning_content", "reasoning", "thinking", "thoughts")
_DECODER = json.JSONDecoder(strict=False)  # a line break inside a string is forgiven


@dataclass(frozen=True, kw_only=True)
class ChatReply:
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


def read_reply(body: bytes, properties: Sequence[str]) -> ChatReply:
    """Read the body of a response with status 200.

    Args:
        body: all of it.
        properties: names of the reply's fields; of several JSON objects, the last that has them is the reply.

    Returns:
        The answer. `finish_reason` is "stop" if the server says so in any of its words, or says nothing or something
        unknown beside a whole JSON object.

    Raises:
        ServerError: The body holds an error, a web page or no completion.
    """
    forms: list[str] = []
    choice, usage = _completion(body)
    message = choice.get("message")
    message = message if isinstance(message, dict) else {}
    content = whole_characters(_text(message.get("content", choice.get("text")), forms))
    found = _reply(content, properties, forms)
    for form, text in ((REASONING, _first(message, _REASONING_FIELDS)), (TOOL, _arguments(message))):
        if found is None and text and not content.strip() and (found := _reply(text, properties, [])) is not None:
            forms.append(form)
    refusal = message.get("refusal")
    figures = [_figure(usage.get(name, usage.get(other))) for name, other in _FIGURES]
    if None in figures:
        forms.append(NO_USAGE)
    details = usage.get("prompt_tokens_details")
    return ChatReply(
        text=_after_thought(content).strip() if found is None else found,
        finish_reason=_finish(choice.get("finish_reason"), found is not None, forms),
        refusal=whole_characters(refusal) if isinstance(refusal, str) and refusal else None,
        tokens_in=figures[0] or 0,
        tokens_out=figures[1] or 0,
        tokens_cached=_figure(details.get("cached_tokens") if isinstance(details, dict) else None) or 0,
        forms=tuple(dict.fromkeys(forms)),
    )


def is_whole(body: bytes) -> bool:
    """Tell whether a stream of events came to its end; true of any other body."""
    text = _decoded(body)
    if not _is_stream(text):
        return True
    return "[DONE]" in text[-40:] or any(_of_first_choice(event, "finish_reason") for event in _events(text))


def ends_itself(body: bytes) -> bool:
    """Tell whether a body is a stream of events that came to its end, whatever the connection did."""
    return _is_stream(_decoded(body)) and is_whole(body)


def _completion(body: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    """The first choice and the usage figures."""
    text = _decoded(body)
    if _is_stream(text):
        completion = _joined(list(_events(text)))
    else:
        try:
            completion = json.loads(text)
        except (ValueError, RecursionError) as error:
            told = "a web page" if is_page(body) else "no JSON"
            raise ServerError(words_of(body), f"answers with {told}", page=is_page(body), broken=True) from error
    completion = completion if isinstance(completion, dict) else {}
    choices = completion.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        told = "answers without a completion"
        raise ServerError(words_of(body), told, code=_code(completion), broken=not _is_error(completion))
    if choices[0].get("error"):  # a gateway whose host failed in the middle of an answer
        failed = {"error": choices[0]["error"]}
        raise ServerError(words_of(json.dumps(failed)), "ends with an error", code=_code(failed))
    usage = completion.get("usage")
    return choices[0], usage if isinstance(usage, dict) else {}


def _decoded(body: bytes) -> str:
    return body.decode("utf-8-sig", errors="replace").strip()


def _is_stream(text: str) -> bool:
    return text.startswith(("data:", "event:", "id:", "retry:", ":"))


def _events(text: str) -> Iterator[dict[str, Any]]:
    """The JSON objects of a stream of server-sent events."""
    for line in _LINE_END.split(text):
        if line.startswith("data:") and (data := line[5:].strip()) and data != "[DONE]":
            try:
                event = json.loads(data)
            except (ValueError, RecursionError):
                continue
            if isinstance(event, dict):
                yield event


def _is_error(event: dict[str, Any]) -> bool:
    """Tell whether an object is about an error: it has one, or has words and no choices."""
    words = any(event.get(name) for name in ("message", "detail", "errors"))
    return bool(event.get("error")) or ("choices" not in event and words)


def _of_first_choice(event: dict[str, Any], name: str) -> Any:
    choices = event.get("choices")
    return choices[0].get(name) if isinstance(choices, list) and choices and isinstance(choices[0], dict) else None


def _joined(events: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The completion whose pieces the events are; the event of an error, if there is one."""
    if error := next(filter(_is_error, events), None):
        return {name: value for name, value in error.items() if name != "choices"}
    said: dict[str, list[Any]] = {}
    arguments: list[str] = []
    choice: dict[str, Any] = {}
    usage: Any = None
    for event in events:
        usage = event.get("usage") or usage
        if finish := _of_first_choice(event, "finish_reason"):
            choice["finish_reason"] = finish
        piece = _of_first_choice(event, "delta") or _of_first_choice(event, "message")
        piece = dict(piece) if isinstance(piece, dict) else {}
        if text := _of_first_choice(event, "text"):
            piece.setdefault("content", text)
        for name in ("content", "refusal", *_REASONING_FIELDS):
            if value := piece.get(name):
                said.setdefault(name, []).append(value)
        if called := _arguments(piece):
            arguments.append(called)
    message: dict[str, Any] = {name: _pieced(values) for name, values in said.items()}
    if arguments:
        message["tool_calls"] = [{"function": {"arguments": "".join(arguments)}}]
    pieces = any(isinstance(event.get("choices"), list) and event["choices"] for event in events)
    return {"choices": [{**choice, "message": message}], "usage": usage} if pieces else {}


def _pieced(values: list[Any]) -> Any:
    if all(isinstance(value, str) for value in values):
        return "".join(values)
    return [part for value in values for part in (value if isinstance(value, list) else [value])]


def _text(content: Any, forms: list[str]) -> str:
    if isinstance(content, dict):
        content = [content] if "type" in content or "text" in content else json.dumps(content)
    if not isinstance(content, list):
        return content if isinstance(content, str) else ""
    forms.append(PARTS)
    texts = [
        part if isinstance(part, str) else _first(part, ("text", "content")) for part in content if not _muses(part)
    ]
    return "".join(texts)


def _muses(part: Any) -> bool:
    return isinstance(part, dict) and part.get("type") in ("thinking", "reasoning", "redacted_thinking")


def _first(values: Any, names: Sequence[str]) -> str:
    """The first of some fields that holds a text."""
    found = (values.get(name) for name in names) if isinstance(values, dict) else ()
    return next((text for text in found if isinstance(text, str) and text), "")


def _arguments(message: dict[str, Any]) -> str:
    calls = message.get("tool_calls")
    call = calls[0] if isinstance(calls, list) and calls else {"function": message.get("function_call")}
    function = call.get("function") if isinstance(call, dict) else None
    arguments = function.get("arguments") if isinstance(function, dict) else None
    return json.dumps(arguments) if isinstance(arguments, dict) else arguments if isinstance(arguments, str) else ""


def _reply(text: str, properties: Sequence[str], forms: list[str]) -> str | None:
    """The JSON object that was asked for, as text; None if there is none. Adds to `forms` how it was found."""
    if "\ufeff" in text[:2]:
        forms.append(BOM)
    text = text.strip(" \t\r\n\ufeff\u200b\x00")
    if (whole := _object(text)) is not None:
        return _only(whole, text, properties, forms)
    said = _after_thought(text)
    if said != text:
        forms.append(THINK)
        if (whole := _object(said)) is not None:
            return _only(whole, None, properties, forms)
    for form, candidates in (
        (FENCE, [each for part in _FENCED.findall(said) if (each := _object(part)) is not None]),
        (WORDS, list(_objects(said))),
    ):
        if _THOUGHT_BEGINS.match(said) and not said.rstrip("`~ \r\n").endswith("}"):
            return None  # thoughts that did not come to their end: what stands in them is a draft
        if candidates:
            forms.append(form)
            fitting = [each for each in candidates if set(properties) <= each.keys()]
            return _only((fitting or candidates)[-1], None, properties, forms)
    return None


def _after_thought(text: str) -> str:
    """What is said after the last end of a block of thoughts."""
    ends = [found.end() for found in _THOUGHT_ENDS.finditer(text)]
    return text[ends[-1] :] if ends else text


def _object(text: str) -> dict[str, Any] | None:
    """`text` as a JSON object, also one that stands in a string or alone in a list."""
    try:
        value, end = _DECODER.raw_decode(text.strip())
    except (ValueError, RecursionError):
        return None
    if end < len(text.strip()):
        return None
    if isinstance(value, str):
        return _object(value) if value.lstrip().startswith("{") else None
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    return value if isinstance(value, dict) else None


def _objects(text: str) -> Iterator[dict[str, Any]]:
    """The outermost JSON objects that stand among words."""
    at = text.find("{")
    for _ in range(_MOST_BRACES):
        if at < 0:
            return
        try:
            value, end = _DECODER.raw_decode(text, at)
        except (ValueError, RecursionError):
            at = text.find("{", at + 1)
            continue
        if isinstance(value, dict) and value:
            yield value
        at = text.find("{", end)


def _only(value: dict[str, Any], text: str | None, properties: Sequence[str], forms: list[str]) -> str:
    """The object without what was not asked for; as it was sent if it is just that."""
    if len(value) == 1 and not value.keys() & set(properties):
        (inner,) = value.values()
        if isinstance(inner, dict) and inner.keys() & set(properties):
            forms.append(WRAPPED)
            value, text = inner, None
    wanted = {name: value[name] for name in properties if name in value}
    if wanted and len(wanted) < len(value):
        forms.append(EXTRA)
        value, text = wanted, None
    return text if text is not None and text.startswith("{") else json.dumps(value)


def _finish(word: Any, whole: bool, forms: list[str]) -> str:
    """How the answer ended, in OpenAI's words where the server's can be understood."""
    word = word.get("type") if isinstance(word, dict) else word
    told = whole_characters(str(word)) if word else ""
    plain = told.lower().removeprefix("finish_reason_")
    if plain in _LENGTHS:
        return "length"
    if plain in _FILTERS:
        return "content_filter"
    if told in _STOPS:
        return "stop"
    if plain in _STOPS or (whole and plain not in _ABORTS):
        forms.append(f"finish reason {told!r}" if told else NO_FINISH)
        return "stop"
    return told or "no reason"


def _figure(value: Any) -> int | None:
    """A number of tokens; None if it is none."""
    try:
        figure = int(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return figure if 0 <= figure <= _MOST_TOKENS and not isinstance(value, bool) else None


def _code(completion: Any) -> int | None:
    error = completion.get("error") if isinstance(completion, dict) else None
    codes = [each.get("code") for each in (error, completion) if isinstance(each, dict)]
    return next((code for value in codes if (code := _figure(value)) is not None), None)
