"""A request to a model, and how it is written in the dialect of OpenAI's chat API that a server understands.

Servers differ in how they take a JSON schema, in the name of the length limit, and in which fields they know. The
preflight (`preflight.py`) finds out which dialect a server speaks; the key of a stored reply does not depend on it.
"""

import base64
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from prompts import schema_note

Format = Literal["json_schema", "json_object", "text"]
LengthField = Literal["max_tokens", "max_completion_tokens"]
_FORMATS: tuple[Format, ...] = ("json_schema", "json_object", "text")
_LENGTH_FIELDS: tuple[LengthField, ...] = ("max_tokens", "max_completion_tokens")
_RESERVED = ("model", "messages")  # the command's own options set these
# Fields that change how a reply is sent or billed, but not what it says: they are not part of a reply's key.
_TRANSPORT = (
    *("stream", "stream_options", "user", "metadata", "service_tier", "store", "priority", "request_id"),
    *("safety_identifier", "prompt_cache_key", "prompt_cache_retention", "session_id", "response_format"),
)
# Field -> pattern that finds it in an error message, in the order in which fields are given up.
_NAMED: tuple[tuple[str, str], ...] = (
    ("stream_options", r"stream_options|include_usage"),
    ("top_p", r"top_p|topp|nucleus"),
    ("seed", r"\bseed\b"),
    ("temperature", r"temperature"),
    ("length", r"max_tokens|max_completion_tokens"),
    ("format", r"response_format|json_schema|json_object|json mode|structured output|guided|grammar|schema|\bstrict\b"),
    (
        "system",
        r"(?:system|developer) (?:role|message|prompt|instruction)|role.{0,20}system"
        r"|(?:roles?|conversation) must alternate|messages\W+0\W+role|'system'|`system`",
    ),
    ("stream", r"\bstream(?:ing)?\b"),
)


@dataclass(frozen=True, kw_only=True)
class Request:
    """One request: system text, images (JPEG files), then the instruction, and the JSON schema of the reply."""

    model: str
    system: str
    images: tuple[bytes, ...] = field(repr=False)
    user: str
    schema_name: str
    schema: dict[str, Any]
    temperature: float
    top_p: float
    seed: int
    max_tokens: int


@dataclass(frozen=True, kw_only=True, slots=True)
class RequestFields:
    """Fields that the user sets in, or leaves out of, every request (`--request name=value`, `--request -name`)."""

    set: Mapping[str, Any] = field(default_factory=dict)
    leave_out: tuple[str, ...] = ()

    @property
    def deciding(self) -> dict[str, Any]:
        """The fields that can change a reply, for its key; a field that is left out counts as null."""
        values = {**dict(self.set), **dict.fromkeys(self.leave_out)}
        return {name: values[name] for name in sorted(values) if name not in _TRANSPORT}


@dataclass(frozen=True, kw_only=True, slots=True)
class Dialect:
    """How a server wants its requests.

    Attributes:
        format: json_schema: the server enforces the schema; json_object: it enforces JSON, and the schema is in the
            prompt; text: the schema is in the prompt, and nothing is enforced.
        length_field: name of the field for the greatest number of tokens of a reply.
        left_out: fields that it does not accept, of seed, temperature, top_p, stream, stream_options and system (a
            message of role system; if left out, its text stands before the instruction).
    """

    format: Format = "json_schema"
    length_field: LengthField = "max_tokens"
    left_out: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return the dialect as JSON values, for run.json."""
        return {**asdict(self), "left_out": list(self.left_out)}


def parse_fields(given: Sequence[str]) -> RequestFields:
    """Read the values of `--request`.

    Args:
        given: `name=value`, the value as JSON or else as text; or `-name` to leave a field out.

    Raises:
        ValueError: an argument is neither, or names a field that another option sets.
    """
    values: dict[str, Any] = {}
    without: list[str] = []
    for argument in given:
        name, equals, value = argument.partition("=")
        name = name.strip()
        if name.startswith("-") and not equals:
            name = name.lstrip("-")
            without.append(name)
        elif equals:
            values[name] = _value(name, value.strip())
        else:
            name = ""
        if not re.fullmatch(r"[\w.-]+", name):
            raise ValueError(f"--request must be name=value, or -name to leave a field out, got {argument!r}")
        if name in _RESERVED:
            raise ValueError(
                f"--request cannot set {name!r}: give --vlm-model and --llm-model; prompts are in prompts/"
            )
    if both := sorted(values.keys() & set(without)):
        raise ValueError(f"--request sets and leaves out {', '.join(both)}: give one of the two")
    return RequestFields(set=values, leave_out=tuple(dict.fromkeys(without)))


def _value(name: str, text: str) -> Any:
    """Read a field's value as JSON, or else as the text itself."""
    try:
        value = json.loads(text)
        json.dumps(value, allow_nan=False)  # raises for NaN and Infinity, which are not JSON
        return value
    except (ValueError, RecursionError) as error:
        if text[:1] in ("{", "[", '"') or text in ("True", "False", "None", "NaN", "Infinity", "-Infinity"):
            raise ValueError(
                f'--request {name} must have a value in JSON (true, false, null, {{"a": 1}}), got {text!r}'
            ) from error
        return text


