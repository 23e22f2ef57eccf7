"""The app below a path behind a real nginx, in a real Chromium: once the proxy strips the path, once it keeps it."""

import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import uvicorn
from argon2 import PasswordHasher
from playwright.sync_api import Browser, Page, expect
from sqlalchemy import update

from tests.validation_ui import rows
from tests.validation_ui.proxy import KEEPS, STRIPS, free_port, need_nginx, nginx
from tests.validation_ui.review_driver import SECRET, chromium, draw, wait_for_frame, wait_for_text, watch
from validation_ui.database import Database
from validation_ui.schema import Role, person
from validation_ui.serving import Serving, normal_url
from validation_ui.web.app import create_app
from validation_ui.web.connections import server_options

PASSWORD = "a lake in early spring"
STORED = "indexedDB.databases().then((all) => all.map((each) => each.name))"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    need_nginx()
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("pem")
    cert, key = folder / "cert.pem", folder / "key.pem"
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=127.0.0.1", "-days", "1"]
    subprocess.run([*make, "-keyout", key, "-out", cert], check=True, capture_output=True)
    return cert, key


@pytest.fixture(params=[STRIPS, KEEPS])
def url(request: pytest.FixtureRequest, tmp_path: Path, pem: tuple[Path, Path]) -> Iterator[str]:
    """Public address of the app, before which nginx stands."""
    port = free_port()
    store = Database(f"sqlite:///{tmp_path}/validation.sqlite3")
    store.create()
    store.write(rows.fill)
    store.write(lambda c: rows.add_person(c, "ada", Role.ADMIN))
    store.write(lambda c: draw(c, tmp_path / "frames"))
    store.write(lambda c: c.execute(update(person).values(password_hash=PasswordHasher().hash(PASSWORD))).rowcount)
    serving = Serving(SECRET, tls=True, public_url=normal_url(f"https://127.0.0.1:{port}/refsav"))
    app = create_app(store, tmp_path, tmp_path, serving)
    server = uvicorn.Server(uvicorn.Config(app, port=0, proxy_headers=True, **server_options()))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    upstream = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    with nginx(tmp_path, upstream, port, request.param, *pem) as address:
        yield address
    server.should_exit = True
    thread.join(60)
    store.close()


def sign_in(page: Page, name: str) -> None:
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")


def test_a_person_and_an_admin_work_below_the_path(browser: Browser, url: str) -> None:
    host = url.removesuffix("/refsav")
    context = browser.new_context(ignore_https_errors=True)
    page = context.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda line: faults.append(line.text) if "Policy" in line.text else None)
    asked: list[tuple[str, int]] = []
    context.on("response", lambda answer: asked.append((answer.url, answer.status)))

    page.goto(f"{url}/review?kinds=sighted")  # a deep link, signed out
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    sign_in(page, "ann")
    page.wait_for_selector(".review-form")
    assert page.url == f"{url}/review?kinds=sighted"
    wait_for_frame(page)
    watch(page)
    assert page.evaluate(STORED) == ["refsav/refsav"]
    page.get_by_role("link", name="Guide").click()
    expect(page.get_by_role("heading", name="How to judge")).to_be_visible()
    page.goto(f"{url}/review/?kinds=sighted")  # a slash too many
    page.wait_for_selector(".review-form")
    wait_for_text(page, "")
    assert page.url == f"{url}/review?kinds=sighted"
    (cookie,) = context.cookies(f"{url}/")
    assert (cookie["path"], cookie["secure"], cookie["httpOnly"]) == ("/refsav", True, True)
    assert context.cookies(f"{host}/") == [], "the other app at this host gets none"
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    assert context.cookies(f"{url}/") == []

    page.goto(f"{url}/login?next={host}/")  # an address of the other app
    sign_in(page, "ada")
    expect(page.get_by_role("heading", name="Hello, ada")).to_be_visible()
    page.get_by_role("link", name="People", exact=True).click()
    expect(page.locator("[aria-busy=true]")).to_have_count(0)
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="New password for ann").click()
    expect(page.get_by_label("Send this link to ann")).to_be_focused()
    link = page.get_by_label("Send this link to ann").input_value()
    assert link.startswith(f"{url}/reset/")
    page.get_by_role("button", name="Sign out", exact=True).click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    page.goto(link)
    page.get_by_label("New password").fill("another lake in spring")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Hello, ann")).to_be_visible()
    assert page.url == f"{url}/"
    context.close()

    assert faults == []
    outside = {address for address, _ in asked if not urlsplit(address).path.startswith("/refsav/")}
    assert outside == set()
    assert {address for address, status in asked if status >= 400} == set()
