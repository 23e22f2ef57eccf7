"""The viewer of a dataset and the page of a comparison in a real browser: from disk, wide and narrow, by keyboard."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect, sync_playwright

from manifests.io import Folder
from pipeline.diff import main as diff
from pipeline.publishing.published import PublishedAnnotations
from pipeline.publishing.viewer import write_viewer
from tests.browser import FLAGS, find_chromium
from tests.pipeline import rows
from tests.pipeline.publishing.made_runs import info, shard_rows, write_run

SIZES = [(1280, 900), (390, 844)]


@dataclass
class Opened:
    page: Page
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        path = find_chromium(playwright.chromium.executable_path)
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture
def opened(browser: Browser) -> Iterator[list[Opened]]:
    """Pages that `open_page` opened; none may complain, or ask for anything that does not lie on this disk."""
    pages: list[Opened] = []
    yield pages
    for one in pages:
        one.page.close()
        assert one.complaints == []
        assert [url for url in one.requests if not url.startswith(("file:", "data:"))] == []


def open_page(browser: Browser, opened: list[Opened], path: Path, size: tuple[int, int]) -> Page:
    one = Opened(browser.new_page(viewport={"width": size[0], "height": size[1]}))
    opened.append(one)
    one.page.on("console", lambda message: one.complaints.append(message.text))
    one.page.on("pageerror", lambda error: one.complaints.append(str(error)))
    one.page.on(
        "request", lambda asked: None if asked.url.startswith(("file:", "data:")) else one.requests.append(asked.url)
    )
    one.page.goto(path.as_uri())
    return one.page


def violations(page: Page) -> list[str]:
    return [f"{one['id']}: {one['help']}" for one in Axe().run(page).response["violations"]]


@pytest.fixture(scope="module")
def viewer(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The viewer of the dataset with a frame and a mask for every picture, and with a hostile title."""
    root = tmp_path_factory.mktemp("viewer")
    frame = (rows.preview(1, 320, 180), [[100, 100, 500, 100, 500, 900]])
    about = {"title": rows.HOSTILE, "lede": "16 of 24 masklets kept.", "notes": []}
    write_viewer(PublishedAnnotations(Folder(str(dataset))), root, about, frames_of=lambda _: [frame] * 3)
    return root / "index.html"


@pytest.mark.parametrize("size", SIZES)
def test_the_viewer_from_disk(browser: Browser, opened: list[Opened], viewer: Path, size: tuple[int, int]) -> None:
    page = open_page(browser, opened, viewer, size)
    expect(page.locator("#count")).to_have_text("Rows 1 to 20 of 24")
    expect(page.locator(".preview img")).to_have_count(16)  # of the 20 rows, those that are kept
    assert page.title() == rows.HOSTILE
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
    assert page.locator(".frame svg path").first.is_visible()
    assert violations(page) == []
    page.keyboard.press("m")
    assert not page.locator(".frame svg path").first.is_visible()
    page.keyboard.press("n")
    expect(page.locator("#count")).to_have_text("Rows 21 to 24 of 24")
    page.keyboard.press("/")
    page.keyboard.type("sav_000005/manual/1")
    expect(page.locator("#count")).to_have_text("Rows 1 to 1 of 1")
    expect(page.locator("blockquote")).to_contain_text("number 1.")
    page.fill("#q", "no such thing")
    expect(page.locator("#list")).to_contain_text("Nothing matches")
    page.click("#clear")
    page.click("#states a[data-state=rejected]")
    page.select_option("#reason", "ambiguous")
    expect(page.locator(".object .badge")).to_have_text(["rejected"])
    expect(page.locator(".object .detail")).to_have_text(["same text as manual/1"])


def test_a_row_of_the_viewer_enlarges_and_links(browser: Browser, opened: list[Opened], viewer: Path) -> None:
    page = open_page(browser, opened, viewer, SIZES[0])
    page.locator(".preview").first.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#zoom-id")).to_have_text("sav_000000/manual/0")
    page.keyboard.press("Escape")
    expect(page.locator("#zoom")).not_to_be_visible()
    page.locator(".object h2 a").first.click()
    expect(page.locator("#count")).to_have_text("Rows 1 to 1 of 1")


def test_a_viewer_without_its_files_says_so(browser: Browser, viewer: Path, tmp_path: Path) -> None:
    alone = tmp_path / "index.html"
    alone.write_bytes(viewer.read_bytes())
    page = browser.new_page()
    page.goto(alone.as_uri())
    expect(page.locator("#notes")).to_contain_text("the folder viewer/ must lie beside this page")
    page.close()


@pytest.fixture(scope="module")
def diff_page(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("diff")
    changed = [
        row.model_copy(update={"expression": row.expression.replace("red", "scarlet") + rows.HOSTILE})
        if row.expression
        else row
        for row in shard_rows("sav_000", 0, 4)
    ]
    run = write_run(root / "run", changed, info("sav_000"))
    assert diff([str(dataset), str(run), "--out", str(root / "out")]) == 0
    return root / "out/diff.html"


@pytest.mark.parametrize("size", SIZES)
def test_the_page_of_a_comparison(
    browser: Browser, opened: list[Opened], diff_page: Path, size: tuple[int, int]
) -> None:
    page = open_page(browser, opened, diff_page, size)
    expect(page.locator("#count")).to_have_text("Changed rows 1 to 8 of 8")
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
    assert page.locator(".object").first.locator("del").all_inner_texts() == ["red"]
    assert page.locator(".object").first.locator("ins").first.inner_text() == "scarlet"
    assert violations(page) == []
    page.keyboard.press("/")
    page.keyboard.type("sav_000003/manual/0")
    expect(page.locator("#count")).to_have_text("Changed rows 1 to 1 of 1")
