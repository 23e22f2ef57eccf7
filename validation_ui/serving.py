"""Serves a project: where to listen, under which names, and the address that people are told."""

import ipaddress
import logging
import socket
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import uvicorn

from validation_ui import people
from validation_ui.app import create_app
from validation_ui.project import Project
from validation_ui.security import Serving, load_secret
from validation_ui.store import Store

logger = logging.getLogger("refsav")


@dataclass(frozen=True, kw_only=True)
class Listening:
    """Where the app listens and how it is reached.

    Args:
        host: address or name to listen on.
        port: 0 takes any free one.
        tls_cert: certificate (PEM), if the app speaks HTTPS itself.
        tls_key: private key (PEM).
        public_url: the address people use, if it is not host and port.
        plain_http: the owner allows passwords to cross a network unencrypted.

    Raises:
        ValueError: people could not reach it, or their passwords could be read on the way.
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
        if self.public_url and urlsplit(self.public_url).scheme not in ("http", "https"):
            raise ValueError(f"--public-url must be http://… or https://…, got {self.public_url!r}")
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
        """True if only this machine can reach it."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    @property
    def is_https(self) -> bool:
        """True if browsers reach it by HTTPS."""
        return bool(self.tls_cert) or (self.public_url or "").startswith("https:")


def serve(project: Project, store: Store, listening: Listening) -> None:
    """Serve until interrupted; prints the address and, while there is no admin, an invite for one."""
    sock = _bind(listening.host, listening.port)
    scheme = "https" if listening.tls_cert else "http"
    host = f"[{listening.host}]" if ":" in listening.host else listening.host
    url = (listening.public_url or f"{scheme}://{host}:{sock.getsockname()[1]}").rstrip("/")
    serving = Serving(load_secret(project.data), tls=listening.is_https, public_url=url, hosts=(listening.host,))
    config = uvicorn.Config(
        create_app(store, project.data, project.sav_root, serving),
        log_level="warning",
        server_header=False,
        proxy_headers=listening.public_url is not None,  # else anyone could say where they come from
        ssl_certfile=listening.tls_cert,
        ssl_keyfile=listening.tls_key,
        timeout_graceful_shutdown=5,
    )
    sock.listen()  # whoever follows the address now waits for the answer
    logger.info("the validation app is at %s (Ctrl-C stops it)", url)
    token = store.write(lambda connection: people.first_invite(connection, serving.secret, store.now()))
    if token:
        logger.info("make the first account, an admin's, once, within 7 days: %s/invite/%s", url, token)
    with suppress(KeyboardInterrupt):  # how uvicorn ends after Ctrl-C
        uvicorn.Server(config).run(sockets=[sock])


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
    except OSError as error:
        sock.close()
        raise ValueError(f"cannot listen on {host}:{port}: {error}; choose another with --port") from error
    return sock
