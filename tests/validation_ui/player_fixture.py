"""A clip that spells its frame numbers, and a small server that can be slow or broken as the app's own may be.

Each picture has bars for the bits of its number k in the upper half; the mask of k is a bar in the lower half, in the
column that stands for k. Pictures are half the size of the source, masks are not.
"""

import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import cv2
import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco

STATIC = Path(__file__).parents[2] / "validation_ui" / "web" / "static"
PAGES = Path(__file__).parent / "pages"
COUNT, FPS, EVERY, IN_CHUNK = 102, 24.0, 4, 24
HEIGHT, WIDTH = 192, 300
ANNOTATED = list(range(0, COUNT, EVERY))
ABSENT = {0, 40, 44, 48, 100}
FRAME_BYTES = (HEIGHT // 2) * (WIDTH // 2) * 4
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
    "media-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
}
_TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".json": "application/json"}


def picture(k: int) -> NDArray[np.uint8]:
    """Frame k, shape (HEIGHT / 2, WIDTH / 2, 3)."""
    image = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
    for bit in range(8):
        image[16:80, 17 + 34 * bit : 43 + 34 * bit] = 255 if k >> bit & 1 else 0
    return cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA).astype(np.uint8)


def mask(k: int) -> str | None:
    """Counts of the mask of annotated frame k."""
    if k in ABSENT:
        return None
    pixels = np.zeros((HEIGHT, WIDTH), np.uint8, order="F")
    left = 4 + 11 * (k // EVERY)
    pixels[115:175, left : left + 9] = 1
    counts: bytes = coco.encode(pixels)["counts"]
    return counts.decode()


def pack(pictures: dict[int, bytes]) -> bytes:
    """A chunk as the import writes it."""
    table = [number for k, data in pictures.items() for number in (k, len(data))]
    return np.array([len(pictures), *table], "<u4").tobytes() + b"".join(pictures.values())


def jpeg(image: NDArray[np.uint8]) -> bytes:
    return cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 92])[1].tobytes()


def chunked(pictures: list[bytes]) -> tuple[list[dict[str, Any]], dict[str, bytes]]:
    """What a Video says of its chunks, and the bytes at each address."""
    said: list[dict[str, Any]] = []
    files: dict[str, bytes] = {}
    for first in range(0, len(pictures), IN_CHUNK):
        numbers = range(first, min(first + IN_CHUNK, len(pictures)))
        parts = {"key": [k for k in numbers if k % EVERY == 0], "rest": [k for k in numbers if k % EVERY]}
        said.append({"first": first, **{part: f"/chunks/{part}{first}.bin" for part in parts}})
        files |= {f"/chunks/{part}{first}.bin": pack({k: pictures[k] for k in ks}) for part, ks in parts.items()}
    return said, files


def clip() -> tuple[dict[str, Any], dict[str, bytes]]:
    """{"video", "masks"} of the clip, and its chunks."""
    chunks, files = chunked([jpeg(picture(k)) for k in range(COUNT)])
    size = {"height_px": HEIGHT, "width_px": WIDTH, "shown_height_px": HEIGHT // 2, "shown_width_px": WIDTH // 2}
    times = {"times_s": [k / FPS for k in range(COUNT)], "frame_count": COUNT}
    video = {**times, **size, "annotated": ANNOTATED, "chunks": chunks}
    masks = {"size": [HEIGHT, WIDTH], "annotated": ANNOTATED, "rles": [mask(k) for k in ANNOTATED]}
    return {"video": video, "masks": masks}, files


@dataclass
class Served:
    """A server that runs: what it has, how it misbehaves (an answer waits for its event), what it was asked for."""

    url: str
    files: dict[str, bytes]
    held: dict[str, threading.Event] = field(default_factory=dict)
    broken: dict[str, bytes | HTTPStatus] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)

    def behave(self) -> None:
        """Forget what was asked and how to misbehave."""
        for event in self.held.values():
            event.set()
        self.held.clear()
        self.broken.clear()
        self.asked.clear()


@contextmanager
def serve(files: dict[str, bytes]) -> Iterator[Served]:
    """Serve files by their address, the app's static files and the pages of these tests."""
    served: Served

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path = urlsplit(self.path).path
            served.asked[path] += 1
            if path in served.held:
                served.held[path].wait()
            body = served.broken.get(path, found(path))
            status = body if isinstance(body, HTTPStatus) else HTTPStatus.OK
            data = body if isinstance(body, bytes) else b""
            self.send_response(status)
            kind = _TYPES.get(Path(path).suffix, "application/octet-stream")
            lasting = "public, max-age=31536000, immutable" if path.startswith("/chunks/") else "no-cache"
            length = str(len(data))
            headers = {**_HEADERS, "Content-Type": kind, "Content-Length": length, "Cache-Control": lasting}
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    def found(path: str) -> bytes | HTTPStatus:
        folder = {"static": STATIC, "pages": PAGES}.get(path.split("/")[1])
        if folder and (file := folder / path.split("/", 2)[2]).is_file():
            return file.read_bytes()
        return files.get(path, HTTPStatus.NOT_FOUND)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served = Served(f"http://127.0.0.1:{server.server_port}", files)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield served
    finally:
        served.behave()
        server.shutdown()
        server.server_close()
        thread.join()


def barcode_files() -> dict[str, bytes]:
    """All that the page of the clip asks for."""
    said, files = clip()
    return {**files, "/clip.json": json.dumps(said).encode(), "/favicon.ico": b""}
