"""A real server on a small project with pictures, and people who are signed in to it in a real Chromium."""

import contextlib
import hashlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import uvicorn
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, Response, sync_playwright
from playwright.sync_api import Error as PlaywrightError
from pycocotools import mask as coco
from sqlalchemy import Connection, update

from tests.browser import FLAGS, PATIENCE_MS, find_chromium
from tests.running import eventually
from tests.validation_ui import rows
from validation_ui.database import Database
from validation_ui.importing.source_video import CHUNK_FRAMES, pack
from validation_ui.people.access import cookie_name, open_session
from validation_ui.schema import video
from validation_ui.serving import Serving
from validation_ui.web.app import create_app
from validation_ui.web.connections import server_options

SECRET = bytes(range(32))
WIDE, NARROW = {"width": 1280, "height": 800}, {"width": 390, "height": 844}


class Clock:
    """The server's clock: the real one, and what the test adds."""

    def __init__(self) -> None:
        self.added_s = 0.0

    def __call__(self) -> float:
        return time.time() + self.added_s


@dataclass
class Running:
    """A project that is being served."""

    folder: Path
    url: str
    store: Database
    clock: Clock
    browser: Browser
    ids: dict[str, int]
    server: contextlib.ExitStack
    contexts: list[BrowserContext] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def context(self, name: str, **options: Any) -> BrowserContext:
        """A browser of this person, signed in."""
        context = self.browser.new_context(**{"viewport": WIDE, "reduced_motion": "reduce", **options})
        self.sign_in(context, name)
        context.set_default_timeout(PATIENCE_MS)
        self.contexts.append(context)
        return context

    def sign_in(self, context: BrowserContext, name: str) -> None:
        """Make it this person's browser."""
        token = self.store.write(lambda c: open_session(c, self.ids[name], self.clock()))
        context.add_cookies([{"name": cookie_name(Serving(SECRET)), "value": token, "url": self.url}])

    def open(self, context: BrowserContext, kinds: str = "sighted") -> Page:
        """The review screen."""
        page = context.new_page()
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", lambda message: self.complaints.append(message.text) if "Policy" in message.text else None)
        page.goto(f"{self.url}/review?kinds={kinds}")
        page.wait_for_selector(".review-form, .empty")
        return page

    def context_on_disk(self, name: str, folder: Path) -> BrowserContext:
        """A browser of this person that keeps what it stores, as people's own do."""
        kind = self.browser.browser_type
        path = find_chromium(kind.executable_path)
        context = kind.launch_persistent_context(folder, executable_path=path, args=list(FLAGS))
        self.sign_in(context, name)
        self.contexts.append(context)
        return context

    def review(self, name: str, kinds: str = "sighted", **options: Any) -> Page:
        """The review screen of this person, in a browser of their own, its first frame shown."""
        page = self.open(self.context(name, **options), kinds)
        wait_for_frame(page)
        return page

    def restart(self, meanwhile: Callable[[], object]) -> None:
        """Do something while the app does not run; then it is served at the same address."""
        self.server.close()
        self.store.close()
        meanwhile()
        self.store = Database(f"sqlite:///{self.folder}/validation.sqlite3", now=self.clock)
        port = int(self.url.rpartition(":")[2])
        self.server.enter_context(serve(self.store, self.folder, self.folder, port))

    def rows(self, query: Any) -> Sequence[Any]:
        """What the database has."""
        with self.store.read() as connection:
            return connection.execute(query).all()


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """A browser for many tests."""
    with sync_playwright() as playwright:
        path = find_chromium(playwright.chromium.executable_path)
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        yield browser
        browser.close()


@contextlib.contextmanager
def running(
    browser: Browser, folder: Path, fill: Callable[[Connection], dict[str, int]] = rows.fill
) -> Iterator[Running]:
    """Serve a project made by `fill`, with pictures; afterwards no page may have complained."""
    clock = Clock()
    store = Database(f"sqlite:///{folder}/validation.sqlite3", now=clock)
    store.create()
    ids = store.write(fill)
    store.write(lambda connection: draw(connection, folder / "frames"))
    with contextlib.ExitStack() as server:
        url = server.enter_context(serve(store, folder, folder))
        project = Running(folder, url, store, clock, browser, ids, server)
        yield project
        for context in project.contexts:
            context.close()
    project.store.close()
    assert project.complaints == []


@contextlib.contextmanager
def serve(store: Database, data: Path, sav_root: Path, port: int = 0) -> Iterator[str]:
    """The app as it is really served; at a free port, if none is named."""
    app = create_app(store, data, sav_root, Serving(SECRET))
    server = uvicorn.Server(uvicorn.Config(app, port=port, **server_options()))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.005)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join(60)


