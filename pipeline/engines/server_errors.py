"""Error messages of servers: finds the server's own words in a response, and the fix that they most often call for."""

import html
import json
import re
from collections.abc import Iterator
from typing import Any

_MOST_CHARACTERS = 500
_FILTERED = re.compile(
    r"content[_ ](?:filter|policy|management)|contentfilter|responsibleai|data_inspection|moderation|flagged"
    r"|safety[_ ](?:system|setting|polic)|usage polic|inappropriate content|sensitive content",
    re.IGNORECASE,
)
_ACCOUNT = re.compile(r"\b(?:account|organi[sz]ation|key)\b.{0,40}\b(?:flagged|disabled|suspended)", re.IGNORECASE)
_ABOUT_IMAGES = re.compile(r"(?:image|picture|vision|multi-?modal|visual)", re.IGNORECASE)
_WORTH = (
    (
        401,
        re.compile(
            r"(?:invalid|incorrect|missing|expired|no).{0,20}api.?key|api.?key.{0,30}(?:valid|expired)", re.IGNORECASE
        ),
    ),
    (
        404,
        re.compile(
            r"model.{0,60}(?:not (?:be )?(?:found|exist)|unknown)|(?:invalid|unknown) model|valid model", re.IGNORECASE
        ),
    ),
)
_V1 = "does the address end in /v1?"


class ServerError(Exception):
    """The server responded, but without a completion."""

    def __init__(
        self, words: str, what: str, *, code: int | None = None, page: bool = False, broken: bool = False
    ) -> None:
        """Keep what the response was.

        Args:
            words: the server's own message.
            what: what came instead of a completion, as the start of a sentence.
            code: number of the error, if it has one.
            page: whether the response is a web page.
            broken: whether it is not JSON.
        """
        super().__init__(f"{what}: {words}" if words else what)
        self.words, self.code, self.page, self.broken = words, code, page, broken

    @property
    def passes(self) -> bool:
        """Whether a retry may help: the response is not JSON, is empty, or has the code 429 or 5xx."""
        return (
            self.page
            or self.broken
            or not self.words
            or (self.code is not None and (self.code == 429 or self.code >= 500))
        )


def words_of(body: bytes | str) -> str:
    """Return what a server says went wrong, at most 500 characters.

    Args:
        body: body of the response: an error object, FastAPI's `detail`, a web page or plain text.
    """
    text = join_surrogates(body.decode("utf-8-sig", errors="replace") if isinstance(body, bytes) else body)
    if is_page(text):
        return f"{_page_words(text)}"[:_MOST_CHARACTERS]
    for line in (text, *(line[5:] for line in text.splitlines() if line.startswith("data:"))):
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if words := "; ".join(dict.fromkeys(_words(value))):
            return join_surrogates(words)[:_MOST_CHARACTERS]
    return " ".join(text.split())[:_MOST_CHARACTERS]


def join_surrogates(text: str) -> str:
    """Join surrogate pairs to whole characters; a surrogate without its other half, which no file can hold, is U+FFFD.

    JSON may write a character as two escapes, and a stream may end one of its pieces between them.
    """
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def is_page(body: bytes | str) -> bool:
    """Tell whether the body of a response is a web page."""
    start = (body[:500].decode("utf-8", errors="replace") if isinstance(body, bytes) else body[:500]).lstrip(
        "\ufeff \r\n\t"
    )
    return bool(re.match(r"<(?:!doctype|html|head|body|\?xml|!--)", start, re.IGNORECASE))


def is_filtered(words: str) -> bool:
    """Tell whether an error message says that a content filter refused the request."""
    return bool(_FILTERED.search(words)) and not _ACCOUNT.search(words)


def codes_of(error: Exception) -> str:
    """Return the codes and types that an error of the `openai` package has beside its message, joined by blanks."""
    body = getattr(error, "body", None)
    inner = body.get("innererror") if isinstance(body, dict) else None
    codes = [
        getattr(error, "code", None),
        getattr(error, "type", None),
        *(inner.values() if isinstance(inner, dict) else ()),
    ]
    return " ".join(code for code in codes if isinstance(code, str))


def speaks_of_images(words: str) -> bool:
    """Tell whether an error message is about images."""
    return bool(_ABOUT_IMAGES.search(words))


def status_of(words: str) -> int | None:
    """Return the status that an error message stands for, where some servers send 400: 401 or 404; None if neither."""
    return next((status for status, pattern in _WORTH if pattern.search(words)), None)


def fix_of(status: int | None, url: str, *, page: bool = False, model: str = "") -> str:
    """Say what to try after an error, as the end of a sentence; empty if there is no likely fix.

    Args:
        status: HTTP status of the response, None if it was 200.
        url: address of the endpoint.
        page: whether the body is a web page.
        model: name of the model that was asked.
    """
    if page or status == 405 or (status == 404 and not url.rstrip("/").endswith("/v1")):
        return _V1
    return {
        400: "",
        401: "is OPENAI_API_KEY the right one?",
        402: "is there credit left?",
        403: "may this OPENAI_API_KEY use the model?",
        404: f"is {model!r} the name under which it serves the model, and does the address end in /v1?",
        407: "the proxy wants to know who you are",
        413: "the server or a proxy before it allows only smaller requests: raise its limit",
    }.get(status or 0, "")


def connection_fix(words: str) -> str:
    """Say what to try after a connection failed, as the end of a sentence; empty if there is no likely fix."""
    if "CERTIFICATE_VERIFY_FAILED" in words:
        return "; SSL_CERT_FILE names a file with the certificate that signed the server's"
    if "WRONG_VERSION_NUMBER" in words or "RECORD_LAYER" in words:
        return "; does the address begin with http://?"
    return ""


def _words(value: Any) -> Iterator[str]:
    """Yield the texts in an error that say what went wrong: the server's own first, then those that it passes on."""
    if isinstance(value, str):
        if value.strip():
            yield " ".join(value.split())
    elif isinstance(value, list):
        for item in value:
            yield from _words(item)
    elif isinstance(value, dict):
        where = value.get("loc")
        if isinstance(where, list) and isinstance(
            value.get("msg"), str
        ):  # FastAPI: which field, and what is wrong with it
            yield f"{'.'.join(map(str, where))}: {value['msg']}"
            return
        for name in ("error", "errors", "message", "detail", "error_message", "msg", "title", "description", "reason"):
            if value.get(name) is not None:
                yield from _words(value[name])
        passed_on = value.get("metadata")
        if isinstance(passed_on, dict) and passed_on.get("raw"):
            yield from _words(passed_on["raw"])


def _page_words(text: str) -> str:
    title = re.search(r"(?is)<title[^>]*>(.*?)</title>", text)
    body = re.sub(r"(?is)<(script|style|title)\b.*?</\1>|<[^>]*>", " ", text)
    return " ".join(html.unescape(f"{title.group(1) if title else ''} {body}").split())[:200]
