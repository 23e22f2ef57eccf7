"""Reads the response of a server, in any of the forms that OpenAI-compatible servers use, into one `ChatReply`.

The body of a response is a completion or a stream of its pieces (server-sent events), whatever its header says. A reply
in an unusual form is read, and the form is named: most of these forms mean that a setting of the server is wrong, such
as a missing reasoning parser or a schema that is not enforced.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.engines.server_errors import ServerError, is_page, join_surrogates, words_of

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
_MOST_BRACES = 300  # bounds the search in a text full of braces
_MOST_TOKENS = 2**53  # no column can hold a larger number
_FIGURES = (("prompt_tokens", "input_tokens"), ("completion_tokens", "output_tokens"))
_LINE_END = re.compile(r"\r\n|\n|\r")  # ends a line of a stream; U+2028 and the like may be part of a text
_THOUGHT_BEGINS = re.compile(r"<\s*(?:\w+:)?(?:think|thinking|thought|thoughts|reasoning)\s*>", re.IGNORECASE)
_REASONING_FIELDS = ("reasoning_content", "reasoning", "thinking", "thoughts")
_DECODER = json.JSONDecoder(strict=False)  # accepts a line break inside a string


@dataclass(frozen=True, kw_only=True)
class ChatReply:
    """The reply to one request; whether it can be used is not judged here.

    Attributes:
        text: the JSON object that was asked for, or the whole text if there is none in it.
        finish_reason: stop, length, content_filter, or the server's own word for another end.
        refusal: what the server or the model said instead of replying.
        tokens_in: tokens of the request.
        tokens_cached: tokens of the request that the engine had in its prefix cache.
        tokens_out: tokens of the reply.
        seconds_s: time from sending the request to the end of the reply.
        resent: how often the request was sent again.
        forms: names, from the constants above, of the ways in which the reply differs from a plain one.
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
        body: the whole body.
        properties: names of the fields that were asked for; of several JSON objects, the last that has them is taken.

    Returns:
        The reply. `finish_reason` is "stop" if the server says so in any of the usual words, or if it says nothing, or
        something unknown, and the JSON object is complete.

    Raises:
        ServerError: the body is an error, a web page or something else without a completion.
    """
    forms: list[str] = []
    choice, usage = _completion(body)
    message = choice.get("message")
    message = message if isinstance(message, dict) else {}
    content = join_surrogates(_text(message.get("content", choice.get("text")), forms))
    reply = _reply(content, properties, forms)
    for form, text in ((REASONING, _first(message, _REASONING_FIELDS)), (TOOL, _arguments(message))):
        if reply is None and text and not content.strip() and (reply := _reply(text, properties, [])) is not None:
            forms.append(form)
    refusal = message.get("refusal")
    figures = [_figure(usage.get(name, usage.get(other))) for name, other in _FIGURES]
    if None in figures:
        forms.append(NO_USAGE)
    details = usage.get("prompt_tokens_details")
    return ChatReply(
        text=_after_thought(content).strip() if reply is None else reply,
        finish_reason=_finish(choice.get("finish_reason"), reply is not None, forms),
        refusal=join_surrogates(refusal) if isinstance(refusal, str) and refusal else None,
        tokens_in=figures[0] or 0,
        tokens_out=figures[1] or 0,
        tokens_cached=_figure(details.get("cached_tokens") if isinstance(details, dict) else None) or 0,
        forms=tuple(dict.fromkeys(forms)),
    )


def is_whole(body: bytes) -> bool:
    """Tell whether a stream of events is complete; True for any other body."""
    text = _decoded(body)
    if not _is_stream(text):
        return True
    return "[DONE]" in text[-40:] or any(_of_first_choice(event, "finish_reason") for event in _events(text))


def ends_itself(body: bytes) -> bool:
    """Tell whether a body is a stream of events that is complete, even if the connection was not closed properly."""
    return _is_stream(_decoded(body)) and is_whole(body)


def _completion(body: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the first choice of a completion, and its token counts."""
    text = _decoded(body)
    if _is_stream(text):
        completion = _joined(list(_events(text)))
    else:
        try:
            completion = json.loads(text)
        except (ValueError, RecursionError) as error:
            what = "a web page" if is_page(body) else "no JSON"
            raise ServerError(words_of(body), f"answers with {what}", page=is_page(body), broken=True) from error
    completion = completion if isinstance(completion, dict) else {}
    choices = completion.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        what = "answers without a completion"
        raise ServerError(words_of(body), what, code=_code(completion), broken=not _is_error(completion))
    if choices[0].get("error"):  # from a gateway whose host failed in the middle of a reply
        failed = {"error": choices[0]["error"]}
        raise ServerError(words_of(json.dumps(failed)), "ends with an error", code=_code(failed))
    usage = completion.get("usage")
    return choices[0], usage if isinstance(usage, dict) else {}


