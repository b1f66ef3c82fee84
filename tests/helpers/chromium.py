"""Chromium for tests of pages: the one that is installed; none is ever downloaded."""

import importlib.util
import os
import shutil
from contextlib import contextmanager

import pytest

_NAMES = ("chromium", "chromium-browser", "google-chrome")


@contextmanager
def browser():
    """Starts Chromium; CI must have it, elsewhere tests without it are skipped."""
    missing = "install Chromium and playwright (make web-test) to open pages"
    if not installed():
        (pytest.fail if os.environ.get("CI") else pytest.skip)(missing)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = launched(playwright.chromium)
        yield started
        started.close()


def installed():
    """The path of Chromium, ``None`` where it or playwright is missing."""
    there = importlib.util.find_spec("playwright")
    return next(filter(None, map(shutil.which, _NAMES)), None) if there else None


def launched(kind, *arguments):
    """Starts one more Chromium; drawing goes by software, so that it looks the same everywhere."""
    usual = ("--no-sandbox", "--enable-unsafe-swiftshader")
    return kind.launch(executable_path=installed(), args=[*usual, *arguments])


class Opened:
    """A page that was opened from a file with the network off, and what it did that it should not."""

    def __init__(self, browser, path, hash_="", width=1100, height=800, scheme="light"):
        self.context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme=scheme,
            offline=True,
            accept_downloads=True,
        )
        self.page = self.context.new_page()
        self.asked, self.faults = [], []
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("console", self._said)
        self.page.goto(path.as_uri() + hash_)
        self.page.wait_for_selector("#explorer[data-ready], #explorer [role=alert]", timeout=60_000)
        assert not self.page.query_selector("[role=alert]"), self.page.inner_text("[role=alert]")

    def _said(self, message):
        if message.type == "error":
            self.faults.append(message.text)

    @property
    def outside(self):
        """What was asked of anything but this file and itself."""
        return [url for url in self.asked[1:] if not url.startswith(("blob:", "data:"))]

    def wait_for_decoder(self):
        """Waits until the cursor's z is decoded."""
        self.page.wait_for_selector(".dials[data-decodes]")

    def run(self, script, argument=None):
        return self.page.evaluate(script, argument)

    def pixel_of(self, place):
        """Where in the window a place of the plane lies."""
        found = self.run(
            """([x, y]) => {
              const { view, size, element } = explorer.map;
              const box = element.getBoundingClientRect();
              const scale = size.width / view.width;
              return [box.left + size.width / 2 + (x - view.x) * scale,
                      box.top + size.height / 2 - (y - view.y) * scale];
            }""",
            [float(x) for x in place],
        )
        return tuple(found)

    def place_of(self, pixel):
        """The place of the plane that lies at a pixel of the window."""
        return tuple(
            self.run(
                """([px, py]) => {
                  const { view, size, element } = explorer.map;
                  const box = element.getBoundingClientRect();
                  const scale = view.width / size.width;
                  return [view.x + (px - box.left - size.width / 2) * scale,
                          view.y - (py - box.top - size.height / 2) * scale];
                }""",
                [float(x) for x in pixel],
            )
        )

    def close(self):
        self.context.close()
