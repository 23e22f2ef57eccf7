"""The address of an endpoint: its key, the proxy between, and what of both may be shown."""

import ipaddress
import os
import re
import urllib.request
from urllib.parse import urlsplit, urlunsplit

_PLAIN = re.compile(r"[^\s\x00-\x1f\x7f]+")


def api_key() -> str:
    """The key of OPENAI_API_KEY without white space, quotes and "Bearer" around it; "none" where there is none.

    Raises:
        ValueError: It has a character that no HTTP header can carry; the message does not show the key.
    """
    around = " \t\r\n\ufeff\u200b\"'"
    key = os.environ.get("OPENAI_API_KEY", "").strip(around).removeprefix("Bearer ").strip(around)
    wrong = next((at for at, each in enumerate(key) if not ("!" <= each <= "~")), None)
    if wrong is not None:
        raise ValueError(
            "OPENAI_API_KEY must have only printable ASCII characters, got "
            f"U+{ord(key[wrong]):04X} at position {wrong + 1} of {len(key)}: set it again, without line breaks"
        )
    return key or "none"


def is_address(url: str) -> bool:
    """Tell whether an address can be asked at all: http or https, a host, a port that there is, no odd characters."""
    try:
        parts = urlsplit(url)
        return (
            parts.scheme in ("http", "https")
            and bool(parts.hostname)
            and parts.port != 0
            and bool(_PLAIN.fullmatch(url))
        )
    except ValueError:  # brackets without an end, a port that is no number or too large
        return False


def is_loopback(url: str) -> bool:
    """Tell whether an address is of this very machine: localhost, 127.0.0.0/8 or ::1."""
    host = (urlsplit(url).hostname or "").rstrip(".").lower()
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def proxy_of(url: str) -> str | None:
    """The proxy that requests to `url` go through by the environment's HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY.

    Requests to this machine go through none.
    """
    parts = urlsplit(url)
    if is_loopback(url) or urllib.request.proxy_bypass(parts.netloc.rpartition("@")[2]):
        return None
    proxies = urllib.request.getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    return public(proxy) if proxy else None


def public(url: str) -> str:
    """The address without the user's name and password, and without values that look like keys."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return re.sub(r"//[^/]*@", "//", url)
    query = re.sub(r"(?i)((?:key|token|secret|sig|signature|password)=)[^&]*", r"\1***", parts.query)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query=query))


def bypass_for_loopback() -> None:
    """Keep the processes that this one starts (Ray, vLLM) from reaching one another through a proxy.

    They know only NO_PROXY: the names of this machine are added to it.
    """
    for name in ("NO_PROXY", "no_proxy"):
        there = [each for each in os.environ.get(name, "").split(",") if each.strip()]
        if "*" not in there:
            os.environ[name] = ",".join(dict.fromkeys([*there, "localhost", "127.0.0.1", "::1"]))