def _decoded(body: bytes) -> str:
    return body.decode("utf-8-sig", errors="replace").strip()


def _is_stream(text: str) -> bool:
    return text.startswith(("data:", "event:", "id:", "retry:", ":"))


def _events(text: str) -> Iterator[dict[str, Any]]:
    """Yield the JSON objects of a stream of server-sent events."""
    for line in _LINE_END.split(text):
        if line.startswith("data:") and (data := line[5:].strip()) and data != "[DONE]":
            try:
                event = json.loads(data)
            except (ValueError, RecursionError):
                continue
            if isinstance(event, dict):
                yield event


def _is_error(event: dict[str, Any]) -> bool:
    """Tell whether a JSON object is an error: it has the field `error`, or a message and no choices."""
    words = any(event.get(name) for name in ("message", "detail", "errors"))
    return bool(event.get("error")) or ("choices" not in event and words)


def _of_first_choice(event: dict[str, Any], name: str) -> Any:
    choices = event.get("choices")
    return choices[0].get(name) if isinstance(choices, list) and choices and isinstance(choices[0], dict) else None


def _joined(events: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Join the events of a stream to one completion; if one of them is an error, return that."""
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
    """Return the first text among some fields; empty if none holds a text."""
    texts = (values.get(name) for name in names) if isinstance(values, dict) else ()
    return next((text for text in texts if isinstance(text, str) and text), "")


def _arguments(message: dict[str, Any]) -> str:
    calls = message.get("tool_calls")
    call = calls[0] if isinstance(calls, list) and calls else {"function": message.get("function_call")}
    function = call.get("function") if isinstance(call, dict) else None
    arguments = function.get("arguments") if isinstance(function, dict) else None
    return json.dumps(arguments) if isinstance(arguments, dict) else arguments if isinstance(arguments, str) else ""


def _reply(text: str, properties: Sequence[str], forms: list[str]) -> str | None:
    """Return the JSON object that was asked for, as text; None if there is none. Adds to `forms` where it stood."""
    if "\ufeff" in text[:2]:
        forms.append(BOM)
    text = text.strip(" \t\r\n\ufeff\u200b\x00")
    if (value := _object(text)) is not None:
        return _only(value, text, properties, forms)
    said = _after_thought(text)
    if said != text:
        forms.append(THINK)
        if (value := _object(said)) is not None:
            return _only(value, None, properties, forms)
    for form, candidates in (
        (FENCE, [value for part in _FENCED.findall(said) if (value := _object(part)) is not None]),
        (WORDS, list(_objects(said))),
    ):
        if _THOUGHT_BEGINS.match(said) and not said.rstrip("`~ \r\n").endswith("}"):
            return None  # reasoning that was cut off: the JSON in it is a draft
        if candidates:
            forms.append(form)
            fitting = [value for value in candidates if set(properties) <= value.keys()]
            return _only((fitting or candidates)[-1], None, properties, forms)
    return None


def _after_thought(text: str) -> str:
    """Return what follows the last end of a block of reasoning; all if there is none."""
    ends = [match.end() for match in _THOUGHT_ENDS.finditer(text)]
    return text[ends[-1] :] if ends else text


def _object(text: str) -> dict[str, Any] | None:
    """Read `text` as a JSON object, also if that is inside a JSON string or alone in a list; None if it is none."""
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
    """Yield the outermost JSON objects in a text."""
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
    """Return the object, as JSON, without fields that were not asked for; unchanged, as `text`, if it has none."""
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


def _finish(word: Any, has_object: bool, forms: list[str]) -> str:
    """Translate the server's finish reason to OpenAI's words, where it is known."""
    word = word.get("type") if isinstance(word, dict) else word
    reason = join_surrogates(str(word)) if word else ""
    plain = reason.lower().removeprefix("finish_reason_")
    if plain in _LENGTHS:
        return "length"
    if plain in _FILTERS:
        return "content_filter"
    if reason in _STOPS:
        return "stop"
    if plain in _STOPS or (has_object and plain not in _ABORTS):
        forms.append(f"finish reason {reason!r}" if reason else NO_FINISH)
        return "stop"
    return reason or "no reason"


def _figure(value: Any) -> int | None:
    """Read a number of tokens; None if the value is not a number."""
    try:
        figure = int(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return figure if 0 <= figure <= _MOST_TOKENS and not isinstance(value, bool) else None


def _code(completion: Any) -> int | None:
    error = completion.get("error") if isinstance(completion, dict) else None
    codes = [holder.get("code") for holder in (error, completion) if isinstance(holder, dict)]
    return next((code for value in codes if (code := _figure(value)) is not None), None)
