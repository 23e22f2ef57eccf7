"""A real nginx before the app, as a team has it: HTTPS at https://…/refsav, with another app at the same host."""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

STRIPS, KEEPS = "strips", "keeps"
_CONFIG = """
daemon off; pid {folder}/pid; error_log {folder}/error.log; worker_processes 1; {user}
events {{ worker_connections 256; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port} ssl; server_name lab.test;
    ssl_certificate {cert}; ssl_certificate_key {key};
    location / {{ default_type text/html; return 200 '<title>another app of the lab</title>'; }}
    location /refsav {{ return 301 /refsav/; }}
    location /refsav/ {{
      proxy_pass {upstream}{end};
      proxy_set_header X-Forwarded-For $remote_addr;
      proxy_set_header X-Forwarded-Proto https;
    }}
  }}
}}
"""


def need_nginx() -> str:
    """Path of nginx; the test is skipped if there is none."""
    found = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if found is None:
        pytest.skip("needs nginx, which `make browser` installs as root")
    return found


def free_port() -> int:
    """A TCP port that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


@contextmanager
def nginx(folder: Path, upstream: str, port: int, form: str, cert: Path, key: Path) -> Iterator[str]:
    """nginx on a port of this machine before the app at `upstream`; the address that people use.

    Args:
        folder: for its files.
        upstream: address of the app.
        port: where nginx listens.
        form: STRIPS: the app is asked for `/review`; KEEPS: for `/refsav/review`.
        cert: certificate (PEM).
        key: private key (PEM).
    """
    config = folder / "nginx.conf"
    user = "user root;" if Path.home() == Path("/root") else ""
    end = "/" if form == STRIPS else ""
    config.write_text(
        _CONFIG.format(folder=folder, user=user, port=port, cert=cert, key=key, upstream=upstream, end=end)
    )
    command = [need_nginx(), "-c", str(config), "-p", str(folder), "-e", str(folder / "error.log")]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            while process.poll() is None:
                with socket.socket() as sock:
                    if sock.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.02)
            assert process.poll() is None, process.stderr.read() if process.stderr else ""
            yield f"https://127.0.0.1:{port}/refsav"
        finally:
            process.terminate()
