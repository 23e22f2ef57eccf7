"""One smallest request of each kind before anything is rendered: which dialect the server speaks, and what is wrong.

Kinds are a picture with a schema and a text with a schema, asked in the schemas of real prompts. A refusal that names a
field leads to that field's next form, each form once; if none is left, the server's own words are the end.
"""

import json
import logging
import time
from dataclasses import dataclass, replace

import cv2
import numpy as np
import openai

import prompts
from pipeline.engines.address import public
from pipeline.engines.chat import ChatClient, StalledError
from pipeline.engines.dialect import Dialect, Request, next_dialect
from pipeline.engines.reading import ChatReply
from pipeline.engines.server_errors import ServerError, fix_of, speaks_of_pictures, status_of
from stages.base import FatalError

logger = logging.getLogger(__name__)

SYSTEM = "This is a test of the connection."
_PICTURE_PROMPT, _TEXT_PROMPT = "caption_crop", "compose_expression"
_MAX_TOKENS = 96
_SIDE_PX = 128  # models refuse smaller pictures
_FEW = 2  # times that a 500 is sent again
_REFUSED = (400, 404, 413, 415, 422, 500, 501)  # of the request, whatever the server calls it


@dataclass(frozen=True)
class Settled:
    """What the preflight found out about one model.

    Attributes:
        dialect: in which its requests are sent.
        seconds_s: that the last request took.
        tokens_out: of its reply.
    """

    dialect: Dialect
    seconds_s: float
    tokens_out: int


async def settle(client: ChatClient, url: str, model: str, *, pictures: bool, text: bool) -> Settled:
    """Find a dialect in which the model answers every kind of request that it will be sent.

    Args:
        client: of the endpoint.
        url: of the endpoint, for messages.
        model: name under which the endpoint serves it.
        pictures: it will be shown pictures.
        text: it will be asked with text alone.

    Raises:
        ValueError: no form of a request works; the message has the server's words and a likely fix.
        FatalError: the server does not answer.
    """
    settled = Settled(Dialect(), 0.0, 0)
    for kind in (_PICTURE_PROMPT,) * pictures + (_TEXT_PROMPT,) * text:
        settled = await _settle_kind(client, url, _request(model, kind), settled.dialect)
    return settled


async def _settle_kind(client: ChatClient, url: str, request: Request, dialect: Dialect) -> Settled:
    words: list[str] = []  # of the refusals; the first is about what was wanted
    answered: Settled | None = None
    trying: Dialect | None = dialect
    while trying:
        started_s = time.monotonic()
        try:
            answer = await _sent(client, request, trying)
        except openai.APIStatusError as error:
            told, param = client.told(error), _param(error)
            if error.status_code in (401, 402, 403, 405, 407):
                raise ValueError(_wrong(url, request, [told], fix_of(error.status_code, url))) from error
            if error.status_code not in _REFUSED:
                raise FatalError(f"{request.model} at {public(url)} does not answer: {told}") from error
            words.append(told)
            status, page = error.status_code, "web page" in told
        except ServerError as error:
            if error.passes and not error.page:
                raise FatalError(f"{request.model} at {public(url)} does not answer: {client.told(error)}") from error
            told, param, status, page = client.told(error), None, None, error.page
            words.append(told)
        except (openai.APIError, StalledError, TimeoutError) as error:
            raise FatalError(f"{request.model} at {public(url)} does not answer: {client.told(error)}") from error
        else:
            now = Settled(trying, time.monotonic() - started_s, answer.tokens_out)
            if _holds(answer, request) or trying.format == "text":
                return _chosen(answered or now, now, answer, request)
            answered = answered or now  # it took the schema and did not keep to it: perhaps it does if it reads it
            trying = replace(trying, format="json_object" if trying.format == "json_schema" else "text")
            continue
        if answered:
            return answered
        hopeless = page or (status == 404 and not _names_field(told))  # an address or a model that is not there
        trying = None if hopeless else next_dialect(trying, told, param)
    raise ValueError(_wrong(url, request, words, _fix(words, status, url, page, request)))


async def _sent(client: ChatClient, request: Request, dialect: Dialect) -> ChatReply:
    """Send; an engine that is busy or starts gets all its time, a 500 not: some servers refuse with it."""
    try:
        return await client.send(request, dialect, retries=_FEW)
    except openai.APIConnectionError:
        pass
    except openai.APIStatusError as error:
        if error.status_code == 500 or not (error.status_code > 500 or error.status_code in (408, 409, 429)):
            raise
    return await client.send(request, dialect)


def _names_field(words: str) -> bool:
    return any(name in words for name in ("response_format", "max_tokens", "image"))


def _chosen(first: Settled, now: Settled, answer: ChatReply, request: Request) -> Settled:
    """The form that was kept to; if none was, the first that was accepted."""
    if _holds(answer, request):
        return now
    logger.warning(
        "%s answered a test in no form of JSON (%r): look at its chat template and its reasoning parser",
        *(request.model, answer.text[:80]),
    )
    return first


def _holds(answer: ChatReply, request: Request) -> bool:
    """Whether a reply is the object that was asked for; one that was cut off or refused tells nothing."""
    if answer.finish_reason != "stop" or answer.refusal:
        return True
    try:
        value = json.loads(answer.text)
    except ValueError:
        return False
    return isinstance(value, dict) and set(request.schema["required"]) <= value.keys()


def _request(model: str, name: str) -> Request:
    """A request as the prompt's own would be, with little to read."""
    prompt = prompts.load(name)
    picture = bytes(cv2.imencode(".jpg", np.full((_SIDE_PX, _SIDE_PX, 3), 128, np.uint8))[1])
    return Request(
        model=model,
        system=SYSTEM,
        pictures=(picture,) if name == _PICTURE_PROMPT else (),
        user="The object is a grey square. Fill in each field of the JSON object with a word or two.",
        schema_name=prompt.name,
        schema=prompt.reply.model_json_schema(),
        temperature=0.3,
        top_p=0.9,
        seed=0,
        max_tokens=_MAX_TOKENS,
    )


def _param(error: openai.APIStatusError) -> str | None:
    return error.param if isinstance(error.param, str) else None


def _fix(words: list[str], status: int | None, url: str, page: bool, request: Request) -> str:
    if request.pictures and any(map(speaks_of_pictures, words)):
        return "--vlm-model (make: VLM_MODEL=…) must name a model that is served with its vision part"
    if not page and status in (None, 400, 422):
        status = next((about for each in words if (about := status_of(each))), status)
    return fix_of(status, url, page=page, model=request.model) or (
        "--request name=value and --request -name set and leave out fields of every request"
    )


def _wrong(url: str, request: Request, words: list[str], fix: str) -> str:
    kind = "a picture" if request.pictures else "a text"
    told = " / ".join(dict.fromkeys(words))
    return (
        f"{request.model} at {public(url)} does not answer {kind} with a JSON schema: {told}{f'; {fix}' if fix else ''}"
    )
