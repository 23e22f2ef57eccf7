"""How the app is reached: where it listens, by which host names, over TLS or not, and the secret that signs."""

import ipaddress
import os
import re
import secrets
import ssl
import stat
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

_SECRET_BYTES = 32
_LOCAL = ("127.0.0.1", "localhost", "::1")
_PORTS = {"http": 80, "https": 443}
_MAX_PORT = 65535
_HOST = re.compile(r"[a-z0-9._-]+|[0-9a-f:.]+", re.ASCII)
_SEGMENT = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*", re.ASCII)  # of a path below which the app is reached


@dataclass(frozen=True, kw_only=True)
class ListenOptions:
    """The options of `serve`, checked: where the app listens and whether passwords are safe on the way.

    Args:
        host: address or name to listen on.
        port: TCP port; 0 takes any free one.
        tls_cert: file with the certificate (PEM), if the app itself speaks HTTPS.
        tls_key: file with the private key (PEM).
        public_url: the URL that people use, if it is not made of host and port; it may have a path.
        plain_http: the owner allows passwords to cross a network unencrypted.

    Raises:
        ValueError: a file is missing or not what it must be, people could not reach the app, or passwords could be
            read on the way.
    """

    host: str = "127.0.0.1"
    port: int = 8300
    tls_cert: str | None = None
    tls_key: str | None = None
    public_url: str | None = None
    plain_http: bool = False

    def __post_init__(self) -> None:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("HTTPS needs both --tls-cert and --tls-key")
        for path in (self.tls_cert, self.tls_key):
            if path and not Path(path).is_file():
                raise ValueError(f"there is no file {path} for HTTPS")
        if self.tls_cert:
            try:
                ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(self.tls_cert, self.tls_key)
            except ssl.SSLError as error:
                message = f"{self.tls_cert} and {self.tls_key} must be a certificate and its key (PEM): {error}"
                raise ValueError(message) from error
        if not 0 <= self.port <= _MAX_PORT:
            raise ValueError(f"--port must be 0 to {_MAX_PORT}, got {self.port}")
        if self.public_url is not None:
            object.__setattr__(self, "public_url", normal_url(self.public_url))
        if self.is_local:
            return
        if self.host in ("0.0.0.0", "::") and not self.public_url:
            raise ValueError(f"--host {self.host} needs --public-url: the name or address by which people reach it")
        if not self.is_https and not self.plain_http:
            raise ValueError(
                f"--host {self.host} would let passwords cross the network unencrypted: give --tls-cert and --tls-key, "
                "or the https address of a proxy before it as --public-url, or --plain-http if you accept that"
            )

    @property
    def is_local(self) -> bool:
        """True if only this machine can reach the app."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    @property
    def is_https(self) -> bool:
        """True if browsers reach the app by HTTPS."""
        return bool(self.tls_cert) or (self.public_url or "").startswith("https:")


@dataclass(frozen=True)
class Serving:
    """What the running app knows about how it is reached.

    Args:
        secret: signs invites and CSRF tokens; from `load_secret`.
        tls: browsers reach the app by HTTPS.
        public_url: the URL that people use, for links, as `normal_url` writes it; empty = the URL of the request.
        hosts: more host names to answer to, beside the loopback names and that of `public_url`.

    Raises:
        ValueError: the secret is too short or not random.
    """

    secret: bytes
    tls: bool = False
    public_url: str = ""
    hosts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(self.secret) < _SECRET_BYTES or len(set(self.secret)) < 8:
            raise ValueError(
                f"the secret must be {_SECRET_BYTES} random bytes, got {len(self.secret)}; see load_secret"
            )

    @property
    def base(self) -> str:
        """The path below which people reach the app, such as `/refsav`; empty if it has the host for itself.

        Another app may be at the same host, so cookies, links and what browsers store are kept below this path.
        """
        return urlsplit(self.public_url).path.rstrip("/")

    @property
    def names(self) -> frozenset[str]:
        """The host names that the app answers to, in lower case and without ports."""
        public = urlsplit(self.public_url).hostname
        return frozenset(name.lower() for name in (*_LOCAL, *self.hosts, *((public,) if public else ())))


def normal_url(url: str) -> str:
    """Return the URL that people use in the form in which browsers name it as the origin of a request.

    The host is in lower case and ASCII, the default port and slashes at the end are left out.

    Raises:
        ValueError: it is no http or https URL, or has parts other than host, port and a plain path.
    """
    try:
        parts = urlsplit(url.strip())
        host, port = (parts.hostname or "").encode("idna").decode(), parts.port
    except ValueError as error:  # of a port or an IPv6 address that is none, or a label that is too long
        raise ValueError(f"--public-url must be http://… or https://…, got {url!r}: {error}") from error
    if parts.scheme not in _PORTS or not _HOST.fullmatch(host):
        raise ValueError(f"--public-url must be http://… or https://…, got {url!r}")
    segments = parts.path.strip("/").split("/") if parts.path.strip("/") else []
    if parts.username is not None or parts.query or parts.fragment or not all(map(_SEGMENT.fullmatch, segments)):
        raise ValueError(
            f"--public-url must be scheme, host and at most a port and a path of letters, digits, . _ -, got {url!r}"
        )
    netloc = f"[{host}]" if ":" in host else host
    netloc += f":{port}" if port not in (None, _PORTS[parts.scheme]) else ""
    return f"{parts.scheme}://{'/'.join((netloc, *segments))}"


def load_secret(data: Path) -> bytes:
    """Read the secret of the project from `data/secret`; the first call makes it, readable by its owner alone.

    Raises:
        ValueError: it is no file, too short or not random, or other users can read it.
    """
    path = data / "secret"
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        pass
    else:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(_SECRET_BYTES))
    if not path.is_file():
        raise ValueError(f"{path} must be a file: remove it to get a new one")
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise ValueError(f"{path} must be readable by its owner alone: chmod 600 it, or remove it to get a new one")
    secret = path.read_bytes()
    if len(secret) < _SECRET_BYTES or len(set(secret)) < 8:
        raise ValueError(
            f"{path} must hold {_SECRET_BYTES} random bytes, got {len(secret)}: remove it to get a new one"
        )
    return secret
