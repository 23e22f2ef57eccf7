"""The checks and headers that apply to every request and response, as one ASGI layer around the app."""

import asyncio
import json
from collections.abc import MutableMapping
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from validation_ui.people.access import SAFE_METHODS
from validation_ui.problem import Problem
from validation_ui.serving import Serving
from validation_ui.strict_json import parse

MAX_BODY = 64 * 1024
BODY_S = 10.0  # for the body of a request to arrive
MAX_RANGE_HEADER = 64  # CVE-2025-62727: many ranges cost quadratic time
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
    "media-src 'self'; connect-src 'self'; worker-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
}


class Guard:
    """The outermost ASGI layer: refuses unsafe requests and puts the security headers on every response.

    Refused are foreign host names, long Range headers, bodies that are too large, not strict JSON or do not arrive, and
    writes that come from another site. Below a path, `/refsav`, the routes get the same request whether the proxy
    strips this path or keeps it.
    """

    def __init__(self, app: ASGIApp, serving: Serving) -> None:
        self._app, self._names, self._base = app, serving.names, serving.base
        self._public = _netloc(serving.public_url)
        # an app below a path does not decide for the others at its host
        strict = serving.tls and not serving.base
        headers = _HEADERS | ({"Strict-Transport-Security": "max-age=31536000"} if strict else {})
        self._headers = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        self._ours = {name for name, _ in self._headers}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request: check it, read its body, pass it on."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # there are no web sockets here
            await send({"type": "websocket.close", "code": 1000})
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._add_headers(message)
            await send(message)

        try:
            if "\0" in scope["path"]:
                raise Problem(404, "not_found", "There is nothing at this address: it has a character U+0000.")
            self._check(scope["method"], Headers(scope=scope))
            body = await _read_in_time(receive)
            _check_type(Headers(scope=scope), body)
        except Problem as problem:
            await _refuse(problem, guarded)
        except _GoneError:
            return
        else:
            await self._app(self._below(scope), _replay(body, receive), guarded)

    def _below(self, scope: Scope) -> Scope:
        """Return the request with the full path and, as `root_path`, the part of it that is no part of a route."""
        if not self._base:
            return scope
        path = scope["path"]
        if path != self._base and not path.startswith(f"{self._base}/"):  # the proxy stripped it
            path = self._base + path
        return {**scope, "root_path": self._base, "path": f"{path}/" if path == self._base else path}

    def _check(self, method: str, headers: Headers) -> None:
        host = _host(headers.get("host", ""))
        if host not in self._names:  # a name that someone pointed at us: DNS rebinding
            raise Problem(400, "host", "This server does not answer to that host name; start it with --public-url.")
        if len(headers.get("range", "")) > MAX_RANGE_HEADER:
            raise Problem(416, "range", f"A Range header may have {MAX_RANGE_HEADER} bytes: ask for one range.")
        length = headers.get("content-length", "0")
        if not length.isdecimal() or len(length) > 9 or int(length) > MAX_BODY:
            raise Problem(413, "too_large", f"A request may have {MAX_BODY} bytes.")
        if method not in SAFE_METHODS:
            site, origin = headers.get("sec-fetch-site"), headers.get("origin")
            ours = origin is None or _netloc(origin) in {headers["host"], self._public} - {""}  # "" is that of "null"
            # browsers send at least one of the two with a write; a client that sends neither carries nobody's cookies
            if site not in (None, "same-origin") or not ours:
                raise Problem(403, "origin", "This change was asked for by another site's page.")

    def _add_headers(self, message: MutableMapping[str, Any]) -> None:
        theirs = [(name, value) for name, value in message["headers"] if name.lower() not in self._ours]
        if all(name.lower() != b"cache-control" for name, _ in theirs):
            theirs.append((b"cache-control", b"no-store"))
        message["headers"] = theirs + self._headers


class _GoneError(Exception):
    """The client left before its request was complete."""


async def _read_in_time(receive: Receive) -> bytes:
    try:
        async with asyncio.timeout(BODY_S):
            return await _read(receive)
    except TimeoutError as error:
        message = f"The rest of the request did not come within {BODY_S:.0f} s. Send it again."
        raise Problem(408, "timeout", message) from error


async def _read(receive: Receive) -> bytes:
    """Read the complete body; its real size counts, not the Content-Length header."""
    body, more = bytearray(), True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _GoneError
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > MAX_BODY:
            raise Problem(413, "too_large", f"A request may have {MAX_BODY} bytes.")
    return bytes(body)


def _check_type(headers: Headers, body: bytes) -> None:
    if body and headers.get("content-type", "").split(";")[0].strip().lower() != "application/json":
        raise Problem(415, "not_json", "Requests with a body are JSON: Content-Type: application/json.")
    if body:
        try:
            parse(body)
        except ValueError as error:
            raise Problem(400, "bad_json", f"{str(error)[:1].upper()}{str(error)[1:]}.") from error


def _replay(body: bytes, receive: Receive) -> Receive:
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replayed() -> Message:
        return waiting.pop() if waiting else await receive()

    return replayed


async def _refuse(problem: Problem, send: Send) -> None:
    body = json.dumps({"error": {"code": problem.code, "message": problem.message}}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    headers.append((b"connection", b"close"))  # the rest of the body is not read
    await send({"type": "http.response.start", "status": problem.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _host(value: str) -> str:
    """Return the host name of a Host header, without the port."""
    try:
        return urlsplit(f"//{value}").hostname or ""
    except ValueError:
        return ""


def _netloc(origin: str) -> str:
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return ""
