"""Finds a Chromium for the tests that look at pages; a missing one is an error, not a skip."""

import os
import shutil
from pathlib import Path

from playwright.sync_api import expect, sync_playwright

PATIENCE_MS = 60_000.0  # for what a page is to show: a machine may be busy with other things
expect.set_options(timeout=PATIENCE_MS)

# The shell first: the others make a window with a toolbar for every context, which is 0.6 s of work
_NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
# --no-sandbox: containers run as root; the others keep the browser from asking its maker for anything
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)


def find_chromium(bundled: str) -> str:
    """Path of the browser: `$CHROMIUM`, one of the system's, or `bundled`, where playwright would have put its own.

    Raises:
        FileNotFoundError: there is none; says how to get one.
    """
    named = os.environ.get("CHROMIUM")
    found = next((path for name in _NAMES if (path := shutil.which(name))), None)
    path = named or found or bundled
    if not Path(path).is_file():
        raise FileNotFoundError(
            f"the tests of pages need Chromium, and there is none at {path}: run `apt-get install "
            "chromium-headless-shell` or `python -m playwright install chromium`, or set CHROMIUM to the path of one"
        )
    return path


if __name__ == "__main__":
    with sync_playwright() as playwright:
        find_chromium(playwright.chromium.executable_path)
