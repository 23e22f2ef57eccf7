"""What a server says when it does not answer: its own words, and the fix that they most often call for."""

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
_NO_PICTURES = re.compile(r"(?:image|picture|vision|multi-?modal|visual)", re.IGNORECASE)
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
    """The server answered, but with no completion."""

    def __init__(
        self, words: str, what: str, *, code: int | None = None, page: bool = False, broken: bool = False
    ) -> None:
        """Say what came.

        Args:
            words: of the server.
            what: came in place of a completion.
            code: of the error, if it has one.
            page: it is a web page.
            broken: it is no JSON at all.
        """
        super().__init__(f"{what}: {words}" if words else what)
        self.words, self.code, self.page, self.broken = words, code, page, broken

    @property
    def passes(self) -> bool:
        """True for what may be gone when it is asked again: no JSON, nothing at all, a 429 or 5xx behind the server."""
        return (
            self.page
            or self.broken
            or not self.words
            or (self.code is not None and (self.code == 429 or self.code >= 500))
        )


def words_of(body: bytes | str) -> str:
    """Find what a server says went wrong, in any of the shapes that servers use; at most 500 characters.

    Args:
        body: of the response: an error object, FastAPI's `detail`, a web page, plain text.
    """
    text = whole_characters(body.decode("utf-8-sig", errors="replace") if isinstance(body, bytes) else body)
    if is_page(text):
        return f"{_page_words(text)}"[:_MOST_CHARACTERS]
    for line in (text, *(line[5:] for line in text.splitlines() if line.startswith("data:"))):
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if words := "; ".join(dict.fromkeys(_words(value))):
            return whole_characters(words)[:_MOST_CHARACTERS]
    return " ".join(text.split())[:_MOST_CHARACTERS]


def whole_characters(text: str) -> str:
    """The text with halves of characters put together, U+FFFD for a half that has no other: no file can hold that.

    JSON may write a character as two escapes, and a stream may end one of its pieces between them.
    """
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def is_page(body: bytes | str) -> bool:
    """Tell whether a body is a web page."""
    start = (body[:500].decode("utf-8", errors="replace") if isinstance(body, bytes) else body[:500]).lstrip(
        "\ufeff \r\n\t"
    )
    return bool(re.match(r"<(?:!doctype|html|head|body|\?xml|!--)", start, re.IGNORECASE))


def is_filtered(words: str) -> bool:
    """Tell whether an error's words say that a filter refused the content."""
    return bool(_FILTERED.search(words)) and not _ACCOUNT.search(words)


def codes_of(error: Exception) -> str:
    """The short names that an error's body has for what is wrong, beside its words."""
    body = getattr(error, "body", None)
    inner = body.get("innererror") if isinstance(body, dict) else None
    found = [
        getattr(error, "code", None),
        getattr(error, "type", None),
        *(inner.values() if isinstance(inner, dict) else ()),
    ]
    return " ".join(each for each in found if isinstance(each, str))


def speaks_of_pictures(words: str) -> bool:
    """Tell whether an error's words are about pictures."""
    return bool(_NO_PICTURES.search(words))


def status_of(words: str) -> int | None:
    """The status that an error's words are worth, of those that some servers call 400: 401 or 404."""
    return next((status for status, pattern in _WORTH if pattern.search(words)), None)


def fix_of(status: int | None, url: str, *, page: bool = False, model: str = "") -> str:
    """Say what to try for an error, as the end of a sentence; empty if there is nothing to guess.

    Args:
        status: of the response, None if it was 200.
        url: the endpoint's address.
        page: the body is a web page.
        model: that was asked for.
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
    """What to try when a connection fails because of a setting; empty if there is nothing to guess."""
    if "CERTIFICATE_VERIFY_FAILED" in words:
        return "; SSL_CERT_FILE names a file with the certificate that signed the server's"
    if "WRONG_VERSION_NUMBER" in words or "RECORD_LAYER" in words:
        return "; does the address begin with http://?"
    return ""


def _words(value: Any) -> Iterator[str]:
    """Texts that tell what went wrong, the server's own before what it passes on."""
    if isinstance(value, str):
        if value.strip():
            yield " ".join(value.split())
    elif isinstance(value, list):
        for each in value:
            yield from _words(each)
    elif isinstance(value, dict):
        where = value.get("loc")
        if isinstance(where, list) and isinstance(value.get("msg"), str):  # FastAPI: which field, and what of it
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
    told = " ".join(html.unescape(f"{title.group(1) if title else ''} {body}").split())
    return told[:200]
