"""An endpoint's address: its API key, the proxy on the way to it, and how to show an address without its secrets."""

import ipaddress
import os
import re
import urllib.request
from urllib.parse import urlsplit, urlunsplit

_PLAIN = re.compile(r"[^\s\x00-\x1f\x7f]+")


def api_key() -> str:
    """Return the key in OPENAI_API_KEY without white space, quotes and "Bearer" around it; "none" if it is not set.

    Raises:
        ValueError: the key has a character that no HTTP header can carry; the message does not show the key.
    """
    around = " \t\r\n\ufeff\u200b\"'"
    key = os.environ.get("OPENAI_API_KEY", "").strip(around).removeprefix("Bearer ").strip(around)
    wrong = next((at for at, char in enumerate(key) if not ("!" <= char <= "~")), None)
    if wrong is not None:
        raise ValueError(
            "OPENAI_API_KEY must have only printable ASCII characters, got "
            f"U+{ord(key[wrong]):04X} at position {wrong + 1} of {len(key)}: set it again, without line breaks"
        )
    return key or "none"


def is_address(url: str) -> bool:
    """Tell whether a request can be sent to `url`: http or https, a host, a valid port, no blanks or controls."""
    try:
        parts = urlsplit(url)
        return (
            parts.scheme in ("http", "https")
            and bool(parts.hostname)
            and parts.port != 0
            and bool(_PLAIN.fullmatch(url))
        )
    except ValueError:  # an unclosed bracket, or a port that is not a number or too large
        return False


def is_loopback(url: str) -> bool:
    """Tell whether `url` points to this machine: localhost, 127.0.0.0/8 or ::1."""
    host = (urlsplit(url).hostname or "").rstrip(".").lower()
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def proxy_of(url: str) -> str | None:
    """Return the proxy for requests to `url`, as HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY say; None without one.

    Requests to this machine use no proxy. The address of the proxy is returned without its password.
    """
    parts = urlsplit(url)
    if is_loopback(url) or urllib.request.proxy_bypass(parts.netloc.rpartition("@")[2]):
        return None
    proxies = urllib.request.getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    return public(proxy) if proxy else None


def public(url: str) -> str:
    """Return `url` without user name and password, and with query values that look like keys replaced by `***`."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return re.sub(r"//[^/]*@", "//", url)
    query = re.sub(r"(?i)((?:key|token|secret|sig|signature|password)=)[^&]*", r"\1***", parts.query)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query=query))


def bypass_for_loopback() -> None:
    """Add the names of this machine to NO_PROXY, so that processes of Ray and vLLM reach one another directly."""
    for name in ("NO_PROXY", "no_proxy"):
        hosts = [host for host in os.environ.get(name, "").split(",") if host.strip()]
        if "*" not in hosts:
            os.environ[name] = ",".join(dict.fromkeys([*hosts, "localhost", "127.0.0.1", "::1"]))