def body(request: Request, dialect: Dialect | None = None, fields: RequestFields | None = None) -> dict[str, Any]:
    """Return the JSON body of a request; images come before the text, so that requests for one object share a prefix.

    Args:
        request: what is asked.
        dialect: how the server wants it; None = as OpenAI does.
        fields: fields that the user sets or leaves out; they override all others.
    """
    dialect, fields = dialect or Dialect(), fields or RequestFields()
    user = request.user
    if dialect.format != "json_schema":
        user = f"{user}\n\n{schema_note(request.schema)}"
    has_system = "system" not in dialect.left_out
    shown: list[dict[str, Any]] = [
        {"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{base64.b64encode(image).decode()}"}}
        for image in request.images
    ]
    user = user if has_system else f"{request.system}\n\n{user}"
    # Text alone is sent as a string: servers of models without vision accept no list of parts.
    content = [*shown, {"type": "text", "text": user}] if shown else user
    schema = {"name": request.schema_name, "schema": request.schema, "strict": True}
    values: dict[str, Any] = {
        "model": request.model,
        "messages": [
            *([{"role": "system", "content": request.system}] if has_system else []),
            {"role": "user", "content": content},
        ],
        "response_format": {"type": dialect.format}
        | ({"json_schema": schema} if dialect.format == "json_schema" else {}),
        "temperature": request.temperature,
        "top_p": request.top_p,
        "seed": request.seed,
        dialect.length_field: request.max_tokens,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if set(_LENGTH_FIELDS) & fields.set.keys():
        values.pop(dialect.length_field)
    for name in (*dialect.left_out, *fields.leave_out, *(["response_format"] if dialect.format == "text" else [])):
        values.pop(name, None)
    if values.get("stream") is None or fields.set.get("stream") is False:
        values.pop("stream_options", None)
    return values | dict(fields.set)


def next_dialect(dialect: Dialect, words: str, param: str | None = None) -> Dialect | None:
    """Choose the dialect to try after a server refused a request.

    Args:
        dialect: the one that was refused.
        words: the server's error message.
        param: the field that the error names, if it has such an entry.

    Returns:
        The dialect with the next form of the field that was named. If no field was named: first JSON without a schema,
        then no format, then none of the fields that can be left out. None if there is nothing else to try.
    """
    for text in (param or "", words):
        for name, pattern in _NAMED:
            if re.search(pattern, text, re.IGNORECASE) and (changed := _without(dialect, name)):
                return changed
    if changed := _without(dialect, "format"):
        return changed
    bare = replace(dialect, left_out=("seed", "top_p", "temperature", "stream_options", "stream"))
    return bare if set(bare.left_out) - set(dialect.left_out) else None


def _without(dialect: Dialect, name: str) -> Dialect | None:
    """Return the dialect with the next form of a field; None if the field has no other form."""
    if name == "format":
        left = _FORMATS[_FORMATS.index(dialect.format) + 1 :]
        return replace(dialect, format=left[0]) if left else None
    if name == "length":
        other = _LENGTH_FIELDS[1]
        return replace(dialect, length_field=other) if dialect.length_field != other else None
    if name in dialect.left_out:
        return None
    names = ("stream", "stream_options") if name == "stream" else (name,)
    return replace(dialect, left_out=tuple(dict.fromkeys([*dialect.left_out, *names])))
