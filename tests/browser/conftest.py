"""A real browser: Debian's chromium, without a window."""

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.integration.conftest import has_front, shared_node, start_node, three

__all__ = ["has_front", "shared_node", "start_node", "three"]
_WAIT_MS = 60_000
expect.set_options(timeout=_WAIT_MS)  # it ends a test that hangs; a busy machine is slow


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """For one file: while it is there, its event loop is the thread's, and no other test could run one of its own."""
    program = shutil.which("chromium")
    if program is None:
        pytest.fail("these tests need chromium: tools/system-packages chromium")
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A window 1280 pixels wide; what goes wrong on the page, a broken policy too, fails the test."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(_WAIT_MS)
    page = context.new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda line: wrong.append(line.text) if "Content Security Policy" in line.text else None)
    yield page
    context.close()
    assert wrong == []
