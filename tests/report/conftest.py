"""A real browser for the tests that look at pages."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from chromium_pipe import Browser, browser, find


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One browser for a whole file."""
    path = find()
    if path is None:
        pytest.skip("no Chromium on PATH: the pages were not looked at in a real browser")
    with browser(path) as page:
        yield page
