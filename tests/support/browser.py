"""A real browser for tests of pages: Debian's Chromium, without a window."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM = Path("/usr/bin/chromium")


@dataclass
class Seen:
    """A page that is open, what it asked for, and what it complained of."""

    page: Page
    asked: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start the browser, and end it; the test is skipped where it is not installed."""
    if not CHROMIUM.exists():
        pytest.skip(f"there is no browser at {CHROMIUM}: apt-get install chromium")
    # Its sandbox is not for root, and what is opened is ours.
    options = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=options)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def opened(browser: Browser, file: Path, *, width: int, height: int = 900, dark: bool = False) -> Iterator[Seen]:
    """Open a file in a window of so many pixels, and close it."""
    page = browser.new_page(viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light")
    seen = Seen(page)
    page.on("request", lambda request: seen.asked.append(request.url))
    page.on("console", lambda said: seen.complaints.append(said.text) if said.type in {"error", "warning"} else None)
    page.on("pageerror", lambda error: seen.complaints.append(str(error)))
    try:
        page.goto(file.absolute().as_uri())
        yield seen
    finally:
        page.close()
