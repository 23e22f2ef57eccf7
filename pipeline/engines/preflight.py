"""Tests a server before any work: sends a smallest request of each kind and finds the dialect that the server accepts.

The kinds are an image with a JSON schema and text with a JSON schema, both with the schemas of real prompts. If the
server refuses and names a field, the next form of that field is tried, every form once; if none is left, the run ends
with the server's own message.
"""

import json
import logging
import time
from dataclasses import dataclass, replace

import cv2
import numpy as np
import openai

import prompts
from manifests.row_results import FatalError
from pipeline.engines.address import public
from pipeline.engines.chat import ChatClient, StalledError
from pipeline.engines.dialect import Dialect, Request, next_dialect
from pipeline.engines.reading import ChatReply
from pipeline.engines.server_errors import ServerError, fix_of, speaks_of_images, status_of

logger = logging.getLogger(__name__)

SYSTEM = "This is a test of the connection."
_IMAGE_PROMPT, _TEXT_PROMPT = "caption_crop", "compose_expression"
_MAX_TOKENS = 96
_SIDE_PX = 128  # models refuse smaller images
_FEW = 2  # retries after a 500
_REFUSED = (400, 404, 413, 415, 422, 500, 501)  # the request was refused, whatever the server calls it


@dataclass(frozen=True)
class Settled:
    """What the preflight found out about one model.

    Attributes:
        dialect: the one in which its requests are sent.
        seconds_s: time that the last request took.
        tokens_out: tokens of the reply to it.
    """

    dialect: Dialect
    seconds_s: float
    tokens_out: int


async def settle(client: ChatClient, url: str, model: str, *, images: bool, text: bool) -> Settled:
    """Find a dialect in which the model replies to every kind of request that it will be sent.

    Args:
        client: client of the endpoint.
        url: address of the endpoint, for messages.
        model: name under which the endpoint serves the model.
        images: whether the model will be sent requests with images.
        text: whether it will be sent requests without images.

    Raises:
        ValueError: no dialect works; the message has the server's words and a likely fix.
        FatalError: the server does not answer.
    """
    settled = Settled(Dialect(), 0.0, 0)
    for kind in (_IMAGE_PROMPT,) * images + (_TEXT_PROMPT,) * text:
        settled = await _settle_kind(client, url, _request(model, kind), settled.dialect)
    return settled


async def _settle_kind(client: ChatClient, url: str, request: Request, dialect: Dialect) -> Settled:
    words: list[str] = []  # messages of the refusals; the first is about the dialect that was wanted
    answered: Settled | None = None
    trying: Dialect | None = dialect
    while trying:
        started_s = time.monotonic()
        try:
            answer = await _sent(client, request, trying)
        except openai.APIStatusError as error:
            message, param = client.describe(error), _param(error)
            if error.status_code in (401, 402, 403, 405, 407):
                raise ValueError(_wrong(url, request, [message], fix_of(error.status_code, url))) from error
            if error.status_code not in _REFUSED:
                raise FatalError(f"{request.model} at {public(url)} does not answer: {message}") from error
            words.append(message)
            status, page = error.status_code, "web page" in message
        except ServerError as error:
            if error.passes and not error.page:
                raise FatalError(
                    f"{request.model} at {public(url)} does not answer: {client.describe(error)}"
                ) from error
            message, param, status, page = client.describe(error), None, None, error.page
            words.append(message)
        except (openai.APIError, StalledError, TimeoutError) as error:
            raise FatalError(f"{request.model} at {public(url)} does not answer: {client.describe(error)}") from error
        else:
            now = Settled(trying, time.monotonic() - started_s, answer.tokens_out)
            if _holds(answer, request) or trying.format == "text":
                return _chosen(answered or now, now, answer, request)
            answered = (
                answered or now
            )  # it accepted the schema but did not follow it: it may if the schema is in the prompt
            trying = replace(trying, format="json_object" if trying.format == "json_schema" else "text")
            continue
        if answered:
            return answered
        hopeless = page or (status == 404 and not _names_field(message))  # the address or the model does not exist
        trying = None if hopeless else next_dialect(trying, message, param)
    raise ValueError(_wrong(url, request, words, _fix(words, status, url, page, request)))


async def _sent(client: ChatClient, request: Request, dialect: Dialect) -> ChatReply:
    """Send a request; wait for an engine that is busy or starting, but not after a 500: some servers refuse with it."""
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
    """Return the dialect whose schema the model followed; if it followed none, the first that the server accepted."""
    if _holds(answer, request):
        return now
    logger.warning(
        "%s answered a test in no form of JSON (%r): look at its chat template and its reasoning parser",
        *(request.model, answer.text[:80]),
    )
    return first


def _holds(answer: ChatReply, request: Request) -> bool:
    """Tell whether a reply is the JSON object that was asked for; one that was cut off or refused counts too."""
    if answer.finish_reason != "stop" or answer.refusal:
        return True
    try:
        value = json.loads(answer.text)
    except ValueError:
        return False
    return isinstance(value, dict) and set(request.schema["required"]) <= value.keys()


def _request(model: str, name: str) -> Request:
    """Make a short request with the schema of a real prompt."""
    prompt = prompts.load(name)
    image = bytes(cv2.imencode(".jpg", np.full((_SIDE_PX, _SIDE_PX, 3), 128, np.uint8))[1])
    return Request(
        model=model,
        system=SYSTEM,
        images=(image,) if name == _IMAGE_PROMPT else (),
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
    if request.images and any(map(speaks_of_images, words)):
        return "--vlm-model (make: VLM_MODEL=…) must name a model that is served with its vision part"
    if not page and status in (None, 400, 422):
        status = next((meant for word in words if (meant := status_of(word))), status)
    return fix_of(status, url, page=page, model=request.model) or (
        "--request name=value and --request -name set and leave out fields of every request"
    )


def _wrong(url: str, request: Request, words: list[str], fix: str) -> str:
    kind = "a picture" if request.images else "a text"
    message = " / ".join(dict.fromkeys(words)) + (f"; {fix}" if fix else "")
    return f"{request.model} at {public(url)} does not answer {kind} with a JSON schema: {message}"