def draw(connection: Connection, folder: Path) -> None:
    """Pictures for every video of `rows.fill`: two bars on a plain ground, where its masks are."""
    folder.mkdir(parents=True, exist_ok=True)
    chunks = []
    for first in range(0, rows.FRAMES, CHUNK_FRAMES):
        pictures = [(frame, _picture(frame)) for frame in range(first, min(first + CHUNK_FRAMES, rows.FRAMES))]
        kinds = {"key": [one for one in pictures if one[0] % 4 == 0], "rest": [one for one in pictures if one[0] % 4]}
        names = {}
        for kind, some in kinds.items():
            data = pack(some)
            names[kind] = f"{hashlib.sha256(data).hexdigest()}.bin"
            (folder / names[kind]).write_bytes(data)
        chunks.append({"first": first, **names})
    connection.execute(update(video).values(chunks=chunks))


def _picture(frame: int) -> bytes:
    image = np.full((rows.HEIGHT_PX, rows.WIDTH_PX, 3), (110, 140, 120), np.uint8)
    for n, colour in enumerate([(60, 60, 200), (200, 120, 40), (40, 180, 220)]):
        left = 20 * n + 5 + frame // 4
        image[15:75, left : left + 10] = colour
    return bytes(cv2.imencode(".jpg", image)[1])


def place(n: int, frame: int) -> tuple[float, float]:
    """Middle of object n at a frame, as shares of width and height."""
    return (20 * n + 10 + frame // 4) / rows.WIDTH_PX, 0.5


def box_counts(top: int, bottom: int, left: int, right: int) -> list[str]:
    """Masks of a box that stands still, at every annotated frame."""
    mask = np.zeros((rows.HEIGHT_PX, rows.WIDTH_PX), np.uint8, order="F")
    mask[top:bottom, left:right] = 1
    return [coco.encode(mask)["counts"].decode()] * rows.ANNOTATED


def heading(page: Page) -> str:
    """What the screen asks for."""
    return page.inner_text(".review h1")


def text(page: Page) -> str:
    """The expression that is shown."""
    return page.text_content(".expression") or ""


def wait_for_text(page: Page, part: str) -> None:
    """Wait until an item with this text is shown."""
    page.wait_for_function("part => document.querySelector('.expression')?.textContent.includes(part)", arg=part)


def wait_for_frame(page: Page) -> None:
    """Wait until the canvas shows a frame."""
    page.wait_for_function(
        "() => document.querySelector('.player-counter')?.textContent || document.querySelector('.empty')"
    )


def watch(page: Page) -> None:
    """See the whole span of the object, by key."""
    page.keyboard.press("Home")
    for _ in range(rows.ANNOTATED - 1):
        page.keyboard.press("Period")
    page.wait_for_selector(".watch.is-done")


def click_at(page: Page, x: float, y: float) -> None:
    """Click the picture at these shares of its width and height."""
    box = page.locator(".player-canvas").bounding_box()
    assert box
    page.mouse.click(box["x"] + x * box["width"], box["y"] + y * box["height"])


def violations(page: Page) -> list[str]:
    """What axe finds wrong, by rule and element."""
    found = Axe().run(page).response["violations"]
    return [f"{rule['id']}: {node['target']} {node['failureSummary']}" for rule in found for node in rule["nodes"]]


def press(page: Page, *keys: str) -> None:
    """Press keys, one after the other."""
    for key in keys:
        page.keyboard.press(key)


def flag(page: Page, note: str) -> None:
    """All but the sending."""
    press(page, "Digit1", "Digit2", "Digit3", "KeyF", "KeyN")
    page.keyboard.type(note)


def wakes(page: Page) -> None:
    """As if the tab came to the front: the lease is renewed at once."""
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")


def kept(page: Page) -> list[str]:
    """Notes of the drafts in this browser."""
    notes: list[str] = page.evaluate(
        "async () => (await (await import('/static/review/db.js')).all('drafts')).map(d => d.body.note ?? '')"
    )
    return notes


def is_saved(page: Page, note: str) -> None:
    """Wait until a draft with this note is in this browser."""
    eventually(lambda: note in kept(page))


def record(context: BrowserContext) -> list[tuple[str, bytes]]:
    """Address and body of every answer that a browser gets from now on."""
    seen: list[tuple[str, bytes]] = []

    def keep(response: Response) -> None:
        with contextlib.suppress(PlaywrightError):  # an answer without a body
            seen.append((response.url, response.body()))

    context.on("response", keep)
    return seen
