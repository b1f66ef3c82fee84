"""The browser that pages are opened in."""

import pytest

from chromium import browser


@pytest.fixture(scope="module")
def chromium():
    with browser() as started:
        yield started
