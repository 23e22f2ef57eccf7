"""The connections to an endpoint, through the proxy of the environment or past it, and what their failures call for."""

from dataclasses import replace

import httpx2
import openai

from pipeline.engines.address import is_loopback

TIMEOUT = openai.Timeout(None, connect=10.0)  # who asks knows better what silence means
_SPARE_CONNECTIONS = 8  # for the questions whether the engine lives


def http_client(url: str, connections: int) -> openai.DefaultAsyncHttpxClient:
    """A client that keeps so many connections, and reaches this machine without a proxy."""
    most = connections + _SPARE_CONNECTIONS
    limits = replace(openai.DEFAULT_CONNECTION_LIMITS, max_connections=most, max_keepalive_connections=most)
    try:
        return openai.DefaultAsyncHttpxClient(trust_env=not is_loopback(url), limits=limits, timeout=TIMEOUT)
    except (ImportError, ValueError, OSError, httpx2.InvalidURL) as error:
        raise ValueError(
            "what the environment says of connections cannot be used: correct or unset HTTP_PROXY, HTTPS_PROXY, "
            f"ALL_PROXY, SSL_CERT_FILE ({error})"
        ) from error


def connection_fix(words: str) -> str:
    """What to try when a connection fails because of a setting; empty if there is nothing to guess."""
    if "CERTIFICATE_VERIFY_FAILED" in words:
        return "; SSL_CERT_FILE names a file with the certificate that signed the server's"
    if "WRONG_VERSION_NUMBER" in words or "RECORD_LAYER" in words:
        return "; does the address begin with http://?"
    return ""
